//! Where the gateway listens, whom it believes, how long sessions live.

use super::leave;
use crate::migrate::draft::{Draft, Section};
use crate::migrate::read::Settings;
use crate::migrate::words::{go_span, quoted, span};

pub(super) fn server(settings: &Settings, draft: &mut Draft) {
    let http = settings.one("http-address").unwrap_or_else(|| "127.0.0.1:4180".to_owned());
    let tls = settings.one("tls-cert-file").zip(settings.one("tls-key-file"));
    match address(&http) {
        Some(address) => draft.list(Section::Server, "listen", &[address]),
        None if tls.is_some() && settings.one("http-address").is_some_and(|http| http.trim() == "-") => {}
        None => {
            draft.list(Section::Server, "listen", &["127.0.0.1:4180".to_owned()]);
            leave(
                settings,
                draft,
                Section::Server,
                "http-address",
                "write an IP address and a port; sockets come from systemd by themselves (deploy/systemd)",
            );
        }
    }
    if let Some((cert, key)) = tls {
        let https = settings.one("https-address").unwrap_or_else(|| ":443".to_owned());
        let listen = address(&https).unwrap_or_else(|| "0.0.0.0:443".to_owned());
        let (listen, cert, key) = (quoted(&listen), quoted(&cert), quoted(&key));
        let tls = format!("[{{ listen = {listen}, cert_file = {cert}, key_file = {key} }}]");
        draft.set(Section::Server, "tls", &tls);
        draft.remind("nobody but the gateway may read the TLS key: `chmod 600`");
    }
    let proxies = settings.all("trusted-proxy-ip");
    let (good, bad): (Vec<_>, Vec<_>) = proxies.into_iter().partition(|block| is_block(block));
    let everybody = good.iter().any(|block| block.ends_with("/0"));
    if settings.is_on("reverse-proxy", false) && !good.is_empty() && !everybody {
        draft.list(Section::Server, "trusted_proxies", &good);
    } else if settings.is_on("reverse-proxy", false) {
        draft.list(Section::Server, "trusted_proxies", &["127.0.0.1".to_owned()]);
        draft.remind("name your proxies in `[server] trusted_proxies`; everybody is too many to believe");
    }
    if !bad.is_empty() {
        leave(settings, draft, Section::Server, "trusted-proxy-ip", "write IP addresses or blocks of them");
    }
}

fn is_block(text: &str) -> bool {
    let (address, bits) = text.split_once('/').unwrap_or((text, "0"));
    let widest = match address.parse::<std::net::IpAddr>() {
        Ok(address) if address.is_ipv4() => 32,
        Ok(_) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= widest) && text.parse::<crate::config::Cidr>().is_ok()
}

/// An address as `listen` takes it, of `:4180`, `http://0.0.0.0:4180` and the like.
fn address(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches("http://").trim_start_matches("https://").trim_end_matches('/');
    let text = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.replace("localhost:", "127.0.0.1:"),
    };
    text.parse::<std::net::SocketAddr>().ok().map(|address| address.to_string())
}

pub(super) fn session(settings: &Settings, draft: &mut Draft) {
    let written = settings.one("cookie-expire");
    let expire = written.as_deref().map_or(Some(168 * 3600), go_span);
    let Some(expire) = expire.filter(|seconds| *seconds > 0) else {
        return leave(
            settings,
            draft,
            Section::Session,
            "cookie-expire",
            "the usual 12h hold; write `max_age` in [session]",
        );
    };
    draft.text(Section::Session, "max_age", &span(expire));
    // As it was: it ends nothing that is idle. The usual hour is better, and stands beside it.
    draft.set(Section::Session, "idle", &format!("{} # better: \"1h\"", quoted(&span(expire))));
}

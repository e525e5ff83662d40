//! The forms of single values: spans, sizes, addresses, URLs. Each is read strictly; whatever is not exactly one of the
//! documented forms is a fault with the form in it.

use std::net::SocketAddr;
use std::time::Duration;

use url::Url;

use super::reader::Why;
use crate::apps::{CanonicalPath, Host, Origin, Prefix, Upstream};
use crate::identity::{Email, Issuer, is_loopback};

/// A span of time: a whole number and its unit, `90s`.
pub(super) fn duration(text: &str) -> Result<Duration, Why> {
    let (number, unit) =
        number_and_unit(text).ok_or("write a whole number and `ms`, `s`, `m`, `h` or `d`, like `30s`")?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err(Why(format!("`{text}` has no unit; write `{text}s`, `{text}m` or `{text}h`"))),
        _ => return Err(Why(format!("`{text}` is no span; write a whole number and `ms`, `s`, `m`, `h` or `d`"))),
    };
    let span = Duration::from_millis(number.saturating_mul(millis));
    if span.is_zero() {
        return Err(Why::from("it must be longer than zero"));
    }
    if span > LONGEST {
        return Err(Why::from("it must be at most `366d`"));
    }
    Ok(span)
}

/// A span of whole seconds.
pub(super) fn seconds(text: &str) -> Result<Duration, Why> {
    let span = duration(text)?;
    if span.subsec_nanos() > 0 {
        return Err(Why::from("it must be whole seconds"));
    }
    Ok(span)
}

/// A span of time, which may be none at all: `0s`.
pub(super) fn duration_or_none(text: &str) -> Result<Duration, Why> {
    if text == "0s" { Ok(Duration::ZERO) } else { duration(text) }
}

/// A span of time, or `never`.
pub(super) fn duration_or_never(text: &str) -> Result<Option<Duration>, Why> {
    if text == "never" { Ok(None) } else { duration(text).map(Some) }
}

/// A size in bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`.
pub(super) fn size(text: &str) -> Result<u64, Why> {
    let (number, unit) =
        number_and_unit(text).ok_or("write a whole number and `B`, `KiB`, `MiB` or `GiB`, like `100MiB`")?;
    let factor: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "" => return Err(Why(format!("`{text}` has no unit; write `{text}B` or `{text}MiB`"))),
        _ => return Err(Why(format!("`{text}` is no size; write a whole number and `B`, `KiB`, `MiB` or `GiB`"))),
    };
    number.checked_mul(factor).ok_or_else(|| Why::from("it is larger than any size"))
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

/// An address and port to listen on.
pub(super) fn socket(text: &str) -> Result<SocketAddr, Why> {
    text.parse().map_err(|_| Why(format!("`{text}` is no address with port; write `0.0.0.0:8080` or `[::]:8080`")))
}

/// An absolute URL of http or https with a host, and without user name and password.
pub(super) fn url(text: &str) -> Result<Url, Why> {
    let url = Url::parse(text).map_err(|_| Why::from("it is no absolute URL; write `https://host/…`"))?;
    // First, and without repeating the URL: there may be a password in it.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Why::from("there must be no user name and no password in the URL"));
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Why::from("it must start with `https://` and a host"));
    }
    Ok(url)
}

/// A URL that may be fetched: https, or http on this machine.
pub(super) fn secure_url(text: &str) -> Result<Url, Why> {
    let url = url(text)?;
    if url.scheme() == "http" && !url.host_str().is_some_and(is_loopback) {
        return Err(Why::from("it must be https (plain http only on loopback)"));
    }
    if url.fragment().is_some() {
        return Err(Why::from("it must have no fragment"));
    }
    Ok(url)
}

/// An issuer, byte for byte.
pub(super) fn issuer(text: &str) -> Result<Issuer, Why> {
    url(text)?;
    Issuer::parse(text).map_err(|invalid| Why(invalid.to_string()))
}

/// Where people reach an app: its origin, and the path it lives below.
pub(super) fn app_url(text: &str) -> Result<(Origin, Prefix), Why> {
    let url = secure_url(text)?;
    if url.query().is_some() {
        return Err(Why::from("it must have no query"));
    }
    let origin = Origin::of(&url).ok_or("it must start with `https://` and a host")?;
    let path = prefix(url.path())?;
    Ok((origin, path))
}

/// A server of an app: scheme, host and port, nothing else.
pub(super) fn upstream(text: &str) -> Result<Upstream, Why> {
    let url = url(text)?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(Why(format!(
            "an upstream is a scheme, a host and a port; write `{}` (paths reach the app unchanged)",
            url.origin().ascii_serialization()
        )));
    }
    let host = match url.host() {
        Some(url::Host::Domain(domain)) => domain.to_owned(),
        Some(url::Host::Ipv4(address)) => address.to_string(),
        Some(url::Host::Ipv6(address)) => address.to_string(),
        None => return Err(Why::from("it must start with `http://` or `https://` and a host")),
    };
    let port = url.port_or_known_default().filter(|port| *port > 0).ok_or("the port must not be 0")?;
    Ok(Upstream { host, port, tls: url.scheme() == "https" })
}

/// The start of a path, in the one form in which paths are compared.
pub(super) fn prefix(text: &str) -> Result<Prefix, Why> {
    if let Some(prefix) = Prefix::parse(text) {
        return Ok(prefix);
    }
    if text.contains(['*', '?', ';']) {
        return Err(Why::from("a path covers everything below it and has no wildcard, query or parameter"));
    }
    Err(Why(match CanonicalPath::parse(text) {
        Ok(path) => format!("paths are compared in their one form; write `{}`", path.as_str()),
        Err(bad) => format!("{bad}; write `/a/b`"),
    }))
}

/// A path to ask for, with leading slash.
pub(super) fn health_path(text: &str) -> Result<String, Why> {
    let plain = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains('#');
    if plain { Ok(text.to_owned()) } else { Err(Why::from("it must be a path in plain characters, like `/healthz`")) }
}

/// The origin of a page: `https://host`, with a port if it is not the usual one.
pub(super) fn origin(text: &str) -> Result<String, Why> {
    let url = url(text)?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(Why(format!("an origin has no path; write `{}`", url.origin().ascii_serialization())));
    }
    Ok(url.origin().ascii_serialization())
}

/// A host name, without port.
pub(super) fn host_name(text: &str) -> Result<String, Why> {
    let host = Host::parse(text).ok_or_else(|| Why(format!("`{text}` is no host name")))?;
    if host.as_str() == text.to_ascii_lowercase() {
        Ok(text.to_owned())
    } else {
        Err(Why(format!("write the host name only, `{}`", host.as_str())))
    }
}

/// The value of a `Host` header: a host name, with a port if need be.
pub(super) fn host_header(text: &str) -> Result<String, Why> {
    let host = Host::parse(text).ok_or_else(|| Why(format!("`{text}` is no host name")))?;
    if host.as_str().is_ascii() && text.is_ascii() {
        Ok(text.to_owned())
    } else {
        Err(Why(format!("write `{}`", host.as_str())))
    }
}

/// An e-mail address in the form in which addresses are compared.
pub(super) fn email(text: &str) -> Result<String, Why> {
    match Email::parse(text) {
        Some(email) => Ok(email.as_str().to_owned()),
        None => Err(Why(format!("`{text}` is no e-mail address"))),
    }
}

/// The whole domain of e-mail addresses, in lower case.
pub(super) fn email_domain(text: &str) -> Result<String, Why> {
    match Email::parse(&format!("x@{text}")) {
        Some(email) if !text.contains('@') => Ok(email.domain().to_owned()),
        Some(_) | None => {
            let bare = text.trim_start_matches(['@', '.', '*']);
            Err(Why(format!("write the whole domain without `@` and wildcard, `{bare}`")))
        }
    }
}

/// Any text with something in it.
pub(super) fn text(text: &str) -> Result<String, Why> {
    if text.trim().is_empty() { Err(Why::from("it is empty")) } else { Ok(text.to_owned()) }
}

/// The name of a cookie that an app sets (RFC 6265 §4.1.1).
pub(super) fn cookie_name(text: &str) -> Result<String, Why> {
    let token = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b);
    if text.is_empty() || !text.bytes().all(token) {
        return Err(Why(format!("`{text}` is no cookie name")));
    }
    if crate::session::OURS.iter().any(|ours| text.starts_with(ours)) {
        return Err(Why(format!("`{text}` is a cookie of the gateway's own")));
    }
    Ok(text.to_owned())
}

/// An OAuth scope (RFC 6749 §3.3).
pub(super) fn scope(text: &str) -> Result<String, Why> {
    let plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    if !text.is_empty() && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(Why(format!("`{text}` is no scope; write one scope per entry")))
    }
}

/// One of a few words, each with its value. Words of the design that this version does not know are told from typos.
pub(super) fn one_of<T: Clone>(choices: &[(&str, T)], later: &[&str]) -> impl Fn(&str) -> Result<T, Why> + use<T> {
    let choices: Vec<(String, T)> = choices.iter().map(|(word, value)| ((*word).to_owned(), value.clone())).collect();
    let later: Vec<String> = later.iter().map(|word| (*word).to_owned()).collect();
    move |text| {
        if let Some((_, value)) = choices.iter().find(|(word, _)| word == text) {
            return Ok(value.clone());
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let words = words.join(" or ");
        Err(Why(if later.iter().any(|word| word == text) {
            format!("\"{text}\" is not in this version; write {words}")
        } else {
            format!("\"{text}\"{NONE_OF_THEM}{words}")
        }))
    }
}

/// The words that a sentence of [`one_of`] names.
pub(super) fn choices_in(why: &str) -> Vec<String> {
    let Some((_, words)) = why.split_once(NONE_OF_THEM) else { return Vec::new() };
    words.split(" or ").map(|word| word.trim_matches('"').to_owned()).collect()
}

/// What people call a gateway.
pub(super) fn gateway_name(text: &str) -> Result<String, Why> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
        return Err(Why::from("a name has letters, digits, `-`, `_` and `.`, at most 64"));
    }
    Ok(text.to_owned())
}

const NONE_OF_THEM: &str = " is none of the choices; write ";
/// No session, no timeout, no retention goes beyond this: a longer one is a slip of the unit.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_whole_number_and_a_unit() {
        for (text, millis) in [
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("12h", Some(43_200_000)),
            ("366d", Some(31_622_400_000)),
            ("367d", None),
            ("0s", None),
            ("30", None),
            ("30 s", None),
            ("1.5h", None),
            ("-1s", None),
            ("1h30m", None),
            ("h", None),
            ("", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(duration(text).ok(), millis.map(Duration::from_millis), "`{text}`");
        }
    }

    #[test]
    fn a_size_is_a_whole_number_and_a_binary_unit() {
        for (text, bytes) in [
            ("0B", Some(0)),
            ("512B", Some(512)),
            ("64KiB", Some(65_536)),
            ("100MiB", Some(104_857_600)),
            ("2GiB", Some(2_147_483_648)),
            ("100MB", None),
            ("100", None),
            ("1.5MiB", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "`{text}`");
        }
    }

    #[test]
    fn an_upstream_is_scheme_host_and_port() {
        let ok = |host: &str, port, tls| Some(Upstream { host: host.into(), port, tls });
        for (text, expected) in [
            ("http://10.0.0.5:8080", ok("10.0.0.5", 8080, false)),
            ("http://10.0.0.5/", ok("10.0.0.5", 80, false)),
            ("https://App.internal", ok("app.internal", 443, true)),
            ("https://[::1]:8443", ok("::1", 8443, true)),
            ("http://a.internal/path", None),
            ("http://a.internal?x", None),
            ("http://user:pass@a.internal", None),
            ("unix:/run/app.sock", None),
            ("a.internal:80", None),
            ("http://a.internal:0", None),
        ] {
            assert_eq!(upstream(text).ok(), expected, "`{text}`");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        let Err(Why(why)) = upstream("http://user:hunter2@a.internal/x") else { panic!("it is a fault") };
        assert!(!why.contains("hunter2"), "{why}");
    }
}

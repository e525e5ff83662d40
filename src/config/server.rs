//! `[server]`, `[admin]`, `[ledger]`, `[session]`, `[audit]`, `[log]`, `[outbound]`: the gateway itself.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::reader::{At, Context, Reader, Why};
use super::values::{duration, duration_or_none, one_of, seconds, size, socket, text};
use super::{
    AdminSettings, AuditTo, Cidr, LedgerSettings, LogLevel, OutboundSettings, ServerSettings, Timeouts, TlsListener,
};
use crate::secret::Secret;
use crate::session;

/// `[server]`, and where its addresses stand.
pub(super) struct Server {
    pub(super) settings: ServerSettings,
    pub(super) listeners: Vec<At<SocketAddr>>,
}

/// `[admin]`, as far as it was readable.
pub(super) struct Admin {
    pub(super) listen: Option<At<SocketAddr>>,
    token: Option<Secret<String>>,
}

impl Admin {
    pub(super) fn settings(self) -> Option<AdminSettings> {
        Some(AdminSettings { listen: self.listen?.value, token: self.token? })
    }
}

pub(super) fn server(table: &Reader<'_>) -> Server {
    let mut listeners = table.list("listen", socket);
    let listen = listeners.iter().map(|at| at.value).collect();
    let tls = table.tables("tls", |entry| {
        let address = entry.require("listen", socket);
        let certificate = entry.certificate();
        let certificates = entry.tables("certificates", |more| more.certificate());
        listeners.extend(address.clone());
        Some(TlsListener { listen: address?.value, certificate: certificate?, certificates })
    });
    let none = |key| !table.has(key) || table.is_empty_list(key);
    if none("listen") && none("tls") {
        table.fault("listen", "there is nothing to listen on; write `listen = [\"0.0.0.0:8080\"]`");
    }
    let cidr = |text: &str| text.parse::<Cidr>().map_err(|invalid| Why(format!("`{text}`: {invalid}")));
    let trusted_proxies = table.list("trusted_proxies", cidr).into_iter().map(|at| at.value).collect();
    let timeouts = table.section("timeouts", |timeouts| {
        let shutdown = timeouts.or("shutdown", duration, Duration::from_secs(30));
        let lead = timeouts.parse("drain_lead", duration_or_none);
        if let Some(At { place, .. }) = lead.as_ref().filter(|lead| lead.value >= shutdown) {
            table.context().fault(place, "it must be shorter than `shutdown`, which ends what still runs");
        }
        Timeouts {
            header_read: timeouts.or("header_read", duration, Duration::from_secs(10)),
            body_read: timeouts.or("body_read", duration, Duration::from_secs(60)),
            keep_alive: timeouts.or("keep_alive", seconds, Duration::from_secs(60)),
            shutdown,
            drain_lead: lead.map(|lead| lead.value),
        }
    });
    let settings = ServerSettings {
        listen,
        tls,
        trusted_proxies,
        timeouts,
        max_header_bytes: table.or("max_header", header_size, 128 << 10),
        max_exchanges: table.number("max_exchanges", 1..=10_000_000).unwrap_or(20_000),
        threads: table.number("threads", 1..=1024),
    };
    Server { settings, listeners }
}

pub(super) fn admin(table: &Reader<'_>) -> Option<Admin> {
    let loopback = |text: &str| {
        let address = socket(text)?;
        if address.ip().is_loopback() {
            Ok(address)
        } else {
            Err(Why::from("it must be loopback, like `127.0.0.1:9090`"))
        }
    };
    let usual = At { value: SocketAddr::from(([127, 0, 0, 1], 9090)), place: table.at("listen") };
    let listen = if table.has("listen") { table.parse("listen", loopback) } else { Some(usual) };
    Some(Admin { listen, token: table.bearer("token", "token_file") })
}

pub(super) fn ledger(table: &Reader<'_>) -> Option<LedgerSettings> {
    let usual = crate::intake::Settings::default().max_subjects;
    // Fewer would be reached by an afternoon's sign-outs.
    let max_subjects = table.number("max_subjects", 100..=1_000_000_000).unwrap_or(usual);
    let path = table.require("path", text)?;
    Some(LedgerSettings { path: table.context().path(&path.value), max_subjects })
}

pub(super) fn session(table: &Reader<'_>) -> session::Settings {
    let max_age = table.or("max_age", seconds, Duration::from_secs(12 * 3600));
    let idle = table.parse("idle", seconds);
    if let Some(At { place, .. }) = idle.as_ref().filter(|idle| idle.value > max_age) {
        table.context().fault(place, "it is longer than `max_age`: it would never end a session");
    }
    // A short maximum alone is no contradiction: the usual idle limit gives way.
    session::Settings { max_age, idle: idle.map_or_else(|| max_age.min(Duration::from_secs(3600)), |at| at.value) }
}

pub(super) fn audit(table: &Reader<'_>) -> AuditTo {
    let to = |word: &str| {
        Ok(match word {
            "stdout" => AuditTo::Stdout,
            "off" => AuditTo::Off,
            // A path has a slash or a dot, so that a slip of one of the two words makes no file.
            path if path.contains(['/', '.']) => AuditTo::File(table.context().path(path)),
            _ => return Err(Why(format!("\"{word}\" is neither \"stdout\" nor \"off\" nor a path like `./{word}`"))),
        })
    };
    table.or("to", to, AuditTo::Stdout)
}

/// Whether targets are shown as they are, in the audit log and in outcomes.
pub(super) fn shows_targets(table: &Reader<'_>) -> bool {
    table.or("targets", one_of(&[("hashed", false), ("clear", true)], &[]), false)
}

pub(super) fn log(table: &Reader<'_>) -> LogLevel {
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    table.or("level", one_of(&levels.map(|level| (level.word(), level)), &[]), LogLevel::Info)
}

pub(super) fn outbound(table: &Reader<'_>) -> OutboundSettings {
    OutboundSettings {
        connect_timeout: table.or("connect_timeout", duration, Duration::from_secs(5)),
        timeout: table.or("timeout", duration, Duration::from_secs(10)),
        extra_ca_pem: table.authorities("extra_ca_file").map(|at| at.value),
    }
}

/// Two listeners on one address: the second could not start. Port 0 means any, so it is never the same.
pub(super) fn report_listening_twice<'a>(context: &Context<'_>, listeners: impl Iterator<Item = &'a At<SocketAddr>>) {
    let mut seen: HashMap<SocketAddr, &str> = HashMap::new();
    for At { value: address, place } in listeners.filter(|at| at.value.port() != 0) {
        if let Some(first) = seen.get(address) {
            context.fault(place, format!("`{first}` listens on `{address}` already"));
        } else {
            seen.insert(*address, &place.key);
        }
    }
}

/// The size of a header block: enough for a browser's cookies, within what the engine can take.
fn header_size(text: &str) -> Result<usize, Why> {
    let bytes = usize::try_from(size(text)?).unwrap_or(usize::MAX);
    if (4096..=1 << 20).contains(&bytes) { Ok(bytes) } else { Err(Why::from("it must be between `4KiB` and `1MiB`")) }
}

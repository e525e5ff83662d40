//! `portcullis check`: the config as it was understood.

use super::table::{columns, count, table};
use crate::apps::App;
use crate::config::{AuditTo, Config, Delivery, StreamSettings};
use crate::event::Type;
use crate::policy::by_default;

/// What the config means, in a few tables.
pub(super) fn summary(config: &Config) -> String {
    let apps = sorted(config);
    let mut out = format!(
        "ok: {}, {}, {}\n\n",
        count(apps.len(), "app"),
        count(config.idps.len(), "IdP"),
        count(config.streams.len(), "stream")
    );
    let plain = config.server.listen.iter().map(ToString::to_string);
    let tls = config.server.tls.iter().map(|tls| format!("{} (TLS)", tls.listen));
    let spans = format!("{} at most, {} idle", span(config.session.max_age), span(config.session.idle));
    let audit = match &config.audit {
        AuditTo::Stdout => "to standard output".to_owned(),
        AuditTo::Off => "off".to_owned(),
        AuditTo::File(path) => format!("to {}", path.display()),
    };
    out.push_str(&columns(&[
        ["listen".to_owned(), plain.chain(tls).collect::<Vec<_>>().join(", ")],
        ["admin".to_owned(), config.admin.listen.to_string()],
        ["sessions".to_owned(), spans],
        ["ledger".to_owned(), config.ledger.path.display().to_string()],
        ["audit".to_owned(), audit],
    ]));
    let rows = apps.iter().map(|app| {
        let upstreams: Vec<_> =
            app.upstreams.iter().map(upstream).chain(app.built_in.map(|of| of.word().to_owned())).collect();
        [app.name.clone(), app.place(), app.idp.clone(), app.access.words(&app.allow), upstreams.join(", ")]
    });
    out.push_str(&table(["app", "url", "idp", "who gets in", "upstreams"], rows.collect()));
    let rows = apps.iter().flat_map(|app| {
        app.rules.iter().map(|rule| [app.name.clone(), rule.path.as_str().to_owned(), rule.access.words(&rule.allow)])
    });
    out.push_str(&table(["rule of", "path", "who gets in"], rows.collect()));
    let rows = config.idps.values().map(|idp| {
        let learns = [&idp.claims.device, &idp.claims.tenant].into_iter().chain(&idp.kept_claims).cloned();
        let learns = [&idp.claims.email, &idp.claims.groups].into_iter().cloned().chain(learns);
        [idp.name.clone(), idp.issuer.to_string(), idp.client_id.clone(), learns.collect::<Vec<_>>().join(", ")]
    });
    out.push_str(&table(["idp", "issuer", "client", "claims"], rows.collect()));
    let rows = config.streams.values().map(|stream| {
        let delivery = match stream.delivery {
            Delivery::Push { .. } => "push",
            Delivery::Poll { .. } => "poll",
        };
        [
            stream.name.clone(),
            stream.issuer.to_string(),
            delivery.to_owned(),
            stream.speaks_for.join(", "),
            stream.widest.word().to_owned(),
            session_revoked(stream),
        ]
    });
    out.push_str(&table(["stream", "issuer", "by", "speaks for", "widest", "session-revoked"], rows.collect()));
    out
}

/// What a stream's `session-revoked` does.
fn session_revoked(stream: &StreamSettings) -> String {
    let of = Type::SessionRevoked;
    stream.rules.said(&of).unwrap_or_else(|| by_default(&of)).word().to_owned()
}

/// Every app, by name.
pub(super) fn sorted(config: &Config) -> Vec<&App> {
    let mut apps: Vec<&App> = config.apps.iter().map(AsRef::as_ref).collect();
    apps.sort_by(|a, b| a.name.cmp(&b.name));
    apps
}

fn upstream(upstream: &crate::apps::Upstream) -> String {
    let scheme = if upstream.tls { "https" } else { "http" };
    let host = if upstream.host.contains(':') { format!("[{}]", upstream.host) } else { upstream.host.clone() };
    format!("{scheme}://{host}:{}", upstream.port)
}

/// A span in the largest unit that divides it, as it would be written in the config.
fn span(span: std::time::Duration) -> String {
    let seconds = span.as_secs();
    let (unit, size) = [("d", 86_400), ("h", 3600), ("m", 60)]
        .into_iter()
        .find(|(_, size)| seconds >= *size && seconds.is_multiple_of(*size))
        .unwrap_or(("s", 1));
    format!("{}{unit}", seconds / size)
}

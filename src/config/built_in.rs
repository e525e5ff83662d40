//! `upstreams = ["builtin:console"]`: an app that the gateway answers for itself.

use std::time::Duration;

use super::reader::{At, Place, Reader, Why};
use super::values::{duration, upstream};
use crate::apps::{Access, Allow, BuiltIn, Origin, Prefix, Upstream};

/// What the console is called in `upstreams`.
const CONSOLE: &str = "builtin:console";
/// Keys of an app that mean nothing to the console, or would let it be driven by somebody who did not sign in.
const OF_SERVERS: [&str; 11] = [
    "upstream",
    "rules",
    "bearer",
    "derived",
    "headers",
    "max_body",
    "websocket_origins",
    "learn",
    "session_cookies",
    "realm",
    "logout_paths",
];
/// How long a sign-in counts as fresh: one minute is hardly enough to write a reason, after an hour it is an old one.
const FRESH: std::ops::RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(60 * 60);

/// What stands in `upstreams`.
enum Server {
    Own(Upstream),
    Console,
}

/// The servers in `upstreams`, and where the console stands among them, if it does.
pub(super) fn servers(table: &Reader<'_>) -> (Vec<At<Upstream>>, Option<Place>) {
    let listed = table.list("upstreams", |text| match text {
        CONSOLE => Ok(Server::Console),
        other if other.starts_with("builtin:") => {
            Err(Why(format!("there is no `{other}`; what is built in is \"{CONSOLE}\"")))
        }
        other => upstream(other).map(Server::Own),
    });
    let several = listed.len() > 1;
    let (mut own, mut console) = (Vec::new(), None);
    for At { value, place } in listed {
        match value {
            Server::Own(upstream) => own.push(At { value: upstream, place }),
            Server::Console => console = Some(place),
        }
    }
    if let Some(place) = console.as_ref().filter(|_| several) {
        table.context().fault(place, "the console is no server among others; give it an app of its own");
    }
    (own, console)
}

/// The console, and what its app must not have.
pub(super) fn console(
    table: &Reader<'_>,
    listed: Option<&Place>,
    url: Option<&At<(Origin, Prefix)>>,
    access: Access,
    allow: &Allow,
) -> Option<BuiltIn> {
    let fresh_for = table.parse("fresh_for", |text| match duration(text)? {
        span if FRESH.contains(&span) => Ok(span),
        _ => Err(Why::from("it must be between \"1m\" and \"1h\"")),
    });
    let context = table.context();
    let Some(place) = listed else {
        if let Some(At { place, .. }) = fresh_for {
            context.fault(&place, format!("only the console (`upstreams = [\"{CONSOLE}\"]`) asks for a fresh sign-in"));
        }
        return None;
    };
    if access != Access::Login {
        let why = "whoever operates the console must have signed in; drop `access`";
        context.fault(&table.at("access"), why);
    }
    if allow.groups.is_empty() && allow.emails.is_empty() && allow.claims.is_empty() {
        let at = table.at("allow");
        let why =
            "the console can end everybody's sessions: say who operates it, `allow = { groups = [\"operators\"] }`";
        context.fault(if table.has("allow") { &at } else { place }, why);
    }
    for key in OF_SERVERS.into_iter().filter(|key| table.has(key)) {
        context.fault(&table.at(key), "the console has no use for it: it runs in the gateway; drop it");
    }
    if let Some(At { place, .. }) = url.filter(|url| url.value.1.as_str() != "/") {
        context.fault(place, "the console lives at `/` of a host of its own; drop the path");
    }
    let fresh_for = fresh_for.map_or(Duration::from_secs(5 * 60), |at| at.value);
    Some(BuiltIn::Console { fresh_for })
}

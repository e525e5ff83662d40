//! `[streams.NAME]`: who may say that it is over, and for whom.

use super::events;
use super::faults::did_you_mean;
use super::manage;
use super::reader::{At, Reader, Why};
use super::values::{email_domain, issuer, one_of, secure_url, text};
use super::{Delivery, StreamSettings};
use crate::event::Preset;
use crate::identity::TargetKind;
use crate::policy::{Bounds, Widest};

/// People that a stream may revoke in a minute where the config says nothing: more than leave a company on its worst day,
/// and not everybody.
const USERS_PER_MINUTE: usize = 1_000;

/// Every stream, by name; `None` for one that has a fault.
pub(super) fn streams(
    file: &Reader<'_>,
    idps: &[&str],
    apps: Option<&[&str]>,
) -> Vec<Option<(String, StreamSettings)>> {
    file.named("streams", |name, table| stream(name, table, idps, apps))
        .into_iter()
        .map(|At { value: (name, stream), .. }| Some((name, stream?)))
        .collect()
}

fn stream(name: &str, table: &Reader<'_>, idps: &[&str], apps: Option<&[&str]>) -> Option<StreamSettings> {
    let issuer = table.require("issuer", issuer);
    let audience: Vec<_> = table.one_or_many("audience", text).into_iter().map(|at| at.value).collect();
    if !table.has("audience") {
        table.fault("audience", "it is missing: events for others would count");
    } else if table.is_empty_list("audience") {
        table.fault("audience", "it names nobody: no event would count");
    }
    let preset = table.or("preset", one_of(&Preset::ALL.map(|preset| (preset.word(), preset)), &[]), Preset::Strict);
    let delivery = delivery(table, preset);
    let polled = matches!(delivery, Some(Delivery::Poll { .. }));
    let (rules, allowed_events) = (events::rules(table), events::allowed(table));
    let manage = manage::manage(name, table, delivery.as_ref(), &rules.acts_on(allowed_events.as_deref()));
    let watch = manage::watch(table, polled);
    let metadata_url = table.parse("metadata_url", secure_url).map(|at| at.value);
    let jwks_uri = table.parse("jwks_uri", secure_url).map(|at| at.value);
    let speaks_for: Vec<_> =
        table.list("speaks_for", |idp| known_idp(idp, idps)).into_iter().map(|at| at.value).collect();
    if !table.has("speaks_for") {
        table.fault("speaks_for", "it is missing; it lists the IdPs whose people the stream may revoke");
    } else if table.is_empty_list("speaks_for") {
        table.fault("speaks_for", "the list is empty: the stream could revoke nobody");
    }
    let widest = [Widest::User, Widest::Group, Widest::Tenant, Widest::Everyone].map(|widest| (widest.word(), widest));
    let widest = table.or("widest", one_of(&widest, &[]), Widest::User);
    let external_ids = [("user", TargetKind::User), ("email", TargetKind::Email)];
    let scim_external_id = table.or("scim_external_id", one_of(&external_ids, &[]), TargetKind::User);
    let subject_issuers = subject_issuers(table, &speaks_for);
    let bounds = bounds(table, apps);
    let critical_members = table.list("critical_members", text).into_iter().map(|at| at.value).collect();
    // A fault in its management is one of the stream. Every key was looked at by now.
    if table.has("manage") && manage.is_none() {
        return None;
    }
    Some(StreamSettings {
        name: name.to_owned(),
        issuer: issuer?.value,
        audience,
        delivery: delivery?,
        jwks_uri,
        speaks_for,
        widest,
        bounds,
        rules,
        allowed_events,
        critical_members,
        scim_external_id,
        preset,
        subject_issuers,
        metadata_url,
        manage,
        watch,
    })
}

/// Issuers as subjects name them, each with the IdPs whose people are meant.
fn subject_issuers(table: &Reader<'_>, speaks_for: &[String]) -> Vec<(String, Vec<String>)> {
    let meant = |idp: &str| {
        let known = speaks_for.iter().any(|name| name == idp).then(|| idp.to_owned());
        known.ok_or_else(|| Why(format!("\"{idp}\" is not in `speaks_for`; an IdP there is what can be meant")))
    };
    table.by_name("subject_issuers", |named| issuer(named).map(drop), meant)
}

fn bounds(table: &Reader<'_>, apps: Option<&[&str]>) -> Bounds {
    let texts = |key, parse: fn(&str) -> Result<String, Why>| {
        if table.is_empty_list(key) {
            table.fault(key, "the list is empty: the stream could revoke nobody; remove it for no bound");
        }
        table.list(key, parse).into_iter().map(|at| at.value).collect()
    };
    let known_app = |name: &str| match apps {
        Some(apps) => known(name, "apps", apps),
        None => Ok(name.to_owned()),
    };
    if table.is_empty_list("apps") {
        table.fault("apps", "the list is empty: the stream would count nowhere; remove it for every app");
    }
    Bounds {
        email_domains: texts("email_domains", email_domain),
        tenants: texts("tenants", text),
        apps: table.list("apps", known_app).into_iter().map(|at| at.value).collect(),
        users_per_minute: Some(table.number("users_per_minute", 1..=1_000_000).unwrap_or(USERS_PER_MINUTE)),
    }
}

fn delivery(table: &Reader<'_>, preset: Preset) -> Option<Delivery> {
    let polled = table.or("delivery", one_of(&[("push", false), ("poll", true)], &[]), false);
    let (ours, other): (_, &[&str]) = if polled {
        ("poll", &["push_token", "push_token_file"])
    } else {
        ("push", &["poll_url", "poll_token", "poll_token_file"])
    };
    for key in other.iter().filter(|key| table.has(key)) {
        table.fault(key, &format!("it is of no use where `delivery` is \"{ours}\"; remove it or change `delivery`"));
    }
    if !polled {
        let given = table.has("push_token") || table.has("push_token_file");
        if preset.quirks().pushes_without_token && !given {
            return Some(Delivery::Push { token: None });
        }
        return Some(Delivery::Push { token: Some(table.bearer("push_token", "push_token_file")?) });
    }
    // A stream that is managed is polled where the transmitter says, with what its management presents.
    let managed = table.has("manage");
    if managed {
        if table.has("poll_url") {
            table.fault("poll_url", "the transmitter says where a stream is that `manage` makes; drop it");
            return None;
        }
        let own = table.has("poll_token") || table.has("poll_token_file");
        let token = if own { Some(table.presented("poll_token", "poll_token_file")?) } else { None };
        return Some(Delivery::Poll { url: None, token });
    }
    if !table.has("poll_url") {
        table.fault("poll_url", "it is missing; it is the `endpoint_url` that the transmitter gave the stream");
    }
    let url = table.parse("poll_url", secure_url);
    let token = table.presented("poll_token", "poll_token_file");
    Some(Delivery::Poll { url: Some(url?.value), token: Some(token?) })
}

/// The name of an IdP that the file has.
pub(super) fn known_idp(name: &str, idps: &[&str]) -> Result<String, Why> {
    known(name, "idps", idps)
}

fn known(name: &str, section: &str, names: &[&str]) -> Result<String, Why> {
    if names.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(Why(match did_you_mean(name, names.iter().copied()) {
        Some(meant) => format!("there is no [{section}.{name}]; did you mean \"{meant}\"?"),
        None => format!("there is no [{section}.{name}]"),
    }))
}

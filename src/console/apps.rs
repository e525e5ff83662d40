//! The apps, as the gateway understood their config, and what it learned of them.

use serde::Serialize;

use crate::apps::{Access, Allow, App, Asked, CanonicalPath};
use crate::endpoint::Parts;

/// An app.
#[derive(Serialize)]
pub(super) struct AppShown {
    name: String,
    url: String,
    idp: String,
    built_in: bool,
    access: &'static str,
    admits: String,
    rules: Vec<RuleShown>,
    when_blind: &'static str,
    blind: bool,
    /// Cookies that are sealed because the app hid them from scripts.
    learned: Vec<String>,
    /// Cookies that the config names.
    session_cookies: Vec<String>,
    learns: bool,
    makes_tokens: bool,
    sign_out: bool,
}

/// A part with a rule of its own.
#[derive(Serialize)]
struct RuleShown {
    path: String,
    access: &'static str,
    admits: String,
}

/// Every app, by name.
pub(super) fn all(parts: &Parts) -> Vec<AppShown> {
    let mut apps: Vec<_> = parts.apps.iter().map(|app| shown(app, parts)).collect();
    apps.sort_by(|a, b| a.name.cmp(&b.name));
    apps
}

fn shown(app: &App, parts: &Parts) -> AppShown {
    AppShown {
        name: app.name.clone(),
        url: app.place(),
        idp: app.idp.clone(),
        built_in: app.built_in.is_some(),
        access: access(app.access),
        admits: app.allow.to_string(),
        rules: app
            .rules
            .iter()
            .map(|rule| RuleShown {
                path: rule.path.as_str().to_owned(),
                access: access(rule.access),
                admits: joint(app, rule.path.as_str()),
            })
            .collect(),
        when_blind: app.when_blind.word(),
        blind: parts.sight.is_blind(app.key),
        learned: parts.names.of(app),
        session_cookies: app.session_cookies.clone(),
        learns: app.learn,
        makes_tokens: app.minting.is_some(),
        sign_out: !app.logout_paths.is_empty(),
    }
}

/// Whom the app and its rules admit together at `path`.
fn joint(app: &App, path: &str) -> String {
    let Ok(path) = CanonicalPath::parse(path) else { return String::new() };
    match app.asks(&path) {
        Asked::Public => "everybody".to_owned(),
        Asked::Person { allows, .. } => {
            let all: Vec<_> =
                allows.into_iter().filter(|allow| **allow != Allow::default()).map(Allow::to_string).collect();
            if all.is_empty() { Allow::default().to_string() } else { all.join("; and ") }
        }
    }
}

const fn access(access: Access) -> &'static str {
    match access {
        Access::Login => "login",
        Access::Bearer => "token",
        Access::Either => "login or token",
        Access::Public => "public",
    }
}

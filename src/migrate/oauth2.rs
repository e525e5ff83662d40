//! What oauth2-proxy's options mean, in our config.

mod gateway;
mod idp;

use url::Url;

use super::Left;
use super::draft::{AppDraft, Draft, IDP, Section};
use super::options::{Fate, Kind, option};
use super::read::{Setting, Settings};
use super::routes::public_path;
use super::words::{domain, is_loopback, list, name_of, origin, plain_path, quoted, web_url, yes};

/// Writes all of it.
pub(super) fn translate(settings: &Settings, url: Option<&str>, draft: &mut Draft) {
    gateway::server(settings, draft);
    gateway::session(settings, draft);
    idp::idp(settings, draft);
    common(settings, draft);
    if let Some(base) = base(settings, url, draft) {
        apps(settings, &base, draft);
    }
    for setting in settings.iter() {
        if let Some(why) = no_like(setting) {
            let section = section_of(&setting.name);
            draft.leave(section, Left { option: setting.name.clone(), place: setting.place.clone(), why });
        }
    }
}

/// Why an option is left out; `None` for one that is translated, or need not be.
fn no_like(setting: &Setting) -> Option<String> {
    let Some(known) = option(&setting.name) else {
        return Some("oauth2-proxy's documents know no such option, or it has no like here".to_owned());
    };
    let off = known.kind == Kind::Switch && !setting.values.last().is_none_or(|value| yes(value));
    match known.fate {
        Fate::Not(why) if !off && setting.values.iter().any(|value| !value.is_empty()) => Some(why.to_owned()),
        Fate::Not(_) | Fate::Read | Fate::Needless(_) => None,
    }
}

fn section_of(option: &str) -> Section {
    const SERVER: [&str; 9] =
        ["tls-", "metrics-", "real-", "ping-", "trusted-", "force-https", "banner", "footer", "custom-"];
    const IDP: [&str; 14] = [
        "acr-",
        "auth-request-",
        "azure-",
        "entra-",
        "bitbucket-",
        "github-",
        "gitlab-",
        "google-",
        "insecure-oidc",
        "jwt-",
        "oidc-",
        "skip-oidc",
        "pubjwk",
        "resource",
    ];
    let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| option.starts_with(prefix));
    if is(&SERVER) {
        Section::Server
    } else if is(&IDP) || option.starts_with("providers") || option == "allowed-role" || option == "backend-logout-url"
    {
        Section::Idp
    } else {
        Section::App
    }
}

fn leave(settings: &Settings, draft: &mut Draft, section: Section, name: &str, why: &str) {
    let place = settings.iter().find(|setting| setting.name == name).map(|s| s.place.clone()).unwrap_or_default();
    draft.leave(section, Left { option: name.to_owned(), place, why: why.to_owned() });
}

/// What people type, without path.
fn base(settings: &Settings, url: Option<&str>, draft: &mut Draft) -> Option<Url> {
    let redirect = settings.one("redirect-url");
    let said = url.map(str::to_owned).or_else(|| redirect.clone()).as_deref().and_then(web_url);
    let mut base = said.or_else(|| {
        leave(
            settings,
            draft,
            Section::App,
            "redirect-url",
            "it names no host: write what people type into `url`, or run this again with `--url https://…`",
        );
        web_url("https://app.example.com")
    });
    if let Some(url) = &mut base
        && url.scheme() == "http"
        && !is_loopback(url)
        && url.set_scheme("https").is_ok()
    {
        leave(
            settings,
            draft,
            Section::App,
            "redirect-url",
            "plain http on a host that is not loopback: `url` stands here with https; listen with TLS (`[server] tls`), or behind a balancer that does",
        );
    }
    let base = base?;
    let callback = format!("{}/oauth2/callback", origin(&base));
    if redirect.as_deref().and_then(web_url).is_none_or(|url| url.as_str() != callback) {
        draft.remind(format!("register the redirect URI {callback} at the IdP"));
    }
    if settings.one("proxy-prefix").is_some_and(|prefix| prefix.trim_matches('/') != "oauth2") {
        leave(settings, draft, Section::App, "proxy-prefix", "our own paths begin with `/oauth2`, always");
    }
    Some(base)
}

/// What holds for every app.
fn common(settings: &Settings, draft: &mut Draft) {
    let names = settings.is_on("pass-user-headers", true) || settings.is_on("pass-basic-auth", true);
    draft.text(Section::App, "headers", if names { "forwarded" } else { "none" });
    let mut allow = Vec::new();
    let groups = ["allowed-group", "keycloak-group", "gitlab-group"].iter().flat_map(|option| settings.all(option));
    let groups: Vec<_> = groups.collect();
    if !groups.is_empty() {
        allow.push(format!("groups = {}", list(&groups)));
    }
    let domains = settings.all("email-domain");
    let everybody = domains.iter().any(|domain| domain == "*");
    let whole: Vec<_> = domains.iter().filter_map(|text| domain(text)).collect();
    if !everybody && !whole.is_empty() {
        allow.push(format!("email_domains = {}", list(&whole)));
    }
    if !everybody && whole.len() < domains.len() {
        leave(
            settings,
            draft,
            Section::App,
            "email-domain",
            "write each domain in full: there is no wildcard for those below one",
        );
    }
    if domains.is_empty() || (!everybody && whole.is_empty()) {
        // Nobody got in by their address: that must not become everybody.
        allow.push("emails = [\"nobody@invalid.example\"]".to_owned());
        draft.remind("say in `allow` who gets in: no e-mail domain was named, and so nobody does");
    }
    if !allow.is_empty() {
        draft.set(Section::App, "allow", &format!("{{ {} }}", allow.join(", ")));
    }
    if settings.is_on("skip-jwt-bearer-tokens", false) {
        let client = settings.one("client-id").unwrap_or_else(|| "portcullis".to_owned());
        let audiences: Vec<_> = std::iter::once(client).chain(settings.all("oidc-extra-audience")).collect();
        draft.text(Section::App, "access", "either");
        let bearer = format!("{{ audience = {} }}", list(&audiences));
        draft.set(Section::App, "bearer", &bearer);
        draft.remind("programs must bear access tokens: an ID token is not taken for one");
    }
    if settings.is_on("set-xauthrequest", false) {
        draft.remind("X-Auth-Request-* are in the answers of /oauth2/auth and /oauth2/auth/nginx (deploy/nginx), and in no other");
    }
    if !settings.is_on("proxy-websockets", true) {
        leave(
            settings,
            draft,
            Section::App,
            "proxy-websockets",
            "WebSockets are passed on, with a session and from the app's own pages only",
        );
    }
}

/// The paths that were open to everybody.
fn public_paths(settings: &Settings, draft: &mut Draft) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for option in ["skip-auth-route", "skip-auth-regex"] {
        for route in settings.all(option) {
            match public_path(&route) {
                Ok(path) if !paths.contains(&path) => paths.push(path),
                Ok(_) => {}
                Err(why) => leave(settings, draft, Section::App, option, &format!("`{route}`: {why}")),
            }
        }
    }
    paths
}

/// Those of them that are the app's at `place`.
fn rules(paths: &[String], place: &str) -> Option<String> {
    let below = |path: &&String| {
        place == "/" || path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let rule = |path: &String| format!("{{ path = {}, access = \"public\" }}", quoted(path));
    let rules: Vec<_> = paths.iter().filter(below).map(rule).collect();
    (!rules.is_empty()).then(|| format!("rules = [{}]", rules.join(", ")))
}

fn apps(settings: &Settings, base: &Url, draft: &mut Draft) {
    let host = base.host_str().unwrap_or_default();
    let first = host.split('.').next().unwrap_or_default();
    let public = public_paths(settings, draft);
    let mut places: Vec<String> = Vec::new();
    for upstream in settings.all("upstream") {
        let (server, path) = match web_url(&upstream) {
            Some(url) => (origin(&url), url.path().to_owned()),
            None if upstream.starts_with("static://") => {
                draft.remind("nothing is served from here: the proxy in front asks /oauth2/auth (deploy/nginx); `upstreams` is never called");
                ("http://127.0.0.1:9".to_owned(), "/".to_owned())
            }
            None => {
                leave(
                    settings,
                    draft,
                    Section::App,
                    "upstream",
                    "an upstream is an http or https server: files and sockets need one in front of them",
                );
                continue;
            }
        };
        let Some(path) = plain_path(&path) else {
            leave(
                settings,
                draft,
                Section::App,
                "upstream",
                "its path is none that an app can have: write letters, digits and `/`",
            );
            continue;
        };
        if places.contains(&path) {
            leave(
                settings,
                draft,
                Section::App,
                "upstream",
                "another one has the same path: add it to that app's `upstreams`",
            );
            continue;
        }
        let url = if path == "/" { origin(base) } else { format!("{}{path}", origin(base)) };
        let name = if path == "/" { name_of(first, "app") } else { name_of(&path, "app") };
        let mut app = AppDraft { name, lines: Vec::new() };
        app.lines.push(format!("url = {}", quoted(&url)));
        app.lines.push(format!("upstreams = {}", list(std::slice::from_ref(&server))));
        app.lines.push(format!("idp = {}", quoted(IDP)));
        app.lines.extend(transport(settings, &server));
        app.lines.extend(rules(&public, &path));
        places.push(path);
        draft.app(app);
    }
    if places.is_empty() {
        leave(settings, draft, Section::App, "upstream", "there is none that could be an app: write where the app is");
        let lines = [("url", origin(base)), ("idp", IDP.to_owned())];
        let mut lines: Vec<_> = lines.iter().map(|(key, text)| format!("{key} = {}", quoted(text))).collect();
        lines.push("upstreams = [\"http://127.0.0.1:8080\"]".to_owned());
        draft.app(AppDraft { name: name_of(first, "app"), lines });
    }
}

fn transport(settings: &Settings, server: &str) -> Option<String> {
    let mut keys = Vec::new();
    if !settings.is_on("pass-host-header", true) {
        let host = server.split_once("://").map_or(server, |(_, host)| host);
        keys.push(format!("host_header = {}", quoted(host)));
    }
    if settings.is_on("disable-keep-alives", false) {
        keys.push("pool = false".to_owned());
    }
    (!keys.is_empty()).then(|| format!("upstream = {{ {} }}", keys.join(", ")))
}

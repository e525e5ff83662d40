//! `[apps.NAME]`: what stands behind the gateway, and who gets in.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::reader::{At, Context, Place, Reader, Why, plain_name};
use super::realms::{self, Realms};
use super::streams::known_idp;
use super::values::{
    app_url, cookie_name, duration, duration_or_never, email, email_domain, health_path, host_header, host_name,
    one_of, origin, prefix, size,
};
use super::{IdpSettings, built_in, tokens};
use crate::apps::{
    Access, Allow, App, BuiltIn, CanonicalPath, HeaderProfile, Host, LogoutPath, Origin, Prefix, Rule, Transport,
    Upstream, WhenBlind,
};
use crate::identity::AppKey;

/// Every app; `None` for one that has a fault.
pub(super) fn apps(file: &Reader<'_>, idps: &[(String, Option<IdpSettings>)]) -> Vec<Option<App>> {
    let mut places = Places::default();
    let apps = file.named("apps", |name, table| app(name, table, idps, &mut places));
    if apps.is_empty() {
        file.fault("apps", "there is no app; write `[apps.NAME]` with `url`, `upstreams` and `idp`");
    }
    places.realms.check(file.context());
    let mut apps: Vec<_> = apps.into_iter().map(|at| at.value.1).collect();
    realms::share_names(&mut apps);
    apps
}

/// The claims that access rules ask for, by the name of the IdP that has to give them.
pub(super) fn claims_by_idp<'a>(apps: impl Iterator<Item = &'a App>) -> BTreeMap<String, Vec<String>> {
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for app in apps {
        let allows = std::iter::once(&app.allow).chain(app.rules.iter().map(|rule| &rule.allow));
        names.entry(app.idp.clone()).or_default().extend(allows.flat_map(|allow| allow.claims.keys().cloned()));
    }
    names.into_iter().map(|(idp, claims)| (idp, claims.into_iter().collect())).collect()
}

fn app(name: &str, table: &Reader<'_>, idps: &[(String, Option<IdpSettings>)], places: &mut Places) -> Option<App> {
    let context = table.context();
    let idp_names: Vec<&str> = idps.iter().map(|(name, _)| name.as_str()).collect();
    let url = table.require("url", app_url);
    let (upstreams, console) = upstreams(table);
    let transport = table.section("upstream", |table| transport(table, &upstreams));
    let idp = table.require("idp", |idp| known_idp(idp, &idp_names));
    let access = access(table);
    let allow = table.section("allow", allow);
    let rules = rules(table, url.as_ref().map(|at| &at.value.1));
    let settings = idp.as_ref().and_then(|at| idps.iter().find(|(name, _)| *name == at.value)?.1.as_ref());
    let bearer = tokens::bearer(table, settings);
    tokens::report_contradictions(table, access, &rules);
    let login_somewhere = access != Access::Public || rules.iter().any(|rule| rule.access != Access::Public);
    if allow != Allow::default() && !login_somewhere {
        context.fault(&table.at("allow"), "the app is public: nobody would be asked; drop `allow` or `access`");
    }
    let built_in = built_in::console(table, console.as_ref(), url.as_ref(), access, &allow);
    if let (Some(url), Some(idp)) = (&url, &idp) {
        places.add(context, name, (&url.value, built_in), &url.place, idp);
    }
    let headers = [
        ("forwarded", HeaderProfile::Forwarded),
        ("remote", HeaderProfile::Remote),
        ("x-remote", HeaderProfile::XRemote),
        ("none", HeaderProfile::Silent),
    ];
    let headers = table.or("headers", one_of(&headers, &[]), HeaderProfile::Forwarded);
    let max_body = table.or("max_body", size, 100 << 20);
    let websocket_origins = values(table.list("websocket_origins", origin));
    let learn = table.flag("learn", true);
    let session_cookies = values(table.list("session_cookies", cookie_name));
    if !learn && !session_cookies.is_empty() {
        context.fault(&table.at("session_cookies"), "nothing is sealed with `learn = false`; drop one of the two");
    }
    let realm = table.parse("realm", |text| plain_name(text).map(|()| text.to_owned()));
    let realm_name = realm.as_ref().map_or(name, |at| at.value.as_str()).to_owned();
    if let Some(idp) = &idp {
        places.realms.add(name, realm, idp, (!learn).then(|| table.at("learn")));
    }
    let logout_paths = logout_paths(table, url.as_ref().map(|at| &at.value.1));
    let choices = WhenBlind::ALL.map(|when| (when.word(), when));
    let when_blind = table.or("when_blind", one_of(&choices, &[]), WhenBlind::default());
    let minting = super::minting::minting(table);
    let (origin, prefix) = url?.value;
    Some(App {
        name: name.to_owned(),
        key: AppKey::of(name),
        realm: realm_name,
        origin,
        prefix,
        upstreams: values(upstreams),
        built_in,
        transport,
        idp: idp?.value,
        access,
        allow,
        rules,
        bearer,
        minting,
        headers,
        max_body,
        websocket_origins,
        learn,
        session_cookies,
        logout_paths,
        when_blind,
    })
}

fn upstreams(table: &Reader<'_>) -> (Vec<At<Upstream>>, Option<Place>) {
    let (upstreams, console) = built_in::servers(table);
    if !table.has("upstreams") {
        table.fault("upstreams", "it is missing; write `upstreams = [\"http://10.0.0.5:8080\"]`");
    } else if table.is_empty_list("upstreams") {
        table.fault("upstreams", "the list is empty: the app has no server");
    }
    for (i, At { value, place }) in upstreams.iter().enumerate() {
        if upstreams.iter().take(i).any(|other| other.value == *value) {
            table.context().fault(place, "this upstream is in the list already");
        }
    }
    (upstreams, console)
}

fn transport(table: &Reader<'_>, upstreams: &[At<Upstream>]) -> Transport {
    let server_name = table.parse("server_name", host_name);
    let ca = table.authorities("ca_file");
    let no_tls = !upstreams.is_empty() && !upstreams.iter().any(|at| at.value.tls);
    for place in [server_name.as_ref().map(|at| &at.place), ca.as_ref().map(|at| &at.place)].into_iter().flatten() {
        if no_tls {
            table.context().fault(place, "no upstream speaks TLS; write `https://` there, or drop this");
        }
    }
    Transport {
        server_name: server_name.map(|at| at.value),
        ca_pem: ca.map(|at| at.value),
        http2: table.flag("http2", false),
        connect_timeout: table.or("connect_timeout", duration, Duration::from_secs(5)),
        read_timeout: table.or("read_timeout", duration_or_never, None),
        // Common application servers close after 5 s; a connection must be given up before that.
        keep_alive: table.or("keep_alive", duration, Duration::from_secs(4)),
        pool: table.flag("pool", true),
        health_path: table.parse("health_path", health_path).map(|at| at.value),
        host_header: table.parse("host_header", host_header).map(|at| at.value),
    }
}

fn access(table: &Reader<'_>) -> Access {
    let choices =
        [("login", Access::Login), ("bearer", Access::Bearer), ("either", Access::Either), ("public", Access::Public)];
    table.or("access", one_of(&choices, &[]), Access::Login)
}

fn allow(table: &Reader<'_>) -> Allow {
    for key in ["groups", "email_domains", "emails"] {
        if table.has(key) && table.is_empty_list(key) {
            table.fault(key, "the list is empty, which admits everyone; drop it or name somebody");
        }
    }
    Allow {
        groups: values(table.list("groups", super::values::text)),
        email_domains: values(table.list("email_domains", email_domain)),
        emails: values(table.list("emails", email)),
        claims: table.texts_by_name("claims").into_iter().collect(),
    }
}

fn rules(table: &Reader<'_>, app: Option<&Prefix>) -> Vec<Rule> {
    let mut seen: HashMap<Prefix, String> = HashMap::new();
    table.tables("rules", |rule| {
        let path = rule.require("path", prefix);
        let access = access(rule);
        let allow = rule.section("allow", allow);
        if access == Access::Public && allow != Allow::default() {
            rule.context()
                .fault(&rule.at("allow"), "the rule is public: nobody would be asked; drop `allow` or `access`");
        }
        let At { value: path, place } = path?;
        if let Some(app) = app.filter(|app| !is_below(&path, app)) {
            let (written, app) = (path.as_str(), app.as_str());
            rule.context().fault(&place, format!("the app lives below `{app}`; write `{app}{written}`"));
        }
        if let Some(first) = seen.get(&path) {
            rule.context().fault(&place, format!("`{first}` is about the same path"));
        } else {
            seen.insert(path.clone(), place.key);
        }
        Some(Rule { path, access, allow })
    })
}

fn logout_paths(table: &Reader<'_>, app: Option<&Prefix>) -> Vec<LogoutPath> {
    let paths = table.list("logout_paths", |text| {
        LogoutPath::parse(text).ok_or_else(|| {
            let why = "write `/logout`, `POST /logout` or `/doku.php?do=logout`, as the app sees it";
            Why(format!("`{text}` is no path; {why}"))
        })
    });
    for At { value, place } in &paths {
        if let Some(app) = app.filter(|app| !value.is_below(app)) {
            let app = app.as_str();
            table.context().fault(place, format!("the app lives below `{app}`, and this path does not"));
        }
    }
    values(paths)
}

fn is_below(path: &Prefix, app: &Prefix) -> bool {
    CanonicalPath::parse(path.as_str()).is_ok_and(|path| path.is_below(app))
}

/// Which app lives where, to find two in one place.
#[derive(Default)]
struct Places {
    apps: HashMap<(Host, Prefix), String>,
    idps: HashMap<Host, (String, String)>,
    consoles: HashSet<Host>,
    realms: Realms,
}

impl Places {
    fn add(
        &mut self,
        context: &Context<'_>,
        name: &str,
        (url, built_in): (&(Origin, Prefix), Option<BuiltIn>),
        at: &Place,
        idp: &At<String>,
    ) {
        let host = url.0.host().clone();
        // Pages of one host are one origin to a browser: another app's page could do what the operator may do.
        let other = self.apps.iter().find(|((theirs, _), _)| *theirs == host).map(|(_, name)| name.clone());
        if let (Some(other), true) = (other, built_in.is_some() || self.consoles.contains(&host)) {
            let why = format!(
                "[apps.{other}] has the same host; the console needs one of its own, or pages of the other app could operate it"
            );
            context.fault(at, why);
            return;
        }
        if built_in.is_some() {
            self.consoles.insert(host.clone());
        }
        if let Some(other) = self.apps.get(&(host.clone(), url.1.clone())) {
            context.fault(at, format!("[apps.{other}] has the same host and path (ports do not count)"));
            return;
        }
        self.apps.insert((host.clone(), url.1.clone()), name.to_owned());
        // Apps of one host share its session cookie; two IdPs would sign people out of each other's apps.
        let (first, theirs) = self.idps.entry(host).or_insert_with(|| (name.to_owned(), idp.value.clone()));
        if *theirs != idp.value {
            let why = format!("[apps.{first}] on the same host uses \"{theirs}\"; apps of one host share a session");
            context.fault(&idp.place, why);
        }
    }
}

fn values<T>(list: Vec<At<T>>) -> Vec<T> {
    list.into_iter().map(|at| at.value).collect()
}

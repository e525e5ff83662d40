//! The applications behind the gateway: which one a request is for, and who may do what there.

mod built_in;
mod leaving;
mod path;
mod place;
mod when_blind;
mod words;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub use self::built_in::BuiltIn;
pub use self::leaving::LogoutPath;
pub use self::path::{BadPath, CanonicalPath, Prefix};
pub use self::place::{Field, Minting, Pattern, Place};
pub use self::when_blind::WhenBlind;
use crate::identity::AppKey;
use crate::session::Person;

/// A host name in the form that we compare: lower case, ASCII, no port, no dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

impl Host {
    /// Parses the value of `Host` or `:authority`. Ports are dropped: cookies ignore them too, so a host is one place.
    pub fn parse(authority: &str) -> Option<Self> {
        let plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']') || !c.is_ascii();
        if authority.is_empty() || authority.len() > 300 || !authority.chars().all(plain) {
            return None;
        }
        let (name, port) = match authority.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, Some(port)),
            _ => (authority, None),
        };
        if port.is_some_and(|p| !p.is_empty() && p.parse::<u16>().is_err()) {
            return None;
        }
        match url::Host::parse(name.strip_suffix('.').unwrap_or(name)).ok()? {
            // What is only plain once it was mapped (full-width letters and signs), and what had several dots at the end,
            // of which one was taken, is no host: read again it would be another one, or none.
            url::Host::Domain(domain) if domain.ends_with('.') || !domain.chars().all(plain) => None,
            url::Host::Domain(domain) => Some(Self(domain)),
            url::Host::Ipv4(address) => Some(Self(address.to_string())),
            url::Host::Ipv6(address) => Some(Self(format!("[{address}]"))),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where people reach an app: `https://wiki.example.com`. From the config only, never from a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    text: String,
    /// INVARIANT: where `://` stands in `text`.
    scheme_end: usize,
    host: Host,
}

impl Origin {
    /// The origin of `url`; `None` if it has no host or is neither http nor https.
    pub fn of(url: &url::Url) -> Option<Self> {
        let host = Host::parse(url.host_str()?)?;
        let scheme_end = url.scheme().len();
        matches!(url.scheme(), "http" | "https").then(|| Self {
            text: url.origin().ascii_serialization(),
            scheme_end,
            host,
        })
    }

    /// `https://wiki.example.com`, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `https`.
    pub fn scheme(&self) -> &str {
        self.text.get(..self.scheme_end).unwrap_or_default()
    }

    /// `wiki.example.com`, with the port if it is not the scheme's own.
    pub fn authority(&self) -> &str {
        self.text.get(self.scheme_end + "://".len()..).unwrap_or_default()
    }

    /// Its host.
    pub const fn host(&self) -> &Host {
        &self.host
    }
}

/// Who gets in.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// People who signed in and are allowed, and what an app gave them then.
    #[default]
    Login,
    /// Programs that bear a token (RFC 6750) of somebody who is allowed. A session alone is not enough.
    Bearer,
    /// Both.
    Either,
    /// Everybody, without a session.
    Public,
}

/// What is done with an access token of the IdP that does not say when its person signed in, while a revocation covers
/// that person: it may have been refreshed from a grant that is older.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Unproven {
    /// It is refused.
    #[default]
    Refuse,
    /// It counts from the moment when it was issued (`iat`).
    IssuedAt,
}

/// Which access tokens of its IdP an app takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTokens {
    /// Whom a token must be for: one of these (RFC 9068 §4, `aud`). INVARIANT: never empty.
    pub audiences: Vec<String>,
    /// Accepted header `typ` of a JWT, `at+jwt` if nothing else is said (RFC 9068 §2.1).
    pub types: Vec<String>,
    /// What is no JWT is asked about at the IdP (RFC 7662), and an answer is good for so long; `None`: it is refused.
    pub introspect: Option<Duration>,
    /// What is done with a token that does not say when its person signed in.
    pub unproven: Unproven,
    /// Whether only tokens are taken whose bearer proves possession of a key (RFC 9449).
    pub dpop: bool,
}

/// Whom an app or a path admits among those who signed in. Every list that is not empty must be satisfied by one of
/// its values; nothing given admits everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Groups, exactly as the IdP writes them.
    pub groups: Vec<String>,
    /// Domains of e-mail addresses, lower case, whole.
    pub email_domains: Vec<String>,
    /// E-mail addresses, normalised.
    pub emails: Vec<String>,
    /// Claims by name, each with the values that are enough.
    pub claims: BTreeMap<String, Vec<String>>,
}

impl Allow {
    /// Whether `person` is admitted.
    pub fn admits(&self, person: &Person) -> bool {
        let email = person.email.as_deref();
        let domain = email.and_then(|e| e.split_once('@')).map(|(_, domain)| domain);
        let any = |wanted: &[String], given: Option<&str>| {
            wanted.is_empty() || given.is_some_and(|g| wanted.iter().any(|w| w == g))
        };
        (self.groups.is_empty() || self.groups.iter().any(|group| person.groups.contains(group)))
            && any(&self.email_domains, domain)
            && any(&self.emails, email)
            && self.claims.iter().all(|(name, values)| {
                person.claims.iter().any(|(given, value)| given == name && values.contains(value))
            })
    }
}

/// What holds for a part of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which part.
    pub path: Prefix,
    /// Who gets in there.
    pub access: Access,
    /// Whom it admits, besides what the app as a whole asks for.
    pub allow: Allow,
}

/// One server that an app runs on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// How the gateway talks to an app's servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The name on the server's certificate, if it is not the upstream's host.
    pub server_name: Option<String>,
    /// Certificates to trust instead of the system's, in PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// HTTP/2 to the upstream (gRPC).
    pub http2: bool,
    /// To open a connection.
    pub connect_timeout: Duration,
    /// From the request to the first byte of the answer, and between any two bytes after it. `None`: for ever.
    pub read_timeout: Option<Duration>,
    /// How long an unused connection is kept. Below the app's own keep-alive limit, or requests meet a closed door.
    pub keep_alive: Duration,
    /// Whether connections are reused at all. Apps that authenticate the connection (NTLM) must not share one.
    pub pool: bool,
    /// Health is asked at this path; `None` asks by opening a connection.
    pub health_path: Option<String>,
    /// The `Host` that the app sees; `None` passes on what the person typed.
    pub host_header: Option<String>,
}

/// Names of the headers that tell an app who the person is.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum HeaderProfile {
    /// `X-Forwarded-User`, `-Email`, `-Groups`, `-Preferred-Username`.
    #[default]
    Forwarded,
    /// `Remote-User`, `-Email`, `-Groups`, `-Name`.
    Remote,
    /// `X-Remote-User` and its kin.
    XRemote,
    /// None: the app has accounts of its own.
    Silent,
}

impl HeaderProfile {
    /// The names for subject or user name, e-mail, groups, and preferred user name.
    pub const fn names(self) -> Option<[&'static str; 4]> {
        match self {
            Self::Forwarded => {
                Some(["x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username"])
            }
            Self::Remote => Some(["remote-user", "remote-email", "remote-groups", "remote-name"]),
            Self::XRemote => Some(["x-remote-user", "x-remote-email", "x-remote-groups", "x-remote-name"]),
            Self::Silent => None,
        }
    }
}

/// An unmodified application behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its name in the config.
    pub name: String,
    /// Its name as the revocation set sees it.
    pub key: AppKey,
    /// What is sealed opens in every app of its realm and nowhere else. Its own name, unless apps share a cookie domain.
    pub realm: String,
    /// Where people reach it.
    pub origin: Origin,
    /// Below which path of that host.
    pub prefix: Prefix,
    /// Its servers; at least one, unless it is built in.
    pub upstreams: Vec<Upstream>,
    /// What answers for it in the gateway itself, if it has no servers.
    pub built_in: Option<BuiltIn>,
    /// How to talk to them.
    pub transport: Transport,
    /// The name of the IdP whose people use it.
    pub idp: String,
    /// Who gets in where no rule says otherwise.
    pub access: Access,
    /// Whom it admits.
    pub allow: Allow,
    /// Parts with rules of their own.
    pub rules: Vec<Rule>,
    /// Which access tokens of its IdP it takes, where `access` asks for tokens.
    pub bearer: Option<AccessTokens>,
    /// Which tokens it makes itself, if that is known.
    pub minting: Option<Minting>,
    /// How it learns who the person is.
    pub headers: HeaderProfile,
    /// The largest request body it is sent, in bytes.
    pub max_body: u64,
    /// Origins, besides its own, whose pages may open a WebSocket.
    pub websocket_origins: Vec<String>,
    /// Whether its cookies are sealed.
    pub learn: bool,
    /// Cookies that are sealed besides every `HttpOnly` one.
    pub session_cookies: Vec<String>,
    /// By which requests people sign out of it.
    pub logout_paths: Vec<LogoutPath>,
    /// What it does while a stream of its IdP is dark.
    pub when_blind: WhenBlind,
}

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// Nothing.
    Public,
    /// Somebody whom all of these admit.
    Person {
        /// How they show who they are. INVARIANT: never [`Access::Public`].
        by: Access,
        /// Whom the app and every part on the way to the path admit.
        allows: Vec<&'a Allow>,
    },
}

impl Asked<'_> {
    /// How whoever asks for the path shows who they are.
    pub const fn by(&self) -> Access {
        match self {
            Self::Public => Access::Public,
            Self::Person { by, .. } => *by,
        }
    }
}

impl App {
    /// What `path` asks for. The longest matching rule wins; of two as long, the stricter.
    ///
    /// A rule that opens a path is read to the letter; a rule that restricts is read as loosely as any app might read
    /// the path (case, `;parameters`), so that no spelling walks around it.
    pub fn asks(&self, path: &CanonicalPath) -> Asked<'_> {
        let opening = self
            .rules
            .iter()
            .filter(|rule| rule.access == Access::Public && !path.has_parameters() && path.is_below(&rule.path));
        let restricting =
            self.rules.iter().filter(|rule| rule.access != Access::Public && path.may_be_below(&rule.path));
        let longest_open = opening.map(|rule| rule.path.length()).max();
        let restricting: Vec<_> = restricting.collect();
        let longest = restricting.iter().max_by_key(|rule| rule.path.length());
        let by = match (longest_open, longest) {
            (Some(open), Some(rule)) if open <= rule.path.length() => rule.access,
            (Some(_), _) => Access::Public,
            (None, Some(rule)) => rule.access,
            (None, None) => self.access,
        };
        if by == Access::Public {
            return Asked::Public;
        }
        // Every restriction on the way to the path holds, not only the innermost.
        let allows = std::iter::once(&self.allow).chain(restricting.into_iter().map(|rule| &rule.allow)).collect();
        Asked::Person { by, allows }
    }

    /// True if tokens are asked for anywhere on it.
    pub fn takes_tokens(&self) -> bool {
        let by = std::iter::once(self.access).chain(self.rules.iter().map(|rule| rule.access));
        by.into_iter().any(|access| matches!(access, Access::Bearer | Access::Either))
    }
}

/// All apps, found by host and path.
#[derive(Clone, Debug, Default)]
pub struct Apps {
    by_host: HashMap<Host, Vec<Arc<App>>>,
}

impl Apps {
    /// The apps of a config. Two apps of one host and prefix are refused by the config before this.
    pub fn new(apps: impl IntoIterator<Item = App>) -> Self {
        let mut by_host: HashMap<Host, Vec<Arc<App>>> = HashMap::new();
        for app in apps {
            by_host.entry(app.origin.host().clone()).or_default().push(Arc::new(app));
        }
        for apps in by_host.values_mut() {
            // Longest prefix first, so that the first match is the right one.
            apps.sort_by_key(|app| std::cmp::Reverse(app.prefix.length()));
        }
        Self { by_host }
    }

    /// The app that a request is for. An unknown host is nobody's.
    pub fn find(&self, host: &Host, path: &CanonicalPath) -> Option<&Arc<App>> {
        self.by_host.get(host)?.iter().find(|app| path.is_below(&app.prefix))
    }

    /// Any app of that host: our own endpoints belong to the host as a whole.
    pub fn any_of(&self, host: &Host) -> Option<&Arc<App>> {
        self.by_host.get(host)?.last()
    }

    /// Every app, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.by_host.values().flatten()
    }

    /// Every app that has servers of its own: what is built in has none.
    pub fn with_servers(&self) -> impl Iterator<Item = &Arc<App>> {
        self.iter().filter(|app| app.built_in.is_none())
    }

    /// The app of that name.
    pub fn named(&self, name: &str) -> Option<&Arc<App>> {
        self.iter().find(|app| app.name == name)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An app at `url` that asks for a login and admits everyone.
    pub(crate) fn app(name: &str, url: &str) -> App {
        let parsed = url::Url::parse(url).expect("url");
        App {
            name: name.to_owned(),
            key: AppKey::of(name),
            realm: name.to_owned(),
            origin: Origin::of(&parsed).expect("origin"),
            prefix: Prefix::parse(parsed.path()).expect("prefix"),
            upstreams: vec![Upstream { host: "127.0.0.1".into(), port: 1, tls: false }],
            built_in: None,
            transport: Transport {
                server_name: None,
                ca_pem: None,
                http2: false,
                connect_timeout: Duration::from_secs(1),
                read_timeout: None,
                keep_alive: Duration::from_secs(1),
                pool: true,
                health_path: None,
                host_header: None,
            },
            idp: "corp".into(),
            access: Access::Login,
            allow: Allow::default(),
            rules: vec![],
            bearer: None,
            minting: None,
            headers: HeaderProfile::Forwarded,
            max_body: 1 << 20,
            websocket_origins: vec![],
            learn: true,
            session_cookies: vec![],
            logout_paths: vec![],
            when_blind: WhenBlind::Reestablish,
        }
    }

    fn path(text: &str) -> CanonicalPath {
        CanonicalPath::parse(text).expect("path")
    }

    fn rule(prefix: &str, access: Access, groups: &[&str]) -> Rule {
        let allow = Allow { groups: groups.iter().map(|g| (*g).to_owned()).collect(), ..Allow::default() };
        Rule { path: Prefix::parse(prefix).expect("prefix"), access, allow }
    }

    #[test]
    fn a_host_is_one_place_however_it_is_written() {
        for text in
            ["app.example.com", "APP.Example.com", "app.example.com.", "app.example.com:443", "App.example.com.:8080"]
        {
            assert_eq!(Host::parse(text).map(|h| h.0), Some("app.example.com".into()), "`{text}`");
        }
        for text in [
            "",
            "a b",
            "a/b",
            "a@b",
            "a:b:c",
            "a:99999",
            "a,b",
            "%61pp.example.com",
            "app.example.com\0",
            "..",
            "app.example.com..",
            "app\u{ff06}.example.com",
            "app\u{ff0f}x.example.com",
        ] {
            assert_eq!(Host::parse(text), None, "`{text}`");
        }
        assert_eq!(Host::parse("[::1]:8080").map(|h| h.0), Some("[::1]".into()));
        assert_eq!(Host::parse("bücher.example").map(|h| h.0), Some("xn--bcher-kva.example".into()));
    }

    #[test]
    fn an_origin_is_scheme_and_authority() {
        for (url, scheme, authority) in [
            ("https://Wiki.example.com/x", "https", "wiki.example.com"),
            ("https://wiki.example.com:443", "https", "wiki.example.com"),
            ("http://localhost:8080/", "http", "localhost:8080"),
            ("http://[::1]:8080/", "http", "[::1]:8080"),
        ] {
            let origin = Origin::of(&url::Url::parse(url).expect("url")).expect("origin");
            assert_eq!((origin.scheme(), origin.authority()), (scheme, authority), "`{url}`");
        }
    }

    #[test]
    fn the_longest_prefix_finds_the_app_and_an_unknown_host_finds_none() {
        let apps = Apps::new([app("root", "https://a.example"), app("sub", "https://a.example/sub")]);
        let found =
            |host: &str, p: &str| apps.find(&Host::parse(host).expect("host"), &path(p)).map(|a| a.name.clone());
        assert_eq!(found("a.example", "/sub/x").as_deref(), Some("sub"));
        assert_eq!(found("a.example", "/subway").as_deref(), Some("root"));
        assert_eq!(found("A.example.", "/").as_deref(), Some("root"));
        assert_eq!(found("b.example", "/"), None);
    }

    #[test]
    fn an_opening_is_read_to_the_letter_and_a_restriction_loosely() {
        let mut wiki = app("wiki", "https://wiki.example");
        wiki.rules = vec![
            rule("/healthz", Access::Public, &[]),
            rule("/static", Access::Public, &[]),
            rule("/static/private", Access::Login, &[]),
            rule("/admin", Access::Login, &["admins"]),
            rule("/admin/logo", Access::Public, &[]),
        ];
        for (text, public, groups) in [
            ("/", false, 0),
            ("/healthz", true, 0),
            ("/healthz/deep", true, 0),
            ("/healthz;x", false, 0),
            ("/HEALTHZ", false, 0),
            ("/healthzz", false, 0),
            ("/static/a.css", true, 0),
            ("/static/private/a", false, 0),
            ("/static/PRIVATE/a", false, 0),
            ("/static/../admin", false, 1),
            ("/admin", false, 1),
            ("/ADMIN/x", false, 1),
            ("/admin;a=b/x", false, 1),
            ("/;a=b/admin", false, 1),
            ("/;/;x/admin/y", false, 1),
            ("/admin/logo", true, 0),
            ("/admin/logo;x", false, 1),
        ] {
            let path = path(text);
            let asked = wiki.asks(&path);
            match asked {
                Asked::Public => assert!(public, "`{text}` is open"),
                Asked::Person { allows, .. } => {
                    assert!(!public, "`{text}` is closed");
                    assert_eq!(allows.iter().filter(|a| !a.groups.is_empty()).count(), groups, "`{text}`");
                }
            }
        }
    }

    #[test]
    fn every_list_given_must_be_satisfied() {
        let ann = Person {
            subject: "1".into(),
            email: Some("ann@corp.example".into()),
            preferred_username: None,
            groups: vec!["staff".into()],
            claims: vec![("department".into(), "it".into())],
        };
        let allow = |groups: &[&str], domains: &[&str], claim: Option<(&str, &str)>| Allow {
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            email_domains: domains.iter().map(|d| (*d).to_owned()).collect(),
            emails: vec![],
            claims: claim.into_iter().map(|(n, v)| (n.to_owned(), vec![v.to_owned()])).collect(),
        };
        for (name, allow, expected) in [
            ("nothing asked", allow(&[], &[], None), true),
            ("group", allow(&["admins", "staff"], &[], None), true),
            ("other group", allow(&["admins"], &[], None), false),
            ("domain", allow(&[], &["corp.example"], None), true),
            ("suffix of the domain", allow(&[], &["example"], None), false),
            ("group but not domain", allow(&["staff"], &["other.example"], None), false),
            ("claim", allow(&[], &[], Some(("department", "it"))), true),
            ("other value", allow(&[], &[], Some(("department", "hr"))), false),
            ("unknown claim", allow(&[], &[], Some(("site", "it"))), false),
        ] {
            assert_eq!(allow.admits(&ann), expected, "{name}");
        }
        let stranger = Person { email: None, ..ann };
        assert!(!allow(&[], &["corp.example"], None).admits(&stranger), "no address is in no domain");
    }
}

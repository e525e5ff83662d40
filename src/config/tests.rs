//! Each mistake is found, with its line, its key and a remedy; all of them at once; and no text makes it panic.

mod console;
mod fleet_postgres;

use std::collections::HashMap;
use std::io;

use zeroize::Zeroizing;

use super::*;
use crate::apps::{Access, AccessTokens, CanonicalPath, Host, Unproven};
use crate::policy::Widest;
use crate::revalidation::By;

/// Files of a test, by path; `true` for those that others may read.
struct Shelf(HashMap<PathBuf, (Vec<u8>, bool)>);

impl Files for Shelf {
    fn read(&self, path: &Path) -> io::Result<File> {
        let (bytes, exposed) = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(File { bytes: Zeroizing::new(bytes.clone()), exposed: *exposed })
    }
}

fn shelf() -> Shelf {
    let key = || crate::seal::generate_key().expect("key").expose().clone().into_bytes();
    let signs = crate::jose::Signer::generate_pem().expect("key").expose().clone().into_bytes();
    let files: [(&str, Vec<u8>, bool); 10] = [
        ("signs.pem", signs, false),
        ("ring-1.key", key(), false),
        ("ring-0.key", key(), false),
        ("open.key", key(), true),
        ("admin.token", b"0123456789abcdef0123456789abcdef\n".to_vec(), false),
        ("corp.secret", b"s3cret\n".to_vec(), false),
        ("corp.push", b"push-push-push-push\n".to_vec(), false),
        ("empty", b"\n".to_vec(), false),
        ("short", b"hunter2\n".to_vec(), false),
        ("binary", vec![0xff, 0xfe], false),
    ];
    Shelf(files.into_iter().map(|(name, bytes, exposed)| (Path::new("/etc/p").join(name), (bytes, exposed))).collect())
}

/// A config without mistake; each row of the table below changes one thing in it.
const GOOD: &str = r#"[server]
listen = ["127.0.0.1:8080"]
trusted_proxies = ["10.0.0.0/8"]
timeouts = { header_read = "5s" }

[admin]
listen = "127.0.0.1:9090"
token_file = "admin.token"

[keys]
files = ["ring-1.key", "ring-0.key"]

[ledger]
path = "ledger.db"

[session]
max_age = "8h"
idle = "30m"

[idps.corp]
issuer = "https://idp.example.com"
client_id = "portcullis"
client_secret_file = "corp.secret"
scopes = ["openid", "email"]
claims = { device = "device_id" }

[idps.partners]
issuer = "https://partners.example.com"
client_id = "portcullis"

[streams.corp]
issuer = "https://idp.example.com"
audience = "https://wiki.example.com"
delivery = "push"
push_token_file = "corp.push"
speaks_for = ["corp"]
widest = "group"

[apps.wiki]
url = "https://wiki.example.com"
upstreams = ["http://10.0.0.5:8080", "http://10.0.0.6:8080"]
upstream = { connect_timeout = "2s" }
idp = "corp"
allow = { groups = ["staff"], claims = { department = "it" } }
rules = [
  { path = "/healthz", access = "public" },
  { path = "/admin", allow = { claims = { level = ["9", "10"] } } },
]

[apps.mail]
url = "https://mail.example.com/webmail"
upstreams = ["https://10.0.0.7"]
idp = "partners"
max_body = "10MiB"
headers = "remote"
"#;

/// What `GOOD` means.
pub(crate) fn good() -> Config {
    parse(GOOD).expect("no faults")
}

/// The same, with other rules for the wiki.
pub(crate) fn good_with_rules_of_wiki(rules: &str) -> Config {
    parse(&GOOD.replace(ALLOW, rules)).expect("no faults")
}

fn parse(text: &str) -> Result<Config, Faults> {
    Config::parse(text, Path::new("/etc/p/portcullis.toml"), &shelf())
}

fn faults(text: &str) -> Vec<Fault> {
    parse(text).err().map(|faults| faults.iter().cloned().collect()).unwrap_or_default()
}

#[test]
fn a_good_file_becomes_values() {
    let config = good();
    assert_eq!(config.server.listen, ["127.0.0.1:8080".parse::<SocketAddr>().expect("address")]);
    assert_eq!(config.server.timeouts.header_read, Duration::from_secs(5));
    assert_eq!(config.server.timeouts.keep_alive, Duration::from_secs(60));
    assert_eq!(config.server.max_header_bytes, 131_072);
    assert_eq!(config.ledger.path, Path::new("/etc/p/ledger.db"));
    assert_eq!(config.ledger.max_subjects, 5_000_000);
    assert_eq!(config.session.idle, Duration::from_secs(1800));
    assert_eq!(config.admin.token.expose(), "0123456789abcdef0123456789abcdef");
    let corp = config.idps.get("corp").expect("corp");
    assert_eq!(corp.client_secret.as_ref().map(|s| s.expose().as_str()), Some("s3cret"));
    assert_eq!(corp.kept_claims, ["department", "level"]);
    assert_eq!(corp.max_age, Duration::from_secs(8 * 3600));
    assert_eq!((corp.claims.device.as_str(), corp.claims.email.as_str()), ("device_id", "email"));
    let bounds = config.streams.get("corp").map(|s| s.bounds.clone()).expect("corp");
    assert_eq!((bounds.users_per_minute, bounds.apps.len()), (Some(1_000), 0));
    assert_eq!(config.streams.get("corp").map(|s| s.widest), Some(Widest::Group));
    let wiki = config.apps.named("wiki").expect("wiki");
    assert_eq!((wiki.upstreams.len(), wiki.access), (2, Access::Login));
    assert_eq!(wiki.rules.first().map(|r| r.access), Some(Access::Public));
    let (host, path) = (Host::parse("mail.example.com").expect("host"), CanonicalPath::parse("/webmail/x"));
    assert_eq!(config.apps.find(&host, &path.expect("path")).map(|a| a.max_body), Some(10 << 20));
}

#[test]
fn a_stream_is_read_by_its_preset_and_may_call_an_issuer_by_another_name() {
    let corp = |text: &str| parse(text).expect("no faults").streams.get("corp").cloned().expect("corp");
    assert_eq!((corp(GOOD).preset, corp(GOOD).subject_issuers.len()), (Preset::Strict, 0));
    for preset in Preset::ALL {
        let text = GOOD.replace("widest", &format!("preset = \"{}\"\nwidest", preset.word()));
        assert_eq!(corp(&text).preset, preset);
    }
    let aliases =
        "subject_issuers = { \"https://idp.example.com/\" = \"corp\", \"https://a.example\" = [\"corp\"] }\nwidest";
    let named = corp(&GOOD.replace("widest", aliases)).subject_issuers;
    let named: Vec<_> = named.iter().map(|(name, idps)| format!("{name} {}", idps.join(" "))).collect();
    assert_eq!(named, ["https://idp.example.com/ corp", "https://a.example corp"]);
}

#[test]
fn a_stream_is_pushed_or_polled() {
    let delivery = |text: &str| {
        let config = parse(text).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(!format!("{config:?}").contains("hunter2"));
        config.streams.get("corp").expect("corp").delivery.clone()
    };
    for pushed in [GOOD.to_owned(), GOOD.replace("delivery = \"push\"\n", "")] {
        assert!(matches!(delivery(&pushed), Delivery::Push { .. }));
    }
    let Delivery::Poll { url, token } = delivery(&GOOD.replace(PUSH, POLL)) else { panic!("it is polled") };
    let (url, token) = (url.as_ref().map(Url::as_str), token.as_ref().map(|token| token.expose().as_str()));
    assert_eq!((url, token), (Some("https://idp.example.com/poll?stream_id=7"), Some("hunter2")));
}

#[test]
fn a_stream_says_how_it_is_managed_and_watched() {
    let stream = |text: &str| {
        let config = parse(text).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(!format!("{config:?}").contains("hunter2") && !format!("{config:?}").contains("push-push"));
        config.streams.get("corp").expect("corp").clone()
    };
    let usual = stream(GOOD);
    assert!(usual.manage.is_none() && !usual.watch.managed && !usual.watch.polled);
    let spans = [usual.watch.verify_every, usual.watch.blind_after, usual.watch.recheck_every];
    assert_eq!(spans.map(|span| span.as_secs()), [120, 300, 900]);

    let manage = "manage = { push_url = \"https://wiki.example.com/oauth2/ssf/corp\", token = \"hunter2\" }\n\
                  verify_every = \"5m\"\nblind_after = \"20m\"\nsubjects = \"none\"\nwidest";
    let pushed = stream(&GOOD.replacen("widest", manage, 1));
    let settings = pushed.manage.expect("managed");
    assert_eq!(settings.wanted.create()["delivery"]["authorization_header"], "Bearer push-push-push-push");
    assert_eq!(settings.wanted.description, "portcullis corp");
    // Asked for is what does something here.
    let asked = |events: &[String], name: &str| events.iter().any(|event| event.ends_with(name));
    let events = &settings.wanted.events;
    assert!(asked(events, "/session-revoked") && asked(events, "/account-disabled") && !asked(events, "/opt-in"));
    assert_eq!(settings.subjects, crate::stream::manage::Subjects::None);
    assert!(pushed.watch.managed && pushed.watch.verify_every == Duration::from_secs(300));

    let manage = "delivery = \"poll\"\nmanage = { token_url = \"https://as.example.com/token\", client_id = \"gw\", \
                  client_secret_file = \"short\", auth = \"post\", hosts = [\"poll.example.net:8443\"], \
                  events = [\"opt-in\", \"urn:x:y\"] }";
    let polled = stream(&GOOD.replace(PUSH, manage));
    assert!(matches!(polled.delivery, Delivery::Poll { url: None, token: None }));
    let settings = polled.manage.expect("managed");
    assert_eq!((settings.hosts, settings.wanted.endpoint), (vec!["poll.example.net:8443".to_owned()], None));
    assert!(matches!(settings.credential, crate::stream::Credential::Client(_)));
    let opt_in = "https://schemas.openid.net/secevent/risc/event-type/opt-in";
    assert_eq!(settings.wanted.events, [opt_in, "urn:x:y"]);
}

#[test]
fn an_idp_says_how_its_sessions_are_checked() {
    let of = |rules: &str| {
        let config = parse(&GOOD.replace(CLAIMS, rules)).unwrap_or_else(|faults| panic!("{faults}"));
        config.idps.get("corp").expect("corp").revalidate.clone()
    };
    assert_eq!(of(""), None);
    let usual = of("revalidate = { every = \"5m\", by = \"refresh\" }").expect("on");
    assert_eq!((usual.every, usual.by, usual.calls_per_second), (Duration::from_secs(300), By::Refresh, 20));
    assert_eq!((usual.patience, usual.grace), (Duration::from_secs(900), Duration::from_secs(300)));
    assert_eq!((usual.scopes.as_slice(), usual.consent), (["offline_access".to_owned()].as_slice(), false));
    let silent = of("revalidate = { every = \"2s\", by = \"silent\", grace = \"30s\" }").expect("on");
    assert_eq!((silent.by, silent.grace, silent.in_background()), (By::Silent, Duration::from_secs(30), false));
    let other = "revalidate = { every = \"5m\", by = \"introspect\", patience = \"5m\", scopes = [], consent = true }";
    let other = of(other).expect("on");
    assert_eq!((other.by, other.patience, other.consent), (By::Introspect, Duration::from_secs(300), true));
    assert!(other.scopes.is_empty());
}

#[test]
fn an_app_says_which_tokens_it_takes() {
    let takes = |rules: &str| {
        let text = GOOD.replace(ALLOW, rules).replace(
            CLAIMS,
            "introspection = { endpoint = \"https://idp.example.com/i\", client_id = \"api\", client_secret = \"hunter2\" }",
        );
        let config = parse(&text).unwrap_or_else(|faults| panic!("{rules}: {faults}"));
        let corp = config.idps.get("corp").and_then(|idp| idp.introspection.clone()).expect("introspection");
        assert_eq!(corp.endpoint.as_ref().map(Url::as_str), Some("https://idp.example.com/i"));
        assert_eq!(corp.client.as_ref().map(|client| client.id.as_str()), Some("api"));
        assert!(!format!("{config:?}").contains("hunter2"));
        config.apps.named("wiki").expect("wiki").bearer.clone()
    };
    let usual = AccessTokens {
        audiences: vec!["api".into()],
        types: vec!["at+jwt".into()],
        introspect: None,
        unproven: Unproven::Refuse,
        dpop: false,
    };
    let all = AccessTokens {
        audiences: vec!["api".into(), "wiki".into()],
        types: vec!["at+jwt".into(), "jwt".into()],
        introspect: Some(Duration::from_secs(10)),
        unproven: Unproven::IssuedAt,
        dpop: true,
    };
    for (rules, expected) in [
        ("", None),
        ("access = \"bearer\"\nbearer = { audience = \"api\" }", Some(usual.clone())),
        ("access = \"either\"\nbearer.audience = \"api\"", Some(usual)),
        ("access = \"bearer\"\nderived = [{ path = \"/t\", response = \"/t\" }]", None),
        (
            "access = \"either\"\nbearer = { audience = [\"api\", \"wiki\"], types = [\"at+jwt\", \"JWT\"], \
             introspect = \"10s\", unproven = \"iat\", dpop = true }",
            Some(all),
        ),
    ] {
        assert_eq!(takes(rules), expected, "{rules}");
    }
    let by_rule = "{ path = \"/api\", access = \"either\" },\n]\nbearer = { audience = \"api\" }";
    let text = GOOD.replacen("]\n\n[apps.mail]", &format!("{by_rule}\n\n[apps.mail]"), 1);
    assert!(parse(&text).is_ok_and(|config| config.apps.named("wiki").is_some_and(|wiki| wiki.takes_tokens())));
}

#[test]
fn apps_of_one_realm_share_what_is_sealed() {
    let realms = |wiki: &str, mail: &str| {
        let text = GOOD.replace("idp = \"partners\"", &format!("idp = \"corp\"\n{mail}"));
        let config =
            parse(&text.replacen(IDP, &format!("{IDP}\n{wiki}"), 1)).unwrap_or_else(|faults| panic!("{faults}"));
        ["wiki", "mail"].map(|name| {
            let app = config.apps.named(name).expect("the app");
            (app.realm.clone(), app.session_cookies.clone())
        })
    };
    let expected = |realm: &str, names: &[&str]| (realm.to_owned(), names.iter().map(|n| (*n).to_owned()).collect());
    for (wiki, mail, [of_wiki, of_mail]) in [
        ("", "", [expected("wiki", &[]), expected("mail", &[])]),
        ("realm = \"wiki\"", "learn = false", [expected("wiki", &[]), expected("mail", &[])]),
        ("session_cookies = [\"A\"]", "", [expected("wiki", &["A"]), expected("mail", &[])]),
        (
            "session_cookies = [\"A\", \"B\"]",
            "realm = \"wiki\"\nsession_cookies = [\"C\", \"A\"]",
            [expected("wiki", &["A", "B", "C"]), expected("wiki", &["C", "A", "B"])],
        ),
        ("realm = \"corp\"", "realm = \"corp\"", [expected("corp", &[]), expected("corp", &[])]),
    ] {
        assert_eq!(realms(wiki, mail), [of_wiki, of_mail], "{wiki} / {mail}");
    }
}

#[test]
fn a_config_prints_no_secret() {
    let printed = format!("{:?}", good());
    for secret in ["0123456789abcdef", "s3cret", "push-push", "portcullis-key"] {
        assert!(!printed.contains(secret), "`{secret}`");
    }
}

/// Changes `GOOD` and expects exactly one fault.
struct Mistake {
    /// What is replaced, by what.
    change: (&'static str, &'static str),
    /// The text on whose line the fault is expected; none where nothing of it is in the file.
    on: Option<&'static str>,
    key: &'static str,
    why: &'static str,
}

const fn mistake(
    from: &'static str,
    to: &'static str,
    on: &'static str,
    key: &'static str,
    why: &'static str,
) -> Mistake {
    Mistake { change: (from, to), on: Some(on), key, why }
}

const fn absent(from: &'static str, to: &'static str, key: &'static str, why: &'static str) -> Mistake {
    Mistake { change: (from, to), on: None, key, why }
}

const IDP: &str = "idp = \"corp\"";
const UPSTREAMS: &str = "upstreams = [\"http://10.0.0.5:8080\", \"http://10.0.0.6:8080\"]";
const RULE: &str = "{ path = \"/healthz\", access = \"public\" }";
const ALLOW: &str = "allow = { groups = [\"staff\"], claims = { department = \"it\" } }";

const PUSH: &str = "delivery = \"push\"\npush_token_file = \"corp.push\"";
const POLL: &str =
    "delivery = \"poll\"\npoll_url = \"https://idp.example.com/poll?stream_id=7\"\npoll_token_file = \"short\"";
const POLL_AND_PUSH: &str =
    "delivery = \"poll\"\npoll_url = \"https://a\"\npoll_token = \"x\"\npush_token_file = \"short\"";
const ISSUERS_OF_STRANGERS: &str = "subject_issuers = { \"https://idp.example.com/\" = \"partners\" }\nwidest";
const ISSUERS_OF_NOBODY: &str = "subject_issuers = { \"https://idp.example.com/\" = [] }\nwidest";
const ISSUERS_IN_CLEAR: &str = "subject_issuers = { \"http://idp.example.com\" = \"corp\" }\nwidest";
const SUBJECT_ISSUER: &str = "streams.corp.subject_issuers.https://idp.example.com/";
const CLEAR_SUBJECT_ISSUER: &str = "streams.corp.subject_issuers.http://idp.example.com";
const POLL_NOWHERE: &str = "delivery = \"poll\"\npoll_token = \"x\"";
const POLL_BY_NOBODY: &str = "delivery = \"poll\"\npoll_url = \"https://a\"";
const POLL_IN_CLEAR: &str = "delivery = \"poll\"\npoll_url = \"http://a\"\npoll_token = \"x\"";
const POLL_WITH_BLANK: &str = "delivery = \"poll\"\npoll_url = \"https://a\"\npoll_token = \"hunter2 hunter2\"";

/// A pushed stream with this in its `manage`: one fault there, of that key.
macro_rules! managed {
    (PUSHED, CLIENT, $more:literal, $key:literal, $why:literal) => {
        managed!(PUSHED, concat!("token_url = \"https://as.example.com/t\", client_id = \"gw\", ", $more), $key, $why)
    };
    (PUSHED, $manage:expr, $key:literal, $why:literal) => {
        managed!(concat!("push_url = \"https://wiki.example.com/oauth2/ssf/corp\", ", $manage), $key, $why)
    };
    ($manage:expr, $key:literal, $why:literal) => {
        mistake(
            "widest",
            concat!("manage = { ", $manage, " }\nwidest"),
            "manage",
            concat!("streams.corp.manage.", $key),
            $why,
        )
    };
}

const CLAIMS: &str = "claims = { device = \"device_id\" }";

/// An app that takes tokens by these rules.
macro_rules! tokens {
    ($rules:literal) => {
        concat!("bearer = { ", $rules, " }\naccess = \"bearer\"")
    };
}

const MISTAKES: &[Mistake] = &[
    // pages
    mistake("[session]", "[pages]\nlanguage = \"it\"\n\n[session]", "language =", "pages.language", "\"ja\""),
    mistake("[session]", "[pages]\nname = \"\"\n\n[session]", "name = \"\"", "pages.name", "one line of at most 120"),
    mistake(
        "[session]",
        "[pages]\ncolour = \"#ffcc00\"\n\n[session]",
        "colour",
        "pages.colour",
        "`#8e7200` is dark enough",
    ),
    mistake("[session]", "[pages]\nlogo_file = \"ring-1.key\"\n\n[session]", "logo_file", "pages.logo_file", "no PNG"),
    mistake(
        "[session]",
        "[pages]\ncontact_url = \"https://help.example.com\"\n\n[session]",
        "contact_url",
        "pages.contact_url",
        "the text of `contact`",
    ),
    mistake(
        "[session]",
        "[pages]\ncontact = \"Us\"\ncontact_url = \"javascript:alert(1)\"\n\n[session]",
        "contact_url",
        "pages.contact_url",
        "leads nowhere",
    ),
    // fleet
    mistake(
        "[session]",
        "[fleet]\nengine = \"jetstream\"\nlead_for = \"4s\"\n[fleet.jetstream]\nservers = [\"nats://127.0.0.1\"]\n\n[session]",
        "lead_for",
        "fleet.lead_for",
        "longer than twice `tell_within`",
    ),
    // fleet.jetstream
    mistake(
        "[session]",
        "[fleet]\nengine = \"jetstream\"\n[fleet.jetstream]\nservers = [\"nats://10.0.0.5:4222\"]\n\n[session]",
        "10.0.0.5:4222",
        "fleet.jetstream.servers[0]",
        "or write `allow = [\"plaintext\"]`",
    ),
    mistake(
        "[session]",
        "[fleet]\nengine = \"jetstream\"\n[fleet.jetstream]\nservers = [\"nats://127.0.0.1\"]\nreplicas = 1\n\n[session]",
        "replicas = 1",
        "fleet.jetstream.replicas",
        "few_replicas",
    ),
    mistake(
        "[session]",
        "[fleet]\nengine = \"jetstream\"\n[fleet.jetstream]\nservers = [\"nats://127.0.0.1\"]\nuser = \"u\"\n\n[session]",
        "[fleet.jetstream]",
        "fleet.jetstream.password_file",
        "is missing",
    ),
    // outcomes
    mistake("[session]", "[outcomes]\nmax = 0\n\n[session]", "max = 0", "outcomes.max", "between 1 and 1000000"),
    mistake("[session]", "[outcomes]\nsettle = \"soon\"\n\n[session]", "soon", "outcomes.settle", "a whole number"),
    mistake("[session]", "[outcomes]\ngateway = \"a b\"\n\n[session]", "a b", "outcomes.gateway", "a name has letters"),
    mistake(
        "[session]",
        "[audit]\ntargets = \"plain\"\n\n[session]",
        "plain",
        "audit.targets",
        "\"hashed\" or \"clear\"",
    ),
    mistake(
        "[session]",
        "[outcomes.webhook]\nissuer = \"https://gw\"\naudience = \"a\"\nkey_file = \"signs.pem\"\n\n[session]",
        "[outcomes.webhook]",
        "outcomes.webhook.url",
        "is missing",
    ),
    mistake(
        "[session]",
        "[outcomes.webhook]\nurl = \"http://soc.example.com\"\nissuer = \"https://gw\"\naudience = \"a\"\nkey_file = \"signs.pem\"\n\n[session]",
        "http://soc",
        "outcomes.webhook.url",
        "must be https",
    ),
    mistake(
        "[session]",
        "[outcomes.webhook]\nurl = \"https://soc\"\nissuer = \"gw\"\naudience = \"a\"\nkey_file = \"signs.pem\"\n\n[session]",
        "issuer = \"gw\"",
        "outcomes.webhook.issuer",
        "it is no URL",
    ),
    mistake(
        "[session]",
        "[outcomes.webhook]\nurl = \"https://soc\"\nissuer = \"https://gw\"\naudience = \"a\"\n\n[session]",
        "[outcomes.webhook]",
        "outcomes.webhook.key_file",
        "keygen --signing",
    ),
    mistake(
        "[session]",
        "[outcomes.webhook]\nurl = \"https://soc\"\nissuer = \"https://gw\"\naudience = \"a\"\nkey_file = \"corp.secret\"\n\n[session]",
        "key_file = \"corp.secret\"",
        "outcomes.webhook.key_file",
        "no private key",
    ),
    // slips of keys and types
    mistake("idle =", "idel =", "idel", "session.idel", "did you mean `idle`"),
    mistake("[session]", "[sesion]", "[sesion]", "sesion", "did you mean `session`"),
    mistake(
        "client_secret_file",
        "client_secert_file",
        "secert",
        "idps.corp.client_secert_file",
        "`client_secret_file`",
    ),
    mistake("device = ", "devise = ", "devise", "idps.corp.claims.devise", "did you mean `device`"),
    mistake(
        IDP,
        "idp = \"corp\"\nsession_cookies = [\"a b\"]",
        "a b",
        "apps.wiki.session_cookies[0]",
        "no cookie name",
    ),
    mistake(
        IDP,
        "idp = \"corp\"\nlearn = false\nsession_cookies = [\"SID\"]",
        "session_cookies",
        "apps.wiki.session_cookies",
        "drop one of the two",
    ),
    mistake(IDP, "idp = \"corp\"\nrealm = \"a b\"", "a b", "apps.wiki.realm", "a name has letters"),
    mistake(IDP, "idp = \"corp\"\nrealm = \"mail\"", "idp = \"partners\"", "apps.mail.idp", "share the IdP"),
    mistake(IDP, "idp = \"corp\"\nrealm = \"x\"\nlearn = false", "learn", "apps.wiki.learn", "drop `learn` or `realm`"),
    mistake(
        "[apps.mail]",
        "realm = \"mail\"\n[apps.mail]\nrealm = \"corp\"",
        "realm = \"mail\"",
        "apps.wiki.realm",
        "[apps.mail] is in the realm \"corp\"",
    ),
    mistake(
        IDP,
        "idp = \"corp\"\nwhen_blind = \"panic\"",
        "when_blind",
        "apps.wiki.when_blind",
        "write \"serve\" or \"reestablish\" or \"refuse\"",
    ),
    mistake(IDP, "idp = \"corp\"\ncolour = 3", "colour", "apps.wiki.colour", "known are"),
    mistake("\"30m\"", "30", "idle = 30", "session.idle", "expected a text"),
    mistake(IDP, "idp = [\"corp\"]", "idp = [", "apps.wiki.idp", "found a list"),
    mistake(
        "timeouts = { header_read = \"5s\" }",
        "timeouts = \"5s\"",
        "timeouts",
        "server.timeouts",
        "expected a table",
    ),
    mistake(
        "{ header_read = \"5s\" }",
        "{ shutdown = \"5s\", drain_lead = \"5s\" }",
        "drain_lead",
        "server.timeouts.drain_lead",
        "shorter than `shutdown`",
    ),
    mistake(
        "{ header_read = \"5s\" }",
        "{ drain_lead = \"soon\" }",
        "drain_lead",
        "server.timeouts.drain_lead",
        "write a whole number",
    ),
    mistake(
        "{ connect_timeout = \"2s\" }",
        "{ http2 = \"yes\" }",
        "http2",
        "apps.wiki.upstream.http2",
        "`true` or `false`",
    ),
    mistake("[server]\n", "[server]\nthreads = 0\n", "threads", "server.threads", "between 1 and 1024"),
    mistake("[server]\n", "[server]\ntls = { listen = \"127.0.0.1:8443\" }\n", "tls", "server.tls", "a list of tables"),
    // addresses
    mistake("listen = [\"127.0.0.1:8080\"]\n", "", "[server]", "server.listen", "nothing to listen on"),
    mistake("[\"127.0.0.1:8080\"]", "[\"8080\"]", "[\"8080\"]", "server.listen[0]", "no address with port"),
    mistake(
        "8080\"]\ntrusted",
        "8080\",\n \"127.0.0.1:8080\"]\ntrusted",
        " \"127.0.0.1:8080\"",
        "server.listen[1]",
        "`server.listen[0]` listens",
    ),
    mistake("9090", "8080", "listen = \"127.0.0.1:8080\"", "admin.listen", "already"),
    mistake("127.0.0.1:9090", "0.0.0.0:9090", "0.0.0.0:9090", "admin.listen", "must be loopback"),
    mistake("10.0.0.0/8", "10.0.0.5/8", "10.0.0.5/8", "server.trusted_proxies[0]", "behind the prefix"),
    // secrets and files
    mistake("token_file = \"admin.token\"\n", "", "[admin]", "admin.token_file", "it is missing"),
    mistake(
        "admin.token\"",
        "admin.token\"\ntoken = \"0123456789abcdef\"",
        "token_file",
        "admin.token_file",
        "`token` is there too",
    ),
    mistake("\"admin.token\"", "\"short\"", "short", "admin.token_file", "shorter than 16"),
    mistake("\"corp.secret\"", "\"nowhere\"", "nowhere", "idps.corp.client_secret_file", "there is no such file"),
    mistake("\"corp.secret\"", "\"empty\"", "empty", "idps.corp.client_secret_file", "the secret is empty"),
    mistake("\"corp.secret\"", "\"binary\"", "binary", "idps.corp.client_secret_file", "no text"),
    mistake("\"ring-0.key\"", "\"open.key\"", "open.key", "keys.files[1]", "chmod 600"),
    mistake("\"ring-0.key\"", "\"corp.secret\"", "files = [", "keys.files[1]", "portcullis keygen"),
    mistake("\"ring-0.key\"", "\"ring-1.key\"", "files = [", "keys.files[1]", "in the list already"),
    mistake("[\"ring-1.key\", \"ring-0.key\"]", "[]", "files = []", "keys.files", "the list is empty"),
    absent("[keys]\nfiles = [\"ring-1.key\", \"ring-0.key\"]\n", "", "keys.files", "portcullis keygen"),
    absent("[ledger]\npath = \"ledger.db\"\n", "", "ledger.path", "it is missing"),
    mistake("[ledger]\n", "[ledger]\nmax_subjects = 7\n", "max_subjects", "ledger.max_subjects", "100"),
    // spans and sizes
    mistake("\"30m\"", "\"9h\"", "9h", "session.idle", "longer than `max_age`"),
    mistake("\"30m\"", "\"30\"", "idle = \"30\"", "session.idle", "has no unit"),
    mistake("\"8h\"", "\"8 hours\"", "8 hours", "session.max_age", "`8 hours` is no span"),
    mistake("\"10MiB\"", "\"10MB\"", "10MB", "apps.mail.max_body", "`10MB` is no size"),
    mistake("[server]\n", "[server]\nmax_header = \"1GiB\"\n", "max_header", "server.max_header", "between `4KiB`"),
    // IdPs and streams
    mistake(
        "issuer = \"https://partners",
        "issuer = \"http://partners",
        "http://partners",
        "idps.partners.issuer",
        "must be https",
    ),
    mistake(
        "issuer = \"https://partners.",
        "issuer = \"https://u:hunter2@partners.",
        "partners.example",
        "idps.partners.issuer",
        "no password",
    ),
    mistake("[\"openid\", \"email\"]", "[\"email\"]", "scopes", "idps.corp.scopes", "`openid` is missing"),
    mistake(
        "claims = { device",
        "prove_by = \"hope\"\nclaims = { device",
        "hope",
        "idps.corp.prove_by",
        "\"auth_time\" or \"issued_at\"",
    ),
    mistake(
        "speaks_for = [\"corp\"]",
        "speaks_for = [\"crop\"]",
        "crop",
        "streams.corp.speaks_for[0]",
        "did you mean \"corp\"?",
    ),
    mistake("speaks_for = [\"corp\"]\n", "", "[streams.corp]", "streams.corp.speaks_for", "it is missing"),
    mistake("\"push\"", "\"mail\"", "delivery", "streams.corp.delivery", "write \"push\" or \"poll\""),
    mistake(PUSH, POLL_AND_PUSH, "push_token_file", "streams.corp.push_token_file", "`delivery` is \"poll\"; remove"),
    mistake(
        "widest",
        "poll_url = \"https://a\"\nwidest",
        "poll_url",
        "streams.corp.poll_url",
        "`delivery` is \"push\"",
    ),
    mistake("widest", "poll_token = \"x\"\nwidest", "poll_token", "streams.corp.poll_token", "or change `delivery`"),
    mistake(
        PUSH,
        POLL_NOWHERE,
        "[streams.corp]",
        "streams.corp.poll_url",
        "the `endpoint_url` that the transmitter gave",
    ),
    mistake(PUSH, POLL_BY_NOBODY, "[streams.corp]", "streams.corp.poll_token_file", "names the file that holds"),
    mistake(PUSH, POLL_IN_CLEAR, "poll_url", "streams.corp.poll_url", "must be https"),
    mistake(PUSH, POLL_WITH_BLANK, "poll_token", "streams.corp.poll_token", "cannot stand in a header"),
    mistake("\"group\"", "\"galaxy\"", "galaxy", "streams.corp.widest", "none of the choices"),
    mistake("widest", "apps = [\"wikki\"]\nwidest", "wikki", "streams.corp.apps[0]", "did you mean \"wiki\"?"),
    mistake(
        "widest",
        "events = { session-revokd = \"hold\" }\nwidest",
        "events",
        "streams.corp.events.session-revokd",
        "did you mean \"session-revoked\"?",
    ),
    mistake(
        "widest",
        "events = { session-revoked = \"kill\" }\nwidest",
        "events",
        "streams.corp.events.session-revoked",
        "none of the choices",
    ),
    mistake(
        "widest",
        "events = { session-revoked = \"lift\" }\nwidest",
        "events",
        "streams.corp.events.session-revoked",
        "none of the choices",
    ),
    mistake(
        "widest",
        "events = { account-enabled = \"hold\" }\nwidest",
        "events",
        "streams.corp.events.account-enabled",
        "\"lift\" or \"ignore\"",
    ),
    mistake(
        "widest",
        "events = { session-revoked = { } }\nwidest",
        "events",
        "streams.corp.events.session-revoked",
        "it says nothing",
    ),
    mistake(
        "widest",
        "events = { session-revoked = { at_least = \"LOW\" } }\nwidest",
        "events",
        "streams.corp.events.session-revoked.at_least",
        "only `risk-level-change`",
    ),
    mistake(
        "widest",
        "events = { session-revoked = { action = \"hold\", at = \"LOW\" } }\nwidest",
        "events",
        "streams.corp.events.session-revoked.at",
        "there is no key",
    ),
    mistake(
        "widest",
        "events = { session-revoked = 7 }\nwidest",
        "events",
        "streams.corp.events.session-revoked",
        "a text, or a table",
    ),
    mistake(
        "widest",
        "critical_members = [7]\nwidest",
        "critical_members",
        "streams.corp.critical_members[0]",
        "expected a text",
    ),
    mistake(
        "widest",
        "allowed_events = []\nwidest",
        "allowed_events",
        "streams.corp.allowed_events",
        "could say nothing",
    ),
    mistake(
        "widest",
        "allowed_events = [\"x\"]\nwidest",
        "allowed_events",
        "streams.corp.allowed_events[0]",
        "there is no event",
    ),
    mistake(
        "widest",
        "scim_external_id = \"phone\"\nwidest",
        "scim_external_id",
        "streams.corp.scim_external_id",
        "none of the choices",
    ),
    mistake("widest", "apps = []\nwidest", "apps = []", "streams.corp.apps", "would count nowhere"),
    mistake("widest", "tenants = []\nwidest", "tenants", "streams.corp.tenants", "could revoke nobody"),
    mistake("widest", "email_domains = [\"@\"]\nwidest", "\"@\"", "streams.corp.email_domains[0]", "domain"),
    mistake("widest", "users_per_minute = 0\nwidest", "users_per_minute", "streams.corp.users_per_minute", "between 1"),
    mistake("widest", "preset = \"otka\"\nwidest", "otka", "streams.corp.preset", "\"okta\" or \"keycloak\" or"),
    mistake("widest", ISSUERS_OF_STRANGERS, "partners\" }", SUBJECT_ISSUER, "is not in `speaks_for`"),
    mistake("widest", ISSUERS_IN_CLEAR, "subject_issuers", CLEAR_SUBJECT_ISSUER, "must be https"),
    mistake("widest", ISSUERS_OF_NOBODY, "subject_issuers", SUBJECT_ISSUER, "the list is empty"),
    mistake(
        "audience = \"https://wiki.example.com\"",
        "audience = []",
        "audience",
        "streams.corp.audience",
        "names nobody",
    ),
    // streams that the gateway manages
    managed!("token_file = \"short\"", "push_url", "it is missing: where shall the transmitter push? write `push_url"),
    managed!(
        "token_file = \"short\", push_url = \"https://wiki.example.com/oauth2/ssf/other\"",
        "push_url",
        "are taken at `/oauth2/ssf/corp`"
    ),
    managed!(
        "token_file = \"short\", push_url = \"http://wiki.example.com/oauth2/ssf/corp\"",
        "push_url",
        "must be https"
    ),
    managed!(PUSHED, "", "token_file", "it is missing: write `token_file`, or `token_url`"),
    managed!(PUSHED, "token_file = \"short\", client_id = \"gw\"", "token_file", "keep one of the two"),
    managed!(PUSHED, "token = \"hunter2 hunter2\"", "token", "cannot stand in a header"),
    managed!(PUSHED, "client_id = \"gw\", client_secret = \"x\"", "token_url", "it is missing"),
    managed!(PUSHED, "token_url = \"https://as.example.com/t\", client_secret = \"x\"", "client_id", "it is missing"),
    managed!(PUSHED, CLIENT, "", "client_secret_file", "or write `key_file` and `key_id`"),
    managed!(PUSHED, CLIENT, "key_file = \"corp.secret\"", "key_id", "the `kid` under which the key is registered"),
    managed!(PUSHED, CLIENT, "key_file = \"corp.secret\", key_id = \"k\"", "key_file", "holds no private key in PEM"),
    managed!(PUSHED, CLIENT, "client_secret = \"x\", key_id = \"k\"", "key_id", "there is no `key_file`"),
    managed!(PUSHED, CLIENT, "client_secret = \"x\", auth = \"jwt\"", "auth", "write \"basic\" or \"post\""),
    managed!(PUSHED, CLIENT, "client_secret = \"x\", scopes = []", "scopes", "the list is empty"),
    managed!(PUSHED, "token_file = \"short\", events = []", "events", "no event would come"),
    managed!(PUSHED, "token_file = \"short\", events = [\"opt-on\"]", "events[0]", "did you mean \"opt-in\"?"),
    managed!(PUSHED, "token_file = \"short\", hosts = [\"https://x.example\"]", "hosts[0]", "is no host; write"),
    managed!(PUSHED, "token_file = \"short\", host = \"x\"", "host", "did you mean `hosts`"),
    mistake(
        PUSH,
        "delivery = \"poll\"\nmanage = { token_file = \"short\", push_url = \"https://wiki.example.com/oauth2/ssf/corp\" }",
        "manage",
        "streams.corp.manage.push_url",
        "nobody pushes",
    ),
    mistake(
        PUSH,
        "delivery = \"poll\"\npoll_url = \"https://a\"\nmanage.token_file = \"short\"",
        "poll_url",
        "streams.corp.poll_url",
        "the transmitter says where",
    ),
    mistake("widest", "subjects = \"none\"\nwidest", "subjects", "streams.corp.subjects", "write `manage = { … }`"),
    mistake("widest", "verify_every = \"90\"\nwidest", "verify_every", "streams.corp.verify_every", "has no unit"),
    mistake(
        "widest",
        "blind_after = \"2m\"\nwidest",
        "blind_after",
        "streams.corp.blind_after",
        "longer than `verify_every`",
    ),
    mistake(
        "widest",
        "metadata_url = \"http://idp.example.com/m\"\nwidest",
        "metadata_url",
        "streams.corp.metadata_url",
        "must be https",
    ),
    // apps
    mistake(IDP, "idp = \"crop\"", "crop", "apps.wiki.idp", "there is no [idps.crop]; did you mean \"corp\"?"),
    mistake(IDP, "", "[apps.wiki]", "apps.wiki.idp", "it is missing"),
    mistake("[apps.wiki]", "[apps.\"wi ki\"]", "wi ki", "apps.wi ki", "a name has letters"),
    mistake("url = \"https://wiki", "url = \"http://wiki", "http://wiki", "apps.wiki.url", "must be https"),
    mistake(
        "https://mail.example.com/webmail",
        "https://wiki.example.com:444",
        ":444",
        "apps.mail.url",
        "[apps.wiki] has the same host",
    ),
    mistake(
        "https://mail.example.com/",
        "https://wiki.example.com/",
        "idp = \"partners\"",
        "apps.mail.idp",
        "share a session",
    ),
    mistake(UPSTREAMS, "upstreams = []", "upstreams = []", "apps.wiki.upstreams", "has no server"),
    mistake(
        "http://10.0.0.6:8080",
        "http://10.0.0.6:8080/x",
        "10.0.0.6",
        "apps.wiki.upstreams[1]",
        "write `http://10.0.0.6:8080`",
    ),
    mistake("http://10.0.0.6:8080", "http://u:hunter2@10.0.0.6", "10.0.0.6", "apps.wiki.upstreams[1]", "no password"),
    mistake("10.0.0.6", "10.0.0.5", UPSTREAMS_TWICE, "apps.wiki.upstreams[1]", "in the list already"),
    mistake(
        "{ connect_timeout = \"2s\" }",
        "{ server_name = \"wiki.internal\" }",
        "server_name",
        "apps.wiki.upstream.server_name",
        "no upstream speaks TLS",
    ),
    mistake("\"/healthz\"", "\"/a/../healthz\"", "healthz", "apps.wiki.rules[0].path", "write `/healthz`"),
    mistake("\"/healthz\"", "\"/health*\"", "health*", "apps.wiki.rules[0].path", "no wildcard"),
    mistake("\"/healthz\"", "\"/admin\"", "{ path = \"/admin\", allow", "apps.wiki.rules[1].path", "the same path"),
    mistake(
        RULE,
        "{ path = \"/x\", access = \"public\", allow = { groups = [\"a\"] } }",
        "\"/x\"",
        "apps.wiki.rules[0].allow",
        "nobody would be asked",
    ),
    mistake(
        "max_body",
        "rules = [{ path = \"/x\" }]\nmax_body",
        "\"/x\"",
        "apps.mail.rules[0].path",
        "write `/webmail/x`",
    ),
    mistake(ALLOW, "access = \"bearers\"", "bearers", "apps.wiki.access", "none of the choices"),
    // tokens
    mistake(ALLOW, "access = \"bearer\"", "[apps.wiki]", "apps.wiki.bearer", "write `bearer = { audience"),
    mistake(
        "max_body",
        "bearer = { audience = \"x\" }\nmax_body",
        "bearer",
        "apps.mail.bearer",
        "nothing asks for tokens",
    ),
    mistake(ALLOW, tokens!("dpop = true"), "bearer", "apps.wiki.bearer.audience", "whom must a token be for"),
    mistake(ALLOW, tokens!("audience = []"), "bearer", "apps.wiki.bearer.audience", "names nobody"),
    mistake(ALLOW, tokens!("audience = \" \""), "bearer", "apps.wiki.bearer.audience", "it is empty"),
    mistake(
        ALLOW,
        tokens!("audience = \"api\", introspect = \"61s\""),
        "bearer",
        "apps.wiki.bearer.introspect",
        "at most `60s`",
    ),
    mistake(
        ALLOW,
        tokens!("audience = \"api\", introspect = \"500ms\""),
        "bearer",
        "apps.wiki.bearer.introspect",
        "whole seconds",
    ),
    mistake(ALLOW, tokens!("audience = \"api\", types = []"), "bearer", "apps.wiki.bearer.types", "the list is empty"),
    mistake(
        ALLOW,
        tokens!("audience = \"api\", types = [\"application/at+jwt\"]"),
        "bearer",
        "apps.wiki.bearer.types[0]",
        "without `application/`",
    ),
    mistake(
        ALLOW,
        tokens!("audience = \"api\", types = \"logout+jwt\""),
        "bearer",
        "apps.wiki.bearer.types",
        "is no access token",
    ),
    mistake(
        ALLOW,
        tokens!("audience = [\"api\", \"portcullis\"], types = [\"at+jwt\", \"JWT\"]"),
        "bearer",
        "apps.wiki.bearer.types[1]",
        "our own `client_id`",
    ),
    mistake(
        ALLOW,
        tokens!("audience = \"api\", unproven = \"accept\""),
        "bearer",
        "apps.wiki.bearer.unproven",
        "\"refuse\" or \"iat\"",
    ),
    mistake(ALLOW, tokens!("audience = \"api\", dop = true"), "bearer", "apps.wiki.bearer.dop", "did you mean `dpop`"),
    mistake(
        "max_body",
        "access = \"either\"\nbearer = { audience = \"api\", introspect = \"10s\" }\nmax_body",
        "introspect",
        "apps.mail.bearer.introspect",
        "[idps.partners] has no secret",
    ),
    mistake(CLAIMS, "revalidate = { by = \"refresh\" }", "revalidate", "idps.corp.revalidate.every", "it is missing"),
    mistake(CLAIMS, "revalidate = { every = \"5m\" }", "revalidate", "idps.corp.revalidate.by", "it is missing"),
    mistake(
        CLAIMS,
        "revalidate = { every = \"1s\", by = \"silent\" }",
        "revalidate",
        "idps.corp.revalidate.every",
        "between `2s` and `24h`",
    ),
    mistake(
        CLAIMS,
        "revalidate = { every = \"5m\", by = \"graph\" }",
        "revalidate",
        "idps.corp.revalidate.by",
        "none of the choices",
    ),
    mistake(
        CLAIMS,
        "revalidate = { every = \"5m\", by = \"refresh\", calls = 3 }",
        "revalidate",
        "idps.corp.revalidate.calls",
        "there is no key `calls`",
    ),
    mistake(
        CLAIMS,
        "revalidate = { every = \"5m\", by = \"refresh\", calls_per_second = 0 }",
        "revalidate",
        "idps.corp.revalidate.calls_per_second",
        "between 1 and 1000",
    ),
    mistake(
        CLAIMS,
        "revalidate = { every = \"5m\", by = \"refresh\", max_sessions = 0 }",
        "revalidate",
        "idps.corp.revalidate.max_sessions",
        "between 1 and 1000000",
    ),
    mistake(
        CLAIMS,
        "revalidate = { every = \"5m\", by = \"refresh\", patience = \"1m\" }",
        "revalidate",
        "idps.corp.revalidate.patience",
        "not be shorter than `every`",
    ),
    mistake(
        CLAIMS,
        "revalidate = { every = \"5m\", by = \"silent\", scopes = [\"x\"] }",
        "revalidate",
        "idps.corp.revalidate.scopes",
        "about checks in the background",
    ),
    mistake(CLAIMS, "introspection = {}", "introspection", "idps.corp.introspection.endpoint", "drop `introspection`"),
    mistake(
        CLAIMS,
        "introspection = { client_id = \"api\" }",
        "introspection",
        "idps.corp.introspection.client_secret_file",
        "it is missing",
    ),
    mistake(
        CLAIMS,
        "introspection = { client_secret_file = \"corp.secret\" }",
        "introspection",
        "idps.corp.introspection.client_id",
        "whose secret",
    ),
    mistake(
        CLAIMS,
        "introspection = { endpoint = \"http://idp.example.com/introspect\" }",
        "introspection",
        "idps.corp.introspection.endpoint",
        "must be https",
    ),
    mistake(
        CLAIMS,
        "global_revocation = { issuer = \"https://org.okta.example\" }",
        "global_revocation",
        "idps.corp.global_revocation.jwks_uri",
        "another issuer has other keys",
    ),
    mistake(
        CLAIMS,
        "global_revocation = { audience = [] }",
        "global_revocation",
        "idps.corp.global_revocation.audience",
        "no call would count",
    ),
    mistake(
        CLAIMS,
        "global_revocation = { token = \"0123456789abcdef\", audience = \"https://x.example\" }",
        "global_revocation",
        "idps.corp.global_revocation.audience",
        "drop it, or drop `token_file`",
    ),
    mistake(
        CLAIMS,
        "global_revocation = { token = \"short\" }",
        "global_revocation",
        "idps.corp.global_revocation.token",
        "shorter than",
    ),
    mistake(
        CLAIMS,
        "global_revocation = { jwks_uri = \"http://idp.example.com/keys\" }",
        "global_revocation",
        "idps.corp.global_revocation.jwks_uri",
        "must be https",
    ),
    mistake(
        CLAIMS,
        "global_revocation = { audiences = \"x\" }",
        "global_revocation",
        "idps.corp.global_revocation.audiences",
        "did you mean `audience`",
    ),
    mistake(
        CLAIMS,
        "frontchannel_logout = \"yes\"",
        "frontchannel_logout",
        "idps.corp.frontchannel_logout",
        "expected `true` or `false`",
    ),
    mistake(CLAIMS, "commands = true", "commands", "idps.corp.commands", "a table"),
    mistake(
        CLAIMS,
        "commands = { audience = [] }",
        "commands",
        "idps.corp.commands.audience",
        "no command would count",
    ),
    mistake(
        CLAIMS,
        "commands = { widest = \"everyone\" }",
        "commands",
        "idps.corp.commands.widest",
        "\"user\" or \"tenant\"",
    ),
    mistake(
        CLAIMS,
        "commands = { widests = \"user\" }",
        "commands",
        "idps.corp.commands.widests",
        "did you mean `widest`",
    ),
    mistake(CLAIMS, "global_revocation = true", "global_revocation", "idps.corp.global_revocation", "a table"),
    mistake(
        ALLOW,
        "logout_paths = [\"logout\"]",
        "logout_paths",
        "apps.wiki.logout_paths[0]",
        "write `/logout`, `POST /logout`",
    ),
    mistake(ALLOW, "logout_paths = \"/logout\"", "logout_paths", "apps.wiki.logout_paths", "a list of texts"),
    mistake(ALLOW, "derived = []", "derived", "apps.wiki.derived", "no token would count"),
    mistake(ALLOW, "derived = [{ path = \"/t\" }]", "derived", "apps.wiki.derived[0].response", "it is missing"),
    mistake(
        ALLOW,
        "derived = [{ path = \"t\", response = \"/t\" }]",
        "derived",
        "apps.wiki.derived[0].path",
        "with `*` for any one segment",
    ),
    mistake(
        ALLOW,
        "derived = [{ path = \"/t\", response = \"/a~3\" }]",
        "derived",
        "apps.wiki.derived[0].response",
        "names no place for a token",
    ),
    mistake(
        ALLOW,
        "derived = [{ path = \"/t\", request = \"?code\" }]",
        "derived",
        "apps.wiki.derived[0].request",
        "a request has no redirect",
    ),
    mistake(
        ALLOW,
        "derived_max_age = \"1d\"",
        "derived_max_age",
        "apps.wiki.derived_max_age",
        "in `derived`, or drop it",
    ),
    mistake(
        ALLOW,
        "derived = [{ path = \"/t\", response = \"/t\" }]\nderived_headers = [\"Authorization\"]",
        "derived_headers",
        "apps.wiki.derived_headers[0]",
        "looked at anyway",
    ),
    mistake("groups = [\"staff\"]", "groups = []", "allow = { groups", "apps.wiki.allow.groups", "admits everyone"),
    mistake(
        "groups = [\"staff\"]",
        "email_domains = [\"@corp.com\"]",
        "@corp",
        "apps.wiki.allow.email_domains[0]",
        "`corp.com`",
    ),
    mistake("groups = [\"staff\"]", "emails = [\"ann\"]", "ann", "apps.wiki.allow.emails[0]", "no e-mail address"),
    mistake(
        "department = \"it\"",
        "department = []",
        "department",
        "apps.wiki.allow.claims.department",
        "nobody could satisfy",
    ),
    mistake("\"remote\"", "\"X-Remote\"", "X-Remote", "apps.mail.headers", "\"x-remote\""),
    mistake(
        "max_body",
        "websocket_origins = [\"https://a.example/ws\"]\nmax_body",
        "websocket",
        "apps.mail.websocket_origins[0]",
        "write `https://a.example`",
    ),
];

const UPSTREAMS_TWICE: &str = "upstreams = [\"http://10.0.0.5:8080\", \"http://10.0.0.5:8080\"]";

#[test]
fn each_mistake_is_found_on_its_line_and_nothing_else_is() {
    for Mistake { change: (from, to), on, key, why } in MISTAKES {
        assert!(GOOD.contains(from), "`{from}` is not in the good file");
        let text = GOOD.replacen(from, to, 1);
        let line = on.map(|needle| 1 + text.lines().position(|line| line.contains(needle)).expect(needle));
        let found = faults(&text);
        let [fault] = found.as_slice() else { panic!("`{from}` → `{to}`: expected one fault, got {found:#?}") };
        assert_eq!((fault.line, fault.key.as_str()), (line, *key), "`{from}` → `{to}`: {}", fault.why);
        assert!(fault.why.contains(why), "`{from}` → `{to}`: expected `{why}` in `{}`", fault.why);
        assert!(!fault.why.contains("hunter2"), "a secret is repeated: {}", fault.why);
    }
}

#[test]
fn ten_mistakes_are_ten_faults_in_the_order_of_the_file() {
    let mut text = GOOD.to_owned();
    for (from, to) in [
        ("127.0.0.1:8080", "8080"),
        ("127.0.0.1:9090", "0.0.0.0:9090"),
        ("ring-0.key", "gone.key"),
        ("idle =", "idel ="),
        ("https://idp.example.com", "http://idp.example.com"),
        ("\"push\"", "\"mail\""),
        ("speaks_for = [\"corp\"]", "speaks_for = [\"crop\"]"),
        ("http://10.0.0.6:8080", "http://10.0.0.6:8080/x"),
        ("\"/healthz\"", "\"healthz\""),
        ("10MiB", "10MB"),
    ] {
        text = text.replacen(from, to, 1);
    }
    let found = faults(&text);
    assert_eq!(found.len(), 10, "{found:#?}");
    assert!(found.is_sorted_by_key(|fault| fault.line), "{found:#?}");
}

#[test]
fn what_is_not_toml_is_said_with_its_line() {
    for (text, line) in [("[server\n", 1), ("[server]\nlisten = [\n", 2), ("a = 1\na = 2\n", 2), ("\n\nx y\n", 3)] {
        let found = faults(text);
        let first = found.first().expect("a fault");
        assert!(first.why.starts_with("this is not TOML"), "{first:?}");
        assert!(first.line.is_some_and(|found| found == line || found == line + 1), "`{text}`: {first:?}");
    }
}

#[test]
fn a_missing_file_is_a_fault_like_any_other() {
    let faults = Config::load(Path::new("no/such/portcullis.toml")).expect_err("no such file");
    assert!(faults.to_string().starts_with("no/such/portcullis.toml  the config cannot be read"), "{faults}");
}

/// xorshift64*: good enough to walk through texts, and the same walk every time.
struct Walk(u64);

impl Walk {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).expect("31 bits") % bound
    }
}

#[test]
fn no_mutation_of_a_file_makes_it_panic() {
    const SEED: u64 = 0x5eed_2026;
    const SPICE: [&str; 16] =
        ["\"", "[", "]", "{", "}", "=", ".", "\n", "'''", "0", "-1", "\u{0}", "ü", "https://", "inf", "1979-05-27"];
    let mut walk = Walk(SEED);
    let shelf = shelf();
    for round in 0..3000 {
        let mut text: Vec<char> = GOOD.chars().collect();
        for _ in 0..=walk.below(4) {
            let (from, length) = (walk.below(text.len()), walk.below(12));
            let to = (from + length).min(text.len());
            match walk.below(4) {
                0 => drop(text.drain(from..to)),
                1 => drop(text.splice(from..from, SPICE[walk.below(SPICE.len())].chars())),
                2 => drop(text.splice(from..to, SPICE[walk.below(SPICE.len())].chars())),
                _ => {
                    let piece = text[from..to].to_vec();
                    let at = walk.below(text.len());
                    drop(text.splice(at..at, piece));
                }
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(faults) = Config::parse(&text, Path::new("p.toml"), &shelf) {
            let lines = text.matches('\n').count() + 1;
            let outside = |fault: &&Fault| fault.line.is_some_and(|line| line == 0 || line > lines);
            assert_eq!(faults.iter().find(outside), None, "seed {SEED:#x}, round {round}:\n{text}");
            let said = faults.to_string();
            assert!(!said.contains("cannot be understood"), "seed {SEED:#x}, round {round}: no reason given\n{text}");
        }
    }
}

//! What there is: apps, people, and what they hold.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis::apps::App;
use portcullis::config::{Config, File, Files};
use portcullis::enforcer::{Enforcer, Settings};
use portcullis::exchanges::{Cut, Guard};
use portcullis::identity::{Email, Identity, Issuer, TargetKind};
use portcullis::lineage::Names;
use portcullis::seal::{KeyRing, generate_key};
use portcullis::time::Timestamp;
use zeroize::Zeroizing;

use crate::Dice;
use crate::law::{Basis, Happened, Made, Place, Signed};
use crate::words::Fact;

/// How old a login may be, by the config below.
pub(super) const LOGIN: u64 = 300;
/// How long a session lives.
pub(super) const SESSION: u64 = 600;
/// How long a token lives.
pub(super) const TOKEN: u64 = 720;
/// What clocks may differ by.
pub(super) const MARGIN: u64 = 60;
/// Revocations are kept for so long.
pub(super) const RETENTION: u64 = LOGIN + TOKEN + MARGIN;

pub(super) const PLACES: [Place; 4] = [
    Place { name: "wiki", host: "a.example", realm: "office" },
    Place { name: "pay", host: "a.example", realm: "pay" },
    Place { name: "mail", host: "b.example", realm: "office" },
    Place { name: "shop", host: "c.example", realm: "shop" },
];

pub(super) const CONFIG: &str = r#"
server.listen = ["127.0.0.1:8080"]
admin = { listen = "127.0.0.1:9090", token = "0123456789abcdef" }
keys.files = ["ring.key"]
ledger.path = "ledger.db"
session = { max_age = "10m", idle = "10m" }
idps.corp = { issuer = "https://idp0.example.com", client_id = "portcullis", max_age = "5m" }
idps.partners = { issuer = "https://idp1.example.com", client_id = "portcullis", max_age = "5m" }
"#;

/// The one file that the config names.
struct Ring(Vec<u8>);

impl Files for Ring {
    fn read(&self, _: &Path) -> io::Result<File> {
        Ok(File { bytes: Zeroizing::new(self.0.clone()), exposed: false })
    }
}

pub(super) fn config() -> (Config, Arc<KeyRing>) {
    let app = |place: &Place| {
        let Place { name, host, realm } = place;
        let idp = if *name == "shop" { "partners" } else { "corp" };
        format!(
            r#"
[apps.{name}]
url = "https://{host}/{name}"
upstreams = ["http://127.0.0.1:1"]
idp = "{idp}"
realm = "{realm}"
rules = [{{ path = "/{name}/open", access = "public" }}]
derived = [{{ path = "/{name}/token", response = "/token" }}]
derived_headers = ["x-api-key"]
derived_max_age = "12m"
"#
        )
    };
    let text = CONFIG.to_owned() + &PLACES.iter().map(app).collect::<String>();
    let key = generate_key().expect("randomness").expose().clone();
    let ring = KeyRing::parse([key.as_str()]).expect("a key").expect("a ring");
    let config = Config::parse(&text, Path::new("portcullis.toml"), &Ring(key.into_bytes()));
    (config.unwrap_or_else(|faults| panic!("{faults}")), Arc::new(ring))
}

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

/// Something that a client holds, and what the model knows of it.
#[derive(Clone)]
pub(super) struct Holding<T> {
    pub(super) known: T,
    /// Cookies, or one token under no name.
    pub(super) sent: Vec<(String, String)>,
}

/// An exchange in flight.
pub(super) struct Flight {
    pub(super) app: &'static str,
    pub(super) held: Vec<Basis>,
    pub(super) end: Option<u64>,
    pub(super) cut: Cut,
    pub(super) guard: Guard,
    /// The laws ended it.
    pub(super) over: bool,
}

#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) words: HashMap<&'static str, usize>,
    pub(super) cuts: usize,
    pub(super) ends: usize,
    pub(super) returns: usize,
    pub(super) refreshed: usize,
}

pub(super) struct World<'a> {
    pub(super) config: &'a Config,
    pub(super) ring: &'a Arc<KeyRing>,
    pub(super) settings: Settings,
    pub(super) enforcer: Enforcer,
    pub(super) names: Names,
    pub(super) happened: Vec<Happened>,
    /// On its way: it comes late, some of it more than once.
    pub(super) pending: Vec<Happened>,
    pub(super) people: Vec<Vec<Fact>>,
    /// By person: when they last proved who they are.
    pub(super) proofs: Vec<Option<u64>>,
    pub(super) sessions: Vec<Holding<Signed>>,
    pub(super) cookies: Vec<Holding<Made>>,
    pub(super) tokens: Vec<Holding<Made>>,
    pub(super) flights: Vec<Flight>,
    pub(super) now: u64,
    pub(super) made: u64,
    /// Old revocations are dropped in this world; then everybody says when they signed in.
    pub(super) sweeps: bool,
}

impl<'a> World<'a> {
    pub(super) fn new(config: &'a Config, ring: &'a Arc<KeyRing>, dice: &mut Dice) -> Self {
        let settings = Settings {
            longest_life: Duration::from_secs(LOGIN + TOKEN),
            margin: Duration::from_secs(MARGIN),
            exchanges: portcullis::exchanges::Settings::default(),
        };
        let people: Vec<_> = (0..8).map(|n| person(dice, n % 2, n / 2)).collect();
        Self {
            config,
            ring,
            enforcer: Enforcer::new(&settings, Arc::clone(ring)),
            settings,
            names: Names::default(),
            happened: vec![],
            pending: vec![],
            proofs: vec![None; people.len()],
            people,
            sessions: vec![],
            cookies: vec![],
            tokens: vec![],
            flights: vec![],
            now: 10_000,
            made: 0,
            sweeps: dice.one_in(2),
        }
    }

    pub(super) fn app(&self, name: &str) -> &'a App {
        self.config.apps.named(name).expect("an app")
    }
}

/// Somebody of an IdP's: what it always says of them.
pub(super) fn person(dice: &mut Dice, issuer: u64, value: u64) -> Vec<Fact> {
    let mut facts = vec![Fact { issuer, kind: TargetKind::User, value }];
    facts.push(Fact { issuer, kind: TargetKind::Everyone, value: 0 });
    for kind in [TargetKind::Email, TargetKind::Tenant] {
        if !dice.one_in(4) {
            facts.push(Fact::random(dice, issuer, kind));
        }
    }
    for _ in 0..dice.below(3) {
        facts.push(Fact::random(dice, issuer, TargetKind::Group));
    }
    facts
}

/// What the IdP says of whom these facts are true.
pub(super) fn identity(facts: &[Fact], asserted_at: u64, auth_time: Option<u64>, said: Option<u64>) -> Identity {
    let texts = |kind| facts.iter().filter(move |fact| fact.kind == kind).map(|fact| fact.target().value);
    let text = |kind| texts(kind).next();
    Identity {
        issuer: Issuer::parse(&format!("https://idp{}.example.com", facts[0].issuer)).expect("issuer"),
        subject: text(TargetKind::User).expect("a user"),
        sid: text(TargetKind::Session),
        email: text(TargetKind::Email).and_then(|email| Email::parse(&email)),
        phone: None,
        preferred_username: None,
        groups: texts(TargetKind::Group).collect(),
        tenant: text(TargetKind::Tenant),
        device: text(TargetKind::Device),
        asserted_at: at(asserted_at),
        auth_time: auth_time.map(at),
        session_expiry: said.map(at),
    }
}

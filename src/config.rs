//! The config file: text → values that cannot be wrong, or every fault at once.
//!
//! Three steps: [`toml`] parses the text and keeps where everything stands; a reader walks the tables, turns each field
//! into its own type and notes each mistake with its line; what contradicts itself across tables is found last. Nothing
//! is guessed: an unknown key, a missing secret, a file that others may read, and the gateway does not start.

mod apps;
mod built_in;
mod context;
mod events;
mod faults;
mod files;
mod idps;
mod manage;
mod minting;
mod pages;
mod fleet;
mod outcomes;
mod reader;
mod reading;
mod realms;
mod restart;
mod revalidate;
mod secrets;
mod server;
mod shape;
mod streams;
mod tokens;
mod values;
mod words;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;
use url::Url;

pub use self::faults::{Fault, Faults};
pub use self::files::{Disk, File, Files};
pub use self::outcomes::{OutcomeSettings, WebhookSettings};
use self::reader::{Context, Reader};
pub use self::reading::{Change, Difference, Reading, Rewritten};
pub use self::restart::waits_for_restart;
pub use self::secrets::Certificate;
pub use self::shape::{Form, Key, Shape};
use crate::apps::Apps;
use crate::event::{Preset, Type, supervise};
pub use crate::http::Settings as OutboundSettings;
use crate::identity::{Issuer, TargetKind};
pub use crate::idp::Settings as IdpSettings;
use crate::page::Look;
use crate::policy::{Bounds, Rules, Widest};
pub use crate::proxy::{Cidr, InvalidCidr};
use crate::seal::KeyRing;
use crate::secret::Secret;
use crate::session;
pub use crate::stream::Delivery;
use crate::stream::manage as manage_stream;

/// Everything that the file says.
#[derive(Debug)]
pub struct Config {
    /// `[server]`: where people come in.
    pub server: ServerSettings,
    /// `[admin]`: where operators come in.
    pub admin: AdminSettings,
    /// `[keys]`: what seals cookies.
    pub keys: KeyRing,
    /// `[ledger]`: where revocations are written down.
    pub ledger: LedgerSettings,
    /// `[session]`: how long sessions live.
    pub session: session::Settings,
    /// `[audit]`: where the audit trail goes.
    pub audit: AuditTo,
    /// `[log]`: how much is said.
    pub log: LogLevel,
    /// `[audit] targets`: people's addresses and session ids are shown as they are.
    pub shows_targets: bool,
    /// `[fleet]`: the other gateways; `None` for one that is alone.
    pub fleet: Option<FleetSettings>,
    /// `[outcomes]`: what is remembered of revocations.
    pub outcomes: OutcomeSettings,
    /// `[pages]`: how pages look.
    pub pages: Look,
    /// `[outbound]`: how the gateway calls others.
    pub outbound: OutboundSettings,
    /// `[idps.NAME]`, by name.
    pub idps: BTreeMap<String, IdpSettings>,
    /// `[streams.NAME]`, by name.
    pub streams: BTreeMap<String, StreamSettings>,
    /// `[apps.NAME]`.
    pub apps: Apps,
    /// What all of this was read from.
    pub reading: Reading,
}

/// `[server]`.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Addresses for plain HTTP.
    pub listen: Vec<SocketAddr>,
    /// Addresses for TLS.
    pub tls: Vec<TlsListener>,
    /// Proxies in front whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// How long clients may take.
    pub timeouts: Timeouts,
    /// The largest header block of a request, in bytes; a larger one is answered 431.
    pub max_header_bytes: usize,
    /// Exchanges in flight at the most; one more is answered 503.
    pub max_exchanges: usize,
    /// Threads that serve; `None` for one per core.
    pub threads: Option<usize>,
}

/// One address that speaks TLS.
#[derive(Clone, Debug)]
pub struct TlsListener {
    /// The address.
    pub listen: SocketAddr,
    /// The certificate for names that no other covers, and for clients that name none.
    pub certificate: Certificate,
    /// Certificates for further names; the first that covers the name is taken.
    pub certificates: Vec<Certificate>,
}

/// How long clients may take.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request to the end of its header block.
    pub header_read: Duration,
    /// Between two pieces of a request body.
    pub body_read: Duration,
    /// Between two requests on one connection.
    pub keep_alive: Duration,
    /// From the order to stop until running exchanges are ended.
    pub shutdown: Duration,
    /// From the order to stop until nobody is let in any more; `None` for what is usual.
    pub drain_lead: Option<Duration>,
}

/// `[admin]`.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// The address; loopback.
    pub listen: SocketAddr,
    /// What operators present.
    pub token: Secret<String>,
}

/// `[ledger]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerSettings {
    /// The database file.
    pub path: PathBuf,
    /// Entries of the revocation set at the most; beyond it nobody new signs in.
    pub max_subjects: usize,
}

/// `[audit]`: where the audit trail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTo {
    /// Standard output, one JSON object per line.
    Stdout,
    /// Nowhere.
    Off,
    /// A file, appended to.
    File(PathBuf),
}

/// `[fleet]`: the other gateways.
#[derive(Debug)]
pub struct FleetSettings {
    /// What carries letters to them.
    pub engine: EngineSettings,
    /// When a sender is told that a signal is accepted.
    pub accept: crate::fleet::Accept,
    /// How long telling the others may take.
    pub tell_within: Duration,
    /// After how long without a sign of life a gateway is stale.
    pub stale_after: Duration,
    /// How long after its start it may take to hear what it missed.
    pub catch_up_within: Duration,
    /// How often people go through their IdP again while it is stale.
    pub recheck_every: Duration,
    /// How long nobody may fetch the events of a stream after the gateway that did is gone.
    pub lead_for: Duration,
}

/// What carries letters between gateways.
#[derive(Clone, Debug)]
pub enum EngineSettings {
    /// NATS JetStream.
    Jetstream(Box<crate::fleet::jetstream::Settings>),
    /// PostgreSQL.
    Postgres(Box<crate::fleet::postgres::Settings>),
}

/// `[log]`: how much is said.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What may fail soon, too.
    Warn,
    /// What happened, too.
    Info,
    /// How it happened, too.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `[streams.NAME]`.
#[derive(Clone, Debug)]
pub struct StreamSettings {
    /// Its name in the config, and the last part of the URL that the transmitter pushes to.
    pub name: String,
    /// The transmitter's issuer, byte for byte.
    pub issuer: Issuer,
    /// What `aud` of its events must hold one of.
    pub audience: Vec<String>,
    /// How events arrive.
    pub delivery: Delivery,
    /// Where its keys are; `None` asks its SSF configuration (SSF §7.1).
    pub jwks_uri: Option<Url>,
    /// Names of the IdPs whose people it may revoke; at least one.
    pub speaks_for: Vec<String>,
    /// The widest that one of its events may reach.
    pub widest: Widest,
    /// Further bounds of whom and what it reaches.
    pub bounds: Bounds,
    /// What its events do, where that is not the default.
    pub rules: Rules,
    /// The types of events that it may send; `None` for all.
    pub allowed_events: Option<Vec<Type>>,
    /// Members of complex subjects that must be understood, besides those that the transmitter names.
    pub critical_members: Vec<String>,
    /// What the `externalId` of a SCIM subject is here.
    pub scim_external_id: TargetKind,
    /// Which product it is, where that sends other than the final specifications.
    pub preset: Preset,
    /// Issuers as its subjects name them, each with the names of the IdPs that are meant.
    pub subject_issuers: Vec<(String, Vec<String>)>,
    /// Where the transmitter's metadata are, if not at a well-known place.
    pub metadata_url: Option<Url>,
    /// How the gateway manages it; `None` where others do.
    pub manage: Option<manage_stream::Settings>,
    /// How it is watched.
    pub watch: supervise::Settings,
}

impl Config {
    /// Reads the file at `path` and everything that it names. Relative paths in it start from its own directory.
    pub fn load(path: &Path) -> Result<Self, Faults> {
        Self::parse(&text_of(path)?, path, &Disk)
    }

    /// Parses `text` as the content of the file at `path`; the files that it names come from `files`.
    pub fn parse(text: &str, path: &Path, files: &dyn Files) -> Result<Self, Faults> {
        let files = reading::Recorder::new(files);
        let config = parse(text, path, &files, |context, table| reader::read_root(context, table, read))?;
        Ok(Self { reading: Reading::new(path, text, files.into_seen()), ..config })
    }
}

impl Shape {
    /// Every key that the config knows, found by reading files that hold next to nothing.
    pub fn of_config() -> Self {
        let mut shape = Self::default();
        for (text, has_all) in shape::TELLING.into_iter().flat_map(|text| [(text, false), (text, true)]) {
            let (table, _) = DeTable::parse_recoverable(text);
            let context = Context::recording(text, Path::new(""), &shape::Nothing, has_all);
            drop(reader::read_root(&context, table.get_ref(), read));
            shape.join(context.into_shape());
        }
        shape
    }
}

impl AdminSettings {
    /// Reads `[admin]` only, from the file at `path`: a mistake elsewhere must not stand in the way of a revocation.
    pub fn load(path: &Path) -> Result<Self, Faults> {
        parse(&text_of(path)?, path, &Disk, |context, table| {
            reader::read_part(context, table, |file| file.section("admin", server::admin)?.settings())
        })
    }
}

/// Whether something in the config can be called that.
pub(crate) fn can_be_a_name(name: &str) -> bool {
    reader::plain_name(name).is_ok()
}

fn text_of(path: &Path) -> Result<String, Faults> {
    let of_file = |why: String| Faults::of_file(path, why);
    let file = Disk.read(path).map_err(|error| of_file(format!("the config cannot be read: {error}")))?;
    String::from_utf8(file.bytes.to_vec()).map_err(|_| of_file("the config is not UTF-8 text".to_owned()))
}

fn parse<T>(
    text: &str,
    path: &Path,
    files: &dyn Files,
    read: impl for<'c> FnOnce(&'c Context<'c>, &'c DeTable<'c>) -> Option<T>,
) -> Result<T, Faults> {
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let context = Context::new(text, base, files);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What follows from a table that was not understood would only be noise.
        return Err(Faults::new(path, errors.iter().map(|error| not_toml(&context, error)).collect()));
    }
    let value = read(&context, table.get_ref());
    match (value, context.into_faults()) {
        (Some(value), faults) if faults.is_empty() => Ok(value),
        // Whatever is `None` has left a fault behind; if ever it has not, that is no config either.
        (_, faults) if faults.is_empty() => Err(Faults::of_file(path, "the config cannot be understood".to_owned())),
        (_, faults) => Err(Faults::new(path, faults)),
    }
}

/// The whole file. Every section is read whatever the others hold, so that all faults are found.
fn read<'c>(file: &Reader<'c>) -> Option<Config> {
    let server = file.section("server", server::server);
    let admin = file.section("admin", server::admin);
    let keys = file.section("keys", |keys| keys.key_ring("files"));
    let ledger = file.section("ledger", server::ledger);
    let session = file.section("session", server::session);
    let (audit, shows_targets) = file.section("audit", |audit| (server::audit(audit), server::shows_targets(audit)));
    let fleet = fleet::fleet(file);
    let outcomes = file.section("outcomes", outcomes::outcomes);
    let log = file.section("log", server::log);
    let pages = file.section("pages", pages::pages);
    let outbound = file.section("outbound", server::outbound);
    let idps = idps::idps(file, session.max_age);
    let idp_names: Vec<&str> = idps.iter().map(|(name, _)| name.as_str()).collect();
    let apps = apps::apps(file, &idps);
    // Of an app with a fault the name is not known: no stream is blamed for that.
    let app_names: Option<Vec<&str>> = apps.iter().map(|app| Some(app.as_ref()?.name.as_str())).collect();
    let streams = streams::streams(file, &idp_names, app_names.as_deref());
    let kept_claims = apps::claims_by_idp(apps.iter().flatten());

    let listeners = server.listeners.iter().chain(admin.iter().flat_map(|admin| admin.listen.as_ref()));
    server::report_listening_twice(file.context(), listeners);
    let idps = idps
        .into_iter()
        .map(|(name, idp)| {
            let kept_claims = kept_claims.get(&name).cloned().unwrap_or_default();
            Some((name, IdpSettings { kept_claims, ..idp? }))
        })
        .collect::<Option<_>>()?;
    Some(Config {
        server: server.settings,
        admin: admin?.settings()?,
        keys: keys?,
        ledger: ledger?,
        session,
        audit,
        shows_targets,
        fleet: fleet?,
        outcomes: outcomes?,
        log,
        pages,
        outbound,
        idps,
        streams: streams.into_iter().collect::<Option<_>>()?,
        apps: Apps::new(apps.into_iter().collect::<Option<Vec<_>>>()?),
        reading: Reading::default(),
    })
}

/// A mistake in the form of the file itself.
fn not_toml(context: &Context<'_>, error: &toml::de::Error) -> Fault {
    let line = error.span().map(|span| context.line(span.start));
    Fault { line, key: String::new(), why: format!("this is not TOML: {}", error.message().replace('\n', "; ")) }
}

#[cfg(test)]
pub(crate) mod tests;

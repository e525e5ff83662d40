//! From config to running services: values become engines, engines become listeners.
//!
//! Nothing is half-started: what can fail (files, the ledger, addresses that are taken) fails here, before the first
//! request is let in, with a message that says what to do.

mod checks;
mod consoles;
mod editions;
mod entrance;
mod fleet;
mod keeping;
mod lasting;
mod notify;
mod operator;
mod reload;
mod remembering;
mod running;
mod services;
mod stop;
mod streams;
mod tls;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use arc_swap::ArcSwap;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::listening::Service;

use self::checks::Checking;
use self::editions::Swappable;
use self::entrance::{Entrance, Handed};
use self::keeping::News;
use self::lasting::Lasting;
use self::operator::{Listeners, Operator};
use self::reload::Reloader;
pub use self::running::{Running, start};
use self::services::{AdminService, Deadlines, Housekeeping, Remembering};
use self::stop::{Limits, Orderer, Stopping, staged};
use crate::admin;
use crate::audit::{self, Audit};
use crate::config::{AuditTo, Config, ServerSettings};
use crate::drain::Drain;
use crate::enforcer::{self, Enforcer};
use crate::exchanges;
use crate::fleet::Fleet;
use crate::http::Client;
use crate::intake::{self, Intake};
use crate::ledger::{self, Ledger};
use crate::metrics::Metrics;
use crate::outcome::{self, Outcomes};
use crate::proxy::{BuiltIn, BuiltIns, Current, Cuttable, Lines, Patience, Proxy};
use crate::time::Clock;

/// Clocks of gateway, IdP and transmitter may differ by this much; revocations are kept that much longer.
const MARGIN: Duration = Duration::from_secs(15 * 60);
/// Audit lines that may wait for the disk.
const AUDIT_QUEUE: usize = 8_192;
/// Idle connections to upstreams that are kept. Fewer than what is busy at once would cost a handshake each.
const UPSTREAM_POOL: usize = 1_024;

/// Until others notice that nobody may be sent here any more. Load balancers ask every few seconds.
const LEAD: Duration = Duration::from_secs(5);

/// A gateway whose services are ready to run.
pub struct Gateway {
    server: Server,
    stopping: Stopping,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gateway")
    }
}

/// Runs the gateway of `config` until the process is told to stop.
pub fn run(config: Config) -> anyhow::Result<()> {
    log_to_stderr(config.log.word());
    let gateway = Gateway::assemble(config, Clock::System, Handed::take_from_environment()?, Orderer::Signals)?;
    gateway.run();
    Ok(())
}

/// Sends what is said at `level` and above to standard error. Only our own words: what libraries say may hold what must
/// not be seen (URLs with codes, headers with cookies).
pub fn log_to_stderr(level: &str) {
    let filter = tracing_subscriber::EnvFilter::new(format!("off,portcullis={level}"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // An error means that somebody else took the log already.
    let _ = log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init();
}

/// Where requests are taken.
fn listeners(config: &Config) -> impl Iterator<Item = SocketAddr> {
    let tls = config.server.tls.iter().map(|listener| listener.listen);
    config.server.listen.iter().copied().chain(tls)
}

impl Gateway {
    /// Puts everything together; the ledger's revocations are in force when this returns.
    fn assemble(mut config: Config, clock: Clock, mut handed: Handed, orderer: Orderer) -> anyhow::Result<Self> {
        // One crypto backend for every TLS connection, in and out. An error means that it is installed already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // The admin listener is bound now and served later; the others are bound by pingora, which would panic.
        let limits = limits(&config.server, &handed);
        let admin_listener = match handed.take(config.admin.listen) {
            Some(listener) => listener,
            None => bind(config.admin.listen)?,
        };
        admin_listener.set_nonblocking(true)?;
        for address in listeners(&config).filter(|address| !handed.has(*address)) {
            drop(bind(address)?);
        }
        let (addresses, drain): (Vec<_>, _) = (listeners(&config).collect(), Drain::default());
        let listeners = Arc::new(Listeners::new(addresses.iter().copied()));
        let (settings, token) = (config.server.clone(), admin::Token::from(config.admin.token.clone()));
        let certificates = tls::Certificates::of(&settings.tls);
        let shapes = editions::Shapes::of(&config);
        let reading = std::mem::take(&mut config.reading);
        let (lasting, first) = engines(config, clock)?;
        let lasting = Arc::new(lasting);
        let current = Current::new(editions::first(&lasting, first)?);

        let mut server = Server::new_with_opt_and_conf(None, conf(&settings));
        server.bootstrap();
        let news = News::default();
        let swaps = (Arc::clone(&lasting), current.clone(), news.clone());
        let reloader = Arc::new(Reloader::new(swaps, (certificates.clone(), token.clone()), (reading, shapes)));
        let with = (current.clone(), Arc::clone(&reloader));
        let operator = Arc::new(Operator::new(Arc::clone(&lasting), with, Arc::clone(&listeners), drain.clone()));
        let consoles = consoles::of(&current, &operator);
        for console in consoles.values() {
            server.add_service(staged("console", &drain.signals, consoles::Seeing(Arc::clone(console))));
        }
        let built_ins = consoles.into_iter().map(|(name, console)| (name, console as Arc<dyn BuiltIn>)).collect();
        let with = (&settings, &certificates);
        let service = proxy_service(&server.configuration, &current, with, built_ins, &drain)?;
        server.add_service(Entrance::new(service, addresses, &mut handed, drain.clone()));
        handed.is_used_up()?;
        // Tasks that come and go with the config.
        server.add_service(staged("upstreams", &drain.memory, keeping::balancers(&current, &news)));
        server.add_service(staged("streams", &drain.signals, keeping::streams(&lasting, &current, &news)));
        server.add_service(staged("outcomes", &drain.memory, Remembering(lasting.outcomes.clone())));
        server.add_service(staged("deadlines", &drain.signals, Deadlines(Arc::clone(&lasting))));
        for (name, of_idp) in &lasting.checks {
            let checking = Checking { checks: Arc::clone(of_idp) };
            server.add_service(staged(&format!("checks of {name}"), &drain.signals, checking));
        }
        if let Some(fleet) = lasting.fleet.clone() {
            let among = fleet::Among::new(Arc::clone(&lasting), current, fleet);
            // What comes in by the last signal is still told, and what others say is heard until then.
            server.add_service(staged("fleet", &drain.memory, among));
        }
        let clock = lasting.clock.clone();
        let enforcer = lasting.enforcer.clone();
        let hangup = if matches!(orderer, Orderer::Signals) { Some(reload::hangup()?) } else { None };
        let watching = reload::Watching { reloader, hangup: hangup.into() };
        server.add_service(staged("reload", &drain.signals, watching));
        let admin = AdminService::new(admin_listener, token, operator, clock);
        server.add_service(staged("admin", &drain.signals, admin));
        server.add_service(staged("housekeeping", &drain.memory, Housekeeping(Arc::clone(&lasting.intake))));
        let stopping = Stopping { orderer, limits, drain, enforcer, listeners };
        Ok(Self { server, stopping })
    }

    /// Runs until it is told to stop, and has.
    fn run(self) {
        self.server.run(RunArgs { shutdown_signal: Box::new(self.stopping) });
    }
}

/// The engines: everything that decides, remembers and calls others; and what of the config may be another one later.
fn engines(config: Config, clock: Clock) -> anyhow::Result<(Lasting, Swappable)> {
    let metrics = Arc::new(Metrics::new());
    let (longest_life, longest_token) = (lasting::longest_life(&config), lasting::longest_token(&config));
    let ring = Arc::new(config.keys);
    let sink = match config.audit {
        AuditTo::Stdout => audit::Sink::Stdout,
        AuditTo::Off => audit::Sink::Off,
        AuditTo::File(path) => audit::Sink::File(path),
    };
    let audit = Audit::open(&audit::Settings { sink, queue: AUDIT_QUEUE }, clock.clone(), Arc::clone(&metrics))
        .context("the audit log cannot be opened")?;
    let client = Client::new(&config.outbound).context("the outbound HTTP client cannot be made")?;

    let settings = enforcer::Settings {
        longest_life,
        margin: MARGIN,
        exchanges: exchanges::Settings { max: config.server.max_exchanges },
    };
    let enforcer = Enforcer::new(&settings, Arc::clone(&ring));
    let (ledger, replay) = Ledger::open(&ledger::Settings::at(&config.ledger.path))?;
    if replay.is_new() {
        tracing::warn!("the ledger is new: whatever was revoked before this start is not known here");
    }
    let ceilings = outcome::Ceilings {
        session: config.session.max_age,
        app_token: longest_token,
        anything: settings.longest_life.saturating_add(settings.margin),
    };
    let shown = (config.shows_targets, ceilings);
    let (remembered, webhook) = remembering::outcomes(config.outcomes, shown, &client);
    let gateway = remembered.gateway.clone();
    let others = (audit.clone(), Arc::clone(&metrics), clock.clone());
    let outcomes = Outcomes::open(remembered, webhook, Arc::clone(&ring), (ledger.clone(), &replay), others)?;
    let fleet = match config.fleet {
        None => None,
        Some(of) => {
            let retention = settings.longest_life.saturating_add(settings.margin);
            let settings = fleet::settings(&of, gateway, retention);
            fleet::is_fit(&of.engine, settings.keep_for, &client)?;
            let engine = fleet::engine(&of.engine, settings.keep_for, &client)?;
            let (ring, ledger, membership) = (Arc::clone(&ring), ledger.clone(), replay.membership()?);
            let (audit, metrics, clock) = (audit.clone(), Arc::clone(&metrics), clock.clone());
            let parts = crate::fleet::Parts { engine, ring, ledger, membership, audit, metrics, clock };
            let fleet = Fleet::new(settings, parts);
            fleet.remembers(replay.notes(ledger::Shelf::Peers)?);
            outcomes.among(&fleet);
            Some(fleet)
        }
    };
    let intake = Intake::new(
        intake::Settings { max_subjects: config.ledger.max_subjects },
        (enforcer.clone(), outcomes.clone()),
        ledger,
        audit.clone(),
        Arc::clone(&metrics),
        clock.clone(),
    )
    .among(fleet.clone());
    let intake = Arc::new(intake);
    let revocations = intake.replay(replay)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), revocations, "the ledger is in force, the gateway starts");
    audit.record(audit::Event::Started { version: env!("CARGO_PKG_VERSION"), revocations });

    let first = Swappable {
        apps: config.apps,
        session: config.session,
        streams: config.streams,
        idps: editions::idps(config.idps, &client, &clock),
        ring: Arc::clone(&ring),
        bounds: editions::bounds(&config.server),
        look: config.pages,
    };
    let checks = checks::all(&config.ledger.path, &first.idps, |idp, settings, grants| crate::checks::Parts {
        of: ArcSwap::from_pointee(crate::checks::Of { idp, session: first.session, ring: Arc::clone(&ring) }),
        settings,
        enforcer: enforcer.clone(),
        intake: Arc::clone(&intake),
        audit: audit.clone(),
        metrics: Arc::clone(&metrics),
        clock: clock.clone(),
        grants,
    })?;
    let recent = crate::endpoint::Recent::new(first.apps.iter().any(|app| app.built_in.is_some()));
    let lasting = Lasting {
        ring,
        client,
        longest_life,
        apps: ArcSwap::from_pointee(first.apps.clone()),
        checks,
        sight: Arc::default(),
        names: Arc::default(),
        enforcer,
        outcomes,
        intake,
        fleet,
        audit,
        metrics,
        recent: Arc::new(recent),
        clock,
    };
    Ok((lasting, first))
}

fn conf(settings: &ServerSettings) -> ServerConf {
    ServerConf {
        threads: settings.threads.unwrap_or_else(cores),
        upstream_keepalive_pool_size: UPSTREAM_POOL,
        // One try per server and a few more, not sixteen.
        max_retries: 4,
        ..ServerConf::default()
    }
}

/// How long a drain takes. Sockets that are held for us lose nobody while no gateway runs: nobody has to notice first.
fn limits(settings: &ServerSettings, handed: &Handed) -> Limits {
    let bound = settings.timeouts.shutdown;
    let usual = if handed.is_empty() { LEAD.min(bound / 2) } else { Duration::ZERO };
    Limits { lead: settings.timeouts.drain_lead.unwrap_or(usual), bound }
}

/// The listeners that people come in by.
fn proxy_service(
    conf: &Arc<ServerConf>,
    current: &Current,
    (settings, certificates): (&ServerSettings, &tls::Certificates),
    built_ins: BuiltIns,
    drain: &Drain,
) -> anyhow::Result<Service<Lines>> {
    let timeouts = settings.timeouts;
    let patience = Patience { header_read: timeouts.header_read, keep_alive: timeouts.keep_alive };
    let inner = http_proxy(conf, Proxy::new(current.clone(), patience, drain.clone(), built_ins));
    let mut service = Service::new("proxy".to_owned(), Lines::new(Cuttable::new(inner), patience, drain.clone()));
    for address in &settings.listen {
        service.add_tcp(&address.to_string());
    }
    for (address, shown) in certificates.listeners() {
        let mut tls = TlsSettings::intermediate("", "").map_err(|error| anyhow!("TLS cannot be set up: {error}"))?;
        tls.enable_h2();
        tls.set_cert_resolver(shown);
        service.add_tls_with_settings(&address.to_string(), None, tls);
    }
    Ok(service)
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| {
        format!("nothing can listen at {address}: another program may have it, or it is not of this machine")
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

//! From config to running services: values become engines, engines become listeners.
//!
//! Nothing is half-started: what can fail (files, the ledger, addresses that are taken) fails here, before the first
//! request is let in, with a message that says what to do.

mod checks;
mod entrance;
mod fleet;
mod notify;
mod operator;
mod remembering;
mod running;
mod services;
mod stop;
mod streams;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::{GenBackgroundService, background_service};
use pingora::services::listening::Service;

use self::checks::Checking;
use self::entrance::{Entrance, Handed};
use self::operator::{Listeners, Operator};
pub use self::running::{Running, start};
use self::services::{AdminService, Deadlines, Housekeeping, Polling, Remembering, Watching};
use self::stop::{Limits, Orderer, Stopping, staged};
use crate::audit::{self, Audit};
use crate::config::{AuditTo, Config, ServerSettings};
use crate::drain::Drain;
use crate::endpoint::{self, Endpoints, Parts};
use crate::enforcer::{self, Enforcer};
use crate::exchanges;
use crate::fleet::{Fleet, Lead};
use crate::http::Client;
use crate::idp::Idp;
use crate::intake::{self, Intake};
use crate::keys::{KeyCache, Source};
use crate::ledger::{self, Ledger};
use crate::metrics::Metrics;
use crate::outcome::{self, Outcomes};
use crate::policy;
use crate::proxy::{self, Balancer, Cuttable, Lines, Patience, Pool, Proxy};
use crate::stream::{Delivery, Discovery, Manager, Sight, Stream};
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
    let gateway = Gateway::assemble(config, Clock::System, Handed::take_from_environment()?)?;
    gateway.run(Orderer::Signals);
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
    fn assemble(config: Config, clock: Clock, mut handed: Handed) -> anyhow::Result<Self> {
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
        let Config { server: settings, admin, .. } = &config;
        let (settings, token) = (settings.clone(), admin.token.clone());
        let endpoints = Arc::new(Endpoints::new(engines(config, clock)?));

        let mut server = Server::new_with_opt_and_conf(None, conf(&settings));
        server.bootstrap();
        let (mut pools, mut balancers) = (HashMap::new(), BTreeMap::new());
        for app in endpoints.apps().iter() {
            let balancer: GenBackgroundService<Balancer> =
                background_service(&format!("upstreams of {}", app.name), Pool::balancer(app)?);
            pools.insert(app.name.clone(), Pool::new(balancer.task()));
            balancers.insert(app.name.clone(), balancer.task());
            server.add_service(balancer);
        }
        let service = proxy_service(&server.configuration, &endpoints, pools, settings, &drain)?;
        server.add_service(Entrance::new(service, addresses, &mut handed, drain.clone()));
        handed.is_used_up()?;
        let intake = Arc::clone(&endpoints.parts().intake);
        let outcomes = endpoints.parts().outcomes.clone();
        server.add_service(staged("outcomes", &drain.memory, Remembering(outcomes)));
        server.add_service(staged("deadlines", &drain.signals, Deadlines(Arc::clone(&endpoints))));
        for (name, stream) in &endpoints.parts().streams {
            if matches!(stream.delivery(), Delivery::Poll { .. }) {
                let polling = Polling { endpoints: Arc::clone(&endpoints), stream: Arc::clone(stream) };
                server.add_service(staged(&format!("poll of {name}"), &drain.signals, polling));
            }
            let watching = Watching { endpoints: Arc::clone(&endpoints), stream: Arc::clone(stream) };
            server.add_service(staged(&format!("watch over {name}"), &drain.signals, watching));
        }
        for (name, of_idp) in &endpoints.parts().checks {
            let checking = Checking { checks: Arc::clone(of_idp) };
            server.add_service(staged(&format!("checks of {name}"), &drain.signals, checking));
        }
        if let Some(fleet) = endpoints.parts().fleet.clone() {
            let among = fleet::Among::new(Arc::clone(&endpoints), fleet);
            // What comes in by the last signal is still told, and what others say is heard until then.
            server.add_service(staged("fleet", &drain.memory, among));
        }
        let clock = endpoints.parts().clock.clone();
        let enforcer = endpoints.parts().enforcer.clone();
        let operator = Arc::new(Operator::new(endpoints, balancers, Arc::clone(&listeners), drain.clone()));
        let admin = AdminService::new(admin_listener, token, operator, clock);
        server.add_service(staged("admin", &drain.signals, admin));
        server.add_service(staged("housekeeping", &drain.memory, Housekeeping(intake)));
        let stopping = Stopping { orderer: Orderer::Signals, limits, drain, enforcer, listeners };
        Ok(Self { server, stopping })
    }

    /// Runs until it is told to stop, and has.
    fn run(self, orderer: Orderer) {
        let stopping = Stopping { orderer, ..self.stopping };
        self.server.run(RunArgs { shutdown_signal: Box::new(stopping) });
    }
}

/// The engines: everything that decides, remembers and calls others.
fn engines(config: Config, clock: Clock) -> anyhow::Result<Parts> {
    let metrics = Arc::new(Metrics::new());
    let ring = Arc::new(config.keys);
    let sink = match config.audit {
        AuditTo::Stdout => audit::Sink::Stdout,
        AuditTo::Off => audit::Sink::Off,
        AuditTo::File(path) => audit::Sink::File(path),
    };
    let audit = Audit::open(&audit::Settings { sink, queue: AUDIT_QUEUE }, clock.clone(), Arc::clone(&metrics))
        .context("the audit log cannot be opened")?;
    let client = Client::new(&config.outbound).context("the outbound HTTP client cannot be made")?;

    // No credential outlives a login that was as old as the IdP allows, plus a session from it, or a token that an app
    // made in that session (law 10).
    let oldest_login = config.idps.values().map(|idp| idp.max_age).max().unwrap_or_default();
    let tokens = config.apps.iter().filter_map(|app| app.minting.as_ref()).map(|minting| minting.max_age);
    let longest_token = tokens.max();
    let from_login = longest_token.unwrap_or_default().max(config.session.max_age);
    let settings = enforcer::Settings {
        longest_life: from_login.saturating_add(oldest_login),
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
    let revocations = intake.replay(replay)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), revocations, "the ledger is in force, the gateway starts");
    audit.record(audit::Event::Started { version: env!("CARGO_PKG_VERSION"), revocations });

    let idps: HashMap<_, _> = config
        .idps
        .into_iter()
        .map(|(name, settings)| (name, Arc::new(Idp::new(settings, client.clone(), clock.clone()))))
        .collect();
    let mut streams = HashMap::new();
    for (name, settings) in config.streams {
        let lead = fleet.as_ref().map_or_else(Lead::alone, |fleet| fleet.lead(&name));
        streams.insert(name, Arc::new(stream(settings, &idps, &client, &clock)?.led_by(lead)));
    }
    let (apps, session, intake) = (config.apps, config.session, Arc::new(intake));
    let checks = checks::all(&config.ledger.path, &idps, |idp, settings, grants| crate::checks::Parts {
        idp,
        settings,
        session,
        ring: Arc::clone(&ring),
        enforcer: enforcer.clone(),
        intake: Arc::clone(&intake),
        audit: audit.clone(),
        metrics: Arc::clone(&metrics),
        clock: clock.clone(),
        grants,
    })?;
    let names = crate::lineage::Names::default();
    let sight = Sight::new(&apps);
    let parts = Parts {
        apps,
        ring,
        session,
        idps,
        streams,
        checks,
        sight,
        enforcer,
        outcomes,
        intake,
        fleet,
        audit,
        metrics,
        names,
        look: config.pages,
        clock,
    };
    Ok(parts)
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
    endpoints: &Arc<Endpoints>,
    pools: HashMap<String, Pool>,
    settings: ServerSettings,
    drain: &Drain,
) -> anyhow::Result<Service<Lines>> {
    let timeouts = settings.timeouts;
    let patience = Patience { header_read: timeouts.header_read, keep_alive: timeouts.keep_alive };
    let bounds = proxy::Settings {
        max_header_bytes: settings.max_header_bytes,
        patience,
        client_timeout: timeouts.body_read,
        trusted_proxies: settings.trusted_proxies,
        drain: drain.clone(),
    };
    let inner = http_proxy(conf, Proxy::new(Arc::clone(endpoints), pools, bounds));
    let mut service = Service::new("proxy".to_owned(), Lines::new(Cuttable::new(inner), patience, drain.clone()));
    for address in &settings.listen {
        service.add_tcp(&address.to_string());
    }
    for listener in settings.tls {
        let mut tls = TlsSettings::intermediate("", "").map_err(|error| anyhow!("TLS cannot be set up: {error}"))?;
        tls.enable_h2();
        let address = listener.listen.to_string();
        tls.set_cert_resolver(Arc::new(tls::Certificates::new(listener)));
        service.add_tls_with_settings(&address, None, tls);
    }
    Ok(service)
}

fn stream(
    settings: crate::config::StreamSettings,
    idps: &HashMap<String, Arc<Idp>>,
    client: &Client,
    clock: &Clock,
) -> anyhow::Result<Stream> {
    let discovery = Discovery::new(&settings.issuer, settings.metadata_url, client.clone(), clock.clone())?;
    let discovery = Arc::new(discovery);
    let source = match settings.jwks_uri {
        Some(url) => Source::Fixed(url),
        None => Source::Discovered(Arc::<Discovery>::clone(&discovery)),
    };
    let manager = settings.manage.map(|manage| {
        let (issuer, audiences) = (settings.issuer.clone(), settings.audience.clone());
        Manager::new(manage, issuer, audiences, Arc::clone(&discovery), client.clone(), clock.clone())
    });
    let keys = KeyCache::new(client.clone(), source, clock.clone());
    let policy = policy::Settings {
        name: settings.name,
        issuer: settings.issuer,
        audiences: settings.audience,
        algs: crate::jose::Alg::ALL.to_vec(),
        speaks_for: settings
            .speaks_for
            .iter()
            .filter_map(|name| idps.get(name))
            .map(|idp| endpoint::spoken_for(idp))
            .collect(),
        widest: settings.widest,
        bounds: settings.bounds,
        rules: settings.rules,
        allowed_events: settings.allowed_events,
        scim_external_id: settings.scim_external_id,
        critical_members: settings.critical_members,
        quirks: settings.preset.quirks(),
        subject_issuers: settings
            .subject_issuers
            .iter()
            .flat_map(|(named, meant)| meant.iter().map(move |idp| (named, idp)))
            .filter_map(|(named, idp)| Some((named.clone(), idps.get(idp)?)))
            .map(|(named, idp)| policy::IssuerAlias { named, issuer: endpoint::spoken_for(idp).issuer })
            .collect(),
    };
    let stream = Stream::new(policy, settings.delivery, keys, client.clone(), manager, settings.watch, clock.now());
    Ok(stream.described_by(discovery))
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| {
        format!("nothing can listen at {address}: another program may have it, or it is not of this machine")
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

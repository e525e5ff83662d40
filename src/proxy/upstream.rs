//! An app's servers: their addresses (asked again as names change), their health, and whose turn it is.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::lb::health_check::{HealthCheck, HttpHealthCheck, TcpHealthCheck};
use pingora::lb::selection::RoundRobin;
use pingora::lb::{Backend, Backends, LoadBalancer};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::upstreams::peer::{HttpPeer, PeerOptions};
use pingora::utils::tls::{WrappedX509, parse_x509};
use pingora::{Error, ErrorType, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::apps::{App, Upstream};

/// How often names are resolved again.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);
/// How often health is asked.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// Servers looked at in search of one.
const TRIES: usize = 256;

/// The balancer of a pool: a background service that resolves and checks.
pub(crate) type Balancer = LoadBalancer<RoundRobin>;

/// How to reach the servers of one app. Clones are handles to the same.
#[derive(Clone)]
pub(crate) struct Pool {
    balancer: Arc<Balancer>,
    /// What it was made for.
    app: Arc<App>,
}

impl Pool {
    /// The balancer of `app`'s servers, to be run as a background service. Servers given by address are there at once.
    fn make_balancer(app: &App) -> Result<Balancer> {
        let names = Names {
            upstreams: app.upstreams.clone(),
            options: options(app),
            server_name: app.transport.server_name.clone(),
            group: hash(&app.name),
        };
        let mut balancer = Balancer::from_backends(Backends::new(Box::new(names)));
        balancer.set_health_check(health_check(app)?);
        balancer.health_check_frequency = Some(CHECK_EVERY);
        balancer.update_frequency = Some(RESOLVE_EVERY);
        // Addresses resolve without waiting; names are left to the background service.
        if let Some(result) = balancer.update().now_or_never() {
            result?;
        }
        Ok(balancer)
    }

    /// The pool of `app`, whose balancer somebody has to run.
    pub(crate) fn of(app: &Arc<App>) -> Result<Self> {
        Ok(Self { balancer: Arc::new(Self::make_balancer(app)?), app: Arc::clone(app) })
    }

    /// Waits until there is an address, if names have to be asked for. Without one requests would fail.
    pub(crate) async fn resolve(&self, within: Duration) {
        if self.balancer.backends().get_backend().is_empty() {
            // What takes longer, or fails, is tried again by whoever runs the balancer.
            let _ = tokio::time::timeout(within, self.balancer.update()).await;
        }
    }

    /// Whose pool it is.
    pub(crate) fn app_name(&self) -> &str {
        &self.app.name
    }

    /// What resolves and checks.
    pub(crate) const fn balancer(&self) -> &Arc<Balancer> {
        &self.balancer
    }

    /// Whether it would be the same if it were made for `app`: then it goes on, with what it knows of its servers.
    pub(crate) fn serves(&self, app: &App) -> bool {
        let of = &self.app;
        (&of.name, &of.upstreams, &of.transport, &of.origin) == (&app.name, &app.upstreams, &app.transport, &app.origin)
    }

    /// The server whose turn it is. If all look ill, one is tried all the same: the check may be wrong.
    pub(crate) fn next(&self) -> Result<HttpPeer> {
        let known = self.balancer.backends().get_backend();
        match known.first() {
            // The only one is the answer, whether it looks ill or not.
            Some(only) if known.len() == 1 => peer(only),
            _ => peer(&self.select()?),
        }
    }

    fn select(&self) -> Result<Backend> {
        self.balancer
            .select(b"", TRIES)
            .or_else(|| self.balancer.select_with(b"", TRIES, |_, _| true))
            .ok_or_else(|| Error::explain(ErrorType::ConnectNoRoute, "no address for any upstream of the app"))
    }
}

/// What [`Names`] says of a server.
fn peer(backend: &Backend) -> Result<HttpPeer> {
    let peer = backend.ext.get::<HttpPeer>().cloned();
    peer.ok_or_else(|| Error::explain(ErrorType::InternalError, "an upstream without settings"))
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Turns the names of an app's servers into addresses, each with all that it takes to connect there.
struct Names {
    upstreams: Vec<Upstream>,
    options: PeerOptions,
    server_name: Option<String>,
    /// Keeps connections of this app apart from all others: pingora's own key knows neither the trusted certificates
    /// nor the protocol.
    group: u64,
}

impl Names {
    fn peer(&self, upstream: &Upstream, address: std::net::SocketAddr) -> HttpPeer {
        let name = self.server_name.as_ref().unwrap_or(&upstream.host);
        let mut peer = HttpPeer::new(address, upstream.tls, if upstream.tls { name.clone() } else { String::new() });
        peer.options = self.options.clone();
        peer.group_key = self.group;
        peer
    }
}

#[async_trait]
impl ServiceDiscovery for Names {
    async fn discover(&self) -> Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let mut found = BTreeSet::new();
        for upstream in &self.upstreams {
            let literal = upstream.host.trim_start_matches('[').trim_end_matches(']').parse();
            let addresses: Vec<_> = match literal {
                Ok(ip) => vec![std::net::SocketAddr::new(ip, upstream.port)],
                // One name that does not resolve must not take the app's other servers with it.
                Err(_) => match tokio::net::lookup_host((upstream.host.as_str(), upstream.port)).await {
                    Ok(addresses) => addresses.collect(),
                    Err(error) => {
                        tracing::warn!(upstream = upstream.host, %error, "an upstream's name does not resolve");
                        vec![]
                    }
                },
            };
            found.extend(addresses.into_iter().map(|address| {
                let mut ext = http::Extensions::new();
                ext.insert(self.peer(upstream, address));
                Backend { addr: SocketAddr::Inet(address), weight: 1, ext }
            }));
        }
        Ok((found, HashMap::new()))
    }
}

fn options(app: &App) -> PeerOptions {
    let transport = &app.transport;
    let mut options = PeerOptions::new();
    options.connection_timeout = Some(transport.connect_timeout);
    options.total_connection_timeout = Some(transport.connect_timeout * 2);
    options.read_timeout = transport.read_timeout;
    options.write_timeout = transport.read_timeout;
    options.idle_timeout = Some(if transport.pool { transport.keep_alive } else { Duration::ZERO });
    options.ca = transport.ca_pem.as_deref().map(trusted);
    if transport.http2 {
        options.set_http_version(2, 2);
    }
    options
}

/// The certificates of a PEM file that the config has checked.
fn trusted(pem: &[u8]) -> Arc<[WrappedX509]> {
    CertificateDer::pem_slice_iter(pem)
        .flatten()
        .map(|der| WrappedX509::new(der.to_vec(), parse_x509))
        .collect::<Vec<_>>()
        .into()
}

fn health_check(app: &App) -> Result<Box<dyn HealthCheck + Send + Sync>> {
    let Some(path) = &app.transport.health_path else { return Ok(TcpHealthCheck::new()) };
    let tls = app.upstreams.iter().any(|upstream| upstream.tls);
    let host = app.transport.host_header.as_deref().unwrap_or_else(|| app.origin.host().as_str());
    let mut check = HttpHealthCheck::new(host, tls);
    check.req = pingora::http::RequestHeader::build("GET", path.as_bytes(), None)?;
    check.req.insert_header("host", host)?;
    check.peer_template.options = options(app);
    check.peer_template.options.read_timeout = Some(Duration::from_secs(2));
    if let (true, Some(name)) = (tls, &app.transport.server_name) {
        check.peer_template.sni.clone_from(name);
    }
    // Any answer that is not the server's own failure means that it is there; a login page is an answer.
    check.validator = Some(Box::new(|response| {
        if response.status.is_server_error() {
            return Error::e_explain(ErrorType::HTTPStatus(response.status.as_u16()), "unhealthy");
        }
        Ok(())
    }));
    Ok(Box::new(check))
}

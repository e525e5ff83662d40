//! Which certificate a listener shows.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::TlsListener;

/// The certificates of all listeners. Others may take their place while the gateway runs: who shakes hands from then on is
/// shown those.
#[derive(Clone, Debug, Default)]
pub(super) struct Certificates(Vec<Arc<Shown>>);

impl Certificates {
    pub(super) fn of(listeners: &[TlsListener]) -> Self {
        Self(listeners.iter().map(|listener| Arc::new(Shown(ArcSwap::from_pointee(listener.clone())))).collect())
    }

    /// Each listener, with what says which certificate it shows.
    pub(super) fn listeners(&self) -> impl Iterator<Item = (SocketAddr, Arc<Shown>)> {
        self.0.iter().map(|shown| (shown.0.load().listen, Arc::clone(shown)))
    }

    /// When each ends, by its file: seconds since 1970.
    pub(super) fn ends(&self) -> Vec<(String, i64)> {
        let shown: Vec<_> = self.0.iter().map(|shown| shown.0.load_full()).collect();
        let all =
            shown.iter().flat_map(|listener| std::iter::once(&listener.certificate).chain(&listener.certificates));
        all.filter_map(|one| Some((one.cert_file.display().to_string(), one.not_after()?))).collect()
    }

    /// From now on those of `listeners` are shown; a listener that is not there goes on as before.
    pub(super) fn replace(&self, listeners: &[TlsListener]) {
        for shown in &self.0 {
            let address = shown.0.load().listen;
            if let Some(next) = listeners.iter().find(|listener| listener.listen == address) {
                shown.0.store(Arc::new(next.clone()));
            }
        }
    }
}

/// The certificates of one listener.
#[derive(Debug)]
pub(super) struct Shown(ArcSwap<TlsListener>);

impl ResolvesServerCert for Shown {
    /// The first certificate that covers the name that the client asks for (RFC 6066 §3), else the listener's own.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let listener = self.0.load();
        let named = hello.server_name().and_then(|name| listener.certificates.iter().find(|c| c.covers(name)));
        Some(Arc::clone(&named.unwrap_or(&listener.certificate).key))
    }
}

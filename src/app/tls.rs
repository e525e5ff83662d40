//! Which certificate a listener shows.

use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::TlsListener;

/// The certificates of one listener.
#[derive(Debug)]
pub(super) struct Certificates(TlsListener);

impl Certificates {
    pub(super) const fn new(listener: TlsListener) -> Self {
        Self(listener)
    }
}

impl ResolvesServerCert for Certificates {
    /// The first certificate that covers the name that the client asks for (RFC 6066 §3), else the listener's own.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.0.certificates.iter().find(|c| c.covers(name)));
        Some(Arc::clone(&named.unwrap_or(&self.0.certificate).key))
    }
}

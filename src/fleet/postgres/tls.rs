//! Whom the gateway takes for the server.

use std::sync::Arc;

use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Tls, Trouble};

/// Verifies names and chains, and nothing less.
pub(super) fn connector(tls: &Tls) -> Result<MakeRustlsConnect, Trouble> {
    let unfit = |what: String| Trouble::Unfit { what, remedy: "look at `ca_file`".to_owned() };
    let mut roots = RootCertStore::empty();
    for authority in &tls.authorities {
        let added = roots.add(authority.clone());
        added.map_err(|error| unfit(format!("an authority's certificate cannot be used: {error}")))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unfit(format!("TLS cannot be used: {error}")))?
        .with_root_certificates(roots);
    Ok(MakeRustlsConnect::new(match &tls.client {
        Some(client) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(client)))),
        None => config.with_no_client_auth(),
    }))
}

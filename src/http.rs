//! The outbound HTTP client: the only way by which the gateway calls anybody but the apps.
//!
//! What it calls was configured, or named by somebody who was (a discovery document). So it is careful by itself:
//! https, or plain http on this machine; no redirects; no proxy from the environment; a bound on time and on size;
//! and no address that only a machine's own neighbours can mean.

mod cached;
mod presented;
mod resolver;

use std::time::Duration;

use ::http::{Request, Response};
use url::{Host, Url};

pub(crate) use self::cached::{Cached, Fetched};
pub(crate) use self::presented::{basic, bearer, retry_after};
use crate::identity::is_loopback;

/// How outbound calls are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a connection may take to come about, TLS included.
    pub connect_timeout: Duration,
    /// How long a call may take, from the name's resolution to the last byte of the answer.
    pub timeout: Duration,
    /// Certificates, in PEM, of authorities that are trusted besides those of the system.
    pub extra_ca_pem: Option<Vec<u8>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(2), timeout: Duration::from_secs(5), extra_ca_pem: None }
    }
}

/// Why the client cannot be made.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The extra authorities are not certificates in PEM.
    #[error("the extra CA file holds no certificate in PEM")]
    BadCa,
    /// There is no authority to trust: the system has none installed, and none was configured.
    #[error("no CA certificates: the system has none, and no extra CA file is given")]
    NoAuthorities,
}

/// Why a call has no answer. A status, whatever it says, is an answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It took longer than it may.
    #[error("it took too long")]
    Deadline,
    /// The answer is larger than the caller wants.
    #[error("the answer is too large")]
    TooLarge,
    /// No connection came about: no such name, nobody there, a certificate that is not trusted.
    #[error("no connection")]
    Connect(#[source] reqwest::Error),
    /// The connection broke before the answer was complete, or the answer is not HTTP.
    #[error("the exchange broke off")]
    Broken(#[source] reqwest::Error),
    /// Neither https, nor http on this machine.
    #[error("it is not https")]
    NotHttps,
    /// An address that nobody outside a machine's own link can mean, such as a cloud's metadata service.
    #[error("the address is off limits")]
    OffLimits,
    /// Not a URL with a host that can be called.
    #[error("it is not a URL that can be called")]
    NotUrl,
}

impl Error {
    /// True if the same call may well succeed later.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Deadline | Self::Connect(_) | Self::Broken(_) => true,
            Self::TooLarge | Self::NotHttps | Self::OffLimits | Self::NotUrl => false,
        }
    }
}

/// An HTTP client with connections of its own. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct Client(reqwest::Client);

impl Client {
    /// A client that trusts the system's authorities and the extra ones.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        let extra = match &settings.extra_ca_pem {
            None => Vec::new(),
            Some(pem) => reqwest::Certificate::from_pem_bundle(pem).map_err(|_| SetupError::BadCa)?,
        };
        if settings.extra_ca_pem.is_some() && extra.is_empty() {
            return Err(SetupError::BadCa);
        }
        let build = builder(settings).tls_certs_merge(extra).build();
        build.map(Self).map_err(|_| SetupError::NoAuthorities)
    }

    /// A client that trusts nobody's certificate: it can call plain http on this machine and nothing else. It needs
    /// no authorities, so it works where none are installed.
    pub fn for_this_machine(settings: &Settings) -> Result<Self, SetupError> {
        let build = builder(settings).tls_certs_only([]).build();
        build.map(Self).map_err(|_| SetupError::NoAuthorities)
    }

    /// Sends `request` and reads the answer, of at most `limit` bytes. Redirects are answers like any other.
    pub async fn send(&self, request: Request<Vec<u8>>, limit: usize) -> Result<Response<Vec<u8>>, Error> {
        self.call(request, limit, None).await
    }

    /// The same, for an answer that may be held back for longer than others may take.
    pub async fn send_within(
        &self,
        request: Request<Vec<u8>>,
        limit: usize,
        patience: Duration,
    ) -> Result<Response<Vec<u8>>, Error> {
        self.call(request, limit, Some(patience)).await
    }

    async fn call(
        &self,
        request: Request<Vec<u8>>,
        limit: usize,
        patience: Option<Duration>,
    ) -> Result<Response<Vec<u8>>, Error> {
        check_url(&Url::parse(&request.uri().to_string()).map_err(|_| Error::NotUrl)?)?;
        let mut request = reqwest::Request::try_from(request).map_err(|_| Error::NotUrl)?;
        if let Some(patience) = patience {
            *request.timeout_mut() = Some(patience);
        }
        let mut answer = self.0.execute(request).await.map_err(from_reqwest)?;
        let announced = answer.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |length| length > limit) {
            return Err(Error::TooLarge);
        }
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(from_reqwest)? {
            if body.len() + chunk.len() > limit {
                return Err(Error::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// Whether `url` is one that is called at all: https, or http to this machine; and no address that is off limits.
pub(crate) fn check_url(url: &Url) -> Result<(), Error> {
    let host = url.host().ok_or(Error::NotUrl)?;
    let literal = match host {
        Host::Domain(_) => None,
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.into()),
    };
    if literal.is_some_and(resolver::is_off_limits) {
        return Err(Error::OffLimits);
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&host.to_string()) => Ok(()),
        _ => Err(Error::NotHttps),
    }
}

fn builder(settings: &Settings) -> reqwest::ClientBuilder {
    // The first one to need TLS says which crypto backend the process has; there is but one in the binary.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster, with the same.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    reqwest::Client::builder()
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.timeout)
        .dns_resolver(resolver::Resolver)
}

/// The cause without its URL: a query may carry what must not be logged.
fn from_reqwest(error: reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::Deadline;
    }
    let error = error.without_url();
    if error.is_connect() { Error::Connect(error) } else { Error::Broken(error) }
}

#[cfg(test)]
pub(crate) mod tests;

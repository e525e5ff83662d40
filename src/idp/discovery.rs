//! What an IdP says about itself (OpenID Connect Discovery §3, RFC 8414 §2).

use std::sync::Arc;
use std::time::Duration;

use ::http::Request;
use ::http::header::ACCEPT;
use async_trait::async_trait;
use serde_json::{Map, Value};
use url::Url;

use super::{Error, Part, Settings};
use crate::http::{Cached, Client, Fetched, check_url};
use crate::identity::{Issuer, is_loopback};
use crate::jose::object_without_duplicates;
use crate::keys::Locate;
use crate::time::Clock;

/// Bytes of a discovery document. Real ones have 2 to 10 KiB.
const MAX_DOCUMENT: usize = 256 * 1024;
/// How long metadata are good.
const GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Where the metadata are, after the issuer.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// The part of an IdP's metadata that we use.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    pub(super) end_session_endpoint: Option<Url>,
    /// Every answer names its issuer (`authorization_response_iss_parameter_supported`, RFC 9207 §3).
    pub(super) names_itself: bool,
    pub(super) client_authentication: ClientAuthentication,
    pub(super) introspection_endpoint: Option<Url>,
    pub(super) introspection_authentication: ClientAuthentication,
}

/// How an endpoint wants to see our secret (`token_endpoint_auth_methods_supported`; for introspection a list of its own
/// if there is one, RFC 8414 §2).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum ClientAuthentication {
    /// `client_secret_basic`, also where nothing is said.
    Basic,
    /// `client_secret_post`
    Post,
    /// Only ways that we do not have.
    Other,
}

/// The metadata of one IdP, fetched when needed and kept for a day.
#[derive(Debug)]
pub(super) struct Discovery {
    issuer: Issuer,
    url: String,
    client: Client,
    metadata: Cached<Metadata, Error>,
}

impl Discovery {
    pub(super) fn new(settings: &Settings, client: Client, clock: Clock) -> Self {
        let issuer = settings.issuer.clone();
        // The suffix form: after the whole issuer, of which one closing slash is dropped.
        let well_known = || format!("{}{WELL_KNOWN}", issuer.as_str().strip_suffix('/').unwrap_or(issuer.as_str()));
        let url = settings.metadata_url.as_ref().map_or_else(well_known, Url::to_string);
        let nothing_yet = Error::Unreachable { part: Part::Metadata, status: None, cause: None };
        Self { issuer, url, client, metadata: Cached::new(clock, nothing_yet) }
    }

    /// The metadata: known, or fetched now.
    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, Error> {
        self.metadata.current(self.fetch()).await
    }

    async fn fetch(&self) -> Result<Fetched<Metadata>, Error> {
        let unusable = Error::Unusable(Part::Metadata);
        let request = Request::get(&self.url).header(ACCEPT, "application/json").body(Vec::new());
        let request = request.map_err(|_| unusable.clone())?;
        let answer = self.client.send(request, MAX_DOCUMENT).await.map_err(|e| Error::from_http(Part::Metadata, e))?;
        if answer.status() != 200 {
            return Err(Error::from_status(Part::Metadata, answer.status().as_u16()));
        }
        let document = object_without_duplicates(answer.body()).ok_or(unusable)?;
        Ok(Fetched { value: Metadata::read(&document, &self.issuer)?, good_for: GOOD_FOR })
    }
}

#[async_trait]
impl Locate for Discovery {
    async fn jwks_uri(&self) -> Option<Url> {
        self.metadata().await.ok().map(|metadata| metadata.jwks_uri.clone())
    }
}

impl Metadata {
    fn read(document: &Map<String, Value>, issuer: &Issuer) -> Result<Self, Error> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if text("issuer").ok_or(Error::Unusable(Part::Metadata))? != issuer.as_str() {
            return Err(Error::WrongIssuer);
        }
        let optional = |name: &str| text(name).map(|text| endpoint(text, issuer)).transpose();
        let required = |name: &str| optional(name)?.ok_or(Error::Unusable(Part::Metadata));
        Ok(Self {
            authorization_endpoint: required("authorization_endpoint")?,
            token_endpoint: required("token_endpoint")?,
            jwks_uri: required("jwks_uri")?,
            userinfo_endpoint: optional("userinfo_endpoint")?,
            end_session_endpoint: optional("end_session_endpoint")?,
            names_itself: document.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
            client_authentication: ClientAuthentication::among(document, "token_endpoint_auth_methods_supported")
                .unwrap_or(ClientAuthentication::Basic),
            introspection_endpoint: optional("introspection_endpoint")?,
            introspection_authentication: ["introspection_endpoint", "token_endpoint"]
                .into_iter()
                .find_map(|of| ClientAuthentication::among(document, &format!("{of}_auth_methods_supported")))
                .unwrap_or(ClientAuthentication::Basic),
        })
    }
}

impl ClientAuthentication {
    /// The best of the methods in the list of that name; `None` if there is no such list.
    fn among(document: &Map<String, Value>, list: &str) -> Option<Self> {
        let methods = document.get(list)?.as_array()?;
        let has = |method: &str| methods.iter().any(|m| m == method);
        Some(if has("client_secret_basic") {
            Self::Basic
        } else if has("client_secret_post") {
            Self::Post
        } else {
            Self::Other
        })
    }
}

/// An endpoint of `issuer`. Plain http to this machine is for an issuer on this machine: from elsewhere it is an
/// attempt to make us call ourselves.
fn endpoint(text: &str, issuer: &Issuer) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|_| Error::BadEndpoint)?;
    check_url(&url).map_err(|_| Error::BadEndpoint)?;
    let points_here = url.host_str().is_some_and(is_loopback);
    let issuer_is_here = Url::parse(issuer.as_str()).is_ok_and(|issuer| issuer.host_str().is_some_and(is_loopback));
    if points_here && !issuer_is_here { Err(Error::BadEndpoint) } else { Ok(url) }
}

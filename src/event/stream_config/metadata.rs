//! What a transmitter says about itself (SSF §7.1), and where it may be called.

use serde_json::Value;
use url::Url;

use super::{Unusable, object, texts};
use crate::identity::{Issuer, is_loopback};

/// Hosts that may be called with what we present to a transmitter (the issuer's own, and those that the config names).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    issuer: Option<Url>,
    hosts: Vec<String>,
}

impl Places {
    /// The issuer's origin and `hosts`: names, with a port where it is not the scheme's own.
    pub fn new(issuer: &Issuer, hosts: Vec<String>) -> Self {
        Self { issuer: Url::parse(issuer.as_str()).ok(), hosts }
    }

    /// Whether `url` may be called: https (or this machine, where the issuer is here, too), and one of the places.
    pub fn allow(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let issuer_is_here = self.issuer.as_ref().and_then(Url::host_str).is_some_and(is_loopback);
        let secure = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(host) && issuer_is_here);
        let plain = url.username().is_empty() && url.password().is_none();
        let named = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let known = self.issuer.as_ref().is_some_and(|issuer| issuer.origin() == url.origin());
        secure && plain && (known || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(&named)))
    }
}

/// What a transmitter says about itself (SSF §7.1), as far as a receiver needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Where its keys are.
    pub jwks_uri: Option<Url>,
    /// Where streams are made, read, changed and deleted.
    pub configuration_endpoint: Option<Url>,
    /// Where a stream's status is asked and set.
    pub status_endpoint: Option<Url>,
    /// Where subjects are added.
    pub add_subject_endpoint: Option<Url>,
    /// Where they are removed.
    pub remove_subject_endpoint: Option<Url>,
    /// Where verification events are asked for.
    pub verification_endpoint: Option<Url>,
    /// It tells of nobody until they are added (`default_subjects: NONE`).
    pub tells_of_nobody: bool,
    /// Members of complex subjects that must be understood.
    pub critical_subject_members: Vec<String>,
}

impl Metadata {
    /// Reads a metadata document of `issuer` (SSF §7.2.4: byte for byte).
    pub fn parse(body: &[u8], issuer: &Issuer) -> Result<Self, Unusable> {
        let document = object(body)?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if text("issuer") != Some(issuer.as_str()) {
            return Err(Unusable::Issuer);
        }
        let url = |name: &str| text(name).map(|text| Url::parse(text).map_err(|_| Unusable::Place)).transpose();
        Ok(Self {
            jwks_uri: url("jwks_uri")?,
            configuration_endpoint: url("configuration_endpoint")?,
            status_endpoint: url("status_endpoint")?,
            add_subject_endpoint: url("add_subject_endpoint")?,
            remove_subject_endpoint: url("remove_subject_endpoint")?,
            verification_endpoint: url("verification_endpoint")?,
            tells_of_nobody: text("default_subjects") == Some("NONE"),
            critical_subject_members: texts(document.get("critical_subject_members")),
        })
    }
}

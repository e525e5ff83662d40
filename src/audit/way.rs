//! By which way a signal came.

use serde::Serialize;

use crate::revocation::Origin;

/// By which way a signal came, as far as it is known.
#[derive(Clone, Debug, Serialize)]
pub struct Way {
    /// The word of its kind.
    pub source: &'static str,
    /// The stream that it came on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The IdP that it came from, by its configured name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idp: Option<String>,
    /// Its `jti`, if that much was believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

impl Way {
    /// From an IdP.
    pub fn of_idp(source: &'static str, idp: &str, jti: Option<String>) -> Self {
        Self { source, stream: None, idp: Some(idp.to_owned()), jti }
    }

    /// On a stream.
    pub fn of_stream(stream: &str) -> Self {
        Self { source: "stream", stream: Some(stream.to_owned()), idp: None, jti: None }
    }
}

impl From<&Origin> for Way {
    fn from(origin: &Origin) -> Self {
        let (stream, idp, jti) = origin.parts();
        let [stream, idp, jti] = [stream, idp, jti].map(|part| part.map(str::to_owned));
        Self { source: origin.word(), stream, idp, jti }
    }
}

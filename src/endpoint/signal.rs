//! Where others say "it is over": SETs pushed by a transmitter, logout tokens posted by an IdP.
//!
//! Cheap checks come before dear ones: method and size before the shared secret, the secret before any signature. What
//! is answered with success is in force and durable (law 2).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{Call, Endpoints, answer};
use crate::audit::Way;
use crate::event::reject::{self, Answer, Code};
use crate::idp::Idp;
use crate::jose::Reject;
use crate::policy::{self, SpokenFor};
use crate::stream::{Delivery, Signals, Stream, Unserved};
use crate::time::Stopwatch;

/// Seconds after which a sender that we could not serve should try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

impl Endpoints {
    /// `/oauth2/ssf/{stream}`: a pushed SET (RFC 8935 §2). 202 with an empty body, or 400 with code and description.
    pub(super) async fn push(&self, name: &str, call: &Call<'_>) -> Response<Bytes> {
        // On a stream that is polled nobody pushes.
        let pushed = |stream: &&Arc<Stream>| matches!(stream.delivery(), Delivery::Push { .. });
        let Some(stream) = self.0.streams.get(name).filter(pushed) else {
            return answer::empty(StatusCode::NOT_FOUND);
        };
        match self.pushed(stream, call).await {
            Ok(()) => answer::empty(StatusCode::ACCEPTED),
            Err(Unserved::Later) => later(),
            Err(Unserved::Refused(refusal)) => {
                self.signals().refused(stream, &refusal);
                let mut response = answer::json(StatusCode::BAD_REQUEST, &refusal.json());
                response.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"));
                response
            }
        }
    }

    async fn pushed(&self, stream: &Stream, call: &Call<'_>) -> Result<(), Unserved> {
        let presented = call.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if !stream.admits(presented) {
            return Err(Unserved::Refused(Answer::authentication_failed()));
        }
        if !["application/secevent+jwt", "application/jwt"].iter().any(|known| is_of(call.headers(), known)) {
            let why = "the content type must be `application/secevent+jwt`";
            return Err(Unserved::Refused(Answer::new(Code::InvalidRequest, why)));
        }
        let compact = std::str::from_utf8(call.request.body()).map_err(|_| Reject::Malformed)?.trim();
        self.signals().take(stream, compact, None).await
    }

    fn signals(&self) -> Signals<'_> {
        self.0.signals()
    }

    /// `/oauth2/backchannel-logout/{idp}`: a logout token (Back-Channel Logout §2.5). 200, or 400 with an OAuth error.
    pub(super) async fn logout(&self, name: &str, call: &Call<'_>) -> Response<Bytes> {
        let Some(idp) = self.0.idps.get(name) else {
            return answer::empty(StatusCode::NOT_FOUND);
        };
        let (signals, arrived) = (self.signals(), Stopwatch::start());
        let outcome = async {
            let token = one_of_form(call.request.body(), "logout_token").ok_or(Reject::Malformed)?;
            let logout = idp.verify_logout_token(&token).await?;
            let ended = policy::logout(&logout, &spoken_for(idp), self.0.clock.now());
            signals.enter(arrived, ended.into_iter().collect()).await
        };
        match outcome.await {
            Ok(()) => answer::empty(StatusCode::OK),
            Err(Unserved::Later) => later(),
            Err(Unserved::Refused(refusal)) => {
                let way = Way::of_idp("backchannel", name, None);
                self.0.audit.signal_rejected(way, refusal.code.word(), &refusal.description);
                answer::json(StatusCode::BAD_REQUEST, &reject::logout_json(&refusal))
            }
        }
    }
}

/// The IdP as the authority over its own people.
pub(crate) fn spoken_for(idp: &Idp) -> SpokenFor {
    SpokenFor { name: idp.name().to_owned(), issuer: idp.issuer().clone(), client_id: idp.client_id().to_owned() }
}

/// True for a body of that type, whatever its parameters are.
pub(super) fn is_of(headers: &HeaderMap, media_type: &str) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

/// The one value of that name in a form; `None` for none or several (a second one is somebody's trick).
pub(super) fn one_of_form(body: &[u8], name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(body).filter(|(known, _)| known == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.into_owned()),
        _ => None,
    }
}

/// Not now: the sender keeps it and sends it again.
pub(super) fn later() -> Response<Bytes> {
    let mut response = answer::empty(StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

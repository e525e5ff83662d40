//! Global token revocations: one person's sessions and tokens, all of them, at the IdP's word.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::signal::{later, spoken_for};
use super::{Call, Endpoints, PREFIX, answer};
use crate::audit::Event as Audited;
use crate::event::global::{self, Caller};
use crate::event::reject;
use crate::idp::{GlobalRevocation, Idp, NotAdmitted};
use crate::policy::{self, NotRevoked};

/// Why a call is not answered with success.
struct Refusal {
    status: StatusCode,
    /// As RFC 6750 §3.1 names it, where it does.
    error: &'static str,
    /// The word for metrics.
    word: &'static str,
    why: String,
    jti: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, error: &'static str, word: &'static str, why: &dyn std::fmt::Display) -> Self {
        Self { status, error, word, why: why.to_string(), jti: None }
    }

    fn malformed(why: &dyn std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", "invalid_request", why)
    }

    fn unauthenticated(word: &'static str, why: &dyn std::fmt::Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_token", word, why)
    }

    fn response(&self) -> Response<Bytes> {
        let body = json!({ "error": self.error, "error_description": self.why });
        let mut response = answer::json(self.status, &body);
        if self.status == StatusCode::UNAUTHORIZED {
            // Who showed nothing is told no error (RFC 6750 §3.1).
            let invalid = self.error == "invalid_token";
            let challenge = if invalid { "Bearer error=\"invalid_token\"" } else { "Bearer" };
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// Why there is no success.
enum Unserved {
    Refused(Refusal),
    /// It cannot be judged or kept at the moment: the caller must come again.
    Later,
}

impl From<NotAdmitted> for Unserved {
    fn from(why: NotAdmitted) -> Self {
        let word = match why {
            NotAdmitted::Unavailable => return Self::Later,
            NotAdmitted::Stranger => "authentication_failed",
            NotAdmitted::Replayed => "replayed",
            NotAdmitted::Token(reject) => reject::code(reject).word(),
        };
        Self::Refused(Refusal::unauthenticated(word, &why))
    }
}

impl From<NotRevoked> for Refusal {
    fn from(why: NotRevoked) -> Self {
        match why {
            NotRevoked::Format => Self::malformed(&why),
            NotRevoked::Issuer => Self::new(StatusCode::FORBIDDEN, "insufficient_scope", "access_denied", &why),
            NotRevoked::Nobody => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_subject", "unmatched", &why),
        }
    }
}

impl Endpoints {
    /// `/oauth2/global-token-revocation/{idp}` (draft-parecki-oauth-global-token-revocation §3): 204 when everything is
    /// over and on disk; 400 for a body that is none or a format that nobody is known by, 401 for who is not the caller,
    /// 403 for people of others, 422 for a name that can be nobody's.
    ///
    /// Never 404 for the person: nobody keeps a list of people here, and what is revoked holds for whoever signs in
    /// at another gateway of the fleet as well.
    pub(super) async fn global_revocation(&self, name: &str, call: &Call<'_>) -> Response<Bytes> {
        let idp = self.0.idps.get(name);
        let Some((idp, settings)) = idp.and_then(|idp| Some((idp, idp.global_revocation()?))) else {
            return answer::empty(StatusCode::NOT_FOUND);
        };
        match self.revoked_globally(idp, settings, call).await {
            Ok(()) => answer::empty(StatusCode::NO_CONTENT),
            Err(Unserved::Later) => later(),
            Err(Unserved::Refused(refusal)) => {
                self.0.metrics.signal_rejected(refusal.word);
                self.0.audit.record(Audited::SignalRejected {
                    source: "global_revocation",
                    stream: None,
                    idp: Some(name.to_owned()),
                    jti: refusal.jti.clone(),
                    why: format!("{}: {}", refusal.word, refusal.why),
                });
                refusal.response()
            }
        }
    }

    async fn revoked_globally(&self, idp: &Idp, settings: &GlobalRevocation, call: &Call<'_>) -> Result<(), Unserved> {
        let bearer = bearer(call).ok_or_else(|| {
            let (status, why) = (StatusCode::UNAUTHORIZED, "there is not one bearer token");
            Unserved::Refused(Refusal::new(status, "missing_token", "authentication_failed", &why))
        })?;
        // The app's origin is from the config: what a request says of its host decides nothing here.
        let endpoint = format!("{}{PREFIX}/global-token-revocation/{}", call.app.origin.as_str(), idp.name());
        let caller = idp.revoker(settings, bearer, &endpoint).await?;
        let jti = match &caller {
            Caller::Holder => None,
            Caller::Signed { jti, .. } => Some(jti.clone()),
        };
        let refuse = |refusal: Refusal| Unserved::Refused(Refusal { jti: jti.clone(), ..refusal });
        if !is_json(call) {
            return Err(refuse(Refusal::malformed(&"the content type must be `application/json`")));
        }
        let subject = global::parse_request(call.request.body()).map_err(|why| refuse(Refusal::malformed(&why)))?;
        let now = self.0.clock.now();
        let revocations = policy::global(&subject, &caller, &spoken_for(idp), idp.revoker_issuer(), now)
            .map_err(|why| refuse(why.into()))?;
        if self.0.intake.accept(revocations).await.is_err() {
            idp.has_not_revoked(&caller);
            return Err(Unserved::Later);
        }
        Ok(())
    }
}

/// The one bearer token of a call; several are somebody's trick.
fn bearer<'a>(call: &'a Call<'_>) -> Option<&'a str> {
    let mut fields = call.headers().get_all(header::AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let (scheme, token) = field.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn is_json(call: &Call<'_>) -> bool {
    let content_type = call.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

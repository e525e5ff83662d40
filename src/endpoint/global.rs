//! Global token revocations: one person's sessions and tokens, all of them, at the IdP's word.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::called::{Refusal, Unserved};
use super::signal::{is_of, later, spoken_for};
use super::{Call, Endpoints, PREFIX, answer};
use crate::event::global::{self, Caller};
use crate::event::reject;
use crate::idp::{GlobalRevocation, Idp, NotAdmitted};
use crate::policy::{self, NotRevoked};
use crate::time::Stopwatch;

fn malformed(why: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", "invalid_request", why)
}

fn response(refusal: &Refusal) -> Response<Bytes> {
    let mut response = answer::json(refusal.status, &refusal.json());
    if refusal.status == StatusCode::UNAUTHORIZED {
        // Who showed nothing is told no error (RFC 6750 §3.1).
        let invalid = refusal.error == INVALID_TOKEN;
        let challenge = if invalid { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

fn not_admitted(why: NotAdmitted) -> Unserved {
    let word = match why {
        NotAdmitted::Unavailable => return Unserved::Later,
        NotAdmitted::Stranger => "authentication_failed",
        NotAdmitted::Replayed => "replayed",
        NotAdmitted::Token(reject) => reject::code(reject).word(),
    };
    Refusal::new(StatusCode::UNAUTHORIZED, INVALID_TOKEN, word, &why).into()
}

fn not_revoked(why: NotRevoked) -> Refusal {
    match why {
        NotRevoked::Format => malformed(&why),
        NotRevoked::Issuer => Refusal::new(StatusCode::FORBIDDEN, "insufficient_scope", "access_denied", &why),
        NotRevoked::Nobody => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_subject", "unmatched", &why),
    }
}

/// The error of a token that does not count (RFC 6750 §3.1).
const INVALID_TOKEN: &str = "invalid_token";

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
                self.refuses_call("global_revocation", name, &refusal);
                response(&refusal)
            }
        }
    }

    async fn revoked_globally(&self, idp: &Idp, settings: &GlobalRevocation, call: &Call<'_>) -> Result<(), Unserved> {
        let arrived = Stopwatch::start();
        let bearer = bearer(call).ok_or_else(|| {
            let (status, why) = (StatusCode::UNAUTHORIZED, "there is not one bearer token");
            Refusal::new(status, "missing_token", "authentication_failed", &why)
        })?;
        // The app's origin is from the config: what a request says of its host decides nothing here.
        let endpoint = format!("{}{PREFIX}/global-token-revocation/{}", call.app.origin.as_str(), idp.name());
        let caller = idp.revoker(settings, bearer, &endpoint).await.map_err(not_admitted)?;
        let jti = match &caller {
            Caller::Holder => None,
            Caller::Signed { jti, .. } => Some(jti.clone()),
        };
        let refuse = |refusal: Refusal| Unserved::Refused(Refusal { jti: jti.clone(), ..refusal });
        if !is_of(call.headers(), "application/json") {
            return Err(refuse(malformed(&"the content type must be `application/json`")));
        }
        let subject = global::parse_request(call.request.body()).map_err(|why| refuse(malformed(&why)))?;
        let now = self.0.clock.now();
        let revocations = policy::global(&subject, &caller, &spoken_for(idp), idp.revoker_issuer(), now)
            .map_err(|why| refuse(not_revoked(why)))?;
        if self.0.intake.accept_from(arrived, revocations).await.is_err() {
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

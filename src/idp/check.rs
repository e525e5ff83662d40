//! Asks the IdP whether a session still stands, by the refresh token of its sign-in.

use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ::http::{Request, Response};
use serde_json::{Map, Value};

use super::authentication::authenticate;
use super::claims::Facts;
use super::discovery::Metadata;
use super::{Error, Idp, Part, Settings, introspection};
use crate::http;
use crate::identity::Identity;
use crate::jose::{Reject, object_without_duplicates};
use crate::revalidation::{By, Verdict};
use crate::secret::Secret;

/// Bytes of an answer: a few tokens of 64 KiB at the most.
const MAX_ANSWER: usize = 256 * 1024;

/// What came of a check.
#[derive(Debug)]
pub struct Checked {
    /// What it says about the session.
    pub verdict: Verdict,
    /// The refresh token that replaces the one it was asked with.
    pub rotated: Option<Secret<String>>,
    /// Whether the IdP may have replaced the token by one that did not arrive; `None`: as before.
    pub in_doubt: Option<bool>,
    /// How long the IdP wants to be left alone.
    pub retry_after: Option<Duration>,
    /// What is wrong, where there is no verdict.
    pub trouble: Option<Error>,
    /// What the IdP says of the person now, if it says anything.
    pub said: Option<Said>,
}

/// What a new ID token says.
#[derive(Debug)]
pub struct Said {
    /// Of whom, and what.
    pub identity: Identity,
    /// Whether it speaks of groups at all.
    pub tells_groups: bool,
}

impl Checked {
    const fn of(verdict: Verdict) -> Self {
        Self { verdict, rotated: None, in_doubt: None, retry_after: None, trouble: None, said: None }
    }

    fn failed(error: Error) -> Self {
        let verdict = verdict_of(&error);
        Self { trouble: Some(error), ..Self::of(verdict) }
    }

    /// No answer, or one with a status that is no answer to the question.
    fn unanswered(part: Part, outcome: Result<&Response<Vec<u8>>, http::Error>) -> Self {
        match outcome {
            Ok(answer) => {
                let status = answer.status().as_u16();
                Self {
                    // These two say that nothing was done.
                    in_doubt: (status >= 500 && status != 503).then_some(true),
                    retry_after: http::retry_after(answer),
                    ..Self::failed(Error::from_status(part, status))
                }
            }
            Err(error) => {
                let in_doubt = matches!(error, http::Error::Deadline | http::Error::Broken(_) | http::Error::TooLarge);
                Self { in_doubt: in_doubt.then_some(true), ..Self::failed(Error::from_http(part, error)) }
            }
        }
    }
}

impl Idp {
    /// Asks by a refresh grant (RFC 6749 §6) or by introspection (RFC 7662). `Silent` asks nobody here.
    pub async fn check(&self, by: By, token: &Secret<String>) -> Checked {
        match by {
            By::Refresh => self.refresh(token).await.unwrap_or_else(Checked::failed),
            By::Introspect => self.introspect(token).await.unwrap_or_else(Checked::failed),
            By::Silent => Checked::of(Verdict::Stands),
        }
    }

    async fn refresh(&self, token: &Secret<String>) -> Result<Checked, Error> {
        let metadata = self.discovery.metadata().await?;
        let request = refresh_request(&self.settings, &metadata, token)?;
        let answer = match self.client.send(request, MAX_ANSWER).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Checked::unanswered(Part::Token, Err(error))),
        };
        let body = object_without_duplicates(answer.body());
        match (answer.status().as_u16(), body) {
            (200, Some(body)) => Ok(self.refreshed(&body).await),
            (200, None) => Ok(Checked { in_doubt: Some(true), ..Checked::failed(Error::Unusable(Part::Token)) }),
            (400 | 401 | 403, Some(body)) if body.contains_key("error") => Ok(refused(&body)),
            _ => Ok(Checked::unanswered(Part::Token, Ok(&answer))),
        }
    }

    /// RFC 6749 §5.1, OpenID Connect Core §12.2.
    async fn refreshed(&self, answer: &Map<String, Value>) -> Checked {
        let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if text("access_token").is_none() {
            return Checked { in_doubt: Some(true), ..Checked::failed(Error::Unusable(Part::Token)) };
        }
        let rotated = text("refresh_token").map(|token| Secret::new(token.to_owned()));
        let stands = Checked { rotated, in_doubt: Some(false), ..Checked::of(Verdict::Stands) };
        let Some(id_token) = text("id_token") else { return stands };
        match self.said(id_token).await {
            Ok(said) => Checked { said: Some(said), ..stands },
            // The moment at which the session must end is past.
            Err(Error::Token(Reject::Claim("session_expiry"))) => Checked { verdict: Verdict::Changed, ..stands },
            // The IdP goes on with somebody, and says it in a way that cannot be believed.
            Err(error) => Checked { verdict: Verdict::NoVerdict, trouble: Some(error), ..stands },
        }
    }

    async fn said(&self, id_token: &str) -> Result<Said, Error> {
        let claims = self.verify_id_token(id_token, None).await?.into_inner();
        let facts = Facts::new(claims);
        let tells_groups = facts.tell(&self.settings.claims.groups);
        let assertion = facts.into_assertion(&self.settings, Secret::new(id_token.to_owned()), self.clock.now())?;
        Ok(Said { identity: assertion.identity, tells_groups })
    }

    async fn introspect(&self, token: &Secret<String>) -> Result<Checked, Error> {
        let request = introspection::request(&self.settings, &self.discovery, token.expose(), "refresh_token").await?;
        let answer = match self.client.send(request, MAX_ANSWER).await {
            Ok(answer) => answer,
            Err(error) => {
                return Ok(Checked { in_doubt: None, ..Checked::unanswered(Part::Introspection, Err(error)) });
            }
        };
        match answer.status().as_u16() {
            200 => {}
            // RFC 7662 §2.3: it is us whom it does not know, or who may not ask.
            400 | 401 | 403 => return Err(Error::ClientRefused),
            _ => return Ok(Checked { in_doubt: None, ..Checked::unanswered(Part::Introspection, Ok(&answer)) }),
        }
        match object_without_duplicates(answer.body()).as_ref().and_then(|claims| claims.get("active")) {
            Some(Value::Bool(true)) => Ok(Checked::of(Verdict::Stands)),
            Some(Value::Bool(false)) => Ok(Checked::of(Verdict::Refused)),
            _ => Err(Error::Unusable(Part::Introspection)),
        }
    }
}

/// RFC 6749 §6.
fn refresh_request(
    settings: &Settings,
    metadata: &Metadata,
    token: &Secret<String>,
) -> Result<Request<Vec<u8>>, Error> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token.expose());
    let secret = settings.client_secret.as_ref();
    let basic = authenticate(&mut form, metadata.client_authentication, &settings.client_id, secret)?;
    let mut request = Request::post(metadata.token_endpoint.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(basic) = basic {
        request = request.header(AUTHORIZATION, basic);
    }
    request.body(form.finish().into_bytes()).map_err(|_| Error::Unusable(Part::Token))
}

/// What an error answer of the token endpoint means (RFC 6749 §5.2). Its own text is dropped.
fn refused(body: &Map<String, Value>) -> Checked {
    match body.get("error").and_then(Value::as_str) {
        Some("invalid_grant") => Checked::of(Verdict::Refused),
        // Entra's way to say that the person must be asked something (a second factor, new terms), and OpenID's.
        Some("interaction_required" | "login_required" | "consent_required") => Checked::of(Verdict::Changed),
        Some("temporarily_unavailable" | "server_error" | "slow_down") => {
            Checked::failed(Error::Unreachable { part: Part::Token, status: None, cause: None })
        }
        _ => Checked::failed(Error::ClientRefused),
    }
}

/// What an error leaves of a verdict.
const fn verdict_of(error: &Error) -> Verdict {
    match error {
        Error::ClientRefused
        | Error::NoClientAuthentication
        | Error::NoIntrospection
        | Error::BadEndpoint
        | Error::WrongIssuer
        | Error::NotOurs => Verdict::Misconfigured,
        Error::Unreachable { .. }
        | Error::Unusable(_)
        | Error::Denied(_)
        | Error::CodeRefused
        | Error::Token(_)
        | Error::OtherSubject => Verdict::NoVerdict,
    }
}

#[cfg(test)]
mod tests;

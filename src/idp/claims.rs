//! Claims to facts. Pure: what a verified token and a userinfo answer say about a person.

use serde_json::{Map, Value};

use super::{Assertion, ClaimNames, Error, ProveBy, Settings, not_after};
use crate::identity::{Email, Identity};
use crate::jose::{NumericDate, Reject};
use crate::secret::Secret;
use crate::time::Timestamp;

/// Characters of a `sub` (OpenID Connect Core §2).
const MAX_SUBJECT: usize = 255;

pub(super) type Claims = Map<String, Value>;

/// What tells an ID token that answers *this* login from every other token of the issuer.
pub(super) fn check_id_token(claims: &Claims, nonce: Option<&str>, client_id: &str) -> Result<(), Reject> {
    // A SET or a logout token, signed by the same keys (RFC 8417 §4.5, Back-Channel Logout §2.4).
    if claims.contains_key("events") {
        return Err(Reject::Forbidden("events"));
    }
    match (nonce, claims.get("nonce")) {
        (None, _) => {}
        (Some(_), None) => return Err(Reject::Missing("nonce")),
        (Some(nonce), Some(found)) if found == nonce => {}
        (Some(_), Some(_)) => return Err(Reject::Claim("nonce")),
    }
    // OpenID Connect Core §3.1.3.7, step 5.
    if claims.get("azp").is_some_and(|party| party != client_id) {
        return Err(Reject::Claim("azp"));
    }
    subject(claims).map(|_| ())
}

/// All that is known of a person: the ID token, and what the userinfo endpoint added.
pub(super) struct Facts {
    token: Claims,
    userinfo: Claims,
}

impl Facts {
    /// What a verified token says.
    pub(super) fn new(token: Claims) -> Self {
        Self { token, userinfo: Claims::new() }
    }

    /// True if the token lacks a fact by which people are known, so that the userinfo endpoint is worth asking.
    pub(super) fn is_short_of(&self, names: &ClaimNames) -> bool {
        [&names.email, &names.groups].into_iter().any(|name| find(&self.token, name).is_none())
    }

    /// True if there is a claim of that name, whatever it says.
    pub(super) fn tell(&self, name: &str) -> bool {
        self.document_with(name).is_some()
    }

    /// Adds what the userinfo endpoint says, if it speaks of the same person. The token has precedence.
    pub(super) fn add(&mut self, userinfo: Claims) -> Result<(), Error> {
        if userinfo.get("sub") != self.token.get("sub") {
            return Err(Error::OtherSubject);
        }
        self.userinfo = userinfo;
        Ok(())
    }

    /// What `id_token` and all that was added to it assert.
    pub(super) fn into_assertion(
        self,
        settings: &Settings,
        id_token: Secret<String>,
        now: Timestamp,
    ) -> Result<Assertion, Error> {
        let token = &self.token;
        let asserted_at = date(token, "iat")?.ok_or(Reject::Missing("iat"))?;
        let asserted_at = not_after(asserted_at, now);
        let auth_time = match settings.prove_by {
            ProveBy::AuthTime => date(token, "auth_time")?.map(|moment| not_after(moment, now)),
            ProveBy::IssuedAt => Some(asserted_at),
        };
        let session_expiry = session_expiry(token, now)?;
        let identity = self.identity(settings, subject(token)?, asserted_at, auth_time)?;
        let identity = Identity { session_expiry, ..identity };
        let kept_claims = self.kept(&settings.kept_claims).collect();
        Ok(Assertion { identity, kept_claims, display_name: self.one("name"), id_token, refresh_token: None })
    }

    /// Everything by which `subject` can be revoked.
    pub(super) fn identity(
        &self,
        settings: &Settings,
        subject: &str,
        asserted_at: Timestamp,
        auth_time: Option<Timestamp>,
    ) -> Result<Identity, Reject> {
        let names = &settings.claims;
        Ok(Identity {
            issuer: settings.issuer.clone(),
            subject: subject.to_owned(),
            sid: session_id(&self.token)?,
            email: self.verified(&names.email, "email", "email_verified").and_then(|text| Email::parse(&text)),
            phone: self.verified(&names.phone, "phone_number", "phone_number_verified"),
            preferred_username: self.one(&names.preferred_username),
            groups: self.all(&names.groups).unwrap_or_default(),
            tenant: self.one(&names.tenant),
            device: self.one(&names.device),
            asserted_at,
            auth_time,
            session_expiry: None,
        })
    }

    /// Those of the claims of these names that are there, each with its values.
    pub(super) fn kept(&self, names: &[String]) -> impl Iterator<Item = (String, Vec<String>)> {
        names.iter().filter_map(|name| Some((name.clone(), self.all(name)?)))
    }

    /// The document that has a claim of that name: the token, else the userinfo.
    fn document_with(&self, name: &str) -> Option<(&Claims, &Value)> {
        [&self.token, &self.userinfo].into_iter().find_map(|claims| Some((claims, find(claims, name)?)))
    }

    /// A claim as one text.
    fn one(&self, name: &str) -> Option<String> {
        text(self.document_with(name)?.1).filter(|text| !text.is_empty())
    }

    /// A claim as texts: an array of them, or one. What is neither (objects, nulls) is left out.
    fn all(&self, name: &str) -> Option<Vec<String>> {
        match self.document_with(name)?.1 {
            Value::Array(values) => Some(values.iter().filter_map(text).collect()),
            value => text(value).map(|text| vec![text]),
        }
    }

    /// A claim as one text, unless it is the standard one and the same document says that it is not verified.
    fn verified(&self, name: &str, standard: &str, flag: &str) -> Option<String> {
        let (document, value) = self.document_with(name)?;
        // Some IdPs write the flag as a text.
        let denied = matches!(document.get(flag), Some(Value::Bool(false)))
            || document.get(flag).and_then(Value::as_str).is_some_and(|flag| flag.eq_ignore_ascii_case("false"));
        if name == standard && denied { None } else { text(value).filter(|text| !text.is_empty()) }
    }
}

/// The claim of that name: of the whole name, or one level down at each dot. A null is no claim.
fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    let found = claims.get(name).or_else(|| {
        let mut steps = name.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    });
    found.filter(|value| !value.is_null())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(super) fn subject(claims: &Claims) -> Result<&str, Reject> {
    let subject = claims.get("sub").ok_or(Reject::Missing("sub"))?.as_str().ok_or(Reject::Claim("sub"))?;
    if subject.is_empty() || subject.len() > MAX_SUBJECT { Err(Reject::Claim("sub")) } else { Ok(subject) }
}

fn session_id(claims: &Claims) -> Result<Option<String>, Reject> {
    match claims.get("sid") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(sid)) if !sid.is_empty() => Ok(Some(sid.clone())),
        // A session that we could not be told to end.
        Some(_) => Err(Reject::Claim("sid")),
    }
}

pub(super) fn date(claims: &Claims, name: &'static str) -> Result<Option<Timestamp>, Reject> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => NumericDate::parse(value).map(|date| Some(date.0)).ok_or(Reject::Claim(name)),
    }
}

/// The ceiling for sessions (IPSIE SL1): a whole number of seconds, and still to come.
fn session_expiry(claims: &Claims, now: Timestamp) -> Result<Option<Timestamp>, Reject> {
    let Some(value) = claims.get("session_expiry") else { return Ok(None) };
    let expiry = value.as_u64().map(Timestamp::from_secs).ok_or(Reject::Claim("session_expiry"))?;
    if expiry > now { Ok(Some(expiry)) } else { Err(Reject::Claim("session_expiry")) }
}

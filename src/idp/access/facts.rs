//! Claims to facts. Pure: what a verified access token, or the IdP's answer about one, says.

use serde_json::Value;

pub(super) use super::super::claims::Claims;
use super::super::claims::{Facts, date, subject};
use super::super::{Settings, not_after};
use crate::apps::Unproven;
use crate::identity::{Email, Identity};
use crate::jose::{Audience, Reject, check_audience};
use crate::session::Person;
use crate::time::Timestamp;

/// Claims that an access token never has: a SET and a logout token have `events` (RFC 8417 §2.2), an ID token the others
/// (OpenID Connect Core §2, §3.3.2.11). One issuer signs them all with the same keys.
const OF_OTHERS: [&str; 4] = ["events", "nonce", "at_hash", "c_hash"];
/// Where an IdP says what a token is for, besides the header: Keycloak's `typ`, Cognito's and Hydra's `token_use`. The
/// values name what is no access token.
const USES: [(&str, &[&str]); 2] =
    [("typ", &["id", "refresh", "offline", "logout"]), ("token_use", &["id", "refresh_token"])];
/// Where the client stands: RFC 9068 §2.2; Entra's two; Okta's.
const CLIENT: [&str; 4] = ["client_id", "azp", "appid", "cid"];
/// Names under which [`Person::claims`] holds what the token itself grants; an IdP's claims of these names are not kept.
const GRANTED: [&str; 2] = ["client_id", "scope"];

/// What a token grants, and to whom.
pub(super) struct Grant {
    /// The facts by which it can be revoked. Its dates are those by which it is judged.
    pub(super) identity: Identity,
    /// What access rules and the app may know.
    pub(super) person: Person,
    /// When it ends.
    pub(super) ends_at: Timestamp,
    /// The key that it is bound to (RFC 9449 §6).
    pub(super) bound_to: Option<String>,
}

/// Why claims grant nothing.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum BadGrant {
    /// They are not what they must be.
    Claims(Reject),
    /// A revocation of it may be forgotten.
    TooOld,
    /// It is bound to something that cannot be checked here.
    Binding,
}

impl BadGrant {
    /// The word for metrics.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Claims(reject) => reject.word(),
            Self::TooOld => "too_old",
            Self::Binding => "binding",
        }
    }
}

impl From<Reject> for BadGrant {
    fn from(reject: Reject) -> Self {
        Self::Claims(reject)
    }
}

impl Grant {
    /// Reads claims whose issuer, audience and signature (or the IdP's word for them) were checked before.
    pub(super) fn read(
        claims: Claims,
        settings: &Settings,
        unproven: Unproven,
        horizon: Timestamp,
        now: Timestamp,
    ) -> Result<Self, BadGrant> {
        check_use(&claims)?;
        let ends_at = date(&claims, "exp")?.ok_or(Reject::Missing("exp"))?;
        // No tolerance: what runs on it is cut at this moment, too.
        if ends_at <= now {
            return Err(Reject::Expired.into());
        }
        let issued_at = not_after(date(&claims, "iat")?.ok_or(Reject::Missing("iat"))?, now);
        let signed_in_at = date(&claims, "auth_time")?.map(|moment| not_after(moment, now));
        let client = CLIENT.iter().find_map(|name| claims.get(*name)?.as_str().filter(|text| !text.is_empty()));
        let client = client.map(str::to_owned);
        let subject = match (claims.get("sub"), &client) {
            // A program that acts for itself (RFC 6749 §4.4), of whom the IdP says nothing more.
            (None, Some(client)) => client.clone(),
            _ => subject(&claims)?.to_owned(),
        };
        // A program shows who it is for each of its tokens anew: none is refreshed from an older grant.
        let unproven = if client.as_ref() == Some(&subject) { Unproven::IssuedAt } else { unproven };
        let moments = Moments::of(signed_in_at, issued_at, unproven);
        if moments.decided_at <= horizon {
            return Err(BadGrant::TooOld);
        }
        let bound_to = binding(&claims)?;
        let granted = granted(&claims, client);
        let facts = Facts::new(claims);
        let identity = facts.identity(settings, &subject, moments.asserted_at, moments.auth_time)?;
        let kept = facts.kept(&settings.kept_claims).filter(|(name, _)| !GRANTED.contains(&name.as_str()));
        let kept = kept.flat_map(|(name, values)| values.into_iter().map(move |value| (name.clone(), value)));
        let person = Person {
            subject,
            email: identity.email.as_ref().map(Email::as_str).map(str::to_owned),
            preferred_username: identity.preferred_username.clone(),
            groups: identity.groups.clone(),
            claims: granted.into_iter().chain(kept).collect(),
        };
        Ok(Self { identity, person, ends_at, bound_to })
    }
}

/// By which moments a token is judged.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Moments {
    /// What a revocation that asks to re-establish is compared with.
    asserted_at: Timestamp,
    /// What a termination is compared with.
    auth_time: Option<Timestamp>,
    /// Revocations since this moment must be known for the judgement to count.
    decided_at: Timestamp,
}

impl Moments {
    /// When a token was issued proves nothing: it may come from a grant that is much older than a revocation. So what
    /// counts, for both modes, is when its person signed in; where it does not say that, what the app wants.
    fn of(signed_in_at: Option<Timestamp>, issued_at: Timestamp, unproven: Unproven) -> Self {
        match (signed_in_at, unproven) {
            (Some(moment), _) => {
                let proven = moment.min(issued_at);
                Self { asserted_at: proven, auth_time: Some(moment), decided_at: proven }
            }
            // Older than every revocation in force.
            (None, Unproven::Refuse) => Self { asserted_at: Timestamp::ZERO, auth_time: None, decided_at: issued_at },
            (None, Unproven::IssuedAt) => {
                Self { asserted_at: issued_at, auth_time: Some(issued_at), decided_at: issued_at }
            }
        }
    }
}

/// Checks what the verifier of JWTs checks, in the IdP's answer about a token (RFC 7662 §2.2, §4).
pub(super) fn check_answer(
    answer: &Claims,
    settings: &Settings,
    audiences: &[String],
    now: Timestamp,
) -> Result<(), BadGrant> {
    match answer.get("iss") {
        None | Some(Value::Null) => {}
        Some(Value::String(issuer)) if issuer == settings.issuer.as_str() => {}
        Some(_) => return Err(Reject::Issuer.into()),
    }
    check_audience(answer, Audience::Any(audiences))?;
    match answer.get("token_type") {
        None | Some(Value::Null) => {}
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
        // A binding that is not said cannot be checked.
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("dpop") => {
            binding(answer)?.ok_or(BadGrant::Binding)?;
        }
        Some(_) => return Err(Reject::Claim("token_type").into()),
    }
    let latest = now.plus(settings.skew);
    if ["iat", "nbf"].into_iter().any(|name| date(answer, name).is_ok_and(|moment| moment > Some(latest))) {
        return Err(Reject::NotYet.into());
    }
    date(answer, "nbf")?;
    Ok(())
}

/// Refuses what is a token of another use, though it is signed by the same keys.
fn check_use(claims: &Claims) -> Result<(), Reject> {
    if let Some(name) = OF_OTHERS.into_iter().find(|name| claims.contains_key(*name)) {
        return Err(Reject::Forbidden(name));
    }
    for (name, others) in USES {
        let said = claims.get(name).and_then(Value::as_str);
        if said.is_some_and(|said| others.iter().any(|other| said.eq_ignore_ascii_case(other))) {
            return Err(Reject::Claim(name));
        }
    }
    Ok(())
}

/// The key that a token is bound to, if it is (RFC 7800 §3.1, RFC 9449 §6.1). A binding of any other kind, such as to a
/// client certificate (RFC 8705 §3.1), is one that would not be checked.
fn binding(claims: &Claims) -> Result<Option<String>, BadGrant> {
    let members = match claims.get("cnf") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(members)) if members.len() == 1 => members,
        Some(_) => return Err(BadGrant::Binding),
    };
    let key = members.get("jkt").and_then(Value::as_str).filter(|key| !key.is_empty());
    key.map(|key| Some(key.to_owned())).ok_or(BadGrant::Binding)
}

/// What access rules can ask for of the grant itself: `client_id`, and one `scope` per scope. Scopes are one text with
/// blanks between them (RFC 9068 §2.2.3), Entra's `scp` too, or a list, as Okta's `scp` is.
fn granted(claims: &Claims, client: Option<String>) -> Vec<(String, String)> {
    let scopes: Vec<&str> = match claims.get("scope").or_else(|| claims.get("scp")) {
        Some(Value::String(text)) => text.split_ascii_whitespace().collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let scopes = scopes.into_iter().map(|scope| ("scope".to_owned(), scope.to_owned()));
    client.map(|client| ("client_id".to_owned(), client)).into_iter().chain(scopes).collect()
}

#[cfg(test)]
mod tests;

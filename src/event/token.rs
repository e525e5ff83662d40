//! Security Event Tokens (RFC 8417) as SSF §4.1 narrows them: what one must be, and what it says.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::logout::BACKCHANNEL_LOGOUT;
use super::{Event, MAX_ID, SecurityEvent, Subject, bounded_text, caep};
use crate::identity::Issuer;
use crate::jose::{Alg, Audience, Exp, Expectation, Reject, Verified};

/// How far a transmitter's clock may be ahead. There is no bound behind: a late event still ends a session.
pub const SKEW: Duration = Duration::from_secs(300);

/// The claims of a SET, read only by [`parse`].
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct SetClaims(Map<String, Value>);

impl std::fmt::Debug for SetClaims {
    /// A SET names people: its claims are not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SetClaims")
    }
}

/// What a SET of this issuer for one of `audiences` must be: `typ` is `secevent+jwt` (SSF §4.1.1) and there is no
/// `exp` (SSF §4.1.7), so that neither an ID token nor a logout token passes for one.
pub const fn expectation<'a>(issuer: &'a Issuer, audiences: &'a [String], algs: &'a [Alg]) -> Expectation<'a> {
    Expectation {
        types: &["secevent+jwt"],
        type_required: true,
        algs,
        issuer,
        audience: Audience::Any(audiences),
        skew: SKEW,
        exp: Exp::Forbidden,
    }
}

/// Reads a verified SET.
///
/// `sub` is refused (SSF §4.1.2), `sub_id` is required at the top (SSF §3.1), `events` is a non-empty object of
/// objects (RFC 8417 §2.2). An event of an unknown type is no error (SSF §4.2.3); a logout token's event is one.
pub fn parse(token: Verified<SetClaims>) -> Result<SecurityEvent, Reject> {
    let issued_at = token.issued_at();
    let SetClaims(claims) = token.into_inner();
    if claims.contains_key("sub") {
        return Err(Reject::Forbidden("sub"));
    }
    let jti = claims.get("jti").ok_or(Reject::Missing("jti"))?;
    let subject = claims.get("sub_id").ok_or(Reject::Missing("sub_id"))?;
    Ok(SecurityEvent {
        jti: bounded_text(jti, MAX_ID).ok_or(Reject::Claim("jti"))?,
        txn: claims.get("txn").and_then(|txn| bounded_text(txn, MAX_ID)),
        issued_at,
        occurred_at: caep::moment(&claims, "toe")?,
        subject: Subject::parse(subject)?,
        events: events(&claims)?,
    })
}

fn events(claims: &Map<String, Value>) -> Result<Vec<Event>, Reject> {
    let events = claims.get("events").ok_or(Reject::Missing("events"))?;
    let events = events.as_object().filter(|events| !events.is_empty()).ok_or(Reject::Claim("events"))?;
    if events.contains_key(BACKCHANNEL_LOGOUT) {
        return Err(Reject::Forbidden("backchannel-logout"));
    }
    let event =
        |(uri, payload): (&String, &Value)| Event::parse(uri, payload.as_object().ok_or(Reject::Claim("events"))?);
    events.iter().map(event).collect()
}

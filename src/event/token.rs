//! Security Event Tokens (RFC 8417) as SSF §4.1 narrows them: what one must be, and what it says.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::logout::BACKCHANNEL_LOGOUT;
use super::{Event, MAX_ID, MAX_VALUE, Quirks, SecurityEvent, Subject, bounded_text, caep};
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
/// `exp` (SSF §4.1.7), so that neither an ID token nor a logout token passes for one. Where `quirks` let `typ`
/// say nothing, `exp` and the events themselves still tell them apart.
pub const fn expectation<'a>(
    issuer: &'a Issuer,
    audiences: &'a [String],
    algs: &'a [Alg],
    quirks: &Quirks,
) -> Expectation<'a> {
    Expectation {
        types: if quirks.typ_of_any_jwt { &["secevent+jwt", "jwt"] } else { &["secevent+jwt"] },
        type_required: !quirks.typ_of_any_jwt,
        algs,
        issuer,
        audience: Audience::Any(audiences),
        skew: SKEW,
        exp: Exp::Forbidden,
    }
}

/// Reads a verified SET.
///
/// `sub` is refused (SSF §4.1.2), `sub_id` is required at the top (SSF §3.1) unless `quirks` say otherwise, `events` is
/// a non-empty object of objects (RFC 8417 §2.2). An event of an unknown type is no error (SSF §4.2.3); a logout token's
/// event is one.
pub fn parse(token: Verified<SetClaims>, quirks: &Quirks) -> Result<SecurityEvent, Reject> {
    let issued_at = token.issued_at();
    let SetClaims(claims) = token.into_inner();
    if claims.contains_key("sub") {
        return Err(Reject::Forbidden("sub"));
    }
    let jti = claims.get("jti").ok_or(Reject::Missing("jti"))?;
    let jti = bounded_text(jti, MAX_ID).ok_or(Reject::Claim("jti"))?;
    let payloads = payloads(&claims, quirks)?;
    let subject = match claims.get("sub_id") {
        // It comes first, even where the events say something else.
        Some(subject) => Subject::parse(subject, quirks)?,
        None if quirks.subject_in_event => subject_in(&payloads, quirks)?,
        None => return Err(Reject::Missing("sub_id")),
    };
    Ok(SecurityEvent {
        jti,
        txn: claims.get("txn").and_then(|txn| bounded_text(txn, MAX_ID)),
        issued_at,
        occurred_at: caep::moment(&claims, "toe")?,
        subject,
        events: payloads.into_iter().map(|(uri, payload)| Event::parse(uri, payload)).collect::<Result<_, _>>()?,
    })
}

/// One event: the present name of its type, and what is said of it.
type Payload<'a> = (&'a str, &'a Map<String, Value>);

/// Each event of a token.
fn payloads<'a>(claims: &'a Map<String, Value>, quirks: &Quirks) -> Result<Vec<Payload<'a>>, Reject> {
    let events = claims.get("events").ok_or(Reject::Missing("events"))?;
    let events = events.as_object().filter(|events| !events.is_empty()).ok_or(Reject::Claim("events"))?;
    if events.contains_key(BACKCHANNEL_LOGOUT) {
        return Err(Reject::Forbidden("backchannel-logout"));
    }
    if events.len() > MAX_EVENTS || events.keys().any(|uri| uri.len() > MAX_VALUE) {
        return Err(Reject::Claim("events"));
    }
    let payload = |(uri, payload): (&'a String, &'a Value)| {
        Ok((quirks.present_name(uri), payload.as_object().ok_or(Reject::Claim("events"))?))
    };
    events.iter().map(payload).collect()
}

/// Event types in one SET. One is usual, SCIM sends a handful; each is looked at by itself.
const MAX_EVENTS: usize = 16;

/// Whom the events themselves name, where the token does not: all that do must agree, because they are one event under
/// several names. An event about the stream needs to name nobody; any other does.
fn subject_in(payloads: &[Payload<'_>], quirks: &Quirks) -> Result<Subject, Reject> {
    let mut subjects = payloads.iter().filter_map(|(_, payload)| payload.get("subject"));
    let Some(first) = subjects.next() else {
        let all_of_the_stream = payloads.iter().all(|(uri, _)| super::is_of_the_stream(uri));
        return if all_of_the_stream { Ok(Subject::Stream) } else { Err(Reject::Missing("subject")) };
    };
    if subjects.any(|other| other != first) {
        return Err(Reject::Claim("subject"));
    }
    Subject::parse(first, quirks).map_err(|_| Reject::Claim("subject"))
}

//! Calls that an IdP signs for an endpoint of ours: what their tokens have in common, whatever is asked for.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{MAX_ID, bounded_text};
use crate::identity::Issuer;
use crate::jose::{Alg, Audience, Exp, Expectation, Reject};
use crate::time::Timestamp;

/// How far the clocks of the IdP and the gateway may differ.
pub const SKEW: Duration = Duration::from_secs(60);

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The token's own id; it counts once.
    pub jti: String,
    /// When it was made.
    pub issued_at: Timestamp,
    /// Until when it could be sent again.
    pub good_until: Timestamp,
}

/// What the token of a call must be: made by `issuer` for this endpoint, whose URLs are `endpoints`. The keys are those of
/// ID tokens, so that the `typ` is required: it alone tells one from the other.
pub(super) const fn expectation<'a>(
    types: &'static [&'static str],
    issuer: &'a Issuer,
    endpoints: &'a [String],
    algs: &'a [Alg],
) -> Expectation<'a> {
    Expectation {
        types,
        type_required: true,
        algs,
        issuer,
        audience: Audience::Any(endpoints),
        skew: SKEW,
        exp: Exp::Required,
    }
}

/// What a call must say of itself.
pub(super) struct Terms<'a> {
    /// The claim that names the client that is called, and its name: ours.
    pub(super) client: (&'static str, &'a str),
    /// How long after it was made a token may say that it is good: one that is good for years is a password that travels.
    pub(super) longest_life: Duration,
}

impl Call {
    /// Reads what all calls have from a verified token that was made at the first of these times and ends at the second.
    /// What only an ID token or a SET has is refused.
    pub(super) fn read(
        (issued_at, expires_at): (Timestamp, Option<Timestamp>),
        claims: &Map<String, Value>,
        terms: &Terms<'_>,
    ) -> Result<Self, Reject> {
        let expires_at = expires_at.ok_or(Reject::Missing("exp"))?;
        for forbidden in ["nonce", "events"] {
            if claims.contains_key(forbidden) {
                return Err(Reject::Forbidden(forbidden));
            }
        }
        if expires_at.since(issued_at) > terms.longest_life {
            return Err(Reject::Claim("exp"));
        }
        let (claim, client_id) = terms.client;
        match claims.get(claim) {
            None => return Err(Reject::Missing(claim)),
            Some(id) if id.as_str() == Some(client_id) => {}
            Some(_) => return Err(Reject::Claim(claim)),
        }
        let jti = bounded_text(claims.get("jti").ok_or(Reject::Missing("jti"))?, MAX_ID).ok_or(Reject::Claim("jti"))?;
        Ok(Self { jti, issued_at, good_until: expires_at.plus(SKEW) })
    }
}

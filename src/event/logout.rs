//! Logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4): what one must be, and whom it signs out.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{MAX_ID, MAX_VALUE, bounded_text};
use crate::identity::Issuer;
use crate::jose::{Alg, Audience, Exp, Expectation, Reject, Verified};
use crate::time::Timestamp;

/// The event that makes a token a logout token (§2.4).
pub const BACKCHANNEL_LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// How far the clocks of the IdP and the gateway may differ.
pub const SKEW: Duration = Duration::from_secs(60);

/// How old a token without `exp` may be. IdPs from before the errata of 2023 send none.
pub const MAX_AGE_WITHOUT_EXP: Duration = Duration::from_secs(300);

/// The claims of a logout token, read only by [`parse`].
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct LogoutClaims(Map<String, Value>);

impl std::fmt::Debug for LogoutClaims {
    /// A logout token names a person: its claims are not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogoutClaims")
    }
}

/// Whom a logout token signs out (§2.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// One session, by `sid`.
    Session(String),
    /// Every session of a person, by `sub`.
    User(String),
}

/// One verified logout token, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// The token's own id.
    pub jti: String,
    /// When it was made.
    pub issued_at: Timestamp,
    /// Whom it signs out: the session if one is named, else the person.
    pub whose: Whose,
}

/// What a logout token of `issuer` for one of our `client_ids` there must be (§2.6). A `typ` is recommended, not
/// required; one that is there must be `logout+jwt`. `aud` may name others besides us.
pub const fn expectation<'a>(issuer: &'a Issuer, client_ids: &'a [String], algs: &'a [Alg]) -> Expectation<'a> {
    Expectation {
        types: &["logout+jwt"],
        type_required: false,
        algs,
        issuer,
        audience: Audience::Any(client_ids),
        skew: SKEW,
        exp: Exp::Optional,
    }
}

/// Reads a verified logout token. `events` names the logout (§2.4) and `nonce` is absent: an ID token has neither.
pub fn parse(token: Verified<LogoutClaims>, now: Timestamp) -> Result<LogoutToken, Reject> {
    let (issued_at, expires_at) = (token.issued_at(), token.expires_at());
    let LogoutClaims(claims) = token.into_inner();
    if claims.contains_key("nonce") {
        return Err(Reject::Forbidden("nonce"));
    }
    let events = claims.get("events").ok_or(Reject::Missing("events"))?;
    if !events.get(BACKCHANNEL_LOGOUT).is_some_and(Value::is_object) {
        return Err(Reject::Claim("events"));
    }
    if expires_at.is_none() && now.since(issued_at) > MAX_AGE_WITHOUT_EXP {
        return Err(Reject::Expired);
    }
    let jti = claims.get("jti").ok_or(Reject::Missing("jti"))?;
    let text = |name: &'static str| match claims.get(name) {
        None => Ok(None),
        Some(value) => bounded_text(value, MAX_VALUE).map(Some).ok_or(Reject::Claim(name)),
    };
    let whose = match (text("sid")?, text("sub")?) {
        (Some(sid), _) => Whose::Session(sid),
        (None, Some(sub)) => Whose::User(sub),
        (None, None) => return Err(Reject::Missing("sub")),
    };
    Ok(LogoutToken { jti: bounded_text(jti, MAX_ID).ok_or(Reject::Claim("jti"))?, issued_at, whose })
}

//! Signed tokens (RFC 7515, RFC 7519): a compact JWT and what it must be become [`Verified`] claims, or a [`Reject`].
//!
//! One verifier for every token that reaches the gateway. What tells the uses apart (an ID token, a logout token, a
//! SET) is the [`Expectation`], built next to the claims of that use. Only the signature is left to the JWT crate;
//! header and claims are judged here, by rules that do not depend on its defaults.

mod embedded;
mod json;
mod keys;
mod signer;

use std::ops::Deref;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use self::embedded::{SelfSigned, verify_by_its_own_key};
pub use self::json::{NumericDate, object_without_duplicates};
pub use self::keys::{InvalidKeys, Keys};
pub use self::signer::Signer;
use crate::identity::Issuer;
use crate::time::Timestamp;

/// The longest token that is looked at. The largest real ones (ID tokens with hundreds of groups) stay under half.
pub const MAX_TOKEN: usize = 64 * 1024;

/// A signature algorithm that a token may use. There is no `none` and no HMAC: a public key is never a secret.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Alg {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3).
    Rs256,
    /// RSASSA-PSS with SHA-256 (RFC 7518 §3.5).
    Ps256,
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
    /// Ed25519 (RFC 8037 §3.1; `Ed25519` in RFC 9864).
    EdDsa,
}

impl Alg {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// The algorithm of that `alg` name, if it is one of ours.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// Its `alg` name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Whom a token must be addressed to (RFC 7519 §4.1.3).
#[derive(Copy, Clone, Debug)]
pub enum Audience<'a> {
    /// `aud` contains at least one of these.
    Any(&'a [String]),
    /// `aud` is this one string, or an array of only this string.
    Single(&'a str),
}

/// What a token's `exp` must be.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Exp {
    /// Present, and not past.
    Required,
    /// Not past, if present.
    Optional,
    /// Absent (SSF §4.1.7).
    Forbidden,
}

/// What a token of one use must be. Each use has its own constructor, next to its claims.
#[derive(Copy, Clone, Debug)]
pub struct Expectation<'a> {
    /// Accepted header `typ`, compared without case; an `application/` prefix is tolerated (RFC 7515 §4.1.9).
    pub types: &'a [&'a str],
    /// Whether a token without `typ` is refused.
    pub type_required: bool,
    /// Accepted signature algorithms.
    pub algs: &'a [Alg],
    /// Who must have made it, byte for byte.
    pub issuer: &'a Issuer,
    /// Whom it must be for.
    pub audience: Audience<'a>,
    /// How far the issuer's clock may be off: tolerated for an `iat` or `nbf` in the future and a past `exp`.
    pub skew: Duration,
    /// What is asked of `exp`.
    pub exp: Exp,
}

/// Why a token is refused. No variant carries anything of the token, so each is safe to log and to answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reject {
    /// Longer than [`MAX_TOKEN`].
    #[error("the token is too large")]
    TooLarge,
    /// Not a compact JWT with a header and a payload of unambiguous JSON, or it demands an extension (`crit`).
    #[error("the token is not a well-formed signed JWT")]
    Malformed,
    /// It is a token of another use.
    #[error("the token has the wrong `typ`")]
    Type,
    /// It is signed by an algorithm that is not accepted, or that the key is not for.
    #[error("the signature algorithm is not accepted")]
    Algorithm,
    /// No key of the issuer has that `kid`; or there is no `kid` and not exactly one key that could be meant.
    #[error("the signing key is not known")]
    UnknownKey,
    /// The key is an RSA key of less than 2048 bits (RFC 7518 §3.3).
    #[error("the signing key is too weak")]
    WeakKey,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// It was made by another issuer.
    #[error("the issuer is not the expected one")]
    Issuer,
    /// It is addressed to somebody else, or to nobody.
    #[error("the audience is not the expected one")]
    Audience,
    /// It is no longer valid.
    #[error("the token has expired")]
    Expired,
    /// It is not yet valid: dated further in the future than clocks differ.
    #[error("the token is dated in the future")]
    NotYet,
    /// It has something that a token of this use must not have.
    #[error("`{0}` must not be present")]
    Forbidden(&'static str),
    /// It lacks something that a token of this use must have.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// This part of it is not what its definition says.
    #[error("`{0}` is not valid")]
    Claim(&'static str),
}

impl Reject {
    /// The word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Type => "type",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::WeakKey => "weak_key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Forbidden(_) => "forbidden_claim",
            Self::Missing(_) => "missing_claim",
            Self::Claim(_) => "invalid_claim",
        }
    }
}

/// Claims whose signature, issuer, audience and times were verified. Only [`verify`] makes one.
#[derive(Clone)]
pub struct Verified<C> {
    claims: C,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl<C> Verified<C> {
    /// When it was made (`iat`): at most the tolerated skew in the future.
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// When it ends (`exp`), if it says so.
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// The claims.
    pub fn into_inner(self) -> C {
        self.claims
    }
}

impl<C> Deref for Verified<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.claims
    }
}

impl<C> std::fmt::Debug for Verified<C> {
    /// Claims are personal: only the dates are shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verified(iat {})", self.issued_at)
    }
}

/// Verifies `compact` against `keys` and `expectation` at the time `now`.
///
/// In this order: size, shape, header, key, signature, issuer, audience, times, and last the form of the claims. Keys
/// or URLs of keys inside the header (`jwk`, `jku`, `x5u`, `x5c`) are never looked at; `crit` and `b64` are refused.
/// (The one use that brings its key along has a verifier of its own, [`verify_by_its_own_key`].)
pub fn verify<C: DeserializeOwned>(
    compact: &str,
    keys: &Keys,
    expectation: &Expectation<'_>,
    now: Timestamp,
) -> Result<Verified<C>, Reject> {
    let parts = Compact::split(compact, MAX_TOKEN)?;
    let header = Header::parse(&decode_object(parts.header)?)?;
    header.check_type(expectation.types, expectation.type_required)?;
    let alg = Alg::parse(&header.alg).filter(|alg| expectation.algs.contains(alg)).ok_or(Reject::Algorithm)?;
    keys.verify(header.kid.as_deref(), alg, parts.signed.as_bytes(), parts.signature)?;

    let claims = decode_object(parts.payload)?;
    check_issuer(&claims, expectation.issuer)?;
    check_audience(&claims, expectation.audience)?;
    let (issued_at, expires_at) = check_times(&claims, expectation, now)?;
    let claims = serde_json::from_value(Value::Object(claims)).map_err(|_| Reject::Claim("claims"))?;
    Ok(Verified { claims, issued_at, expires_at })
}

/// The parts of a compact JWS (RFC 7515 §7.1), none of them decoded.
struct Compact<'a> {
    /// What the signature is over: header and payload with the dot between them.
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Compact<'a> {
    fn split(compact: &'a str, longest: usize) -> Result<Self, Reject> {
        if compact.len() > longest {
            return Err(Reject::TooLarge);
        }
        let (signed, signature) = compact.rsplit_once('.').ok_or(Reject::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Reject::Malformed)?;
        if payload.contains('.') { Err(Reject::Malformed) } else { Ok(Self { signed, header, payload, signature }) }
    }
}

/// What the header says that concerns us.
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
}

impl Header {
    fn parse(members: &Map<String, Value>) -> Result<Self, Reject> {
        // An extension that must be understood is one that is not: none is (RFC 7515 §4.1.11, RFC 7797 §3).
        if members.contains_key("crit") || members.contains_key("b64") {
            return Err(Reject::Malformed);
        }
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Reject::Malformed),
        };
        Ok(Self { alg: text("alg")?.ok_or(Reject::Malformed)?, kid: text("kid")?, typ: text("typ")? })
    }

    fn check_type(&self, types: &[&str], required: bool) -> Result<(), Reject> {
        let Some(typ) = &self.typ else {
            return if required { Err(Reject::Type) } else { Ok(()) };
        };
        let typ = typ.to_ascii_lowercase();
        let bare = typ.strip_prefix("application/").unwrap_or(&typ);
        let accepted = types.iter().any(|expected| expected.eq_ignore_ascii_case(bare));
        if accepted { Ok(()) } else { Err(Reject::Type) }
    }
}

/// One part of a token: base64url without padding, of a JSON object in which every name stands once.
fn decode_object(part: &str) -> Result<Map<String, Value>, Reject> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Reject::Malformed)?;
    object_without_duplicates(&bytes).ok_or(Reject::Malformed)
}

fn check_issuer(claims: &Map<String, Value>, expected: &Issuer) -> Result<(), Reject> {
    match claims.get("iss") {
        None => Err(Reject::Missing("iss")),
        Some(Value::String(issuer)) if issuer == expected.as_str() => Ok(()),
        Some(_) => Err(Reject::Issuer),
    }
}

/// Whether claims are addressed to whom they must be: for claims that come another way than in a token, too.
pub fn check_audience(claims: &Map<String, Value>, expected: Audience<'_>) -> Result<(), Reject> {
    let named: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().map(Value::as_str).collect::<Option<_>>().ok_or(Reject::Audience)?,
        _ => return Err(Reject::Audience),
    };
    let ours = match expected {
        Audience::Any(ours) => named.iter().any(|name| ours.iter().any(|our| our == name)),
        Audience::Single(our) => named == [our],
    };
    if ours { Ok(()) } else { Err(Reject::Audience) }
}

/// The `iat` and the `exp`, if every date of the token is acceptable at `now`.
fn check_times(
    claims: &Map<String, Value>,
    expectation: &Expectation<'_>,
    now: Timestamp,
) -> Result<(Timestamp, Option<Timestamp>), Reject> {
    let date = |name: &'static str| match claims.get(name) {
        None => Ok(None),
        Some(value) => NumericDate::parse(value).map(|date| Some(date.0)).ok_or(Reject::Claim(name)),
    };
    if expectation.exp == Exp::Forbidden && claims.contains_key("exp") {
        return Err(Reject::Forbidden("exp"));
    }
    let (issued_at, not_before, expires_at) = (date("iat")?, date("nbf")?, date("exp")?);
    let issued_at = issued_at.ok_or(Reject::Missing("iat"))?;
    if expectation.exp == Exp::Required && expires_at.is_none() {
        return Err(Reject::Missing("exp"));
    }
    let latest = now.plus(expectation.skew);
    if issued_at > latest || not_before.is_some_and(|moment| moment > latest) {
        return Err(Reject::NotYet);
    }
    if expires_at.is_some_and(|end| end.plus(expectation.skew) <= now) {
        return Err(Reject::Expired);
    }
    Ok((issued_at, expires_at))
}

#[cfg(test)]
pub(crate) mod tests;

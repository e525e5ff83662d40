//! Access tokens of the IdP: what a program bears to act for somebody becomes evidence, or is refused.
//!
//! What looks like a JWT is verified here and never asked about (RFC 9068); everything else is asked about at the IdP,
//! where the app allows it (RFC 7662). A token that is bound to a key is taken only with a proof by that key (RFC 9449).
//! Whether it was revoked is not decided here: that is asked of the revocation set, at every request, whatever a cache
//! says.

mod facts;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use self::facts::{BadGrant, Claims, Grant};
use super::Idp;
use crate::apps::AccessTokens;
use crate::dpop::{self, Proof, Use};
use crate::evidence::{BadToken, Bearer, Imprint, Maker, Scheme, Sort};
use crate::jose::{Alg, Audience, Exp, Expectation, MAX_TOKEN, Reject, Verified};
use crate::keys::Failure;
use crate::lineage::Lineage;
use crate::seal::KeyRing;
use crate::time::Timestamp;

/// What a request bears.
#[derive(Copy, Clone)]
pub struct Presented<'a> {
    /// How.
    pub scheme: Scheme,
    /// The token.
    pub token: &'a str,
    /// The values of all its `DPoP` fields.
    pub proofs: &'a [&'a str],
    /// Its method.
    pub method: &'a str,
    /// Its URL as the client sees it: scheme, authority and path.
    pub url: &'a str,
}

impl std::fmt::Debug for Presented<'_> {
    /// Nothing of the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Presented({:?}, {} proofs)", self.scheme, self.proofs.len())
    }
}

/// Why a token is no evidence. The words are for metrics; they are fixed, and carry nothing of the token.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is none, over, or not for this app.
    Token(&'static str),
    /// It may be good; what should prove that it is its owner's is not.
    Proof(&'static str),
    /// Nobody can say at the moment: the IdP's keys or its word about the token cannot be had.
    Unavailable,
}

impl Refused {
    /// What is wrong with what the request bears; `None` if that is not known.
    pub const fn bad_token(self) -> Option<BadToken> {
        match self {
            Self::Token(_) => Some(BadToken::Token),
            Self::Proof(_) => Some(BadToken::Proof),
            Self::Unavailable => None,
        }
    }

    /// The word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Token(word) | Self::Proof(word) => word,
            Self::Unavailable => "unavailable",
        }
    }
}

impl From<Reject> for Refused {
    fn from(reject: Reject) -> Self {
        Self::Token(reject.word())
    }
}

impl From<BadGrant> for Refused {
    fn from(bad: BadGrant) -> Self {
        Self::Token(bad.word())
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(reject) => reject.into(),
            Failure::Unavailable => Self::Unavailable,
        }
    }
}

impl Idp {
    /// Reads and verifies a token that an app takes by `rules`, not yet judged by the revocation set.
    ///
    /// Revocations older than `horizon` are forgotten: a token that only such a one could have met is refused (law 10).
    pub async fn access(
        &self,
        presented: &Presented<'_>,
        rules: &AccessTokens,
        ring: &KeyRing,
        horizon: Timestamp,
    ) -> Result<Bearer, Refused> {
        if !is_token(presented.token) {
            return Err(Reject::Malformed.into());
        }
        // Before anybody is called: a proof that does not hold for this request costs the IdP nothing.
        let proof = presented.proof(self.clock.now())?;
        let claims = if looks_like_a_jwt(presented.token) {
            self.verify_access_token(presented.token, rules).await?
        } else {
            self.introspected(presented.token, rules).await?
        };
        // Calls take time.
        let now = self.clock.now();
        let grant = Grant::read(claims, &self.settings, rules.unproven, horizon, now)?;
        self.check_possession(&grant, proof.as_ref(), rules, now)?;
        Ok(Bearer {
            maker: Maker::Idp,
            lineage: Lineage::of_access_token(&self.settings.name, &grant.identity, ring),
            person: Arc::new(grant.person),
            ends_at: grant.ends_at,
            imprint: Imprint::of_token(Sort::AccessToken, presented.token),
        })
    }

    /// RFC 9068 §4.
    async fn verify_access_token(&self, token: &str, rules: &AccessTokens) -> Result<Claims, Refused> {
        let types: Vec<&str> = rules.types.iter().map(String::as_str).collect();
        let expectation = Expectation {
            types: &types,
            type_required: true,
            algs: &Alg::ALL,
            issuer: &self.settings.issuer,
            audience: Audience::Any(&rules.audiences),
            skew: self.settings.skew,
            exp: Exp::Required,
        };
        let verified: Verified<Claims> = self.keys.verify(token, &expectation).await?;
        Ok(verified.into_inner())
    }

    /// What the IdP says about a token that nobody else can read.
    async fn introspected(&self, token: &str, rules: &AccessTokens) -> Result<Claims, Refused> {
        let Some(good_for) = rules.introspect else { return Err(Refused::Token("opaque")) };
        let asked = self.introspector.ask(&self.settings, &self.discovery, token, &rules.audiences, good_for).await;
        match asked {
            Err(super::introspection::Unavailable) => Err(Refused::Unavailable),
            Ok(None) => Err(Refused::Token("inactive")),
            Ok(Some(claims)) => {
                facts::check_answer(&claims, &self.settings, &rules.audiences, self.clock.now())?;
                Ok(Claims::clone(&claims))
            }
        }
    }

    /// A bound token is borne with a proof by its key that was not used before; an unbound one with none (RFC 9449 §7).
    fn check_possession(
        &self,
        grant: &Grant,
        proof: Option<&Proof>,
        rules: &AccessTokens,
        now: Timestamp,
    ) -> Result<(), Refused> {
        match (&grant.bound_to, proof) {
            (None, None) if !rules.dpop => Ok(()),
            (None, _) => Err(Refused::Token("not_bound")),
            (Some(_), None) => Err(Refused::Proof("no_proof")),
            (Some(key), Some(proof)) if key != proof.thumbprint() => Err(Refused::Proof("other_key")),
            (Some(_), Some(proof)) => self.proofs.first_use(proof, now).map_err(|seen| Refused::Proof(seen.word())),
        }
    }
}

impl Presented<'_> {
    /// The proof, verified for this request; `None` where the scheme has none.
    fn proof(&self, now: Timestamp) -> Result<Option<Proof>, Refused> {
        match (self.scheme, self.proofs) {
            (Scheme::Bearer, _) => Ok(None),
            (Scheme::Dpop, []) => Err(Refused::Proof("no_proof")),
            (Scheme::Dpop, [proof]) => {
                let used_for = Use { method: self.method, url: self.url, token: self.token };
                dpop::verify(proof, &used_for, now).map(Some).map_err(|bad| Refused::Proof(bad.word()))
            }
            (Scheme::Dpop, _) => Err(Refused::Proof("several_proofs")),
        }
    }
}

/// Whether it has the form of a token (`b64token`, RFC 6750 §2.1) and is not too long to look at.
fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    !body.is_empty() && text.len() <= MAX_TOKEN && body.bytes().all(plain)
}

/// Whether it says of itself that it can be read: its first part is the header of a JWS or JWE. What begins so is never
/// asked about, lest a token that the verifier refuses is believed by another way.
fn looks_like_a_jwt(token: &str) -> bool {
    let Some((header, _)) = token.split_once('.') else { return false };
    let decoded = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    decoded.trim_ascii_start().first() == Some(&b'{')
}

#[cfg(test)]
mod tests;

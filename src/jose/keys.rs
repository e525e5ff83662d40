//! The public keys of one issuer, from its JWK set (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Map, Value};

use super::json::object_without_duplicates;
use super::{Alg, Reject};

/// The largest key set that is read: room for [`MAX_KEYS`] keys with certificate chains.
const MAX_BYTES: usize = 256 * 1024;

/// The most keys in a set. Issuers publish two to ten.
const MAX_KEYS: usize = 100;

/// The least modulus of an RSA key that is used (RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2048;

/// Why a text is no key set. One bad key in a good set is no reason: it is left out.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// Longer than 256 KiB.
    #[error("the key set is too large")]
    TooLarge,
    /// Not a JSON object with an array `keys`.
    #[error("the key set is not a JWK set")]
    Malformed,
    /// More than 100 keys.
    #[error("the key set has too many keys")]
    TooMany,
}

/// The keys of one issuer by which a signature can be verified.
#[derive(Clone, Default)]
pub struct Keys(Vec<Key>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl Keys {
    /// Reads a JWK set. Keys that can verify nothing here are left out: symmetric ones, other curves, keys for
    /// encryption, keys that are damaged. Weak RSA keys are kept, so that their use is named as what it is.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidKeys> {
        if json.len() > MAX_BYTES {
            return Err(InvalidKeys::TooLarge);
        }
        let set = object_without_duplicates(json).ok_or(InvalidKeys::Malformed)?;
        let Some(Value::Array(keys)) = set.get("keys") else { return Err(InvalidKeys::Malformed) };
        if keys.len() > MAX_KEYS {
            return Err(InvalidKeys::TooMany);
        }
        Ok(Self(keys.iter().filter_map(|key| Key::parse(key.as_object()?)).collect()))
    }

    /// No keys: nothing verifies.
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Verifies a signature (base64url) over `message` by the key that `kid` names; without a `kid`, by the only key
    /// that `alg` can be used with (RFC 7515 §4.1.4).
    pub(super) fn verify(&self, kid: Option<&str>, alg: Alg, message: &[u8], signature: &str) -> Result<(), Reject> {
        let suitable: Vec<&Key> = match kid {
            Some(_) => {
                let named: Vec<&Key> = self.0.iter().filter(|key| key.kid.as_deref() == kid).collect();
                if named.is_empty() {
                    return Err(Reject::UnknownKey);
                }
                named.into_iter().filter(|key| key.is_for(alg)).collect()
            }
            None => {
                let all: Vec<&Key> = self.0.iter().filter(|key| key.is_for(alg)).collect();
                if all.len() != 1 {
                    return Err(Reject::UnknownKey);
                }
                all
            }
        };
        if suitable.is_empty() {
            return Err(Reject::Algorithm);
        }
        if suitable.iter().any(|key| key.weak) {
            return Err(Reject::WeakKey);
        }
        URL_SAFE_NO_PAD.decode(signature).map_err(|_| Reject::Malformed)?;
        // Two keys under one `kid` are against RFC 7517 §4.5, but both are the issuer's.
        if suitable.iter().any(|key| key.verifies(alg, message, signature)) { Ok(()) } else { Err(Reject::Signature) }
    }
}

/// Verifies a signature (base64url) over `message` by this one key, whoever it belongs to.
pub(super) fn verify_by(jwk: &Map<String, Value>, alg: Alg, message: &[u8], signature: &str) -> Result<(), Reject> {
    let key = Key::parse(jwk).ok_or(Reject::Claim("jwk"))?;
    if !key.is_for(alg) {
        return Err(Reject::Algorithm);
    }
    if key.weak {
        return Err(Reject::WeakKey);
    }
    URL_SAFE_NO_PAD.decode(signature).map_err(|_| Reject::Malformed)?;
    if key.verifies(alg, message, signature) { Ok(()) } else { Err(Reject::Signature) }
}

/// What kind of key it is: decides which algorithms it can be used with.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Family {
    Rsa,
    P256,
    Ed25519,
}

#[derive(Clone)]
struct Key {
    kid: Option<String>,
    family: Family,
    /// The one algorithm that the issuer limits it to.
    only: Option<Alg>,
    weak: bool,
    public: DecodingKey,
}

impl Key {
    /// Reads one JWK; `None` if it is not a public key for signatures that we could verify.
    fn parse(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.contains_key("use") && text("use") != Some("sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations.as_array()?.iter().any(|operation| operation == "verify")
        {
            return None;
        }
        let only = match jwk.get("alg") {
            None => None,
            Some(name) => Some(Alg::parse(name.as_str()?)?),
        };
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let (family, weak, public) = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let (modulus, exponent) = (bytes("n")?, bytes("e")?);
                let weak = bit_length(&modulus) < MIN_RSA_BITS;
                (Family::Rsa, weak, DecodingKey::from_rsa_raw_components(&modulus, &exponent))
            }
            ("EC", Some("P-256")) if bytes("x")?.len() == 32 && bytes("y")?.len() == 32 => {
                (Family::P256, false, DecodingKey::from_ec_components(text("x")?, text("y")?).ok()?)
            }
            ("OKP", Some("Ed25519")) if bytes("x")?.len() == 32 => {
                (Family::Ed25519, false, DecodingKey::from_ed_components(text("x")?).ok()?)
            }
            _ => return None,
        };
        Some(Self { kid: text("kid").map(str::to_owned), family, only, weak, public })
    }

    /// True if this key can be used with `alg`.
    fn is_for(&self, alg: Alg) -> bool {
        let family = match alg {
            Alg::Rs256 | Alg::Ps256 => Family::Rsa,
            Alg::Es256 => Family::P256,
            Alg::EdDsa => Family::Ed25519,
        };
        self.family == family && self.only.is_none_or(|only| only == alg)
    }

    fn verifies(&self, alg: Alg, message: &[u8], signature: &str) -> bool {
        crypto::verify(signature, message, &self.public, algorithm(alg)) == Ok(true)
    }
}

/// Bits of a big-endian number.
fn bit_length(number: &[u8]) -> usize {
    let mut significant = number.iter().skip_while(|byte| **byte == 0);
    let top = significant.next().map_or(0, |byte| 8 - byte.leading_zeros() as usize);
    top + 8 * significant.count()
}

const fn algorithm(alg: Alg) -> Algorithm {
    match alg {
        Alg::Rs256 => Algorithm::RS256,
        Alg::Ps256 => Algorithm::PS256,
        Alg::Es256 => Algorithm::ES256,
        Alg::EdDsa => Algorithm::EdDSA,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_can_verify_nothing_are_left_out() {
        let x = "A".repeat(43);
        for (jwk, kept) in [
            (format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{x}"}}"#), 1),
            (format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{x}","use":"sig","alg":"ES256"}}"#), 1),
            (format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{x}","key_ops":["verify"]}}"#), 1),
            (format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#), 1),
            (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(), 1),
            (format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{x}","use":"enc"}}"#), 0),
            (format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{x}","use":7}}"#), 0),
            (format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{x}","key_ops":["encrypt"]}}"#), 0),
            (format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{x}","alg":"HS256"}}"#), 0),
            (format!(r#"{{"kty":"EC","crv":"P-384","x":"{x}","y":"{x}"}}"#), 0),
            (format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"AAAA"}}"#), 0),
            (format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}"}}"#), 0),
            (r#"{"kty":"oct","k":"c2VjcmV0"}"#.to_owned(), 0),
            (r#"{"kty":"RSA","n":"not base64!","e":"AQAB"}"#.to_owned(), 0),
            (r#"{}"#.to_owned(), 0),
            (r#""a string""#.to_owned(), 0),
        ] {
            let set = format!(r#"{{"keys":[{jwk}]}}"#);
            assert_eq!(Keys::parse(set.as_bytes()).map(|keys| keys.len()), Ok(kept), "{jwk}");
        }
    }

    #[test]
    fn what_is_no_key_set_is_said_to_be_none() {
        let many = format!(r#"{{"keys":[{}]}}"#, vec!["{}"; 101].join(","));
        let large = format!(r#"{{"keys":[],"x":"{}"}}"#, "a".repeat(MAX_BYTES));
        for (text, expected) in [
            ("", InvalidKeys::Malformed),
            ("[]", InvalidKeys::Malformed),
            (r#"{"keys":{}}"#, InvalidKeys::Malformed),
            (r#"{"keys":[],"keys":[]}"#, InvalidKeys::Malformed),
            (many.as_str(), InvalidKeys::TooMany),
            (large.as_str(), InvalidKeys::TooLarge),
        ] {
            assert_eq!(Keys::parse(text.as_bytes()).map(|keys| keys.len()), Err(expected));
        }
    }

    #[test]
    fn the_bits_of_a_number_do_not_count_leading_zeros() {
        for (number, expected) in [(&[][..], 0), (&[0, 0], 0), (&[1], 1), (&[0, 0x80], 8), (&[1, 0], 9)] {
            assert_eq!(bit_length(number), expected);
        }
    }
}

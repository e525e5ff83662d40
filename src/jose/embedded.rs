//! Tokens that bring their key along: what they say is worth no more than that whoever made them holds that key.
//!
//! Such is the proof of possession of RFC 9449, and nothing else here. Kept apart from [`super::verify`], which never
//! looks at a key in a header.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Alg, Compact, Header, Reject, decode_object, keys};

/// Members that only a private key has (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Claims that were signed by a key in their own header. Only [`verify_by_its_own_key`] makes one.
#[derive(Clone)]
pub struct SelfSigned {
    claims: Map<String, Value>,
    thumbprint: String,
}

impl SelfSigned {
    /// The claims, none of them judged.
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The name of the key: its SHA-256 thumbprint in base64url (RFC 7638).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
}

impl std::fmt::Debug for SelfSigned {
    /// Claims may be personal: only the key's name is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SelfSigned({})", self.thumbprint)
    }
}

/// Verifies that `compact`, of at most `longest` bytes and of type `typ`, is signed by the public key in its own header
/// (`jwk`, RFC 7515 §4.1.3). **It proves nothing about who made it**: what the key means is for the caller to know.
pub fn verify_by_its_own_key(compact: &str, typ: &str, longest: usize) -> Result<SelfSigned, Reject> {
    let parts = Compact::split(compact, longest)?;
    let members = decode_object(parts.header)?;
    let header = Header::parse(&members)?;
    header.check_type(&[typ], true)?;
    let alg = Alg::parse(&header.alg).ok_or(Reject::Algorithm)?;
    let jwk = members.get("jwk").ok_or(Reject::Missing("jwk"))?.as_object().ok_or(Reject::Claim("jwk"))?;
    if PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
        return Err(Reject::Claim("jwk"));
    }
    keys::verify_by(jwk, alg, parts.signed.as_bytes(), parts.signature)?;
    let thumbprint = thumbprint(jwk).ok_or(Reject::Claim("jwk"))?;
    Ok(SelfSigned { claims: decode_object(parts.payload)?, thumbprint })
}

/// The thumbprint of a key (RFC 7638 §3, RFC 8037 §2): over the members that make it, in the order of their names.
fn thumbprint(jwk: &Map<String, Value>) -> Option<String> {
    let names: &[&str] = match jwk.get("kty")?.as_str()? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        _ => return None,
    };
    let members: Vec<String> = names
        .iter()
        .map(|name| Some(format!("\"{name}\":{}", Value::from(jwk.get(*name)?.as_str()?))))
        .collect::<Option<_>>()?;
    let hash = digest(&SHA256, format!("{{{}}}", members.join(",")).as_bytes());
    Some(URL_SAFE_NO_PAD.encode(hash))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jose::Signer;

    const TYP: &str = "dpop+jwt";
    const LONGEST: usize = 8192;

    fn signed(signer: &Signer, header: &Value) -> String {
        signer.sign_texts(&header.to_string(), r#"{"n":7}"#).expect("token")
    }

    fn header(signer: &Signer) -> Value {
        let jwk = signer.jwks()["keys"][0].clone();
        json!({ "typ": TYP, "alg": jwk["alg"], "jwk": jwk })
    }

    #[test]
    fn a_token_is_its_own_keys_with_each_algorithm() {
        for alg in Alg::ALL {
            let signer = Signer::generate_for(alg, "k").expect("key");
            let token = signed(&signer, &header(&signer));
            let found = verify_by_its_own_key(&token, TYP, LONGEST).unwrap_or_else(|why| panic!("{alg:?}: {why}"));
            assert_eq!((found.claims()["n"].as_u64(), found.thumbprint().len()), (Some(7), 43), "{alg:?}");
            assert_eq!(format!("{found:?}"), format!("SelfSigned({})", found.thumbprint()));
        }
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        // RFC 7638 §3.1.
        let n = concat!(
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZ",
            "CiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJ",
            "ZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBn",
            "iIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        );
        let jwk = json!({ "kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" });
        let expected = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        assert_eq!(thumbprint(jwk.as_object().expect("object")).as_deref(), Some(expected));
        // RFC 8037 §A.3.
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let expected = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(thumbprint(jwk.as_object().expect("object")).as_deref(), Some(expected));
    }

    #[test]
    fn each_way_in_which_the_key_or_the_header_is_wrong_is_refused() {
        let (signer, other) = (Signer::generate("k").expect("key"), Signer::generate("k").expect("key"));
        let change = |name: &str, value: Value| {
            let mut header = header(&signer);
            header[name] = value;
            header
        };
        let in_key = |name: &str, value: Value| {
            let mut header = header(&signer);
            header["jwk"][name] = value;
            header
        };
        let without = |name: &str| {
            let mut header = header(&signer);
            header.as_object_mut().expect("object").remove(name);
            header
        };
        for (name, header, expected) in [
            ("another typ", change("typ", json!("JWT")), Reject::Type),
            ("no typ", without("typ"), Reject::Type),
            ("no alg", without("alg"), Reject::Malformed),
            ("alg none", change("alg", json!("none")), Reject::Algorithm),
            ("a symmetric alg", change("alg", json!("HS256")), Reject::Algorithm),
            ("alg of another kind of key", change("alg", json!("EdDSA")), Reject::Algorithm),
            ("crit", change("crit", json!(["x"])), Reject::Malformed),
            ("no key", without("jwk"), Reject::Missing("jwk")),
            ("key is a text", change("jwk", json!("k")), Reject::Claim("jwk")),
            ("an empty key", change("jwk", json!({})), Reject::Claim("jwk")),
            ("a symmetric key", change("jwk", json!({ "kty": "oct", "k": "c2VjcmV0" })), Reject::Claim("jwk")),
            ("a private key", in_key("d", json!("AAAA")), Reject::Claim("jwk")),
            ("a key for encryption", in_key("use", json!("enc")), Reject::Claim("jwk")),
            ("a key of another curve", in_key("crv", json!("P-384")), Reject::Claim("jwk")),
            ("a key for another alg", in_key("alg", json!("EdDSA")), Reject::Algorithm),
            ("somebody else's key", change("jwk", other.jwks()["keys"][0].clone()), Reject::Signature),
            (
                "a weak key",
                json!({ "typ": TYP, "alg": "RS256", "jwk": { "kty": "RSA", "n": "AQAB", "e": "AQAB" } }),
                Reject::WeakKey,
            ),
        ] {
            let found = verify_by_its_own_key(&signed(&signer, &header), TYP, LONGEST);
            assert_eq!(found.err(), Some(expected), "{name}");
        }
        let good = signed(&signer, &header(&signer));
        let (front, _) = good.rsplit_once('.').expect("three parts");
        for (name, text, expected) in [
            ("too long", "a".repeat(LONGEST + 1), Reject::TooLarge),
            ("no parts", "a".to_owned(), Reject::Malformed),
            ("no signature", format!("{front}."), Reject::Signature),
            ("a signature that is no base64url", format!("{front}.+/"), Reject::Malformed),
        ] {
            assert_eq!(verify_by_its_own_key(&text, TYP, LONGEST).err(), Some(expected), "{name}");
        }
    }
}

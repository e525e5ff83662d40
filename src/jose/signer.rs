//! The signing side: the demo's IdP, and every test that needs a token.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::Alg;
use crate::secret::Secret;

/// A private key and the name it is published under.
pub struct Signer {
    kid: String,
    alg: Alg,
    key: PrivateKey,
}

enum PrivateKey {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({}, {})", self.kid, self.alg.name())
    }
}

impl Signer {
    /// A new ES256 key, published as `kid`. `None` if the system has no randomness to give.
    pub fn generate(kid: &str) -> Option<Self> {
        Self::generate_for(Alg::Es256, kid)
    }

    /// A new key for `alg` (RSA: 2048 bits), published as `kid`. `None` if the system has no randomness to give.
    pub fn generate_for(alg: Alg, kid: &str) -> Option<Self> {
        let rsa = |encoding: &'static dyn RsaEncoding| {
            Some(PrivateKey::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).ok()?, encoding))
        };
        let key = match alg {
            Alg::Rs256 => rsa(&RSA_PKCS1_SHA256)?,
            Alg::Ps256 => rsa(&RSA_PSS_SHA256)?,
            Alg::Es256 => PrivateKey::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?),
            Alg::EdDsa => PrivateKey::Ed25519(Ed25519KeyPair::generate().ok()?),
        };
        Some(Self { kid: kid.to_owned(), alg, key })
    }

    /// The key in a PEM file (PKCS #8), published as `kid`: RSA signs RS256, P-256 ES256, Ed25519 EdDSA. `None` if it is
    /// none of these.
    pub fn from_pem(kid: &str, pem: &[u8]) -> Option<Self> {
        let der = PrivateKeyDer::from_pem_slice(pem).ok()?;
        let der = der.secret_der();
        let (alg, key) = if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            (Alg::Es256, PrivateKey::P256(pair))
        } else if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            (Alg::EdDsa, PrivateKey::Ed25519(pair))
        } else {
            let pair = RsaKeyPair::from_pkcs8(der).ok()?;
            // 2048 bits: what verifiers take at the least (RFC 7518 §3.3).
            (pair.public_modulus_len() >= 256).then_some(())?;
            (Alg::Rs256, PrivateKey::Rsa(pair, &RSA_PKCS1_SHA256))
        };
        Some(Self { kid: kid.to_owned(), alg, key })
    }

    /// A new P-256 key in PEM (PKCS #8), for [`Signer::from_pem`]. `None` if the system has no randomness to give.
    pub fn generate_pem() -> Option<Secret<String>> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
        let der = key.to_pkcs8v1().ok()?;
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        Some(Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))))
    }

    /// The same key, published under its thumbprint (RFC 7638): another key has another name by itself.
    pub fn named_by_its_key(self) -> Option<Self> {
        let jwks = self.jwks();
        let jwk = jwks.pointer("/keys/0")?;
        // The members that make the key, in the order of their names; their values need no escape.
        let of = |names: &[&str]| -> Option<String> {
            let pair = |name: &&str| Some(format!("\"{name}\":\"{}\"", jwk.get(*name)?.as_str()?));
            Some(format!("{{{}}}", names.iter().map(pair).collect::<Option<Vec<_>>>()?.join(",")))
        };
        let text = match &self.key {
            PrivateKey::Rsa(..) => of(&["e", "kty", "n"]),
            PrivateKey::P256(_) => of(&["crv", "kty", "x", "y"]),
            PrivateKey::Ed25519(_) => of(&["crv", "kty", "x"]),
        };
        let kid = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text?.as_bytes()));
        Some(Self { kid, ..self })
    }

    /// A compact JWT of `claims`, with this `typ` if one is given. `None` if the claims are no JSON.
    pub fn sign(&self, typ: Option<&str>, claims: &impl Serialize) -> Option<String> {
        let mut header = json!({ "alg": self.alg.name(), "kid": self.kid });
        if let (Some(typ), Some(members)) = (typ, header.as_object_mut()) {
            members.insert("typ".to_owned(), typ.into());
        }
        self.sign_texts(&header.to_string(), &serde_json::to_string(claims).ok()?)
    }

    /// A compact JWS over exactly these texts, whatever they say: a verifier is tested with tokens that lie.
    pub fn sign_texts(&self, header: &str, payload: &str) -> Option<String> {
        let mut compact = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.signature(compact.as_bytes())?;
        compact.push('.');
        compact.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Some(compact)
    }

    /// The JWK set of the public half (RFC 7517 §5).
    pub fn jwks(&self) -> Value {
        let text = |bytes: &[u8]| Value::String(URL_SAFE_NO_PAD.encode(bytes));
        let mut jwk = match &self.key {
            PrivateKey::Rsa(pair, _) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "n": text(&public.n), "e": text(&public.e) })
            }
            PrivateKey::P256(pair) => {
                // An uncompressed point (SEC 1 §2.3.3): one tag byte, then two coordinates of 32 bytes.
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
                json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) })
            }
            PrivateKey::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
        };
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".to_owned(), self.kid.clone().into());
            members.insert("use".to_owned(), "sig".into());
            members.insert("alg".to_owned(), self.alg.name().into());
        }
        json!({ "keys": [jwk] })
    }

    fn signature(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.key {
            PrivateKey::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            PrivateKey::P256(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            PrivateKey::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
        }
    }
}

//! Proofs of possession (RFC 9449): what shows that whoever bears a token holds the key that it is bound to.
//!
//! A proof is made for one request and good for a moment. That it is used once only is for its receiver to remember.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use url::Url;

use crate::jose::{self, NumericDate, Reject};
use crate::time::Timestamp;

/// The longest proof that is looked at. One with an RSA key of 4096 bits has under 3 KiB.
pub const MAX_PROOF: usize = 8 * 1024;
/// The longest `jti`.
pub const MAX_JTI: usize = 256;
/// How old a proof may be, and how far ahead of our clock: the RFC asks for seconds or minutes (§11.1).
pub const WINDOW: Duration = Duration::from_secs(60);

/// The request that a proof must be made for.
#[derive(Copy, Clone)]
pub struct Use<'a> {
    /// The method, as it was sent.
    pub method: &'a str,
    /// The URL as the client sees it; a query counts for nothing.
    pub url: &'a str,
    /// The access token that is borne.
    pub token: &'a str,
}

impl std::fmt::Debug for Use<'_> {
    /// Without the token, and without the path: it may be personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Use({})", self.method)
    }
}

/// A proof that holds. Only [`verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    thumbprint: String,
    jti: String,
    good_until: Timestamp,
}

impl Proof {
    /// The name of the key (RFC 7638): what the token must be bound to.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// What names this proof among those of its key.
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// The last moment at which it would be taken again: so long it must be remembered.
    pub const fn good_until(&self) -> Timestamp {
        self.good_until
    }
}

/// Why a proof is none. No variant carries anything of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    /// It is no JWT of that type that is signed by the public key in its own header.
    #[error("the proof is refused: {0}")]
    Token(#[from] Reject),
    /// It is for another method.
    #[error("the proof is for another method")]
    Method,
    /// It is for another URL.
    #[error("the proof is for another URL")]
    Url,
    /// It is too old.
    #[error("the proof is too old")]
    Stale,
    /// It is dated in the future.
    #[error("the proof is dated in the future")]
    Early,
    /// It is for another token, or for none.
    #[error("the proof is for another token")]
    OtherToken,
}

impl BadProof {
    /// The word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Token(reject) => reject.word(),
            Self::Method => "method",
            Self::Url => "url",
            Self::Stale => "stale",
            Self::Early => "early",
            Self::OtherToken => "other_token",
        }
    }
}

/// Verifies `proof` for one request at the time `now` (RFC 9449 §4.3). What is left to the caller: that there is but
/// one, that its key is the one that the token is bound to, and that it was not used before.
pub fn verify(proof: &str, used_for: &Use<'_>, now: Timestamp) -> Result<Proof, BadProof> {
    let token = jose::verify_by_its_own_key(proof, "dpop+jwt", MAX_PROOF)?;
    let claims = token.claims();
    let jti = text(claims, "jti")?;
    if jti.is_empty() || jti.chars().count() > MAX_JTI {
        return Err(Reject::Claim("jti").into());
    }
    if text(claims, "htm")? != used_for.method {
        return Err(BadProof::Method);
    }
    let place = place(text(claims, "htu")?).ok_or(Reject::Claim("htu"))?;
    if self::place(used_for.url) != Some(place) {
        return Err(BadProof::Url);
    }
    let made_at = claims.get("iat").ok_or(Reject::Missing("iat"))?;
    let NumericDate(made_at) = NumericDate::parse(made_at).ok_or(Reject::Claim("iat"))?;
    if made_at > now.plus(WINDOW) {
        return Err(BadProof::Early);
    }
    let good_until = made_at.plus(WINDOW);
    if good_until < now {
        return Err(BadProof::Stale);
    }
    if text(claims, "ath")? != URL_SAFE_NO_PAD.encode(digest(&SHA256, used_for.token.as_bytes())) {
        return Err(BadProof::OtherToken);
    }
    Ok(Proof { thumbprint: token.thumbprint().to_owned(), jti: jti.to_owned(), good_until })
}

fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, Reject> {
    claims.get(name).ok_or(Reject::Missing(name))?.as_str().ok_or(Reject::Claim(name))
}

/// What of a URL says where a request goes, in the one form in which that is compared (RFC 9449 §4.3, RFC 3986 §6.2):
/// scheme and host in lower case, the scheme's own port left out, no query and no fragment.
fn place(url: &str) -> Option<String> {
    let mut url = Url::parse(url).ok()?;
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    url.set_query(None);
    url.set_fragment(None);
    plain.then(|| url.into())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::jose::Signer;
    use crate::jose::tests::Xorshift;

    /// A proof by `signer` for one request, made at that moment.
    pub(crate) fn proof_for(signer: &Signer, used_for: &Use<'_>, jti: &str, made_at: Timestamp) -> String {
        let ath = URL_SAFE_NO_PAD.encode(digest(&SHA256, used_for.token.as_bytes()));
        let claims = json!({ "jti": jti, "htm": used_for.method, "htu": used_for.url, "iat": made_at, "ath": ath });
        proof(signer, &claims)
    }

    /// The name of the key of `signer`: what a token is bound to.
    pub(crate) fn thumbprint(signer: &Signer) -> String {
        check(&proof(signer, &claims())).expect("a proof").thumbprint
    }

    const NOW: u64 = 1_800_000_000;
    const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    const URL: &str = "https://api.example.com/orders";

    fn claims() -> Value {
        let ath = URL_SAFE_NO_PAD.encode(digest(&SHA256, TOKEN.as_bytes()));
        json!({ "jti": "j1", "htm": "GET", "htu": URL, "iat": NOW, "ath": ath })
    }

    /// A proof that nobody made.
    pub(crate) fn bare(thumbprint: &str, jti: &str, good_until: Timestamp) -> Proof {
        Proof { thumbprint: thumbprint.to_owned(), jti: jti.to_owned(), good_until }
    }

    fn proof(signer: &Signer, claims: &Value) -> String {
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": signer.jwks()["keys"][0] });
        signer.sign_texts(&header.to_string(), &claims.to_string()).expect("token")
    }

    fn check(proof: &str) -> Result<Proof, BadProof> {
        verify(proof, &Use { method: "GET", url: URL, token: TOKEN }, Timestamp::from_secs(NOW))
    }

    fn changed(name: &str, value: Value) -> Value {
        let mut claims = claims();
        if value.is_null() {
            claims.as_object_mut().expect("object").remove(name);
        } else {
            claims[name] = value;
        }
        claims
    }

    #[test]
    fn each_way_in_which_a_proof_is_wrong_is_refused() {
        let signer = Signer::generate("k").expect("key");
        let rejected = |reject| Err(BadProof::Token(reject));
        for (name, member, value, expected) in [
            ("as it should be", "n", json!(1), Ok(())),
            ("with a nonce that nobody asked for", "nonce", json!("n"), Ok(())),
            ("no jti", "jti", Value::Null, rejected(Reject::Missing("jti"))),
            ("an empty jti", "jti", json!(""), rejected(Reject::Claim("jti"))),
            ("a jti that is a number", "jti", json!(7), rejected(Reject::Claim("jti"))),
            ("the longest jti", "jti", json!("é".repeat(MAX_JTI)), Ok(())),
            ("a longer jti", "jti", json!("a".repeat(MAX_JTI + 1)), rejected(Reject::Claim("jti"))),
            ("no method", "htm", Value::Null, rejected(Reject::Missing("htm"))),
            ("another method", "htm", json!("POST"), Err(BadProof::Method)),
            ("a method in other letters", "htm", json!("get"), Err(BadProof::Method)),
            ("no URL", "htu", Value::Null, rejected(Reject::Missing("htu"))),
            ("a URL that is a list", "htu", json!([URL]), rejected(Reject::Claim("htu"))),
            ("a URL that is none", "htu", json!("/orders"), rejected(Reject::Claim("htu"))),
            ("another host", "htu", json!("https://evil.example.com/orders"), Err(BadProof::Url)),
            ("another scheme", "htu", json!("http://api.example.com/orders"), Err(BadProof::Url)),
            ("another port", "htu", json!("https://api.example.com:8443/orders"), Err(BadProof::Url)),
            ("another path", "htu", json!("https://api.example.com/orders/1"), Err(BadProof::Url)),
            ("a path in other letters", "htu", json!("https://api.example.com/Orders"), Err(BadProof::Url)),
            ("a user in the URL", "htu", json!("https://u@api.example.com/orders"), rejected(Reject::Claim("htu"))),
            ("no date", "iat", Value::Null, rejected(Reject::Missing("iat"))),
            ("a date that is a text", "iat", json!("1800000000"), rejected(Reject::Claim("iat"))),
            ("an absurd date", "iat", json!(1e300), rejected(Reject::Claim("iat"))),
            ("as old as may be", "iat", json!(NOW - 60), Ok(())),
            ("older", "iat", json!(NOW - 61), Err(BadProof::Stale)),
            ("as far ahead as may be", "iat", json!(NOW + 60), Ok(())),
            ("further ahead", "iat", json!(NOW + 61), Err(BadProof::Early)),
            ("no hash of the token", "ath", Value::Null, rejected(Reject::Missing("ath"))),
            ("the hash of another token", "ath", json!("A".repeat(43)), Err(BadProof::OtherToken)),
            ("a hash that is a number", "ath", json!(1), rejected(Reject::Claim("ath"))),
        ] {
            let found = check(&proof(&signer, &changed(member, value)));
            assert_eq!(found.map(|_| ()), expected, "{name}");
        }
        let forged = Signer::generate("other").expect("key");
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": signer.jwks()["keys"][0] });
        let forged = forged.sign_texts(&header.to_string(), &claims().to_string()).expect("token");
        assert_eq!(check(&forged).map(|_| ()), rejected(Reject::Signature), "another key's");
    }

    #[test]
    fn a_url_is_one_place_however_it_is_written() {
        let signer = Signer::generate("k").expect("key");
        for htu in [
            "https://api.example.com/orders",
            "HTTPS://API.Example.com/orders",
            "https://api.example.com:443/orders",
            "https://api.example.com/orders?x=1",
            "https://api.example.com/orders#x",
        ] {
            for url in [URL, "https://Api.example.com:443/orders", "https://api.example.com/orders?y=2"] {
                let proof = proof(&signer, &changed("htu", json!(htu)));
                let used_for = Use { method: "GET", url, token: TOKEN };
                assert!(verify(&proof, &used_for, Timestamp::from_secs(NOW)).is_ok(), "`{htu}` for `{url}`");
            }
        }
    }

    #[test]
    fn a_proof_names_its_key_and_says_how_long_to_remember_it() {
        let signer = Signer::generate("k").expect("key");
        let (one, two) = (check(&proof(&signer, &claims())), check(&proof(&signer, &changed("iat", json!(NOW - 10)))));
        let (one, two) = (one.expect("a proof"), two.expect("a proof"));
        assert_eq!((one.jti(), one.good_until()), ("j1", Timestamp::from_secs(NOW + 60)));
        assert_eq!((one.thumbprint(), two.good_until()), (two.thumbprint(), Timestamp::from_secs(NOW + 50)));
        let other = check(&proof(&Signer::generate("k").expect("key"), &claims())).expect("a proof");
        assert_ne!(one.thumbprint(), other.thumbprint());
        let used_for = Use { method: "GET", url: URL, token: TOKEN };
        assert_eq!(format!("{used_for:?}"), "Use(GET)");
    }

    #[test]
    fn no_input_makes_it_panic() {
        let seed = 0x5eed_9449;
        println!("seed {seed:#x}");
        let mut random = Xorshift(seed);
        let signer = Signer::generate("k").expect("key");
        let good = proof(&signer, &claims());
        for _ in 0..5_000 {
            let mut damaged = good.clone().into_bytes();
            random.damage(&mut damaged);
            if damaged != good.as_bytes() {
                assert!(check(&String::from_utf8_lossy(&damaged)).is_err(), "{damaged:?}");
            }
        }
        for _ in 0..1_000 {
            let jwk = &signer.jwks()["keys"][0];
            let mut header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk }).to_string().into_bytes();
            let mut payload = claims().to_string().into_bytes();
            random.damage(&mut header);
            random.damage(&mut payload);
            let (header, payload) = (String::from_utf8_lossy(&header), String::from_utf8_lossy(&payload));
            drop(check(&signer.sign_texts(&header, &payload).expect("token")));
        }
    }
}

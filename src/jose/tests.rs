//! What [`verify`](super::verify) accepts, what it refuses and why, and that no input makes it panic.

use aws_lc_rs::hmac;
use serde_json::json;

use super::*;

/// When the tokens of these tests are verified.
const NOW: u64 = 1_700_000_030;

fn issuer() -> Issuer {
    Issuer::parse("https://idp.example.com").expect("issuer")
}

fn expectation(issuer: &Issuer) -> Expectation<'_> {
    Expectation {
        types: &["test+jwt"],
        type_required: true,
        algs: &Alg::ALL,
        issuer,
        audience: Audience::Single("gateway"),
        skew: Duration::from_secs(60),
        exp: Exp::Required,
    }
}

fn claims() -> Value {
    json!({ "iss": "https://idp.example.com", "aud": "gateway", "iat": 1_700_000_000, "exp": 1_700_000_300, "n": 7 })
}

fn keys_of(signers: &[&Signer]) -> Keys {
    let all: Vec<Value> =
        signers.iter().flat_map(|signer| signer.jwks()["keys"].as_array().cloned()).flatten().collect();
    Keys::parse(json!({ "keys": all }).to_string().as_bytes()).expect("keys")
}

fn check(token: &str, keys: &Keys, expectation: &Expectation<'_>) -> Result<Value, Reject> {
    verify::<Value>(token, keys, expectation, Timestamp::from_secs(NOW)).map(Verified::into_inner)
}

#[test]
fn a_good_token_of_each_algorithm_yields_its_claims_and_dates() {
    for alg in Alg::ALL {
        let signer = Signer::generate_for(alg, "k1").expect("key");
        let token = signer.sign(Some("test+jwt"), &claims()).expect("token");
        let verified =
            verify::<Value>(&token, &keys_of(&[&signer]), &expectation(&issuer()), Timestamp::from_secs(NOW))
                .unwrap_or_else(|why| panic!("{}: {why}", alg.name()));
        assert_eq!(verified["n"], 7);
        assert_eq!(verified.issued_at().secs(), 1_700_000_000);
        assert_eq!(verified.expires_at().map(Timestamp::secs), Some(1_700_000_300));
        assert_eq!(format!("{verified:?}"), "Verified(iat 2023-11-14T22:13:20Z)");
    }
}

#[test]
fn a_header_that_does_not_fit_is_refused() {
    let signer = Signer::generate("k1").expect("key");
    let keys = keys_of(&[&signer]);
    let own_key = &signer.jwks()["keys"][0];
    for (name, header, expected) in [
        ("as expected", json!({ "alg": "ES256", "kid": "k1", "typ": "test+jwt" }), Ok(())),
        ("typ in capitals, with prefix", json!({ "alg": "ES256", "kid": "k1", "typ": "APPLICATION/Test+JWT" }), Ok(())),
        ("no kid, one key", json!({ "alg": "ES256", "typ": "test+jwt" }), Ok(())),
        ("unknown member", json!({ "alg": "ES256", "kid": "k1", "typ": "test+jwt", "x": 1 }), Ok(())),
        ("no typ", json!({ "alg": "ES256", "kid": "k1" }), Err(Reject::Type)),
        ("another typ", json!({ "alg": "ES256", "kid": "k1", "typ": "JWT" }), Err(Reject::Type)),
        ("typ is a number", json!({ "alg": "ES256", "kid": "k1", "typ": 1 }), Err(Reject::Malformed)),
        ("no alg", json!({ "kid": "k1", "typ": "test+jwt" }), Err(Reject::Malformed)),
        ("none", json!({ "alg": "none", "kid": "k1", "typ": "test+jwt" }), Err(Reject::Algorithm)),
        ("none in capitals", json!({ "alg": "NONE", "kid": "k1", "typ": "test+jwt" }), Err(Reject::Algorithm)),
        ("ES384", json!({ "alg": "ES384", "kid": "k1", "typ": "test+jwt" }), Err(Reject::Algorithm)),
        ("alg of another key type", json!({ "alg": "RS256", "kid": "k1", "typ": "test+jwt" }), Err(Reject::Algorithm)),
        ("unknown kid", json!({ "alg": "ES256", "kid": "k2", "typ": "test+jwt" }), Err(Reject::UnknownKey)),
        (
            "kid as a path",
            json!({ "alg": "ES256", "kid": "../../dev/null", "typ": "test+jwt" }),
            Err(Reject::UnknownKey),
        ),
        ("empty kid", json!({ "alg": "ES256", "kid": "", "typ": "test+jwt" }), Err(Reject::UnknownKey)),
        ("kid is null", json!({ "alg": "ES256", "kid": null, "typ": "test+jwt" }), Err(Reject::Malformed)),
        ("crit", json!({ "alg": "ES256", "kid": "k1", "typ": "test+jwt", "crit": ["x"] }), Err(Reject::Malformed)),
        ("b64", json!({ "alg": "ES256", "kid": "k1", "typ": "test+jwt", "b64": false }), Err(Reject::Malformed)),
        (
            "an embedded key is ignored",
            json!({ "alg": "ES256", "kid": "k1", "typ": "test+jwt", "jwk": own_key }),
            Ok(()),
        ),
    ] {
        let token = signer.sign_texts(&header.to_string(), &claims().to_string()).expect("token");
        assert_eq!(check(&token, &keys, &expectation(&issuer())).map(|_| ()), expected, "{name}");
    }
    let twice = signer.sign_texts(r#"{"alg":"none","alg":"ES256","typ":"test+jwt"}"#, &claims().to_string());
    assert_eq!(check(&twice.expect("token"), &keys, &expectation(&issuer())), Err(Reject::Malformed), "alg twice");
}

#[test]
fn keys_that_come_with_the_token_are_never_used() {
    let (ours, theirs) = (Signer::generate("k1").expect("key"), Signer::generate("k1").expect("key"));
    let jwk = &theirs.jwks()["keys"][0];
    for header in [
        json!({ "alg": "ES256", "kid": "k1", "typ": "test+jwt", "jwk": jwk }),
        json!({ "alg": "ES256", "typ": "test+jwt", "jwk": jwk }),
        json!({ "alg": "ES256", "kid": "k1", "typ": "test+jwt", "jku": "https://evil.example.com/jwks.json" }),
        json!({ "alg": "ES256", "kid": "k1", "typ": "test+jwt", "x5u": "https://evil.example.com/chain.pem" }),
    ] {
        let token = theirs.sign_texts(&header.to_string(), &claims().to_string()).expect("token");
        assert_eq!(check(&token, &keys_of(&[&ours]), &expectation(&issuer())), Err(Reject::Signature), "{header}");
    }
}

#[test]
fn a_public_key_is_never_an_hmac_secret() {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"k1","typ":"test+jwt"}"#);
    for alg in [Alg::Rs256, Alg::Es256] {
        let signer = Signer::generate_for(alg, "k1").expect("key");
        let jwks = signer.jwks();
        let public = jwks["keys"][0]["n"].as_str().or_else(|| jwks["keys"][0]["x"].as_str()).expect("public part");
        for secret in [public.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(public).expect("base64")] {
            let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims().to_string()));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
            assert_eq!(check(&token, &keys_of(&[&signer]), &expectation(&issuer())), Err(Reject::Algorithm));
        }
    }
}

#[test]
fn a_token_without_kid_is_refused_where_two_keys_could_be_meant() {
    let (one, two) = (Signer::generate("k1").expect("key"), Signer::generate("k2").expect("key"));
    let other_type = Signer::generate_for(Alg::EdDsa, "k3").expect("key");
    let token = one.sign_texts(r#"{"alg":"ES256","typ":"test+jwt"}"#, &claims().to_string()).expect("token");
    let issuer = issuer();
    for (name, keys, expected) in [
        ("one key", keys_of(&[&one]), Ok(())),
        ("one of its type", keys_of(&[&one, &other_type]), Ok(())),
        ("two of its type", keys_of(&[&one, &two]), Err(Reject::UnknownKey)),
        ("none", Keys::empty(), Err(Reject::UnknownKey)),
    ] {
        assert_eq!(check(&token, &keys, &expectation(&issuer)).map(|_| ()), expected, "{name}");
    }
}

#[test]
fn an_algorithm_outside_the_expectation_is_refused() {
    let signer = Signer::generate("k1").expect("key");
    let token = signer.sign(Some("test+jwt"), &claims()).expect("token");
    let issuer = issuer();
    let narrow = Expectation { algs: &[Alg::Rs256], ..expectation(&issuer) };
    assert_eq!(check(&token, &keys_of(&[&signer]), &narrow), Err(Reject::Algorithm));
}

#[test]
fn an_rsa_key_of_1024_bits_is_refused_although_its_signature_is_right() {
    let jwks = json!({ "keys": [{ "kty": "RSA", "kid": "weak", "e": "AQAB", "n": WEAK_MODULUS }] });
    let keys = Keys::parse(jwks.to_string().as_bytes()).expect("keys");
    let issuer = issuer();
    let expectation = Expectation { type_required: false, ..expectation(&issuer) };
    assert_eq!(check(&WEAK_TOKEN.concat(), &keys, &expectation), Err(Reject::WeakKey));
}

#[test]
fn claims_that_do_not_fit_are_refused() {
    let signer = Signer::generate("k1").expect("key");
    let keys = keys_of(&[&signer]);
    let issuer = issuer();
    let ok = Ok(());
    for (name, member, value, expected) in [
        ("nothing changed", "n", json!(7), ok),
        ("aud as an array of one", "aud", json!(["gateway"]), ok),
        ("aud of two", "aud", json!(["gateway", "other"]), Err(Reject::Audience)),
        ("another aud", "aud", json!("gateway2"), Err(Reject::Audience)),
        ("empty aud", "aud", json!([]), Err(Reject::Audience)),
        ("aud with a number", "aud", json!(["gateway", 1]), Err(Reject::Audience)),
        ("aud null", "aud", Value::Null, Err(Reject::Audience)),
        ("iss with a slash more", "iss", json!("https://idp.example.com/"), Err(Reject::Issuer)),
        ("iss in capitals", "iss", json!("https://IDP.example.com"), Err(Reject::Issuer)),
        ("iss as an array", "iss", json!(["https://idp.example.com"]), Err(Reject::Issuer)),
        ("iat within the skew", "iat", json!(NOW + 60), ok),
        ("iat beyond the skew", "iat", json!(NOW + 61), Err(Reject::NotYet)),
        ("iat with a fraction", "iat", json!(1_700_000_000.25), ok),
        ("iat absurd", "iat", json!(1e300), Err(Reject::Claim("iat"))),
        ("iat negative", "iat", json!(-1), Err(Reject::Claim("iat"))),
        ("iat as text", "iat", json!("1700000000"), Err(Reject::Claim("iat"))),
        ("iat null", "iat", Value::Null, Err(Reject::Claim("iat"))),
        ("nbf past", "nbf", json!(1), ok),
        ("nbf beyond the skew", "nbf", json!(NOW + 61), Err(Reject::NotYet)),
        ("nbf as text", "nbf", json!("0"), Err(Reject::Claim("nbf"))),
        ("exp past within the skew", "exp", json!(NOW - 59), ok),
        ("exp past by the skew", "exp", json!(NOW - 60), Err(Reject::Expired)),
        ("exp zero", "exp", json!(0), Err(Reject::Expired)),
        ("exp absurd", "exp", json!(1e300), Err(Reject::Claim("exp"))),
        ("exp after 2038", "exp", json!(4_102_444_800_u64), ok),
        ("exp null", "exp", Value::Null, Err(Reject::Claim("exp"))),
    ] {
        let mut claims = claims();
        claims[member] = value;
        let token = signer.sign(Some("test+jwt"), &claims).expect("token");
        assert_eq!(check(&token, &keys, &expectation(&issuer)).map(|_| ()), expected, "{name}");
    }
    for (member, expected) in [
        ("iss", Reject::Missing("iss")),
        ("aud", Reject::Audience),
        ("iat", Reject::Missing("iat")),
        ("exp", Reject::Missing("exp")),
    ] {
        let mut claims = claims();
        claims.as_object_mut().expect("object").remove(member);
        let token = signer.sign(Some("test+jwt"), &claims).expect("token");
        assert_eq!(check(&token, &keys, &expectation(&issuer)), Err(expected), "without {member}");
    }
}

#[test]
fn an_expectation_says_what_is_asked_of_exp_and_aud() {
    let signer = Signer::generate("k1").expect("key");
    let keys = keys_of(&[&signer]);
    let issuer = issuer();
    let with = signer.sign(Some("test+jwt"), &claims()).expect("token");
    let mut bare = claims();
    bare.as_object_mut().expect("object").remove("exp");
    let without = signer.sign(Some("test+jwt"), &bare).expect("token");
    for (exp, token, expected) in [
        (Exp::Forbidden, &with, Err(Reject::Forbidden("exp"))),
        (Exp::Forbidden, &without, Ok(())),
        (Exp::Optional, &with, Ok(())),
        (Exp::Optional, &without, Ok(())),
        (Exp::Required, &without, Err(Reject::Missing("exp"))),
    ] {
        let expectation = Expectation { exp, ..expectation(&issuer) };
        assert_eq!(check(token, &keys, &expectation).map(|_| ()), expected, "{exp:?}");
    }
    let (ours, none) = (["x".to_owned(), "gateway".to_owned()], []);
    let mut many = claims();
    many["aud"] = json!(["gateway", "other"]);
    let many = signer.sign(Some("test+jwt"), &many).expect("token");
    for (audience, expected) in [(Audience::Any(&ours), Ok(())), (Audience::Any(&none), Err(Reject::Audience))] {
        let expectation = Expectation { audience, ..expectation(&issuer) };
        assert_eq!(check(&many, &keys, &expectation).map(|_| ()), expected, "{audience:?}");
    }
}

#[test]
fn a_text_that_is_no_token_is_refused() {
    let signer = Signer::generate("k1").expect("key");
    let keys = keys_of(&[&signer]);
    let token = signer.sign(Some("test+jwt"), &claims()).expect("token");
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let (header, payload) = signed.split_once('.').expect("two parts");
    let array = signer.sign_texts(r#"{"alg":"ES256","kid":"k1","typ":"test+jwt"}"#, "[1]").expect("token");
    let twice = signer
        .sign_texts(r#"{"alg":"ES256","kid":"k1","typ":"test+jwt"}"#, r#"{"iss":"a","x":{"y":1,"y":2}}"#)
        .expect("token");
    for (name, text, expected) in [
        ("empty", String::new(), Reject::Malformed),
        ("dots", "..".to_owned(), Reject::Malformed),
        ("two parts", signed.to_owned(), Reject::Malformed),
        ("four parts", format!("{token}.AAAA"), Reject::Malformed),
        ("five parts, as encrypted tokens have", format!("{token}.AAAA.AAAA"), Reject::Malformed),
        ("no signature", format!("{signed}."), Reject::Signature),
        ("padded", format!("{header}==.{payload}.{signature}"), Reject::Malformed),
        ("a blank in front", format!(" {token}"), Reject::Malformed),
        ("signature is no base64url", format!("{signed}.+/+/"), Reject::Malformed),
        (
            "signature of another text",
            format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode("{}")),
            Reject::Signature,
        ),
        ("payload is an array", array, Reject::Malformed),
        ("a name twice, deep inside", twice, Reject::Malformed),
        ("huge", "a".repeat(MAX_TOKEN + 1), Reject::TooLarge),
        ("as large as may be", "a".repeat(MAX_TOKEN), Reject::Malformed),
    ] {
        assert_eq!(check(&text, &keys, &expectation(&issuer())), Err(expected), "{name}");
    }
}

#[test]
fn every_changed_bit_of_a_token_is_noticed() {
    let signer = Signer::generate("k1").expect("key");
    let keys = keys_of(&[&signer]);
    let issuer = issuer();
    let token = signer.sign(Some("test+jwt"), &claims()).expect("token");
    for bit in 0..token.len() * 8 {
        let mut changed = token.clone().into_bytes();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(changed) = String::from_utf8(changed) else { continue };
        assert!(check(&changed, &keys, &expectation(&issuer)).is_err(), "bit {bit}");
    }
}

#[test]
fn claims_of_another_form_than_asked_are_refused() {
    #[derive(serde::Deserialize)]
    struct Wanted {
        #[expect(dead_code, reason = "only its form matters")]
        n: String,
    }
    let signer = Signer::generate("k1").expect("key");
    let token = signer.sign(Some("test+jwt"), &claims()).expect("token");
    let result = verify::<Wanted>(&token, &keys_of(&[&signer]), &expectation(&issuer()), Timestamp::from_secs(NOW));
    assert_eq!(result.map(|_| ()), Err(Reject::Claim("claims")));
}

/// Numbers that look random and come again from the same seed (Marsaglia's xorshift64).
pub(crate) struct Xorshift(pub(crate) u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("small")
    }

    pub(crate) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// Changes `bytes` in one to four places.
    pub(crate) fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.byte()),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ if at < bytes.len() => bytes[at] = self.byte(),
                _ => {}
            }
        }
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }
}

#[test]
fn no_input_makes_the_verifier_panic() {
    let seed = 0x9e37_79b9_7f4a_7c15;
    println!("seed {seed:#x}");
    let mut random = Xorshift(seed);
    let signer = Signer::generate("k1").expect("key");
    let jwks = signer.jwks().to_string();
    let keys = keys_of(&[&signer]);
    let issuer = issuer();
    let expectation = expectation(&issuer);
    let token = signer.sign(Some("test+jwt"), &claims()).expect("token");
    for _ in 0..20_000 {
        // Raw noise, a damaged token, damaged JSON under a right signature, a damaged key set.
        let noise: Vec<u8> = (0..random.below(200)).map(|_| random.byte()).collect();
        assert!(check(&String::from_utf8_lossy(&noise), &keys, &expectation).is_err());
        drop(Keys::parse(&noise));

        let mut damaged = token.clone().into_bytes();
        random.damage(&mut damaged);
        if damaged != token.as_bytes() {
            let damaged = String::from_utf8_lossy(&damaged).into_owned();
            assert!(check(&damaged, &keys, &expectation).is_err(), "`{damaged}`");
        }

        let mut set = jwks.clone().into_bytes();
        random.damage(&mut set);
        if let Ok(keys) = Keys::parse(&set) {
            drop(check(&token, &keys, &expectation));
        }
    }
    for _ in 0..2_000 {
        let mut header = br#"{"alg":"ES256","kid":"k1","typ":"test+jwt"}"#.to_vec();
        let mut payload = claims().to_string().into_bytes();
        random.damage(&mut header);
        random.damage(&mut payload);
        let (header, payload) = (String::from_utf8_lossy(&header), String::from_utf8_lossy(&payload));
        drop(check(&signer.sign_texts(&header, &payload).expect("token"), &keys, &expectation));
    }
}

/// A modulus of 1024 bits, and a token that its private key (thrown away) really signed.
const WEAK_MODULUS: &str = concat!(
    "lwU8wqV30Xd-udheah8yoRGKiscJzl7m1f-",
    "oPCrbZyextrBfL4yOTD1AQ7LXzurkrk6KbU1BnxCcRFYAtomU3lof992BwwZjkREaM4EI1QMVA_sWVKZ6rECgeqIp8Pf0vnpuvwt",
    "VRUAIlLTDBo7w4i_x-9NjQbl5N2w3sJfHVDs",
);

/// See [`WEAK_MODULUS`].
const WEAK_TOKEN: [&str; 4] = [
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IndlYWsifQ.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLmNvbSIsImF1ZCI6ImdhdGV3Y",
    "XkiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMDA2MH0.S-HCLVhoqKg3fJ-vRMy6EeUdrgAz7O1Owxi0UQphtRQWYDblj",
    "JojPA3KHoe22k72dvqy32IYgUSaguGcuvyx1ino7FeYJBqPfQCZbiWau2Jgb2qqwuLRscco4JiMZ6XHZs__DbuSSureUW7rf_0vy",
    "9n6OMnK_a1xQVZnqJ7yPZg",
];

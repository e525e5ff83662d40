//! Global Token Revocation (draft-parecki-oauth-global-token-revocation, which Okta's Universal Logout sends): what the
//! caller's token must be, and whom the request names.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::call::{self, Call, Terms};
use super::{Quirks, Simple, Subject};
use crate::identity::Issuer;
use crate::jose::{Alg, Expectation, Reject, Verified, object_without_duplicates};
use crate::time::Timestamp;

/// How long after it was made a token may say that it is good. Okta's is good for five minutes; a token that is good
/// for years is a password that travels.
pub const LONGEST_LIFE: Duration = Duration::from_secs(15 * 60);

/// The claims of a caller's token, read only by [`parse_caller`].
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct CallerClaims(Map<String, Value>);

impl std::fmt::Debug for CallerClaims {
    /// As for every other token: its claims are not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallerClaims")
    }
}

/// Who asks for a revocation, authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Whoever holds the shared secret. Nothing says when they asked.
    Holder,
    /// The IdP, by a token of its own.
    Signed {
        /// The token's id; it counts once.
        jti: String,
        /// When it was made.
        issued_at: Timestamp,
        /// Until when it could be sent again.
        good_until: Timestamp,
    },
}

/// What the token of a caller must be, as [`call`] says it.
pub const fn expectation<'a>(issuer: &'a Issuer, endpoints: &'a [String], algs: &'a [Alg]) -> Expectation<'a> {
    call::expectation(&["global-token-revocation+jwt"], issuer, endpoints, algs)
}

/// Reads a verified token. `sub` is the client that the IdP calls (us).
pub fn parse_caller(token: Verified<CallerClaims>, client_id: &str) -> Result<Caller, Reject> {
    let times = (token.issued_at(), token.expires_at());
    let CallerClaims(claims) = token.into_inner();
    let terms = Terms { client: ("sub", client_id), longest_life: LONGEST_LIFE };
    let Call { jti, issued_at, good_until } = Call::read(times, &claims, &terms)?;
    Ok(Caller::Signed { jti, issued_at, good_until })
}

/// Reads the body of a request: a JSON object with one `sub_id` (or `subject`, its name in older drafts), a subject
/// identifier of RFC 9493. Members that are not known are ignored.
pub fn parse_request(body: &[u8]) -> Result<Simple, Reject> {
    let members = object_without_duplicates(body).ok_or(Reject::Claim("body"))?;
    let subject = match (members.get("sub_id"), members.get("subject")) {
        (Some(subject), None) | (None, Some(subject)) => subject,
        (None, None) => return Err(Reject::Missing("sub_id")),
        // Two names of one thing: which counts is somebody's trick.
        (Some(_), Some(_)) => return Err(Reject::Forbidden("subject")),
    };
    match Subject::parse(subject, &Quirks::NONE)? {
        Subject::Simple(simple) => Ok(simple),
        // SSF's own shape, which RFC 9493 does not have: this request names one person.
        Subject::Complex(_) | Subject::Stream => Err(Reject::Claim("sub_id")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jose::tests::Xorshift;
    use crate::jose::{self, Keys, Signer};

    const NOW: u64 = 1_700_000_000;
    const HERE: &str = "https://wiki.example.com/oauth2/global-token-revocation/corp";

    fn read(typ: Option<&str>, changes: &Value) -> Result<Caller, Reject> {
        let signer = Signer::generate("k1").expect("key");
        let keys = Keys::parse(signer.jwks().to_string().as_bytes()).expect("keys");
        let issuer = Issuer::parse("https://org.okta.example").expect("issuer");
        let mut claims = json!({
            "iss": issuer, "sub": "portcullis", "aud": HERE, "jti": "j1",
            "iat": NOW, "nbf": NOW - 300, "exp": NOW + 300,
        });
        for (name, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let compact = signer.sign(typ, &claims).expect("a token");
        let (endpoints, now) = ([HERE.to_owned()], Timestamp::from_secs(NOW));
        jose::verify(&compact, &keys, &expectation(&issuer, &endpoints, &Alg::ALL), now)
            .and_then(|token| parse_caller(token, "portcullis"))
    }

    #[test]
    fn a_token_is_the_idps_call_of_this_endpoint_or_it_is_refused() {
        let typ = Some("global-token-revocation+jwt");
        let good = Ok(Caller::Signed {
            jti: "j1".into(),
            issued_at: Timestamp::from_secs(NOW),
            good_until: Timestamp::from_secs(NOW + 360),
        });
        for (what, typ, changes, expected) in [
            ("as Okta sends it", typ, json!({}), good.clone()),
            ("for us and others", typ, json!({ "aud": ["x", HERE] }), good),
            ("no typ", None, json!({}), Err(Reject::Type)),
            ("an ID token", Some("JWT"), json!({}), Err(Reject::Type)),
            ("a SET", Some("secevent+jwt"), json!({}), Err(Reject::Type)),
            ("another issuer", typ, json!({ "iss": "https://evil.example" }), Err(Reject::Issuer)),
            ("no issuer", typ, json!({ "iss": null }), Err(Reject::Missing("iss"))),
            ("for our client id", typ, json!({ "aud": "portcullis" }), Err(Reject::Audience)),
            ("for the endpoint of another IdP", typ, json!({ "aud": format!("{HERE}2") }), Err(Reject::Audience)),
            ("for the endpoint with a query", typ, json!({ "aud": format!("{HERE}?a=b") }), Err(Reject::Audience)),
            ("no audience", typ, json!({ "aud": null }), Err(Reject::Audience)),
            ("another client", typ, json!({ "sub": "other" }), Err(Reject::Claim("sub"))),
            ("a list of clients", typ, json!({ "sub": ["portcullis"] }), Err(Reject::Claim("sub"))),
            ("no client", typ, json!({ "sub": null }), Err(Reject::Missing("sub"))),
            ("no jti", typ, json!({ "jti": null }), Err(Reject::Missing("jti"))),
            ("an empty jti", typ, json!({ "jti": "" }), Err(Reject::Claim("jti"))),
            ("an endless jti", typ, json!({ "jti": "j".repeat(513) }), Err(Reject::Claim("jti"))),
            ("no iat", typ, json!({ "iat": null }), Err(Reject::Missing("iat"))),
            ("no exp", typ, json!({ "exp": null }), Err(Reject::Missing("exp"))),
            ("over", typ, json!({ "iat": NOW - 400, "exp": NOW - 61 }), Err(Reject::Expired)),
            ("from the future", typ, json!({ "iat": NOW + 61 }), Err(Reject::NotYet)),
            ("not yet good", typ, json!({ "nbf": NOW + 61 }), Err(Reject::NotYet)),
            ("good for long", typ, json!({ "exp": NOW + 901 }), Err(Reject::Claim("exp"))),
            ("good for ever", typ, json!({ "exp": 1e300 }), Err(Reject::Claim("exp"))),
            ("with a nonce", typ, json!({ "nonce": "n" }), Err(Reject::Forbidden("nonce"))),
            ("with events", typ, json!({ "events": {} }), Err(Reject::Forbidden("events"))),
        ] {
            assert_eq!(read(typ, &changes), expected, "{what}");
        }
    }

    #[test]
    fn a_request_names_one_subject() {
        let email = json!({ "format": "email", "email": "ann@corp.example" });
        let ann = Ok(Simple::Email("ann@corp.example".into()));
        for (what, body, expected) in [
            ("sub_id", json!({ "sub_id": email }).to_string(), ann.clone()),
            ("its older name", json!({ "subject": email }).to_string(), ann.clone()),
            ("more than is known", json!({ "sub_id": email, "extra": [1] }).to_string(), ann),
            ("both names", json!({ "sub_id": email, "subject": email }).to_string(), Err(Reject::Forbidden("subject"))),
            ("neither", json!({}).to_string(), Err(Reject::Missing("sub_id"))),
            ("a text", json!({ "sub_id": "ann" }).to_string(), Err(Reject::Claim("sub_id"))),
            ("half a subject", json!({ "sub_id": { "format": "iss_sub" } }).to_string(), Err(Reject::Claim("sub_id"))),
            (
                "a complex subject",
                json!({ "sub_id": { "format": "complex", "user": email } }).to_string(),
                Err(Reject::Claim("sub_id")),
            ),
            ("twice", format!("{{\"sub_id\":{email},\"sub_id\":{email}}}"), Err(Reject::Claim("body"))),
            ("a list", json!([{ "sub_id": email }]).to_string(), Err(Reject::Claim("body"))),
            ("nothing", String::new(), Err(Reject::Claim("body"))),
            ("deep", "[".repeat(60_000), Err(Reject::Claim("body"))),
        ] {
            assert_eq!(parse_request(body.as_bytes()), expected, "{what}");
        }
    }

    #[test]
    fn no_body_makes_the_parser_panic() {
        let seed = 0x9e37_79b9_7f4a_7c15;
        println!("seed {seed:#x}");
        let mut random = Xorshift(seed);
        let good = json!({ "sub_id": { "format": "aliases", "identifiers": [
            { "format": "email", "email": "ann@corp.example" },
            { "format": "iss_sub", "iss": "https://i", "sub": "s" },
        ] } });
        for _ in 0..20_000 {
            let mut body = good.to_string().into_bytes();
            random.damage(&mut body);
            let _read = parse_request(&body);
        }
    }
}

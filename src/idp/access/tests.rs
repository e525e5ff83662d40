//! Access tokens of an IdP on this machine, from what a request bears to evidence.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::*;
use crate::apps::Unproven;
use crate::dpop::tests::{proof_for, thumbprint};
use crate::identity::{AppKey, Target, TargetKind};
use crate::idp::tests::op::{Does, with};
use crate::idp::tests::{NOW, Setup, setup};
use crate::jose::Signer;
use crate::revocation::{Mode, Origin, Reach, Revocation, RevocationSet, Whom};

const URL: &str = "https://api.example.com/orders";
const HORIZON: u64 = NOW - 86_400;

fn rules() -> AccessTokens {
    AccessTokens {
        audiences: vec!["https://api.example.com".into(), "orders".into()],
        types: vec!["at+jwt".into()],
        introspect: None,
        unproven: Unproven::Refuse,
        dpop: false,
    }
}

fn opaque() -> AccessTokens {
    AccessTokens { introspect: Some(std::time::Duration::from_secs(10)), ..rules() }
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

impl Setup {
    fn access_claims(&self) -> Value {
        json!({
            "iss": self.op.issuer().as_str(), "aud": "https://api.example.com", "sub": "ann", "client_id": "cli",
            "iat": NOW - 10, "exp": NOW + 300, "auth_time": NOW - 100, "jti": "t1", "scope": "orders.read",
        })
    }

    fn signed(&self, typ: Option<&str>, changes: &Value) -> String {
        self.op.signer.sign(typ, &with(self.access_claims(), changes)).expect("token")
    }

    async fn bears(&self, token: &str, rules: &AccessTokens) -> Result<Bearer, Refused> {
        self.shows(&Presented { scheme: Scheme::Bearer, token, proofs: &[], method: "GET", url: URL }, rules).await
    }

    async fn shows(&self, presented: &Presented<'_>, rules: &AccessTokens) -> Result<Bearer, Refused> {
        self.idp.access(presented, rules, &self.ring, at(HORIZON)).await
    }
}

#[tokio::test]
async fn a_token_becomes_evidence() {
    let setup = setup(|_| {}).await;
    let bearer = setup.bears(&setup.signed(Some("at+jwt"), &json!({})), &rules()).await.expect("evidence");
    assert_eq!((bearer.maker, bearer.ends_at), (Maker::Idp, at(NOW + 300)));
    assert_eq!((bearer.lineage.asserted_at, bearer.lineage.auth_time), (at(NOW - 100), Some(at(NOW - 100))));
    assert_eq!(bearer.person.subject, "ann");
    assert!(bearer.person.claims.contains(&("scope".to_owned(), "orders.read".to_owned())));
    let user = Target::new(&setup.op.issuer(), TargetKind::User, "ann").expect("target");
    assert!(bearer.lineage.targets.contains(&(TargetKind::User, setup.ring.hasher().key(&user))));
}

#[tokio::test]
async fn what_is_no_access_token_for_this_app_is_refused() {
    let setup = setup(|_| {}).await;
    let jwt = AccessTokens { types: vec!["at+jwt".into(), "JWT".into()], ..rules() };
    let at_jwt = Some("at+jwt");
    for (name, typ, changes, word) in [
        ("another audience", at_jwt, json!({ "aud": "portcullis" }), "audience"),
        ("no audience", at_jwt, json!({ "aud": null }), "audience"),
        ("an audience that is a list of nobody", at_jwt, json!({ "aud": [] }), "audience"),
        ("another issuer", at_jwt, json!({ "iss": "https://evil.example.com" }), "issuer"),
        ("no end", at_jwt, json!({ "exp": null }), "missing_claim"),
        ("over", at_jwt, json!({ "exp": NOW }), "expired"),
        ("an absurd end", at_jwt, json!({ "exp": 1e300 }), "invalid_claim"),
        ("no date", at_jwt, json!({ "iat": null }), "missing_claim"),
        ("of the future", at_jwt, json!({ "iat": NOW + 61 }), "not_yet"),
        ("too old", at_jwt, json!({ "auth_time": HORIZON }), "too_old"),
        ("nobody's", at_jwt, json!({ "sub": null, "client_id": null }), "missing_claim"),
        ("a SET", Some("secevent+jwt"), json!({ "events": {} }), "type"),
        ("a SET without type", None, json!({ "events": {} }), "type"),
        ("a SET of a vague type", Some("JWT"), json!({ "events": {} }), "forbidden_claim"),
        ("a logout token", Some("logout+jwt"), json!({ "events": {} }), "type"),
        ("an ID token", Some("JWT"), json!({ "nonce": "n" }), "forbidden_claim"),
        ("an ID token without nonce", Some("JWT"), json!({ "at_hash": "h" }), "forbidden_claim"),
        ("a proof", Some("dpop+jwt"), json!({}), "type"),
        ("bound to a certificate", at_jwt, json!({ "cnf": { "x5t#S256": "h" } }), "binding"),
    ] {
        let found = setup.bears(&setup.signed(typ, &changes), &jwt).await;
        assert_eq!(found, Err(Refused::Token(word)), "{name}");
    }
    assert_eq!(setup.bears(&setup.signed(Some("JWT"), &json!({})), &rules()).await, Err(Refused::Token("type")));
    for (name, typ, changes) in [
        ("the type in another form", Some("application/AT+JWT"), json!({})),
        ("a vague type that is allowed", Some("JWT"), json!({})),
        ("one of several audiences", at_jwt, json!({ "aud": ["other", "orders"] })),
    ] {
        assert!(setup.bears(&setup.signed(typ, &changes), &jwt).await.is_ok(), "{name}");
    }
    assert!(setup.op.script().introspection_requests.is_empty(), "nobody was asked about any of them");
}

/// Scar 13, and what it is made of.
#[tokio::test]
async fn a_token_that_chooses_its_own_key_or_algorithm_is_refused() {
    let setup = setup(|_| {}).await;
    let claims = setup.access_claims().to_string();
    let forger = Signer::generate("k1").expect("key");
    let jwk = forger.jwks()["keys"][0].clone();
    let public = setup.op.signer.jwks()["keys"][0]["x"].as_str().expect("x").to_owned();
    let by_hmac = |secret: &[u8]| {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"k1","typ":"at+jwt"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(&claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let header = |changes: Value| {
        let header = with(json!({ "alg": "ES256", "kid": "k1", "typ": "at+jwt" }), &changes).to_string();
        forger.sign_texts(&header, &claims).expect("token")
    };
    let unsigned = |alg: &str| {
        let header = json!({ "alg": alg, "typ": "at+jwt" }).to_string();
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(&claims))
    };
    let jwe = format!("{}.a.b.c.d", URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A256GCM"}"#));
    for (name, token, word) in [
        ("alg none", unsigned("none"), "algorithm"),
        ("alg None", unsigned("None"), "algorithm"),
        ("HS256 with the public key", by_hmac(public.as_bytes()), "algorithm"),
        ("HS256 with its bytes", by_hmac(&URL_SAFE_NO_PAD.decode(&public).expect("bytes")), "algorithm"),
        ("kid as a path", header(json!({ "kid": "../../dev/null" })), "unknown_key"),
        ("a key in the header", header(json!({ "jwk": jwk })), "signature"),
        ("a key in the header, no kid", header(json!({ "kid": null, "jwk": jwk })), "signature"),
        ("keys elsewhere", header(json!({ "jku": "https://evil.example.com/jwks.json" })), "signature"),
        ("a chain elsewhere", header(json!({ "x5u": "https://evil.example.com/chain.pem" })), "signature"),
        ("crit", header(json!({ "crit": ["x"] })), "malformed"),
        ("encrypted", jwe, "malformed"),
    ] {
        // Also where everything else would be asked about: these say of themselves that they can be read.
        for rules in [rules(), opaque()] {
            assert_eq!(setup.bears(&token, &rules).await, Err(Refused::Token(word)), "{name}");
        }
    }
    assert!(setup.op.script().introspection_requests.is_empty(), "nobody was asked about any of them");
}

/// Scar 12: that there is something says nothing.
#[tokio::test]
async fn what_is_no_token_is_no_evidence() {
    let setup = setup(|_| {}).await;
    setup.op.script().introspection = Does::Say(json!({ "active": false }));
    let long = "a".repeat(MAX_TOKEN + 1);
    for (token, without, asked) in [
        ("x", "opaque", "inactive"),
        ("a.b.c", "opaque", "inactive"),
        ("", "malformed", "malformed"),
        ("=", "malformed", "malformed"),
        ("a b", "malformed", "malformed"),
        ("a,b", "malformed", "malformed"),
        ("a=b", "malformed", "malformed"),
        ("é", "malformed", "malformed"),
        ("a\r\nX: y", "malformed", "malformed"),
        (long.as_str(), "malformed", "malformed"),
    ] {
        assert_eq!(setup.bears(token, &rules()).await, Err(Refused::Token(without)), "`{token:.10}`");
        assert_eq!(setup.bears(token, &opaque()).await, Err(Refused::Token(asked)), "`{token:.10}`, asked about");
    }
}

#[tokio::test]
async fn an_opaque_token_is_what_the_idp_says_that_it_is() {
    let setup = setup(|_| {}).await;
    let answer = with(setup.access_claims(), &json!({ "active": true, "token_type": "Bearer", "jti": null }));
    let rows = [
        ("a good one", json!({}), Ok("ann")),
        ("a program's", json!({ "sub": null, "auth_time": null }), Ok("cli")),
        ("for another audience", json!({ "aud": "other" }), Err(Refused::Token("audience"))),
        ("for nobody in particular", json!({ "aud": null }), Err(Refused::Token("audience"))),
        ("of another issuer", json!({ "iss": "https://evil.example.com" }), Err(Refused::Token("issuer"))),
        ("without end", json!({ "exp": null }), Err(Refused::Token("missing_claim"))),
        ("over, though active", json!({ "exp": NOW }), Err(Refused::Token("expired"))),
        ("without date", json!({ "iat": null }), Err(Refused::Token("missing_claim"))),
        ("too old", json!({ "auth_time": HORIZON }), Err(Refused::Token("too_old"))),
        ("not active", json!({ "active": false }), Err(Refused::Token("inactive"))),
        ("bound", json!({ "cnf": { "jkt": "k" } }), Err(Refused::Proof("no_proof"))),
        ("of another type", json!({ "token_type": "N_A" }), Err(Refused::Token("invalid_claim"))),
        ("active in a manner", json!({ "active": "true" }), Err(Refused::Unavailable)),
        ("active in no manner", json!({ "active": null }), Err(Refused::Unavailable)),
    ];
    for (number, (name, changes, expected)) in rows.into_iter().enumerate() {
        setup.op.script().introspection = Does::Say(with(answer.clone(), &changes));
        let found = setup.bears(&format!("token-{number}"), &opaque()).await;
        assert_eq!(found.map(|bearer| bearer.person.subject.clone()), expected.map(str::to_owned), "{name}");
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_not_a_bad_token() {
    let setup = setup(|_| {}).await;
    setup.op.script().keys = Does::Fail(500, json!({}));
    let token = setup.signed(Some("at+jwt"), &json!({}));
    let refused = setup.bears(&token, &rules()).await.expect_err("no keys");
    assert_eq!((refused, refused.bad_token(), refused.word()), (Refused::Unavailable, None, "unavailable"));
}

#[tokio::test]
async fn a_bound_token_is_borne_with_a_proof_by_its_key() {
    let setup = setup(|_| {}).await;
    let (key, other) = (Signer::generate("d").expect("key"), Signer::generate("e").expect("key"));
    let bound = setup.signed(Some("at+jwt"), &json!({ "cnf": { "jkt": thumbprint(&key) } }));
    let unbound = setup.signed(Some("at+jwt"), &json!({}));
    let proof = |signer, token, jti| proof_for(signer, &Use { method: "GET", url: URL, token }, jti, setup.clock.now());
    let [good, second, third] = ["j1", "j2", "j3"].map(|jti| proof(&key, &bound, jti));
    let (others, for_unbound) = (proof(&other, &bound, "j1"), proof(&key, &unbound, "j4"));
    let elsewhere = proof_for(&key, &Use { method: "GET", url: "https://a.example/", token: &bound }, "j5", at(NOW));
    let (bearer, dpop) = (Scheme::Bearer, Scheme::Dpop);
    for (name, scheme, token, proofs, expected) in [
        ("bound, with proof", dpop, &bound, vec![&good], Ok(())),
        ("bound, the same proof again", dpop, &bound, vec![&good], Err(Refused::Proof("replayed"))),
        ("bound, another proof", dpop, &bound, vec![&second], Ok(())),
        ("bound, two proofs", dpop, &bound, vec![&third, &third], Err(Refused::Proof("several_proofs"))),
        ("bound, no proof", dpop, &bound, vec![], Err(Refused::Proof("no_proof"))),
        ("bound, as a bearer token", bearer, &bound, vec![], Err(Refused::Proof("no_proof"))),
        ("bound, as a bearer token with proof", bearer, &bound, vec![&third], Err(Refused::Proof("no_proof"))),
        ("bound, another key's proof", dpop, &bound, vec![&others], Err(Refused::Proof("other_key"))),
        ("bound, a proof for another token", dpop, &bound, vec![&for_unbound], Err(Refused::Proof("other_token"))),
        ("bound, a proof for elsewhere", dpop, &bound, vec![&elsewhere], Err(Refused::Proof("url"))),
        ("bound, a proof that is none", dpop, &bound, vec![&unbound], Err(Refused::Proof("type"))),
        ("unbound", bearer, &unbound, vec![], Ok(())),
        ("unbound, with a proof that nobody asked for", bearer, &unbound, vec![&for_unbound], Ok(())),
        ("unbound, as a bound one", dpop, &unbound, vec![&for_unbound], Err(Refused::Token("not_bound"))),
    ] {
        let proofs: Vec<&str> = proofs.into_iter().map(String::as_str).collect();
        let presented = Presented { scheme, token, proofs: &proofs, method: "GET", url: URL };
        assert_eq!(setup.shows(&presented, &rules()).await.map(|_| ()), expected, "{name}");
        assert!(!format!("{presented:?}").contains(token), "{presented:?}");
    }
    let strict = AccessTokens { dpop: true, ..rules() };
    assert_eq!(
        setup.bears(&unbound, &strict).await,
        Err(Refused::Token("not_bound")),
        "where bound ones are asked for"
    );
    let presented = Presented { scheme: dpop, token: &bound, proofs: &[&third], method: "GET", url: URL };
    assert!(setup.shows(&presented, &strict).await.is_ok(), "a bound one where bound ones are asked for");
}

#[tokio::test]
async fn a_token_refreshed_after_a_kill_from_a_grant_that_is_older_stays_dead() {
    const KILL: u64 = NOW - 60;
    let setup = setup(|_| {}).await;
    let target = |kind, value| Target::new(&setup.op.issuer(), kind, value).expect("target");
    let (refuse, iat) = (rules(), AccessTokens { unproven: Unproven::IssuedAt, ..rules() });
    let (user, session) = (target(TargetKind::User, "ann"), target(TargetKind::Session, "s1"));
    let everyone = Target::everyone(&setup.op.issuer());
    let ben = target(TargetKind::User, "ben");
    let both = [Mode::Terminate, Mode::Reestablish];
    for (name, whom, changes, rules, dead) in [
        ("signed in before", &user, json!({ "auth_time": KILL - 1 }), &refuse, true),
        ("signed in in the same second", &user, json!({ "auth_time": KILL }), &refuse, true),
        ("signed in before, whatever the app wants", &user, json!({ "auth_time": KILL - 1 }), &iat, true),
        ("signed in after", &user, json!({ "auth_time": KILL + 1 }), &refuse, false),
        ("issued before, whatever it says", &user, json!({ "iat": KILL - 1, "auth_time": NOW }), &refuse, true),
        ("it does not say when", &user, json!({ "auth_time": null }), &refuse, true),
        ("it does not say when, iat will do", &user, json!({ "auth_time": null }), &iat, false),
        ("iat will do, but is older", &user, json!({ "auth_time": null, "iat": KILL }), &iat, true),
        ("of the killed session", &session, json!({ "auth_time": null, "sid": "s1" }), &refuse, true),
        ("of another session", &session, json!({ "auth_time": null, "sid": "s2" }), &refuse, false),
        ("everyone's", &everyone, json!({ "auth_time": null }), &refuse, true),
        ("somebody else's kill", &ben, json!({ "auth_time": null }), &refuse, false),
    ] {
        for mode in both {
            let set = RevocationSet::default();
            let revocation = Revocation {
                whom: Whom::all_of(vec![whom.clone()]).expect("whom"),
                reach: Reach::All,
                mode,
                cut_off: at(KILL),
                origin: Origin::Operator,
                reason: None,
                said: Default::default(),
                received_at: at(KILL),
            };
            set.insert(&revocation, &setup.ring.hashers());
            // Refreshed: issued long after the kill, unless the row says otherwise.
            let claims = with(with(setup.access_claims(), &json!({ "iat": NOW - 1 })), &changes);
            let token = setup.op.signer.sign(Some("at+jwt"), &claims).expect("token");
            let bearer = setup.bears(&token, rules).await.unwrap_or_else(|why| panic!("{name}: {why:?}"));
            let standing = set.judge(&bearer.lineage.credential(AppKey::of("orders")));
            assert_eq!(!standing.is_clear(), dead, "{name}, {mode:?}");
        }
    }
}

#[tokio::test]
async fn reading_a_token_can_be_part_of_any_task() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let setup = setup(|_| {}).await;
    let presented = Presented { scheme: Scheme::Bearer, token: "x", proofs: &[], method: "GET", url: URL };
    let rules = rules();
    let read = is_send(setup.idp.access(&presented, &rules, &setup.ring, at(HORIZON)));
    assert_eq!(read.await, Err(Refused::Token("opaque")));
}

//! Logins at an IdP on this machine that does what its script says.

pub(super) mod op;

use std::sync::atomic::Ordering;

use serde_json::json;

use self::op::{Does, Op, with};
use super::*;
use crate::http::tests::client;
use crate::identity::Email;
use crate::jose::Signer;
use crate::login::{Flows, Proof, RANDOM_LEN, Refusal, Resume, ReturnPath, Start, begin, resume};
use crate::seal::{KeyRing, generate_key};

pub(super) const NOW: u64 = 1_800_000_000;
const HOST: &str = "wiki.example.com";

/// A gateway's side of one IdP, and a browser that logs in at it.
pub(super) struct Setup {
    pub(super) op: Arc<Op>,
    pub(super) idp: Idp,
    pub(super) clock: Clock,
    pub(super) ring: KeyRing,
}

pub(super) async fn setup(change: impl FnOnce(&mut Settings)) -> Setup {
    let op = Op::start().await;
    let mut settings = op.settings();
    change(&mut settings);
    let clock = Clock::manual(Timestamp::from_secs(NOW));
    let key = generate_key().expect("key");
    let ring = KeyRing::parse([key.expose().as_str()]).expect("ring").expect("one");
    Setup { idp: Idp::new(settings, client(), clock.clone()), op, clock, ring }
}

fn redirect_uri() -> Url {
    Url::parse("https://wiki.example.com/oauth2/callback").expect("url")
}

impl Setup {
    /// The login that begins, and the answer that the browser brings back with `query` added to its state.
    fn answer(&self, query: &str) -> (Ask, Answer) {
        let start = Start {
            host: HOST,
            idp: "corp",
            app: "wiki",
            return_to: ReturnPath::front_page(),
            proof: Proof::NewerThan(Timestamp::from_secs(NOW - 100)),
            max_age: self.idp.max_age(),
            login_hint: Some("ann@example.com"),
            renews: None,
        };
        let now = self.clock.now();
        let begun = begin(start, &Flows::default(), &self.ring, &[7; RANDOM_LEN], now).expect("begun");
        let cookie = begun.set_cookies[0].expose();
        let (name, value) = cookie.split("; ").next().and_then(|pair| pair.split_once('=')).expect("cookie");
        let flows = Flows::read([(name, value)], &self.ring, HOST);
        match resume(&format!("state={}&{query}", begun.ask.state), &flows, now) {
            Resume::Answered(answer) => (begun.ask, answer),
            other => panic!("no answer: {other:?}"),
        }
    }

    fn claims(&self, nonce: &str) -> Value {
        json!({
            "iss": self.op.issuer().as_str(), "aud": "portcullis", "sub": "ann", "sid": "s1", "nonce": nonce,
            "iat": NOW, "exp": NOW + 300, "auth_time": NOW - 5,
            "email": "Ann@Example.com", "groups": ["staff", "wiki"],
        })
    }

    /// A login whose ID token has `changes`, and what comes of it.
    async fn login(&self, changes: Value) -> Result<Assertion, Error> {
        self.login_typed(Some("JWT"), changes).await
    }

    async fn login_typed(&self, typ: Option<&str>, changes: Value) -> Result<Assertion, Error> {
        let (ask, answer) = self.answer("code=c0de");
        let token = self.op.signer.sign(typ, &with(self.claims(&ask.nonce), &changes)).expect("token");
        self.op.script().token =
            Does::Say(json!({ "access_token": "at", "token_type": "Bearer", "expires_in": "300", "id_token": token }));
        self.idp.redeem(answer, &redirect_uri()).await
    }
}

fn reject(result: &Result<Assertion, Error>) -> Option<Reject> {
    match result {
        Err(Error::Token(reject)) => Some(*reject),
        _ => None,
    }
}

#[tokio::test]
async fn the_browser_is_sent_with_everything_that_the_login_needs() {
    let setup = setup(|_| {}).await;
    let (ask, _) = setup.answer("code=c");
    let url = setup.idp.authorization_url(&ask, &redirect_uri()).await.expect("url");
    assert!(url.as_str().starts_with(setup.op.at("authorize?tenant=1&").as_str()), "{url}");
    let mut query: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        assert!(query.insert(name.clone().into_owned(), value.into_owned()).is_none(), "`{name}` twice");
    }
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "portcullis"),
        ("redirect_uri", "https://wiki.example.com/oauth2/callback"),
        ("scope", "openid email groups"),
        ("state", &ask.state),
        ("nonce", &ask.nonce),
        ("code_challenge", &ask.code_challenge),
        ("code_challenge_method", "S256"),
        ("prompt", "login"),
        ("max_age", "0"),
        ("login_hint", "ann@example.com"),
        ("tenant", "1"),
    ] {
        assert_eq!(query.remove(name).as_deref(), Some(value), "`{name}`");
    }
    assert!(query.is_empty(), "{query:?}");
}

#[tokio::test]
async fn a_login_becomes_an_assertion() {
    let setup = setup(|settings| settings.kept_claims = vec!["department".into(), "missing".into()]).await;
    let claims = json!({ "department": "R&D", "device_id": "d1", "tenant": 42, "phone_number": "+1 206", "name": "Ann",
        "preferred_username": "ann.lee", "session_expiry": NOW + 1000 });
    let assertion = setup.login(claims).await.expect("an assertion");
    let identity = Identity {
        issuer: setup.op.issuer(),
        subject: "ann".into(),
        sid: Some("s1".into()),
        email: Email::parse("ann@example.com"),
        phone: Some("+1 206".into()),
        preferred_username: Some("ann.lee".into()),
        groups: vec!["staff".into(), "wiki".into()],
        tenant: Some("42".into()),
        device: Some("d1".into()),
        asserted_at: Timestamp::from_secs(NOW),
        auth_time: Some(Timestamp::from_secs(NOW - 5)),
        session_expiry: Some(Timestamp::from_secs(NOW + 1000)),
    };
    assert_eq!(assertion.identity, identity);
    assert_eq!(assertion.kept_claims, BTreeMap::from([("department".to_owned(), vec!["R&D".to_owned()])]));
    assert_eq!(assertion.display_name.as_deref(), Some("Ann"));
    assert_eq!(assertion.id_token.expose().split('.').count(), 3);
    let printed = format!("{assertion:?}");
    for personal in ["ann", "example.com", assertion.id_token.expose()] {
        assert!(!printed.contains(personal), "`{personal}` in {printed}");
    }
}

#[tokio::test]
async fn the_code_is_exchanged_with_its_verifier_and_our_secret() {
    let basic = "Basic cG9ydGN1bGxpczpzM2NyZXQlMkYlMkIrJTI2"; // RFC 6749 §2.3.1: each half form-encoded
    for (methods, public, expected_header, expected_form) in [
        (Value::Null, false, Some(basic), None),
        (json!(["client_secret_basic", "client_secret_post"]), false, Some(basic), None),
        (json!(["client_secret_post"]), false, None, Some("s3cret/+ &")),
        (json!(["client_secret_post"]), true, None, None),
        (json!(["none"]), true, None, None),
    ] {
        let setup = setup(|settings| {
            if public {
                settings.client_secret = None;
            }
        })
        .await;
        let metadata = with(setup.op.metadata(), &json!({ "token_endpoint_auth_methods_supported": methods }));
        setup.op.script().metadata = Does::Say(metadata);
        setup.login(json!({})).await.expect("an assertion");
        let (headers, form) = setup.op.script().token_request.take().expect("a request");
        let header = headers.get("authorization").map(|value| value.to_str().expect("text"));
        assert_eq!(header, expected_header, "{methods}");
        assert_eq!(form.get("client_secret").map(String::as_str), expected_form, "{methods}");
        assert_eq!(form.contains_key("client_id"), expected_header.is_none(), "{methods}");
        let verifier = setup.answer("code=c").1.flow().verifier();
        for (name, value) in [
            ("grant_type", "authorization_code"),
            ("code", "c0de"),
            ("code_verifier", verifier.expose()),
            ("redirect_uri", redirect_uri().as_str()),
        ] {
            assert_eq!(form.get(name).map(String::as_str), Some(value), "{methods}: `{name}`");
        }
    }
}

#[tokio::test]
async fn a_client_that_the_idp_could_not_know_does_not_send_its_secret() {
    let setup = setup(|_| {}).await;
    let metadata = json!({ "token_endpoint_auth_methods_supported": ["private_key_jwt"] });
    setup.op.script().metadata = Does::Say(with(setup.op.metadata(), &metadata));
    assert!(matches!(setup.login(json!({})).await, Err(Error::NoClientAuthentication)));
    assert!(setup.op.script().token_request.is_none());
}

#[tokio::test]
async fn an_id_token_of_anything_but_this_login_is_refused() {
    let setup = setup(|_| {}).await;
    let ours = "portcullis";
    for (typ, changes, expected) in [
        (Some("JWT"), json!({ "nonce": "another" }), Reject::Claim("nonce")),
        (Some("JWT"), json!({ "nonce": 7 }), Reject::Claim("nonce")),
        (Some("JWT"), json!({ "nonce": null }), Reject::Missing("nonce")),
        (Some("JWT"), json!({ "aud": "other" }), Reject::Audience),
        (Some("JWT"), json!({ "aud": [ours, "other"] }), Reject::Audience),
        (Some("JWT"), json!({ "aud": null }), Reject::Audience),
        (Some("JWT"), json!({ "azp": "other" }), Reject::Claim("azp")),
        (Some("JWT"), json!({ "iss": "https://evil.example.com" }), Reject::Issuer),
        (Some("JWT"), json!({ "exp": null }), Reject::Missing("exp")),
        (Some("JWT"), json!({ "exp": NOW - 61 }), Reject::Expired),
        (Some("JWT"), json!({ "iat": NOW + 61 }), Reject::NotYet),
        (Some("JWT"), json!({ "iat": null }), Reject::Missing("iat")),
        (Some("JWT"), json!({ "sub": null }), Reject::Missing("sub")),
        (Some("JWT"), json!({ "sub": "" }), Reject::Claim("sub")),
        (Some("JWT"), json!({ "sub": "x".repeat(256) }), Reject::Claim("sub")),
        (Some("JWT"), json!({ "sid": 7 }), Reject::Claim("sid")),
        (Some("JWT"), json!({ "events": {} }), Reject::Forbidden("events")),
        (Some("JWT"), json!({ "auth_time": "yesterday" }), Reject::Claim("auth_time")),
        (Some("JWT"), json!({ "session_expiry": NOW }), Reject::Claim("session_expiry")),
        (Some("JWT"), json!({ "session_expiry": NOW - 1 }), Reject::Claim("session_expiry")),
        (Some("JWT"), json!({ "session_expiry": -1 }), Reject::Claim("session_expiry")),
        (Some("JWT"), json!({ "session_expiry": 1e10 }), Reject::Claim("session_expiry")),
        (Some("JWT"), json!({ "session_expiry": "1900000000" }), Reject::Claim("session_expiry")),
        (Some("secevent+jwt"), json!({}), Reject::Type),
        (Some("logout+jwt"), json!({}), Reject::Type),
        (Some("at+jwt"), json!({}), Reject::Type),
    ] {
        let result = setup.login_typed(typ, changes.clone()).await;
        assert_eq!(reject(&result), Some(expected), "{typ:?} {changes}: {result:?}");
    }
    for (typ, changes) in
        [(None, json!({})), (Some("jwt"), json!({ "aud": [ours] })), (Some("JWT"), json!({ "azp": ours }))]
    {
        assert!(setup.login_typed(typ, changes.clone()).await.is_ok(), "{typ:?} {changes}");
    }
}

#[tokio::test]
async fn a_token_of_another_key_is_refused() {
    let setup = setup(|_| {}).await;
    let (ask, answer) = setup.answer("code=c");
    let forger = Signer::generate("k1").expect("signer");
    let token = forger.sign(Some("JWT"), &setup.claims(&ask.nonce)).expect("token");
    setup.op.script().token = Does::Say(json!({ "access_token": "at", "token_type": "Bearer", "id_token": token }));
    assert_eq!(reject(&setup.idp.redeem(answer, &redirect_uri()).await), Some(Reject::Signature));
}

#[tokio::test]
async fn moments_are_never_later_than_now_and_an_absent_auth_time_proves_nothing() {
    for (changes, prove_by, asserted_at, auth_time) in [
        (json!({}), ProveBy::AuthTime, NOW, Some(NOW - 5)),
        (json!({ "auth_time": null }), ProveBy::AuthTime, NOW, None),
        (json!({ "auth_time": null, "iat": NOW - 3 }), ProveBy::IssuedAt, NOW - 3, Some(NOW - 3)),
        (json!({ "auth_time": NOW - 50 }), ProveBy::IssuedAt, NOW, Some(NOW)),
        (json!({ "iat": NOW + 30, "auth_time": NOW + 20 }), ProveBy::AuthTime, NOW, Some(NOW)),
        (json!({ "auth_time": 9_000_000_000_u64 }), ProveBy::AuthTime, NOW, Some(NOW)),
    ] {
        let setup = setup(|settings| settings.prove_by = prove_by).await;
        let identity = setup.login(changes.clone()).await.expect("an assertion").identity;
        let found = (identity.asserted_at.secs(), identity.auth_time.map(Timestamp::secs));
        assert_eq!(found, (asserted_at, auth_time), "{changes} {prove_by:?}");
    }
}

#[tokio::test]
async fn an_email_counts_unless_it_is_said_to_be_unverified() {
    let setup = setup(|_| {}).await;
    for (changes, expected) in [
        (json!({}), Some("ann@example.com")),
        (json!({ "email_verified": true }), Some("ann@example.com")),
        (json!({ "email_verified": "true" }), Some("ann@example.com")),
        (json!({ "email_verified": false }), None),
        (json!({ "email_verified": "false" }), None),
        (json!({ "email": "a@evil.com@example.com" }), None),
        (json!({ "email": ["ann@example.com"] }), None),
    ] {
        let identity = setup.login(changes.clone()).await.expect("an assertion").identity;
        assert_eq!(identity.email.as_ref().map(Email::as_str), expected, "{changes}");
    }
}

#[tokio::test]
async fn claims_are_found_by_their_whole_name_or_by_steps() {
    let setup = setup(|settings| {
        settings.claims.groups = "realm_access.roles".into();
        settings.claims.device = "https://example.com/device".into();
        settings.kept_claims = ["a.b", "flag", "number", "object", "mixed", "nothing"].map(str::to_owned).to_vec();
    })
    .await;
    let claims = json!({
        "realm_access": { "roles": "admin" }, "https://example.com/device": "d1", "a": { "b": ["x", "y"] },
        "flag": true, "number": 7, "object": { "c": 1 }, "mixed": ["x", 1, { "c": 1 }, null], "nothing": null,
    });
    let assertion = setup.login(claims).await.expect("an assertion");
    assert_eq!(assertion.identity.groups, ["admin"]);
    assert_eq!(assertion.identity.device.as_deref(), Some("d1"));
    let kept: Vec<_> =
        assertion.kept_claims.iter().map(|(name, values)| format!("{name}={}", values.join(","))).collect();
    assert_eq!(kept, ["a.b=x,y", "flag=true", "mixed=x,1", "number=7"]);
}

#[tokio::test]
async fn what_the_token_lacks_the_userinfo_endpoint_may_add() {
    let setup = setup(|_| {}).await;
    let metadata = json!({ "userinfo_endpoint": setup.op.at("userinfo") });
    setup.op.script().metadata = Does::Say(with(setup.op.metadata(), &metadata));
    let short = json!({ "email": null, "groups": null });

    let said = json!({ "sub": "ann", "email": "ann@corp.com", "groups": "staff", "name": "Ann", "sid": "evil" });
    setup.op.script().userinfo = Does::Say(said.clone());
    let identity = setup.login(short.clone()).await.expect("an assertion").identity;
    assert_eq!(identity.email.as_ref().map(Email::as_str), Some("ann@corp.com"));
    assert_eq!((identity.groups, identity.sid.as_deref()), (vec!["staff".to_owned()], Some("s1")));
    assert_eq!(setup.op.script().userinfo_authorization.take().as_deref(), Some("Bearer at"));

    setup.op.script().userinfo = Does::Say(with(said.clone(), &json!({ "email_verified": false })));
    assert_eq!(setup.login(short.clone()).await.expect("an assertion").identity.email, None);

    for other in [json!({ "sub": "bob" }), json!({ "sub": null })] {
        setup.op.script().userinfo = Does::Say(with(said.clone(), &other));
        assert!(matches!(setup.login(short.clone()).await, Err(Error::OtherSubject)), "{other}");
    }
    for (does, transient) in
        [(Does::Fail(503, json!({})), true), (Does::Fail(401, json!({})), false), (Does::Page, false)]
    {
        setup.op.script().userinfo = does;
        let error = setup.login(short.clone()).await.expect_err("no userinfo");
        assert_eq!(error.is_transient(), transient, "{error:?}");
    }

    // Nothing is missing: nobody is asked.
    setup.op.script().userinfo_authorization = None;
    setup.login(json!({})).await.expect("an assertion");
    assert!(setup.op.script().userinfo_authorization.is_none());
}

#[tokio::test]
async fn metadata_that_cannot_be_believed_or_had_are_told_apart() {
    for (does, transient, text) in [
        (Does::Say(json!({ "issuer": "https://evil.example.com" })), false, "the IdP's metadata name another issuer"),
        (Does::Say(json!({})), false, "the answer of the IdP's metadata cannot be used"),
        (Does::Page, false, "the answer of the IdP's metadata cannot be used"),
        (Does::Fail(404, json!({})), false, "the answer of the IdP's metadata cannot be used"),
        (Does::Fail(500, json!({})), true, "the IdP's metadata cannot be had at the moment"),
        (Does::Fail(429, json!({})), true, "the IdP's metadata cannot be had at the moment"),
    ] {
        let setup = setup(|_| {}).await;
        setup.op.script().metadata = does;
        let error = setup.idp.probe().await.expect_err(text);
        assert_eq!((error.is_transient(), error.to_string().as_str()), (transient, text));
    }
}

#[tokio::test]
async fn an_issuer_differs_by_a_single_slash() {
    let setup = setup(|_| {}).await;
    let other = format!("{}/", setup.op.issuer());
    setup.op.script().metadata = Does::Say(with(setup.op.metadata(), &json!({ "issuer": other })));
    assert!(matches!(setup.idp.probe().await, Err(Error::WrongIssuer)));
}

#[tokio::test]
async fn endpoints_must_be_ones_that_may_be_called() {
    for (name, url, expected) in [
        ("token_endpoint", "http://idp.example.com/token", false),
        ("jwks_uri", "https://169.254.169.254/keys", false),
        ("jwks_uri", "/keys", false),
        ("end_session_endpoint", "javascript:alert(1)", false),
        ("authorization_endpoint", "http://evil.example.com/", false),
        ("userinfo_endpoint", "https://other.example.com/userinfo", true),
    ] {
        let setup = setup(|_| {}).await;
        setup.op.script().metadata = Does::Say(with(setup.op.metadata(), &json!({ name: url })));
        assert_eq!(setup.idp.probe().await.is_ok(), expected, "`{name}` at `{url}`");
    }
    // An issuer from elsewhere must not make us call ourselves; this one is only configured, its metadata are here.
    let op = Op::start().await;
    let elsewhere = Issuer::parse("https://idp.example.com").expect("issuer");
    let settings = Settings { issuer: elsewhere.clone(), metadata_url: Some(op.at("elsewhere")), ..op.settings() };
    let metadata = with(op.metadata(), &json!({ "issuer": elsewhere.as_str() }));
    op.script().metadata = Does::Say(metadata);
    let idp = Idp::new(settings, client(), Clock::manual(Timestamp::from_secs(NOW)));
    assert!(matches!(idp.probe().await, Err(Error::BadEndpoint)));
}

#[tokio::test]
async fn metadata_are_fetched_once_a_day_and_survive_an_outage() {
    let setup = setup(|_| {}).await;
    assert_eq!(setup.op.metadata_asked.load(Ordering::SeqCst), 0, "a start needs no IdP");
    for _ in 0..5 {
        assert!(setup.idp.probe().await.is_ok());
    }
    assert_eq!(setup.op.metadata_asked.load(Ordering::SeqCst), 1);
    setup.op.script().metadata = Does::Fail(500, json!({}));
    setup.clock.advance(Duration::from_secs(86_400));
    for _ in 0..5 {
        assert!(setup.idp.probe().await.is_ok());
    }
    assert_eq!(setup.op.metadata_asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_idp_that_was_down_at_first_is_tried_again() {
    let setup = setup(|_| {}).await;
    setup.op.script().metadata = Does::Fail(500, json!({}));
    for _ in 0..5 {
        assert!(setup.idp.probe().await.expect_err("down").is_transient());
    }
    assert_eq!(setup.op.metadata_asked.load(Ordering::SeqCst), 1, "not for every caller");
    setup.op.script().metadata = Does::Say(setup.op.metadata());
    setup.clock.advance(Duration::from_secs(2));
    assert!(setup.idp.probe().await.is_ok());
}

#[tokio::test]
async fn a_slow_idp_is_given_up() {
    let setup = setup(|_| {}).await;
    let timeout = Duration::from_millis(100);
    let hasty = Client::for_this_machine(&http::Settings { timeout, ..http::Settings::default() }).expect("client");
    let idp = Idp::new(setup.op.settings(), hasty, setup.clock.clone());
    assert!(idp.probe().await.is_ok());
    // The script's token endpoint hangs until it is told what to say.
    let error = idp.redeem(setup.answer("code=c").1, &redirect_uri()).await.expect_err("slow");
    assert!(
        matches!(&error, Error::Unreachable { part: Part::Token, cause: Some(cause), .. }
        if matches!(**cause, http::Error::Deadline)),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_the_token_endpoint_refuses_has_a_reason_and_shows_no_code() {
    for (does, transient, text) in [
        (
            Does::Fail(400, json!({ "error": "invalid_grant", "error_description": "precious" })),
            false,
            "the IdP refused the code",
        ),
        (Does::Fail(401, json!({ "error": "invalid_client" })), false, "the IdP refused this client"),
        (Does::Fail(400, json!({ "error": "precious" })), false, "the IdP refused this client"),
        (Does::Fail(400, json!("precious")), false, "the answer of the IdP's token endpoint cannot be used"),
        (
            Does::Fail(502, json!({ "error": "invalid_grant" })),
            true,
            "the IdP's token endpoint cannot be had at the moment",
        ),
        (Does::Page, false, "the answer of the IdP's token endpoint cannot be used"),
        (
            Does::Say(json!({ "access_token": "precious", "token_type": "Bearer" })),
            false,
            "the answer of the IdP's token endpoint cannot be used",
        ),
        (
            Does::Say(json!({ "access_token": "a", "token_type": "Bearer", "id_token": "precious" })),
            false,
            "the ID token is refused: the token is not a well-formed signed JWT",
        ),
    ] {
        let setup = setup(|_| {}).await;
        setup.op.script().token = does;
        let error = setup.idp.redeem(setup.answer("code=precious").1, &redirect_uri()).await.expect_err(text);
        assert_eq!((error.is_transient(), error.to_string().as_str()), (transient, text));
        assert!(!format!("{error:?}").contains("precious"), "{error:?}");
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_not_a_bad_token() {
    let setup = setup(|_| {}).await;
    setup.op.script().keys = Does::Fail(500, json!({}));
    let error = setup.login(json!({})).await.expect_err("no keys");
    assert!(matches!(error, Error::Unreachable { part: Part::Keys, .. }) && error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn no_code_is_exchanged_for_an_answer_that_is_not_believed() {
    let setup = setup(|_| {}).await;
    let metadata = json!({ "authorization_response_iss_parameter_supported": true });
    setup.op.script().metadata = Does::Say(with(setup.op.metadata(), &metadata));
    for (query, expected) in [
        ("code=c", Denied::IssuerMissing),
        ("code=c&iss=https://evil.example.com", Denied::OtherIssuer),
        ("code=c&iss=", Denied::OtherIssuer),
    ] {
        let error = setup.idp.redeem(setup.answer(query).1, &redirect_uri()).await.expect_err(query);
        assert!(matches!(error, Error::Denied(denied) if denied == expected), "`{query}`: {error:?}");
    }
    let query = format!("error=access_denied&iss={}", setup.op.issuer());
    let error = setup.idp.redeem(setup.answer(&query).1, &redirect_uri()).await.expect_err(&query);
    assert!(matches!(error, Error::Denied(Denied::Refused(Refusal::AccessDenied))), "{error:?}");
    let other = Idp::new(Settings { name: "other".into(), ..setup.op.settings() }, client(), setup.clock.clone());
    let error = other.redeem(setup.answer("code=c").1, &redirect_uri()).await.expect_err("not ours");
    assert!(matches!(error, Error::NotOurs), "{error:?}");
    assert!(setup.op.script().token_request.is_none());
}

#[tokio::test]
async fn a_sign_out_goes_on_at_the_idp_if_it_has_a_place_for_it() {
    let setup = setup(|_| {}).await;
    let back = Url::parse("https://wiki.example.com/").expect("url");
    let hint = Secret::new("a.b.c".to_owned());
    let url = setup.idp.sign_out_url(Some(&hint), &back, Some("s1")).await.expect("a place");
    let expected = "logout?id_token_hint=a.b.c&client_id=portcullis&post_logout_redirect_uri=https%3A%2F%2Fwiki.example.com%2F&state=s1";
    assert_eq!(url, setup.op.at(expected));
    let without = self::setup(|_| {}).await;
    without.op.script().metadata = Does::Say(with(without.op.metadata(), &json!({ "end_session_endpoint": null })));
    assert_eq!(without.idp.sign_out_url(None, &back, None).await, None);
}

#[tokio::test]
async fn a_logout_token_says_whom_it_signs_out_and_an_id_token_does_not() {
    let setup = setup(|_| {}).await;
    let claims = json!({ "iss": setup.op.issuer().as_str(), "aud": "portcullis", "iat": NOW, "exp": NOW + 120, "jti": "j1",
        "sid": "s1", "events": { logout::BACKCHANNEL_LOGOUT: {} } });
    let signed = |typ, changes: Value| setup.op.signer.sign(Some(typ), &with(claims.clone(), &changes)).expect("token");
    let token = setup.idp.verify_logout_token(&signed("logout+jwt", json!({}))).await.expect("a logout token");
    assert_eq!(token.whose, logout::Whose::Session("s1".into()));
    for (token, expected) in [
        (signed("logout+jwt", json!({ "aud": "other" })), Reject::Audience),
        (signed("logout+jwt", json!({ "iss": "https://evil.example.com" })), Reject::Issuer),
        (signed("logout+jwt", json!({ "nonce": "n" })), Reject::Forbidden("nonce")),
        (setup.op.signer.sign(None, &setup.claims("n")).expect("token"), Reject::Forbidden("nonce")),
    ] {
        assert_eq!(setup.idp.verify_logout_token(&token).await, Err(Failure::Rejected(expected)));
    }
    assert_eq!(setup.idp.key_fetches(), 1);
}

#[tokio::test]
async fn a_login_can_be_part_of_any_task() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let setup = setup(|_| {}).await;
    let (ask, answer) = setup.answer("error=access_denied");
    assert!(is_send(setup.idp.authorization_url(&ask, &redirect_uri())).await.is_ok());
    assert!(is_send(setup.idp.redeem(answer, &redirect_uri())).await.is_err());
}

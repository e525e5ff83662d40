//! The toys over real HTTP: what a client of the IdP, a receiver of its events and a browser would see.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::routing::post;
use reqwest::header::{AUTHORIZATION, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::idp::{Fault, LogoutOf};
use super::transmitter::{Order, SESSION_REVOKED, Status, VERIFICATION};
use super::*;
use crate::jose::{self, Alg, Audience, Exp, Expectation, Keys};
use crate::time::Timestamp;

const VERIFIER: &str = "a-verifier-that-is-long-enough-for-the-rules-of-pkce";
/// The S256 challenge of [`VERIFIER`], made by another program.
const CHALLENGE: &str = "dnaPHvIvW7lKCBMM3wFRkq2HMf5rO3N_xQjRi2v3JX8";

/// What the fake gateway received: path, `Authorization`, body.
type Received = Arc<Mutex<Vec<(String, Option<String>, String)>>>;

/// The demo, a gateway that only writes down what it is sent, and a browser that follows nothing.
struct Scene {
    demo: Demo,
    clock: Clock,
    gateway: String,
    received: Received,
    answer: Arc<Mutex<StatusCode>>,
    http: reqwest::Client,
    cookie: Mutex<Option<String>>,
    _gateway: Server,
}

impl Scene {
    async fn new() -> Self {
        let received = Received::default();
        let answer = Arc::new(Mutex::new(StatusCode::ACCEPTED));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let gateway = format!("http://{}", listener.local_addr().expect("address"));
        let (log, status) = (Arc::clone(&received), Arc::clone(&answer));
        let record = post(async move |request: axum::extract::Request| {
            let path = request.uri().path().to_owned();
            let authorization = request.headers().get(AUTHORIZATION).map(|v| v.to_str().expect("text").to_owned());
            let body = axum::body::to_bytes(request.into_body(), 1 << 16).await.expect("body");
            log.lock().expect("lock").push((path, authorization, String::from_utf8(body.to_vec()).expect("text")));
            *status.lock().expect("lock")
        });
        let fake = Server::start(listener, Router::new().route("/{*path}", record));
        let any = "127.0.0.1:0".parse().expect("address");
        let settings = Settings {
            idp: any,
            app: any,
            gateway: Url::parse(&gateway).expect("url"),
            push_path: "/push".into(),
            backchannel_path: "/backchannel".into(),
            audience: "gateway".into(),
        };
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let demo = start(&settings, &clock).await.expect("the demo starts");
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("client");
        Self { demo, clock, gateway, received, answer, http, cookie: Mutex::default(), _gateway: fake }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.demo.issuer)
    }

    fn callback(&self) -> String {
        format!("{}/oauth2/callback", self.gateway)
    }

    /// An authorization request in order, with these parameters added or replaced.
    fn authorize(&self, extra: &[(&str, &str)]) -> String {
        let callback = self.callback();
        let mut all: Vec<(&str, &str)> = vec![
            ("response_type", "code"),
            ("client_id", "portcullis"),
            ("redirect_uri", &callback),
            ("scope", "openid email"),
            ("state", "the-state"),
            ("nonce", "the-nonce"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in extra {
            all.retain(|(known, _)| known != name);
            all.push((name, value));
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
        self.at(&format!("/authorize?{query}"))
    }

    /// Sends a request as the browser: with its cookie, keeping a new one.
    async fn browse(&self, mut request: RequestBuilder) -> Response {
        if let Some(cookie) = &*self.cookie.lock().expect("lock") {
            request = request.header(COOKIE, cookie);
        }
        let response = request.send().await.expect("an answer");
        if let Some(field) = response.headers().get(SET_COOKIE) {
            let pair = field.to_str().expect("text").split(';').next().expect("pair").to_owned();
            *self.cookie.lock().expect("lock") = Some(pair);
        }
        response
    }

    async fn ask(&self, extra: &[(&str, &str)]) -> Response {
        self.browse(self.http.get(self.authorize(extra))).await
    }

    async fn sign_in(&self, user: &str, extra: &[(&str, &str)]) -> Response {
        let form = format!("user={user}&password={}", idp::PASSWORD);
        self.browse(self.http.post(self.authorize(extra)).body(form)).await
    }

    async fn redeem(&self, code: &str, extra: &[(&str, &str)]) -> Response {
        let callback = self.callback();
        let mut all = HashMap::from([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback.as_str()),
            ("client_id", self.demo.client_id.as_str()),
            ("client_secret", self.demo.client_secret.expose()),
            ("code_verifier", VERIFIER),
        ]);
        all.extend(extra.iter().copied());
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
        self.http.post(self.at("/token")).body(body).send().await.expect("an answer")
    }

    /// The claims of the ID token that the code in `answer` is good for.
    async fn id_token(&self, answer: &Response) -> Value {
        let tokens = json(self.redeem(&parameter(answer, "code"), &[]).await).await;
        self.verified(None, tokens["id_token"].as_str().expect("an ID token"), "portcullis", Exp::Required).await
    }

    /// The claims of a token that verifies as one of that type.
    async fn verified(&self, typ: Option<&str>, token: &str, audience: &str, exp: Exp) -> Value {
        let jwks = self.http.get(self.at("/jwks")).send().await.expect("keys").bytes().await.expect("keys");
        let types: Vec<&str> = typ.into_iter().collect();
        let expectation = Expectation {
            types: &types,
            type_required: typ.is_some(),
            algs: &[Alg::Es256],
            issuer: &self.demo.issuer,
            audience: Audience::Single(audience),
            skew: Duration::ZERO,
            exp,
        };
        let keys = Keys::parse(&jwks).expect("usable keys");
        jose::verify::<Value>(token, &keys, &expectation, self.clock.now()).expect("a token that verifies").into_inner()
    }

    fn received(&self) -> Vec<(String, Option<String>, String)> {
        self.received.lock().expect("lock").clone()
    }
}

async fn json(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON")
}

/// A parameter of the address that `answer` leads to.
fn parameter(answer: &Response, name: &str) -> String {
    let location = answer.headers().get(LOCATION).expect("a redirect").to_str().expect("text");
    let url = Url::parse(location).expect("an address");
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[tokio::test]
async fn a_code_becomes_an_id_token_once() {
    let scene = Scene::new().await;
    let answer = scene.sign_in("ann", &[]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(parameter(&answer, "state"), "the-state");
    assert_eq!(parameter(&answer, "iss"), scene.demo.issuer.as_str());

    let code = parameter(&answer, "code");
    let tokens = json(scene.redeem(&code, &[]).await).await;
    let claims = scene.verified(None, tokens["id_token"].as_str().expect("text"), "portcullis", Exp::Required).await;
    for (name, expected) in [
        ("sub", json!("00u-ann")),
        ("nonce", json!("the-nonce")),
        ("email", json!("ann@example.com")),
        ("email_verified", json!(true)),
        ("groups", json!(["staff", "payroll"])),
        ("preferred_username", json!("ann")),
        ("auth_time", json!(1_800_000_000)),
        ("sid", json!(scene.demo.idp.sessions()[0].sid)),
    ] {
        assert_eq!(claims[name], expected, "`{name}`");
    }
    assert_eq!(claims.get("session_expiry"), None);

    let userinfo =
        |token: String| scene.http.get(scene.at("/userinfo")).header(AUTHORIZATION, format!("Bearer {token}"));
    let access_token = tokens["access_token"].as_str().expect("text").to_owned();
    let about = json(userinfo(access_token.clone()).send().await.expect("an answer")).await;
    assert_eq!((&about["sub"], about.get("nonce")), (&json!("00u-ann"), None));

    let again = scene.redeem(&code, &[]).await;
    assert_eq!((again.status(), json(again).await), (StatusCode::BAD_REQUEST, json!({ "error": "invalid_grant" })));
    let taken_back = userinfo(access_token).send().await.expect("an answer");
    assert_eq!(taken_back.status(), StatusCode::UNAUTHORIZED, "a code used twice ends what it gave");
}

#[tokio::test]
async fn an_exchange_that_does_not_fit_its_request_is_refused() {
    let scene = Scene::new().await;
    for (extra, status, error) in [
        (("code_verifier", "another"), 400, "invalid_grant"),
        (("redirect_uri", "http://127.0.0.1/other"), 400, "invalid_grant"),
        (("client_secret", "guessed"), 401, "invalid_client"),
        (("client_id", "somebody"), 401, "invalid_client"),
        (("code", "made-up"), 400, "invalid_grant"),
        (("grant_type", "password"), 400, "unsupported_grant_type"),
    ] {
        let code = parameter(&scene.sign_in("ann", &[]).await, "code");
        let answer = scene.redeem(&code, &[extra]).await;
        assert_eq!((answer.status().as_u16(), json(answer).await), (status, json!({ "error": error })), "{extra:?}");
    }
    let code = parameter(&scene.sign_in("ann", &[]).await, "code");
    scene.clock.advance(Duration::from_secs(61));
    assert_eq!(scene.redeem(&code, &[]).await.status(), StatusCode::BAD_REQUEST, "a code is good for a minute");
}

#[tokio::test]
async fn a_client_can_authenticate_by_http_basic() {
    let scene = Scene::new().await;
    let code = parameter(&scene.sign_in("ann", &[]).await, "code");
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &scene.callback()),
        ("code_verifier", VERIFIER),
    ];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let request = scene.http.post(scene.at("/token")).basic_auth("portcullis", Some(scene.demo.client_secret.expose()));
    assert_eq!(request.body(body).send().await.expect("an answer").status(), StatusCode::OK);
}

#[tokio::test]
async fn what_a_client_asks_wrongly_is_told_to_the_client_or_to_nobody() {
    let scene = Scene::new().await;
    for (extra, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "email"), "invalid_scope"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("prompt", "none login"), "invalid_request"),
        (("max_age", "soon"), "invalid_request"),
        (("prompt", "none"), "login_required"),
    ] {
        let answer = scene.ask(&[extra]).await;
        let told = (parameter(&answer, "error"), parameter(&answer, "state"), parameter(&answer, "iss"));
        assert_eq!(told, (error.to_owned(), "the-state".to_owned(), scene.demo.issuer.to_string()), "{extra:?}");
    }
    for extra in [("client_id", "somebody"), ("redirect_uri", "http://evil.example.com/")] {
        let answer = scene.ask(&[extra]).await;
        assert_eq!((answer.status(), answer.headers().get(LOCATION)), (StatusCode::BAD_REQUEST, None), "{extra:?}");
    }
    let twice = scene.browse(scene.http.get(scene.authorize(&[]) + "&state=x")).await;
    assert_eq!(twice.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn after_a_new_login_the_sid_stays_and_auth_time_moves() {
    let scene = Scene::new().await;
    let first = scene.sign_in("ann", &[]).await;
    let first = scene.id_token(&first).await;
    scene.clock.advance(Duration::from_secs(100));
    let silent = scene.ask(&[("prompt", "none")]).await;
    assert_eq!(scene.id_token(&silent).await["auth_time"], first["auth_time"], "silent SSO proves no login");

    for extra in [("prompt", "login"), ("max_age", "0"), ("max_age", "99")] {
        assert_eq!(scene.ask(&[extra]).await.status(), StatusCode::OK, "{extra:?} shows the sign-in page");
    }
    assert_eq!(scene.ask(&[("max_age", "100")]).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(parameter(&scene.ask(&[("prompt", "none"), ("max_age", "0")]).await, "error"), "login_required");

    let second = scene.sign_in("ann", &[("prompt", "login")]).await;
    let second = scene.id_token(&second).await;
    assert_eq!(second["sid"], first["sid"]);
    assert_eq!(second["auth_time"], json!(1_800_000_100));

    let other = scene.sign_in("ben", &[("prompt", "login")]).await;
    assert_ne!(scene.id_token(&other).await["sid"], first["sid"], "somebody else in this browser is another session");
    assert_eq!(scene.demo.idp.sessions().len(), 1);
}

#[tokio::test]
async fn the_knobs_make_it_misbehave_as_real_ones_do() {
    let scene = Scene::new().await;
    scene.sign_in("ann", &[]).await;
    scene.clock.advance(Duration::from_secs(100));
    scene.demo.idp.tune(|knobs| knobs.frozen_auth_time = true);
    let frozen = scene.ask(&[("prompt", "login"), ("max_age", "0")]).await;
    assert_eq!(scene.id_token(&frozen).await["auth_time"], json!(1_800_000_000));

    scene.demo.idp.tune(|knobs| {
        knobs.omit_auth_time = true;
        knobs.session_expiry = Some(Duration::from_secs(3600));
        let claims = json!({ "email": null, "device_id": "d1" }).as_object().expect("an object").clone();
        knobs.extra_claims.insert("ann".into(), claims);
    });
    let claims = scene.id_token(&scene.ask(&[]).await).await;
    assert_eq!(claims.get("auth_time"), None);
    assert_eq!(claims.get("email"), None);
    assert_eq!(claims["device_id"], json!("d1"));
    assert_eq!(claims["session_expiry"], json!(1_800_003_600));

    let fault = Fault { status: Some(503), delay: None };
    scene.demo.idp.tune(|knobs| {
        knobs.faults.insert("/token".into(), fault);
    });
    let before = (scene.demo.idp.issued(), scene.demo.idp.requests("/token"));
    assert_eq!(scene.redeem("any", &[]).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((scene.demo.idp.issued(), scene.demo.idp.requests("/token")), (before.0, before.1 + 1));
}

#[tokio::test]
async fn a_held_request_waits_until_it_is_let_go() {
    let scene = Scene::new().await;
    let code = parameter(&scene.sign_in("ann", &[]).await, "code");
    let hold = scene.demo.idp.hold("/token");
    let mut exchange = Box::pin(scene.redeem(&code, &[]));
    tokio::select! {
        _ = &mut exchange => panic!("the exchange did not wait"),
        () = hold.arrived() => {}
    }
    drop(hold);
    assert_eq!(exchange.await.status(), StatusCode::OK);
}

#[tokio::test]
async fn tokens_of_a_retired_key_still_verify() {
    let scene = Scene::new().await;
    let answer = scene.sign_in("ann", &[]).await;
    let tokens = json(scene.redeem(&parameter(&answer, "code"), &[]).await).await;
    scene.demo.idp.rotate_keys();
    scene.verified(None, tokens["id_token"].as_str().expect("text"), "portcullis", Exp::Required).await;
    let answer = scene.ask(&[]).await;
    scene.id_token(&answer).await;
}

#[tokio::test]
async fn a_page_of_another_site_can_neither_sign_anybody_in_nor_revoke() {
    let scene = Scene::new().await;
    let form = format!("user=ann&password={}", idp::PASSWORD);
    for request in [
        scene.http.post(scene.authorize(&[])).body(form),
        scene.http.post(scene.at("/admin/revoke?user=ann")),
        scene
            .http
            .post(scene.at("/desk/revoke"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("user=ann"),
    ] {
        let rebound = request.try_clone().expect("clone").header("host", "evil.example.com");
        assert_eq!(rebound.send().await.expect("an answer").status(), StatusCode::FORBIDDEN);
        let foreign = request.header(ORIGIN, "http://evil.example.com");
        assert_eq!(foreign.send().await.expect("an answer").status(), StatusCode::FORBIDDEN);
    }
    assert!(scene.received().is_empty() && scene.demo.idp.sessions().is_empty());
}

#[tokio::test]
async fn signing_out_tells_every_client_of_the_session() {
    let scene = Scene::new().await;
    let answer = scene.sign_in("ann", &[]).await;
    let tokens = json(scene.redeem(&parameter(&answer, "code"), &[]).await).await;
    let sid = scene.demo.idp.sessions()[0].sid.clone();
    scene.clock.advance(Duration::from_secs(3600));
    let pairs = [
        ("id_token_hint", tokens["id_token"].as_str().expect("text")),
        ("post_logout_redirect_uri", &format!("{}/", scene.gateway)),
        ("state", "back"),
    ];
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let answer = scene.browse(scene.http.get(scene.at(&format!("/logout?{query}")))).await;
    assert_eq!(parameter(&answer, "state"), "back");
    assert!(scene.demo.idp.sessions().is_empty());

    let received = scene.received();
    let [(path, _, body)] = received.as_slice() else { panic!("expected one logout token, got {received:?}") };
    assert_eq!(path, "/backchannel");
    let token = body.strip_prefix("logout_token=").expect("the one parameter");
    let claims = scene.verified(Some("logout+jwt"), token, "portcullis", Exp::Required).await;
    assert_eq!((&claims["sid"], &claims["sub"], claims.get("nonce")), (&json!(sid), &json!("00u-ann"), None));
    assert_eq!(claims["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
}

#[tokio::test]
async fn without_a_hint_the_person_is_asked_before_signing_out() {
    let scene = Scene::new().await;
    scene.sign_in("ann", &[]).await;
    let foreign = format!("/logout?client_id=portcullis&post_logout_redirect_uri={}", "http%3A%2F%2Fevil.example.com");
    assert_eq!(scene.browse(scene.http.get(scene.at(&foreign))).await.status(), StatusCode::OK);
    assert_eq!(scene.demo.idp.sessions().len(), 1, "asking ends nothing");
    let answer = scene.browse(scene.http.post(scene.at(&foreign)).body("confirm=yes")).await;
    assert_eq!(
        (answer.status(), answer.headers().get(LOCATION)),
        (StatusCode::OK, None),
        "an unknown address is not gone to"
    );
    assert!(scene.demo.idp.sessions().is_empty());
}

#[tokio::test]
async fn a_logout_token_can_be_about_a_user_or_a_session() {
    let scene = Scene::new().await;
    let token = scene.demo.idp.logout_token(&LogoutOf::User("ann"), "portcullis").expect("a token");
    let claims = scene.verified(Some("logout+jwt"), &token, "portcullis", Exp::Required).await;
    assert_eq!((&claims["sub"], claims.get("sid")), (&json!("00u-ann"), None));
    let token = scene.demo.idp.logout_token(&LogoutOf::Session("s1", "ann"), "portcullis").expect("a token");
    assert_eq!(scene.verified(Some("logout+jwt"), &token, "portcullis", Exp::Required).await["sid"], json!("s1"));
    assert_eq!(scene.demo.idp.logout_token(&LogoutOf::User("nobody"), "portcullis"), None);
}

#[tokio::test]
async fn the_printed_command_pushes_a_set_that_verifies() {
    let scene = Scene::new().await;
    scene.sign_in("ann", &[]).await;
    let command = scene.demo.revoke_command("ann");
    let url = command.strip_prefix("curl -X POST '").and_then(|rest| rest.strip_suffix('\'')).expect("a curl command");
    let report = scene.http.post(url).send().await.expect("an answer");
    assert_eq!(report.status(), StatusCode::OK);
    let report = json(report).await;
    assert_eq!((&report["ended_here"], &report["delivery"]["status"]), (&json!(1), &json!(202)));
    assert!(scene.demo.idp.sessions().is_empty());

    let received = scene.received();
    let [(path, authorization, set)] = received.as_slice() else { panic!("expected one SET, got {received:?}") };
    assert_eq!(path, "/push");
    assert_eq!(authorization, &Some(format!("Bearer {}", scene.demo.push_token.expose())));
    let claims = scene.verified(Some("secevent+jwt"), set, "gateway", Exp::Forbidden).await;
    assert_eq!(claims["jti"], report["jti"]);
    assert_eq!(claims["sub_id"], json!({ "format": "iss_sub", "iss": scene.demo.issuer, "sub": "00u-ann" }));
    let event = &claims["events"][SESSION_REVOKED];
    assert_eq!((&event["event_timestamp"], &event["initiating_entity"]), (&json!(1_800_000_000), &json!("admin")));
    assert_eq!(claims.get("sub"), None);
}

#[tokio::test]
async fn one_session_is_revoked_by_a_complex_subject() {
    let scene = Scene::new().await;
    scene.sign_in("ann", &[]).await;
    let sid = scene.demo.idp.sessions()[0].sid.clone();
    let order = Order { user: "ann".into(), session: Some(sid.clone()), keep: true, ..Order::default() };
    let sent = scene.demo.transmitter.revoke(&order).await.expect("ann is known");
    assert_eq!((sent.ended_here, scene.demo.idp.sessions().len()), (0, 1), "`keep` leaves the IdP's session alone");
    let claims = scene.verified(Some("secevent+jwt"), &scene.received()[0].2, "gateway", Exp::Forbidden).await;
    let user = json!({ "format": "iss_sub", "iss": scene.demo.issuer, "sub": "00u-ann" });
    let session = json!({ "format": "opaque", "id": sid });
    assert_eq!(claims["sub_id"], json!({ "format": "complex", "user": user, "session": session }));
}

#[tokio::test]
async fn a_refused_push_is_reported_and_not_repeated() {
    let scene = Scene::new().await;
    *scene.answer.lock().expect("lock") = StatusCode::BAD_REQUEST;
    let report = scene.http.post(scene.at("/admin/revoke?user=ann")).send().await.expect("an answer");
    assert_eq!(report.status(), StatusCode::BAD_GATEWAY);
    let report = json(report).await;
    assert_eq!((&report["delivery"]["status"], &report["delivery"]["attempts"]), (&json!(400), &json!(1)));
    let unknown = scene.http.post(scene.at("/admin/revoke?user=nobody")).send().await.expect("an answer");
    assert_eq!((unknown.status(), scene.received().len()), (StatusCode::NOT_FOUND, 1));
}

#[tokio::test]
async fn a_push_is_repeated_while_the_receiver_cannot_take_it() {
    let scene = Scene::new().await;
    *scene.answer.lock().expect("lock") = StatusCode::SERVICE_UNAVAILABLE;
    let sent = scene.demo.transmitter.verify(None).await.delivery.expect("it was sent");
    assert_eq!((sent.status, sent.attempts, scene.received().len()), (Some(503), 3, 3));
    assert_eq!(scene.received()[0].2, scene.received()[2].2, "the same SET, so the receiver knows it again");
}

#[tokio::test]
async fn a_paused_stream_sends_nothing() {
    let scene = Scene::new().await;
    scene.demo.transmitter.set_status(Status::Paused);
    let order = Order { user: "ann".into(), ..Order::default() };
    let sent = scene.demo.transmitter.revoke(&order).await.expect("ann is known");
    assert!(sent.delivery.is_none() && scene.received().is_empty());
}

#[tokio::test]
async fn the_receiver_can_ask_for_a_verification_event() {
    let scene = Scene::new().await;
    let configuration =
        json(scene.http.get(scene.at("/.well-known/ssf-configuration")).send().await.expect("it")).await;
    assert_eq!(configuration["issuer"], json!(scene.demo.issuer));
    let call = |endpoint: &str, body: Value| {
        let url = configuration[endpoint].as_str().expect("an address");
        let token = format!("Bearer {}", scene.demo.management_token.expose());
        let request = scene.http.post(url).header("content-type", "application/json").body(body.to_string());
        (request.try_clone().expect("clone"), request.header(AUTHORIZATION, token))
    };
    let (anonymous, known) = call("verification_endpoint", json!({ "stream_id": "demo", "state": "s1" }));
    assert_eq!(anonymous.send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
    assert_eq!(known.send().await.expect("an answer").status(), StatusCode::NO_CONTENT);
    // The event comes on a connection of its own, whenever it comes.
    let arrival = async {
        loop {
            if let Some(first) = scene.received().into_iter().next() {
                return first;
            }
            tokio::task::yield_now().await;
        }
    };
    let (path, _, set) = tokio::time::timeout(PATIENCE, arrival).await.expect("the event comes");
    assert_eq!(path, "/push");
    let claims = scene.verified(Some("secevent+jwt"), &set, "gateway", Exp::Forbidden).await;
    assert_eq!(claims["sub_id"], json!({ "format": "opaque", "id": "demo" }));
    assert_eq!(claims["events"], json!({ VERIFICATION: { "state": "s1" } }));
}

#[tokio::test]
async fn a_stream_can_be_created_read_and_deleted() {
    let scene = Scene::new().await;
    let token = format!("Bearer {}", scene.demo.management_token.expose());
    let stream = scene.at("/ssf/stream");
    let wanted = json!({ "delivery": { "method": "urn:ietf:rfc:8935", "endpoint_url": format!("{}/other", scene.gateway),
        "authorization_header": "Bearer x" }, "events_requested": [SESSION_REVOKED] });
    let create = || {
        let request = scene.http.post(&stream).header(AUTHORIZATION, &token).header("content-type", "application/json");
        request.body(wanted.to_string()).send()
    };
    assert_eq!(create().await.expect("an answer").status(), StatusCode::CONFLICT, "the demo's stream stands ready");
    let deleted = scene.http.delete(&stream).header(AUTHORIZATION, &token).send().await.expect("an answer");
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let gone = scene.http.get(&stream).header(AUTHORIZATION, &token).send().await.expect("an answer");
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);

    let created = create().await.expect("an answer");
    assert_eq!(created.status(), StatusCode::CREATED);
    let created = json(created).await;
    let read = json(scene.http.get(&stream).header(AUTHORIZATION, &token).send().await.expect("an answer")).await;
    assert_eq!(created, read);
    assert!(!read.to_string().contains("Bearer x"), "the secret is not shown");
    scene.demo.transmitter.verify(None).await;
    assert_eq!(scene.received()[0].0, "/other");
}

#[tokio::test]
async fn a_dropped_server_takes_nobody_any_more() {
    let scene = Scene::new().await;
    let discovery = scene.at("/.well-known/openid-configuration");
    assert_eq!(scene.http.get(&discovery).send().await.expect("an answer").status(), StatusCode::OK);
    scene.demo.stop();
    let refused = async {
        while scene.http.get(&discovery).send().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the address is free");
}

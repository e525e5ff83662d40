//! The cache against a key server on this machine, under a clock that stands still.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::*;
use crate::http::tests::{client, serve};
use crate::identity::Issuer;
use crate::jose::{Alg, Audience, Exp, Signer};
use crate::time::Timestamp;

const START: u64 = 1_800_000_000;

/// What the server does when it is asked for keys.
#[derive(Clone)]
enum Answer {
    Keys(Value),
    Page,
    Fault,
    Redirect,
}

struct Server {
    answer: Mutex<Answer>,
    cache_control: Mutex<&'static str>,
    asked: AtomicUsize,
}

impl Server {
    fn now_answers(&self, answer: Answer) {
        *self.answer.lock().expect("lock") = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn answer(State(server): State<Arc<Server>>) -> axum::response::Response {
    server.asked.fetch_add(1, Ordering::SeqCst);
    let cache_control = *server.cache_control.lock().expect("lock");
    match server.answer.lock().expect("lock").clone() {
        Answer::Keys(keys) => ([("cache-control", cache_control)], axum::Json(keys)).into_response(),
        Answer::Page => axum::response::Html("<html>maintenance</html>").into_response(),
        Answer::Fault => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Answer::Redirect => axum::response::Redirect::temporary("/elsewhere").into_response(),
    }
}

/// A key server, a cache of its keys, and the clock of both.
struct Setup {
    server: Arc<Server>,
    cache: KeyCache,
    clock: Clock,
}

async fn setup(signers: &[&Signer]) -> Setup {
    let server = Arc::new(Server {
        answer: Mutex::new(Answer::Keys(set_of(signers))),
        cache_control: Mutex::new("public, max-age=3600"),
        asked: AtomicUsize::new(0),
    });
    let base = serve(Router::new().route("/keys", get(answer)).with_state(Arc::clone(&server))).await;
    let clock = Clock::manual(Timestamp::from_secs(START));
    let source = Source::Fixed(base.join("/keys").expect("url"));
    Setup { server, cache: KeyCache::new(client(), source, clock.clone()), clock }
}

impl Setup {
    fn wait(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    async fn verify(&self, token: &str) -> Result<(), Failure> {
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        let expectation = Expectation {
            types: &["JWT"],
            type_required: false,
            algs: &Alg::ALL,
            issuer: &issuer,
            audience: Audience::Single("us"),
            skew: Duration::from_secs(60),
            exp: Exp::Optional,
        };
        self.cache.verify::<Value>(token, &expectation).await.map(|_| ())
    }
}

fn signer(kid: &str) -> Signer {
    Signer::generate(kid).expect("signer")
}

fn token(signer: &Signer) -> String {
    signer.sign(Some("JWT"), &json!({ "iss": "https://idp.example.com", "aud": "us", "iat": START })).expect("token")
}

fn set_of(signers: &[&Signer]) -> Value {
    let keys: Vec<Value> = signers.iter().flat_map(|s| s.jwks()["keys"].as_array().expect("keys").clone()).collect();
    json!({ "keys": keys })
}

#[tokio::test]
async fn keys_are_fetched_once_for_all_who_need_them() {
    let key = signer("a");
    let setup = setup(&[&key]).await;
    assert_eq!(setup.server.asked(), 0, "nothing is fetched before it is needed");
    let token = token(&key);
    for result in join_all((0..50).map(|_| setup.verify(&token))).await {
        assert_eq!(result, Ok(()));
    }
    assert_eq!((setup.server.asked(), setup.cache.fetches()), (1, 1));
}

#[tokio::test]
async fn a_flood_of_unknown_keys_costs_one_fetch_per_interval() {
    let known = signer("known");
    let setup = setup(&[&known]).await;
    assert_eq!(setup.verify(&token(&known)).await, Ok(()));
    let unknown: Vec<_> = (0..200).map(|n| token(&signer(&format!("unknown {n}")))).collect();
    for interval in 1..=3 {
        for result in join_all(unknown.iter().map(|token| setup.verify(token))).await {
            assert_eq!(result, Err(Failure::Rejected(Reject::UnknownKey)));
        }
        assert_eq!(setup.server.asked(), interval);
        setup.wait(29);
        assert_eq!(setup.verify(&unknown[0]).await, Err(Failure::Rejected(Reject::UnknownKey)));
        assert_eq!(setup.server.asked(), interval, "29 seconds later");
        setup.wait(1);
    }
    assert_eq!(setup.verify(&token(&known)).await, Ok(()));
}

#[tokio::test]
async fn a_new_key_is_found_when_a_token_names_it() {
    let (old, new) = (signer("old"), signer("new"));
    let setup = setup(&[&old]).await;
    assert_eq!(setup.verify(&token(&old)).await, Ok(()));
    setup.server.now_answers(Answer::Keys(set_of(&[&new])));
    setup.wait(30);
    assert_eq!(setup.verify(&token(&new)).await, Ok(()));
    assert_eq!(setup.verify(&token(&old)).await, Err(Failure::Rejected(Reject::UnknownKey)), "a withdrawn key");
    assert_eq!(setup.server.asked(), 2);
}

#[tokio::test]
async fn keys_are_fetched_again_when_they_are_old() {
    let key = signer("a");
    for (cache_control, good_for) in [
        ("public, max-age=3600", 3600),
        ("Max-Age=\"120\", public", 120),
        ("max-age=0", 60),
        ("no-store", 60),
        ("max-age=3600, no-cache", 60),
        ("max-age=99999999", 86_400),
        ("max-age=-1", 600),
        ("public", 600),
    ] {
        let setup = setup(&[&key]).await;
        *setup.server.cache_control.lock().expect("lock") = cache_control;
        assert_eq!(setup.verify(&token(&key)).await, Ok(()));
        for (wait, asked) in [(good_for - 1, 1), (1, 2)] {
            setup.wait(wait);
            assert_eq!(setup.verify(&token(&key)).await, Ok(()));
            assert_eq!(setup.server.asked(), asked, "`{cache_control}`");
        }
    }
}

#[tokio::test]
async fn known_keys_go_on_when_the_server_does_not() {
    let key = signer("a");
    for trouble in
        [Answer::Fault, Answer::Page, Answer::Redirect, Answer::Keys(json!({ "keys": [] })), Answer::Keys(json!(7))]
    {
        let setup = setup(&[&key]).await;
        assert_eq!(setup.verify(&token(&key)).await, Ok(()));
        setup.server.now_answers(trouble);
        setup.wait(3600);
        for asked in 2..=5 {
            assert_eq!(setup.verify(&token(&key)).await, Ok(()));
            assert_eq!(setup.verify(&token(&key)).await, Ok(()));
            assert_eq!(setup.server.asked(), asked, "no more than one fetch per interval");
            setup.wait(30);
        }
        // A key that nobody can ask about may be a new one.
        assert_eq!(setup.verify(&token(&signer("b"))).await, Err(Failure::Unavailable));
        setup.wait(2 * 86_400);
        assert_eq!(setup.verify(&token(&key)).await, Err(Failure::Unavailable), "but not for ever");
        setup.server.now_answers(Answer::Keys(set_of(&[&key])));
        setup.wait(30);
        assert_eq!(setup.verify(&token(&key)).await, Ok(()));
    }
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_is_asked_again_soon() {
    let key = signer("a");
    let setup = setup(&[&key]).await;
    setup.server.now_answers(Answer::Fault);
    for _ in 0..10 {
        assert_eq!(setup.verify(&token(&key)).await, Err(Failure::Unavailable));
    }
    assert_eq!(setup.server.asked(), 1);
    setup.server.now_answers(Answer::Keys(set_of(&[&key])));
    setup.wait(2);
    assert_eq!(setup.verify(&token(&key)).await, Ok(()));
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_end_it_for_the_others() {
    let key = signer("a");
    let setup = setup(&[&key]).await;
    let token = token(&key);
    {
        let mut leaving = std::pin::pin!(setup.verify(&token));
        // Polled once: the fetch has begun.
        assert!(futures_util::poll!(&mut leaving).is_pending());
    }
    assert_eq!(setup.cache.fetches(), 1);
    setup.wait(2);
    assert_eq!(setup.verify(&token).await, Ok(()));
}

#[tokio::test]
async fn callers_who_go_away_one_after_another_do_not_make_a_flood() {
    let key = signer("a");
    let setup = setup(&[&key]).await;
    let token = token(&key);
    let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(setup.verify(&token).fuse())).collect();
    while !waiting.is_empty() {
        for caller in &mut waiting {
            let _ = futures_util::poll!(caller);
        }
        // The one who fetches leaves, and the next one has the turn.
        drop(waiting.remove(0));
    }
    assert_eq!(setup.cache.fetches(), 1);
}

#[tokio::test]
async fn where_the_keys_are_may_have_to_be_found_out() {
    struct Metadata(Mutex<Option<Url>>);
    #[async_trait]
    impl Locate for Metadata {
        async fn jwks_uri(&self) -> Option<Url> {
            self.0.lock().expect("lock").clone()
        }
    }
    let key = signer("a");
    let setup = setup(&[&key]).await;
    let Source::Fixed(url) = &setup.cache.source else { panic!("it is fixed") };
    let metadata = Arc::new(Metadata(Mutex::new(None)));
    let source = Source::Discovered(Arc::<Metadata>::clone(&metadata) as Arc<dyn Locate>);
    let cache = KeyCache::new(client(), source, setup.clock.clone());
    let found = Setup { cache, server: Arc::clone(&setup.server), clock: setup.clock.clone() };
    assert_eq!(found.verify(&token(&key)).await, Err(Failure::Unavailable));
    *metadata.0.lock().expect("lock") = Some(url.clone());
    found.wait(2);
    assert_eq!(found.verify(&token(&key)).await, Ok(()));
}

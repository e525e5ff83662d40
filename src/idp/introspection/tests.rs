//! Questions about tokens, to an IdP on this machine.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::http;
use crate::idp::Part;
use crate::idp::tests::op::{Does, with};
use crate::idp::tests::{Setup, setup};

const TEN: Duration = Duration::from_secs(10);

fn yes() -> Does {
    Does::Say(json!({ "active": true, "sub": "ann" }))
}

fn no() -> Does {
    Does::Say(json!({ "active": false }))
}

impl Setup {
    async fn asks(&self, token: &str, good_for: Duration) -> Result<Option<String>, Unavailable> {
        self.asks_by(&self.idp.introspector, token, &["api"], good_for).await
    }

    async fn asks_by(
        &self,
        introspector: &Introspector,
        token: &str,
        audiences: &[&str],
        good_for: Duration,
    ) -> Result<Option<String>, Unavailable> {
        let audiences: Vec<String> = audiences.iter().map(|audience| (*audience).to_owned()).collect();
        let answer = introspector.ask(&self.idp.settings, &self.idp.discovery, token, &audiences, good_for).await?;
        Ok(answer.map(|claims| claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned()))
    }

    fn asked(&self) -> usize {
        self.op.script().introspection_requests.len()
    }
}

#[tokio::test]
async fn yes_and_no_are_good_for_as_long_as_the_app_allows_and_no_longer() {
    let setup = setup(|_| {}).await;
    for (token, does, expected) in [("good", yes(), Ok(Some("ann".to_owned()))), ("bad", no(), Ok(None))] {
        let before = setup.asked();
        setup.op.script().introspection = does;
        for _ in 0..3 {
            assert_eq!(setup.asks(token, TEN).await, expected, "{token}");
        }
        assert_eq!(setup.asked(), before + 1, "{token}: asked once");
        setup.op.script().introspection = Does::Fail(500, json!({}));
        setup.clock.advance(Duration::from_secs(9));
        assert_eq!(setup.asks(token, TEN).await, expected, "{token}: still good");
        assert_eq!(setup.asks(token, Duration::from_secs(5)).await, Err(Unavailable), "{token}: not for others");
        setup.clock.advance(Duration::from_secs(1));
        assert_eq!(setup.asks(token, TEN).await, Err(Unavailable), "{token}: no answer is better than an old one");
    }
}

#[tokio::test]
async fn an_answer_is_for_one_token_and_whom_it_must_be_for() {
    let setup = setup(|_| {}).await;
    setup.op.script().introspection = yes();
    for (token, audiences, asked) in [
        ("a", vec!["api"], 1),
        ("b", vec!["api"], 2),
        ("a", vec!["api", "other"], 3),
        ("a", vec!["apiother"], 4),
        ("aapi", vec![], 5),
        ("a", vec!["api"], 5),
    ] {
        assert!(setup.asks_by(&setup.idp.introspector, token, &audiences, TEN).await.is_ok());
        assert_eq!(setup.asked(), asked, "`{token}` for {audiences:?}");
    }
}

#[tokio::test]
async fn many_requests_with_one_token_ask_once() {
    let setup = setup(|_| {}).await;
    for (token, does, expected) in
        [("good", yes(), Ok(Some("ann".to_owned()))), ("broken", Does::Fail(500, json!({})), Err(Unavailable))]
    {
        let before = setup.asked();
        setup.op.script().introspection = does;
        let answers = join_all((0..20).map(|_| setup.asks(token, TEN))).await;
        assert!(answers.iter().all(|answer| *answer == expected), "{token}: {answers:?}");
        assert_eq!(setup.asked(), before + 1, "{token}");
        assert!(lock(&setup.idp.introspector.flights).is_empty(), "{token}: nothing is under way");
    }
}

#[tokio::test]
async fn a_request_that_goes_away_takes_no_other_with_it() {
    let setup = setup(|_| {}).await;
    assert!(setup.idp.probe().await.is_ok());
    setup.op.script().introspection = yes();
    assert_eq!(setup.asks("t", TEN).now_or_never(), None, "it was under way");
    assert!(lock(&setup.idp.introspector.flights).is_empty(), "nothing of it is left");
    assert_eq!(setup.asks("t", TEN).await, Ok(Some("ann".to_owned())));
    let mut first = Box::pin(setup.asks("u", TEN));
    assert_eq!(first.as_mut().now_or_never(), None);
    let second = setup.asks("u", TEN);
    let gone = async move { drop(first) };
    assert_eq!(futures_util::future::join(second, gone).await.0, Ok(Some("ann".to_owned())));
}

#[tokio::test]
async fn what_is_no_answer_is_not_a_no() {
    let setup = setup(|_| {}).await;
    let huge = json!({ "active": true, "x": "a".repeat(MAX_ANSWER) });
    for (name, does) in [
        ("down", Does::Fail(503, json!({ "active": false }))),
        ("does not know us", Does::Fail(401, json!({ "error": "invalid_client" }))),
        ("not there", Does::Fail(404, json!({ "active": false }))),
        ("moved", Does::Fail(302, json!({ "active": true }))),
        ("a page", Does::Page),
        ("a list", Does::Say(json!([true]))),
        ("nothing said", Does::Say(json!({}))),
        ("said in a manner", Does::Say(json!({ "active": "true" }))),
        ("said by a number", Does::Say(json!({ "active": 1 }))),
        ("too large", Does::Say(huge)),
    ] {
        setup.op.script().introspection = does;
        assert_eq!(setup.asks("t", TEN).await, Err(Unavailable), "{name}");
    }
    setup.op.script().introspection = yes();
    assert_eq!(setup.asks("t", TEN).await, Ok(Some("ann".to_owned())), "none of that was kept");
}

#[tokio::test]
async fn an_idp_that_is_slow_is_given_up_and_keeps_nobody_waiting() {
    let setup = setup(|_| {}).await;
    assert!(setup.idp.probe().await.is_ok());
    let timeout = Duration::from_millis(200);
    let hasty = Client::for_this_machine(&http::Settings { timeout, ..http::Settings::default() }).expect("client");
    let introspector = Introspector::with(hasty, setup.clock.clone(), 1, Duration::from_millis(20));
    // The script hangs until it is told what to say; there is one call at a time.
    let ask = |token| setup.asks_by(&introspector, token, &["api"], TEN);
    let (slow, crowded) = futures_util::future::join(ask("a"), ask("b")).await;
    assert_eq!((slow, crowded), (Err(Unavailable), Err(Unavailable)));
    assert_eq!(setup.asked(), 1, "the second was never asked about");
    setup.op.script().introspection = yes();
    assert!(ask("b").await.is_ok(), "its turn has come");
}

#[tokio::test]
async fn the_idp_is_told_who_asks() {
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    let own = || IntrospectionClient { id: "api:1".into(), secret: Secret::new("a%b".into()) };
    let (ours, theirs) = (basic("portcullis:s3cret%2F%2B+%26"), basic("api%3A1:a%25b"));
    for (metadata, client, expected_header, expected_form) in [
        (json!({}), None, Some(&ours), None),
        (json!({ "introspection_endpoint_auth_methods_supported": ["client_secret_post"] }), None, None, {
            Some(("portcullis", "s3cret/+ &"))
        }),
        (json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] }), Some(own()), None, {
            Some(("api:1", "a%b"))
        }),
        (
            json!({
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
                "introspection_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"],
            }),
            Some(own()),
            Some(&theirs),
            None,
        ),
    ] {
        let setup = setup(|settings| settings.introspection = Some(Introspection { endpoint: None, client })).await;
        setup.op.script().metadata = Does::Say(with(setup.op.metadata(), &metadata));
        setup.op.script().introspection = yes();
        assert!(setup.asks("tok/en+", TEN).await.is_ok(), "{metadata}");
        let (headers, form) = setup.op.script().introspection_requests.pop().expect("a request");
        let header = headers.get("authorization").map(|value| value.to_str().expect("text"));
        assert_eq!(header, expected_header.map(String::as_str), "{metadata}");
        let shown = form.get("client_id").zip(form.get("client_secret"));
        assert_eq!(shown.map(|(id, secret)| (id.as_str(), secret.as_str())), expected_form, "{metadata}");
        assert_eq!(form.get("token").map(String::as_str), Some("tok/en+"), "{metadata}");
        assert_eq!(form.get("token_type_hint").map(String::as_str), Some("access_token"), "{metadata}");
    }
}

#[tokio::test]
async fn where_to_ask_is_configured_or_said_and_else_nobody_is_asked() {
    let nowhere = json!({ "introspection_endpoint": null });
    let other_ways = json!({ "introspection_endpoint_auth_methods_supported": ["private_key_jwt"] });
    for (name, metadata, configured, secret, expected) in [
        ("said", json!({}), false, true, Ok(Some("ann".to_owned()))),
        ("configured", nowhere.clone(), true, true, Ok(Some("ann".to_owned()))),
        ("neither", nowhere, false, true, Err(Unavailable)),
        ("no secret to show", json!({}), false, false, Err(Unavailable)),
        ("no way to show it", other_ways, false, true, Err(Unavailable)),
    ] {
        let setup = setup(|settings| {
            let endpoint = settings.issuer.as_str().replace("realm", "introspect");
            let endpoint = configured.then(|| Url::parse(&endpoint).expect("url"));
            settings.introspection = Some(Introspection { endpoint, client: None });
            if !secret {
                settings.client_secret = None;
            }
        })
        .await;
        setup.op.script().metadata = Does::Say(with(setup.op.metadata(), &metadata));
        setup.op.script().introspection = yes();
        assert_eq!(setup.asks("t", TEN).await, expected, "{name}");
    }
}

#[tokio::test]
async fn trouble_is_said_once_and_names_no_token() {
    let setup = setup(|_| {}).await;
    for (does, failing) in [(Does::Fail(500, json!({})), true), (Does::Page, true), (yes(), false), (no(), false)] {
        setup.op.script().introspection = does;
        let _ = setup.asks("precious", Duration::from_secs(1)).await;
        setup.clock.advance(TEN);
        assert_eq!(setup.idp.introspector.failing.load(Ordering::Relaxed), failing);
    }
    let trouble = Trouble::from(Error::Unreachable { part: Part::Introspection, status: Some(500), cause: None });
    assert_eq!(trouble.to_string(), "the IdP's introspection endpoint cannot be had at the moment");
    setup.op.script().introspection = Does::Say(json!({ "active": true, "sub": "precious" }));
    assert_eq!(setup.asks("precious", TEN).await, Ok(Some("precious".to_owned())));
    let printed = format!("{:?}", setup.idp);
    assert!(printed.contains("Introspector(1 answers, 0 under way)") && !printed.contains("precious"), "{printed}");
}

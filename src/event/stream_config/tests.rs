//! What is asked for is exactly ours to ask for; what is answered is believed only as far as it is about our stream.

use super::*;
use crate::jose::tests::Xorshift;

fn issuer() -> Issuer {
    Issuer::parse("https://tr.example.com/a").expect("issuer")
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("URL")
}

fn wanted(method: Method) -> Wanted {
    Wanted {
        method,
        endpoint: (method == Method::Push).then(|| url("https://gw.example.com/oauth2/ssf/corp")),
        authorization: (method == Method::Push).then(|| Secret::new("Bearer hunter2".to_owned())),
        events: vec!["urn:a".into()],
        description: "portcullis corp".into(),
    }
}

#[test]
fn a_request_holds_what_is_the_receivers_to_say_and_nothing_else() {
    assert_eq!(
        wanted(Method::Push).create(),
        json!({
            "delivery": { "method": "urn:ietf:rfc:8935", "endpoint_url": "https://gw.example.com/oauth2/ssf/corp",
                "authorization_header": "Bearer hunter2" },
            "events_requested": ["urn:a"], "description": "portcullis corp",
        })
    );
    assert_eq!(
        wanted(Method::Poll).create(),
        json!({ "delivery": { "method": "urn:ietf:rfc:8936" }, "events_requested": ["urn:a"],
            "description": "portcullis corp" })
    );
    let stream =
        parsed(&json!({ "delivery": { "method": "urn:ietf:rfc:8936", "endpoint_url": "https://tr.example.com/p/1" } }));
    assert_eq!(
        wanted(Method::Poll).change(&stream),
        json!({ "stream_id": "s1", "events_requested": ["urn:a"], "description": "portcullis corp",
            "delivery": { "method": "urn:ietf:rfc:8936", "endpoint_url": "https://tr.example.com/p/1" } })
    );
    assert!(!format!("{:?}", wanted(Method::Push)).contains("hunter2"));
}

/// A stream of ours, with changes.
fn parsed(change: &Value) -> Configuration {
    let mut stream = json!({ "stream_id": "s1", "iss": issuer(), "aud": "https://gw.example.com",
        "delivery": { "method": "urn:ietf:rfc:8935", "endpoint_url": "https://gw.example.com/oauth2/ssf/corp" } });
    for (name, value) in change.as_object().into_iter().flatten() {
        stream[name] = value.clone();
    }
    let method = method(&stream).expect("a method");
    let places = Places::new(&issuer(), vec![]);
    let audiences = ["https://gw.example.com".to_owned()];
    let expected = Expected { issuer: &issuer(), audiences: &audiences, method, places: &places };
    Configuration::parse(stream.to_string().as_bytes(), None, expected).expect("a stream")
}

#[test]
fn a_stream_is_changed_only_if_it_is_not_as_it_should_be() {
    let push = |url: &str, header: &str| {
        let mut delivery = json!({ "method": "urn:ietf:rfc:8935", "endpoint_url": url });
        if !header.is_empty() {
            delivery["authorization_header"] = header.into();
        }
        delivery
    };
    let ours = "https://gw.example.com/oauth2/ssf/corp";
    for (name, change, expected, ours) in [
        ("as it should be", json!({ "delivery": push(ours, "Bearer hunter2") }), Likeness::Same, true),
        ("its secret is not shown", json!({ "delivery": push(ours, "") }), Likeness::SecretUnknown, true),
        ("another secret", json!({ "delivery": push(ours, "Bearer hunter1") }), Likeness::Differs, true),
        ("another place", json!({ "delivery": push("https://gw.example.com/x", "") }), Likeness::Differs, false),
        ("other events", json!({ "events_requested": ["urn:b"] }), Likeness::Differs, true),
        ("the same events", json!({ "events_requested": ["urn:a"] }), Likeness::SecretUnknown, true),
    ] {
        let stream = parsed(&change);
        let wanted = wanted(Method::Push);
        assert_eq!((wanted.compare(&stream), wanted.recognises(&stream)), (expected, ours), "{name}");
    }
    let polled = |description: &str| {
        parsed(&json!({ "description": description,
            "delivery": { "method": "urn:ietf:rfc:8936", "endpoint_url": "https://tr.example.com/p" } }))
    };
    for (description, ours) in [("portcullis corp", true), ("portcull", true), ("", false), ("another", false)] {
        assert_eq!(wanted(Method::Poll).recognises(&polled(description)), ours, "`{description}`");
    }
    assert_eq!(wanted(Method::Poll).compare(&polled("x")), Likeness::Same);
}

#[test]
fn a_token_goes_to_the_issuer_and_to_the_hosts_that_are_named() {
    let places = Places::new(&issuer(), vec!["poll.example.net".into(), "mgmt.example.com:8443".into()]);
    for (text, allowed) in [
        ("https://tr.example.com/x", true),
        ("https://tr.example.com:443/x", true),
        ("https://tr.example.com:8443/x", false),
        ("http://tr.example.com/x", false),
        ("https://tr.example.com.evil.net/x", false),
        ("https://tr.example.com@evil.net/x", false),
        ("https://ann:hunter2@tr.example.com/x", false),
        ("https://poll.example.net/x?stream_id=1", true),
        ("https://POLL.example.net/x", true),
        ("https://poll.example.net:8443/x", false),
        ("https://mgmt.example.com:8443/", true),
        ("https://mgmt.example.com/", false),
        ("https://169.254.169.254/latest", false),
        ("http://127.0.0.1/x", false),
        ("https://localhost/x", false),
        ("file:///etc/passwd", false),
    ] {
        assert_eq!(places.allow(&url(text)), allowed, "{text}");
    }
    let here = Places::new(&Issuer::parse("http://127.0.0.1:4000").expect("issuer"), vec!["localhost:5000".into()]);
    for (text, allowed) in [
        ("http://127.0.0.1:4000/x", true),
        ("http://localhost:5000/x", true),
        ("http://127.0.0.1:9090/v1/revocations", false),
        ("http://169.254.169.254/latest", false),
    ] {
        assert_eq!(here.allow(&url(text)), allowed, "{text}");
    }
}

#[test]
fn scopes_are_those_that_the_resource_publishes() {
    let origin = url("https://tr.example.com/ssf/stream");
    for (name, document, expected) in [
        (
            "those of SSF",
            json!({ "resource": "https://tr.example.com", "scopes_supported": ["a", "ssf.read"] }),
            Some("ssf.read"),
        ),
        (
            "others, if it has no others",
            json!({ "resource": "https://tr.example.com/x", "scopes_supported": ["a", "b"] }),
            Some("a b"),
        ),
        ("none", json!({ "resource": "https://tr.example.com", "scopes_supported": [] }), None),
        ("nothing said", json!({ "resource": "https://tr.example.com" }), None),
        ("another resource", json!({ "resource": "https://evil.example", "scopes_supported": ["a"] }), None),
        ("two scopes in one", json!({ "resource": "https://tr.example.com", "scopes_supported": ["a b"] }), None),
        ("no object", json!(["a"]), None),
    ] {
        let found = scopes(document.to_string().as_bytes(), &origin).map(|scopes| scopes.join(" "));
        assert_eq!(found.as_deref(), expected, "{name}");
    }
}

#[test]
fn a_status_is_of_the_stream_that_was_asked_about() {
    for (body, expected) in [
        (r#"{"stream_id":"s1","status":"enabled"}"#, Ok((StreamStatus::Enabled, None))),
        (r#"{"status":"paused","reason":"licence"}"#, Ok((StreamStatus::Paused, Some("licence")))),
        (r#"{"stream_id":"s1","status":"disabled","reason":""}"#, Ok((StreamStatus::Disabled, None))),
        (r#"{"stream_id":"s2","status":"enabled"}"#, Err(Unusable::StreamId)),
        (r#"{"stream_id":7,"status":"enabled"}"#, Err(Unusable::StreamId)),
        (r#"{"stream_id":"s1","status":"asleep"}"#, Err(Unusable::Status)),
        (r#"{"stream_id":"s1"}"#, Err(Unusable::Status)),
        ("[]", Err(Unusable::Form)),
        ("", Err(Unusable::Form)),
    ] {
        let expected = expected.map(|(status, reason)| (status, reason.map(str::to_owned)));
        assert_eq!(parse_status(body.as_bytes(), "s1"), expected, "{body}");
    }
}

#[test]
fn no_answer_makes_a_parser_panic_and_none_brings_a_foreign_place() {
    let seed = 0x0dd5_eed5_1234_5678;
    println!("seed {seed:#x}");
    let mut random = Xorshift(seed);
    let (places, audiences) = (Places::new(&issuer(), vec![]), ["https://gw.example.com".to_owned()]);
    let expected = Expected { issuer: &issuer(), audiences: &audiences, method: Method::Poll, places: &places };
    let stream = json!({
        "stream_id": "s1", "iss": issuer(), "aud": ["https://gw.example.com"], "description": "x",
        "delivery": { "method": "urn:ietf:rfc:8936", "endpoint_url": "https://tr.example.com/poll?stream_id=s1" },
        "events_delivered": ["urn:a"], "min_verification_interval": 60, "inactivity_timeout": 86_400, "status": "enabled",
        "issuer": issuer(), "jwks_uri": "https://tr.example.com/jwks", "scopes_supported": ["a"],
        "resource": "https://tr.example.com",
    });
    let mut whole = 0;
    for _ in 0..20_000 {
        let mut body = stream.to_string().into_bytes();
        for _ in 0..=random.below(3) {
            random.damage(&mut body);
        }
        let found = Configuration::parse(&body, None, expected);
        if let Ok(Configuration { endpoint: Some(endpoint), .. }) = &found {
            assert_eq!(endpoint.host_str(), Some("tr.example.com"), "{endpoint}");
            whole += 1;
        }
        let _ = Configuration::parse_list(&body, expected);
        let _ = Metadata::parse(&body, &issuer());
        let _ = parse_status(&body, "s1");
        let _ = scopes(&body, &url("https://tr.example.com"));
    }
    assert!(whole > 300, "only {whole} were whole");
}

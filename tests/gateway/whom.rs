//! Who is meant: the person, the session, the device, the app that a signal names, and nobody else.

use portcullis::demo::idp::LogoutOf;
use serde_json::{Value, json};

use crate::harness::{Ask, Browser, House, Plan, Wire, answer};

/// A browser of `user` on a device.
async fn on_device(house: &House, user: &str, device: &str) -> Browser {
    house.idp_says(user, &json!({ "device_id": device }));
    house.browser_of(user).await
}

async fn is_over_for(browsers: &mut [(&str, &mut Browser, bool)]) {
    for (name, browser, over) in browsers {
        let arrival = browser.fetches("/").await;
        if *over {
            println!("{name} is expected to be out");
            arrival.is_refused("session_revoked");
        } else {
            println!("{name} is expected to be in");
            arrival.is_let_in();
        }
    }
}

#[tokio::test]
async fn a_logout_token_with_a_sid_ends_one_session_and_one_without_ends_all() {
    let house = House::new().await;
    let (mut office, mut home) = (house.browser_of("ann").await, house.browser_of("ann").await);
    let mut ben = house.browser_of("ben").await;
    let first = house.demo.idp.sessions()[0].clone();
    assert_eq!(first.user, "ann");
    house.seconds_pass(1);
    let told = house.demo.idp.log_out(&first.sid).await;
    assert_eq!(told.iter().map(|delivery| delivery.status).collect::<Vec<_>>(), [Some(200)]);
    is_over_for(&mut [("office", &mut office, true), ("home", &mut home, false), ("ben", &mut ben, false)]).await;

    house.seconds_pass(1);
    let token = house.demo.idp.logout_token(&LogoutOf::User("ann"), "portcullis").expect("a token");
    let answer = house.is_told_to_log_out(&token).await;
    assert_eq!((answer.status, answer.field("cache-control")), (200, Some("no-store")), "{}", answer.text());
    is_over_for(&mut [("office", &mut office, true), ("home", &mut home, true), ("ben", &mut ben, false)]).await;
    house.seconds_pass(1);
    home.signs_in("ann").await.is_let_in();
}

#[tokio::test]
async fn a_complex_subject_needs_every_member_to_match() {
    let house = House::of(Plan::default().idp("claims = { device = \"device_id\" }")).await;
    let mut laptop = on_device(&house, "ann", "laptop").await;
    let mut phone = on_device(&house, "ann", "phone").await;
    let mut ben = on_device(&house, "ben", "laptop").await;
    let device = json!({ "format": "opaque", "id": "laptop" });
    let user = house.subject_of("ann");
    house.says_it_is_over_for(&json!({ "format": "complex", "user": user, "device": device })).await;
    is_over_for(&mut [("laptop", &mut laptop, true), ("phone", &mut phone, false), ("ben", &mut ben, false)]).await;
}

#[tokio::test]
async fn a_device_alone_ends_no_session_whose_device_is_unknown() {
    let house = House::of(Plan::default().idp("claims = { device = \"device_id\" }")).await;
    let mut ann = on_device(&house, "ann", "laptop").await;
    let mut ben = house.browser_of("ben").await;
    let device = json!({ "format": "opaque", "id": "laptop" });
    house.says_it_is_over_for(&json!({ "format": "complex", "device": device })).await;
    is_over_for(&mut [("ann", &mut ann, true), ("ben", &mut ben, false)]).await;
}

#[tokio::test]
async fn an_address_names_its_owner_in_every_spelling() {
    let house = House::new().await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    house.says_it_is_over_for(&json!({ "format": "email", "email": "Ann@EXAMPLE.com" })).await;
    is_over_for(&mut [("ann", &mut ann, true), ("ben", &mut ben, false)]).await;
}

#[tokio::test]
async fn one_session_of_the_idps_can_be_named_alone() {
    let house = House::new().await;
    let (mut office, mut home) = (house.browser_of("ann").await, house.browser_of("ann").await);
    let sid = house.demo.idp.sessions()[1].sid.clone();
    let session = json!({ "format": "opaque", "id": sid });
    house
        .says_it_is_over_for(&json!({ "format": "complex", "user": house.subject_of("ann"), "session": session }))
        .await;
    is_over_for(&mut [("office", &mut office, false), ("home", &mut home, true)]).await;
}

#[tokio::test]
async fn nobody_is_hurt_by_a_signal_about_somebody_else() {
    let house = House::new().await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    for stranger in [
        json!({ "format": "iss_sub", "iss": house.demo.issuer, "sub": "00u-zoe" }),
        json!({ "format": "email", "email": "ann@example.org" }),
        json!({ "format": "opaque", "id": "no-such-session" }),
        json!({ "format": "iss_sub", "iss": house.demo.issuer, "sub": "00u-ann " }),
        json!({ "format": "iss_sub", "iss": house.demo.issuer, "sub": "00U-ANN" }),
        json!({ "format": "did", "url": "did:example:123456" }),
    ] {
        house.says_it_is_over_for(&stranger).await;
    }
    is_over_for(&mut [("ann", &mut ann, false), ("ben", &mut ben, false)]).await;
    assert_eq!(house.metric("portcullis_unmatched_subject_total").await, 1, "what matches nobody by form is counted");
}

#[tokio::test]
async fn an_operator_tries_a_revocation_out_before_it_is_made() {
    let house = House::new().await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    let request =
        |dry_run: bool| json!({ "whom": { "email": "ann@example.com" }, "dry_run": dry_run, "reason": "left" });
    let answer = house.operator_revokes(&request(true)).await;
    assert_eq!((&answer["dry_run"], &answer["durable"]), (&json!(true), &json!(false)));
    ann.get("/").await.is_let_in();
    let answer = house.operator_revokes(&request(false)).await;
    assert_eq!((&answer["durable"], &answer["revocations"][0]["mode"]), (&json!(true), &json!("terminate")));
    is_over_for(&mut [("ann", &mut ann, true), ("ben", &mut ben, false)]).await;
}

#[tokio::test]
async fn a_revocation_in_one_app_leaves_the_other_alone() {
    let house = House::of(Plan::default().with_wiki()).await;
    let mut ann = house.browser_of("ann").await;
    ann.get("/wiki/x").await.is_let_in();
    house.operator_revokes(&json!({ "whom": { "user": "00u-ann" }, "apps": ["wiki"] })).await;
    ann.fetches("/wiki/x").await.is_refused("session_revoked");
    ann.get("/").await.is_let_in();
    ann.get("/wikipedia").await.is_let_in();
    ann.opens("/wiki/x", Some("ann")).await.is_let_in();
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn apps_of_one_realm_read_each_others_cookies_and_others_do_not() {
    let more = r#"
realm = "intranet"
[apps.wiki]
url = "http://127.0.0.1:@port@"
upstreams = ["http://@backend@"]
idp = "demo"
realm = "intranet"
[apps.shop]
url = "http://127.0.0.1:@port@/shop"
upstreams = ["http://@backend@"]
idp = "demo"
"#;
    let house = House::of(Plan::default().more(more)).await;
    let mut ann = house.browser_of("ann").await;
    house.backend.says(answer("200 OK", "Set-Cookie: SSO=hers; Path=/; HttpOnly\r\n", "hello from the app"));
    ann.get("/").await.is_let_in();
    house.backend.says(answer("200 OK", "", "hello from the app"));
    let sealed = ann.cookies().split("; ").find_map(|pair| pair.strip_prefix("SSO=").map(str::to_owned)).expect("set");
    // What `Domain` would do, if the tests' hosts had a domain in common.
    ann.at(&format!("http://{}", house.other_host()));
    ann.signs_in("ann").await.is_let_in();
    let mut sees = async |path: &str| {
        ann.has_cookie("SSO", &sealed);
        ann.opens(path, Some("ann")).await.is_let_in();
        let cookies = house.backend.last().field("cookie").unwrap_or_default();
        cookies.split("; ").find_map(|pair| pair.strip_prefix("SSO=").map(str::to_owned))
    };
    assert_eq!(sees("/").await.as_deref(), Some("hers"));
    assert_eq!(sees("/shop/x").await, None);
    house.operator_revokes(&json!({ "whom": { "user": "00u-ann" }, "apps": ["payroll"] })).await;
    assert_eq!(sees("/").await.as_deref(), Some("hers"), "it is over where it was ended");
    house.operator_revokes(&json!({ "whom": { "user": "00u-ann" }, "apps": ["wiki"] })).await;
    assert_eq!(sees("/").await, None);
}

#[tokio::test]
async fn a_session_of_one_host_is_none_at_another() {
    let other = r#"
[apps.other]
url = "http://127.0.0.1:@port@"
upstreams = ["http://@backend@"]
idp = "demo"
"#;
    let house = House::of(Plan::default().more(other)).await;
    let ann = house.browser_of("ann").await;
    let ask = Ask::get("/").with("Cookie", &ann.cookies()).with("Accept", "*/*");
    let answer = Wire::once(house.address(), &ask.bytes(&house.other_host())).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("session_unusable")));
    assert_eq!(Wire::once(house.address(), &ask.bytes(&house.host())).await.status, 200);
}

#[tokio::test]
async fn signing_out_ends_every_copy_and_the_idps_session() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    let (mut copy, mut elsewhere) = (ann.clone(), house.browser_of("ann").await);
    house.seconds_pass(1);
    let gone = ann.get("/oauth2/sign_out").await;
    let to = gone.location().expect("a redirect");
    assert!(to.as_str().starts_with(&format!("{}/logout?", house.demo.issuer)), "{to}");
    copy.fetches("/").await.is_refused("session_revoked");
    let end = ann.goes_on(gone, None).await;
    end.is_told(200, "You are signed out");
    assert_eq!(end.url.path(), "/oauth2/signed_out");
    assert_eq!(ann.cookies_at("/oauth2/sign_out"), "");
    assert_eq!(house.demo.idp.sessions().len(), 1, "the IdP's session of this browser is over, the other stands");
    is_over_for(&mut [("the copy", &mut copy, true), ("elsewhere", &mut elsewhere, false)]).await;
    house.seconds_pass(1);
    ann.signs_in("ann").await.is_let_in();
}

#[tokio::test]
async fn a_page_of_another_site_signs_nobody_out() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    for path in ["/oauth2/sign_out", "/oauth2/sign_out?confirmed=1"] {
        let cross_site = Ask::get(path).with("Sec-Fetch-Site", "cross-site").with("Accept", "text/html");
        ann.clone().asks(&cross_site).await.is_told(200, "asks to sign you out");
        ann.get("/").await.is_let_in();
    }
    let own_page = Ask::get("/oauth2/sign_out").with("Sec-Fetch-Site", "same-origin").with("Accept", "text/html");
    assert_eq!(ann.clone().asks(&own_page).await.answer.status, 302);
    ann.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn a_stream_reaches_no_wider_than_it_may() {
    let house = House::of(Plan::default().idp("claims = { tenant = \"tenant\" }")).await;
    house.idp_says("ann", &json!({ "tenant": "acme" }));
    let mut ann = house.browser_of("ann").await;
    for (role, format) in [("tenant", "opaque"), ("group", "opaque")] {
        let member = json!({ "format": format, "id": "acme" });
        let mut subject = json!({ "format": "complex" });
        subject[role] = member;
        let answer = house.pushes(&house.revoking_set(&subject)).await;
        assert_eq!((answer.status, &answer.json()["err"]), (400, &Value::from("access_denied")), "{role}");
    }
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn a_stream_reaches_nobody_but_the_people_of_the_idps_it_speaks_for() {
    // A transmitter of good standing, with good keys, for the people of another IdP.
    let other = r#"
[idps.other]
issuer = "https://other.example.com"
client_id = "portcullis"
[streams.other]
issuer = "@issuer@"
audience = "https://gateway.example"
push_token_file = "push.token"
speaks_for = ["other"]
"#;
    let house = House::of(Plan::default().more(other)).await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let authorization = format!("Bearer {}", house.demo.push_token.expose());
    let foreign = json!({ "format": "email", "email": "ann@example.com" });
    for (subject, status, code) in [
        (house.subject_of("ann"), 400, json!("access_denied")),
        (json!({ "format": "complex", "user": house.subject_of("ann") }), 400, json!("access_denied")),
        // The address of somebody at the other IdP, for all we know: it is taken, and means nobody here.
        (foreign, 202, Value::Null),
    ] {
        let ask = Ask::post("/oauth2/ssf/other", "application/secevent+jwt", house.revoking_set(&subject));
        let answer = house.asks(&ask.with("Authorization", &authorization)).await;
        assert_eq!((answer.status, &answer.json()["err"]), (status, &code), "{subject}");
        ann.get("/").await.is_let_in();
    }
    let _line = house.writes_down(&["\"why\":\"access_denied"]).await;
}

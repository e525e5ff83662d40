//! Who the app believes that it is talking to: what the gateway proved, and nothing that a client wrote.

use crate::harness::{Ask, Browser, House, Plan, answer};

const RULES: &str = "rules = [{ path = \"/public\", access = \"public\" }]";

/// Names under which programs tell each other who somebody is or where they come from.
const CLAIMS: [&str; 24] = [
    "X-Forwarded-User",
    "X_Forwarded_User",
    "X-Forwarded_User",
    "x-forwarded-useR",
    "X-Forwarded-Email",
    "X_FORWARDED-GROUPS",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Forwarded-Access-Token",
    "Remote-User",
    "Remote_User",
    "X-Remote-User",
    "x_remote_groups",
    "X-Auth-Request-User",
    "X-Authenticated-User",
    "X-WebAuth-User",
    "OIDC-CLAIM-sub",
    "OIDC_CLAIM_email",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Original-URI",
    "X-Real-IP",
    "Forwarded",
];

#[tokio::test]
async fn no_spelling_of_an_identity_reaches_the_app_on_any_path() {
    let house = House::of(Plan::default().app(RULES)).await;
    let ann = house.browser_of("ann").await;
    let nobody = house.browser();
    for (browser, method, path) in
        [(&ann, "GET", "/"), (&ann, "OPTIONS", "/"), (&nobody, "GET", "/public"), (&nobody, "OPTIONS", "/public/x")]
    {
        let mut ask = Ask::new(method, path);
        for name in CLAIMS {
            ask = ask.with(name, "forged").with(name, "forged, too");
        }
        house.backend.forget();
        assert_eq!(browser.clone().asks(&ask).await.answer.status, 200);
        let seen = house.backend.last();
        assert!(!seen.head.contains("forged"), "{method} {path}:\n{}", seen.head);
        let told = (browser.cookie_names() == ann.cookie_names()).then(|| "00u-ann".to_owned());
        assert_eq!(seen.field("x-forwarded-user"), told, "{method} {path}");
        assert_eq!(seen.field("x-forwarded-email"), told.as_ref().map(|_| "ann@example.com".to_owned()));
        assert_eq!(seen.field("x-forwarded-groups"), told.map(|_| "staff,payroll".to_owned()));
    }
}

#[tokio::test]
async fn forwarding_headers_choose_no_path_no_host_and_no_scheme() {
    let house = House::of(Plan::default().app(RULES)).await;
    let mut nobody = house.browser();
    for name in ["X-Forwarded-Uri", "X-Original-URL", "X-Rewrite-URL", "X-Original-URI", "X-Forwarded-Path"] {
        let ask = Ask::get("/secret").with(name, "/public").with("Accept", "*/*");
        nobody.asks(&ask).await.is_refused("login_required");
    }
    let plain = nobody.get("/secret").await.is_sent_to_idp();
    let ask = Ask::get("/secret").with("Accept", "text/html").with("X-Forwarded-Host", "evil.example.com");
    let ask = ask.with("X-Forwarded-Proto", "javascript").with("Forwarded", "host=evil.example.com;proto=gopher");
    let misled = nobody.asks(&ask).await.is_sent_to_idp();
    let redirect_uri = |url| crate::harness::parameter(url, "redirect_uri").expect("a redirect URI");
    assert_eq!(redirect_uri(&misled), redirect_uri(&plain));
    assert_eq!(house.backend.count(), 0);
}

#[tokio::test]
async fn the_clients_address_is_the_peers_unless_a_trusted_proxy_says_more() {
    for (trusted, expected) in [("[]", "127.0.0.1"), ("[\"127.0.0.0/8\"]", "10.0.0.1, 127.0.0.1")] {
        let house = House::of(Plan::default().server(&format!("trusted_proxies = {trusted}"))).await;
        let mut ann = house.browser_of("ann").await;
        ann.asks(&Ask::get("/").with("X-Forwarded-For", "10.0.0.1")).await.is_let_in();
        assert_eq!(house.backend.last().field("x-forwarded-for").as_deref(), Some(expected), "{trusted}");
        assert_eq!(house.backend.last().field("x-forwarded-host").as_deref(), Some(house.host().as_str()));
    }
}

#[tokio::test]
async fn nothing_that_looks_like_a_credential_is_one() {
    let house = House::new().await;
    let mut nobody = house.browser();
    for ask in [
        Ask::get("/").with("User-Agent", "GoogleHC/1.0"),
        Ask::get("/").with("User-Agent", "kube-probe/1.29"),
        Ask::get("/").with("Authorization", "Bearer x"),
        Ask::get("/").with("Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIwMHUtYW5uIn0."),
        Ask::get("/").with("Authorization", "Basic YW5uOmRlbW8="),
        Ask::get("/?access_token=x"),
        Ask::get("/?token=x"),
        Ask::get("/").with("X-Requested-With", "XMLHttpRequest"),
        Ask::get("/").with("Upgrade-Insecure-Requests", "1"),
    ] {
        nobody.asks(&ask).await.is_refused("login_required");
    }
    assert_eq!(house.backend.count(), 0);
}

#[tokio::test]
async fn cookies_that_are_no_whole_session_are_none() {
    let house = House::new().await;
    let ann = house.browser_of("ann").await;
    house.backend.forget();
    let cookie = ann.cookies();
    let (name, value) = cookie.split_once('=').expect("one cookie");
    let flipped: String = value.chars().rev().collect();
    let half: String = value.chars().take(value.len() / 2).collect();
    let rest: String = value.chars().skip(value.len() / 2).collect();
    for (what, field, word) in [
        ("cut short", format!("{name}={half}"), "session_unusable"),
        ("turned round", format!("{name}={flipped}"), "session_unusable"),
        ("empty", format!("{name}="), "session_unusable"),
        ("no equals sign", name.to_owned(), "login_required"),
        ("twice", format!("{cookie}; {cookie}"), "session_unusable"),
        ("twice, one of them wrong", format!("{cookie}; {name}=x"), "session_unusable"),
        ("a lone middle chunk", format!("{name}-1={value}"), "session_unusable"),
        ("a missing middle chunk", format!("{name}-0={half}; {name}-2={rest}"), "session_unusable"),
        ("whole and in chunks", format!("{cookie}; {name}-0={value}"), "session_unusable"),
        ("a chunk beyond all bounds", format!("{name}-1000000000={value}"), "session_unusable"),
        ("a chunk of a number that is none", format!("{name}-99999999999999999999999={value}"), "login_required"),
        ("another name", format!("__host-portcullis={value}"), "login_required"),
        ("200 cookies before it", format!("{}{cookie}", "a=b; ".repeat(200)), "session_unusable"),
        ("quoted", format!("{name}=\"{value}\""), "session_unusable"),
    ] {
        let ask = Ask::get("/").with("Accept", "*/*").with("Cookie", &field).with("X-Forwarded-User", "ann");
        let answer = house.asks(&ask).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some(word)), "{what}");
    }
    let mut bytes = Ask::get("/").with("Accept", "*/*").with("Cookie", "@").bytes(&house.host());
    let at = bytes.iter().position(|byte| *byte == b'@').expect("the place");
    bytes.splice(at..=at, [cookie.as_bytes(), b"\xff\xfe"].concat());
    let answer = crate::harness::Wire::once(house.address(), &bytes).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("session_unusable")), "bytes");
    let large = Ask::get("/").with("Cookie", &format!("a={}; {cookie}", "x".repeat(1 << 20)));
    assert!([400, 431].contains(&house.asks(&large).await.status), "a cookie of a megabyte");
    assert_eq!(house.backend.count(), 0, "the app sees none of these");
    // In two fields, as HTTP/2 splits them, it is one session.
    let ask = Ask::get("/").with("Cookie", "a=b").with("Cookie", &cookie);
    assert_eq!(house.asks(&ask).await.status, 200);
    assert_eq!(house.backend.last().all("cookie"), ["a=b"], "ours stays here");
}

#[tokio::test]
async fn without_a_session_nothing_reaches_the_app_by_any_method() {
    let house = House::new().await;
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "TRACE", "CONNECT", "HELLO"]
    {
        let target = if method == "CONNECT" { house.host() } else { "/x".to_owned() };
        let ask = Ask::new(method, &target).with("Accept", "*/*");
        let mut wire = house.wire().await;
        wire.send(&ask.bytes(&house.host())).await;
        let status = wire.head().await.map(|answer| answer.status);
        let known = !["TRACE", "CONNECT", "HELLO"].contains(&method);
        let expected: &[u16] = if known { &[401] } else { &[400, 405] };
        assert!(status.is_some_and(|status| expected.contains(&status)), "{method} gets {status:?}");
    }
    let mut wire = house.wire().await;
    let body = Ask::post("/x", "text/plain", "a long story".repeat(1000)).with("Accept", "*/*");
    wire.send(&body.bytes(&house.host())).await;
    assert_eq!(wire.answer().await.map(|answer| answer.status), Some(401));
    assert_eq!(house.backend.count(), 0);
}

#[tokio::test]
async fn a_page_is_redirected_and_a_program_is_told() {
    let house = House::new().await;
    let mut nobody = house.browser();
    nobody.get("/").await.is_sent_to_idp();
    let told = nobody.fetches("/api/x?y=1").await;
    told.is_refused("login_required");
    let login = format!("{}/oauth2/start?rd=", house.origin());
    let url = told.answer.json()["login_url"].as_str().unwrap_or_default().to_owned();
    assert!(url.starts_with(&login), "{url}");
    assert_eq!(told.answer.field("www-authenticate"), Some("Session realm=\"payroll\", error=\"login_required\""));
    let form = Ask::post("/save", "application/x-www-form-urlencoded", "a=b").with("Accept", "*/*");
    nobody.asks(&form).await.is_refused("login_required");
    assert_eq!(house.backend.count(), 0);
}

#[tokio::test]
async fn a_page_of_another_origin_opens_no_websocket() {
    let house = House::of(Plan::default().app("websocket_origins = [\"https://friend.example.com\"]")).await;
    let mut ann = house.browser_of("ann").await;
    house.backend.does(|_| answer("200 OK", "", "no websocket here"));
    let handshake = |origin: &str| {
        let ask = Ask::get("/ws").with("Connection", "Upgrade").with("Upgrade", "websocket").with("Origin", origin);
        ask.with("Sec-WebSocket-Version", "13").with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    async fn status(browser: &mut Browser, ask: Ask) -> u16 {
        browser.asks(&ask).await.answer.status
    }
    for origin in ["https://evil.example.com", "null", "http://localhost", "https://friend.example.com.evil.com", "x"] {
        house.backend.forget();
        assert_eq!(status(&mut ann, handshake(origin)).await, 403, "{origin}");
        assert_eq!(house.backend.count(), 0, "{origin}");
    }
    for origin in [house.origin().as_str(), "https://friend.example.com"] {
        assert_eq!(status(&mut ann, handshake(origin)).await, 200, "{origin}");
    }
    assert_eq!(status(&mut house.browser(), handshake(&house.origin())).await, 401);
}

#[tokio::test]
async fn an_app_sets_its_own_cookies_and_none_of_ours() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    house.backend.says(answer(
        "200 OK",
        "Set-Cookie: SID=1; HttpOnly\r\nSet-Cookie: __Host-portcullis=forged; Path=/; Secure\r\nset-cookie: \
         __Host-portcullis-flow-x=y; Secure; Path=/\r\nSet-Cookie: theme=dark\r\n",
        "hello from the app",
    ));
    let arrival = ann.get("/").await;
    arrival.is_let_in();
    let set: Vec<_> = arrival.answer.all("set-cookie").collect();
    // What the app hides from scripts travels sealed; what scripts must read passes as it is.
    assert!(
        matches!(set.as_slice(), [sid, "theme=dark"] if sid.starts_with("SID=pcl1.") && sid.ends_with("; HttpOnly")),
        "{set:?}"
    );
    ann.get("/").await.is_let_in();
    let mut sent =
        house.backend.last().field("cookie").expect("cookies").split("; ").map(str::to_owned).collect::<Vec<_>>();
    sent.sort();
    assert_eq!(sent, ["SID=1", "theme=dark"]);
}

#[tokio::test]
async fn a_large_cookie_of_an_app_comes_back_as_it_was_set_and_goes_when_the_app_says_so() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    let large = |size| "chunk/".chars().cycle().take(size).collect::<String>();
    let attributes = "Path=/; Secure; HttpOnly; SameSite=Lax; Partitioned";
    for (name, value) in [("__Host-auth", large(4050)), ("authC1", large(4050)), ("authC2", "\"x y\"".to_owned())] {
        let set = format!("Set-Cookie: {name}={value}; {attributes}\r\n");
        house.backend.says(answer("200 OK", &set, "hello from the app"));
        ann.get("/").await.is_let_in();
    }
    let names = ["__Host-auth", "__Host-auth.pcl2", "authC1", "authC1.pcl2", "authC2"];
    let of_the_app = |browser: &Browser| browser.cookie_names().into_iter().filter(|n| n.contains("auth")).collect();
    let held: Vec<String> = of_the_app(&ann);
    assert_eq!(held, names);
    house.backend.says(answer("200 OK", "", "hello from the app"));
    ann.get("/").await.is_let_in();
    let sent = house.backend.last().field("cookie").expect("cookies");
    assert_eq!(sent, format!("__Host-auth={0}; authC1={0}; authC2=\"x y\"", large(4050)));
    // What is half there is not there, and the other half is forgotten.
    let mut half = ann.clone();
    half.loses("authC1.pcl2");
    half.get("/").await.is_let_in();
    let sent = house.backend.last().field("cookie").expect("cookies");
    assert!(!sent.contains("authC1") && sent.contains("authC2"), "{sent}");
    assert_eq!(of_the_app(&half).into_iter().filter(|name: &String| name.contains("C1")).count(), 0);
    let fields =
        "Set-Cookie: __Host-auth=; Path=/; Secure; Max-Age=0\r\nSet-Cookie: authC1=small; Path=/; HttpOnly\r\n";
    house.backend.says(answer("200 OK", fields, "hello from the app"));
    ann.get("/").await.is_let_in();
    let held: Vec<String> = of_the_app(&ann);
    assert_eq!(held, ["authC2", "authC1"]);
}

#[tokio::test]
async fn the_sessions_cookie_is_tied_to_its_host_and_hidden_from_scripts() {
    let house = House::new().await;
    let mut ann = house.browser();
    let sent = ann.get("/").await;
    let callback = ann.answered_by_idp(&sent, "ann").await;
    let page = ann.goes_to(&callback).await;
    let cookie = page.answer.all("set-cookie").find(|c| c.starts_with("__Host-portcullis=")).expect("a session");
    let attributes: Vec<_> = cookie.split("; ").skip(1).collect();
    assert_eq!(attributes, ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"]);
}

#[tokio::test]
async fn what_a_page_repeats_is_escaped_and_runs_under_a_strict_policy() {
    let house = House::new().await;
    let mut ann = house.browser();
    let to = ann.get("/").await.is_sent_to_idp();
    let state = crate::harness::parameter(&to, "state").expect("a state");
    let evil = "\"><script>alert(1)</script>";
    let pairs = [("error", "access_denied"), ("error_description", evil), ("state", &state)];
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .append_pair("iss", house.demo.issuer.as_str())
        .finish();
    let page = ann.get(&format!("/oauth2/callback?{query}")).await;
    page.is_told(403, "did not sign you in");
    assert!(!page.answer.text().contains("<script"), "{}", page.answer.text());
    let policy = page.answer.field("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for path in
        ["/oauth2/%3Cscript%3E", "/oauth2/start?rd=javascript:alert(1)", "/oauth2/callback?state=%22%3E%3Cscript"]
    {
        let page = house.browser().get(path).await;
        assert!(!page.answer.text().contains("<script"), "{path}");
        assert!(!page.answer.field("location").unwrap_or_default().contains("javascript"), "{path}");
    }
}

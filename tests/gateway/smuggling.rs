//! Two programs must not read one stream of bytes as different requests.

use std::time::Duration;

use crate::harness::{Ask, House, Plan, Reply, Wire, answer, ok, soon};

/// What somebody tries to get past the gateway: a second request, without cookies.
const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-User: root\r\n\r\n";

/// Sends `head` (with ann's cookies for `@`) and `rest`. What the gateway answered, one status after the other; the app
/// must not have seen the second request.
async fn tries(house: &House, cookies: &str, head: &str, rest: &str) -> Vec<u16> {
    house.backend.forget();
    let usual = format!("Host: localhost\r\nCookie: {cookies}\r\nAccept: */*\r\nConnection: keep-alive\r\n");
    let mut wire = house.wire().await;
    wire.send(format!("{}{rest}", head.replace("@", &usual)).as_bytes()).await;
    let mut statuses = Vec::new();
    // The last of these is answered for sure, unless the connection was ended before.
    wire.send(b"GET /oauth2/auth HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    while let Some(answer) = wire.answer().await {
        statuses.push(answer.status);
    }
    for seen in house.backend.seen() {
        assert!(!seen.head.contains("/smuggled"), "the app saw the second request of\n{head}{rest}");
        assert!(!String::from_utf8_lossy(&seen.head.clone().into_bytes()).contains("root"), "{}", seen.head);
        let (lengths, codings) = (seen.all("content-length"), seen.all("transfer-encoding"));
        assert!(lengths.len() + codings.len() <= 1, "the app saw two lengths:\n{}", seen.head);
        assert!(codings.iter().all(|coding| coding == "chunked"), "{codings:?}");
    }
    statuses
}

#[tokio::test]
async fn a_body_whose_length_is_said_in_two_ways_is_refused() {
    let house = House::new().await;
    let cookies = house.browser_of("ann").await.cookies();
    for framing in [
        "Content-Length: 6\r\nTransfer-Encoding: xchunked",
        "Content-Length: 6\r\nTransfer-Encoding : chunked",
        "Content-Length: 6\r\nTransfer-Encoding:\r\n chunked",
        "Content-Length: 5\r\nContent-Length: 0",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 5 5",
        "Content-Length: 0x5",
        "Content-Length:",
        "Content-Length: 99999999999999999999999999",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding : chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "\u{0}Transfer-Encoding: chunked",
    ] {
        let head = format!("POST /a HTTP/1.1\r\n@{framing}\r\n\r\n");
        let statuses = tries(&house, &cookies, &head, &format!("0\r\n\r\n{SECOND}")).await;
        assert!(statuses.first().is_none_or(|status| (400..=501).contains(status)), "{framing}: {statuses:?}");
        assert!(house.backend.count() == 0, "{framing} reaches the app");
    }
}

#[tokio::test]
async fn chunks_overrule_a_length_and_nothing_is_read_after_them() {
    let house = House::new().await;
    let cookies = house.browser_of("ann").await.cookies();
    for framing in
        ["Content-Length: 6\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 600"]
    {
        let head = format!("POST /a HTTP/1.1\r\n@{framing}\r\n\r\n");
        let statuses = tries(&house, &cookies, &head, &format!("1\r\nx\r\n0\r\n\r\n{SECOND}")).await;
        // RFC 9112 §6.1 allows this or a 400: one reading, and the end of the connection.
        assert!(statuses.len() <= 1, "{framing}: {statuses:?}");
        assert!(house.backend.seen().iter().all(|seen| seen.body == b"x"), "{framing}");
    }
}

#[tokio::test]
async fn a_head_that_is_written_loosely_is_refused_or_read_in_one_way() {
    let house = House::new().await;
    let cookies = house.browser_of("ann").await.cookies();
    for head in [
        "GET /a HTTP/1.1\n@\r\n",
        "GET /a HTTP/1.1\r\n@X: y\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /a HTTP/1.1\r\n@X: y\rTransfer-Encoding: chunked\r\n\r\n",
        "GET /a HTTP/1.1\r\n@X : y\r\n\r\n",
        "GET /a HTTP/1.1\r\n@X: y\r\n folded\r\n\r\n",
        "GET /a HTTP/1.1\r\n@: y\r\n\r\n",
        "GET /a HTTP/1.1\r\n@X\r\n\r\n",
        "GET  /a HTTP/1.1\r\n@\r\n",
        "GET /a b HTTP/1.1\r\n@\r\n",
        "GET /a HTTP/1.1 \r\n@\r\n",
        "GET /a HTTP/9.9\r\n@\r\n",
        "GET /a\r\n@\r\n",
        "G@T /a HTTP/1.1\r\n\r\n",
        "\r\nGET /a HTTP/1.1\r\n@\r\n",
        "GET /a HTTP/1.0\r\n@Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let statuses = tries(&house, &cookies, head, SECOND).await;
        let own: Vec<_> = house.backend.seen().into_iter().map(|seen| (seen.method, seen.target)).collect();
        let read: Vec<_> = own.iter().map(|(method, target)| format!("{method} {target}")).collect();
        assert!(matches!(read.join(", ").as_str(), "" | "GET /a" | "GET /a%20b"), "{head}: {own:?} {statuses:?}");
        assert!(statuses.iter().skip(1).all(|status| [400, 401, 404, 421].contains(status)), "{head}: {statuses:?}");
    }
}

#[tokio::test]
async fn chunks_are_read_strictly() {
    let house = House::new().await;
    let cookies = house.browser_of("ann").await.cookies();
    let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(200_000));
    for body in [
        "0x1\r\nx\r\n0\r\n\r\n",
        "-1\r\nx\r\n0\r\n\r\n",
        "+1\r\nx\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nx\r\n0\r\n\r\n",
        "g\r\nx\r\n0\r\n\r\n",
        "\r\nx\r\n0\r\n\r\n",
        "1\nx\n0\n\n",
        "1\r\nxyz\r\n0\r\n\r\n",
        "5\r\nx\r\n0\r\n\r\n",
        long.as_str(),
    ] {
        let head = "POST /a HTTP/1.1\r\n@Transfer-Encoding: chunked\r\n\r\n";
        let statuses = tries(&house, &cookies, head, &format!("{body}{SECOND}")).await;
        let begin: String = body.chars().take(20).collect();
        assert!(statuses.len() <= 1, "{begin:?} is not the end of the connection: {statuses:?}");
    }
    let whole =
        tries(&house, &cookies, "POST /a HTTP/1.1\r\n@Transfer-Encoding: chunked\r\n\r\n", "3;a=b\r\nabc\r\n0\r\n\r\n");
    assert_eq!(whole.await.first(), Some(&200));
    assert_eq!(house.backend.last().body, b"abc");
}

#[tokio::test]
async fn a_connection_becomes_a_tunnel_only_when_the_app_agrees_to_a_websocket() {
    let house = House::new().await;
    let cookies = house.browser_of("ann").await.cookies();
    for upgrade in ["foo", "h2c", "TLS/1.0", "websocket", "websocket, h2c"] {
        let head = format!(
            "GET /a HTTP/1.1\r\n{}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n\
             \r\n",
            format_args!("Host: localhost\r\nCookie: {cookies}\r\nAccept: */*\r\n")
        );
        let statuses = tries(&house, &cookies, &head, SECOND).await;
        assert!(statuses.iter().skip(1).all(|status| [400, 401].contains(status)), "{upgrade}: {statuses:?}");
        for seen in house.backend.seen() {
            let asked = seen.all("upgrade");
            assert!(asked.is_empty() || asked == ["websocket"], "the app is asked for {asked:?}");
            assert_eq!(seen.all("http2-settings"), [""; 0]);
        }
    }
}

#[tokio::test]
async fn an_app_that_switches_to_what_nobody_may_ask_for_makes_no_tunnel() {
    let house = House::new().await;
    let cookies = house.browser_of("ann").await.cookies();
    let switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    house.backend.says(Reply::Echo(switched.to_vec()));
    let ask = Ask::get("/a").with("Connection", "Upgrade").with("Upgrade", "h2c").with("Cookie", &cookies);
    let mut wire = house.wire().await;
    wire.send(&ask.bytes("localhost")).await;
    let status = wire.head().await.map(|answer| answer.status);
    assert_ne!(status, Some(101), "h2c is no WebSocket");
}

#[tokio::test]
async fn a_head_larger_than_its_bound_is_refused() {
    let house = House::of(Plan::default().server("max_header = \"8KiB\"")).await;
    let cookies = house.browser_of("ann").await.cookies();
    let ask =
        |size: usize| Ask::get("/").with("Cookie", &cookies).with("X-Large", &"x".repeat(size)).with("Accept", "*/*");
    assert_eq!(house.asks(&ask(4_000)).await.status, 200);
    assert_eq!(house.asks(&ask(9_000)).await.status, 431);
    let many = (0..2_000).fold(Ask::get("/"), |ask, n| ask.with(&format!("X-{n}"), "y"));
    let mut wire = house.wire().await;
    wire.send(&many.bytes("localhost")).await;
    let status = wire.answer().await.map(|answer| answer.status);
    assert!(matches!(status, None | Some(400 | 431)), "{status:?}");
    assert_eq!(house.asks(&Ask::get(&format!("/{}", "x".repeat(200_000)))).await.status / 100, 4);
    assert_eq!(house.asks(&ask(1)).await.status, 200, "the gateway goes on");
}

#[tokio::test]
async fn a_body_larger_than_its_bound_is_refused_and_does_not_arrive() {
    let house = House::of(Plan::default().app("max_body = \"1KiB\"")).await;
    let cookies = house.browser_of("ann").await.cookies();
    let post =
        |length: usize| Ask::post("/", "text/plain", "x".repeat(length)).with("Cookie", &cookies).with("Accept", "*/*");
    assert_eq!(house.asks(&post(1024)).await.status, 200);
    house.backend.forget();
    let answer = house.asks(&post(1025)).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (413, Some("body_too_large")));
    assert_eq!(house.backend.count(), 0, "what is declared too large never reaches the app");
    let chunk = format!("200\r\n{}\r\n", "x".repeat(512));
    let mut wire = house.wire().await;
    let head =
        Ask::new("POST", "/").with("Transfer-Encoding", "chunked").with("Cookie", &cookies).with("Accept", "*/*");
    wire.send(&head.bytes("localhost")).await;
    for _ in 0..3 {
        wire.send(chunk.as_bytes()).await;
    }
    assert_eq!(wire.answer().await.map(|answer| answer.status), Some(413));
    house.backend.sees("the upload breaks off at the app", |log| log.iter().all(|seen| seen.ended)).await;
    assert!(house.backend.seen().iter().all(|seen| seen.body.len() <= 1024));
    assert!(!house.backend.seen().iter().any(|seen| seen.body.len() == 1536));
}

#[tokio::test]
async fn a_client_that_is_slow_to_ask_is_closed_at_the_bound() {
    let house = House::of(Plan::default().server("timeouts = { header_read = \"500ms\", keep_alive = \"1s\" }")).await;
    let mut silent = house.wire().await;
    let mut dribbling = house.wire().await;
    let mut idle = house.wire().await;
    idle.send(&Ask::get("/oauth2/auth").bytes("localhost")).await;
    assert_eq!(idle.answer().await.map(|answer| answer.status), Some(401));
    dribbling.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n").await;
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    soon("the dribbling client is closed", async {
        // Each byte comes well within any bound on a single read.
        while tokio::select! {
            biased;
            () = dribbling.is_ended() => false,
            _ = ticks.tick() => true,
        } {
            dribbling.offer(b"X").await;
        }
    })
    .await;
    silent.is_ended().await;
    idle.is_ended().await;
}

#[tokio::test]
async fn a_client_that_asks_for_the_end_of_its_connection_gets_it() {
    let house = House::new().await;
    let mut wire = house.wire().await;
    wire.send(&Ask::get("/oauth2/auth").with("Connection", "close").bytes("localhost")).await;
    assert_eq!(wire.answer().await.map(|answer| answer.status), Some(401));
    wire.is_ended().await;
}

#[tokio::test]
async fn one_connection_carries_the_requests_of_two_people_apart() {
    let house = House::new().await;
    let (ann, ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    house.backend.does(|seen| ok(&format!("for {}", seen.field("x-forwarded-user").unwrap_or_default())));
    let mut wire: Wire = house.wire().await;
    for (browser, body) in [(&ann, "for 00u-ann"), (&ben, "for 00u-ben"), (&ann, "for 00u-ann")] {
        wire.send(&Ask::get("/").with("Cookie", &browser.cookies()).bytes("localhost")).await;
        assert_eq!(wire.answer().await.expect("an answer").text(), body);
    }
    wire.send(&Ask::get("/").with("Accept", "*/*").bytes("localhost")).await;
    assert_eq!(wire.answer().await.expect("an answer").status, 401);
    house.backend.says(answer("200 OK", "", ""));
}

//! Apps of every kind: old, rude, many, down, behind TLS.

use crate::harness::tls::Authority;
use crate::harness::{Ask, Backend, GREETING, House, Plan, Reply, answer};

#[tokio::test]
async fn an_app_may_end_its_answer_by_closing() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    for head in
        ["HTTP/1.0 200 OK\r\n", "HTTP/1.0 200 OK\r\nConnection: close\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n"]
    {
        house.backend.says(Reply::Last(format!("{head}\r\n{GREETING}").into_bytes()));
        ann.get("/").await.is_let_in();
    }
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{GREETING}\r\n0\r\n\r\n", GREETING.len());
    house.backend.says(Reply::Bytes(chunked.into_bytes()));
    ann.get("/").await.is_let_in();
    // A client of HTTP/1.0 knows no chunks.
    let mut wire = house.wire().await;
    wire.send(format!("GET / HTTP/1.0\r\nHost: localhost\r\nCookie: {}\r\n\r\n", ann.cookies()).as_bytes()).await;
    let answer = wire.answer().await.expect("an answer");
    assert_eq!((answer.field("transfer-encoding"), answer.text().as_str()), (None, GREETING));
}

#[tokio::test]
async fn answers_without_a_body_stay_so() {
    let house = House::new().await;
    let cookies = house.browser_of("ann").await.cookies();
    let mut wire = house.wire().await;
    house.backend.does(|seen| match seen.method.as_str() {
        "HEAD" => Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n".to_vec()),
        "DELETE" => Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        _ => Reply::Bytes(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n".to_vec()),
    });
    for (method, status) in [("HEAD", 200), ("DELETE", 204), ("GET", 304), ("HEAD", 200)] {
        wire.send(&Ask::new(method, "/").with("Cookie", &cookies).bytes("localhost")).await;
        assert_eq!(wire.head().await.map(|answer| answer.status), Some(status), "{method}, all on one connection");
    }
}

#[tokio::test]
async fn an_app_that_breaks_off_gets_a_page_of_ours_instead() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    for reply in [Reply::Reset, Reply::Last(Vec::new()), Reply::Last(b"nonsense\r\n\r\n".to_vec())] {
        house.backend.says(reply.clone());
        let arrival = ann.get("/").await;
        arrival.is_told(502, "payroll is not answering");
        let told = ann.fetches("/").await;
        assert_eq!((told.answer.status, told.answer.json()["error"].as_str()), (502, Some("app_down")), "{reply:?}");
    }
    house.backend.says(answer("500 Internal Server Error", "", "my own trouble"));
    assert_eq!(ann.get("/").await.answer.text(), "my own trouble", "what the app says is left alone");
    house.backend.says(answer("200 OK", "", GREETING));
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn a_request_that_reached_an_app_is_not_sent_twice() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    // A connection that is kept, on which the app then answers nothing.
    ann.get("/").await.is_let_in();
    house.backend.forget();
    house.backend.says(Reply::Reset);
    let post = Ask::post("/pay", "application/json", "{}").with("Accept", "*/*");
    assert_eq!(ann.asks(&post).await.answer.status, 502);
    assert_eq!(house.backend.seen().iter().filter(|seen| seen.method == "POST").count(), 1);
}

#[tokio::test]
async fn servers_take_turns_and_one_that_is_down_is_passed_over() {
    let other = Backend::start().await;
    let upstreams = format!("\"http://@backend@\", \"http://127.0.0.1:@spare@\", \"http://{}\"", other.address());
    let house = House::of(Plan::default().upstreams(&upstreams)).await;
    let mut ann = house.browser_of("ann").await;
    for _ in 0..20 {
        ann.get("/").await.is_let_in();
    }
    let counts = [house.backend.count(), other.count()];
    assert!(counts.iter().all(|count| *count >= 5) && counts.iter().sum::<usize>() >= 20, "{counts:?}");
}

#[tokio::test]
async fn an_app_that_is_down_gets_a_page() {
    let house = House::of(Plan::default().upstreams("\"http://127.0.0.1:@spare@\"")).await;
    let mut ann = house.browser();
    let arrival = ann.signs_in("ann").await;
    arrival.is_told(502, "payroll is not answering");
}

#[tokio::test]
async fn a_server_behind_tls_is_trusted_by_its_name_and_authority_only() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for (trusted, name, status) in
        [(&authority, "app.internal", 200), (&authority, "other.internal", 502), (&stranger, "app.internal", 502)]
    {
        let server = Backend::start_tls(authority.certify(&["app.internal"]).server()).await;
        let plan = Plan::default()
            .file("ca.pem", &trusted.pem())
            .upstreams(&format!("\"https://{}\"", server.address()))
            .app(&format!("upstream = {{ ca_file = \"ca.pem\", server_name = \"{name}\" }}"));
        let house = House::of(plan).await;
        let arrival = house.browser().signs_in("ann").await;
        assert_eq!(arrival.answer.status, status, "{name}: {}", arrival.answer.text());
        assert_eq!(server.count() > 0, status == 200);
    }
}

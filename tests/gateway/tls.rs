//! TLS and HTTP/2 in front.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, Response};
use tokio::task::JoinSet;

use crate::harness::tls::{Authority, Pair};
use crate::harness::{Ask, Browser, GREETING, House, Plan, Reply, Wire, soon};

const ORIGIN: &str = "https://tls.example.com";

/// A house with a TLS listener that has a certificate for each of two names.
async fn house(authority: &Authority) -> House {
    house_that(authority, "").await
}

/// The same, with more lines of `[server]`.
async fn house_that(authority: &Authority, server: &str) -> House {
    let [first, second] = [&["tls.example.com"], &["wiki.example.com"]].map(|names| authority.certify(names));
    let (Pair { cert: c1, key: k1 }, Pair { cert: c2, key: k2 }) = (first, second);
    let app = |name: &str| {
        format!(
            "[apps.{name}]\nurl = \"https://{name}.example.com\"\nupstreams = [\"http://@backend@\"]\nidp = \"demo\"\n"
        )
    };
    let plan = Plan::default()
        .file("1.pem", &c1)
        .file("1.key", &k1)
        .file("2.pem", &c2)
        .file("2.key", &k2)
        .server(&format!(
            "{server}\ntls = [{{ listen = \"127.0.0.1:@tls@\", cert_file = \"1.pem\", key_file = \"1.key\", certificates = [\
             {{ cert_file = \"2.pem\", key_file = \"2.key\" }}] }}]",
        ))
        .more(&format!("{}{}", app("tls"), app("wiki")));
    House::of(plan).await
}

/// A browser in which `user` has signed in at the TLS host.
async fn browser_of(house: &House, user: &str) -> Browser {
    let mut browser = house.browser();
    browser.at(ORIGIN);
    browser.signs_in(user).await.is_let_in();
    browser
}

/// An HTTP/2 connection; it lives as long as the tasks.
async fn connect(house: &House, authority: &Authority, tasks: &mut JoinSet<()>) -> SendRequest<Bytes> {
    let stream = authority.connect(house.tls_address(), "tls.example.com", &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (client, connection) = soon("an HTTP/2 connection", h2::client::handshake(stream)).await.expect("HTTP/2");
    tasks.spawn(async move {
        let _ended = connection.await;
    });
    client
}

async fn asks(client: &SendRequest<Bytes>, request: Request<()>) -> Result<Response<h2::RecvStream>, h2::Error> {
    let mut client = soon("a stream", client.clone().ready()).await?;
    let (answer, _body) = client.send_request(request, true)?;
    soon("an answer", answer).await
}

fn request(path: &str) -> http::request::Builder {
    Request::builder().uri(format!("{ORIGIN}{path}")).header("accept", "*/*")
}

#[tokio::test]
async fn each_name_gets_its_certificate_and_an_unknown_one_the_listeners_own() {
    let authority = Authority::new();
    let house = house(&authority).await;
    for name in ["tls.example.com", "wiki.example.com"] {
        let mut wire = Wire::over(authority.connect(house.tls_address(), name, &["http/1.1"]).await);
        wire.send(&Ask::get("/").with("Accept", "*/*").bytes(name)).await;
        let answer = wire.answer().await.expect("an answer");
        assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("login_required")), "{name}");
    }
}

#[tokio::test]
async fn http_2_carries_a_session_in_split_cookies_to_an_app_that_gets_one_field() {
    let (authority, mut tasks) = (Authority::new(), JoinSet::new());
    let house = house(&authority).await;
    let ann = browser_of(&house, "ann").await;
    let client = connect(&house, &authority, &mut tasks).await;
    let split = request("/x").header("cookie", "a=b").header("cookie", ann.cookies()).header("cookie", "c=d");
    let answer = asks(&client, split.body(()).expect("a request")).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let seen = house.backend.last();
    assert_eq!(seen.all("cookie"), ["a=b; c=d"]);
    assert_eq!((seen.target.as_str(), seen.field("host").as_deref()), ("/x", Some("tls.example.com")));

    house.backend.forget();
    let two_hosts = request("/x").header("cookie", ann.cookies()).header("host", "wiki.example.com");
    let refused = asks(&client, two_hosts.body(()).expect("a request")).await.map(|answer| answer.status().as_u16());
    assert!(refused.as_ref().is_err() || refused.as_ref().is_ok_and(|status| *status == 400), "{refused:?}");
    assert_eq!(house.backend.count(), 0);
}

#[tokio::test]
async fn a_grpc_client_without_a_session_reads_that_in_its_own_words() {
    let (authority, mut tasks) = (Authority::new(), JoinSet::new());
    let house = house(&authority).await;
    let client = connect(&house, &authority, &mut tasks).await;
    let call =
        request("/pay.Payroll/List").method("POST").header("content-type", "application/grpc").header("te", "trailers");
    let answer = asks(&client, call.body(()).expect("a request")).await.expect("an answer");
    let field = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!((answer.status().as_u16(), field("content-type")), (200, "application/grpc"));
    assert_eq!((field("grpc-status"), field("grpc-message")), ("16", "login_required"));
    assert_eq!(house.backend.count(), 0);
}

#[tokio::test]
async fn a_revocation_resets_one_stream_and_leaves_its_neighbours_on_the_connection() {
    let (authority, mut tasks) = (Authority::new(), JoinSet::new());
    let house = house(&authority).await;
    let (ann, ben) = (browser_of(&house, "ann").await, browser_of(&house, "ben").await);
    house.backend.does(|seen| match seen.target.as_str() {
        "/events" => Reply::Open(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n".to_vec()),
        _ => crate::harness::ok(GREETING),
    });
    let client = connect(&house, &authority, &mut tasks).await;
    let mut bodies = Vec::new();
    for browser in [&ann, &ben] {
        let events = request("/events").header("cookie", browser.cookies());
        let mut body = asks(&client, events.body(()).expect("a request")).await.expect("an answer").into_body();
        let first = soon("the first event", body.data()).await.expect("data").expect("no reset");
        assert_eq!(first.as_ref(), b"data: one\n\n");
        bodies.push(body);
    }
    house.revokes("ann").await;
    let end = soon("ann's stream ends", bodies[0].data()).await;
    assert!(end.is_none_or(|data| data.is_err()), "nothing more comes on it");
    let again = request("/").header("cookie", ben.cookies());
    let answer = asks(&client, again.body(()).expect("a request")).await.expect("the connection goes on");
    assert_eq!(answer.status(), 200);
    let refused = request("/").header("cookie", ann.cookies());
    assert_eq!(asks(&client, refused.body(()).expect("a request")).await.expect("an answer").status(), 401);
    let of = |user: &'static str| {
        move |seen: &&crate::harness::Seen| seen.field("x-forwarded-user").as_deref() == Some(user)
    };
    house
        .backend
        .sees("ann's events end at the app", |log| log.iter().filter(of("00u-ann")).all(|seen| seen.ended))
        .await;
    let running = |seen: &&crate::harness::Seen| seen.target == "/events" && !seen.ended;
    assert_eq!(house.backend.seen().iter().filter(of("00u-ben")).filter(running).count(), 1, "ben's goes on");
}

#[tokio::test]
async fn a_gateway_that_drains_says_goaway_and_ends_no_stream_before_the_bound() {
    let (authority, mut tasks) = (Authority::new(), JoinSet::new());
    let house = house_that(&authority, "timeouts = { shutdown = \"60s\", drain_lead = \"30s\" }").await;
    let ann = browser_of(&house, "ann").await;
    house
        .backend
        .says(Reply::Open(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n".to_vec()));
    let client = connect(&house, &authority, &mut tasks).await;
    let events = || request("/events").header("cookie", ann.cookies()).body(()).expect("a request");
    let mut body = asks(&client, events()).await.expect("an answer").into_body();
    soon("the first event", body.data()).await.expect("data").expect("no reset");
    house.drains();
    soon("GOAWAY", async {
        // The client's library takes no new stream once it was told (RFC 9113 §6.8).
        while asks(&client, events()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The listener is still there for whoever was not told yet.
    let later = connect(&house, &authority, &mut tasks).await;
    assert_eq!(asks(&later, events()).await.expect("an answer").status(), 200);
    let still = tokio::time::timeout(std::time::Duration::from_millis(100), body.data()).await;
    assert!(still.is_err(), "the stream goes on: {still:?}");
}

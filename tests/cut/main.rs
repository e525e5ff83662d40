//! What is in flight when a session ends: every stream of that person is closed on both sides, nobody else's is.
//!
//! `PORTCULLIS_CUT_FULL=1` makes the crowd a large one: 1,000 WebSockets and 100 downloads of 100 people.
#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod house;
mod kinds;

use std::time::Duration;

use futures_util::FutureExt as _;
use house::{Client, House, PING, TLS_HOST, Via, soon};
use portcullis::time::{Clock, Timestamp};

/// The Close frame: 1008, and why (RFC 6455 §5.5.1).
const CLOSE: &[u8] = b"\x88\x11\x03\xf0session is over";

/// Somebody's exchange.
struct Theirs {
    user: String,
    download: bool,
    client: Client,
}

/// The middle and the slowest but one in a hundred, in milliseconds.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    format!("p50 {:.1} ms, p99 {:.1} ms", at(50), at(99))
}

/// Lets `sockets` WebSockets and `downloads` downloads of `users` people run, ends the sessions of some, and looks.
async fn a_crowd(via: Via, users: usize, revoked: usize, sockets: usize, downloads: usize) {
    let house = House::new(Clock::System).await;
    let mut all = Vec::new();
    for n in 0..sockets + downloads {
        let (user, download) = (format!("user-{}", n % users), n >= sockets);
        let client = if download {
            let client = house.begin(via, &user, "GET /file", "", b"").await;
            client.has("a download", |got| got.bytes > 1_200_000).await;
            client
        } else {
            house.websocket(via, &user).await
        };
        all.push(Theirs { user, download, client });
    }
    let (mut from_signal, mut from_202) = (Vec::new(), Vec::new());
    for n in 0..revoked {
        let user = format!("user-{}", n * users / revoked);
        let begun = house.watch.elapsed();
        let acknowledged = house.revoke(&user).await;
        let (theirs, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|theirs| theirs.user == user);
        assert!(!theirs.is_empty());
        for Theirs { client, download, .. } in &theirs {
            let got = client.ends(&format!("an exchange of {user}")).await;
            assert_eq!(got.tail.ends_with(CLOSE), !download, "a WebSocket is told why: {:?}", got.tail);
            let ended = got.ended.expect("it ended");
            from_signal.push(ended.saturating_sub(begun));
            from_202.push(ended.saturating_sub(acknowledged));
        }
        house.app.has(&user, "/ws", 0).await;
        house.app.has(&user, "/file", 0).await;
        all = others;
    }
    let cut = from_202.len();
    for theirs in &mut all {
        let before = theirs.client.now();
        assert!(before.ended.is_none(), "{} was not revoked", theirs.user);
        if !theirs.download {
            theirs.client.send(PING).await;
        }
        let goes_on = |got: &house::Got| got.bytes > before.bytes || got.ended.is_some();
        let after = theirs.client.has("the others go on", goes_on).await;
        assert!(after.ended.is_none() && after.bytes > before.bytes, "{} was not revoked", theirs.user);
    }
    println!(
        "{via:?}: {sockets} WebSockets and {downloads} downloads of {users} people, {revoked} revoked: {cut} closed, \
         {} others go on. From the signal: {}; from the 202: {}",
        all.len(),
        spread(from_signal),
        spread(from_202),
    );
    let counted = |kind| format!("portcullis_exchanges_cut_total{{kind=\"{kind}\"}}");
    let (ws, file) = (house.metric(&counted("websocket")).await, house.metric(&counted("download")).await);
    assert_eq!(usize::try_from(ws + file).expect("small"), cut);
    drop(all);
    house.is_quiet().await;
}

#[expect(clippy::disallowed_methods, reason = "a test has no config file")]
fn full() -> bool {
    std::env::var("PORTCULLIS_CUT_FULL").is_ok_and(|value| value == "1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_crowd_all_exchanges_of_whom_is_revoked_close_and_no_others() {
    if full() {
        return a_crowd(Via::Tls, 100, 10, 1_000, 100).await;
    }
    a_crowd(Via::Plain, 20, 2, 200, 40).await;
    a_crowd(Via::Tls, 20, 2, 200, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http2_stream_is_reset_and_its_neighbours_on_the_connection_go_on() {
    let house = House::new(Clock::System).await;
    let connection = house.connect(Via::Tls, &["h2"]).await;
    // Nobody's unread bytes keep the others waiting.
    let mut wide = h2::client::Builder::new();
    wide.initial_window_size(1 << 24).initial_connection_window_size(1 << 26);
    let (mut client, connection) = soon("HTTP/2", wide.handshake::<_, bytes::Bytes>(connection)).await.expect("HTTP/2");
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let _ended = connection.await;
    });
    let mut streams = Vec::new();
    for (user, path) in
        [("ann", "/events"), ("ben", "/stream"), ("ann", "/stream"), ("ben", "/events"), ("ann", "/slow")]
    {
        let request = http::Request::get(format!("https://{TLS_HOST}{path}"))
            .header("cookie", house.cookie(user, Via::Tls, None));
        client = soon("a stream", client.ready()).await.expect("a stream");
        let (answer, _) = client.send_request(request.body(()).expect("a request"), true).expect("sent");
        house.app.has(user, path, 1).await;
        streams.push((user, path, answer));
    }
    house.revoke("ann").await;
    for (user, path, answer) in streams {
        let reset = soon("a stream's end", async {
            let mut come = 0;
            let mut body = match answer.await {
                Ok(answer) => answer.into_body(),
                Err(error) => return Some(error.reason()),
            };
            loop {
                match body.data().await {
                    Some(Err(error)) => return Some(error.reason()),
                    None => return Some(None),
                    Some(Ok(bytes)) => {
                        body.flow_control().release_capacity(bytes.len()).expect("capacity");
                        come += bytes.len();
                        // More than what was on its way at first; or nothing, for now.
                        let goes_on = match path {
                            "/events" => body.data().now_or_never().is_none(),
                            _ => come > 1_340_000,
                        };
                        if user == "ben" && goes_on {
                            return None;
                        }
                    }
                }
            }
        })
        .await;
        assert_eq!(reset, (user == "ann").then_some(Some(h2::Reason::CANCEL)), "{user} {path}");
        house.app.has(user, path, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_waits_for_the_app_is_answered_as_the_next_one_would_be() {
    let house = House::new(Clock::System).await;
    for via in [Via::Plain, Via::Tls] {
        let (user, page) = (format!("ann-{via:?}"), "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n");
        let fetch = house.begin(via, &user, "GET /slow", "Accept: application/json\r\n", b"").await;
        let link = house.begin(via, &user, "GET /slow?a=1", page, b"").await;
        let form = house.begin(via, &user, "POST /slow", "Content-Length: 10\r\n", b"half").await;
        let user = user.to_ascii_lowercase();
        house.app.has(&user, "/slow", 2).await;
        house.app.has(&user, "/slow?a=1", 1).await;
        house.revoke(&format!("ann-{via:?}")).await;
        for client in [fetch, form] {
            let got = client.ends("an answer").await;
            assert!(got.says("HTTP/1.1 401") && got.says("login_url") && got.says("session_revoked"), "{}", got.text());
        }
        let got = link.ends("a redirect").await;
        assert!(got.says("HTTP/1.1 302") && got.says("/oauth2/start?rd=%2Fslow%3Fa%3D1"), "{}", got.text());
        house.app.has(&user, "/slow", 0).await;
        house.app.has(&user, "/slow?a=1", 0).await;
    }
    assert_eq!(house.metric("portcullis_requests_blocked_total{reason=\"session_revoked\"}").await, 6);
    house.is_quiet().await;
    soon("the audit log", async {
        while house.audit().matches("GET /slow").count() < 4 || house.audit().matches("POST /slow").count() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_close_frame_goes_into_the_middle_of_a_frame() {
    let house = House::new(Clock::System).await;
    let (mut whole, mut half) = (house.websocket(Via::Plain, "ann").await, house.websocket(Via::Plain, "ann").await);
    whole.send(PING).await;
    half.send(&PING[..PING.len() - 1]).await;
    whole.has("an echo", |got| got.tail.ends_with(&[PING, PING].concat())).await;
    half.has("half an echo", |got| got.tail.ends_with(&PING[..PING.len() - 1])).await;
    house.revoke("ann").await;
    assert!(whole.ends("the WebSocket").await.tail.ends_with(CLOSE));
    assert!(half.ends("the WebSocket").await.tail.ends_with(&PING[..PING.len() - 1]), "it just ends");
    house.app.has("ann", "/ws", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_downloads_and_uploads_are_cut_and_counted_as_what_they_are() {
    let house = House::new(Clock::System).await;
    let mut clients = Vec::new();
    for via in [Via::Plain, Via::Tls] {
        for (line, least) in [("GET /events", 1), ("GET /file", 1_200_000), ("GET /stream", 1_200_000)] {
            let client = house.begin(via, "ann", line, "", b"").await;
            client.has(line, |got| got.bytes > least).await;
            clients.push(client);
        }
        // More than all buffers on the way hold, for an app that reads none of it.
        let mut upload = house.begin(via, "ann", "POST /stuck", "Content-Length: 90000000\r\n", b"").await;
        let piece = vec![0; 1 << 20];
        while tokio::time::timeout(Duration::from_millis(500), upload.send(&piece)).await.is_ok() {}
        clients.push(upload);
    }
    let neighbour = house.begin(Via::Tls, "ben", "GET /events", "", b"").await;
    neighbour.has("events", |got| got.says("data: one")).await;
    house.app.has("ann", "/stuck", 2).await;
    house.revoke("ann").await;
    for client in &clients {
        client.ends("an exchange of ann").await;
    }
    house.app.reads_on();
    for path in ["/events", "/file", "/stream", "/stuck"] {
        house.app.has("ann", path, 0).await;
    }
    for (kind, count) in [("sse", 2), ("download", 4), ("upload", 2), ("websocket", 0), ("request", 0)] {
        let name = format!("portcullis_exchanges_cut_total{{kind=\"{kind}\"}}");
        assert_eq!(house.metric(&name).await, count, "{kind}");
    }
    assert!(neighbour.now().ended.is_none());
    drop(neighbour);
    house.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_ends_with_the_session_not_before_and_public_pages_not_at_all() {
    let begin = Timestamp::from_secs(1_795_463_999);
    let house = House::new(Clock::manual(begin)).await;
    let end = begin.plus(Duration::from_secs(100));
    let cookie = house.cookie("ann", Via::Plain, Some(end));
    let events = house.begin_with(Via::Plain, &cookie, "GET /events", "", b"").await;
    let slow = house.begin_with(Via::Plain, &cookie, "GET /slow", "", b"").await;
    let public = house.begin_with(Via::Plain, &cookie, "GET /public", "", b"").await;
    let longer = house.begin(Via::Plain, "ann", "GET /events", "", b"").await;
    for client in [&events, &public, &longer] {
        client.has("events", |got| got.says("data: one")).await;
    }
    house.app.has("ann", "/slow", 1).await;
    house.clock.advance(Duration::from_secs(99));
    // Two looks at the clock later at the least: a second passes between two of them.
    let looked = tokio::time::timeout(Duration::from_millis(2_200), events.ends("nothing")).await;
    assert!(looked.is_err(), "a second is left");
    house.clock.advance(Duration::from_secs(1));
    events.ends("the events").await;
    let got = slow.ends("an answer").await;
    assert!(got.says("HTTP/1.1 401") && got.says("session_expired"), "{}", got.text());
    house.app.has("ann", "/events", 1).await;
    assert!(longer.now().ended.is_none() && public.now().ended.is_none());
    // The limit for idle sessions is no end of what is in use; the greatest age is.
    house.clock.advance(Duration::from_secs(43_200));
    longer.ends("the longer session").await;
    assert!(public.now().ended.is_none());
    assert_eq!(house.metric("portcullis_exchanges_cut_total{kind=\"sse\"}").await, 2);
}

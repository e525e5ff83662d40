//! The same crowd in other shapes: HTTP/2 streams of several people on one connection, event streams, uploads.

use std::time::Duration;

use portcullis::time::Clock;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::house::{House, TLS_HOST, Via, soon};
use crate::{full, spread};

/// When somebody's exchange ended, seen from the client.
struct Theirs {
    user: String,
    ended: watch::Receiver<Option<Duration>>,
}

/// People whose streams share an HTTP/2 connection.
const PER_CONNECTION: usize = 10;

/// One HTTP/2 stream for each of `users`, `PER_CONNECTION` of them on a connection.
async fn streams(house: &House, users: &[String], tasks: &mut JoinSet<()>) -> Vec<Theirs> {
    let mut all = Vec::new();
    for users in users.chunks(PER_CONNECTION) {
        let connection = house.connect(Via::Tls, &["h2"]).await;
        let (mut client, connection) = soon("HTTP/2", h2::client::handshake(connection)).await.expect("HTTP/2");
        tasks.spawn(async move {
            let _ended = connection.await;
        });
        for user in users {
            let request = http::Request::get(format!("https://{TLS_HOST}/events"))
                .header("cookie", house.cookie(user, Via::Tls, None));
            client = soon("a stream", client.ready()).await.expect("a stream");
            let (answer, _) = client.send_request(request.body(()).expect("a request"), true).expect("sent");
            let mut body = soon("an answer", answer).await.expect("an answer").into_body();
            let (told, ended) = watch::channel(None);
            let watch = house.watch;
            tasks.spawn(async move {
                while let Some(Ok(bytes)) = body.data().await {
                    let _gone = body.flow_control().release_capacity(bytes.len());
                }
                let _nobody = told.send(Some(watch.elapsed()));
            });
            all.push(Theirs { user: user.clone(), ended });
        }
    }
    all
}

/// One exchange of its own connection for each of `users`.
async fn exchanges(house: &House, users: &[String], line: &str, tasks: &mut JoinSet<()>) -> Vec<Theirs> {
    let mut all = Vec::new();
    for user in users {
        // An upload that pauses: the hooks of a proxy are not asked about it.
        let fields = if line.starts_with("POST") { "Content-Length: 90000000\r\n" } else { "" };
        let client = house.begin(Via::Tls, user, line, fields, b"half").await;
        let (told, ended) = watch::channel(None);
        tasks.spawn(async move {
            if let Some(at) = client.until_it_ends().await {
                let _nobody = told.send(Some(at));
            }
        });
        all.push(Theirs { user: user.clone(), ended });
    }
    all
}

async fn a_crowd(kind: &str, users: usize, revoked: usize, per_user: usize) {
    let house = House::new(Clock::System).await;
    let names: Vec<_> = (0..users).map(|n| format!("user-{n}")).collect();
    let mut tasks = JoinSet::new();
    let mut all = Vec::new();
    let (line, path) = match kind {
        "uploads" => ("POST /stuck", "/stuck"),
        _ => ("GET /events", "/events"),
    };
    for _ in 0..per_user {
        all.extend(match kind {
            "HTTP/2 streams" => streams(&house, &names, &mut tasks).await,
            _ => exchanges(&house, &names, line, &mut tasks).await,
        });
    }
    for user in &names {
        house.app.has(user, path, per_user).await;
    }
    let mut from_202 = Vec::new();
    for n in 0..revoked {
        let user = format!("user-{}", n * users / revoked);
        let acknowledged = house.revoke(&user).await;
        let (theirs, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|theirs| theirs.user == user);
        assert_eq!(theirs.len(), per_user);
        for Theirs { mut ended, .. } in theirs {
            let at = *soon("its end", ended.wait_for(Option::is_some)).await.expect("it is watched");
            from_202.push(at.expect("it ended").saturating_sub(acknowledged));
        }
        all = others;
    }
    // At the app, too; and nobody else's, on neither side.
    house.app.reads_on();
    for user in &names {
        let gone = (0..revoked).any(|n| *user == format!("user-{}", n * users / revoked));
        house.app.has(user, path, if gone { 0 } else { per_user }).await;
    }
    assert!(all.iter().all(|theirs| theirs.ended.borrow().is_none()), "somebody else's ended");
    println!(
        "TLS: {} {kind} of {users} people, {revoked} revoked: {} closed, {} others go on. From the 202: {}",
        users * per_user,
        from_202.len(),
        all.len(),
        spread(from_202),
    );
}

async fn crowd_of(kind: &str) {
    if full() { a_crowd(kind, 100, 10, 5).await } else { a_crowd(kind, 20, 2, 3).await }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_crowd_of_http2_streams_those_of_whom_is_revoked_are_reset_and_no_others() {
    crowd_of("HTTP/2 streams").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_crowd_of_event_streams_those_of_whom_is_revoked_end_and_no_others() {
    crowd_of("event streams").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_crowd_of_uploads_those_of_whom_is_revoked_end_and_no_others() {
    crowd_of("uploads").await;
}

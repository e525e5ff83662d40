//! Requests that are sent again under one `Idempotency-Key`: the first answer comes back, and nothing is done twice.
//!
//! Kept in memory, for a day. After a restart, or at another gateway, a repeat is done again: that never lets anybody in
//! who was out, but it throws out who signed in meanwhile. Whoever cannot have that says `as_of`, which needs no memory.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use super::api::Problem;
use super::{Told, json};
use crate::time::{Clock, Timestamp};

/// Answers that are kept. At the bound the oldest is forgotten.
const MOST: usize = 1_000;
/// How long one is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest key.
const LONGEST: usize = 255;

/// The name of the header.
const HEADER: &str = "idempotency-key";

/// What was asked and how it was answered, by key.
#[derive(Clone, Debug)]
pub(super) struct Repeats {
    clock: Clock,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known(HashMap<String, Entry>);

#[derive(Clone, Debug)]
struct Entry {
    /// SHA-256 of what was asked.
    asked: [u8; 32],
    since: Timestamp,
    /// `None` while it is being done.
    told: Option<Told>,
}

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing: it is to be done, and its answer kept.
    New,
    /// It was done.
    Done(Told),
    /// It is being done.
    Busy,
    /// Something else was asked under that key.
    Other,
}

impl Known {
    fn begin(&mut self, key: &str, asked: [u8; 32], now: Timestamp) -> Found {
        self.0.retain(|_, entry| now.since(entry.since) < KEPT);
        match self.0.get(key) {
            Some(entry) if entry.asked != asked => return Found::Other,
            Some(Entry { told: Some(told), .. }) => return Found::Done(told.clone()),
            Some(Entry { told: None, .. }) => return Found::Busy,
            None => {}
        }
        if self.0.len() >= MOST {
            let oldest = self.0.iter().filter(|(_, entry)| entry.told.is_some()).min_by_key(|(_, entry)| entry.since);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.0.remove(&key);
            }
        }
        self.0.insert(key.to_owned(), Entry { asked, since: now, told: None });
        Found::New
    }

    /// It was done; what was not done for good may be asked again.
    fn end(&mut self, key: &str, told: Option<Told>) {
        match (self.0.get_mut(key), told) {
            (Some(entry), Some(told)) => entry.told = Some(told),
            (Some(entry), None) if entry.told.is_none() => drop(self.0.remove(key)),
            _ => {}
        }
    }
}

/// Forgets a request whose answer never came, whatever the reason.
struct Under<'a> {
    repeats: &'a Repeats,
    key: &'a str,
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        self.repeats.with(|known| known.end(self.key, None));
    }
}

impl Repeats {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, known: Arc::default() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Known) -> T) -> T {
        act(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does `work`, which `what` and `request` ask for, once under `key`; without a key every time.
    pub(super) async fn once(
        &self,
        key: Option<String>,
        what: &str,
        request: &impl Serialize,
        work: impl Future<Output = Told>,
    ) -> Response {
        let Some(key) = key else { return work.await.response() };
        // Serialising plain structs with string keys into memory has no failing case. What was read counts, not how it was
        // written: a blank more is not another request.
        let text = serde_json::to_string(&(what, request)).unwrap_or_default();
        let mut asked = [0; 32];
        for (to, from) in asked.iter_mut().zip(digest(&SHA256, text.as_bytes()).as_ref()) {
            *to = *from;
        }
        let now = self.clock.now();
        match self.with(|known| known.begin(&key, asked, now)) {
            Found::New => {}
            Found::Done(told) => {
                let mut response = told.response();
                response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
                return response;
            }
            Found::Busy => {
                let remedy = "ask again in a moment; the answer will be that of the first";
                let mut response =
                    json(StatusCode::CONFLICT, &problem("the first request is still being done", remedy));
                response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
                return response;
            }
            Found::Other => {
                let remedy = "use a new key for a new request";
                return json(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    &problem("something else was asked for under this key", remedy),
                );
            }
        }
        let under = Under { repeats: self, key: &key };
        let told = work.await;
        if told.status == StatusCode::OK {
            self.with(|known| known.end(&key, Some(told.clone())));
        }
        drop(under);
        told.response()
    }
}

/// The key of a request, if it has one.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Box<Problem>> {
    let mut given = headers.get_all(HEADER).iter();
    let (first, second) = (given.next(), given.next());
    let Some(first) = first else { return Ok(None) };
    let plain = first.to_str().ok().filter(|key| {
        (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    });
    match (plain, second) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => Err(Box::new(problem(
            "it is no key",
            "send one `Idempotency-Key` of 1 to 255 plain characters, a UUID for example",
        ))),
    }
}

fn problem(error: &str, remedy: &str) -> Problem {
    let (field, remedy) = (Some("Idempotency-Key".to_owned()), Some(remedy.to_owned()));
    Problem { error: error.to_owned(), field, remedy, done: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str) -> Told {
        Told { status: StatusCode::OK, body: body.to_owned() }
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_key_stands_for_one_request_and_its_answer_for_a_day() {
        let (mut known, day) = (Known::default(), KEPT.as_secs());
        let (ann, ben) = ([1; 32], [2; 32]);
        assert_eq!(known.begin("k", ann, at(100)), Found::New);
        assert_eq!(known.begin("k", ann, at(101)), Found::Busy);
        assert_eq!(known.begin("k", ben, at(101)), Found::Other);
        known.end("k", Some(told("done")));
        // The guard of the same request goes a moment later, and takes nothing away.
        known.end("k", None);
        assert_eq!(known.begin("k", ann, at(99 + day)), Found::Done(told("done")));
        assert_eq!(known.begin("k", ben, at(99 + day)), Found::Other);
        assert_eq!(known.begin("k", ben, at(100 + day)), Found::New);
    }

    #[test]
    fn what_came_to_nothing_may_be_asked_again() {
        let mut known = Known::default();
        assert_eq!(known.begin("k", [1; 32], at(100)), Found::New);
        known.end("k", None);
        assert_eq!(known.begin("k", [2; 32], at(100)), Found::New);
    }

    #[test]
    fn at_the_bound_the_oldest_answer_goes_and_nothing_that_is_being_done() {
        let mut known = Known::default();
        assert_eq!(known.begin("busy", [0; 32], at(1)), Found::New);
        for n in 0..MOST + 10 {
            let key = n.to_string();
            assert_eq!(known.begin(&key, [1; 32], at(10 + n as u64)), Found::New);
            known.end(&key, Some(told(&key)));
            assert!(known.0.len() <= MOST);
        }
        assert_eq!(known.begin("busy", [0; 32], at(2_000)), Found::Busy);
        assert_eq!(known.begin("0", [1; 32], at(2_000)), Found::New, "the first is forgotten");
        let last = (MOST + 9).to_string();
        assert_eq!(known.begin(&last, [1; 32], at(2_000)), Found::Done(told(&last)));
    }

    /// Sends `body` under `key` to a door that was opened once; the answer's status and whether it is an old one.
    async fn sent(router: &axum::Router, path: &str, key: &str, body: &str) -> (u16, bool) {
        use tower::ServiceExt as _;
        let mut request = axum::extract::Request::post(path)
            .header("host", "127.0.0.1:9090")
            .header("authorization", format!("Bearer {}", super::super::tests::TOKEN))
            .header("content-type", "application/json");
        for key in key.split('|').filter(|key| !key.is_empty()) {
            request = request.header(HEADER, key);
        }
        let request = request.body(axum::body::Body::from(body.to_owned())).expect("request");
        let answer = router.clone().oneshot(request).await.expect("answer");
        (answer.status().as_u16(), answer.headers().contains_key("idempotency-replayed"))
    }

    #[tokio::test]
    async fn a_repeat_is_answered_as_the_first_time_and_done_once() {
        const ANN: &str = r#"{"whom":{"user":"ann"}}"#;
        let gateway = super::super::tests::gateway(true, true);
        let clock = Clock::manual(at(1_000));
        let door: Arc<dyn super::super::Gateway> = Arc::<super::super::tests::Scripted>::clone(&gateway);
        let token = crate::secret::Secret::new(super::super::tests::TOKEN.to_owned());
        let router = super::super::router(door, token, clock.clone());
        let long = "k".repeat(256);
        for (what, path, key, body, status, old, done) in [
            ("the first", "/v1/revocations", "k1", ANN, 200, false, 1),
            ("again", "/v1/revocations", "k1", ANN, 200, true, 1),
            ("again, written otherwise", "/v1/revocations", "k1", r#"{ "whom": { "user": "ann" } }"#, 200, true, 1),
            ("somebody else", "/v1/revocations", "k1", r#"{"whom":{"user":"ben"}}"#, 422, false, 1),
            ("something else", "/v1/lifts", "k1", ANN, 422, false, 1),
            ("another key", "/v1/revocations", "k2", ANN, 200, false, 2),
            ("no key", "/v1/revocations", "", ANN, 200, false, 3),
            ("a dry run", "/v1/revocations", "k1", r#"{"whom":{"user":"ann"},"dry_run":true}"#, 200, false, 4),
            ("what was not done", "/v1/revocations", "k3", r#"{"whom":{}}"#, 422, false, 4),
            ("may be done then", "/v1/revocations", "k3", ANN, 200, false, 5),
            ("a lifting", "/v1/lifts", "k4", ANN, 200, false, 5),
            ("a lifting again", "/v1/lifts", "k4", ANN, 200, true, 5),
            ("two keys", "/v1/revocations", "k1|k2", ANN, 400, false, 5),
            ("an endless key", "/v1/revocations", &long, ANN, 400, false, 5),
        ] {
            assert_eq!(sent(&router, path, key, body).await, (status, old), "{what}");
            assert_eq!(gateway.asked.lock().expect("lock").len(), done, "{what}");
        }
        clock.advance(KEPT);
        assert_eq!(sent(&router, "/v1/revocations", "k1", ANN).await, (200, false), "a day later");
    }

    #[tokio::test]
    async fn what_is_not_durable_may_be_sent_again_under_its_key() {
        let gateway = super::super::tests::gateway(false, true);
        let door: Arc<dyn super::super::Gateway> = Arc::<super::super::tests::Scripted>::clone(&gateway);
        let token = crate::secret::Secret::new(super::super::tests::TOKEN.to_owned());
        let router = super::super::router(door, token, Clock::manual(at(1_000)));
        for done in 1..=2 {
            let told = sent(&router, "/v1/revocations", "k1", r#"{"whom":{"user":"ann"}}"#).await;
            assert_eq!((told, gateway.asked.lock().expect("lock").len()), ((503, false), done));
        }
    }
}

//! "Payroll 2003": an app with a session of its own that it believes for ever, as old apps do.
//!
//! It learns who somebody is from the identity headers of their first visit, puts that under its own cookie, and
//! never asks again. A counter over WebSocket, one over server-sent events, and a download that does not end show
//! what a revocation does to exchanges in flight.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::{any, get};
use futures_util::{Stream, stream};
use serde::Serialize;

use super::random_id;
use crate::page::escape;
use crate::time::{Clock, Timestamp};

/// The cookie that holds the app's session.
pub const COOKIE: &str = "LEGACYSESSID";

/// What the demo's page tells its reader besides the app's own affairs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where sessions can be ended by hand.
    pub desk: String,
    /// The command that ends a session; `{user}` in it becomes the name of whoever looks at the page.
    pub command: String,
}

/// The app. Clones share their sessions.
#[derive(Clone)]
pub struct Legacy(Arc<Inner>);

struct Inner {
    settings: Settings,
    clock: Clock,
    /// Guards the sessions alone; held for one look-up at a time.
    sessions: Mutex<HashMap<String, Session>>,
}

/// What the app remembers under its cookie.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    /// Who it is, as the first request with an identity said.
    pub user: Option<String>,
    /// Their address, likewise.
    pub email: Option<String>,
    /// Their groups, likewise.
    pub groups: Option<String>,
    /// How many pages were looked at.
    pub visits: u64,
    /// Since when.
    pub since: Timestamp,
}

/// The answer of `/api/me`, and of any path under `/api/echo`: what reached the app.
#[derive(Debug, Serialize)]
struct Seen {
    /// What the session says; `None` for a request that came without one.
    session: Option<Session>,
    /// The value of the app's own cookie as it arrived here.
    session_id: Option<String>,
    /// Every header of the request, in order; values that are not text are left out.
    headers: Vec<(String, String)>,
}

impl Legacy {
    /// An app without sessions.
    pub fn new(settings: Settings, clock: Clock) -> Self {
        Self(Arc::new(Inner { settings, clock, sessions: Mutex::default() }))
    }

    /// Its pages and streams.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(home))
            .route("/app.js", get(|| asset("text/javascript; charset=utf-8", SCRIPT)))
            .route("/app.css", get(|| asset("text/css; charset=utf-8", STYLE)))
            .route("/api/now", get(now))
            .route("/api/me", get(seen))
            .route("/api/echo/{*rest}", any(seen))
            .route("/ws", get(counter_socket))
            .route("/events", get(|| async { Sse::new(counter_events()) }))
            .route("/download", get(download))
            .with_state(self.clone())
    }

    /// How many sessions the app believes in.
    pub fn sessions(&self) -> usize {
        self.locked().len()
    }

    /// The session of the request's cookie, counted as visited; a new one, with its cookie, if there is none.
    fn visit(&self, headers: &HeaderMap) -> (String, Session, Option<HeaderValue>) {
        let told = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let mut sessions = self.locked();
        let (id, fresh) = match session_id(headers).filter(|id| sessions.contains_key(id)) {
            Some(id) => (id, false),
            None => (random_id(), true),
        };
        if sessions.len() >= MAX_SESSIONS {
            // An old app at its limit forgets everybody, like one that was restarted.
            sessions.clear();
        }
        let session = sessions.entry(id.clone()).or_insert_with(|| Session {
            user: None,
            email: None,
            groups: None,
            visits: 0,
            since: self.0.clock.now(),
        });
        if session.user.is_none() {
            session.user = told("x-forwarded-user");
            session.email = told("x-forwarded-email");
            session.groups = told("x-forwarded-groups");
        }
        session.visits += 1;
        let cookie = fresh.then(|| HeaderValue::from_str(&format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Lax")));
        (id, session.clone(), cookie.and_then(Result::ok))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<String, Session>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Legacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Legacy").field("sessions", &self.sessions()).finish()
    }
}

/// The page, with what the app knows filled in.
async fn home(State(app): State<Legacy>, headers: HeaderMap) -> Response {
    let (id, session, cookie) = app.visit(&headers);
    let user = session.user.as_deref().unwrap_or("nobody");
    let name = session.email.as_deref().and_then(|email| email.split('@').next()).unwrap_or("ann");
    let short: String = id.chars().take(6).collect();
    // One pass per name; a value is escaped before it goes in, and no value contains `{{`.
    let html = [
        ("{{user}}", user),
        ("{{email}}", session.email.as_deref().unwrap_or("no address given")),
        ("{{groups}}", session.groups.as_deref().unwrap_or("none")),
        ("{{session}}", &short),
        ("{{visits}}", &session.visits.to_string()),
        ("{{since}}", &session.since.to_string()),
        ("{{desk}}", &app.0.settings.desk),
        ("{{command}}", &app.0.settings.command.replace("{user}", name)),
    ]
    .into_iter()
    .fold(PAGE.to_owned(), |html, (place, value)| html.replace(place, &escape(value).replace("{{", "{ {")));
    let mut response = Html(html).into_response();
    let fields = response.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    if let Some(cookie) = cookie {
        fields.append(header::SET_COOKIE, cookie);
    }
    response
}

/// The request button's other end.
async fn now(State(app): State<Legacy>) -> Response {
    no_store(Json(serde_json::json!({ "now": app.0.clock.now() })))
}

/// What reached the app: for tests, and for whoever wants to see what the gateway hands on.
async fn seen(State(app): State<Legacy>, request: Request) -> Response {
    let headers = request.headers();
    let id = session_id(headers);
    let session = id.as_ref().and_then(|id| app.locked().get(id).cloned());
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = headers.iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect();
    no_store(Json(Seen { session, session_id: id, headers }))
}

/// Counts over a WebSocket until the other side goes.
async fn counter_socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket: WebSocket| {
        let mut ticks = tokio::time::interval(TICK);
        for count in 1_u64.. {
            tokio::select! {
                _ = ticks.tick() => {
                    if socket.send(Message::text(count.to_string())).await.is_err() {
                        return;
                    }
                }
                received = socket.recv() => {
                    if !matches!(received, Some(Ok(_))) {
                        return;
                    }
                }
            }
        }
    })
}

/// Counts over server-sent events.
fn counter_events() -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(1_u64, async |count| {
        tokio::time::sleep(TICK).await;
        Some((Ok(Event::default().data(count.to_string())), count + 1))
    })
}

/// A file without end: a line of payroll every tick.
async fn download() -> Response {
    let lines = stream::unfold(1_u64, async |line| {
        tokio::time::sleep(TICK).await;
        let text = format!("{line:08};salary;EUR;{:>10}.00;paid\n", 2_000 + line * 7 % 3_000);
        Some((Ok::<_, Infallible>(Bytes::from(text.repeat(8))), line + 1))
    });
    let fields = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"payroll.csv\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (fields, Body::from_stream(lines)).into_response()
}

async fn asset(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-cache")], text)
}

fn no_store(body: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// The value of the app's own cookie.
fn session_id(headers: &HeaderMap) -> Option<String> {
    super::cookie(headers, COOKIE)
}

/// How often the counters move: often enough that the moment of a cut is seen to a tenth of a second.
const TICK: Duration = Duration::from_millis(100);

/// Sessions that the app remembers.
const MAX_SESSIONS: usize = 10_000;

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = include_str!("pages/payroll.html");
const SCRIPT: &str = include_str!("pages/app.js");
const STYLE: &str = include_str!("pages/app.css");

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> Legacy {
        let settings = Settings { desk: "http://127.0.0.1:1/desk".into(), command: "revoke {user}".into() };
        Legacy::new(settings, Clock::manual(Timestamp::from_secs(1)))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().expect("name"), value.parse().expect("value"))).collect()
    }

    #[test]
    fn the_app_believes_its_own_cookie_whoever_comes_with_it() {
        let app = app();
        let (id, session, cookie) = app.visit(&headers(&[("x-forwarded-user", "ann")]));
        assert_eq!(session.user.as_deref(), Some("ann"));
        let cookie = cookie.expect("a first visit sets the cookie");
        assert!(cookie.to_str().expect("text").contains("HttpOnly"));
        let own = format!("{COOKIE}={id}");
        let (_, session, cookie) = app.visit(&headers(&[("x-forwarded-user", "ben"), ("cookie", &own)]));
        assert_eq!((session.user.as_deref(), session.visits), (Some("ann"), 2));
        assert_eq!(cookie, None);
    }

    #[test]
    fn an_unknown_cookie_is_replaced() {
        let app = app();
        let (id, _, cookie) = app.visit(&headers(&[("cookie", "LEGACYSESSID=made-up")]));
        assert_ne!(id, "made-up");
        assert!(cookie.is_some());
    }

    #[tokio::test]
    async fn what_a_header_says_cannot_break_out_of_the_page() {
        let response =
            home(State(app()), headers(&[("x-forwarded-user", "\"><script>alert(1)</script>{{desk}}")])).await;
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("body");
        let html = String::from_utf8(body.to_vec()).expect("text");
        assert!(html.contains("&lt;script&gt;alert(1)"), "{html}");
        assert!(!html.contains("<script>alert"), "{html}");
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        for text in [PAGE, SCRIPT, STYLE] {
            assert!(!text.contains("https://") && !text.contains("//cdn"), "{text}");
        }
        assert!(!PAGE.contains("style=") && !PAGE.contains("onclick="));
    }
}

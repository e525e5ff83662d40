//! The operators' door, on a loopback listener.
//!
//! | what | token | answer |
//! |---|---|---|
//! | `GET /ping` | no | 200 while the process lives |
//! | `GET /ready` | no | 200, or 503 with the reasons why no requests are taken |
//! | `GET /metrics` | no | Prometheus text; it holds counts and configured names, never people |
//! | `GET /v1/status` | yes | [`Status`] |
//! | `GET /v1/openapi.json` | no | all of this, for programs (OpenAPI 3.1) |
//! | `POST /v1/reload` | yes | [`ReloadAnswer`]: the config is read again; 200 means that what the file says runs |
//! | `POST /v1/revocations` | yes | [`RevokeAnswer`]; 200 means in force and durable, 503 in force but not durable |
//! | `GET /v1/approvals` | yes | what is not in force and awaits approval: a list of [`Waiting`] |
//! | `POST /v1/approvals` | yes | [`ApprovalAnswer`] |
//! | `GET /v1/holds` | yes | who is on hold: a list of [`Hold`] |
//! | `GET /v1/outcomes`, `/v1/outcomes/{id}` | yes | what revocations did: [`OutcomeList`], [`Outcome`] |
//! | `POST /v1/lifts` | yes | [`LiftAnswer`]; 200 means lifted and durable |
//! | `GET /v1/streams/NAME` | yes | [`StreamAnswer`]: how a stream is, here and at its transmitter |
//! | `POST /v1/streams/NAME` | yes | the same, after a [`StreamRequest`] was done |
//!
//! What changes something takes an `Idempotency-Key`: sent again with the same key it is done once.
//!
//! Web pages must not reach it through a browser on the same machine: a request whose `Host` is not loopback is refused
//! (DNS rebinding), whatever it asks for.

mod api;
mod approvals;
mod holds;
mod outcomes;
mod fleet;
mod revalidation;
mod met;
mod openapi;
mod problem;
mod reload;
mod repeat;
mod streams;

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::api::{
    AppStatus, IdpStatus, LedgerStatus, Made, Named, Problem, Ready, RevokeAnswer, RevokeRequest, Status, StreamStatus,
    Unclear,
};
pub use self::approvals::{ApprovalAnswer, ApprovalError, ApprovalRequest, Waiting};
pub use self::fleet::{FleetStatus, GatewayStatus};
pub use self::holds::{Hold, LiftAnswer, LiftError, LiftRequest};
pub use self::met::{Met, MetAtGateway, MetInApp};
pub use self::outcomes::OutcomesAsked;
pub use self::reload::{ConfigChange, ConfigFault, ConfigStatus, ReloadAnswer};
use self::repeat::Repeats;
pub use self::revalidation::RevalidationStatus;
pub use self::streams::{StreamAnswer, StreamDeed, StreamError, StreamRequest, StreamThere};
use crate::identity::is_loopback;
use crate::outcome::{Outcome, OutcomeList};
use crate::secret::Secret;
use crate::time::Clock;

/// What the door opens on.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Puts in force what `request` means and writes it down, or only says what it would do (`dry_run`).
    async fn revoke(&self, request: RevokeRequest) -> Result<RevokeAnswer, RevokeError>;
    /// Lifts what `request` means and writes that down.
    async fn lift(&self, request: LiftRequest) -> Result<LiftAnswer, LiftError>;
    /// What awaits approval, the oldest first.
    async fn approvals(&self) -> Vec<Waiting>;
    /// Puts in force, or drops, what awaits approval.
    async fn decide(&self, request: ApprovalRequest) -> Result<ApprovalAnswer, ApprovalError>;
    /// Who is on hold, the newest first.
    async fn holds(&self) -> Vec<Hold>;
    /// What revocations did, the newest first.
    async fn outcomes(&self, asked: OutcomesAsked) -> OutcomeList;
    /// What the revocation did whose id that is, or whose id alone begins so.
    async fn outcome(&self, id: &str) -> Option<Outcome>;
    /// Does `deed` with the stream of that name, or only shows it.
    async fn stream(&self, name: &str, deed: Option<StreamDeed>) -> Result<StreamAnswer, StreamError>;
    /// Reads the config again, and runs it if it can.
    async fn reload(&self) -> ReloadAnswer;
    /// How everything is.
    async fn status(&self) -> Status;
    /// Whether requests are taken.
    async fn ready(&self) -> Ready;
    /// Everything that is counted, in Prometheus' text form.
    async fn metrics(&self) -> String;
}

/// Why a revocation is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevokeError {
    /// The request names nobody, nowhere or nothing.
    #[error(transparent)]
    Unclear(#[from] Unclear),
    /// It is in force here, but could not be written down: say it again (law 2).
    #[error("the revocation is in force but could not be written down; try again")]
    NotDurable(RevokeAnswer),
}

impl RevokeError {
    /// The status and the body that tell it.
    pub(crate) fn told(self) -> (StatusCode, Problem) {
        let error = self.to_string();
        match self {
            Self::Unclear(unclear) => (StatusCode::UNPROCESSABLE_ENTITY, Problem::from(&unclear)),
            Self::NotDurable(done) => {
                (StatusCode::SERVICE_UNAVAILABLE, Problem { done: Some(done), ..Problem::new(error) })
            }
        }
    }
}

/// What operators present. Another may take its place while the door is open; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Token(Arc<ArcSwap<Secret<String>>>);

impl From<Secret<String>> for Token {
    fn from(token: Secret<String>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(token)))
    }
}

impl Token {
    /// From now on it is `next`.
    pub fn replace(&self, next: Secret<String>) {
        self.0.store(Arc::new(next));
    }
}

/// Everything behind the door. `token` is what operators present.
pub fn router(gateway: Arc<dyn Gateway>, token: impl Into<Token>, clock: Clock) -> Router {
    let door = Door { gateway, token: token.into(), repeats: Repeats::new(clock) };
    let operators = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/reload", post(reload::reload))
        .route("/v1/revocations", post(revoke))
        .route("/v1/approvals", get(approvals::approvals).post(approvals::decide))
        .route("/v1/holds", get(holds::holds))
        .route("/v1/lifts", post(holds::lift))
        .route("/v1/outcomes", get(outcomes::outcomes))
        .route("/v1/outcomes/{id}", get(outcomes::outcome))
        .route("/v1/streams/{name}", get(streams::show).post(streams::act))
        .layer(middleware::from_fn_with_state(door.clone(), with_token));
    Router::new()
        .route("/ping", get(async || text(StatusCode::OK, "pong\n".to_owned())))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/openapi.json", get(openapi::document))
        .merge(operators)
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is nothing here"))
        .method_not_allowed_fallback(async || problem(StatusCode::METHOD_NOT_ALLOWED, "not with this method"))
        .layer(middleware::from_fn(from_this_machine))
        .with_state(door)
}

#[derive(Clone)]
struct Door {
    gateway: Arc<dyn Gateway>,
    token: Token,
    repeats: Repeats,
}

/// Refuses what a browser was tricked into sending here under a foreign name.
async fn from_this_machine(request: Request, next: Next) -> Response {
    if names_this_machine(request.headers(), request.uri()) {
        next.run(request).await
    } else {
        problem(StatusCode::MISDIRECTED_REQUEST, "ask for this machine by its loopback address or `localhost`")
    }
}

fn names_this_machine(headers: &HeaderMap, uri: &Uri) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Some(host) = host.to_str().ok().and_then(crate::apps::Host::parse) else { return false };
    is_loopback(host.as_str()) && uri.host().is_none_or(is_loopback)
}

/// Lets operators pass.
async fn with_token(State(door): State<Door>, request: Request, next: Next) -> Response {
    let mut given = request.headers().get_all(AUTHORIZATION).iter();
    let presented = match (given.next().and_then(|value| value.to_str().ok()), given.next()) {
        (Some(value), None) => value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")),
        _ => None,
    };
    if presented.is_some_and(|(_, token)| door.token.0.load().matches(token)) {
        return next.run(request).await;
    }
    let mut refusal = problem(StatusCode::UNAUTHORIZED, "present the admin token as `Authorization: Bearer …`");
    refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refusal
}

async fn ready(State(door): State<Door>) -> Response {
    let ready = door.gateway.ready().await;
    json(if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &ready)
}

async fn metrics(State(door): State<Door>) -> Response {
    let mut answer = text(StatusCode::OK, door.gateway.metrics().await);
    let form = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, form);
    answer
}

async fn status(State(door): State<Door>) -> Response {
    json(StatusCode::OK, &door.gateway.status().await)
}

async fn revoke(State(door): State<Door>, request: Request) -> Response {
    let key = match repeat::key(request.headers()) {
        Ok(key) => key,
        Err(problem) => return json(StatusCode::BAD_REQUEST, &problem),
    };
    let request: RevokeRequest = match read(request).await {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    // Nothing is done in a dry run, and its answer is of the moment.
    let key = key.filter(|_| !request.dry_run);
    let work = async {
        match door.gateway.revoke(request.clone()).await {
            Ok(answer) => Told::of(StatusCode::OK, &answer),
            Err(refused) => Told::refused(refused.told()),
        }
    };
    door.repeats.once(key, "revoke", &request, work).await
}

/// The JSON of a request's body, or what is wrong with it.
async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Response> {
    let form = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if form.split(';').next().map(str::trim) != Some("application/json") {
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be `application/json`"));
    }
    let Ok(body) = axum::body::to_bytes(request.into_body(), MAX_BODY).await else {
        return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, "the body did not arrive, or is larger than 64 KiB"));
    };
    serde_json::from_slice(&body).map_err(|error| problem(StatusCode::BAD_REQUEST, &error.to_string()))
}

/// An answer in JSON, before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    status: StatusCode,
    body: String,
}

impl Told {
    fn of(status: StatusCode, value: &impl Serialize) -> Self {
        // Serialising plain structs with string keys into memory has no failing case.
        Self { status, body: serde_json::to_string(value).unwrap_or_default() }
    }

    fn refused((status, problem): (StatusCode, Problem)) -> Self {
        Self::of(status, &problem)
    }

    fn response(self) -> Response {
        let mut answer = text(self.status, self.body);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }
}

fn problem(status: StatusCode, error: &str) -> Response {
    json(status, &Problem::new(error))
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    Told::of(status, value).response()
}

fn text(status: StatusCode, text: String) -> Response {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Bytes of a request: a revocation has a few hundred.
const MAX_BODY: usize = 64 << 10;

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;

    use http::Method;
    use tower::ServiceExt as _;

    use super::*;
    use crate::revocation::Mode;
    use crate::time::Timestamp;

    pub(crate) const TOKEN: &str = "0123456789abcdef";

    /// Writes down what it was asked, and answers as it is told.
    pub(crate) struct Scripted {
        pub(crate) asked: Mutex<Vec<RevokeRequest>>,
        durable: bool,
        ready: bool,
    }

    #[async_trait]
    impl Gateway for Scripted {
        async fn revoke(&self, request: RevokeRequest) -> Result<RevokeAnswer, RevokeError> {
            if request.whom == Named::default() {
                return Err(Unclear::Nobody.into());
            }
            let made = Made {
                issuer: "https://idp.example.com".into(),
                whom: "user ann".into(),
                apps: request.apps.clone(),
                mode: request.mode,
                cut_off: Timestamp::from_secs(1000),
                outcome: None,
            };
            let dry_run = request.dry_run;
            self.asked.lock().expect("lock").push(request);
            let (met, durable) = (Met::default(), self.durable && !dry_run);
            let answer = RevokeAnswer {
                revocations: vec![made],
                cut: 3,
                met,
                dry_run,
                durable,
                gateways: vec![],
                silent: vec![],
            };
            if self.durable { Ok(answer) } else { Err(RevokeError::NotDurable(answer)) }
        }

        async fn lift(&self, request: LiftRequest) -> Result<LiftAnswer, LiftError> {
            if request.whom == Named::default() {
                return Err(Unclear::Nobody.into());
            }
            if self.durable { Ok(LiftAnswer { lifted: 1, durable: true }) } else { Err(LiftError::NotDurable) }
        }

        async fn outcomes(&self, _: OutcomesAsked) -> OutcomeList {
            OutcomeList::default()
        }

        async fn outcome(&self, _: &str) -> Option<Outcome> {
            None
        }

        async fn approvals(&self) -> Vec<Waiting> {
            Vec::new()
        }

        async fn decide(&self, request: ApprovalRequest) -> Result<ApprovalAnswer, ApprovalError> {
            let decided = request.meant(&[]).ok_or(ApprovalError::Which)?.len();
            Ok(ApprovalAnswer { decided, approved: request.approve, cut: 0 })
        }

        async fn holds(&self) -> Vec<Hold> {
            vec![Hold {
                issuer: "https://idp.example.com".into(),
                whom: "user ann".into(),
                apps: Vec::new(),
                since: Timestamp::from_secs(1000),
                source: "operator".into(),
                reason: Some("left".into()),
            }]
        }

        async fn stream(&self, name: &str, deed: Option<StreamDeed>) -> Result<StreamAnswer, StreamError> {
            match (name, deed) {
                ("corp", None) => {
                    Ok(StreamAnswer { name: name.into(), state: "live".into(), ..StreamAnswer::default() })
                }
                ("corp", Some(StreamDeed::Verify)) => Err(StreamError::Silent(20)),
                ("corp", Some(_)) => Ok(StreamAnswer { name: name.into(), anew: true, ..StreamAnswer::default() }),
                ("by-hand", Some(_)) => Err(StreamError::Unmanaged(name.to_owned())),
                _ => Err(StreamError::Unknown(name.to_owned())),
            }
        }

        async fn reload(&self) -> ReloadAnswer {
            let result = if self.durable { "applied" } else { "faulty" };
            ReloadAnswer { result: result.into(), ..ReloadAnswer::default() }
        }

        async fn status(&self) -> Status {
            Status { version: "1".into(), ..Status::default() }
        }

        async fn ready(&self) -> Ready {
            let reasons = if self.ready { vec![] } else { vec!["the ledger is being replayed".into()] };
            Ready { ready: self.ready, reasons }
        }

        async fn metrics(&self) -> String {
            "portcullis_revocations 0\n".into()
        }
    }

    pub(crate) fn gateway(durable: bool, ready: bool) -> Arc<Scripted> {
        Arc::new(Scripted { asked: Mutex::default(), durable, ready })
    }

    /// A request of an operator; `change` makes it worse.
    fn call(method: Method, path: &str, body: &str, change: &[(&'static str, &str)]) -> Request {
        let mut request =
            Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).expect("request");
        let usual = [
            ("host", "127.0.0.1:9090"),
            ("authorization", &format!("Bearer {TOKEN}")),
            ("content-type", "application/json"),
        ];
        for (name, value) in usual.iter().chain(change) {
            request.headers_mut().remove(*name);
            for value in value.split('|').filter(|value| !value.is_empty()) {
                request.headers_mut().append(*name, value.parse().expect("value"));
            }
        }
        request
    }

    async fn answer(gateway: &Arc<Scripted>, request: Request) -> (u16, String) {
        let clock = Clock::manual(Timestamp::from_secs(1_000));
        let router = router(Arc::<Scripted>::clone(gateway), Secret::new(TOKEN.to_owned()), clock);
        let answer = router.oneshot(request).await.expect("answer");
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    const ANN: &str = r#"{"whom":{"user":"ann"},"apps":["wiki"],"mode":"reestablish","dry_run":false}"#;

    #[tokio::test]
    async fn a_revocation_reaches_the_gateway_as_it_was_written() {
        let gateway = gateway(true, true);
        let (status, body) = answer(&gateway, call(Method::POST, "/v1/revocations", ANN, &[])).await;
        assert_eq!(status, 200, "{body}");
        let answer: RevokeAnswer = serde_json::from_str(&body).expect("answer");
        assert_eq!((answer.cut, answer.durable, answer.dry_run), (3, true, false));
        let asked = gateway.asked.lock().expect("lock");
        let [request] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!((request.whom.user.as_deref(), request.mode), (Some("ann"), Mode::Reestablish));
        assert_eq!(request.apps, ["wiki"]);
    }

    #[tokio::test]
    async fn nothing_reaches_the_gateway_without_token_from_elsewhere_or_in_another_form() {
        let gateway = gateway(true, true);
        let long = format!(r#"{{"whom":{{"user":"{}"}}}}"#, "a".repeat(64 << 10));
        for (name, path, body, change, expected) in [
            ("no token", "/v1/revocations", ANN, &[("authorization", "")][..], 401),
            ("another token", "/v1/revocations", ANN, &[("authorization", "Bearer 0123456789abcdee")], 401),
            ("a longer token", "/v1/revocations", ANN, &[("authorization", "Bearer 0123456789abcdef0")], 401),
            ("two tokens", "/v1/revocations", ANN, &[("authorization", "Bearer 0123456789abcdef|Bearer x")], 401),
            ("basic", "/v1/revocations", ANN, &[("authorization", "Basic 0123456789abcdef")], 401),
            ("a foreign host", "/v1/revocations", ANN, &[("host", "evil.example")], 421),
            ("a foreign host that looks near", "/v1/revocations", ANN, &[("host", "127.0.0.1.evil.example")], 421),
            ("no host", "/v1/revocations", ANN, &[("host", "")], 421),
            ("two hosts", "/v1/revocations", ANN, &[("host", "localhost|evil.example")], 421),
            ("a foreign absolute URL", "http://evil.example/v1/revocations", ANN, &[], 421),
            ("a form", "/v1/revocations", ANN, &[("content-type", "text/plain")], 415),
            ("no JSON", "/v1/revocations", "whom=ann", &[], 400),
            ("an unknown member", "/v1/revocations", r#"{"whom":{"user":"ann"},"x":1}"#, &[], 400),
            ("nobody", "/v1/revocations", r#"{"whom":{}}"#, &[], 422),
            ("too long", "/v1/revocations", &long, &[], 413),
            ("another path", "/v1/revocation", ANN, &[], 404),
        ] {
            let (status, body) = answer(&gateway, call(Method::POST, path, body, change)).await;
            assert_eq!(status, expected, "{name}: {body}");
            let problem: Problem = serde_json::from_str(&body).expect(name);
            assert!(!problem.error.contains(TOKEN), "{name}");
        }
        assert!(gateway.asked.lock().expect("lock").is_empty());
    }

    #[tokio::test]
    async fn in_force_but_not_durable_is_told_from_done() {
        let gateway = gateway(false, true);
        let (status, body) = answer(&gateway, call(Method::POST, "/v1/revocations", ANN, &[])).await;
        assert_eq!(status, 503);
        let problem: Problem = serde_json::from_str(&body).expect("problem");
        assert_eq!(problem.done.map(|done| (done.cut, done.durable)), Some((3, false)));
    }

    #[tokio::test]
    async fn probes_need_no_token_and_status_does() {
        let none: &[(&str, &str)] = &[("authorization", "")];
        for (name, ready, path, change, expected, holds) in [
            ("alive", false, "/ping", none, 200, "pong"),
            ("ready", true, "/ready", none, 200, r#""ready":true"#),
            ("not ready", false, "/ready", none, 503, "the ledger is being replayed"),
            ("counts", true, "/metrics", none, 200, "portcullis_revocations 0"),
            ("status without token", true, "/v1/status", none, 401, "admin token"),
            ("status", true, "/v1/status", &[][..], 200, r#""version":"1""#),
            ("by IPv6", true, "/v1/status", &[("host", "[::1]:9090")], 200, "version"),
            ("by name", true, "/v1/status", &[("host", "LOCALHOST:9090")], 200, "version"),
            ("probes from elsewhere", true, "/metrics", &[("host", "evil.example")], 421, "loopback"),
            ("a GET of a POST", true, "/v1/revocations", &[], 405, "method"),
        ] {
            let (status, body) = answer(&gateway(true, ready), call(Method::GET, path, "", change)).await;
            assert_eq!(status, expected, "{name}: {body}");
            assert!(body.contains(holds), "{name}: {body}");
        }
    }
}

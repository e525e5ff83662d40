//! Our own paths on the hosts of the apps, and the answers that stand in for an app's.
//!
//! | path | what |
//! |---|---|
//! | `/oauth2/start`, `/oauth2/sign_in` | begin a login; `rd` says where to go afterwards |
//! | `/oauth2/callback` | the IdP's answer |
//! | `/oauth2/sign_out` | end the session here and at the IdP |
//! | `/oauth2/auth` | 202 or 401, nothing else |
//! | `/oauth2/auth/{nginx, traefik, caddy, haproxy, envoy}` | a verdict for the proxy of that family |
//! | `/oauth2/userinfo` | who is signed in, as JSON |
//! | `/oauth2/jwks` | the public keys of what we sign |
//! | `/oauth2/ssf/{stream}` | SETs pushed by a transmitter (RFC 8935) |
//! | `/oauth2/backchannel-logout/{idp}` | logout tokens (OIDC Back-Channel Logout §2.5) |
//! | `/oauth2/frontchannel-logout/{idp}` | a frame of the IdP's sign-out page (OIDC Front-Channel Logout §2) |
//! | `/oauth2/global-token-revocation/{idp}` | global token revocations (Okta's Universal Logout) |
//! | `/oauth2/commands/{idp}` | commands of an IdP about its people (OpenID Provider Commands) |

mod admission;
mod answer;
mod called;
mod command;
mod derived;
mod forward;
mod front_channel;
mod global;
mod outcomes;
mod not_signed_in;
mod ready;
mod recent;
mod revalidate;
mod leaving;
mod sign_in;
mod sign_out;
mod signal;
mod tokens;

pub(crate) use self::admission::{Admission, Ask};
pub(crate) use self::derived::Derived;
pub(crate) use self::forward::asks_for_verdict;
#[doc(hidden)]
pub use self::forward::reads_original;
pub(crate) use self::ready::asks_whether_ready;
pub(crate) use self::recent::{Recent, SignIn};
pub(crate) use self::signal::spoken_for;
pub(crate) use self::tokens::Tokens;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};

use crate::apps::{App, Apps, CanonicalPath, Host};
use crate::audit::Audit;
use crate::checks::Checks;
use crate::decision::Client;
use crate::enforcer::Enforcer;
use crate::evidence::{self, Evidence, Shown};
use crate::fleet::Fleet;
use crate::idp::Idp;
use crate::intake::Intake;
use crate::metrics::Metrics;
use crate::outcome::Outcomes;
use crate::page::{Look, Page, Reader, Saying};
use crate::seal::KeyRing;
use crate::secret::Secret;
use crate::session::{self, Session};
use crate::stream::{Sight, Signals, Stream};
use crate::time::Clock;

/// Below this every path is ours, on every host.
const PREFIX: &str = "/oauth2";
/// Bytes of a body that one of our endpoints reads. Signals are a few hundred; DESIGN's bound for them.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// True if `path` is one of ours on any host. The loose reading counts: no app sees `/OAuth2/x` either.
pub(crate) fn owns(path: &CanonicalPath) -> bool {
    path.as_str().get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
        && path.as_str().get(PREFIX.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ';']))
}

/// True for a path that becomes `/oauth2/auth` or one below it, and was written differently.
fn is_verdict_misspelt(path: &CanonicalPath) -> bool {
    let words = path.as_str().get(PREFIX.len()..).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    words.split(['/', ';']).next().is_some_and(|word| word.eq_ignore_ascii_case("auth"))
}

/// What the endpoints work with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) apps: Apps,
    pub(crate) ring: Arc<KeyRing>,
    pub(crate) session: session::Settings,
    pub(crate) idps: HashMap<String, Arc<Idp>>,
    pub(crate) streams: HashMap<String, Arc<Stream>>,
    /// The checks of sessions whose IdP sends no signal, by its name.
    pub(crate) checks: HashMap<String, Arc<Checks>>,
    pub(crate) sight: Arc<Sight>,
    /// The other gateways, if there are any.
    pub(crate) fleet: Option<Fleet>,
    pub(crate) enforcer: Enforcer,
    pub(crate) outcomes: Outcomes,
    pub(crate) intake: Arc<Intake>,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) names: Arc<crate::lineage::Names>,
    /// How pages look.
    pub(crate) look: Look,
    /// Who signed in lately.
    pub(crate) recent: Arc<Recent>,
    pub(crate) clock: Clock,
}

impl Parts {
    /// What signals go through.
    pub(crate) fn signals(&self) -> Signals<'_> {
        Signals { intake: &self.intake, audit: &self.audit, metrics: &self.metrics, clock: &self.clock }
    }
}

/// Our own endpoints.
#[derive(Debug)]
pub(crate) struct Endpoints(Parts);

/// One call of an endpoint.
struct Call<'a> {
    host: &'a Host,
    /// An app of that host, for its origin. Endpoints belong to the host as a whole.
    app: &'a Arc<App>,
    request: Request<Bytes>,
}

impl Call<'_> {
    fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    fn query(&self) -> &str {
        self.request.uri().query().unwrap_or_default()
    }

    /// The one value of a query parameter.
    fn parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query().as_bytes()).find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
    }

    fn client(&self) -> Client {
        Client::of(self.request.method(), self.headers())
    }
}

impl Endpoints {
    pub(crate) const fn new(parts: Parts) -> Self {
        Self(parts)
    }

    /// What the endpoints work with.
    pub(crate) const fn parts(&self) -> &Parts {
        &self.0
    }

    pub(crate) const fn apps(&self) -> &Apps {
        &self.0.apps
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// `response` as it goes out to whoever sent `headers`: a page gets its words and its look.
    pub(crate) fn dressed(&self, response: Response<Bytes>, headers: &HeaderMap) -> Response<Bytes> {
        answer::written(response, &reader(headers), &self.0.look)
    }

    /// Answers a call of one of our own paths.
    pub(crate) async fn handle(&self, host: &Host, path: &CanonicalPath, request: Request<Bytes>) -> Response<Bytes> {
        if is_verdict_misspelt(path) {
            // A refusal that is one for gRPC, too: whoever asks takes 200 for a yes.
            return answer::empty(StatusCode::FORBIDDEN);
        }
        let rest = path.as_str().get(PREFIX.len()..).unwrap_or_default();
        // Also on hosts that nobody configured: the page that says so looks like the others.
        if let Some(file) = rest.strip_prefix("/static/") {
            return answer::file(file, request.method(), &self.0.look);
        }
        let Some(app) = self.0.apps.any_of(host) else {
            return self.unknown_host(host, Client::of(request.method(), request.headers()));
        };
        let call = Call { host, app, request };
        let (get, post) = (Method::GET, Method::POST);
        // Signals: a kind, and the name of who sends it.
        let (kind, name) = rest.rsplit_once('/').unwrap_or_default();
        match (kind, call.request.method()) {
            ("/ssf", m) if m == post => return self.push(name, &call).await,
            ("/backchannel-logout", m) if m == post => return self.logout(name, &call).await,
            ("/frontchannel-logout", m) if m == get => return self.front_channel(name, &call).await,
            ("/global-token-revocation", m) if m == post => return self.global_revocation(name, &call).await,
            ("/commands", m) if m == post => return self.command(name, &call).await,
            ("/ssf" | "/backchannel-logout" | "/frontchannel-logout" | "/global-token-revocation" | "/commands", _) => {
                return answer::empty(StatusCode::METHOD_NOT_ALLOWED);
            }
            _ => {}
        }
        match (rest, call.request.method()) {
            ("/start" | "/sign_in", m) if m == get => self.start(&call).await,
            ("/callback", m) if m == get => self.callback(&call).await,
            ("/sign_out", m) if m == get || m == post => self.sign_out(&call).await,
            ("/signed_out", m) if m == get => {
                answer::page(StatusCode::OK, &Page::signed_out(&self.start_url(call.app, "/")))
            }
            ("/userinfo", m) if m == get => self.userinfo(&call),
            ("/jwks", m) if m == get => self.jwks(),
            ("/start" | "/sign_in" | "/callback" | "/sign_out" | "/signed_out" | "/userinfo", _) => {
                answer::empty(StatusCode::METHOD_NOT_ALLOWED)
            }
            _ => answer::either(call.client(), StatusCode::NOT_FOUND, "not_found", &Page::not_found(host.as_str())),
        }
    }

    /// What a request shows on `app`.
    fn evidence(&self, headers: &HeaderMap, app: &App) -> Evidence {
        self.evidence_in(evidence::cookies(headers).as_deref(), app)
    }

    /// What the cookies of a request show on `app`.
    fn evidence_in(&self, cookies: Option<&[(&str, &str)]>, app: &App) -> Evidence {
        let shown = evidence::collect(cookies, app, &self.0.ring, &self.0.session, self.0.clock.now());
        let evidence = Evidence::from(shown);
        Evidence { freshness: self.freshness(evidence.session()), ..evidence }
    }

    /// The session of a call, if it is one and no revocation covers it.
    fn good_session(&self, headers: &HeaderMap, app: &App) -> Option<Session> {
        match self.evidence(headers, app).shown {
            Shown::Session { session, .. } => {
                self.0.enforcer.judge(&session.credential(app.key)).is_clear().then_some(*session)
            }
            Shown::Nothing | Shown::Unusable(_) => None,
        }
    }

    /// Who is signed in.
    fn userinfo(&self, call: &Call<'_>) -> Response<Bytes> {
        let Some(session) = self.good_session(call.headers(), call.app) else {
            return answer::empty(StatusCode::UNAUTHORIZED);
        };
        let person = session.person;
        answer::json(
            StatusCode::OK,
            &serde_json::json!({
                "user": person.subject,
                "email": person.email,
                "groups": person.groups,
                "preferredUsername": person.preferred_username,
            }),
        )
    }

    /// The `Set-Cookie` values that move a session's idle limit on.
    fn renewed(&self, evidence: &Evidence, app: &App) -> Vec<String> {
        let Shown::Session { session, renew: true } = &evidence.shown else { return vec![] };
        let renewed = Session { seen_at: self.0.clock.now(), ..(**session).clone() };
        renewed
            .seal(&self.0.ring, app.origin.host().as_str())
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| session_cookie(&name, &value))
            .collect()
    }

    /// The answer to a request that no two programs need read alike.
    pub(crate) fn unclear(
        &self,
        status: StatusCode,
        word: &'static str,
        why: &str,
        head: &http::request::Parts,
    ) -> Response<Bytes> {
        self.0.metrics.request_blocked(word);
        answer::either(Client::of(&head.method, &head.headers), status, word, &Page::bad_request(why))
    }

    /// The answer for hosts and paths that nobody configured.
    pub(crate) fn unknown_host(&self, host: &Host, client: Client) -> Response<Bytes> {
        self.0.metrics.request_blocked("unknown_host");
        // RFC 9110 §15.5.20: another server may know the host. Of a host of ours only the path is unknown.
        let known = self.0.apps.any_of(host).is_some();
        let status = if known { StatusCode::NOT_FOUND } else { StatusCode::MISDIRECTED_REQUEST };
        answer::either(client, status, "unknown_host", &Page::not_found(host.as_str()))
    }

    /// The answer to a request body that is larger than the app allows.
    pub(crate) fn too_large(&self, app: &App, client: Client) -> Response<Bytes> {
        let page = Page::too_large(&app.name, app.max_body);
        answer::either(client, StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &page)
    }

    /// The answer to a body that none of our endpoints reads.
    pub(crate) fn body_too_large(&self) -> Response<Bytes> {
        answer::json(StatusCode::PAYLOAD_TOO_LARGE, &serde_json::json!({ "error": "body_too_large" }))
    }

    /// The answer when the app did not give one.
    pub(crate) fn failed(&self, status: StatusCode, app: Option<&App>, client: Client) -> Response<Bytes> {
        let name = app.map_or("The app", |app| app.name.as_str());
        let (word, page) = match status {
            StatusCode::PAYLOAD_TOO_LARGE => match app {
                Some(app) => return self.too_large(app, client),
                None => return self.body_too_large(),
            },
            s if s.is_client_error() => ("bad_request", Page::bad_request("The request broke off or is not clear.")),
            _ => ("app_down", Page::app_down(name, "/")),
        };
        answer::either(client, status, word, &page)
    }

    /// The answer where the IdP would have to be asked about a token, and cannot be.
    fn cannot_ask(&self, client: Client) -> Response<Bytes> {
        self.0.metrics.request_blocked("idp_unavailable");
        let page = Page::new(Saying::CannotCheck);
        let mut response = answer::either(client, StatusCode::SERVICE_UNAVAILABLE, "idp_unavailable", &page);
        response.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("5"));
        response
    }

    /// The answer at the bound of what may be in flight.
    fn overloaded(&self, client: Client) -> Response<Bytes> {
        self.0.metrics.request_blocked("overloaded");
        let mut response =
            answer::either(client, StatusCode::SERVICE_UNAVAILABLE, "overloaded", &Page::too_many_requests(1));
        response.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
        response
    }
}

/// What whoever sent `headers` reads.
fn reader(headers: &HeaderMap) -> Reader {
    let accepted = headers.get(http::header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Reader::of(accepted.unwrap_or_default())
}

/// A `Set-Cookie` value of the session: this host only, TLS only, no script, not on requests from other sites (but on
/// links from them).
fn session_cookie(name: &str, value: &str) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax")
}

/// The `Set-Cookie` value that ends a cookie of the session.
fn expired(name: &str) -> Secret<String> {
    Secret::new(format!("{}; Max-Age=0", session_cookie(name, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_paths_are_ours_in_every_spelling_and_no_others_are() {
        for (path, ours) in [
            ("/oauth2", true),
            ("/oauth2/", true),
            ("/oauth2/callback", true),
            ("/OAuth2/callback", true),
            ("/oauth2;x/callback", true),
            ("/oauth2x", false),
            ("/app/oauth2/callback", false),
            ("/", false),
        ] {
            assert_eq!(owns(&CanonicalPath::parse(path).expect("path")), ours, "`{path}`");
        }
    }

    #[test]
    fn no_spelling_of_a_question_for_a_verdict_gets_another_answer() {
        for (path, misspelt) in [
            ("/oauth2//auth", true),
            ("/oauth2/x/../auth/envoy/a", true),
            ("/OAuth2/AUTH/nginx", true),
            ("/oauth2/auth;x/nginx", true),
            ("/oauth2/authors", false),
            ("/oauth2/userinfo", false),
            ("/oauth2", false),
        ] {
            assert_eq!(is_verdict_misspelt(&CanonicalPath::parse(path).expect("path")), misspelt, "`{path}`");
        }
    }
}

//! What happens to a request: one pure function over what was asked, what was shown, and how that stands.
//!
//! Only [`decide`] makes a [`Permit`], and the proxy forwards nothing without one (law 4).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::apps::{Access, App, Asked, CanonicalPath};
use crate::evidence::{BadToken, Evidence, Maker, Shown, Unusable};
use crate::login::Proof;
use crate::revalidation::Freshness;
use crate::revocation::Standing;
use crate::session::{Over, Person};

// Parsed once: a name that is looked up as text is parsed at every request.
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
static X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// What kind of answer the client can use.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// A browser that shows a page: it can be sent to the IdP.
    Navigation,
    /// A script, an image, an API client: it can read a status and a small JSON body.
    Fetch,
    /// A WebSocket handshake: it can read a status.
    WebSocket,
    /// gRPC: it reads `grpc-status`.
    Grpc,
}

impl Client {
    /// Reads it off the request. The browser's own word (`Sec-Fetch-*`) counts first, then `Accept`, then
    /// `X-Requested-With`; where nothing is said, a plain GET or HEAD that takes anything is a person with an old
    /// browser only if it asks for HTML.
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        if text(headers.get(header::UPGRADE)).is_some_and(|u| has(u, "websocket")) {
            return Self::WebSocket;
        }
        if text(headers.get(header::CONTENT_TYPE)).is_some_and(|t| begins(t, "application/grpc")) {
            return Self::Grpc;
        }
        let mode = text(headers.get(&SEC_FETCH_MODE));
        let navigates = mode.is_some_and(|mode| mode.eq_ignore_ascii_case("navigate"));
        if !matches!(*method, Method::GET | Method::HEAD) {
            // The URL of a form post is no place to come back to, and its body would be lost on the way.
            return if navigates { Self::Navigation } else { Self::Fetch };
        }
        if mode.is_some() {
            let page = text(headers.get(&SEC_FETCH_DEST))
                .is_none_or(|d| ["document", "iframe", "frame", "empty"].iter().any(|p| d.eq_ignore_ascii_case(p)));
            return if navigates && page { Self::Navigation } else { Self::Fetch };
        }
        if text(headers.get(&X_REQUESTED_WITH)).is_some() {
            return Self::Fetch;
        }
        match text(headers.get(header::ACCEPT)) {
            Some(accept) if has(accept, "text/html") => Self::Navigation,
            Some(_) | None => Self::Fetch,
        }
    }
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|v| v.to_str().ok())
}

/// True if `word` stands somewhere in `text`, in letters of either case.
fn has(text: &str, word: &str) -> bool {
    text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

/// True if `text` begins with `word`, in letters of either case.
fn begins(text: &str, word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// Leave to forward one request to its app. Cannot be made outside this module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    person: Option<Arc<Person>>,
}

impl Permit {
    /// Who the app is told that it is for; nobody on public paths.
    pub fn person(&self) -> Option<&Person> {
        self.person.as_deref()
    }
}

/// Why a request is sent to sign in.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It shows no session.
    NoSession,
    /// What it shows is no session.
    Unusable(Unusable),
    /// It bears no token, and only a token will do.
    NoToken,
    /// What it bears is no token, or none any more.
    BadToken,
    /// Its session was terminated.
    Terminated,
    /// Its session must be re-established.
    Reestablish,
    /// The IdP has to say first that its session still stands.
    Revalidate,
}

impl Cause {
    /// The word for logs, metrics and the machine-readable answer.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoSession => "login_required",
            Self::Unusable(Unusable::Over(Over::Expired | Over::Idle)) => "session_expired",
            Self::Unusable(_) => "session_unusable",
            Self::NoToken => "token_required",
            Self::BadToken => "invalid_token",
            Self::Terminated => "session_revoked",
            Self::Reestablish => "reestablish_required",
            Self::Revalidate => "revalidation_required",
        }
    }

    /// True if a revocation is the cause: worth a line in the audit log.
    pub const fn is_revocation(self) -> bool {
        matches!(self, Self::Terminated | Self::Reestablish)
    }
}

/// The way to sign in.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Why.
    pub cause: Cause,
    /// What the login must prove.
    pub proof: Proof,
    /// Whether the client can be redirected, or only be told.
    pub client: Client,
    /// How a client is told that works with tokens; none where a session is the way in.
    pub token: Option<TokenNeed>,
}

impl Login {
    /// True for a browser that shows a page and can be sent to the IdP.
    pub fn can_be_redirected(&self) -> bool {
        self.client == Client::Navigation && self.token.is_none()
    }
}

/// What a client that works with tokens needs (RFC 6750 §3, RFC 9470 §3).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum TokenNeed {
    /// A token: it showed none.
    Token,
    /// Another token: the one it showed will not do again.
    Other,
    /// The same token, with a proof of possession that holds (RFC 9449 §7.1).
    Proof,
    /// Its person has to sign in anew.
    FreshLogin,
}

/// Why a request goes nowhere.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The person is signed in and not admitted here.
    NotAllowed,
    /// A page of another origin tries to open a WebSocket (cross-site WebSocket hijacking).
    ForeignOrigin,
    /// The request shows credentials of several people.
    MixedCredentials,
    /// The person is on hold: no login helps.
    OnHold,
    /// Whether sessions are over is not known at the moment, and the app lets nobody in then.
    Blind,
}

impl Refusal {
    /// The word for logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::ForeignOrigin => "foreign_origin",
            Self::MixedCredentials => "mixed_credentials",
            Self::OnHold => "on_hold",
            Self::Blind => "blind",
        }
    }

    /// True if a revocation is the cause: worth a line in the audit log.
    pub const fn is_revocation(self) -> bool {
        matches!(self, Self::OnHold)
    }
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes to the app.
    Forward(Permit),
    /// Its sender has to sign in first.
    Login(Login),
    /// It goes nowhere.
    Refuse(Refusal),
}

impl Decision {
    /// The word for logs.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Forward(_) => "forward",
            Self::Login(login) => login.cause.word(),
            Self::Refuse(refusal) => refusal.word(),
        }
    }
}

/// What a request asks, as far as a decision depends on it.
#[derive(Copy, Clone, Debug)]
pub struct Request<'a> {
    /// What answer the client can use.
    pub client: Client,
    /// The path, in its one form.
    pub path: &'a CanonicalPath,
    /// The `Origin` header, if there is one.
    pub origin: Option<&'a str>,
    /// A stream that speaks for the app's people is dark, and the app refuses everybody then.
    pub blind: bool,
}

/// Decides.
///
/// `standing` is the judgement of everything in `evidence` by the revocation set, asked for after the exchange was
/// registered (law 3).
pub fn decide(request: &Request<'_>, app: &App, evidence: &Evidence, standing: Standing) -> Decision {
    if request.client == Client::WebSocket && request.origin.is_some_and(|origin| !may_open_websocket(app, origin)) {
        return Decision::Refuse(Refusal::ForeignOrigin);
    }
    let (by, allows) = match app.asks(request.path) {
        Asked::Public => return Decision::Forward(Permit { person: None }),
        Asked::Person { by, allows } => (by, allows),
    };
    if request.blind {
        return Decision::Refuse(Refusal::Blind);
    }
    let token = token_need(by, request.client, evidence, standing);
    let login = |cause, proof| Decision::Login(Login { cause, proof, client: request.client, token });
    // Revocations first: who was thrown out learns that, whatever else is wrong. To send who is on hold to the IdP would
    // be a loop.
    if standing.held.is_some() {
        return Decision::Refuse(Refusal::OnHold);
    }
    match (standing.terminated, standing.reestablish) {
        (Some(cut_off), _) => return login(Cause::Terminated, Proof::NewerThan(cut_off)),
        (None, Some(cut_off)) => return login(Cause::Reestablish, Proof::Reassert(cut_off)),
        (None, None) => {}
    }
    // Law 4: doubt about a token denies, also beside a good session.
    if evidence.bad_token.is_some() {
        return login(Cause::BadToken, Proof::Any);
    }
    if !evidence.is_of_one_person() {
        return Decision::Refuse(Refusal::MixedCredentials);
    }
    // A cookie comes by itself, wherever the request was made; a token is borne on purpose.
    if by == Access::Bearer && evidence.bearers.is_empty() {
        return login(Cause::NoToken, Proof::Any);
    }
    // An IdP that sends no signal is asked, where that is due: first with a page, in the end by everything.
    let due = match evidence.freshness {
        Freshness::Fresh => false,
        Freshness::Due => request.client == Client::Navigation,
        Freshness::Overdue => true,
    };
    if due && by != Access::Bearer {
        return login(Cause::Revalidate, Proof::Any);
    }
    match (evidence.person(), &evidence.shown) {
        (Some(person), _) if allows.iter().all(|allow| allow.admits(person)) => {
            Decision::Forward(Permit { person: Some(Arc::clone(person)) })
        }
        (Some(_), _) => Decision::Refuse(Refusal::NotAllowed),
        (None, Shown::Unusable(why)) => login(Cause::Unusable(*why), Proof::Any),
        (None, Shown::Nothing | Shown::Session { .. }) => login(Cause::NoSession, Proof::Any),
    }
}

/// What to tell a client that shows tokens.
fn token_need(by: Access, client: Client, evidence: &Evidence, standing: Standing) -> Option<TokenNeed> {
    if let Some(bad) = evidence.bad_token {
        return Some(match bad {
            BadToken::Token => TokenNeed::Other,
            BadToken::Proof => TokenNeed::Proof,
        });
    }
    match evidence.bearers.first().map(|bearer| bearer.maker) {
        // What the IdP issues after a fresh login is a token that counts; what the app made is dead for good.
        Some(Maker::Idp) => Some(TokenNeed::FreshLogin),
        Some(Maker::App) if standing.terminated.is_none() && standing.reestablish.is_some() => {
            Some(TokenNeed::FreshLogin)
        }
        Some(Maker::App) => Some(TokenNeed::Other),
        None => match by {
            Access::Bearer => Some(TokenNeed::Token),
            // A browser that shows a page can sign in; nobody else who comes with nothing can.
            Access::Either => {
                (client != Client::Navigation && evidence.shown == Shown::Nothing).then_some(TokenNeed::Token)
            }
            Access::Login | Access::Public => None,
        },
    }
}

/// A WebSocket is not bound by the same-origin policy; the browser only tells where the page came from.
fn may_open_websocket(app: &App, origin: &str) -> bool {
    origin == app.origin.as_str() || app.websocket_origins.iter().any(|allowed| allowed == origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::{Allow, Prefix, Rule};
    use crate::evidence::Bearer;
    use crate::lineage::Lineage;
    use crate::session::{Session, SessionId};
    use crate::time::Timestamp;

    fn session(groups: &[&str]) -> Evidence {
        let time = Timestamp::from_secs(100);
        let key = crate::seal::generate_key().expect("key");
        let ring = crate::seal::KeyRing::parse([key.expose().as_str()]).expect("ring").expect("one key");
        Evidence::from(Shown::Session {
            session: Box::new(Session {
                id: SessionId([0; 16]),
                idp: "corp".into(),
                issued_at: time,
                expires_at: time,
                seen_at: time,
                asserted_at: time,
                auth_time: None,
                targets: [].into(),
                key: ring.newest(),
                person: Arc::new(Person {
                    subject: "ann".into(),
                    groups: groups.iter().map(|g| (*g).to_owned()).collect(),
                    ..Person::default()
                }),
            }),
            renew: false,
        })
    }

    fn app() -> App {
        let mut app = crate::apps::tests::app("wiki", "https://wiki.example");
        app.rules = vec![
            Rule { path: Prefix::parse("/healthz").expect("prefix"), access: Access::Public, allow: Allow::default() },
            Rule {
                path: Prefix::parse("/admin").expect("prefix"),
                access: Access::Login,
                allow: Allow { groups: vec!["admins".into()], ..Allow::default() },
            },
        ];
        app
    }

    #[test]
    fn the_table_of_decisions() {
        let (clear, cut) = (Standing::default(), Some(Timestamp::from_secs(200)));
        let terminated = Standing { terminated: cut, reestablish: None, held: None };
        let both = Standing { terminated: cut, reestablish: Some(Timestamp::from_secs(300)), held: None };
        let reestablish = Standing { terminated: None, reestablish: cut, held: None };
        let newer = Proof::NewerThan(Timestamp::from_secs(200));
        let login = |cause, proof| Decision::Login(Login { cause, proof, client: Client::Navigation, token: None });
        let forward =
            |evidence: &Evidence| Decision::Forward(Permit { person: evidence.session().map(|s| s.person.clone()) });
        let (staff, admins) = (session(&["staff"]), session(&["admins"]));
        let nothing = Evidence::default();
        let broken = Evidence::from(Shown::Unusable(Unusable::Scattered));
        for (name, path, evidence, standing, expected) in [
            ("nobody", "/", &nothing, clear, login(Cause::NoSession, Proof::Any)),
            ("a broken cookie", "/", &broken, clear, login(Cause::Unusable(Unusable::Scattered), Proof::Any)),
            ("nobody, public", "/healthz", &nothing, clear, Decision::Forward(Permit { person: None })),
            ("a broken cookie, public", "/healthz", &broken, clear, Decision::Forward(Permit { person: None })),
            ("a revoked person, public", "/healthz", &staff, terminated, Decision::Forward(Permit { person: None })),
            ("a session", "/", &staff, clear, forward(&staff)),
            ("terminated", "/", &staff, terminated, login(Cause::Terminated, newer)),
            ("both modes", "/", &staff, both, login(Cause::Terminated, newer)),
            (
                "to re-establish",
                "/",
                &staff,
                reestablish,
                login(Cause::Reestablish, Proof::Reassert(Timestamp::from_secs(200))),
            ),
            ("not admitted", "/admin", &staff, clear, Decision::Refuse(Refusal::NotAllowed)),
            ("revoked before not admitted", "/admin", &staff, terminated, login(Cause::Terminated, newer)),
            ("admitted", "/admin", &admins, clear, forward(&admins)),
        ] {
            let path = CanonicalPath::parse(path).expect("path");
            let request = Request { client: Client::Navigation, path: &path, origin: None, blind: false };
            assert_eq!(decide(&request, &app(), evidence, standing), expected, "{name}");
            // While the app is blind nobody gets in where somebody would have to be known.
            let blind = decide(&Request { blind: true, ..request }, &app(), evidence, standing);
            let public = expected == Decision::Forward(Permit { person: None });
            assert_eq!(blind, if public { expected } else { Decision::Refuse(Refusal::Blind) }, "{name}, blind");
        }
    }

    /// A token of whoever the session is for.
    fn token(maker: Maker, subject: &str) -> Bearer {
        let Some(session) = session(&["staff"]).session().cloned() else { panic!("a session") };
        let person = Arc::new(Person { subject: subject.into(), ..(*session.person).clone() });
        let session = Session { person: person.clone(), ..session };
        Bearer {
            maker,
            lineage: Lineage::of(&session),
            person,
            ends_at: session.expires_at,
            imprint: crate::evidence::Imprint::default(),
        }
    }

    #[test]
    fn a_token_is_evidence_like_a_session_and_spoils_like_one() {
        use TokenNeed::{FreshLogin, Other};
        let clear = Standing::default();
        let cut = Some(Timestamp::from_secs(200));
        let terminated = Standing { terminated: cut, reestablish: None, held: None };
        let reestablish = Standing { terminated: None, reestablish: cut, held: None };
        let bears = |shown: &Evidence, bearers: &[Bearer], bad: bool| Evidence {
            shown: shown.shown.clone(),
            bearers: bearers.to_vec(),
            bad_token: bad.then_some(BadToken::Token),
            ..Evidence::default()
        };
        let (nobody, ann) = (Evidence::default(), session(&["staff"]));
        let (of_app, of_idp) = (token(Maker::App, "ann"), token(Maker::Idp, "ann"));
        let bens = token(Maker::App, "ben");
        let login = |cause: Cause, token| Err((cause.word(), Some(token)));
        for (name, evidence, standing, path, expected) in [
            ("an app's token", bears(&nobody, std::slice::from_ref(&of_app), false), clear, "/", Ok(Some("ann"))),
            ("an IdP's token", bears(&nobody, std::slice::from_ref(&of_idp), false), clear, "/", Ok(Some("ann"))),
            ("beside a session", bears(&ann, std::slice::from_ref(&of_app), false), clear, "/", Ok(Some("ann"))),
            ("on a public path", bears(&nobody, &[], true), clear, "/healthz", Ok(None)),
            (
                "where it is not admitted",
                bears(&nobody, std::slice::from_ref(&of_app), false),
                clear,
                "/admin",
                Err(("not_allowed", None)),
            ),
            ("no token", bears(&nobody, &[], true), clear, "/", login(Cause::BadToken, Other)),
            ("no token beside a session", bears(&ann, &[], true), clear, "/", login(Cause::BadToken, Other)),
            (
                "somebody else's",
                bears(&ann, std::slice::from_ref(&bens), false),
                clear,
                "/",
                Err(("mixed_credentials", None)),
            ),
            (
                "two people's",
                bears(&nobody, &[of_app.clone(), bens], false),
                clear,
                "/",
                Err(("mixed_credentials", None)),
            ),
            (
                "an app's, terminated",
                bears(&nobody, std::slice::from_ref(&of_app), false),
                terminated,
                "/",
                login(Cause::Terminated, Other),
            ),
            (
                "an app's, to re-establish",
                bears(&nobody, &[of_app], false),
                reestablish,
                "/",
                login(Cause::Reestablish, FreshLogin),
            ),
            (
                "an IdP's, terminated",
                bears(&nobody, &[of_idp], false),
                terminated,
                "/",
                login(Cause::Terminated, FreshLogin),
            ),
        ] {
            let path = CanonicalPath::parse(path).expect("path");
            let request = Request { client: Client::Fetch, path: &path, origin: None, blind: false };
            let decided = decide(&request, &app(), &evidence, standing);
            let found = match &decided {
                Decision::Forward(permit) => Ok(permit.person().map(|person| person.subject.as_str())),
                Decision::Login(login) => Err((login.cause.word(), login.token)),
                Decision::Refuse(refusal) => Err((refusal.word(), None)),
            };
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_session_that_is_due_goes_through_the_idp_with_a_page_and_in_the_end_with_everything() {
        use Freshness::{Due, Fresh, Overdue};
        let clear = Standing::default();
        let terminated = Standing { terminated: Some(Timestamp::from_secs(200)), ..clear };
        for (freshness, client, path, standing, expected) in [
            (Fresh, Client::Navigation, "/", clear, "forward"),
            (Due, Client::Navigation, "/", clear, "revalidation_required"),
            (Due, Client::Fetch, "/", clear, "forward"),
            (Due, Client::WebSocket, "/", clear, "forward"),
            (Due, Client::Navigation, "/healthz", clear, "forward"),
            (Due, Client::Navigation, "/", terminated, "session_revoked"),
            (Overdue, Client::Navigation, "/", clear, "revalidation_required"),
            (Overdue, Client::Fetch, "/", clear, "revalidation_required"),
            (Overdue, Client::WebSocket, "/", clear, "revalidation_required"),
            (Overdue, Client::Fetch, "/healthz", clear, "forward"),
        ] {
            let evidence = Evidence { freshness, ..session(&["staff"]) };
            let path = CanonicalPath::parse(path).expect("path");
            let request = Request { client, path: &path, origin: None, blind: false };
            let found = decide(&request, &app(), &evidence, standing);
            assert_eq!(found.word(), expected, "{freshness:?} {client:?} {}", path.as_str());
        }
    }

    #[test]
    fn a_websocket_is_opened_by_the_apps_own_pages_only() {
        let mut app = app();
        app.websocket_origins = vec!["https://partner.example".into()];
        let path = CanonicalPath::parse("/ws").expect("path");
        for (origin, allowed) in [
            (None, true),
            (Some("https://wiki.example"), true),
            (Some("https://partner.example"), true),
            (Some("http://wiki.example"), false),
            (Some("https://wiki.example.evil"), false),
            (Some("null"), false),
        ] {
            let request = Request { client: Client::WebSocket, path: &path, origin, blind: false };
            let refused =
                decide(&request, &app, &session(&[]), Standing::default()) == Decision::Refuse(Refusal::ForeignOrigin);
            assert_eq!(refused, !allowed, "{origin:?}");
        }
    }

    #[test]
    fn the_kind_of_client_is_read_off_the_request() {
        use Client::{Fetch, Grpc, Navigation, WebSocket};
        let html = ("accept", "text/html,*/*;q=0.8");
        for (name, method, headers, expected) in [
            (
                "a link in a browser",
                "GET",
                vec![("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
                Navigation,
            ),
            ("fetch()", "GET", vec![("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), html], Fetch),
            ("an image", "GET", vec![("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")], Fetch),
            ("an object", "GET", vec![("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "object")], Fetch),
            ("a form post", "POST", vec![("sec-fetch-mode", "navigate"), html], Navigation),
            ("an old browser", "GET", vec![html], Navigation),
            ("jQuery", "GET", vec![html, ("x-requested-with", "XMLHttpRequest")], Fetch),
            ("curl", "GET", vec![("accept", "*/*")], Fetch),
            ("an API client", "GET", vec![("accept", "application/json")], Fetch),
            ("nothing said", "GET", vec![], Fetch),
            ("an old browser's post", "POST", vec![html], Fetch),
            ("a WebSocket", "GET", vec![("upgrade", "WebSocket"), ("sec-fetch-mode", "websocket")], WebSocket),
            ("gRPC", "POST", vec![("content-type", "application/grpc+proto")], Grpc),
        ] {
            let mut map = HeaderMap::new();
            for (field, value) in headers {
                map.append(field, HeaderValue::from_static(value));
            }
            let method = Method::from_bytes(method.as_bytes()).expect("method");
            assert_eq!(Client::of(&method, &map), expected, "{name}");
        }
    }
}

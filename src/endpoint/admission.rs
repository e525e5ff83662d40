//! Whether a request for an app is let in: its evidence collected, entered as an exchange, judged, decided.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::{Derived, Endpoints, Tokens, answer, revalidate};
use crate::apps::{Access, App, CanonicalPath};
use crate::audit::Event;
use crate::decision::{self, Client, Decision, Permit, Refusal};
use crate::evidence::{self, Bearer, Evidence};
use crate::exchanges::{Cut, Exchange, Guard, Held, Kind};
use crate::lineage::Lineage;
use crate::page::Page;
use crate::revocation::{Explanation, Mode, Standing};
use crate::session::Session;

/// What becomes of a request for an app.
pub(crate) enum Admission {
    /// It is forwarded.
    Forward {
        permit: Permit,
        guard: Guard,
        /// `Set-Cookie` values for the app's answer.
        cookies: Vec<String>,
        /// The app's own cookies.
        derived: Box<Derived>,
        /// The app's own tokens.
        tokens: Box<Tokens>,
        /// What it was let in on.
        evidence: Box<Evidence>,
    },
    /// It is answered here.
    Answer(Response<Bytes>),
}

/// A request for an app, as far as we look at it.
pub(crate) struct Ask<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a CanonicalPath,
    pub(crate) client: Client,
    /// The path and query that would be forwarded.
    pub(crate) target: &'a str,
    /// The body, where tokens are looked for in it.
    pub(crate) body: Option<&'a [u8]>,
}

impl Endpoints {
    /// Decides on a request for `app`; if it is let in, `cut` ends it.
    pub(crate) async fn admit(&self, ask: &Ask<'_>, app: &Arc<App>, cut: &Cut) -> Admission {
        let given = evidence::cookies(ask.headers);
        let given = given.as_deref();
        let mut evidence = self.evidence_in(given, app);
        revalidate::let_wait(ask, &mut evidence);
        let by = app.asks(ask.path).by();
        let Ok(tokens) = self.bear(ask, app, by, &mut evidence).await else {
            return Admission::Answer(self.cannot_ask(ask.client));
        };
        // On public paths nobody's session counts, so nobody's end cuts; the app's cookies go through all the same.
        let public = by == Access::Public;
        let session = evidence.session().filter(|_| !public);
        let own = session.map(Lineage::of);
        let borne: Vec<_> = evidence.bearers.iter().map(|bearer| self.renewed_by(bearer, session)).collect();
        let behind = own.as_ref().or_else(|| borne.first());
        let derived = if public {
            let judged = evidence.session().map(Lineage::of);
            let judged = judged.filter(|lineage| self.0.enforcer.judge(&lineage.credential(app.key)).is_clear());
            self.receive(ask, given, app, by, judged.as_ref(), judged.clone())
        } else {
            let oldest = || evidence::oldest(&evidence.bearers).map(|bearer| bearer.lineage.clone());
            self.receive(ask, given, app, by, behind, own.clone().or_else(oldest))
        };
        let bearers = evidence.bearers.as_slice();
        let cookies = derived.held(behind);
        let borne = borne.into_iter().zip(&evidence.bearers).map(|(lineage, bearer)| held(bearer, lineage));
        let ends = session.map(|session| session.end(&self.0.session)).into_iter();
        let ends = ends.chain(session.and_then(|session| self.overdue_at(session)));
        let exchange = Exchange {
            credentials: own.map(Held::from).into_iter().chain(borne).chain(cookies).collect(),
            app: app.key,
            app_name: app.name.as_str().into(),
            kind: Kind::Request,
            ends_at: ends.chain(bearers.iter().map(|bearer| bearer.ends_at)).min(),
        };
        let Ok((standing, guard)) = self.0.enforcer.admit(exchange, cut) else {
            return Admission::Answer(self.overloaded(ask.client));
        };
        let origin = ask.headers.get(header::ORIGIN).map(|o| o.to_str().unwrap_or("unreadable"));
        // After the exchange was entered: whoever makes it blind finds it in flight (law 3).
        let blind = self.0.sight.is_blind(app.key);
        let request = decision::Request { client: ask.client, path: ask.path, origin, blind };
        let decision = decision::decide(&request, app, &evidence, standing);
        tracing::debug!(app = app.name, method = %ask.method, path = %ask.path, decision = decision.word(), "decided");
        if standing.is_clear() || matches!(decision, Decision::Forward(_)) {
            self.count_taken_out(&derived, app);
        } else {
            self.count_refusal(guard.exchange(), &derived);
        }
        match decision {
            Decision::Forward(permit) => {
                self.used(&app.idp, evidence.session(), &evidence.bearers);
                let cookies = self.renewed(&evidence, app);
                let (derived, tokens, evidence) = (Box::new(derived), Box::new(tokens), Box::new(evidence));
                Admission::Forward { permit, guard, cookies, derived, tokens, evidence }
            }
            Decision::Login(login) => {
                // No longer in flight: another revocation meanwhile must not cut the answer to this one.
                drop(guard);
                if login.cause.is_revocation() {
                    self.0.metrics.request_blocked(login.cause.word());
                    self.record_refusal(ask, app, &evidence, standing);
                }
                let said = self.said(&evidence, app, standing);
                Admission::Answer(self.sign_in(&login, app, ask, said.as_ref()).await)
            }
            Decision::Refuse(refusal) => {
                self.0.metrics.request_blocked(refusal.word());
                if refusal.is_revocation() {
                    self.record_refusal(ask, app, &evidence, standing);
                }
                let said = self.said(&evidence, app, standing);
                Admission::Answer(refused(refusal, app, &evidence, ask.client, said.as_ref()))
            }
        }
    }

    /// What is judged of a token.
    pub(super) fn renewed_by(&self, bearer: &Bearer, session: Option<&Session>) -> Lineage {
        bearer.judged(session, self.0.enforcer.returned_at(&bearer.lineage.targets))
    }

    /// What whoever ended it says to the person behind a request; nothing is looked up where nothing was ended.
    pub(super) fn said(&self, evidence: &Evidence, app: &App, standing: Standing) -> Option<Explanation> {
        if standing.is_clear() {
            return None;
        }
        let said_to = |held: Held| self.0.outcomes.said_to(&held.in_app(app.key));
        let session = evidence.session().map(|session| Held::from(Lineage::of(session)));
        session.and_then(said_to).or_else(|| {
            let bearers = evidence.bearers.iter().map(|bearer| held(bearer, bearer.lineage.clone()));
            bearers.filter_map(said_to).next()
        })
    }

    /// A revoked credential was used: the same compromise, not a new one, and worth a line.
    pub(super) fn record_refusal(&self, ask: &Ask<'_>, app: &App, evidence: &Evidence, standing: Standing) {
        let demanded = standing
            .held
            .map(|since| (Mode::Hold, since))
            .or_else(|| standing.terminated.map(|cut_off| (Mode::Terminate, cut_off)))
            .or_else(|| standing.reestablish.map(|cut_off| (Mode::Reestablish, cut_off)));
        let (Some(person), Some((mode, cut_off))) = (evidence.person(), demanded) else { return };
        let session = evidence.session().map(|session| session.id);
        let session = session.or_else(|| evidence.bearers.first().map(|bearer| bearer.lineage.session));
        self.0.audit.record(Event::RequestRefused {
            app: app.name.clone(),
            idp: app.idp.clone(),
            user: person.subject.clone(),
            session: session.map(|id| id.to_string()).unwrap_or_default(),
            mode,
            cut_off,
            request: format!("{} {}", ask.method, ask.path),
        });
    }
}

/// A token as a credential that an exchange runs on; `lineage` is what is judged of it.
pub(super) fn held(bearer: &Bearer, lineage: Lineage) -> Held {
    Held { imprint: bearer.imprint, ..Held::from(lineage) }
}

fn refused(
    refusal: Refusal,
    app: &App,
    evidence: &Evidence,
    client: Client,
    said: Option<&Explanation>,
) -> Response<Bytes> {
    match refusal {
        Refusal::OnHold => return on_hold(app, client, said),
        Refusal::Blind => return blind(app, client, StatusCode::SERVICE_UNAVAILABLE),
        Refusal::MixedCredentials => {
            let page = Page::bad_request("The request carries credentials of several people.");
            return answer::either(client, StatusCode::BAD_REQUEST, refusal.word(), &page);
        }
        Refusal::NotAllowed | Refusal::ForeignOrigin => {}
    }
    let person = evidence.person().map(|p| p.email.as_deref().unwrap_or(&p.subject));
    let page = Page::forbidden(&app.name, person, "/oauth2/sign_out");
    let mut response = answer::either(client, StatusCode::FORBIDDEN, refusal.word(), &page);
    if refusal == Refusal::NotAllowed && !evidence.bearers.is_empty() && response.status() == StatusCode::FORBIDDEN {
        answer::insufficient_scope(app, &mut response);
    }
    response
}

/// Nobody gets in until signals arrive again; it heals by itself.
pub(super) fn blind(app: &App, client: Client, status: StatusCode) -> Response<Bytes> {
    let mut response = answer::either(client, status, Refusal::Blind.word(), &Page::blind(&app.name));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    response
}

/// Nobody new gets in until there is room again; who is signed in goes on.
pub(super) fn crowded(retry: &str) -> Response<Bytes> {
    let mut response = answer::page(StatusCode::SERVICE_UNAVAILABLE, &Page::crowded(retry));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    response
}

/// Who is on hold learns that, and that no login helps.
pub(super) fn on_hold(app: &App, client: Client, said: Option<&Explanation>) -> Response<Bytes> {
    let page = Page::on_hold(&app.name).because(said);
    answer::because(answer::either(client, StatusCode::FORBIDDEN, Refusal::OnHold.word(), &page), said)
}

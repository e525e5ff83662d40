//! Sessions that are checked with the browser: the next page goes through the IdP, which may show no page of its own
//! (`prompt=none`). Its yes renews the session, its no ends it.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, header};

use super::admission::Ask;
use super::{Call, Endpoints, answer};
use crate::apps::App;
use crate::audit::Event;
use crate::decision::{Cause, Login};
use crate::evidence::{Bearer, Evidence, Maker};
use crate::identity::Identity;
use crate::idp::Idp;
use crate::login::{Denied, FlowState, Proof, Refusal, ReturnPath, Shortfall, Why};
use crate::revalidation::{self, By, Freshness};
use crate::revocation::{Mode, Origin, Revocation};
use crate::secret::Secret;
use crate::session::{Session, SessionId};
use crate::time::Timestamp;

impl Endpoints {
    /// How long ago the IdP last spoke for `session`, as far as that matters.
    pub(super) fn freshness(&self, session: Option<&Session>) -> Freshness {
        let Some((session, settings)) = session.and_then(|session| Some((session, self.checked(session)?))) else {
            return Freshness::Fresh;
        };
        settings.freshness(session.asserted_at, self.0.clock.now())
    }

    /// When what is in flight on `session` ends because the IdP was not asked since.
    pub(super) fn overdue_at(&self, session: &Session) -> Option<Timestamp> {
        self.checked(session).map(|settings| settings.overdue_at(session.asserted_at))
    }

    /// How `session` is checked, if it is with the browser.
    fn checked(&self, session: &Session) -> Option<&revalidation::Settings> {
        // Nothing is looked up where nobody configured it.
        if self.0.checks.is_empty() {
            return None;
        }
        let checks = self.0.checks.get(&session.idp)?;
        (!checks.holds(session.id)).then(|| checks.settings())
    }

    /// Notes that a session was used, or a token that grew from one.
    pub(super) fn used(&self, idp: &str, session: Option<&Session>, bearers: &[Bearer]) {
        if self.0.checks.is_empty() {
            return;
        }
        let Some(checks) = self.0.checks.get(idp) else { return };
        let of_app = bearers.iter().filter(|bearer| bearer.maker == Maker::App);
        let sessions = session.map(|session| session.id).into_iter();
        for session in sessions.chain(of_app.map(|bearer| bearer.lineage.session)) {
            checks.seen(session);
        }
    }

    /// The session that a login which `request` begins only checks: one that is due, in a browser that can be sent away.
    pub(super) fn to_check(&self, headers: &HeaderMap, app: &App) -> Option<Session> {
        if self.0.checks.is_empty() || !can_be_sent_away(headers) {
            return None;
        }
        let session = self.good_session(headers, app)?;
        (self.freshness(Some(&session)) != Freshness::Fresh).then_some(session)
    }

    /// Sends a browser to sign in, or only to have its session checked.
    pub(super) async fn begin_or_check(
        &self,
        login: &Login,
        app: &App,
        headers: &HeaderMap,
        return_to: ReturnPath,
    ) -> Response<Bytes> {
        let checked = if login.cause == Cause::Revalidate { self.to_check(headers, app) } else { None };
        let (renews, expected) = checked.map(|session| expected(&session)).unzip();
        self.begin(app, headers, return_to, login.proof, expected.flatten().as_deref(), renews).await
    }

    /// A session begins or was renewed: from now on it is checked. One that was to be renewed, and was not, because the
    /// IdP speaks of somebody else, is over.
    pub(super) async fn begins(
        &self,
        idp: &Idp,
        app: &App,
        (headers, flow): (&HeaderMap, &FlowState),
        (session, is_renewed): (&Session, bool),
        refresh_token: Option<Secret<String>>,
    ) {
        let Some(checks) = self.0.checks.get(idp.name()) else { return };
        match &flow.renews {
            Some(_) if is_renewed => self.0.metrics.revalidated(idp.name(), By::Silent.word(), "stands"),
            Some(other) => {
                let before = self.good_session(headers, app).filter(|shown| shown.id.to_string() == *other);
                if let Some(before) = before {
                    self.end_checked(idp, other, Some(&before.person.subject)).await;
                }
            }
            None => {}
        }
        checks.keep(session, app, refresh_token).await;
    }

    /// The session that `flow` renews, if the browser still has it, and the IdP speaks of the same person.
    pub(super) fn renewed_in(&self, call: &Call<'_>, app: &App, flow: &FlowState, of: &Identity) -> Option<Session> {
        let wanted = flow.renews.as_ref()?;
        let session = self.good_session(call.headers(), app)?;
        (session.id.to_string() == *wanted && session.person.subject == of.subject).then_some(session)
    }

    /// What is missing from an assertion that renews a session: one that is due again at once would be a loop.
    pub(super) fn still_due(&self, idp: &Idp, flow: &FlowState, of: &Identity) -> Option<Shortfall> {
        let settings = idp.revalidation().filter(|_| flow.renews.is_some())?;
        let now = self.0.clock.now();
        let due = settings.freshness(of.asserted_at, now) != Freshness::Fresh;
        let asked = Proof::Reassert(now.minus(settings.every));
        due.then_some(Shortfall { asked, why: Why::OldAssertion, retry_after: None })
    }

    /// The IdP's answer to a check is no, or it is about somebody else: the session that was checked is over.
    pub(super) async fn end_checked(&self, idp: &Idp, session: &str, user: Option<&str>) -> Timestamp {
        let (now, by) = (self.0.clock.now(), By::Silent.word());
        let why = revalidation::Why::Refused.words();
        self.0.metrics.revalidated(idp.name(), by, "refused");
        self.0.audit.record(Event::SessionRefused {
            idp: idp.name().to_owned(),
            by,
            user: user.unwrap_or_default().to_owned(),
            session: session.to_owned(),
            why,
        });
        let origin = Origin::Revalidation { idp: idp.name().to_owned(), by: by.to_owned() };
        let over = Revocation::of_session(idp.issuer(), session, Mode::Terminate, origin, Some(why), now);
        if let Some(revocation) = over {
            // In force here in any case; the intake says so loudly if it could not be written down.
            let _ = self.0.intake.accept(vec![revocation]).await;
        }
        now
    }

    /// The answer to a browser that comes back from a check with the IdP's no: the session is over, and a login begins.
    /// `None` if this was no check, or no no.
    pub(super) async fn refused(
        &self,
        call: &Call<'_>,
        idp: &Idp,
        app: &App,
        flow: &FlowState,
        denied: Denied,
    ) -> Option<Response<Bytes>> {
        let session = flow.renews.as_ref()?;
        match denied {
            Denied::Refused(Refusal::LoginRequired | Refusal::InteractionRequired | Refusal::AccessDenied) => {}
            Denied::Refused(Refusal::Unavailable | Refusal::Unsuitable)
            | Denied::OtherIssuer
            | Denied::IssuerMissing
            | Denied::NoCode => {
                self.0.metrics.revalidated(idp.name(), By::Silent.word(), "no_verdict");
                return None;
            }
        }
        let user = self.good_session(call.headers(), app).filter(|shown| shown.id.to_string() == *session);
        let user = user.map(|shown| shown.person.subject.clone());
        let cut_off = self.end_checked(idp, session, user.as_deref()).await;
        let proof = Proof::NewerThan(cut_off);
        let mut response = self.begin(app, call.headers(), flow.return_to.clone(), proof, None, None).await;
        answer::forget(&mut response, Cause::Terminated);
        Some(response)
    }
}

/// Whom the IdP is told to expect at a check: somebody may be signed in there under several names.
pub(super) fn expected(session: &Session) -> (SessionId, Option<String>) {
    let person = &session.person;
    (session.id, person.preferred_username.clone().or_else(|| person.email.clone()))
}

/// A session that is due can wait for the next page, where this is none that can be repeated after the IdP's.
pub(super) fn let_wait(ask: &Ask<'_>, evidence: &mut Evidence) {
    let is_page = matches!(*ask.method, Method::GET | Method::HEAD) && can_be_sent_away(ask.headers);
    if evidence.freshness == Freshness::Due && !is_page {
        evidence.freshness = Freshness::Fresh;
    }
}

/// Whether a browser that is sent to the IdP comes there with the IdP's cookies: a frame, or a page that is fetched before
/// anybody wants it, often does not, and the IdP's no would then say nothing about the person.
fn can_be_sent_away(headers: &HeaderMap) -> bool {
    let says = |name: &str, word: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(|value| value.trim().eq_ignore_ascii_case(word))
    };
    let is_page = says("sec-fetch-dest", "document").unwrap_or(true);
    let is_early =
        headers.contains_key("sec-purpose") || headers.contains_key(header::HeaderName::from_static("purpose"));
    is_page && !is_early
}

/// The assertion renews `session`: what was begun with it goes on under its id, and ends when it would have ended.
pub(super) fn carried_on(renewed: Option<&Session>, session: Session) -> Session {
    match renewed {
        Some(before) => Session { issued_at: before.issued_at, ..session },
        None => session,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_that_somebody_wants_is_sent_through_the_idp() {
        for (name, fields, expected) in [
            ("a link", vec![("sec-fetch-dest", "document")], true),
            ("an old browser", vec![], true),
            ("a frame", vec![("sec-fetch-dest", "iframe")], false),
            ("a page that is fetched early", vec![("sec-fetch-dest", "document"), ("sec-purpose", "prefetch")], false),
            ("the same, as it was said before", vec![("purpose", "prefetch")], false),
        ] {
            let mut headers = HeaderMap::new();
            for (field, value) in fields {
                headers.insert(field, http::HeaderValue::from_static(value));
            }
            assert_eq!(can_be_sent_away(&headers), expected, "{name}");
        }
    }
}

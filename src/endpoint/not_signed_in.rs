//! The answers to people who come back from the IdP and are not signed in.

use bytes::Bytes;
use http::{Response, StatusCode, header};

use super::{Endpoints, answer};
use crate::apps::App;
use crate::audit::Event;
use crate::idp::{self, Idp};
use crate::login::{self, Shortfall};
use crate::page::{Label, Page, Saying};
use crate::session::Session;

impl Endpoints {
    pub(super) fn denied(&self, idp: &Idp, app: &App, denied: login::Denied, retry: &str) -> Response<Bytes> {
        self.0.metrics.login(idp.name(), "denied");
        self.0.audit.record(Event::SignInRefused {
            app: app.name.clone(),
            idp: idp.name().to_owned(),
            user: None,
            why: denied.to_string(),
        });
        let (status, saying) = match denied {
            login::Denied::OtherIssuer | login::Denied::IssuerMissing | login::Denied::NoCode => {
                (StatusCode::BAD_REQUEST, Saying::AnswerUnasked)
            }
            login::Denied::Refused(login::Refusal::Unavailable) => (StatusCode::SERVICE_UNAVAILABLE, Saying::IdpFault),
            login::Denied::Refused(_) => (StatusCode::FORBIDDEN, Saying::IdpRefused),
        };
        let page = Page::new(saying).action(Label::TryAgain, retry).technical(&denied.to_string());
        answer::page(status, &page)
    }

    /// The end of the road: the IdP did not prove a fresh login. A page, never a loop.
    pub(super) fn not_fresh(
        &self,
        idp: &Idp,
        app: &App,
        session: &Session,
        shortfall: Shortfall,
        retry: &str,
    ) -> Response<Bytes> {
        self.0.metrics.login(idp.name(), "not_fresh");
        self.0.audit.record(Event::SignInRefused {
            app: app.name.clone(),
            idp: idp.name().to_owned(),
            user: Some(session.person.subject.clone()),
            why: format!("{:?}", shortfall.why),
        });
        let mut response = answer::page(StatusCode::FORBIDDEN, &Page::login_not_fresh(idp.name(), retry));
        if let Some(wait) = shortfall.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, wait.as_secs().into());
        }
        response
    }

    pub(super) fn idp_failed(&self, idp: &Idp, app: &App, error: &idp::Error, retry: &str) -> Response<Bytes> {
        self.0.metrics.login(idp.name(), "idp_failed");
        tracing::warn!(idp = idp.name(), %error, "a sign-in failed at the IdP");
        if error.is_transient() {
            let mut response = answer::page(StatusCode::SERVICE_UNAVAILABLE, &Page::idp_unreachable(idp.name(), retry));
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
            return response;
        }
        self.0.audit.record(Event::SignInRefused {
            app: app.name.clone(),
            idp: idp.name().to_owned(),
            user: None,
            why: error.to_string(),
        });
        let page = Page::new(Saying::AnswerUntrusted).action(Label::TryAgain, retry);
        answer::page(StatusCode::BAD_GATEWAY, &page)
    }
}

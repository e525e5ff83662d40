//! What refused requests and sign-ins add to the outcomes of revocations. None of it happens to a request that is let
//! through with nothing taken out of it.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{Derived, Endpoints, answer};
use crate::apps::App;
use crate::evidence::{Imprint, Sort};
use crate::exchanges::{Exchange, Held};
use crate::identity::AppKey;
use crate::lineage::Kept;
use crate::outcome::Presented;
use crate::session::Session;

impl Endpoints {
    /// A request was refused that would have run on that, with these cookies of the app.
    pub(super) fn count_refusal(&self, exchange: &Exchange, derived: &Derived) {
        self.count_refused(&exchange.credentials, derived.opened(), exchange.app);
    }

    /// The same, of a request that would have run elsewhere.
    pub(super) fn count_refused_elsewhere(&self, credentials: &[Held], app: &App) {
        self.count_refused(credentials, std::iter::empty(), app.key);
    }

    /// Cookies were taken out of a request that went on without them.
    pub(super) fn count_taken_out(&self, derived: &Derived, app: &App) {
        if !derived.revoked().is_empty() {
            self.count_refused(&[], derived.revoked().iter(), app.key);
        }
    }

    fn count_refused<'a>(&self, credentials: &[Held], cookies: impl Iterator<Item = &'a Kept>, app: AppKey) {
        // The cookies among the credentials stand for many; here each is looked at by itself.
        let own = credentials.iter().filter(|held| held.imprint.sort != Sort::AppCookie);
        let own = own.map(|held| Presented { imprint: held.imprint, credential: held.in_app(app) });
        let presented: Vec<_> = own
            .chain(cookies.map(|kept| {
                let lineage = &kept.cookie.lineage;
                let imprint = Imprint::of_cookie(&kept.name, lineage.session.0);
                Presented { imprint, credential: lineage.credential(app) }
            }))
            .collect();
        self.0.outcomes.refused(&presented);
    }

    /// Somebody signed in: perhaps one who was out.
    pub(super) fn count_sign_in(&self, session: &Session, app: &App) {
        self.0.outcomes.signed_in(&session.credential(app.key));
    }

    /// Somebody tried to, and proved nothing newer.
    pub(super) fn count_refused_sign_in(&self, session: &Session, app: &App) {
        self.0.outcomes.sign_in_refused(&session.credential(app.key));
    }

    /// `/oauth2/jwks`: the keys by which receivers know our messages (RFC 7517 §5).
    pub(super) fn jwks(&self) -> Response<Bytes> {
        match self.0.outcomes.jwks() {
            Some(keys) => answer::json(StatusCode::OK, &keys),
            None => answer::empty(StatusCode::NOT_FOUND),
        }
    }
}

//! Ending one's own session, here and at the IdP.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::sign_in::return_path;
use super::{Call, Endpoints, PREFIX, answer, expired};
use crate::apps::App;
use crate::audit::Event;
use crate::evidence;
use crate::page::Page;
use crate::revocation::{Mode, Origin, Revocation};
use crate::seal::Purpose;
use crate::secret::Secret;
use crate::session;

/// Keeps the ID token for sign-out (`id_token_hint`, OpenID Connect RP-Initiated Logout §2). Its path keeps it off all
/// other requests.
const HINT_COOKIE: &str = "__Secure-portcullis-hint";
/// A larger ID token is not kept: the IdP then asks the person whether they meant it.
const MAX_HINT: usize = 3800;

impl Endpoints {
    /// The `Set-Cookie` value that keeps `id_token` for sign-out.
    pub(super) fn hint_cookie(&self, app: &App, id_token: &Secret<String>) -> Option<Secret<String>> {
        let host = app.origin.host().as_str();
        let sealed = self.0.ring.seal(Purpose::SignOut, host, id_token.expose().as_bytes())?;
        (sealed.len() <= MAX_HINT).then(|| {
            Secret::new(format!("{HINT_COOKIE}={sealed}; Path={PREFIX}/sign_out; Secure; HttpOnly; SameSite=Lax"))
        })
    }

    /// `/oauth2/sign_out`: the session is over for every copy of its cookie, then the browser goes to the IdP.
    pub(super) async fn sign_out(&self, call: &Call<'_>) -> Response<Bytes> {
        let site = call.headers().get("sec-fetch-site").and_then(|v| v.to_str().ok());
        // The button leads here again, from a page of this site. Nothing in the URL may stand for that click: another
        // site could write it, too.
        if site == Some("cross-site") {
            let page = Page::sign_out_asked(&format!("{PREFIX}/sign_out"));
            return answer::page(StatusCode::OK, &page);
        }
        let session = self.evidence(call.headers(), call.app).session().cloned();
        if let Some(session) = &session {
            self.end(session, call.app, Origin::SignOut).await;
        }
        let wanted = call.parameter("rd");
        let back = wanted
            .as_deref()
            .map_or_else(|| format!("{PREFIX}/signed_out"), |rd| return_path(rd, call.app).as_str().to_owned());
        let location = self.idp_sign_out(call, &format!("{}{back}", call.app.origin.as_str())).await.unwrap_or(back);
        let mut gone: Vec<_> = session::cookie_names().map(|name| expired(&name)).collect();
        gone.push(no_hint());
        answer::redirect(&location, &gone)
    }

    /// Revokes the one session, by its own id.
    pub(super) async fn end(&self, session: &session::Session, app: &App, origin: Origin) {
        let Some(idp) = self.0.idps.get(&session.idp) else { return };
        let now = self.0.clock.now();
        let over = Revocation::of_session(idp.issuer(), &session.id.to_string(), Mode::Terminate, origin, None, now);
        let Some(revocation) = over else { return };
        // In force here in any case; the intake says so loudly if it could not be written down.
        let _ = self.0.intake.accept(vec![revocation]).await;
        self.0.audit.record(Event::SignedOut {
            app: app.name.clone(),
            idp: session.idp.clone(),
            user: session.person.subject.clone(),
            session: session.id.to_string(),
        });
    }

    /// Where the IdP ends its own session, if it offers that.
    async fn idp_sign_out(&self, call: &Call<'_>, back: &str) -> Option<String> {
        let idp = self.0.idps.get(&call.app.idp)?;
        let host = call.app.origin.host().as_str();
        let sealed = evidence::cookies(call.headers())?.into_iter().find(|(name, _)| *name == HINT_COOKIE)?.1;
        let opened = self.0.ring.open(Purpose::SignOut, host, sealed).ok()?;
        let hint = Secret::new(String::from_utf8(opened.text).ok()?);
        idp.sign_out_url(Some(&hint), &url::Url::parse(back).ok()?, None).await.map(String::from)
    }
}

/// The `Set-Cookie` value that forgets the ID token.
pub(super) fn no_hint() -> Secret<String> {
    Secret::new(format!("{HINT_COOKIE}=; Path={PREFIX}/sign_out; Secure; HttpOnly; Max-Age=0"))
}

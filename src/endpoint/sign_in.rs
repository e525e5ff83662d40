//! Sending people to the IdP, and taking them back.

use std::time::Duration;

use aws_lc_rs::rand;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::{Ask, Call, Endpoints, PREFIX, SignIn, admission, answer, expired, revalidate, session_cookie};
use crate::apps::{App, BuiltIn};
use crate::audit::Event;
use crate::decision::{self, Cause, Client, Decision, Login, Refusal};
use crate::evidence::{self, Evidence, Unusable};
use crate::exchanges::Guard;
use crate::identity::{Target, TargetKind};
use crate::idp::{self, Assertion, Idp};
use crate::login::{self, Flows, Proof, Resume, ReturnPath, Start, Verdict};
use crate::page::{Label, Page, Saying};
use crate::revocation::{Explanation, Reestablished};
use crate::secret::Secret;
use crate::session::{self, Over, Session, SessionId};
use crate::time::Timestamp;

/// What clocks may differ by before an `auth_time` counts as too old for `max_age`.
const SKEW: Duration = Duration::from_secs(60);

impl Endpoints {
    /// Where a person begins to sign in to `app`, with the way back.
    pub(super) fn start_url(&self, app: &App, return_to: &str) -> String {
        format!("{}{PREFIX}/start?rd={}", app.origin.as_str(), utf8_percent_encode(return_to, NON_ALPHANUMERIC))
    }

    /// The answer to a request that needs a login: a redirect for a page, a challenge for everything else.
    /// `said`: by whoever ended the session, to the person.
    pub(super) async fn sign_in(
        &self,
        login: &Login,
        app: &App,
        ask: &Ask<'_>,
        said: Option<&Explanation>,
    ) -> Response<Bytes> {
        let return_to = way_back(app, ask);
        let start = self.start_url(app, return_to.as_str());
        if !login.can_be_redirected() {
            return answer::because(answer::challenge(app, login, &start, self.0.clock.now()), said);
        }
        let mut response = match self.ended(login, app, &start, said) {
            Some(page) => page,
            None => self.begin_or_check(login, app, ask.headers, return_to).await,
        };
        answer::forget(&mut response, login.cause);
        response
    }

    /// The page that says why a session was ended, where people shall see it; from there they go on to `start`.
    fn ended(&self, login: &Login, app: &App, start: &str, said: Option<&Explanation>) -> Option<Response<Bytes>> {
        let said = said.filter(|_| self.0.look.says_why && login.cause == Cause::Terminated)?;
        let mut response = answer::page(StatusCode::UNAUTHORIZED, &Page::session_ended(Some(said), start));
        answer::challenged(&mut response, &answer::session_challenge(app, login.cause));
        Some(response)
    }

    /// The answer to a request whose session ended while the app was still at work on it. It waits for nothing: a page
    /// goes on to our own start of a login, which knows what that login must prove.
    pub(crate) fn interrupted(&self, app: &App, ask: &Ask<'_>, evidence: &Evidence, guard: &Guard) -> Response<Bytes> {
        let standing = self.0.enforcer.judge_again(guard);
        let blind = self.0.sight.is_blind(app.key);
        let request = decision::Request { client: ask.client, path: ask.path, origin: None, blind };
        let login = match decision::decide(&request, app, evidence, standing) {
            Decision::Login(login) => login,
            Decision::Refuse(refusal @ Refusal::OnHold) => {
                self.0.metrics.request_blocked(refusal.word());
                self.record_refusal(ask, app, evidence, standing);
                return admission::on_hold(app, ask.client, self.said(evidence, app, standing).as_ref());
            }
            Decision::Refuse(refusal @ Refusal::Blind) => {
                self.0.metrics.request_blocked(refusal.word());
                return admission::blind(app, ask.client, StatusCode::SERVICE_UNAVAILABLE);
            }
            // What was let in and is not revoked has come to its own end.
            Decision::Forward(_) | Decision::Refuse(_) => {
                let cause = Cause::Unusable(Unusable::Over(Over::Expired));
                Login { cause, proof: Proof::Any, client: ask.client, token: None }
            }
        };
        self.0.metrics.request_blocked(login.cause.word());
        if login.cause.is_revocation() {
            self.record_refusal(ask, app, evidence, standing);
        }
        let (start, said) = (self.start_url(app, way_back(app, ask).as_str()), self.said(evidence, app, standing));
        if !login.can_be_redirected() {
            return answer::because(answer::challenge(app, &login, &start, self.0.clock.now()), said.as_ref());
        }
        let ended = self.ended(&login, app, &start, said.as_ref());
        let mut response = ended.unwrap_or_else(|| answer::redirect(&start, &[]));
        answer::forget(&mut response, login.cause);
        response
    }

    /// `/oauth2/start`: by a person's click, or by a third party (OpenID Connect Core §4).
    pub(super) async fn start(&self, call: &Call<'_>) -> Response<Bytes> {
        let wanted = call.parameter("rd").or_else(|| call.parameter("target_link_uri"));
        let wanted = wanted.as_deref().unwrap_or("/");
        let return_to = return_path(wanted, call.app);
        // The app that the person goes back to decides about the IdP: several apps may share the host.
        let path = return_to.as_str().split('?').next().unwrap_or("/");
        let app = crate::apps::CanonicalPath::parse(path)
            .ok()
            .and_then(|path| self.0.apps.find(call.host, &path))
            .unwrap_or(call.app);
        if let Some(issuer) = call.parameter("iss") {
            let ours = self.0.idps.get(&app.idp).is_some_and(|idp| idp.issuer().as_str() == issuer);
            if !ours {
                let page = Page::bad_request("The link that brought you here names another sign-in service.");
                return answer::page(StatusCode::BAD_REQUEST, &page);
            }
        }
        // A session that was cut says what the next login must prove.
        let evidence = self.evidence(call.headers(), app);
        let session = evidence.session();
        let standing = session.map(|session| self.0.enforcer.judge(&session.credential(app.key))).unwrap_or_default();
        let said = self.said(&evidence, app, standing);
        if standing.held.is_some() {
            return admission::on_hold(app, Client::Navigation, said.as_ref());
        }
        // A sign-in would lead to the same answer, one round later.
        if self.0.sight.is_blind(app.key) {
            return admission::blind(app, Client::Navigation, StatusCode::SERVICE_UNAVAILABLE);
        }
        let proof = Proof::demanded_by(standing).and(self.fresh(app, call));
        let hint = call.parameter("login_hint").filter(|hint| hint.len() <= 200);
        let (renews, expected) = self.to_check(call.headers(), app).map(|s| revalidate::expected(&s)).unzip();
        let hint = expected.flatten().or(hint);
        self.begin(app, call.headers(), return_to, proof, hint.as_deref(), renews).await
    }

    /// What a login must prove that is begun because the last one is too old for what somebody wants to do in the app.
    fn fresh(&self, app: &App, call: &Call<'_>) -> Proof {
        match app.built_in {
            Some(BuiltIn::Console { fresh_for }) if call.parameter("fresh").is_some() => {
                Proof::NewerThan(self.0.clock.now().minus(fresh_for))
            }
            _ => Proof::Any,
        }
    }

    /// Sends the browser to the IdP.
    pub(super) async fn begin(
        &self,
        app: &App,
        headers: &HeaderMap,
        return_to: ReturnPath,
        proof: Proof,
        login_hint: Option<&str>,
        renews: Option<SessionId>,
    ) -> Response<Bytes> {
        let retry = self.start_url(app, return_to.as_str());
        // A check renews a session that is there; it is nobody new.
        if renews.is_none() && self.0.intake.is_crowded() {
            self.0.metrics.login(&app.idp, "crowded");
            return admission::crowded(&retry);
        }
        let Some(idp) = self.0.idps.get(&app.idp) else {
            return answer::page(StatusCode::SERVICE_UNAVAILABLE, &Page::idp_unreachable(&app.idp, &retry));
        };
        self.wait_out(proof).await;
        let host = app.origin.host().as_str();
        let flows = self.flows(headers, host);
        let (idp_name, max_age) = (idp.name(), idp.max_age());
        let start = Start { host, idp: idp_name, app: &app.name, return_to, proof, max_age, login_hint, renews };
        let mut random = [0; login::RANDOM_LEN];
        let begun = rand::fill(&mut random)
            .ok()
            .and_then(|()| login::begin(start, &flows, &self.0.ring, &random, self.0.clock.now()));
        let Some(begun) = begun else {
            tracing::error!("the system has no randomness to give: nobody can sign in");
            return answer::page(StatusCode::SERVICE_UNAVAILABLE, &Page::idp_unreachable(idp.name(), &retry));
        };
        let Some(redirect_uri) = redirect_uri(app) else {
            return answer::page(StatusCode::SERVICE_UNAVAILABLE, &Page::idp_unreachable(idp.name(), &retry));
        };
        match idp.authorization_url(&begun.ask, &redirect_uri).await {
            Ok(url) => answer::redirect(url.as_str(), &begun.set_cookies),
            Err(error) => self.idp_failed(idp, app, &error, &retry),
        }
    }

    /// A proof must be newer than a cut-off, and the same second counts as older: a login that would begin within
    /// that second waits for its end rather than fail.
    async fn wait_out(&self, proof: Proof) {
        let cut_off = match proof {
            Proof::Any => return,
            Proof::NewerThan(cut_off) | Proof::Reassert(cut_off) => cut_off,
        };
        if self.0.clock.now() == cut_off {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// `/oauth2/callback`: the IdP's answer.
    pub(super) async fn callback(&self, call: &Call<'_>) -> Response<Bytes> {
        let host = call.app.origin.host().as_str();
        let flows = self.flows(call.headers(), host);
        let answer = match login::resume(call.query(), &flows, self.0.clock.now()) {
            Resume::Answered(answer) => answer,
            Resume::TooLate { flow, expire_cookie } => {
                let mut response = self.not_under_way(call, flow.return_to.as_str());
                answer::set_cookies(&mut response, &[expire_cookie]);
                return response;
            }
            Resume::NoSuchFlow => return self.not_under_way(call, "/"),
            Resume::Malformed => {
                return answer::page(
                    StatusCode::BAD_REQUEST,
                    &Page::bad_request("This is no answer of a sign-in service."),
                );
            }
        };
        let expire = answer.expire_cookie();
        let mut response = self.answered(call, answer).await;
        answer::set_cookies(&mut response, &[expire]);
        response
    }

    async fn answered(&self, call: &Call<'_>, answer: login::Answer) -> Response<Bytes> {
        let flow = answer.flow().clone();
        let retry = self.start_url(call.app, flow.return_to.as_str());
        let (Some(idp), Some(app)) = (self.0.idps.get(&flow.idp), self.0.apps.named(&flow.app)) else {
            // The config changed while the person was signing in.
            return self.not_under_way(call, flow.return_to.as_str());
        };
        let Some(redirect_uri) = redirect_uri(app) else {
            return answer::page(StatusCode::SERVICE_UNAVAILABLE, &Page::idp_unreachable(idp.name(), &retry));
        };
        match idp.redeem(answer, &redirect_uri).await {
            Ok(assertion) => self.asserted(call, idp, app, &flow, assertion).await,
            Err(idp::Error::Denied(denied)) => match self.refused(call, idp, app, &flow, denied).await {
                Some(response) => response,
                None => self.denied(idp, app, denied, &retry),
            },
            Err(error) => self.idp_failed(idp, app, &error, &retry),
        }
    }

    /// A person comes with a fresh assertion: it is judged like everything else, then becomes a session.
    async fn asserted(
        &self,
        call: &Call<'_>,
        idp: &Idp,
        app: &App,
        flow: &login::FlowState,
        assertion: Assertion,
    ) -> Response<Bytes> {
        let now = self.0.clock.now();
        let retry = self.start_url(app, flow.return_to.as_str());
        let mut id = [0; 16];
        if rand::fill(&mut id).is_err() {
            return answer::page(StatusCode::SERVICE_UNAVAILABLE, &Page::idp_unreachable(idp.name(), &retry));
        }
        let Assertion { identity, kept_claims, id_token, refresh_token, .. } = assertion;
        let claims =
            kept_claims.into_iter().flat_map(|(name, values)| values.into_iter().map(move |v| (name.clone(), v)));
        let renewed = self.renewed_in(call, app, flow, &identity);
        let id = renewed.as_ref().map_or(SessionId(id), |session| session.id);
        let session = Session::begin(id, idp.name(), &identity, claims.collect(), &self.0.ring, now);
        let session = revalidate::carried_on(renewed.as_ref(), session);
        let addressable = session.targets.iter().filter(|(kind, _)| *kind == TargetKind::Group).count();
        if addressable < identity.groups.len() {
            tracing::warn!(
                idp = idp.name(),
                groups = identity.groups.len(),
                addressable,
                "somebody is in more groups than a revocation can address them by"
            );
        }
        let standing = self.0.enforcer.judge(&session.credential(app.key));
        let verdict = match login::check_proof(flow.proof, &identity, standing) {
            // The IdP was asked for somebody who proved themselves within max_age (OpenID Connect Core §3.1.2.1).
            Verdict::Proven => too_long_ago(flow.proof, identity.auth_time, now.minus(idp.max_age() + SKEW)),
            verdict => verdict,
        };
        if !standing.is_clear() {
            self.count_refused_sign_in(&session, app);
        }
        match verdict {
            Verdict::Proven => {}
            Verdict::AskAgain(proof) => {
                self.0.metrics.login(idp.name(), "ask_again");
                return self.begin(app, call.headers(), flow.return_to.clone(), proof, None, None).await;
            }
            Verdict::OnHold => {
                self.0.metrics.login(idp.name(), "on_hold");
                tracing::info!(idp = idp.name(), app = app.name, "somebody who is on hold tried to sign in");
                let said = self.0.outcomes.said_to(&session.credential(app.key));
                return admission::on_hold(app, Client::Navigation, said.as_ref());
            }
            Verdict::CannotProve(shortfall) => return self.not_fresh(idp, app, &session, shortfall, &retry),
        }
        if let Some(shortfall) = self.still_due(idp, flow, &identity) {
            return self.not_fresh(idp, app, &session, shortfall, &retry);
        }
        let host = app.origin.host().as_str();
        let Some(cookies) = session.seal(&self.0.ring, host) else {
            let page = Page::new(Saying::TooManyGroups);
            return answer::page(StatusCode::INTERNAL_SERVER_ERROR, &page);
        };
        if self.0.enforcer.asks_to_reestablish()
            && let Some(who) = Target::new(idp.issuer(), TargetKind::User, &identity.subject)
        {
            // Tokens that work without a session learn of it this way.
            self.0.intake.reestablished(Reestablished { who, at: identity.asserted_at }).await;
        }
        self.count_sign_in(&session, app);
        self.begins(idp, app, (call.headers(), flow), (&session, renewed.is_some()), refresh_token).await;
        for stream in self.0.streams.values() {
            stream.signed_in(idp.issuer(), &identity.subject, session.end(&self.0.session), now);
        }
        self.0.metrics.login(idp.name(), "signed_in");
        tracing::info!(idp = idp.name(), app = app.name, "somebody signed in");
        self.0.audit.record(Event::SignedIn {
            app: app.name.clone(),
            idp: idp.name().to_owned(),
            user: session.person.subject.clone(),
            session: session.id.to_string(),
        });
        self.0.recent.note(|| SignIn {
            at: now,
            app: app.name.clone(),
            idp: idp.name().to_owned(),
            user: session.person.subject.clone(),
            email: session.person.email.clone(),
            session: session.id,
            sid: identity.sid.clone(),
            auth_time: identity.auth_time,
        });
        let mut set: Vec<Secret<String>> =
            cookies.iter().map(|(name, value)| Secret::new(session_cookie(name, value))).collect();
        // Chunks of the session before this one must not stand beside the new one.
        let left_over = session::cookie_names().filter(|name| !cookies.iter().any(|(new, _)| new == name));
        set.extend(left_over.filter(|name| has_cookie(call.headers(), name)).map(|name| expired(&name)));
        set.extend(self.hint_cookie(app, &id_token));
        // A hop on the same site: cookies with SameSite=Strict are not sent on the way back from the IdP.
        let mut response = answer::page(StatusCode::OK, &Page::continue_to(flow.return_to.as_str()));
        answer::set_cookies(&mut response, &set);
        response
    }

    /// The answer of a tab whose flow is not there: if the person is signed in by now, they go on.
    fn not_under_way(&self, call: &Call<'_>, return_to: &str) -> Response<Bytes> {
        if self.good_session(call.headers(), call.app).is_some() {
            return answer::page(StatusCode::OK, &Page::continue_to(return_to));
        }
        let page = Page::new(Saying::NotUnderWay).action(Label::SignIn, &self.start_url(call.app, return_to));
        answer::page(StatusCode::BAD_REQUEST, &page)
    }

    fn flows(&self, headers: &HeaderMap, host: &str) -> Flows {
        let cookies = evidence::cookies(headers).unwrap_or_default();
        Flows::read(cookies, &self.0.ring, host)
    }
}

/// Where the IdP sends people back to: as registered there, from the config.
fn redirect_uri(app: &App) -> Option<Url> {
    Url::parse(app.origin.as_str()).ok()?.join(&format!("{PREFIX}/callback")).ok()
}

/// Where a person goes once they are signed in. Only a GET can be repeated by coming back; after anything else they return
/// to the page they were on.
pub(super) fn way_back(app: &App, ask: &Ask<'_>) -> ReturnPath {
    let repeatable = ask.client == Client::Navigation && matches!(*ask.method, Method::GET | Method::HEAD);
    let target = if repeatable { Some(ask.target) } else { referrer(ask.headers) };
    return_path(target.unwrap_or("/"), app)
}

/// A place on `app` to come back to.
pub(super) fn return_path(text: &str, app: &App) -> ReturnPath {
    Url::parse(app.origin.as_str()).map_or_else(|_| ReturnPath::front_page(), |origin| ReturnPath::parse(text, &origin))
}

fn referrer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::REFERER)?.to_str().ok()
}

fn has_cookie(headers: &HeaderMap, name: &str) -> bool {
    evidence::cookies(headers).unwrap_or_default().iter().any(|(given, _)| *given == name)
}

/// Whether the person's last proof is older than `oldest`; asked once more then, with `prompt=login`.
fn too_long_ago(asked: Proof, auth_time: Option<Timestamp>, oldest: Timestamp) -> Verdict {
    match (asked, auth_time) {
        // A proof that was asked for is newer than a revocation, and that is judged already.
        (Proof::Any | Proof::Reassert(_), Some(at)) if at < oldest => Verdict::AskAgain(Proof::NewerThan(oldest)),
        _ => Verdict::Proven,
    }
}

//! Verdicts for other proxies: they ask before they serve, and do as they are told.
//!
//! | path | the original request stands in | allowed | to sign in | refused |
//! |---|---|---|---|---|
//! | `/oauth2/auth` | nothing: the host alone counts | 202 | 401 | 401 |
//! | `/oauth2/auth/nginx` | `X-Original-URL`, `X-Original-Method` | 200 | 401, `Location` for pages | 403 |
//! | `/oauth2/auth/traefik`, `/caddy`, `/haproxy` | `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` | 200 | 302 for pages, else 401 | 403 |
//! | `/oauth2/auth/envoy/…` | the request line, behind that prefix, and `Host` | 200 | 302 for pages, else 401 | 403 |
//!
//! Each family has a path of its own, so that no header of one is ever read as another's. What is said of the original
//! request is believed from configured proxies only.
//!
//! To all of them a 2xx means "let it in", so nothing here answers 2xx but a permit: gRPC, whose refusals travel under
//! status 200, is answered by status like everybody else.
//!
//! The other proxy's streams are not exchanges of ours: a revocation ends the next request, not the stream that runs.

mod original;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};

pub(crate) use self::original::asks_for_verdict;
#[doc(hidden)]
pub use self::original::reads_original;
use self::original::{Doubt, Family, Original, below_auth, host_of, narrowed, original, query_of};
use super::admission::held;
use super::sign_in::way_back;
use super::tokens::Unavailable;
use super::{Ask, Endpoints, answer, revalidate};
use crate::apps::{Access, Allow, App, CanonicalPath};
use crate::decision::{self, Client, Decision, Login, Refusal};
use crate::evidence::Evidence;
use crate::exchanges::Held;
use crate::lineage::Lineage;
use crate::page::Page;
use crate::revalidation::Freshness;
use crate::revocation::Standing;
use crate::secret::Secret;
use crate::session::Person;

/// Names under which every allowed request is introduced: user, e-mail, groups, preferred user name.
const INTRODUCTION: [&str; 4] =
    ["x-auth-request-user", "x-auth-request-email", "x-auth-request-groups", "x-auth-request-preferred-username"];

impl Endpoints {
    /// The verdict on the request that `head` asks about. `trusted`: whoever asks is a configured proxy.
    pub(crate) async fn verdict(&self, head: &Parts, raw_target: &[u8], trusted: bool) -> Response<Bytes> {
        let rest = below_auth(raw_target).and_then(|rest| std::str::from_utf8(rest).ok());
        match rest {
            Some(rest) if rest.is_empty() || rest.starts_with('?') => self.plain(head, query_of(rest)).await,
            Some(rest) => match original(rest, head, trusted) {
                Ok((family, original, narrowed)) => self.typed(family, &original, &narrowed, head).await,
                Err(doubt) => self.doubted(doubt),
            },
            None => self.doubted(Doubt::Family),
        }
    }

    /// `/oauth2/auth`: whoever shows a session of the host's app that admits them, or a token where the app takes tokens,
    /// whatever the path.
    async fn plain(&self, head: &Parts, query: &str) -> Response<Bytes> {
        let app = host_of(head).and_then(|host| self.0.apps.any_of(&host));
        let (Some(app), Some(narrowed)) = (app, narrowed(query)) else {
            return answer::empty(StatusCode::UNAUTHORIZED);
        };
        let Ok(path) = CanonicalPath::parse(app.prefix.as_str()) else {
            return answer::empty(StatusCode::UNAUTHORIZED);
        };
        // Never the answer for gRPC: a failure's status is 200 there.
        let (method, client) = (&Method::GET, Client::Fetch);
        let ask = Ask { headers: &head.headers, method, path: &path, client, target: path.as_str(), body: None };
        let Ok((evidence, standing)) = self.shown(&ask, app, app.access).await else { return self.cannot_ask(client) };
        let asked = evidence.freshness != Freshness::Overdue;
        let whole = evidence.bad_token.is_none() && evidence.is_of_one_person() && standing.is_clear() && asked;
        let enough = app.access != Access::Bearer || !evidence.bearers.is_empty();
        let person = evidence.person().filter(|_| whole && enough);
        let person = person.filter(|_| !self.0.sight.is_blind(app.key));
        let admitted = person.filter(|person| app.allow.admits(person) && narrowed.admits(person));
        let response = admitted.and_then(|person| {
            self.used(&app.idp, evidence.session(), &evidence.bearers);
            let mut response = answer::empty(StatusCode::ACCEPTED);
            introduce(&mut response, Some(person), &INTRODUCTION)?;
            answer::set_cookies(&mut response, &self.renewed_cookies(&evidence, app, None));
            Some(response)
        });
        response.unwrap_or_else(|| answer::empty(StatusCode::UNAUTHORIZED))
    }

    /// The typed endpoints: the same decision as for a request of our own, told as the family can take it.
    async fn typed(&self, family: Family, original: &Original, narrowed: &Allow, head: &Parts) -> Response<Bytes> {
        let Some(app) = self.0.apps.find(&original.host, &original.path) else { return self.doubted(Doubt::Host) };
        let client = client(&original.method, head);
        let (path, target) = (&original.path, original.target.as_str());
        let ask = Ask { headers: &head.headers, method: &original.method, path, client, target, body: None };
        let Ok((evidence, standing)) = self.shown(&ask, app, app.asks(path).by()).await else {
            // Never the answer for gRPC: its status is 200.
            return self.cannot_ask(Client::Fetch);
        };
        let origin = head.headers.get(header::ORIGIN).map(|o| o.to_str().unwrap_or("unreadable"));
        let request = decision::Request { client, path, origin, blind: self.0.sight.is_blind(app.key) };
        let decision = decision::decide(&request, app, &evidence, standing);
        tracing::debug!(app = app.name, method = %ask.method, path = %path, decision = decision.word(), "decided for a proxy");
        match decision {
            Decision::Forward(permit) => {
                let person = permit.person();
                if person.is_some_and(|person| !narrowed.admits(person)) {
                    return self.refuse(family, Refusal::NotAllowed, app, person, client);
                }
                if let Some(session) = self.leaves(&ask, app, &evidence) {
                    // What the app will say is not heard here; the request goes to it all the same.
                    self.leave(session, app).await;
                    return self.allowed(family, app, person, None);
                }
                self.used(&app.idp, evidence.session(), &evidence.bearers);
                self.allowed(family, app, person, Some(&evidence))
            }
            Decision::Login(login) => {
                if login.cause.is_revocation() {
                    self.0.metrics.request_blocked(login.cause.word());
                    self.record_refusal(&ask, app, &evidence, standing);
                }
                let said = self.said(&evidence, app, standing);
                answer::because(self.to_sign_in(family, &login, app, &ask), said.as_ref())
            }
            Decision::Refuse(refusal) => {
                if refusal.is_revocation() {
                    self.record_refusal(&ask, app, &evidence, standing);
                }
                let said = self.said(&evidence, app, standing);
                let person = evidence.session().map(|s| &*s.person);
                answer::because(self.refuse(family, refusal, app, person, client), said.as_ref())
            }
        }
    }

    /// What a request shows, and how all of it stands.
    async fn shown(&self, ask: &Ask<'_>, app: &App, by: Access) -> Result<(Evidence, Standing), Unavailable> {
        let mut evidence = self.evidence(ask.headers, app);
        revalidate::let_wait(ask, &mut evidence);
        self.bear(ask, app, by, &mut evidence).await?;
        let session = evidence.session().map(|session| Held::from(Lineage::of(session)));
        let renewed = |bearer| held(bearer, self.renewed_by(bearer, evidence.session()));
        let credentials: Vec<_> = session.into_iter().chain(evidence.bearers.iter().map(renewed)).collect();
        let judge = |held: &Held| self.0.enforcer.judge(&held.in_app(app.key));
        let standing = credentials.iter().map(judge).fold(Standing::default(), Standing::and);
        if !standing.is_clear() && by != Access::Public {
            self.count_refused_elsewhere(&credentials, app);
        }
        Ok((evidence, standing))
    }

    /// 200, with who it is under our names and under those that the app knows.
    /// `evidence`: of a session that goes on.
    fn allowed(
        &self,
        family: Family,
        app: &App,
        person: Option<&Person>,
        evidence: Option<&Evidence>,
    ) -> Response<Bytes> {
        let mut response = answer::empty(StatusCode::OK);
        let profile = app.headers.names();
        let told = introduce(&mut response, person, &INTRODUCTION)
            .and_then(|()| profile.map_or(Some(()), |names| introduce(&mut response, person, &names)));
        if told.is_none() {
            return self.doubted(Doubt::Original);
        }
        if let Some(evidence) = evidence {
            answer::set_cookies(&mut response, &self.renewed_cookies(evidence, app, Some(family)));
        }
        response
    }

    /// 302 where the family relays it and a browser shows a page; else 401 with the same address.
    fn to_sign_in(&self, family: Family, login: &Login, app: &App, ask: &Ask<'_>) -> Response<Bytes> {
        let url = self.start_url(app, way_back(app, ask).as_str());
        let page = login.client == Client::Navigation;
        if page && family != Family::Nginx {
            let mut response = answer::redirect(&url, &[]);
            answer::forget(&mut response, login.cause);
            return response;
        }
        // Never the answer for gRPC: its status is 200.
        let login = Login { client: Client::Fetch, ..*login };
        let mut response = answer::challenge(app, &login, &url, self.0.clock.now());
        if let (true, Ok(location)) = (page, HeaderValue::from_str(&url)) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }

    /// 403, as a page where the family relays it and a browser shows it.
    fn refuse(
        &self,
        family: Family,
        refusal: Refusal,
        app: &App,
        person: Option<&Person>,
        client: Client,
    ) -> Response<Bytes> {
        self.0.metrics.request_blocked(refusal.word());
        let reader = match (family, client) {
            (Family::Forwarded | Family::Envoy, Client::Navigation) => Client::Navigation,
            _ => Client::Fetch,
        };
        match refusal {
            Refusal::OnHold => return super::admission::on_hold(app, reader, None),
            Refusal::Blind => {
                // nginx makes an error of its own of anything but 401 and 403.
                let nginx = family == Family::Nginx;
                let status = if nginx { StatusCode::FORBIDDEN } else { StatusCode::SERVICE_UNAVAILABLE };
                return super::admission::blind(app, reader, status);
            }
            Refusal::NotAllowed | Refusal::ForeignOrigin | Refusal::MixedCredentials => {}
        }
        let name = person.map(|person| person.email.as_deref().unwrap_or(&person.subject));
        let page = Page::forbidden(&app.name, name, "/oauth2/sign_out");
        answer::either(reader, StatusCode::FORBIDDEN, refusal.word(), &page)
    }

    /// 403, and nothing was decided.
    fn doubted(&self, doubt: Doubt) -> Response<Bytes> {
        self.0.metrics.request_blocked(doubt.word());
        answer::json(StatusCode::FORBIDDEN, &serde_json::json!({ "error": doubt.word() }))
    }

    /// The cookies of a session whose idle limit moves on, as far as the family can pass them on: nginx relays one
    /// `Set-Cookie`, and half of a session is none.
    fn renewed_cookies(&self, evidence: &Evidence, app: &App, family: Option<Family>) -> Vec<Secret<String>> {
        let cookies = self.renewed(evidence, app);
        if cookies.len() > 1 && matches!(family, None | Some(Family::Nginx)) {
            return vec![];
        }
        cookies.into_iter().map(Secret::new).collect()
    }
}

/// The kind of client behind the other proxy. Hop-by-hop headers (`Upgrade`) are not always passed on with the
/// question; a WebSocket handshake has a header that is.
fn client(method: &Method, head: &Parts) -> Client {
    if head.headers.contains_key(header::SEC_WEBSOCKET_KEY) {
        Client::WebSocket
    } else {
        Client::of(method, &head.headers)
    }
}

/// Writes who it is under `names`: user, e-mail, groups, preferred user name. What is not known is written empty, so
/// that a proxy which only overwrites cannot pass on what the client wrote there. `None` if it is no header text.
fn introduce(response: &mut Response<Bytes>, person: Option<&Person>, names: &[&'static str; 4]) -> Option<()> {
    let name = person.and_then(|p| p.preferred_username.as_deref());
    let subject = person.map(|p| p.subject.as_str());
    // As the app is told when we forward ourselves: some profiles show the name where there is one.
    let user = if names.first().is_some_and(|n| n.contains("remote")) { name.or(subject) } else { subject };
    let groups = person.map(|p| p.groups.join(","));
    let values = [user, person.and_then(|p| p.email.as_deref()), groups.as_deref(), name];
    for (header, value) in names.iter().zip(values) {
        let value = HeaderValue::from_bytes(value.unwrap_or_default().as_bytes()).ok()?;
        response.headers_mut().insert(HeaderName::from_static(header), value);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).expect("request").into_parts().0
    }

    #[test]
    fn who_it_is_is_told_and_what_is_not_known_is_overwritten() {
        let ann = Person { subject: "1".into(), preferred_username: Some("ann".into()), ..Person::default() };
        let told = |person, names: &[&'static str; 4]| {
            let mut response = answer::empty(StatusCode::OK);
            introduce(&mut response, person, names)?;
            Some(names.map(|name| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)))
        };
        let some = |values: [&str; 4]| Some(values.map(|v| Some(v.to_owned())));
        assert_eq!(told(Some(&ann), &INTRODUCTION), some(["1", "", "", "ann"]));
        let remote = crate::apps::HeaderProfile::Remote.names().expect("names");
        assert_eq!(told(Some(&ann), &remote), some(["ann", "", "", "ann"]));
        assert_eq!(told(None, &remote), some(["", "", "", ""]));
        let broken = Person { subject: "1\r\nx: y".into(), ..Person::default() };
        assert_eq!(told(Some(&broken), &INTRODUCTION), None);
    }

    #[test]
    fn a_handshake_is_one_without_its_hop_by_hop_headers() {
        let handshake = head("GET", "/", &[("sec-websocket-key", "x"), ("accept", "text/html")]);
        assert_eq!(client(&Method::GET, &handshake), Client::WebSocket);
        let page = head("POST", "/", &[("accept", "text/html")]);
        assert_eq!(client(&Method::GET, &page), Client::Navigation);
        assert_eq!(client(&Method::POST, &page), Client::Fetch);
    }
}

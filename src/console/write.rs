//! What an operator changes: who may, whether it is really them, and a line for each.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Console;
use super::answer::{json, problem, refused};
use crate::admin::{ApprovalRequest, Named, RevokeError, RevokeRequest, StreamRequest};
use crate::apps::{App, BuiltIn};
use crate::audit::Event;
use crate::proxy::Visit;
use crate::revocation::RevocationId;
use crate::session::Session;
use crate::time::Timestamp;

/// What scripts of the console send along. A page of another origin cannot, unless we answered its preflight: nobody does.
const MARK: &str = "x-portcullis-console";

/// Who asks.
pub(super) struct Operator<'a> {
    session: &'a Session,
    fresh_for: Duration,
}

impl<'a> Operator<'a> {
    pub(super) fn of(visit: &'a Visit, app: &App) -> Self {
        let fresh_for = match app.built_in {
            Some(BuiltIn::Console { fresh_for }) => fresh_for,
            None => Duration::ZERO,
        };
        Self { session: &visit.session, fresh_for }
    }

    /// Until when they may change something; `None` if nobody knows when they proved who they are.
    pub(super) fn fresh_until(&self) -> Option<Timestamp> {
        self.session.auth_time.map(|proved| proved.plus(self.fresh_for))
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        self.fresh_until().is_some_and(|until| now < until)
    }
}

/// What was done, for the line in the audit log.
struct Deed {
    action: &'static str,
    about: Vec<String>,
    why: Option<String>,
    outcomes: Vec<RevocationId>,
}

/// The answer to who may not, or not so.
type Refusal = Box<Response<Bytes>>;

impl Deed {
    fn new(action: &'static str, about: Vec<String>, why: Option<&String>) -> Self {
        Self { action, about, why: why.cloned(), outcomes: Vec::new() }
    }
}

impl Console {
    /// Does what is asked, if it is an operator who asks by a page of ours.
    pub(super) async fn write(&self, visit: &Visit) -> Response<Bytes> {
        if !comes_from_us(visit.request.headers(), self.app.origin.as_str()) {
            self.endpoints().metrics().request_blocked("foreign_origin");
            self.note(visit, Deed::new("write", vec![], None), "foreign_origin");
            return problem(StatusCode::FORBIDDEN, "this did not come from a page of the console");
        }
        let path = visit.path.as_str();
        match path.strip_prefix("/api/").unwrap_or_default().split_once('/') {
            None if path == "/api/revocations" => self.revoke(visit).await,
            None if path == "/api/lifts" => self.lift(visit).await,
            None if path == "/api/approvals" => self.decide(visit).await,
            Some(("streams", name)) => self.act(visit, name).await,
            _ => problem(StatusCode::NOT_FOUND, "there is nothing here"),
        }
    }

    async fn revoke(&self, visit: &Visit) -> Response<Bytes> {
        let request: RevokeRequest = match read(visit) {
            Ok(request) => request,
            Err(refusal) => return *refusal,
        };
        if request.dry_run {
            // It changes nothing, and whoever hesitates shall be able to look first.
            return match self.gateway.revoke(request).await {
                Ok(answer) => json(StatusCode::OK, &answer),
                Err(error) => refused(error.told()),
            };
        }
        if let Err(refusal) = self.fresh(visit) {
            return *refusal;
        }
        let mut deed = Deed::new("revoke", kinds(&request.whom), request.reason.as_ref());
        let done = self.gateway.revoke(request).await;
        if let Ok(answer) | Err(RevokeError::NotDurable(answer)) = &done {
            deed.outcomes = answer.revocations.iter().filter_map(|made| made.outcome).collect();
        }
        match done {
            Ok(answer) => self.done(visit, deed, json(StatusCode::OK, &answer)),
            Err(error) => self.done(visit, deed, refused(error.told())),
        }
    }

    async fn lift(&self, visit: &Visit) -> Response<Bytes> {
        let request: crate::admin::LiftRequest = match self.fresh(visit).and_then(|()| read(visit)) {
            Ok(request) => request,
            Err(refusal) => return *refusal,
        };
        let deed = Deed::new("lift", kinds(&request.whom), request.reason.as_ref());
        let answer = match self.gateway.lift(request).await {
            Ok(answer) => json(StatusCode::OK, &answer),
            Err(error) => refused(error.told()),
        };
        self.done(visit, deed, answer)
    }

    async fn decide(&self, visit: &Visit) -> Response<Bytes> {
        let request: ApprovalRequest = match self.fresh(visit).and_then(|()| read(visit)) {
            Ok(request) => request,
            Err(refusal) => return *refusal,
        };
        let action = if request.approve { "approve" } else { "reject" };
        let about = request.stream.clone().into_iter().collect();
        let mut deed = Deed::new(action, about, request.reason.as_ref());
        deed.outcomes.clone_from(&request.ids);
        let answer = match self.gateway.decide(request).await {
            Ok(answer) => json(StatusCode::OK, &answer),
            Err(error) => refused(error.told()),
        };
        self.done(visit, deed, answer)
    }

    async fn act(&self, visit: &Visit, name: &str) -> Response<Bytes> {
        let request: StreamRequest = match self.fresh(visit).and_then(|()| read(visit)) {
            Ok(request) => request,
            Err(refusal) => return *refusal,
        };
        let deed = Deed::new(request.deed.word(), vec![name.to_owned()], None);
        let answer = match self.gateway.stream(name, Some(request.deed)).await {
            Ok(answer) => json(StatusCode::OK, &answer),
            Err(error) => refused(error.told()),
        };
        self.done(visit, deed, answer)
    }

    /// Whether the operator proved lately who they are; else the way to do so.
    fn fresh(&self, visit: &Visit) -> Result<(), Refusal> {
        if Operator::of(visit, &self.app).is_fresh(self.endpoints().parts().clock.now()) {
            return Ok(());
        }
        let body = json!({
            "error": "fresh_login_required",
            "remedy": "sign in again: what changes something takes a fresh sign-in",
            // `rd` is added by the page, which knows where it is.
            "login_url": "/oauth2/start?fresh=1&rd=",
        });
        Err(Box::new(json(StatusCode::UNAUTHORIZED, &body)))
    }

    fn done(&self, visit: &Visit, deed: Deed, answer: Response<Bytes>) -> Response<Bytes> {
        let status = answer.status();
        let result = if status.is_success() { "done".to_owned() } else { status.as_u16().to_string() };
        self.note(visit, deed, &result);
        answer
    }

    fn note(&self, visit: &Visit, deed: Deed, result: &str) {
        let Deed { action, about, why, outcomes } = deed;
        self.endpoints().parts().audit.record(Event::Operated {
            app: self.app.name.clone(),
            idp: visit.session.idp.clone(),
            user: visit.session.person.subject.clone(),
            session: visit.session.id.to_string(),
            action,
            about,
            outcomes,
            result: result.to_owned(),
            why,
        });
    }
}

/// Whether a script of the console's own origin sends this: a browser says so (`Origin`, `Sec-Fetch-Site`), and only a
/// script of that origin can set the header.
fn comes_from_us(headers: &HeaderMap, origin: &str) -> bool {
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    };
    one(header::ORIGIN.as_str()) == Some(origin)
        && one(MARK) == Some("1")
        && (!headers.contains_key("sec-fetch-site") || one("sec-fetch-site") == Some("same-origin"))
}

fn read<T: DeserializeOwned>(visit: &Visit) -> Result<T, Refusal> {
    let refusal = |status, why: &str| Box::new(problem(status, why));
    let form = visit.request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if form != Some("application/json") {
        return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be `application/json`"));
    }
    serde_json::from_slice(visit.request.body()).map_err(|error| refusal(StatusCode::BAD_REQUEST, &error.to_string()))
}

/// By which handles somebody is named, without the values: those are addresses.
fn kinds(whom: &Named) -> Vec<String> {
    let all = [
        ("user", whom.user.is_some()),
        ("email", whom.email.is_some()),
        ("phone", whom.phone.is_some()),
        ("session", whom.session.is_some()),
        ("device", whom.device.is_some()),
        ("tenant", whom.tenant.is_some()),
        ("group", whom.group.is_some()),
        ("everyone", whom.everyone),
    ];
    all.into_iter().filter(|(_, given)| *given).map(|(word, _)| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_script_of_the_console_changes_something() {
        let (ours, mark) = (("origin", "https://ops.example.com"), (MARK, "1"));
        for (headers, expected) in [
            (&[ours, mark][..], true),
            (&[ours, mark, ("sec-fetch-site", "same-origin")], true),
            (&[ours], false),
            (&[mark], false),
            (&[("origin", "https://wiki.example.com"), mark], false),
            (&[("origin", "null"), mark], false),
            (&[ours, ("origin", "https://wiki.example.com"), mark], false),
            (&[ours, (MARK, "2")], false),
            (&[ours, mark, ("sec-fetch-site", "same-site")], false),
            (&[ours, mark, ("sec-fetch-site", "cross-site")], false),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().expect("value"));
            }
            assert_eq!(comes_from_us(&map, "https://ops.example.com"), expected, "{headers:?}");
        }
    }
}

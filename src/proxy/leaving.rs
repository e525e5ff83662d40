//! The answer of an app that somebody signs out of.

use http::HeaderMap;
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};

use super::Ctx;
use super::exchange::current;
use crate::decision::Client;
use crate::endpoint::Endpoints;

/// Bytes of an answer to a script that signs out. Its session is over: what it still reads is an acknowledgement.
const LAST_WORDS: u64 = 64 * 1024;

/// How a request that may sign out stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It is no such request.
    No,
    /// The app has not answered yet.
    Asked,
    /// The app took it for a sign-out, and the session is over.
    Done,
}

/// The app has answered: if it took the request for a sign-out, the session ends now.
pub(super) async fn heard(endpoints: &Endpoints, response: &ResponseHeader, ctx: &mut Ctx) {
    let taken = response.status.is_success() || response.status.is_redirection();
    let (Some(forward), Some(app)) = (&mut ctx.forward, &ctx.app) else { return };
    let Some(session) = forward.evidence.session().filter(|_| taken && forward.leaving == Leaving::Asked) else {
        return;
    };
    // This exchange runs on that session as well, and still has to say how it went.
    if let Some(guard) = endpoints.without_session(&forward.guard, &current()) {
        forward.guard = guard;
    }
    endpoints.leave(session, app).await;
    forward.leaving = Leaving::Done;
    // A person is sent on to where the rest is forgotten.
    forward.cookies = if ctx.client == Some(Client::Navigation) { Vec::new() } else { Endpoints::left() };
}

/// The app's answer is ready to go out: a script gets it, a person is sent on to the IdP instead.
pub(super) fn answered(response: &ResponseHeader, ctx: &mut Ctx) -> Result<()> {
    let left = ctx.forward.as_ref().is_some_and(|forward| forward.leaving == Leaving::Done);
    if !left || ctx.client != Some(Client::Navigation) {
        return Ok(());
    }
    let mut set = HeaderMap::new();
    for cookie in response.headers.get_all(http::header::SET_COOKIE) {
        set.append(http::header::SET_COOKIE, cookie.clone());
    }
    ctx.instead = Some(Endpoints::goes_on_to_sign_out(&set));
    Error::e_explain(ErrorType::HTTPStatus(303), "the person is sent on to the sign-out")
}

/// More of the answer comes by.
pub(super) fn goes_on(ctx: &Ctx) -> Result<()> {
    let left = ctx.forward.as_ref().is_some_and(|forward| forward.leaving == Leaving::Done);
    if left && ctx.body_sent > LAST_WORDS {
        return Error::e_explain(ErrorType::HTTPStatus(502), "the answer to a sign-out has no end");
    }
    Ok(())
}

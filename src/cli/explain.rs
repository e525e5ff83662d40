//! `portcullis explain`: what the gateway would answer, asked from the command line.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method};

use super::table::columns;
use super::{Exit, Explain, Outcome};
use crate::apps::App;
use crate::config::{Config, StreamSettings};
use crate::evidence::{self, Evidence, Shown};
use crate::explain::{Asked, Known, answers};
use crate::time::Clock;

/// Says which app a request is for, what its path asks for, and what various senders of it would get.
pub(super) fn explain(config: &Config, asked: &Explain) -> Outcome {
    let Ok(method) = Method::from_bytes(asked.method.to_ascii_uppercase().as_bytes()) else {
        return Outcome::not(Exit::Usage, format!("`{}` is no method", asked.method));
    };
    let streams = |idp: &str| {
        let speaks = |stream: &&StreamSettings| stream.speaks_for.iter().any(|name| name == idp);
        config.streams.values().filter(speaks).map(|stream| stream.name.clone()).collect()
    };
    let known = Known { apps: &config.apps, ring: &config.keys, session: &config.session, streams: &streams };
    let (url, groups, claims) = (asked.url.as_str(), asked.groups.as_slice(), asked.claims.as_slice());
    let email = asked.email.as_ref().map(crate::identity::Email::as_str);
    let Some(mut explained) = crate::explain::explain(&known, &Asked { method: &method, url, groups, email, claims })
    else {
        return Outcome::not(Exit::Usage, format!("`{url}` is no URL; write `https://host/path`"));
    };
    let Some((app, path)) = explained.app else { return Outcome::done(columns(&explained.rows)) };
    match cookie(config, &app, asked) {
        Ok(None) => {}
        Ok(Some((shown, evidence))) => {
            explained.rows.push(["cookie".to_owned(), shown]);
            explained.rows.extend(answers("cookie", &method, &app, &path, &evidence));
        }
        Err(complaint) => return Outcome::not(Exit::Failed, complaint),
    }
    let note = "\nRevocations are not looked at here: only the running gateway knows them.\n";
    Outcome::done(columns(&explained.rows) + note)
}

/// What the cookies in the file are, and what they show.
fn cookie(config: &Config, app: &App, asked: &Explain) -> Result<Option<(String, Evidence)>, String> {
    let Some(path) = &asked.cookie_file else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = text.trim();
    let value = text.strip_prefix("Cookie:").or_else(|| text.strip_prefix("cookie:")).unwrap_or(text).trim();
    let value = HeaderValue::from_str(value).map_err(|_| format!("{}: it is no `Cookie` header", path.display()))?;
    let headers = HeaderMap::from_iter([(COOKIE, value)]);
    let cookies = evidence::cookies(&headers);
    let found = evidence::collect(cookies.as_deref(), app, &config.keys, &config.session, Clock::System.now());
    let shown = match &found {
        Shown::Nothing => "it holds no session".to_owned(),
        Shown::Unusable(why) => format!("it holds no usable session: `{}`", why.word()),
        Shown::Session { session, .. } => {
            let who = session.person.email.as_ref().unwrap_or(&session.person.subject);
            format!(
                "a session of {who}, signed in at {} by {}, until {}",
                session.issued_at,
                session.idp,
                session.end(&config.session)
            )
        }
    };
    Ok(Some((shown, found.into())))
}

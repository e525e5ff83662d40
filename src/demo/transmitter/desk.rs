//! The security desk: who is signed in at the IdP, a button to end it, and what the receiver answered.

use std::fmt::Write as _;

use axum::extract::{Form, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{Order, Sent, Transmitter};
use crate::demo::idp::{Session, views};
use crate::page::escape;

/// `GET /desk`.
pub(super) async fn show(Shared(transmitter): Shared<Transmitter>) -> Response {
    let idp = &transmitter.0.idp;
    let mut body = "<h1>Security desk</h1><p class=\"soft\">Everybody who is signed in here. Revoking pushes a signed \
                    event to the gateway at once.</p><div id=\"live\">"
        .to_owned();
    put_sessions(&mut body, &idp.sessions());
    put_sent(&mut body, &transmitter.sent());
    let example = super::super::revoke_command(idp.issuer(), "ann");
    let _infallible = write!(
        body,
        "</div><h2>From a terminal</h2><p><code>{}</code></p><script src=\"/static/desk.js\" defer></script>",
        escape(&example)
    );
    views::respond(StatusCode::OK, &views::frame("Security desk", "wide", &body), "")
}

/// `POST /desk/revoke`: a button of the page.
pub(super) async fn revoke(
    Shared(transmitter): Shared<Transmitter>,
    headers: HeaderMap,
    Form(order): Form<Order>,
) -> Response {
    if !transmitter.0.idp.is_own_request(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    // Who is unknown here had no button; the page shows the same either way.
    let _sent = transmitter.revoke(&order).await;
    views::see_other("/desk")
}

/// What keeps the page fresh.
pub(super) async fn script() -> impl IntoResponse {
    let fields = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (fields, include_str!("../pages/desk.js"))
}

fn put_sessions(html: &mut String, sessions: &[Session]) {
    if sessions.is_empty() {
        html.push_str("<p class=\"empty\">Nobody is signed in.</p>");
        return;
    }
    html.push_str("<div class=\"scroll\"><table><tr><th>User</th><th>Session</th><th>Last login</th><th>Used by</th><th></th></tr>");
    for session in sessions {
        let (user, sid) = (escape(&session.user), escape(&session.sid));
        let short: String = sid.chars().take(8).collect();
        let clients = session.clients.iter().map(|client| escape(client)).collect::<Vec<_>>().join(", ");
        let clients = if clients.is_empty() { "nothing yet" } else { &clients };
        let _infallible = write!(
            html,
            "<tr><td><strong>{user}</strong></td><td><code>{short}…</code></td><td>{}</td><td>{clients}</td><td>\
             <form method=\"post\" action=\"/desk/revoke\"><input type=\"hidden\" name=\"user\" value=\"{user}\"><input \
             type=\"hidden\" name=\"session\" value=\"{sid}\"><button>Revoke this session</button></form> <form \
             method=\"post\" action=\"/desk/revoke\"><input type=\"hidden\" name=\"user\" value=\"{user}\"><button \
             class=\"danger\">Revoke {user}</button></form></td></tr>",
            clock_of(session.auth_time),
        );
    }
    html.push_str("</table></div>");
}

fn put_sent(html: &mut String, sent: &[Sent]) {
    if sent.is_empty() {
        return;
    }
    html.push_str(
        "<h2>What was sent</h2><div class=\"scroll\"><table><tr><th>When</th><th>What</th><th>The gateway \
         answered</th><th>After</th></tr>",
    );
    for Sent { at, what, delivery, .. } in sent {
        let (tone, answer, after) = match delivery {
            None => ("bad", "not sent: there is no enabled stream".to_owned(), String::new()),
            Some(delivery) => {
                let tone = if delivery.accepted() { "good" } else { "bad" };
                let words = match delivery.status {
                    Some(202) => "202, in force".to_owned(),
                    Some(status) => format!("{status} {}", delivery.answer.chars().take(120).collect::<String>()),
                    None => delivery.answer.clone(),
                };
                (tone, words, format!("{:.1} ms", delivery.milliseconds))
            }
        };
        let _infallible = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td class=\"{tone}\">{}</td><td>{after}</td></tr>",
            clock_of(*at),
            escape(what),
            escape(&answer)
        );
    }
    html.push_str("</table></div>");
}

/// The time of day, in UTC.
fn clock_of(at: crate::time::Timestamp) -> String {
    let text = at.to_string();
    text.split_once('T').map_or_else(String::new, |(_, time)| time.replace('Z', " UTC"))
}

//! The IdP's pages: sign-in, sign-out, problems, and the frame that the security desk uses too.

use std::fmt::Write as _;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::{PASSWORD, Person};
use crate::page::escape;

/// What the sign-in page shows.
pub(super) struct SignIn<'a> {
    /// Where the form goes.
    pub(super) action: &'a str,
    /// Which application wants the login.
    pub(super) client: &'a str,
    /// Where the browser is sent afterwards.
    pub(super) redirect_uri: &'a str,
    /// Who can sign in.
    pub(super) people: &'a [Person],
    /// Who is expected.
    pub(super) hint: Option<&'a str>,
    /// The person is signed in, and asked once more.
    pub(super) again: bool,
    /// What was wrong with the last attempt.
    pub(super) problem: Option<&'a str>,
}

/// The sign-in page: one password field, and a button for each person.
pub(super) fn sign_in(page: &SignIn<'_>) -> Response {
    let mut body = format!("<h1>Sign in</h1><p class=\"soft\">to continue to {}</p>", escape(page.client));
    if page.again {
        body.push_str(
            "<p class=\"note\">A new login was asked for. That you are signed in here already does not count.</p>",
        );
    }
    if let Some(problem) = page.problem {
        put(&mut body, format_args!("<p class=\"note bad\" role=\"alert\">{}</p>", escape(problem)));
    }
    put(
        &mut body,
        format_args!(
            "<form method=\"post\" action=\"{}\"><label for=\"password\">Password <span class=\"soft\">(the same for \
             everybody: {PASSWORD})</span></label><input id=\"password\" name=\"password\" type=\"password\" \
             value=\"{PASSWORD}\" autocomplete=\"off\" required><p class=\"label\">Continue as</p><div class=\"people\">",
            escape(page.action)
        ),
    );
    let mut people: Vec<_> = page.people.iter().collect();
    // The expected person comes first: Enter in the password field presses the first button.
    people.sort_by_key(|person| page.hint != Some(&person.user) && page.hint != Some(&person.email));
    for Person { user, name, role, email, .. } in people {
        let initial = name.chars().take(1).collect::<String>();
        put(
            &mut body,
            format_args!(
                "<button class=\"person\" name=\"user\" value=\"{}\"><span class=\"face\" aria-hidden=\"true\">{}</span>\
                 <span><strong>{}</strong><small>{} · {}</small></span></button>",
                escape(user),
                escape(&initial),
                escape(name),
                escape(role),
                escape(email)
            ),
        );
    }
    body.push_str("</div></form>");
    // Browsers apply `form-action` to the redirect after the form, too: it leads to the client.
    let origin = url::Url::parse(page.redirect_uri).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    respond(StatusCode::OK, &frame("Sign in", "card", &body), &origin)
}

/// Asks whether the session shall really end.
pub(super) fn confirm_sign_out(action: &str) -> Response {
    let body = format!(
        "<h1>Sign out?</h1><p>This ends your session here and in every application that you use it for.</p>\
         <form method=\"post\" action=\"{}\"><button class=\"primary\" name=\"confirm\" value=\"yes\">Sign out</button></form>",
        escape(action)
    );
    respond(StatusCode::OK, &frame("Sign out", "card", &body), "*")
}

/// The session has ended and there is nowhere to go.
pub(super) fn signed_out() -> Response {
    let body =
        "<h1>You are signed out</h1><p>Your session at this identity provider is over. You can close this tab.</p>";
    respond(StatusCode::OK, &frame("Signed out", "card", body), "")
}

/// Something that cannot be told to the client.
pub(super) fn problem(status: StatusCode, why: &str) -> Response {
    let body = format!("<h1>This does not work</h1><p>{}</p>", escape(why));
    respond(status, &frame("Problem", "card", &body), "")
}

/// A redirect that turns a POST into a GET.
pub(in super::super) fn see_other(to: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(to) else {
        return problem(StatusCode::BAD_REQUEST, "The address to go to is not one.");
    };
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))],
    )
        .into_response()
}

/// The style sheet of all pages.
pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], STYLE)
}

/// A whole page around `body`, which must be escaped already; `kind` is its width.
pub(in super::super) fn frame(title: &str, kind: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{title} · Demo identity provider</title>\n<link \
         rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"/static/idp.css\">\n</head>\n<body>\n<main \
         class=\"{kind}\">\n<p class=\"brand\">Demo identity provider</p>\n{body}\n</main>\n</body>\n</html>\n"
    )
}

/// `html` under a policy that lets forms go to this server and to `form_target`, and scripts come from here only.
pub(in super::super) fn respond(status: StatusCode, html: &str, form_target: &str) -> Response {
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
         frame-ancestors 'none'; form-action 'self' {form_target}"
    );
    let mut response = (status, Html(html.to_owned())).into_response();
    let fields = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(policy.trim_end()) {
        fields.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // `no-referrer` would make browsers send `Origin: null` with our own forms.
    fields.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn put(html: &mut String, text: std::fmt::Arguments<'_>) {
    let _infallible = html.write_fmt(text);
}

const STYLE: &str = include_str!("../pages/idp.css");

//! The one template for pages that people see from the gateway.
//!
//! Three things stand on each page: what happened, what to do, and the way on. There is no script and no inline
//! style, so the strictest policy ([`CONTENT_SECURITY_POLICY`]) holds; nothing is loaded from elsewhere. Every value
//! is escaped here, at the one place that writes HTML.

use std::fmt::Write as _;

/// The style sheet of every page, served at [`STYLE_PATH`].
pub const STYLE: &str = include_str!("page/style.css");

/// Where the gateway serves [`STYLE`] on every host.
pub const STYLE_PATH: &str = "/oauth2/static/page.css";

/// The policy that every page is served under: nothing but our own style sheet (and an empty `data:` icon, so that no
/// browser asks the app for one).
pub const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// One page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The heading, also the window's title.
    pub title: String,
    /// What happened, in one or two plain sentences.
    pub happened: String,
    /// What the person can do now; empty where the buttons say it all.
    pub advice: String,
    /// The ways on, the most likely one first.
    pub actions: Vec<Action>,
    /// Facts for whoever is asked for help (request id, time, host), below a line.
    pub details: Vec<Detail>,
    /// A path of this host that the browser goes to by itself.
    pub refresh: Option<String>,
}

/// A way on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What the button says.
    pub label: String,
    /// Where it leads: a path of this host, or an http(s) URL. Anything else (`javascript:`) is not shown.
    pub href: String,
}

/// A fact with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// What it is.
    pub label: String,
    /// Its value.
    pub value: String,
}

impl Page {
    /// The person signed out.
    pub fn signed_out(sign_in: &str) -> Self {
        Self::new("You are signed out", "Your session in this browser is over.")
            .advise("You can close this tab, or sign in again.")
            .action("Sign in again", sign_in)
    }

    /// The session was ended by somebody else; `reason` is what the signal says to the person, if it does.
    pub fn session_ended(reason: Option<&str>, sign_in: &str) -> Self {
        let page = Self::new(
            "Your session has ended",
            "Your organisation ended this session. Everything that was open in it has stopped.",
        )
        .advise("To go on, sign in again. An earlier login does not count: you will be asked to prove who you are.")
        .action("Sign in again", sign_in);
        match reason {
            Some(reason) => page.detail("Reason", reason),
            None => page,
        }
    }

    /// The IdP answered a request for a fresh login with an old one.
    pub fn login_not_fresh(idp: &str, retry: &str) -> Self {
        Self::new(
            "A new login is needed",
            &format!("{idp} answered with a login from before your session was ended. It cannot be used again."),
        )
        .advise(&format!(
            "Try again and enter your password when {idp} asks for it. If it does not ask, sign out there first. \
             If this page comes back, tell your administrator: {idp} does not ask for a new login when it is told to."
        ))
        .action("Try again", retry)
    }

    /// The person is on hold.
    pub fn on_hold(app: &str) -> Self {
        Self::new(
            "Your access is on hold",
            &format!(
                "Your organisation has put your access on hold. Nothing of yours goes on in {app} until that is lifted."
            ),
        )
        .advise("Signing in again does not help. Ask your administrator or help desk.")
    }

    /// Nobody new gets in until there is room for what may have to be revoked of theirs.
    pub fn crowded(retry: &str) -> Self {
        Self::new(
            "Nobody can sign in at the moment",
            "So many sessions were ended that there is no room to keep track of new ones. Whoever is signed in goes on.",
        )
        .advise("Nothing is wrong with your account. Try again in a few minutes; if this page stays, tell your administrator.")
        .action("Try again", retry)
    }

    /// Nobody gets in until the signals arrive again that end sessions.
    pub fn blind(app: &str) -> Self {
        Self::new(
            &format!("{app} is closed for the moment"),
            "The sign-in service does not say at the moment whose session is over, so nobody is let in.",
        )
        .advise("Nothing is wrong with your account. It opens again by itself; try again in a few minutes.")
        .action("Try again", "/")
    }

    /// The IdP does not answer, so nobody can be signed in.
    pub fn idp_unreachable(idp: &str, retry: &str) -> Self {
        Self::new("Sign-in is not possible right now", &format!("{idp} does not answer."))
            .advise("Nothing is wrong with your account. Wait a moment and try again.")
            .action("Try again", retry)
    }

    /// The app behind the gateway does not answer.
    pub fn app_down(app: &str, retry: &str) -> Self {
        Self::new(&format!("{app} is not answering"), "You are signed in, but the app itself cannot be reached.")
            .advise("Wait a moment and try again.")
            .action("Try again", retry)
    }

    /// The person is known and not allowed in.
    pub fn forbidden(app: &str, person: Option<&str>, sign_out: &str) -> Self {
        let page =
            Self::new(&format!("You have no access to {app}"), "You are signed in, but not allowed to use this app.")
                .advise("Ask its owner for access, or sign in as somebody else.")
                .action("Sign out", sign_out);
        match person {
            Some(person) => page.detail("Signed in as", person),
            None => page,
        }
    }

    /// The request makes no sense, and sending it again will not help.
    pub fn bad_request(why: &str) -> Self {
        Self::new("This request could not be understood", why)
            .advise("Go back and start again. A bookmark of a sign-in page does not work twice.")
            .action("To the start page", "/")
    }

    /// Too much was asked in too short a time.
    pub fn too_many_requests(seconds: u64) -> Self {
        Self::new("Too many requests", "There were too many requests from here in a short time.")
            .advise(&format!("Wait {seconds} seconds, then try again."))
    }

    /// Nothing is known under this address.
    pub fn not_found(host: &str) -> Self {
        Self::new("There is nothing here", "No app is known under this address.")
            .advise("Check the address for a typing error.")
            .detail("Address", host)
    }

    /// The same-site hop after a login: the browser goes on to `path` by itself, now with the cookies that are only
    /// sent from this site (`SameSite=Strict`). A path that leads elsewhere is replaced by the start page.
    pub fn continue_to(path: &str) -> Self {
        let path = if is_own_path(path) { path } else { "/" };
        let mut page = Self::new("You are signed in", "Taking you back to where you were.").action("Continue", path);
        page.refresh = Some(path.to_owned());
        page
    }

    /// A page of a heading and a sentence, to be completed by the methods below.
    pub fn new(title: &str, happened: &str) -> Self {
        Self { title: title.to_owned(), happened: happened.to_owned(), ..Self::default() }
    }

    /// Says what to do.
    #[must_use]
    pub fn advise(mut self, advice: &str) -> Self {
        advice.clone_into(&mut self.advice);
        self
    }

    /// Adds a way on.
    #[must_use]
    pub fn action(mut self, label: &str, href: &str) -> Self {
        self.actions.push(Action { label: label.to_owned(), href: href.to_owned() });
        self
    }

    /// Adds a fact, cut at [`MAX_DETAIL`] characters: some come from outside.
    #[must_use]
    pub fn detail(mut self, label: &str, value: &str) -> Self {
        let value = value.chars().take(MAX_DETAIL).collect();
        self.details.push(Detail { label: label.to_owned(), value });
        self
    }

    /// The page as HTML.
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        let refresh = self.refresh.as_deref().filter(|path| is_own_path(path)).map(escape);
        let mut html = String::with_capacity(2048);
        html.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        html.push_str("<meta name=\"robots\" content=\"noindex\">\n");
        if let Some(path) = refresh {
            put(&mut html, format_args!("<meta http-equiv=\"refresh\" content=\"0; url={path}\">\n"));
        }
        put(&mut html, format_args!("<title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n"));
        put(
            &mut html,
            format_args!("<link rel=\"stylesheet\" href=\"{STYLE_PATH}\">\n</head>\n<body>\n<main>\n{MARK}\n"),
        );
        put(&mut html, format_args!("<h1>{title}</h1>\n<p>{}</p>\n", escape(&self.happened)));
        if !self.advice.is_empty() {
            put(&mut html, format_args!("<p class=\"advice\">{}</p>\n", escape(&self.advice)));
        }
        self.put_actions(&mut html);
        self.put_details(&mut html);
        html.push_str("</main>\n<footer>Protected by Portcullis</footer>\n</body>\n</html>\n");
        html
    }

    fn put_actions(&self, html: &mut String) {
        let safe: Vec<_> = self.actions.iter().filter(|action| is_safe_link(&action.href)).collect();
        if safe.is_empty() {
            return;
        }
        html.push_str("<ul class=\"actions\">\n");
        for Action { label, href } in safe {
            put(html, format_args!("<li><a href=\"{}\">{}</a></li>\n", escape(href), escape(label)));
        }
        html.push_str("</ul>\n");
    }

    fn put_details(&self, html: &mut String) {
        if self.details.is_empty() {
            return;
        }
        html.push_str("<dl>\n");
        for Detail { label, value } in &self.details {
            put(html, format_args!("<dt>{}</dt><dd>{}</dd>\n", escape(label), escape(value)));
        }
        html.push_str("</dl>\n");
    }
}

/// `text` with everything that HTML could take for markup replaced, fit for element content and quoted attributes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // NUL and friends have no meaning in a page; browsers do odd things with them.
            c if c.is_control() && !matches!(c, '\n' | '\t') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// Characters of a detail that are shown.
pub const MAX_DETAIL: usize = 300;

/// The gate, as a drawing: no file to load, coloured by the style sheet.
const MARK: &str = "<svg class=\"mark\" viewBox=\"0 0 44 44\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"3\" \
    stroke-linecap=\"round\" stroke-linejoin=\"round\" aria-hidden=\"true\"><path d=\"M5 41V19a17 17 0 0 1 34 0v22\"/>\
    <path d=\"M13.500 7v26l0 4M22 3v34M30.500 7v30M6 16h32M6 26h32\" stroke-width=\"2.500\"/></svg>";

/// True for an absolute path that no browser takes for another host (`//host`, `/\host`) and no control character
/// splits in two.
fn is_own_path(path: &str) -> bool {
    let mut bytes = path.bytes();
    bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && !path.chars().any(|c| c.is_control() || c == '\\')
}

/// True for what a button may lead to.
fn is_safe_link(href: &str) -> bool {
    is_own_path(href)
        || url::Url::parse(href).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Appends; writing to a `String` cannot fail.
fn put(html: &mut String, text: std::fmt::Arguments<'_>) {
    let _infallible = html.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTACK: &str = "\"><script>alert(1)</script><a x='";

    fn every_page(text: &str) -> Vec<Page> {
        vec![
            Page::signed_out(text),
            Page::session_ended(Some(text), text),
            Page::login_not_fresh(text, text),
            Page::idp_unreachable(text, text),
            Page::blind(text),
            Page::crowded(text),
            Page::app_down(text, text),
            Page::forbidden(text, Some(text), text),
            Page::bad_request(text),
            Page::too_many_requests(30),
            Page::not_found(text),
            Page::continue_to(&format!("/{text}")),
        ]
    }

    #[test]
    fn no_field_can_break_out_of_its_place() {
        let field = Page {
            title: ATTACK.into(),
            happened: ATTACK.into(),
            advice: ATTACK.into(),
            actions: vec![Action { label: ATTACK.into(), href: format!("/{ATTACK}") }],
            details: vec![Detail { label: ATTACK.into(), value: ATTACK.into() }],
            refresh: Some(format!("/{ATTACK}")),
        };
        let shown = field.html();
        assert_eq!(shown.matches("&quot;&gt;&lt;script&gt;").count(), 9, "each of the nine places shows it as text");
        for page in every_page(ATTACK).into_iter().chain([field]) {
            let html = page.html();
            assert!(!html.contains("<script"), "`{}` lets a script through: {html}", page.title);
            assert!(!html.contains("x='"), "`{}` lets a quote through", page.title);
        }
    }

    #[test]
    fn each_page_says_in_plain_words_what_happened() {
        for (page, sentence) in [
            (Page::signed_out("/"), "Your session in this browser is over."),
            (Page::session_ended(None, "/"), "Your organisation ended this session."),
            (Page::session_ended(Some("Laptop lost"), "/"), "Laptop lost"),
            (Page::login_not_fresh("Corp", "/"), "Corp answered with a login from before your session was ended."),
            (Page::idp_unreachable("Corp", "/"), "Corp does not answer."),
            (Page::crowded("/"), "no room to keep track of new ones"),
            (Page::blind("Wiki"), "Wiki is closed for the moment"),
            (Page::app_down("Wiki", "/"), "the app itself cannot be reached"),
            (Page::forbidden("Wiki", Some("ann"), "/"), "not allowed to use this app"),
            (Page::bad_request("The answer fits no login."), "The answer fits no login."),
            (Page::too_many_requests(30), "Wait 30 seconds"),
            (Page::not_found("x.corp"), "No app is known under this address."),
            (Page::continue_to("/a?b=1&c=2"), "content=\"0; url=/a?b=1&amp;c=2\""),
        ] {
            assert!(page.html().contains(sentence), "`{}` should say `{sentence}`", page.title);
        }
    }

    #[test]
    fn a_page_needs_nothing_that_its_policy_forbids() {
        for page in every_page("Wiki") {
            let html = page.html();
            for forbidden in ["<script", "<style", " style=", " onload=", " onclick=", "src=", "<form"] {
                assert!(!html.contains(forbidden), "`{}` contains `{forbidden}`", page.title);
            }
            assert!(html.contains("<html lang=\"en\">") && html.matches("<h1>").count() == 1);
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }

    #[test]
    fn a_button_leads_to_this_host_or_to_a_web_address() {
        for (href, shown) in [
            ("/oauth2/start?rd=%2Fx", true),
            ("https://idp.example.com/logout", true),
            ("javascript:alert(1)", false),
            ("JaVaScRiPt:alert(1)", false),
            ("data:text/html,x", false),
            ("//evil.example.com", false),
            ("/\\evil.example.com", false),
            ("", false),
        ] {
            let html = Page::new("t", "h").action("Go", href).html();
            assert_eq!(html.contains("<a href"), shown, "`{href}`");
        }
    }

    #[test]
    fn the_hop_after_a_login_stays_on_this_host() {
        for path in ["//evil.example.com", "/\\evil", "https://evil.example.com", "evil", "", "/a\r\nb"] {
            assert_eq!(Page::continue_to(path).refresh.as_deref(), Some("/"), "`{path}`");
        }
    }

    #[test]
    fn a_detail_from_outside_is_cut_to_a_readable_length() {
        let page = Page::session_ended(Some(&"x".repeat(5_000)), "/");
        assert_eq!(page.details.first().map(|d| d.value.len()), Some(MAX_DETAIL));
    }
}

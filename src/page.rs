//! The one template for pages that people see from the gateway.
//!
//! Three things stand on each page: what happened, what to do, and the way on, in the reader's language ([`Reader`]) and
//! with the organisation's name, logo and colour ([`Look`]). There is no script and no inline style, so the strictest
//! policy ([`Page::policy`]) holds; nothing is loaded from elsewhere. Every value is escaped here, at the one place that
//! writes HTML.

mod language;
mod look;
mod saying;
mod words;

use std::fmt::Write as _;

pub use self::language::{Language, Reader};
pub use self::look::{Colour, Contact, InvalidLook, Logo, Look};
pub use self::saying::{Label, Mismatch, Saying};
use crate::revocation::Explanation;

/// Where the gateway serves the style sheet on every host.
pub const STYLE_PATH: &str = "/oauth2/static/page.css";
/// Where it serves the logo.
pub const LOGO_PATH: &str = "/oauth2/static/logo";

/// The policy that pages are served under: nothing but our own style sheet and logo (and an empty `data:` icon, so that no
/// browser asks the app for one).
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
/// The same for the page that sends a kept form. Browsers hold where the app redirects to after it against this as well, so
/// it names no host; the page has one form, to a path of its own host.
const FORM_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; \
                           form-action 'self' https:; frame-ancestors 'none'";

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What it says.
    pub saying: Saying,
    /// What stands for the names in braces.
    names: Vec<(&'static str, String)>,
    /// The ways on, the most likely one first.
    pub actions: Vec<Action>,
    /// Facts for whoever is asked for help, below a line.
    pub details: Vec<Detail>,
    /// A path of this host that the browser goes to by itself.
    pub refresh: Option<String>,
    /// A form that can be sent from here.
    pub form: Option<Form>,
}

/// A way on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What the button says.
    pub label: Label,
    /// Where it leads: a path of this host, or an http(s) URL. Anything else (`javascript:`) is not shown.
    pub href: String,
}

/// A fact with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// What it is.
    pub label: Label,
    /// Its value.
    pub value: Value,
}

/// The value of a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A name or an address.
    Name(String),
    /// An English text for whoever is asked for help.
    English(String),
    /// A text for the person, in their language if it is there.
    Explanation(Explanation),
}

/// A form that a person sends once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The path of this host that it goes to. Another is not shown.
    pub action: String,
    /// Its fields in their order.
    pub fields: Vec<(String, String)>,
}

impl Page {
    /// The person signed out.
    pub fn signed_out(sign_in: &str) -> Self {
        Self::new(Saying::SignedOut).action(Label::SignInAgain, sign_in)
    }

    /// A page of another site asks to sign the person out.
    pub fn sign_out_asked(sign_out: &str) -> Self {
        Self::new(Saying::SignOutAsked).action(Label::SignOut, sign_out)
    }

    /// The session was ended by somebody else; `reason` is what the signal says to the person, if it does.
    pub fn session_ended(reason: Option<&Explanation>, sign_in: &str) -> Self {
        Self::new(Saying::SessionEnded).action(Label::SignInAgain, sign_in).because(reason)
    }

    /// The IdP answered a request for a fresh login with an old one.
    pub fn login_not_fresh(idp: &str, retry: &str) -> Self {
        Self::new(Saying::LoginNotFresh).name("idp", idp).action(Label::TryAgain, retry)
    }

    /// The person is on hold.
    pub fn on_hold(app: &str) -> Self {
        Self::new(Saying::OnHold).name("app", app)
    }

    /// Nobody new gets in until there is room for what may have to be revoked of theirs.
    pub fn crowded(retry: &str) -> Self {
        Self::new(Saying::Crowded).action(Label::TryAgain, retry)
    }

    /// Nobody gets in until the signals arrive again that end sessions.
    pub fn blind(app: &str) -> Self {
        Self::new(Saying::Blind).name("app", app).action(Label::TryAgain, "/")
    }

    /// The IdP does not answer, so nobody can be signed in.
    pub fn idp_unreachable(idp: &str, retry: &str) -> Self {
        Self::new(Saying::IdpUnreachable).name("idp", idp).action(Label::TryAgain, retry)
    }

    /// The app behind the gateway does not answer.
    pub fn app_down(app: &str, retry: &str) -> Self {
        Self::new(Saying::AppDown).name("app", app).action(Label::TryAgain, retry)
    }

    /// The person is known and not allowed in.
    pub fn forbidden(app: &str, person: Option<&str>, sign_out: &str) -> Self {
        let page = Self::new(Saying::Forbidden).name("app", app).action(Label::SignOut, sign_out);
        match person {
            Some(person) => page.detail(Label::SignedInAs, person),
            None => page,
        }
    }

    /// The request makes no sense, and sending it again will not help; `why` is an English sentence.
    pub fn bad_request(why: &str) -> Self {
        Self::new(Saying::BadRequest).technical(why).action(Label::StartPage, "/")
    }

    /// Too much was asked in too short a time.
    pub fn too_many_requests(seconds: u64) -> Self {
        Self::new(Saying::TooManyRequests).name("seconds", &seconds.to_string())
    }

    /// The body is larger than the app takes.
    pub fn too_large(app: &str, bytes: u64) -> Self {
        Self::new(Saying::TooLarge).name("app", app).name("bytes", &bytes.to_string())
    }

    /// Nothing is known under this address.
    pub fn not_found(host: &str) -> Self {
        Self::new(Saying::NotFound).detail(Label::Address, host)
    }

    /// The same-site hop after a login: the browser goes on to `path` by itself, now with the cookies that are only
    /// sent from this site (`SameSite=Strict`). A path that leads elsewhere is replaced by the start page.
    pub fn continue_to(path: &str) -> Self {
        let path = if is_own_path(path) { path } else { "/" };
        let page = Self::new(Saying::SignedIn).action(Label::Continue, path);
        Self { refresh: Some(path.to_owned()), ..page }
    }

    /// A page that says that, to be completed by the methods below.
    pub const fn new(saying: Saying) -> Self {
        Self { saying, names: Vec::new(), actions: Vec::new(), details: Vec::new(), refresh: None, form: None }
    }

    /// Says what stands for `{name}`, cut at [`MAX_DETAIL`] characters.
    #[must_use]
    pub fn name(mut self, name: &'static str, value: &str) -> Self {
        self.names.push((name, cut(value)));
        self
    }

    /// Adds a way on.
    #[must_use]
    pub fn action(mut self, label: Label, href: &str) -> Self {
        self.actions.push(Action { label, href: href.to_owned() });
        self
    }

    /// Adds a fact, cut at [`MAX_DETAIL`] characters: some come from outside.
    #[must_use]
    pub fn detail(mut self, label: Label, value: &str) -> Self {
        self.details.push(Detail { label, value: Value::Name(cut(value)) });
        self
    }

    /// Adds an English sentence for whoever is asked for help.
    #[must_use]
    pub fn technical(mut self, why: &str) -> Self {
        self.details.push(Detail { label: Label::Technical, value: Value::English(cut(why)) });
        self
    }

    /// Adds what the signal says to the person, if it does.
    #[must_use]
    pub fn because(mut self, reason: Option<&Explanation>) -> Self {
        let reason = reason.filter(|reason| !reason.is_empty()).cloned();
        self.details.extend(reason.map(|reason| Detail { label: Label::Reason, value: Value::Explanation(reason) }));
        self
    }

    /// The policy that it is served under (`Content-Security-Policy`).
    pub const fn policy(&self) -> &'static str {
        if self.form.is_some() { FORM_POLICY } else { POLICY }
    }

    /// The page as HTML, for that reader.
    pub fn html(&self, reader: &Reader, look: &Look) -> String {
        let language = reader.language(look.language);
        let [title, happened, advice] = words::passage(language, self.saying).map(|text| escape(&self.filled(text)));
        let refresh = self.refresh.as_deref().filter(|path| is_own_path(path)).map(escape);
        let mut html = String::with_capacity(2048);
        let (tag, direction) = (language.tag(), language.direction());
        put(&mut html, format_args!("<!doctype html>\n<html lang=\"{tag}\" dir=\"{direction}\">\n<head>\n"));
        html.push_str("<meta charset=\"utf-8\">\n");
        html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        html.push_str("<meta name=\"robots\" content=\"noindex\">\n");
        if let Some(path) = refresh {
            put(&mut html, format_args!("<meta http-equiv=\"refresh\" content=\"0; url={path}\">\n"));
        }
        put(&mut html, format_args!("<title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n"));
        put(&mut html, format_args!("<link rel=\"stylesheet\" href=\"{STYLE_PATH}\">\n</head>\n<body>\n<main>\n"));
        if look.logo.is_some() {
            // Without a text of its own: the name stands below the page.
            put(&mut html, format_args!("<img class=\"logo\" src=\"{LOGO_PATH}\" alt=\"\">\n"));
        } else {
            put(&mut html, format_args!("{MARK}\n"));
        }
        put(&mut html, format_args!("<h1>{title}</h1>\n<p>{happened}</p>\n"));
        if !advice.is_empty() {
            put(&mut html, format_args!("<p class=\"advice\">{advice}</p>\n"));
        }
        self.put_actions(&mut html, language);
        self.put_details(&mut html, language, reader);
        html.push_str("</main>\n<footer>");
        put_footer(&mut html, language, look);
        html.push_str("</footer>\n</body>\n</html>\n");
        html
    }

    /// `text` with what stands for the names in braces. A value is not looked through again.
    fn filled(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let Some((name, after)) = after.split_once('}') else { break };
            let value = self.names.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
            filled.push_str(value.unwrap_or("…"));
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    fn put_actions(&self, html: &mut String, language: Language) {
        let safe: Vec<_> = self.actions.iter().filter(|action| is_safe_link(&action.href)).collect();
        let form = self.form.as_ref().filter(|form| is_own_path(&form.action));
        if safe.is_empty() && form.is_none() {
            return;
        }
        if let Some(Form { action, fields }) = form {
            put(
                html,
                format_args!(
                    "<form id=\"kept\" method=\"post\" action=\"{}\" accept-charset=\"utf-8\">\n",
                    escape(action)
                ),
            );
            for (name, value) in fields {
                let (name, value) = (escape(name), escape(value));
                put(html, format_args!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">\n"));
            }
            html.push_str("</form>\n");
        }
        html.push_str("<ul class=\"actions\">\n");
        if form.is_some() {
            let label = escape(words::label(language, Label::SendNow));
            put(html, format_args!("<li><button form=\"kept\">{label}</button></li>\n"));
        }
        for Action { label, href } in safe {
            let label = escape(words::label(language, *label));
            put(html, format_args!("<li><a href=\"{}\">{label}</a></li>\n", escape(href)));
        }
        html.push_str("</ul>\n");
    }

    fn put_details(&self, html: &mut String, language: Language, reader: &Reader) {
        if self.details.is_empty() {
            return;
        }
        html.push_str("<dl>\n");
        for Detail { label, value } in &self.details {
            let label = escape(words::label(language, *label));
            put(html, format_args!("<dt>{label}</dt>"));
            match value {
                Value::Name(name) => put(html, format_args!("<dd dir=\"auto\">{}</dd>\n", escape(name))),
                Value::English(text) => put(html, format_args!("<dd lang=\"en\">{}</dd>\n", escape(text))),
                Value::Explanation(explanation) => {
                    let (tag, text) = said_to(explanation, reader, language).unwrap_or_default();
                    let (tag, text) = (escape(tag), escape(text));
                    match tag.is_empty() {
                        true => put(html, format_args!("<dd dir=\"auto\">{text}</dd>\n")),
                        false => put(html, format_args!("<dd lang=\"{tag}\" dir=\"auto\">{text}</dd>\n")),
                    }
                }
            }
        }
        html.push_str("</dl>\n");
    }
}

/// What `explanation` says to that reader, whose page is in `language`, with the tag of its own language: in one that they
/// read, else in the page's, else in English, else in any.
pub fn said_to<'a>(explanation: &'a Explanation, reader: &Reader, language: Language) -> Option<(&'a str, &'a str)> {
    let all = || explanation.iter().map(|(tag, text)| (tag, (tag, text)));
    let (ours, english) = (Reader::of(language.tag()), Reader::of(Language::English.tag()));
    reader
        .best(all())
        .or_else(|| ours.best(all()))
        .or_else(|| english.best(all()))
        .or_else(|| explanation.iter().next())
}

fn put_footer(html: &mut String, language: Language, look: &Look) {
    let name = look.name.as_deref().unwrap_or_else(|| words::label(language, Label::ProtectedBy));
    html.push_str(&escape(name));
    let Some(Contact { text, url }) = &look.contact else { return };
    match url {
        Some(url) => put(html, format_args!(" · <a href=\"{}\">{}</a>", escape(url.as_str()), escape(text))),
        None => put(html, format_args!(" · {}", escape(text))),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_DETAIL).collect()
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
            // As a byte it would be read as the end of a line.
            '\r' => safe.push_str("&#13;"),
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

    fn reason(text: &str) -> Explanation {
        Explanation::parse(&serde_json::json!({ "en": text })).expect("explanation")
    }

    fn english(page: &Page) -> String {
        page.html(&Reader::default(), &Look::default())
    }

    fn every_page(text: &str) -> Vec<Page> {
        let form = Form { action: format!("/{text}"), fields: vec![(text.into(), text.into())] };
        let made = [
            Page::signed_out(text),
            Page::session_ended(Some(&reason(text)), text),
            Page::login_not_fresh(text, text),
            Page::forbidden(text, Some(text), text),
            Page::bad_request(text),
            Page::not_found(text),
            Page::continue_to(&format!("/{text}")),
            Page { form: Some(form), ..Page::new(Saying::FormKept) },
        ];
        let said = Saying::ALL.map(|saying| {
            let names = ["app", "idp", "host", "url", "seconds", "bytes"];
            names.iter().fold(Page::new(saying).detail(Label::Reason, text), |page, name| page.name(name, text))
        });
        made.into_iter().chain(said).collect()
    }

    #[test]
    fn no_field_can_break_out_of_its_place() {
        let look = Look {
            name: Some(ATTACK.into()),
            contact: Some(Contact { text: ATTACK.into(), url: None }),
            ..Look::default()
        };
        for page in every_page(ATTACK) {
            for language in Language::ALL {
                let html = page.html(&Reader::of(language.tag()), &look);
                assert!(!html.contains("<script"), "`{:?}` lets a script through: {html}", page.saying);
                assert!(!html.contains("x='"), "`{:?}` lets a quote through", page.saying);
                assert!(html.contains("&quot;&gt;&lt;script&gt;"), "`{:?}` shows it as text", page.saying);
            }
        }
    }

    #[test]
    fn each_page_says_in_plain_words_what_happened() {
        for (page, sentence) in [
            (Page::signed_out("/"), "Your session in this browser is over."),
            (Page::session_ended(None, "/"), "Your organisation ended this session."),
            (Page::session_ended(Some(&reason("Laptop lost")), "/"), "Laptop lost"),
            (Page::login_not_fresh("Corp", "/"), "Corp answered with a login from before your session was ended."),
            (Page::idp_unreachable("Corp", "/"), "Corp does not answer."),
            (Page::crowded("/"), "no room to keep track of new ones"),
            (Page::blind("Wiki"), "Wiki is closed for the moment"),
            (Page::app_down("Wiki", "/"), "the app itself cannot be reached"),
            (Page::forbidden("Wiki", Some("ann"), "/"), "not allowed to use this app"),
            (Page::bad_request("The answer fits no login."), "<dd lang=\"en\">The answer fits no login.</dd>"),
            (Page::too_many_requests(30), "Wait 30 seconds"),
            (Page::too_large("Wiki", 5), "Wiki takes at most 5 bytes"),
            (Page::not_found("x.corp"), "No app is known under this address."),
            (Page::continue_to("/a?b=1&c=2"), "content=\"0; url=/a?b=1&amp;c=2\""),
            (Page::app_down("{app} {idp}", "/"), "<h1>{app} {idp} is not answering</h1>"),
        ] {
            assert!(english(&page).contains(sentence), "`{:?}` should say `{sentence}`", page.saying);
        }
    }

    #[test]
    fn a_page_is_in_the_readers_language_and_its_reason_too_if_it_is_there() {
        let said = serde_json::json!({ "en": "Laptop lost", "de-CH": "Laptop verloren", "he": "המחשב אבד" });
        let page = Page::session_ended(Explanation::parse(&said).as_ref(), "/");
        for (accept, expected) in [
            ("", ["<html lang=\"en\" dir=\"ltr\">", "<dd lang=\"en\" dir=\"auto\">Laptop lost</dd>"]),
            ("de-AT", ["<html lang=\"de\"", "<dt>Grund</dt><dd lang=\"de-CH\" dir=\"auto\">Laptop verloren</dd>"]),
            ("he, fr;q=0.5", ["Votre session a pris fin", "<dd lang=\"he\" dir=\"auto\">המחשב אבד</dd>"]),
            ("ja", ["セッションが終了しました", "<dt>理由</dt><dd lang=\"en\" dir=\"auto\">Laptop lost</dd>"]),
        ] {
            let html = page.html(&Reader::of(accept), &Look::default());
            for part in expected {
                assert!(html.contains(part), "`{accept}` should get `{part}`: {html}");
            }
        }
        let look = Look { language: Language::Spanish, ..Look::default() };
        assert!(page.html(&Reader::of("it"), &look).contains("<html lang=\"es\""), "what the config says");
    }

    #[test]
    fn a_page_looks_like_the_organisations_own() {
        let contact = Contact { text: "Help desk".into(), url: url::Url::parse("mailto:help@corp.example").ok() };
        let look = Look { name: Some("Corp".into()), contact: Some(contact), ..Look::default() };
        let html = Page::signed_out("/").html(&Reader::default(), &look);
        assert!(html.contains("<footer>Corp · <a href=\"mailto:help@corp.example\">Help desk</a></footer>"), "{html}");
        assert!(!html.contains("Portcullis"));
    }

    #[test]
    fn a_page_needs_nothing_that_its_policy_forbids() {
        for page in every_page("Wiki") {
            let html = english(&page);
            for forbidden in ["<script", "<style", " style=", " onload=", " onclick=", "src="] {
                assert!(!html.contains(forbidden), "`{:?}` contains `{forbidden}`", page.saying);
            }
            assert_eq!(html.contains("<form"), page.policy().contains("form-action 'self'"), "{:?}", page.saying);
            assert!(html.contains("<html lang=\"en\" dir=\"ltr\">") && html.matches("<h1>").count() == 1);
        }
    }

    #[test]
    fn a_form_goes_to_this_host_with_its_fields_as_they_were() {
        let form = |action: &str| Form {
            action: action.into(),
            fields: vec![("a".into(), "1 & 2\r\n\"x\"".into()), ("a".into(), String::new())],
        };
        let html = english(&Page { form: Some(form("/save?x=1")), ..Page::new(Saying::FormKept) });
        for part in [
            "method=\"post\" action=\"/save?x=1\"",
            "name=\"a\" value=\"1 &amp; 2&#13;\n&quot;x&quot;\"",
            "name=\"a\" value=\"\"",
        ] {
            assert!(html.contains(part), "`{part}`: {html}");
        }
        for elsewhere in ["https://evil.example.com/", "//evil.example.com", "javascript:alert(1)"] {
            let html = english(&Page { form: Some(form(elsewhere)), ..Page::new(Saying::FormKept) });
            assert!(!html.contains("<form"), "`{elsewhere}`");
        }
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
            let html = english(&Page::new(Saying::SignedOut).action(Label::SignIn, href));
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
        let page = Page::not_found(&"x".repeat(5_000)).name("app", &"y".repeat(5_000));
        let html = english(&page);
        assert_eq!(
            html.matches('x').count(),
            MAX_DETAIL + html.replace(&"x".repeat(MAX_DETAIL), "").matches('x').count()
        );
        assert!(page.names.iter().all(|(_, value)| value.len() == MAX_DETAIL));
    }
}

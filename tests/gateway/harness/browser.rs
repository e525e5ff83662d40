//! A browser: it keeps cookies by the rules, follows redirects, and knows the IdP's sign-in page when it sees it.

use std::net::SocketAddr;

use portcullis::demo::idp::PASSWORD;
use url::Url;

use super::backend::GREETING;
use super::house::House;
use super::wire::{Answer, Ask, Wire};

/// Redirects after which something goes round in a circle.
const MAX_HOPS: usize = 12;

/// A browser with its cookies.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    gateway: SocketAddr,
    origin: String,
    issuer: String,
    jar: Vec<Cookie>,
}

#[derive(Clone, Debug)]
struct Cookie {
    host: String,
    name: String,
    value: String,
    path: String,
}

/// A page that the browser came to.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) url: Url,
    pub(crate) answer: Answer,
    /// How often the IdP was asked on the way.
    pub(crate) trips: usize,
    /// The IdP showed its sign-in page on the way.
    pub(crate) was_asked: bool,
    issuer: String,
}

impl Browser {
    pub(super) fn new(house: &House) -> Self {
        let issuer = house.demo.issuer.as_str().to_owned();
        Self { gateway: house.address(), origin: house.origin(), issuer, jar: Vec::new() }
    }

    /// Opens a page of the app and stays where the first answer leads.
    pub(crate) async fn get(&mut self, path: &str) -> Arrival {
        let url = self.url(path);
        self.navigates(&url, None).await
    }

    /// A script's request: it says so, and takes anything.
    pub(crate) async fn fetches(&mut self, path: &str) -> Arrival {
        let url = self.url(path);
        let ask = |target: &str| Ask::get(target).with("Accept", "*/*").with("Sec-Fetch-Mode", "cors");
        self.sends(&url, ask).await
    }

    /// Sends any request to the app, with the browser's cookies.
    pub(crate) async fn asks(&mut self, ask: &Ask) -> Arrival {
        let url = self.url("/");
        let ask = ask.clone();
        self.sends(&url, move |_| ask).await
    }

    /// Opens the app as `user`, signing in where the IdP asks, up to a page that is no redirect.
    pub(crate) async fn signs_in(&mut self, user: &str) -> Arrival {
        self.opens("/", Some(user)).await
    }

    /// Opens a page of the app and follows, without ever typing a password.
    pub(crate) async fn follows(&mut self, path: &str) -> Arrival {
        self.opens(path, None).await
    }

    /// Opens a page of the app and follows, signing in as `user` where the IdP asks.
    pub(crate) async fn opens(&mut self, path: &str, user: Option<&str>) -> Arrival {
        let first = self.get(path).await;
        self.goes_on(first, user).await
    }

    /// Follows from where it is, as [`Browser::opens`] does.
    pub(crate) async fn goes_on(&mut self, mut here: Arrival, user: Option<&str>) -> Arrival {
        let (mut trips, mut was_asked) = (here.trips, false);
        for _ in 0..MAX_HOPS {
            let next = if let Some(location) = here.location() {
                trips += usize::from(location.as_str().starts_with(&format!("{}/authorize", self.issuer)));
                self.navigates(&location, None).await
            } else if let Some(refresh) = here.refresh() {
                self.navigates(&refresh, None).await
            } else if here.is_sign_in_page() && user.is_some() {
                was_asked = true;
                self.types_password(&here, user.unwrap_or_default()).await
            } else {
                return Arrival { trips, was_asked: was_asked || here.is_sign_in_page(), ..here };
            };
            here = next;
        }
        panic!("the browser goes round in a circle, and is at {}", here.url);
    }

    /// Follows up to the redirect that brings the IdP's answer to the gateway, and stops in front of it.
    pub(crate) async fn answered_by_idp(&mut self, sent: &Arrival, user: &str) -> Url {
        let mut here = self.navigates(&sent.location().expect("a redirect to the IdP"), None).await;
        if here.is_sign_in_page() {
            here = self.types_password(&here, user).await;
        }
        here.location().expect("a redirect back")
    }

    /// Goes to a URL, as by a click.
    pub(crate) async fn goes_to(&mut self, url: &Url) -> Arrival {
        self.navigates(url, None).await
    }

    /// Fills in the IdP's sign-in page.
    pub(crate) async fn types_password(&mut self, page: &Arrival, user: &str) -> Arrival {
        self.navigates(&page.url.clone(), Some(format!("user={user}&password={PASSWORD}"))).await
    }

    /// The `Cookie` field that goes to the app, as a thief would copy it.
    pub(crate) fn cookies(&self) -> String {
        self.cookies_for(&self.url("/"))
    }

    /// The `Cookie` field for a path of the app.
    pub(crate) fn cookies_at(&self, path: &str) -> String {
        self.cookies_for(&self.url(path))
    }

    /// Puts a cookie into the jar, for every path of the gateway's host.
    pub(crate) fn has_cookie(&mut self, name: &str, value: &str) {
        let host = self.url("/").host_str().unwrap_or_default().to_owned();
        self.keep(Cookie { host, name: name.to_owned(), value: value.to_owned(), path: "/".to_owned() });
    }

    /// Loses the cookies of the IdP.
    pub(crate) fn forgets_the_idp(&mut self) {
        let idp = Url::parse(&self.issuer).expect("url");
        self.jar.retain(|cookie| Some(cookie.host.as_str()) != idp.host_str());
    }

    /// Loses a cookie of the app's host.
    pub(crate) fn loses(&mut self, name: &str) {
        let host = self.url("/").host_str().unwrap_or_default().to_owned();
        self.jar.retain(|cookie| cookie.host != host || cookie.name != name);
    }

    /// From now on a load balancer sends it to another gateway.
    pub(crate) fn is_sent_to(&mut self, gateway: SocketAddr) {
        self.gateway = gateway;
    }

    /// The same browser, used on another origin of the gateway's.
    pub(crate) fn at(&mut self, origin: &str) {
        origin.clone_into(&mut self.origin);
    }

    /// The same browser, of somebody whom another IdP signs in.
    pub(crate) fn asks_for_passwords_at(&mut self, issuer: &str) {
        issuer.clone_into(&mut self.issuer);
    }

    /// Names of the cookies that would go to the app.
    pub(crate) fn cookie_names(&self) -> Vec<String> {
        let names = |field: String| field.split("; ").filter_map(|p| Some(p.split_once('=')?.0.to_owned())).collect();
        names(self.cookies())
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.origin)).expect("a URL")
    }

    async fn navigates(&mut self, url: &Url, form: Option<String>) -> Arrival {
        let ask = |target: &str| {
            let ask = match form {
                Some(form) => Ask::post(target, "application/x-www-form-urlencoded", form),
                None => Ask::get(target),
            };
            ask.with("Accept", "text/html,*/*;q=0.8")
                .with("Sec-Fetch-Mode", "navigate")
                .with("Sec-Fetch-Dest", "document")
        };
        self.sends(url, ask).await
    }

    async fn sends(&mut self, url: &Url, ask: impl FnOnce(&str) -> Ask) -> Arrival {
        let at_idp = url.as_str().starts_with(&self.issuer);
        let authority = url.authority().to_owned();
        let address = if at_idp { authority.parse().expect("the IdP's address") } else { self.gateway };
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let mut ask = ask(&target).with("Connection", "close");
        let cookies = self.cookies_for(url);
        if !cookies.is_empty() {
            ask = ask.with("Cookie", &cookies);
        }
        let answer = Box::pin(Wire::once(address, &ask.bytes(&authority))).await;
        let set: Vec<_> = answer.all("set-cookie").map(str::to_owned).collect();
        for field in set {
            self.takes_cookie(url, &field);
        }
        Arrival { url: url.clone(), answer, trips: 0, was_asked: false, issuer: self.issuer.clone() }
    }

    fn cookies_for(&self, url: &Url) -> String {
        let fits = |cookie: &&Cookie| {
            Some(cookie.host.as_str()) == url.host_str() && url.path().starts_with(cookie.path.trim_end_matches('/'))
        };
        let pairs = self.jar.iter().filter(fits).map(|cookie| format!("{}={}", cookie.name, cookie.value));
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// RFC 6265bis §5.6, as far as it matters here. A cookie that a browser would drop fails the test.
    fn takes_cookie(&mut self, url: &Url, field: &str) {
        let mut parts = field.split(';').map(str::trim);
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a cookie");
        let attributes: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
        let has = |name: &str| attributes.iter().any(|attribute| attribute == name);
        let path = attributes.iter().find_map(|a| a.strip_prefix("path=")).unwrap_or("/");
        if name.starts_with("__Host-") {
            let tied = has("secure") && path == "/" && !attributes.iter().any(|a| a.starts_with("domain="));
            assert!(tied, "no browser takes `{name}` with {attributes:?}");
        }
        if name.starts_with("__Secure-") {
            assert!(has("secure"), "no browser takes `{name}` with {attributes:?}");
        }
        assert!(field.len() < 4096, "no browser takes `{name}` of {} bytes", field.len());
        let host = url.host_str().unwrap_or_default().to_owned();
        let cookie = Cookie { host, name: name.to_owned(), value: value.to_owned(), path: path.to_owned() };
        if has("max-age=0") {
            self.jar.retain(|known| !known.is_same(&cookie));
        } else {
            self.keep(cookie);
        }
    }

    fn keep(&mut self, cookie: Cookie) {
        self.jar.retain(|known| !known.is_same(&cookie));
        self.jar.push(cookie);
    }
}

impl Cookie {
    fn is_same(&self, other: &Self) -> bool {
        (&self.host, &self.name, &self.path) == (&other.host, &other.name, &other.path)
    }
}

impl Arrival {
    /// Where the answer leads.
    pub(crate) fn location(&self) -> Option<Url> {
        let leads = matches!(self.answer.status, 301..=303 | 307 | 308);
        self.answer.field("location").filter(|_| leads).map(|to| self.url.join(to).expect("a URL"))
    }

    /// Where the page goes by itself.
    fn refresh(&self) -> Option<Url> {
        let text = self.answer.text();
        let to =
            text.split_once("http-equiv=\"refresh\" content=\"0; url=")?.1.split('"').next()?.replace("&amp;", "&");
        Some(self.url.join(&to).expect("a URL"))
    }

    /// True on the IdP's page that asks for a password.
    pub(crate) fn is_sign_in_page(&self) -> bool {
        self.url.as_str().starts_with(&self.issuer) && self.answer.text().contains("name=\"password\"")
    }

    /// The app answered.
    #[track_caller]
    pub(crate) fn is_let_in(&self) {
        let (status, body) = (self.answer.status, self.answer.text());
        assert!(status == 200 && body.contains(GREETING), "not let in at {}: {status} {body}", self.url);
    }

    /// The gateway sent the browser to the IdP's sign-in, and nothing of the app is in the answer.
    #[track_caller]
    pub(crate) fn is_sent_to_idp(&self) -> Url {
        let location = self.location();
        let to = location.unwrap_or_else(|| panic!("no redirect: {} {}", self.answer.status, self.answer.text()));
        assert!(to.as_str().starts_with(&format!("{}/authorize?", self.issuer)), "sent to {to}");
        assert!(!self.answer.text().contains(GREETING));
        to
    }

    /// The gateway told a program that it is not let in, with this word.
    #[track_caller]
    pub(crate) fn is_refused(&self, word: &str) {
        assert_eq!((self.answer.status, self.answer.json()["error"].as_str()), (401, Some(word)), "{}", self.url);
        assert_eq!(self.answer.field("cache-control"), Some("no-store"));
    }

    /// A page of the gateway's own, with this status and these words in it.
    #[track_caller]
    pub(crate) fn is_told(&self, status: u16, words: &str) {
        let text = self.answer.text();
        assert_eq!(self.answer.status, status, "{text}");
        assert!(text.contains(words) && text.contains("Protected by Portcullis"), "`{words}` is not in\n{text}");
    }
}

/// The value of a parameter of a URL.
pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

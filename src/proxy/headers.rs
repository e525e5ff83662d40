//! What the app sees of a request, and the browser of a response: identity from proof only, our cookies never.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{OrErr, Result};

use crate::apps::{App, HeaderProfile};
use crate::decision::Permit;
use crate::endpoint::Tokens;
use crate::evidence;
use crate::lineage::Dressed;
use crate::session::{OURS, Person};

/// Headers by which one program tells another who the user is, beyond the profiles' own. Whatever arrives under these
/// names (also with `_` for `-`, which CGI and WSGI cannot tell apart) is a claim without proof.
const IDENTITY: [&str; 20] = [
    "remote-user",
    "remote-email",
    "remote-groups",
    "remote-name",
    "x-remote-user",
    "x-remote-email",
    "x-remote-groups",
    "x-remote-name",
    "x-remote-group",
    "x-user",
    "x-email",
    "x-groups",
    "x-user-id",
    "x-authenticated-user",
    "x-webauth-user",
    "x-webauth-email",
    "x-webauth-groups",
    "x-proxy-user",
    "x-ssl-client-cert",
    "x-client-cert",
];
const IDENTITY_PREFIXES: [&str; 5] = ["x-forwarded-", "x-auth-request-", "oidc-", "x-authentik-", "x-pomerium-"];
/// Headers by which a proxy rewrites where a request came from or goes to.
const FORWARDING: [&str; 7] =
    ["forwarded", "x-real-ip", "x-original-url", "x-rewrite-url", "x-original-uri", "x-original-host", "x-client-ip"];
/// The letters that all of these begin with: the first letter of most headers settles that they are none.
const INITIALS: [char; 4] = ['f', 'o', 'r', 'x'];
static HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Who is on the other end of the connection, as the app is told.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: Option<IpAddr>,
    /// The peer is a configured proxy: what it says about the chain before it is passed on.
    pub(super) trusted: bool,
}

/// Makes the request what the app may see: claims and our cookies out, the person of the permit in. `opened` stands for
/// all cookies that the request brought, if some of them were sealed.
pub(super) fn to_app(
    request: &mut RequestHeader,
    permit: &Permit,
    app: &App,
    peer: &Peer,
    opened: Option<&[u8]>,
) -> Result<()> {
    let chain = peer.trusted.then(|| joined(request, "x-forwarded-for")).flatten();
    strip_claims(request);
    pass_cookies(request, opened)?;
    request.remove_header(&HTTP2_SETTINGS);
    let address = peer.address.map(text).unwrap_or_default();
    let chain = match chain {
        Some(before) => format!("{before}, {address}"),
        None => address,
    };
    request.insert_header("x-forwarded-for", chain)?;
    request.insert_header("x-forwarded-proto", app.origin.scheme())?;
    request.insert_header("x-forwarded-host", app.origin.authority())?;
    if let Some(host) = &app.transport.host_header {
        request.insert_header("host", host)?;
    }
    permit.person().map_or(Ok(()), |person| introduce(request, person, app.headers))
}

/// An address as text. IPv4 without the formatting machinery: it is written at every request.
fn text(address: IpAddr) -> String {
    let IpAddr::V4(v4) = address else { return address.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (n, octet) in v4.octets().into_iter().enumerate() {
        if n > 0 {
            text.push('.');
        }
        for (least, unit) in [(100, 100), (10, 10), (0, 1)] {
            if octet >= least {
                text.push(char::from(b'0' + octet / unit % 10));
            }
        }
    }
    text
}

/// Removes every header that claims an identity or a route.
fn strip_claims(request: &mut RequestHeader) {
    // Most requests have none, and then this allocates nothing.
    let claims: Vec<_> = request.headers.keys().filter(|name| is_claim(name.as_str())).cloned().collect();
    for name in claims {
        request.remove_header(&name);
    }
}

fn is_claim(name: &str) -> bool {
    if !name.starts_with(INITIALS) {
        return false;
    }
    let is = |claim: &&str| name.len() == claim.len() && spells(name, claim);
    IDENTITY.iter().any(is) || FORWARDING.iter().any(is) || IDENTITY_PREFIXES.iter().any(|prefix| spells(name, prefix))
}

/// True if `name` begins with `start`, where `_` stands for `-`.
fn spells(name: &str, start: &str) -> bool {
    name.len() >= start.len() && name.bytes().zip(start.bytes()).all(|(n, s)| n == s || (n == b'_' && s == b'-'))
}

/// Leaves our cookies out and joins the rest into the one field that HTTP/1.1 knows (RFC 9113 §8.2.3).
fn pass_cookies(request: &mut RequestHeader, opened: Option<&[u8]>) -> Result<()> {
    let theirs = opened.map_or_else(|| theirs(&request.headers), <[u8]>::to_vec);
    if theirs.is_empty() {
        request.remove_header(&header::COOKIE);
        return Ok(());
    }
    request.insert_header("cookie", theirs)
}

/// All cookies but ours.
fn theirs(headers: &HeaderMap) -> Vec<u8> {
    let mut theirs = Vec::new();
    for field in headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes) {
        for pair in evidence::pairs(field).filter_map(|pair| field.get(pair)).filter(|pair| !is_ours(pair)) {
            if !theirs.is_empty() {
                theirs.extend_from_slice(b"; ");
            }
            theirs.extend_from_slice(pair);
        }
    }
    theirs
}

/// True if a cookie pair is one of ours.
fn is_ours(pair: &[u8]) -> bool {
    OURS.iter().any(|name| pair.starts_with(name.as_bytes()))
}

/// Tells the app who the person is, under the names of its profile.
fn introduce(request: &mut RequestHeader, person: &Person, profile: HeaderProfile) -> Result<()> {
    let Some([user, email, groups, preferred]) = profile.names() else { return Ok(()) };
    let name = person.preferred_username.as_deref();
    let shown = match profile {
        // As the field's most used gateway does it: the subject is the user, the name stands beside it.
        HeaderProfile::Forwarded => person.subject.as_str(),
        HeaderProfile::Remote | HeaderProfile::XRemote | HeaderProfile::Silent => name.unwrap_or(&person.subject),
    };
    let groups_value = (!person.groups.is_empty()).then(|| person.groups.join(","));
    for (header, value) in
        [(user, Some(shown)), (email, person.email.as_deref()), (groups, groups_value.as_deref()), (preferred, name)]
    {
        if let Some(value) = value {
            // A value that is no header text (line breaks, control characters) cannot be passed on as it is: the app
            // would get another name. The request fails instead.
            let text = HeaderValue::from_bytes(value.as_bytes())
                .or_err(pingora::ErrorType::InvalidHTTPHeader, "an identity that is no header text")?;
            request.insert_header(header, text)?;
        }
    }
    Ok(())
}

/// Keeps apps from setting our cookies, and puts ours in.
pub(super) fn to_client(response: &mut ResponseHeader, ours: &[String]) -> Result<()> {
    let is_ours = |value: &HeaderValue| is_ours(value.as_bytes().trim_ascii_start());
    if response.headers.get_all(header::SET_COOKIE).iter().any(is_ours) {
        let set: Vec<_> = response.headers.get_all(header::SET_COOKIE).iter().cloned().collect();
        response.remove_header("set-cookie");
        for value in set.into_iter().filter(|v| !is_ours(v)) {
            response.append_header("set-cookie", value)?;
        }
    }
    for cookie in ours {
        response.append_header("set-cookie", cookie.as_str())?;
    }
    Ok(())
}

/// Gives the app its tokens out of their seals, and asks for an answer that can be read where it makes new ones.
pub(super) fn bear(request: &mut RequestHeader, tokens: &Tokens, mints: bool) -> Result<()> {
    for name in tokens.withheld() {
        request.remove_header(name);
    }
    for (name, value) in tokens.headers() {
        request.insert_header(name.clone(), value.clone())?;
    }
    if let Some(body) = tokens.body()
        && request.headers.contains_key(header::CONTENT_LENGTH)
    {
        request.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    if mints {
        let gzip = request.headers.get(header::ACCEPT_ENCODING).is_some_and(|value| names(value, "gzip"));
        request.remove_header(&header::ACCEPT_ENCODING);
        if gzip {
            request.insert_header(header::ACCEPT_ENCODING, "gzip")?;
        }
        // A part of an answer cannot be read.
        request.remove_header(&header::RANGE);
    }
    Ok(())
}

/// True if a comma-separated value names `word` (a weight of nought does not count: no client writes it).
fn names(value: &HeaderValue, word: &str) -> bool {
    let words = value.to_str().unwrap_or_default().split(',');
    words.into_iter().any(|part| part.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(word))
}

/// Puts the seals on what the app sets; everything else stays as it is, in its order. What expires goes first: the app
/// may set a cookie of that name anew.
pub(super) fn sealed(
    response: &mut ResponseHeader,
    expiries: &[String],
    dress: impl Fn(&[u8]) -> Dressed,
) -> Result<()> {
    let set: Vec<_> = response.headers.get_all("set-cookie").iter().cloned().collect();
    let dressed: Vec<_> = set.iter().map(|field| dress(field.as_bytes())).collect();
    if expiries.is_empty() && dressed.iter().all(|dressed| *dressed == Dressed::Same) {
        return Ok(());
    }
    response.remove_header("set-cookie");
    for expiry in expiries {
        response.append_header("set-cookie", expiry.as_str())?;
    }
    for (field, dressed) in set.into_iter().zip(dressed) {
        match dressed {
            Dressed::Same => response.append_header("set-cookie", field)?,
            Dressed::Sealed(field) => response.append_header("set-cookie", field)?,
            Dressed::Several(fields) => {
                for field in fields {
                    response.append_header("set-cookie", field)?;
                }
                true
            }
            Dressed::Dropped => true,
        };
    }
    Ok(())
}

/// All values of a header as one.
fn joined(request: &RequestHeader, name: &str) -> Option<String> {
    let values: Vec<_> = request.headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{Client, Decision, Request, decide};
    use crate::evidence::Evidence;
    use crate::revocation::Standing;

    fn public() -> (App, Permit) {
        let mut app = crate::apps::tests::app("wiki", "https://wiki.example");
        app.access = crate::apps::Access::Public;
        let path = crate::apps::CanonicalPath::parse("/").expect("path");
        let request = Request { client: Client::Fetch, path: &path, origin: None, blind: false };
        match decide(&request, &app, &Evidence::default(), Standing::default()) {
            Decision::Forward(permit) => (app, permit),
            other => panic!("{other:?}"),
        }
    }

    fn sent(headers: &[(&'static str, &str)], trusted: bool) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).expect("request");
        for (name, value) in headers {
            request.append_header(*name, *value).expect("header");
        }
        let (app, permit) = public();
        let peer = Peer { address: "192.0.2.7".parse().ok(), trusted };
        to_app(&mut request, &permit, &app, &peer, None).expect("headers");
        request
    }

    #[test]
    fn no_spelling_of_an_identity_reaches_the_app_not_even_on_public_paths() {
        for name in [
            "X-Forwarded-User",
            "x_forwarded_user",
            "X-Forwarded_User",
            "X_FORWARDED-EMAIL",
            "X-Forwarded-Access-Token",
            "Remote-User",
            "remote_user",
            "X-Remote-User",
            "x_remote_groups",
            "OIDC-CLAIM-sub",
            "oidc_claim_email",
            "X-Auth-Request-Email",
            "X-WebAuth-User",
            "X-Authentik-Username",
            "X-Original-URL",
            "X-Rewrite-Url",
            "Forwarded",
            "X-Real-IP",
        ] {
            let request = sent(&[(name, "root")], true);
            let leaked = request.headers.iter().any(|(_, value)| value == "root");
            assert!(!leaked, "`{name}` reached the app");
        }
    }

    #[test]
    fn every_claim_begins_with_one_of_the_initials() {
        for claim in IDENTITY.iter().chain(&FORWARDING).chain(&IDENTITY_PREFIXES) {
            assert!(is_claim(claim), "`{claim}`");
        }
    }

    #[test]
    fn an_address_is_written_as_everybody_writes_it() {
        for octet in 0..=255 {
            for address in [[octet, 0, 10, 255], [1, octet, octet, 99]].map(IpAddr::from) {
                assert_eq!(text(address), address.to_string());
            }
        }
        assert_eq!(text(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])), "::1");
    }

    #[test]
    fn the_chain_of_addresses_is_believed_from_trusted_peers_only() {
        let chain = |trusted| {
            let request = sent(&[("x-forwarded-for", "10.0.0.1")], trusted);
            request.headers.get("x-forwarded-for").and_then(|v| v.to_str().ok().map(str::to_owned))
        };
        assert_eq!(chain(false).as_deref(), Some("192.0.2.7"));
        assert_eq!(chain(true).as_deref(), Some("10.0.0.1, 192.0.2.7"));
    }

    #[test]
    fn our_cookies_stay_here_and_the_others_arrive_as_one_field() {
        let request = sent(
            &[
                ("cookie", "a=1; __Host-portcullis=x; __Host-portcullis-flow-y=z"),
                ("cookie", "b=2"),
                ("cookie", "__Secure-portcullis-id=q"),
            ],
            false,
        );
        let cookies: Vec<_> = request.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
        assert!(!sent(&[("cookie", "__Host-portcullis=x")], false).headers.contains_key("cookie"));
    }

    #[test]
    fn our_cookies_stay_here_whatever_bytes_stand_beside_them() {
        let mut request = RequestHeader::build("GET", b"/", None).expect("request");
        let field = HeaderValue::from_bytes(b"__Host-portcullis=x; name=J\xfcrgen").expect("value");
        request.append_header("cookie", field).expect("header");
        let (app, permit) = public();
        to_app(&mut request, &permit, &app, &Peer { address: None, trusted: false }, None).expect("headers");
        let cookies: Vec<_> = request.headers.get_all("cookie").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(cookies, [b"name=J\xfcrgen"]);
    }

    #[test]
    fn an_app_cannot_set_our_cookies() {
        let mut response = ResponseHeader::build(200, None).expect("response");
        for value in ["a=1; Path=/", "__Host-portcullis=forged; Path=/; Secure", " __Host-portcullis-flow-a=b"] {
            response.append_header("set-cookie", value).expect("header");
        }
        to_client(&mut response, &["__Host-portcullis=real".to_owned()]).expect("headers");
        let set: Vec<_> = response.headers.get_all("set-cookie").iter().collect();
        assert_eq!(set, ["a=1; Path=/", "__Host-portcullis=real"]);
    }
}

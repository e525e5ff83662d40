//! A browser with its cookies, a clock, and the two ends of a login.

use std::collections::BTreeMap;

use url::Url;

use super::*;
use crate::identity::Issuer;
use crate::seal::generate_key;

const HOST: &str = "wiki.example.com";

/// A cookie jar with the gateway's key ring next to it.
struct Browser {
    ring: KeyRing,
    jar: BTreeMap<String, String>,
    logins: u8,
}

impl Browser {
    fn new() -> Self {
        let key = generate_key().expect("randomness");
        let ring = KeyRing::parse([key.expose().as_str()]).expect("key").expect("one");
        Self { ring, jar: BTreeMap::new(), logins: 0 }
    }

    fn flows(&self) -> Flows {
        self.flows_at(HOST)
    }

    fn flows_at(&self, host: &str) -> Flows {
        Flows::read(self.jar.iter().map(|(n, v)| (n.as_str(), v.as_str())), &self.ring, host)
    }

    fn begin(&mut self, proof: Proof, now: u64) -> Begun {
        self.logins += 1;
        let start = Start {
            host: HOST,
            idp: "corp",
            app: "wiki",
            return_to: ReturnPath::parse("/page?a=b", &Url::parse("https://wiki.example.com").expect("url")),
            proof,
            max_age: Duration::from_secs(3600),
            login_hint: None,
            renews: None,
        };
        let random = [self.logins; RANDOM_LEN];
        let begun = begin(start, &self.flows(), &self.ring, &random, Timestamp::from_secs(now)).expect("begun");
        for cookie in &begun.set_cookies {
            self.store(cookie.expose());
        }
        begun
    }

    /// Keeps or drops a cookie, as its `Set-Cookie` says.
    fn store(&mut self, set_cookie: &str) {
        let (pair, attributes) = set_cookie.split_once("; ").expect("attributes");
        let (name, value) = pair.split_once('=').expect("pair");
        assert!(attributes.starts_with("Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age="), "{attributes}");
        if attributes.ends_with("Max-Age=0") {
            self.jar.remove(name);
        } else {
            self.jar.insert(name.to_owned(), value.to_owned());
        }
    }

    fn resume(&self, query: &str, now: u64) -> Resume {
        resume(query, &self.flows(), Timestamp::from_secs(now))
    }
}

fn issuer() -> Issuer {
    Issuer::parse("https://idp.example.com").expect("issuer")
}

fn answer(resume: Resume) -> Answer {
    match resume {
        Resume::Answered(answer) => answer,
        other => panic!("no answer: {other:?}"),
    }
}

#[test]
fn a_login_comes_back_with_what_it_began_with() {
    let mut browser = Browser::new();
    let begun = browser.begin(Proof::NewerThan(Timestamp::from_secs(7)), 100);
    let query = format!("code=abc%2F1&state={}&iss=https%3A%2F%2Fidp.example.com&session_state=x", begun.ask.state);
    let answer = answer(browser.resume(&query, 100));
    let accepted = answer.accept(&issuer(), true).expect("accepted");
    assert_eq!(accepted.flow, begun.flow);
    assert_eq!(accepted.code.expose(), "abc/1");
    assert_eq!(accepted.flow.return_to.as_str(), "/page?a=b");
    assert_eq!((accepted.flow.nonce(), accepted.flow.nonce().len()), (begun.ask.nonce.as_str(), 32));
    assert_eq!(accepted.flow.verifier().expose().len(), 43);
}

#[test]
fn the_challenge_is_the_hash_of_the_verifier() {
    // RFC 7636 Appendix B, its verifier in the last 32 bytes of randomness.
    let mut random = [0; RANDOM_LEN];
    let verifier = URL_SAFE_NO_PAD.decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").expect("base64");
    random[RANDOM_LEN - VERIFIER_LEN..].copy_from_slice(&verifier);
    let browser = Browser::new();
    let start = Start {
        host: HOST,
        idp: "corp",
        app: "wiki",
        return_to: ReturnPath::front_page(),
        proof: Proof::Any,
        max_age: Duration::ZERO,
        login_hint: Some("ann@example.com"),
        renews: None,
    };
    let begun = begin(start, &Flows::default(), &browser.ring, &random, Timestamp::ZERO).expect("begun");
    assert_eq!(begun.ask.code_challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    assert_eq!(begun.ask.login_hint.as_deref(), Some("ann@example.com"));
}

#[test]
fn a_check_shows_no_page_and_says_which_session_it_renews() {
    let browser = Browser::new();
    for (proof, prompt) in [(Proof::Any, Prompt::Silent), (Proof::NewerThan(Timestamp::from_secs(50)), Prompt::Login)] {
        let start = Start {
            host: HOST,
            idp: "corp",
            app: "wiki",
            return_to: ReturnPath::front_page(),
            proof,
            max_age: Duration::from_secs(60),
            login_hint: None,
            renews: Some(SessionId([7; 16])),
        };
        let begun = begin(start, &Flows::default(), &browser.ring, &[7; RANDOM_LEN], Timestamp::ZERO).expect("begun");
        assert_eq!(begun.ask.prompt, Some(prompt), "{proof:?}");
        assert_eq!(begun.flow.renews, Some("07".repeat(16)));
    }
    let mut browser = browser;
    assert_eq!(browser.begin(Proof::Any, 100).flow.renews, None);
}

#[test]
fn only_a_proof_of_the_person_makes_the_idp_ask_again() {
    let mut browser = Browser::new();
    let then = Timestamp::from_secs(50);
    for (proof, prompt, max_age) in [
        (Proof::Any, None, 3600),
        (Proof::Reassert(then), None, 3600),
        (Proof::NewerThan(then), Some(Prompt::Login), 0),
    ] {
        let ask = browser.begin(proof, 100).ask;
        assert_eq!((ask.prompt, ask.max_age.as_secs()), (prompt, max_age), "{proof:?}");
    }
}

#[test]
fn tabs_do_not_disturb_each_other() {
    let mut browser = Browser::new();
    let first = browser.begin(Proof::Any, 100);
    let second = browser.begin(Proof::Any, 101);
    for begun in [first, second] {
        let answer = answer(browser.resume(&format!("code=c&state={}", begun.ask.state), 102));
        assert_eq!(answer.flow(), &begun.flow);
    }
}

#[test]
fn a_flow_is_answered_once() {
    let mut browser = Browser::new();
    let begun = browser.begin(Proof::Any, 100);
    let query = format!("code=c&state={}", begun.ask.state);
    let expire = answer(browser.resume(&query, 101)).expire_cookie();
    browser.store(expire.expose());
    assert!(browser.jar.is_empty());
    assert!(matches!(browser.resume(&query, 101), Resume::NoSuchFlow));
}

#[test]
fn an_answer_belongs_to_the_browser_and_the_host_that_asked() {
    let mut asked = Browser::new();
    let begun = asked.begin(Proof::Any, 100);
    let query = format!("code=c&state={}", begun.ask.state);
    let mut other = Browser { logins: 100, ..Browser::new() };
    other.begin(Proof::Any, 100);
    assert!(matches!(other.resume(&query, 100), Resume::NoSuchFlow));
    assert!(matches!(
        resume(&query, &asked.flows_at("mail.example.com"), Timestamp::from_secs(100)),
        Resume::NoSuchFlow
    ));
}

#[test]
fn a_flow_lives_a_quarter_of_an_hour() {
    let mut browser = Browser::new();
    let begun = browser.begin(Proof::Any, 100);
    let query = format!("code=c&state={}", begun.ask.state);
    assert!(matches!(browser.resume(&query, 1000), Resume::Answered(_)));
    let Resume::TooLate { flow, expire_cookie } = browser.resume(&query, 1001) else { panic!("it is too late") };
    assert_eq!(flow, begun.flow);
    browser.store(expire_cookie.expose());
    assert!(browser.jar.is_empty());
}

#[test]
fn the_oldest_flows_are_given_up_for_new_ones() {
    let mut browser = Browser::new();
    let begun: Vec<_> = (0..20).map(|n| browser.begin(Proof::Any, 100 + n)).collect();
    assert_eq!(browser.jar.len(), MAX_OUTSTANDING);
    for (n, begun) in begun.iter().enumerate() {
        let found = matches!(browser.resume(&format!("code=c&state={}", begun.ask.state), 130), Resume::Answered(_));
        assert_eq!(found, n >= 20 - MAX_OUTSTANDING, "flow {n}");
    }
}

#[test]
fn flows_that_are_over_or_unreadable_are_swept_by_the_next_one() {
    let mut browser = Browser::new();
    browser.begin(Proof::Any, 100);
    let moved = browser.jar.values().next().cloned().expect("a cookie");
    browser.jar.insert("__Host-portcullis-flow-BBBBBBBB".into(), moved);
    browser.jar.insert("__Host-portcullis-flow-AAAAAAAA".into(), "nonsense".into());
    for (name, value) in
        [("__Host-portcullis-flow-short", "x"), ("__Host-portcullis-flow-AAAA;AAA", "x"), ("theme", "dark")]
    {
        browser.jar.insert(name.into(), value.into());
    }
    let begun = browser.begin(Proof::Any, 5000);
    let left: Vec<_> = browser.jar.keys().map(String::as_str).collect();
    let own = begun.flow.cookie_name();
    let mut expected = vec!["__Host-portcullis-flow-AAAA;AAA", own.as_str(), "__Host-portcullis-flow-short", "theme"];
    expected.sort_unstable();
    assert_eq!(left, expected);
}

#[test]
fn the_issuer_of_an_answer_must_be_the_one_that_was_asked() {
    for (iss, must_be_named, expected) in [
        ("", false, None),
        ("", true, Some(Denied::IssuerMissing)),
        ("&iss=https%3A%2F%2Fidp.example.com", true, None),
        ("&iss=https%3A%2F%2Fidp.example.com", false, None),
        ("&iss=https%3A%2F%2Fevil.example.com", false, Some(Denied::OtherIssuer)),
        ("&iss=https%3A%2F%2Fidp.example.com%2F", false, Some(Denied::OtherIssuer)),
        ("&iss=", false, Some(Denied::OtherIssuer)),
    ] {
        let mut browser = Browser::new();
        let begun = browser.begin(Proof::Any, 100);
        let answer = answer(browser.resume(&format!("code=c&state={}{iss}", begun.ask.state), 100));
        assert_eq!(answer.accept(&issuer(), must_be_named).err(), expected, "`{iss}`, must be named: {must_be_named}");
    }
}

#[test]
fn what_the_idp_refuses_has_a_reason_and_no_text_of_its_own() {
    let mut browser = Browser::new();
    let state = browser.begin(Proof::Any, 100).ask.state;
    let script = "error_description=%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for (query, expected) in [
        (format!("error=access_denied&{script}&state={state}"), Denied::Refused(Refusal::AccessDenied)),
        (format!("error=login_required&state={state}"), Denied::Refused(Refusal::LoginRequired)),
        (format!("error=interaction_required&state={state}"), Denied::Refused(Refusal::InteractionRequired)),
        (format!("error=consent_required&state={state}"), Denied::Refused(Refusal::InteractionRequired)),
        (format!("error=account_selection_required&state={state}"), Denied::Refused(Refusal::InteractionRequired)),
        (format!("error=temporarily_unavailable&state={state}"), Denied::Refused(Refusal::Unavailable)),
        (format!("error=server_error&state={state}"), Denied::Refused(Refusal::Unavailable)),
        (format!("error=invalid_scope&state={state}"), Denied::Refused(Refusal::Unsuitable)),
        (format!("error=%3Cscript%3E&state={state}"), Denied::Refused(Refusal::Unsuitable)),
        (format!("error=access_denied&code=c&state={state}"), Denied::Refused(Refusal::AccessDenied)),
        (format!("state={state}"), Denied::NoCode),
        (format!("code=&state={state}"), Denied::NoCode),
    ] {
        let denied = answer(browser.resume(&query, 100)).accept(&issuer(), false).err();
        assert_eq!(denied, Some(expected), "`{query}`");
        assert!(!format!("{denied:?} {expected}").contains("script"));
    }
}

#[test]
fn what_is_no_answer_is_told_from_an_unknown_flow() {
    let mut browser = Browser::new();
    let state = browser.begin(Proof::Any, 100).ask.state;
    for query in [
        String::new(),
        "code=c".into(),
        format!("code=c&state={state}&state={state}"),
        format!("code=c&code=d&state={state}"),
        format!("code=c&state={state}&iss=a&iss=b"),
        format!("code={}&state={state}", "c".repeat(20_000)),
    ] {
        assert!(matches!(browser.resume(&query, 100), Resume::Malformed), "`{query:.80}`");
    }
    let half: String = state.chars().take(8).collect();
    for state in ["", "x", &half] {
        assert!(matches!(browser.resume(&format!("code=c&state={state}"), 100), Resume::NoSuchFlow), "`{state}`");
    }
}

#[test]
fn the_longest_return_path_fits_a_cookie() {
    let mut browser = Browser::new();
    let origin = Url::parse("https://wiki.example.com").expect("url");
    let start = Start {
        host: HOST,
        idp: "an-idp-with-a-long-name",
        app: "an-app-with-a-long-name",
        return_to: ReturnPath::parse(&format!("/{}", "a".repeat(2047)), &origin),
        proof: Proof::NewerThan(Timestamp::from_secs(1_800_000_000)),
        max_age: Duration::ZERO,
        login_hint: None,
        renews: Some(SessionId([9; 16])),
    };
    let now = Timestamp::from_secs(1_800_000_000);
    let begun = begin(start, &Flows::default(), &browser.ring, &[9; RANDOM_LEN], now).expect("begun");
    assert_eq!(begun.flow.return_to.as_str().len(), 2048);
    // RFC 6265bis §5.6: name and value together up to 4096 octets.
    let pair = begun.set_cookies[0].expose().split("; ").next().expect("pair").len();
    assert!(pair <= 4096, "{pair} octets");
    browser.store(begun.set_cookies[0].expose());
    assert!(matches!(browser.resume(&format!("code=c&state={}", begun.ask.state), 1_800_000_001), Resume::Answered(_)));
}

#[test]
fn neither_state_nor_nonce_nor_verifier_is_printed() {
    let mut browser = Browser::new();
    let begun = browser.begin(Proof::Any, 100);
    let query = format!("code=precious&state={}", begun.ask.state);
    let printed = format!("{begun:?} {:?} {:?}", browser.flows(), browser.resume(&query, 100));
    for secret in [&begun.ask.state, &begun.ask.nonce, &begun.flow.verifier, "precious"] {
        assert!(!printed.contains(secret), "`{secret}` in {printed}");
    }
}

//! What claims grant, what they do not, and by which moments they are judged.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::identity::Issuer;
use crate::idp::tests::op::with;
use crate::idp::{ClaimNames, ProveBy};

const NOW: u64 = 1_800_000_000;
/// Revocations until then are forgotten.
const HORIZON: u64 = NOW - 86_400;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn settings() -> Settings {
    Settings {
        name: "corp".into(),
        issuer: Issuer::parse("https://idp.example.com").expect("issuer"),
        client_id: "portcullis".into(),
        client_secret: None,
        scopes: vec![],
        claims: ClaimNames::default(),
        kept_claims: vec!["department".into(), "scope".into(), "client_id".into()],
        max_age: Duration::from_secs(3600),
        metadata_url: None,
        prove_by: ProveBy::AuthTime,
        skew: Duration::from_secs(60),
        introspection: None,
        global_revocation: None,
        commands: None,
        frontchannel_logout: false,
        revalidate: None,
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://idp.example.com", "aud": "api", "sub": "ann", "client_id": "cli", "iat": NOW - 10,
        "exp": NOW + 300, "auth_time": NOW - 100, "scope": "wiki.read wiki.write",
    })
}

fn object(value: &Value) -> Claims {
    value.as_object().expect("an object").clone()
}

fn read(changes: &Value) -> Result<Grant, BadGrant> {
    let claims = object(&with(claims(), changes));
    Grant::read(claims, &settings(), Unproven::Refuse, at(HORIZON), at(NOW))
}

#[test]
fn what_counts_is_when_the_person_signed_in_not_when_the_token_was_issued() {
    use Unproven::{IssuedAt, Refuse};
    let moments = |asserted_at, auth_time: Option<u64>, decided_at| Moments {
        asserted_at: at(asserted_at),
        auth_time: auth_time.map(at),
        decided_at: at(decided_at),
    };
    for (name, signed_in_at, issued_at, unproven, expected) in [
        ("it says when", Some(100), 200, Refuse, moments(100, Some(100), 100)),
        ("it says when, and iat would do", Some(100), 200, IssuedAt, moments(100, Some(100), 100)),
        ("refreshed much later", Some(100), 9000, Refuse, moments(100, Some(100), 100)),
        ("a sign-in after the issue", Some(300), 200, Refuse, moments(200, Some(300), 200)),
        ("a sign-in at the beginning of time", Some(0), 200, Refuse, moments(0, Some(0), 0)),
        ("it does not say", None, 200, Refuse, moments(0, None, 200)),
        ("it does not say, and iat will do", None, 200, IssuedAt, moments(200, Some(200), 200)),
    ] {
        assert_eq!(Moments::of(signed_in_at.map(at), at(issued_at), unproven), expected, "{name}");
    }
}

#[test]
fn claims_that_grant_nothing_are_refused() {
    let claim = |name| BadGrant::Claims(Reject::Claim(name));
    let forbidden = |name| BadGrant::Claims(Reject::Forbidden(name));
    let missing = |name| BadGrant::Claims(Reject::Missing(name));
    for (name, changes, expected) in [
        ("as it should be", json!({}), None),
        ("a SET", json!({ "events": {} }), Some(forbidden("events"))),
        ("an ID token", json!({ "nonce": "n" }), Some(forbidden("nonce"))),
        ("an ID token beside an access token", json!({ "at_hash": "h" }), Some(forbidden("at_hash"))),
        ("an ID token beside a code", json!({ "c_hash": "h" }), Some(forbidden("c_hash"))),
        ("Keycloak's ID token", json!({ "typ": "ID" }), Some(claim("typ"))),
        ("Keycloak's refresh token", json!({ "typ": "Refresh" }), Some(claim("typ"))),
        ("Keycloak's access token", json!({ "typ": "Bearer" }), None),
        ("Cognito's ID token", json!({ "token_use": "id" }), Some(claim("token_use"))),
        ("Hydra's refresh token", json!({ "token_use": "refresh_token" }), Some(claim("token_use"))),
        ("Cognito's access token", json!({ "token_use": "access" }), None),
        ("no end", json!({ "exp": null }), Some(missing("exp"))),
        ("an end that is a text", json!({ "exp": "tomorrow" }), Some(claim("exp"))),
        ("over", json!({ "exp": NOW }), Some(BadGrant::Claims(Reject::Expired))),
        ("over in a second", json!({ "exp": NOW + 1 }), None),
        ("no date", json!({ "iat": null }), Some(missing("iat"))),
        ("no sub, no client", json!({ "sub": null, "client_id": null }), Some(missing("sub"))),
        ("an empty sub", json!({ "sub": "" }), Some(claim("sub"))),
        ("a sub that is a number", json!({ "sub": 7 }), Some(claim("sub"))),
        ("a sid that is none", json!({ "sid": 7 }), Some(claim("sid"))),
        ("a sign-in that is a text", json!({ "auth_time": "yesterday" }), Some(claim("auth_time"))),
        ("a sign-in at the horizon", json!({ "auth_time": HORIZON }), Some(BadGrant::TooOld)),
        ("a sign-in after the horizon", json!({ "auth_time": HORIZON + 1 }), None),
        ("no sign-in, issued at the horizon", json!({ "auth_time": null, "iat": HORIZON }), Some(BadGrant::TooOld)),
        ("no sign-in, issued after the horizon", json!({ "auth_time": null, "iat": HORIZON + 1 }), None),
        ("issued before its sign-in, at the horizon", json!({ "iat": HORIZON }), Some(BadGrant::TooOld)),
        ("bound to a key", json!({ "cnf": { "jkt": "k" } }), None),
        ("bound to a certificate", json!({ "cnf": { "x5t#S256": "h" } }), Some(BadGrant::Binding)),
        ("bound to both", json!({ "cnf": { "jkt": "k", "x5t#S256": "h" } }), Some(BadGrant::Binding)),
        ("bound to nothing", json!({ "cnf": {} }), Some(BadGrant::Binding)),
        ("bound to a number", json!({ "cnf": { "jkt": 7 } }), Some(BadGrant::Binding)),
        ("a binding that is a text", json!({ "cnf": "k" }), Some(BadGrant::Binding)),
    ] {
        assert_eq!(read(&changes).err(), expected, "{name}");
    }
}

#[test]
fn a_grant_says_who_may_do_what_and_how_it_is_revoked() {
    let grant = read(&json!({
        "sid": "s1", "email": "Ann@Example.com", "groups": ["staff"], "tenant": "t", "device_id": "d",
        "preferred_username": "ann.lee", "department": ["it", "hr"], "cnf": { "jkt": "key" },
    }));
    let grant = grant.unwrap_or_else(|why| panic!("{why:?}"));
    let identity = Identity {
        issuer: settings().issuer,
        subject: "ann".into(),
        sid: Some("s1".into()),
        email: Email::parse("ann@example.com"),
        phone: None,
        preferred_username: Some("ann.lee".into()),
        groups: vec!["staff".into()],
        tenant: Some("t".into()),
        device: Some("d".into()),
        asserted_at: at(NOW - 100),
        auth_time: Some(at(NOW - 100)),
        session_expiry: None,
    };
    assert_eq!(grant.identity, identity);
    let claims = [
        ("client_id", "cli"),
        ("scope", "wiki.read"),
        ("scope", "wiki.write"),
        ("department", "it"),
        ("department", "hr"),
    ];
    let person = Person {
        subject: "ann".into(),
        email: Some("ann@example.com".into()),
        preferred_username: Some("ann.lee".into()),
        groups: vec!["staff".into()],
        claims: claims.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
    };
    assert_eq!(grant.person, person);
    assert_eq!((grant.ends_at, grant.bound_to.as_deref()), (at(NOW + 300), Some("key")));
}

#[test]
fn client_and_scopes_are_found_where_each_idp_writes_them() {
    for (name, changes, subject, granted) in [
        ("RFC 9068", json!({}), "ann", "client_id=cli scope=wiki.read scope=wiki.write"),
        (
            "Entra, version 2",
            json!({ "client_id": null, "azp": "e2", "scope": null, "scp": "a b" }),
            "ann",
            "client_id=e2 scope=a scope=b",
        ),
        ("Entra, version 1", json!({ "client_id": null, "appid": "e1", "scope": "" }), "ann", "client_id=e1"),
        (
            "Okta",
            json!({ "client_id": null, "cid": "ok", "scope": null, "scp": ["a", "b"] }),
            "ann",
            "client_id=ok scope=a scope=b",
        ),
        ("a program for itself", json!({ "sub": null, "scope": "x" }), "cli", "client_id=cli scope=x"),
        ("a client that is no text", json!({ "client_id": 7, "scope": 7 }), "ann", ""),
    ] {
        let grant = read(&changes).unwrap_or_else(|why| panic!("{name}: {why:?}"));
        let found: Vec<_> = grant.person.claims.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!((grant.person.subject.as_str(), found.join(" ").as_str()), (subject, granted), "{name}");
        assert_eq!(grant.identity.subject, subject, "{name}");
    }
}

#[test]
fn an_answer_about_a_token_is_checked_like_a_token() {
    let claim = |name| Some(BadGrant::Claims(Reject::Claim(name)));
    let audience = Some(BadGrant::Claims(Reject::Audience));
    for (name, changes, expected) in [
        ("as it should be", json!({}), None),
        ("without issuer", json!({ "iss": null }), None),
        ("another issuer", json!({ "iss": "https://evil.example.com" }), Some(BadGrant::Claims(Reject::Issuer))),
        ("several audiences", json!({ "aud": ["other", "api"] }), None),
        ("another audience", json!({ "aud": "other" }), audience),
        ("no audience", json!({ "aud": null }), audience),
        ("a bearer token", json!({ "token_type": "BEARER" }), None),
        ("a bound token that says so", json!({ "token_type": "DPoP", "cnf": { "jkt": "k" } }), None),
        ("a bound token that says not to what", json!({ "token_type": "DPoP" }), Some(BadGrant::Binding)),
        ("a token of another type", json!({ "token_type": "mac" }), claim("token_type")),
        ("a type that is none", json!({ "token_type": 7 }), claim("token_type")),
        ("of the near future", json!({ "iat": NOW + 60, "nbf": NOW + 60 }), None),
        ("of the future", json!({ "iat": NOW + 61 }), Some(BadGrant::Claims(Reject::NotYet))),
        ("not yet good", json!({ "nbf": NOW + 61 }), Some(BadGrant::Claims(Reject::NotYet))),
        ("good from no moment", json!({ "nbf": "now" }), claim("nbf")),
    ] {
        let answer = object(&with(claims(), &changes));
        let found = check_answer(&answer, &settings(), &["api".to_owned()], at(NOW));
        assert_eq!(found.err(), expected, "{name}");
    }
}

#[test]
fn a_program_that_acts_for_itself_counts_from_when_its_token_was_issued() {
    for (name, changes, asserted_at) in [
        ("somebody's token", json!({ "auth_time": null }), 0),
        ("a program's, by its client", json!({ "auth_time": null, "sub": null }), NOW - 10),
        ("a program's, by its sub", json!({ "auth_time": null, "sub": "cli" }), NOW - 10),
        ("with a login all the same", json!({ "sub": "cli" }), NOW - 100),
    ] {
        let grant = read(&changes).unwrap_or_else(|why| panic!("{name}: {why:?}"));
        assert_eq!(grant.identity.asserted_at, at(asserted_at), "{name}");
    }
}

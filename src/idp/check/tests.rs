//! What the IdP can answer to a check, and what is made of it.

use serde_json::{Value, json};

use super::*;
use crate::http::Client;
use crate::idp::tests::op::{Does, Op, with};
use crate::time::{Clock, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_795_463_999);

fn token() -> Secret<String> {
    Secret::new("the refresh token".to_owned())
}

fn idp(op: &Op) -> Idp {
    let client = Client::for_this_machine(&http::Settings::default()).expect("client");
    Idp::new(op.settings(), client, Clock::manual(NOW))
}

fn tokens(changes: &Value) -> Does {
    Does::Say(with(json!({ "access_token": "a", "token_type": "Bearer", "refresh_token": "the next one" }), changes))
}

#[tokio::test]
async fn the_answers_of_a_token_endpoint() {
    let op = Op::start().await;
    let idp = idp(&op);
    let error = |status, error: &str| Does::Fail(status, json!({ "error": error }));
    let (next, kept) = (Some("the next one"), None);
    for (name, does, verdict, in_doubt, rotated) in [
        ("a new token", tokens(&json!({})), Verdict::Stands, Some(false), next),
        ("no new token", tokens(&json!({ "refresh_token": null })), Verdict::Stands, Some(false), kept),
        ("refused", error(400, "invalid_grant"), Verdict::Refused, None, kept),
        ("refused as 401", error(401, "invalid_grant"), Verdict::Refused, None, kept),
        ("somebody must be asked", error(400, "interaction_required"), Verdict::Changed, None, kept),
        ("not our secret", error(401, "invalid_client"), Verdict::Misconfigured, None, kept),
        ("not our grant", error(400, "unauthorized_client"), Verdict::Misconfigured, None, kept),
        ("not its grant", error(400, "unsupported_grant_type"), Verdict::Misconfigured, None, kept),
        ("an error of its own", error(400, "who_knows"), Verdict::Misconfigured, None, kept),
        ("no time", error(400, "temporarily_unavailable"), Verdict::NoVerdict, None, kept),
        ("too many", Does::Fail(429, json!({ "error": "invalid_grant" })), Verdict::NoVerdict, None, kept),
        ("closed", Does::Fail(503, json!({})), Verdict::NoVerdict, None, kept),
        ("a fault", Does::Fail(500, json!({ "error": "invalid_grant" })), Verdict::NoVerdict, Some(true), kept),
        ("a proxy's own 400", Does::Fail(400, json!({})), Verdict::NoVerdict, None, kept),
        ("a page", Does::Page, Verdict::NoVerdict, Some(true), kept),
        ("no tokens", Does::Say(json!({})), Verdict::NoVerdict, Some(true), kept),
        ("no ID token", tokens(&json!({ "id_token": "x.y.z" })), Verdict::NoVerdict, Some(false), next),
    ] {
        op.script().token = does;
        let checked = idp.check(By::Refresh, &token()).await;
        assert_eq!((checked.verdict, checked.in_doubt), (verdict, in_doubt), "{name}: {:?}", checked.trouble);
        assert_eq!(checked.rotated.as_ref().map(|token| token.expose().as_str()), rotated, "{name}");
        let silent = matches!(verdict, Verdict::NoVerdict | Verdict::Misconfigured);
        assert_eq!(checked.trouble.is_some(), silent, "{name}");
    }
    let (headers, form) = op.script().token_request.take().expect("a request");
    let expected = [("grant_type", "refresh_token"), ("refresh_token", "the refresh token")];
    assert_eq!(form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
    assert!(headers.get("authorization").is_some_and(|value| value.to_str().is_ok_and(|v| v.starts_with("Basic "))));
}

#[tokio::test]
async fn a_call_that_breaks_off_leaves_the_token_in_doubt_and_one_that_never_began_does_not() {
    let op = Op::start().await;
    op.script().token = Does::Hang;
    let hasty = http::Settings { timeout: Duration::from_millis(200), ..http::Settings::default() };
    let client = Client::for_this_machine(&hasty).expect("client");
    let idp = Idp::new(op.settings(), client.clone(), Clock::manual(NOW));
    let checked = idp.check(By::Refresh, &token()).await;
    assert_eq!((checked.verdict, checked.in_doubt), (Verdict::NoVerdict, Some(true)));
    let nobody = Op::start().await;
    let gone = with(nobody.metadata(), &json!({ "token_endpoint": "http://127.0.0.1:1/token" }));
    nobody.script().metadata = Does::Say(gone);
    let checked = Idp::new(nobody.settings(), client, Clock::manual(NOW)).check(By::Refresh, &token()).await;
    assert_eq!((checked.verdict, checked.in_doubt), (Verdict::NoVerdict, None));
}

#[tokio::test]
async fn a_new_id_token_tells_what_the_idp_says_now() {
    let op = Op::start().await;
    let idp = idp(&op);
    let claims = json!({
        "iss": op.issuer(), "aud": "portcullis", "sub": "ann", "iat": NOW, "exp": NOW.plus(Duration::from_secs(60)),
        "groups": ["staff"],
    });
    for (name, changes, expected) in [
        ("the usual", json!({}), Ok((true, 1))),
        ("nothing of groups", json!({ "groups": null }), Ok((false, 0))),
        ("no group left", json!({ "groups": [] }), Ok((true, 0))),
        ("for somebody else", json!({ "aud": "other" }), Err(Verdict::NoVerdict)),
        ("its end is past", json!({ "session_expiry": NOW }), Err(Verdict::Changed)),
    ] {
        let id_token = op.signer.sign(None, &with(claims.clone(), &changes)).expect("signed");
        op.script().token = tokens(&json!({ "id_token": id_token }));
        let checked = idp.check(By::Refresh, &token()).await;
        let found = match &checked.said {
            Some(said) => Ok((said.tells_groups, said.identity.groups.len())),
            None => Err(checked.verdict),
        };
        assert_eq!(found, expected, "{name}: {:?}", checked.trouble);
        assert!(checked.rotated.is_some(), "{name}: the new token is kept whatever the ID token says");
    }
}

#[tokio::test]
async fn the_answers_of_an_introspection_endpoint() {
    let op = Op::start().await;
    let idp = idp(&op);
    for (name, does, verdict) in [
        ("active", Does::Say(json!({ "active": true })), Verdict::Stands),
        ("not active", Does::Say(json!({ "active": false })), Verdict::Refused),
        ("neither", Does::Say(json!({ "active": "false" })), Verdict::NoVerdict),
        ("not us", Does::Fail(401, json!({})), Verdict::Misconfigured),
        ("a fault", Does::Fail(500, json!({})), Verdict::NoVerdict),
        ("too many", Does::Fail(429, json!({})), Verdict::NoVerdict),
    ] {
        op.script().introspection = does;
        let checked = idp.check(By::Introspect, &token()).await;
        // To be asked about uses no token up.
        assert_eq!((checked.verdict, checked.in_doubt), (verdict, None), "{name}");
    }
    let requests = std::mem::take(&mut op.script().introspection_requests);
    assert!(requests.iter().all(|(_, form)| form.get("token_type_hint").is_some_and(|hint| hint == "refresh_token")));
}

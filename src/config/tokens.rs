//! `[apps.NAME] bearer` and `[idps.NAME] introspection`: which tokens an app takes, and how an IdP is asked about them.

use std::time::Duration;

use super::IdpSettings;
use super::reader::{At, Reader, Why};
use super::values::{one_of, seconds, secure_url, text};
use crate::apps::{Access, AccessTokens, Rule, Unproven};
use crate::idp::{Introspection, IntrospectionClient, LONGEST_ANSWER};

/// How the type of an access token is written (RFC 9068 §2.1).
const ACCESS_TOKEN: &str = "at+jwt";

/// Which access tokens of its IdP an app takes; `None` if it says nothing of them.
pub(super) fn bearer(table: &Reader<'_>, idp: Option<&IdpSettings>) -> Option<AccessTokens> {
    if !table.has("bearer") {
        return None;
    }
    table.section("bearer", |table| access_tokens(table, idp))
}

/// Tokens that are asked for and not taken, and the other way round.
pub(super) fn report_contradictions(table: &Reader<'_>, access: Access, rules: &[Rule]) {
    let asks = |access: Access| matches!(access, Access::Bearer | Access::Either);
    let asked_for = asks(access) || rules.iter().any(|rule| asks(rule.access));
    if asked_for && !table.has("bearer") && !table.has("derived") {
        let why = "it is missing: `access` asks for tokens; write `bearer = { audience = \"…\" }`, or `derived`";
        table.fault("bearer", why);
    } else if table.has("bearer") && !asked_for {
        table.fault("bearer", "nothing asks for tokens; write `access = \"bearer\"` or \"either\", or drop `bearer`");
    }
}

/// How an IdP is asked about tokens, where that differs from the rest.
pub(super) fn introspection(table: &Reader<'_>) -> Option<Introspection> {
    if !table.has("introspection") {
        return None;
    }
    table.section("introspection", |table| {
        let endpoint = table.parse("endpoint", secure_url).map(|at| at.value);
        let id = table.parse("client_id", text);
        let secret = table.secret("client_secret", "client_secret_file");
        match (&id, &secret) {
            (Some(_), None) if !table.has("client_secret") && !table.has("client_secret_file") => {
                table.fault("client_secret_file", "it is missing: `client_id` alone shows nothing");
            }
            (None, Some(_)) if !table.has("client_id") => {
                table.fault("client_id", "it is missing: whose secret is it?");
            }
            (None, None) if endpoint.is_none() && !table.has("endpoint") => {
                table.fault("endpoint", "there is neither `endpoint` nor `client_id`; drop `introspection`");
            }
            _ => {}
        }
        let client = id.zip(secret).map(|(id, secret)| IntrospectionClient { id: id.value, secret: secret.value });
        Some(Introspection { endpoint, client })
    })
}

fn access_tokens(table: &Reader<'_>, idp: Option<&IdpSettings>) -> Option<AccessTokens> {
    let audiences = table.one_or_many("audience", text);
    if !table.has("audience") {
        table.fault("audience", "it is missing: whom must a token be for? write `audience = \"https://api…\"`");
    } else if table.is_empty_list("audience") {
        table.fault("audience", "the list names nobody: no token would be for this app");
    }
    let types = table.one_or_many("types", token_type);
    if table.is_empty_list("types") {
        table.fault("types", "the list is empty: no token would be taken; write `types = [\"at+jwt\"]`");
    }
    let vague = types.iter().find(|at| at.value != ACCESS_TOKEN);
    if let (Some(vague), Some(idp)) = (vague, idp)
        && audiences.iter().any(|at| at.value == idp.client_id)
    {
        let why = "`audience` is our own `client_id`: ID tokens for us look like this; write \"at+jwt\" only";
        table.context().fault(&vague.place, why);
    }
    let introspect = table.parse("introspect", answers_for);
    if let (Some(At { place, .. }), Some(idp)) = (&introspect, idp)
        && idp.client_secret.is_none()
        && idp.introspection.as_ref().is_none_or(|own| own.client.is_none())
    {
        let why = format!("[idps.{}] has no secret to ask with; set `introspection` or `client_secret_file`", idp.name);
        table.context().fault(place, why);
    }
    let unproven = [("refuse", Unproven::Refuse), ("iat", Unproven::IssuedAt)];
    let types: Vec<_> = types.into_iter().map(|at| at.value).collect();
    Some(AccessTokens {
        audiences: audiences.into_iter().map(|at| at.value).collect(),
        types: if types.is_empty() { vec![ACCESS_TOKEN.to_owned()] } else { types },
        introspect: introspect.map(|at| at.value),
        unproven: table.or("unproven", one_of(&unproven, &[]), Unproven::Refuse),
        dpop: table.flag("dpop", false),
    })
}

/// The type of a token without `application/`, which is tolerated but not compared (RFC 7515 §4.1.9). Types of tokens
/// that are none for access are refused here: no app means them.
fn token_type(text: &str) -> Result<String, Why> {
    let typ = text.to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
    if let Some(bare) = typ.strip_prefix("application/") {
        return Err(Why(format!("write it without `application/`, \"{bare}\"")));
    }
    if typ.is_empty() || !typ.bytes().all(plain) {
        return Err(Why(format!("`{text}` is no type of tokens; write \"at+jwt\" or \"JWT\"")));
    }
    if ["secevent+jwt", "logout+jwt", "dpop+jwt", "global-token-revocation+jwt"].contains(&typ.as_str()) {
        return Err(Why(format!("\"{text}\" is no access token; write \"at+jwt\" or \"JWT\"")));
    }
    Ok(typ)
}

/// How long an answer about a token is used.
fn answers_for(text: &str) -> Result<Duration, Why> {
    let span = seconds(text)?;
    if span > LONGEST_ANSWER {
        return Err(Why::from("it must be at most `60s`: so long a token lives on that the IdP took back"));
    }
    Ok(span)
}

//! `[idps.NAME]`: who signs people in.

use std::time::Duration;

use super::IdpSettings;
use super::reader::Reader;
use super::values::{issuer, one_of, scope, seconds, secure_url, text};
use crate::idp::{ClaimNames, Commands, GlobalRevocation, ProveBy, Revoker};
use crate::policy::Widest;

/// How far an IdP's clock may be off.
const SKEW: Duration = Duration::from_secs(60);

/// Every IdP, by name in the order of the file; `None` for one that has a fault.
pub(super) fn idps(file: &Reader<'_>, session_max_age: Duration) -> Vec<(String, Option<IdpSettings>)> {
    file.named("idps", |name, table| idp(name, table, session_max_age)).into_iter().map(|at| at.value).collect()
}

fn idp(name: &str, table: &Reader<'_>, session_max_age: Duration) -> Option<IdpSettings> {
    let issuer = table.require("issuer", issuer);
    let client_id = table.require("client_id", text);
    let client_secret = table.secret("client_secret", "client_secret_file").map(|at| at.value);
    let scopes = scopes(table);
    let usual = ClaimNames::default();
    let claims = table.section("claims", |claims| ClaimNames {
        email: claims.or("email", text, usual.email),
        phone: claims.or("phone", text, usual.phone),
        groups: claims.or("groups", text, usual.groups),
        device: claims.or("device", text, usual.device),
        tenant: claims.or("tenant", text, usual.tenant),
        preferred_username: claims.or("preferred_username", text, usual.preferred_username),
    });
    let max_age = table.or("max_age", seconds, session_max_age);
    let metadata_url = table.parse("metadata_url", secure_url).map(|at| at.value);
    let proofs = [("auth_time", ProveBy::AuthTime), ("issued_at", ProveBy::IssuedAt)];
    let prove_by = table.or("prove_by", one_of(&proofs, &[]), ProveBy::AuthTime);
    let introspection = super::tokens::introspection(table);
    let global_revocation = global_revocation(table);
    let commands = commands(table);
    let frontchannel_logout = table.flag("frontchannel_logout", false);
    let revalidate = super::revalidate::revalidate(table);
    Some(IdpSettings {
        name: name.to_owned(),
        issuer: issuer?.value,
        client_id: client_id?.value,
        client_secret,
        scopes,
        claims,
        kept_claims: Vec::new(), // filled in when the apps are known
        max_age,
        metadata_url,
        prove_by,
        skew: SKEW,
        introspection,
        global_revocation,
        commands,
        frontchannel_logout,
        revalidate,
    })
}

/// How the IdP may ask for global token revocations; off unless it is there.
fn global_revocation(table: &Reader<'_>) -> Option<GlobalRevocation> {
    if !table.has("global_revocation") {
        return None;
    }
    table.section("global_revocation", |table| {
        let issuer = table.parse("issuer", issuer).map(|at| at.value);
        let jwks_uri = table.parse("jwks_uri", secure_url).map(|at| at.value);
        let audiences: Vec<_> = table.one_or_many("audience", text).into_iter().map(|at| at.value).collect();
        if table.has("token") || table.has("token_file") {
            for key in ["issuer", "jwks_uri", "audience"] {
                if table.has(key) {
                    table.fault(key, "it is about tokens that the IdP signs; drop it, or drop `token_file`");
                }
            }
            let token = table.bearer("token", "token_file")?;
            return Some(GlobalRevocation { revoker: Revoker::Holder(token), audiences: Vec::new() });
        }
        if table.is_empty_list("audience") {
            table.fault("audience", "the list is empty: no call would count; drop it, the endpoint's URL is usual");
        }
        if table.has("issuer") && !table.has("jwks_uri") {
            let why = "it is missing: another issuer has other keys; write `jwks_uri = \"https://…/oauth2/v1/keys\"`";
            table.fault("jwks_uri", why);
        }
        Some(GlobalRevocation { revoker: Revoker::Signer { issuer, jwks_uri }, audiences })
    })
}

/// How the IdP may command; off unless it is there.
fn commands(table: &Reader<'_>) -> Option<Commands> {
    if !table.has("commands") {
        return None;
    }
    table.section("commands", |table| {
        let audiences: Vec<_> = table.one_or_many("audience", text).into_iter().map(|at| at.value).collect();
        if table.is_empty_list("audience") {
            table.fault("audience", "the list is empty: no command would count; drop it, the endpoint's URL is usual");
        }
        // Groups have no commands, and none is for everybody of an IdP.
        let widths = [Widest::User, Widest::Tenant].map(|widest| (widest.word(), widest));
        let widest = table.or("widest", one_of(&widths, &[]), Widest::User);
        Some(Commands { audiences, widest })
    })
}

fn scopes(table: &Reader<'_>) -> Vec<String> {
    if !table.has("scopes") {
        return ["openid", "profile", "email"].map(str::to_owned).to_vec();
    }
    let scopes: Vec<_> = table.list("scopes", scope).into_iter().map(|at| at.value).collect();
    if !scopes.iter().any(|scope| scope == "openid") {
        table.fault("scopes", "`openid` is missing: without it there is no ID token");
    }
    scopes
}

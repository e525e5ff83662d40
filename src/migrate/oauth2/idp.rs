//! Who signs people in.

use super::leave;
use crate::migrate::draft::{Draft, IDP, Section};
use crate::migrate::read::Settings;
use crate::migrate::words::{go_span, is_loopback, quoted, span, web_url};

pub(super) fn idp(settings: &Settings, draft: &mut Draft) {
    let provider = settings.one("provider").unwrap_or_else(|| "google".to_owned()).to_ascii_lowercase();
    let tenant = settings.one("azure-tenant").unwrap_or_default();
    let usual = match provider.as_str() {
        "google" => "https://accounts.google.com".to_owned(),
        "gitlab" => "https://gitlab.com".to_owned(),
        "azure" | "entra-id" if !tenant.is_empty() => format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        _ => String::new(),
    };
    let mut issuer = settings.one("oidc-issuer-url").unwrap_or(usual);
    let is_openid = ["oidc", "google", "gitlab", "azure", "entra-id", "keycloak-oidc", "adfs", "cidaas"];
    if !is_openid.contains(&provider.as_str()) {
        leave(
            settings,
            draft,
            Section::Idp,
            "provider",
            "it is no OpenID provider that proves logins; put one in front of it (Keycloak, Dex)",
        );
    }
    match web_url(&issuer) {
        Some(url) if url.scheme() == "http" && !is_loopback(&url) => {
            issuer = issuer.replacen("http://", "https://", 1);
            leave(
                settings,
                draft,
                Section::Idp,
                "oidc-issuer-url",
                "plain http proves nothing; it stands here with https, which the IdP must speak and call itself",
            );
        }
        Some(_) => {}
        None => {
            "https://idp.example.com".clone_into(&mut issuer);
            leave(
                settings,
                draft,
                Section::Idp,
                "oidc-issuer-url",
                "it is missing, or no URL: write what the IdP calls itself",
            );
        }
    }
    draft.text(Section::Idp, "issuer", &issuer);
    let client = settings.one("client-id").unwrap_or_else(|| {
        draft.remind("write `client_id` of the IdP: it was not in what was read");
        "portcullis".to_owned()
    });
    draft.text(Section::Idp, "client_id", &client);
    secret(settings, draft);
    let groups = asks_for_groups(settings);
    let scopes: Vec<String> = match settings.one("scope") {
        Some(scope) => scope.split_whitespace().map(str::to_owned).collect(),
        None => {
            ["openid", "profile", "email"].into_iter().chain(groups.then_some("groups")).map(str::to_owned).collect()
        }
    };
    let mut scopes: Vec<String> = scopes.into_iter().filter(|scope| is_scope(scope)).collect();
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    let offline = scopes.iter().any(|scope| scope == "offline_access");
    draft.list(Section::Idp, "scopes", &scopes);
    let claims = [("email", "oidc-email-claim"), ("groups", "oidc-groups-claim")];
    let claims: Vec<_> = claims.into_iter().filter_map(|(key, option)| Some((key, settings.one(option)?))).collect();
    if !claims.is_empty() {
        let claims: Vec<_> = claims.iter().map(|(key, claim)| format!("{key} = {}", quoted(claim))).collect();
        draft.set(Section::Idp, "claims", &format!("{{ {} }}", claims.join(", ")));
    }
    if settings.one("user-id-claim").is_some_and(|claim| claim != "sub" && claim != "email") {
        leave(settings, draft, Section::Idp, "user-id-claim", "the person is the IdP's `sub`, always");
    }
    if let Some(every) = settings.one("cookie-refresh").as_deref().and_then(go_span).filter(|seconds| *seconds > 0) {
        let every = quoted(&span(every.clamp(2, 86_400)));
        let scopes = if offline { ", scopes = []" } else { "" };
        draft.set(Section::Idp, "revalidate", &format!("{{ every = {every}, by = \"refresh\"{scopes} }}"));
    }
    let authorities = settings.all("provider-ca-file");
    if let Some(file) = authorities.first() {
        draft.text(Section::Outbound, "extra_ca_file", file);
        if authorities.len() > 1 {
            leave(
                settings,
                draft,
                Section::Outbound,
                "provider-ca-file",
                "one file is read: put the others' certificates into it",
            );
        }
    }
}

fn is_scope(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\')
}

fn asks_for_groups(settings: &Settings) -> bool {
    ["allowed-group", "keycloak-group", "gitlab-group"].iter().any(|option| !settings.all(option).is_empty())
}

fn secret(settings: &Settings, draft: &mut Draft) {
    if let Some(file) = settings.one("client-secret-file") {
        draft.text(Section::Idp, "client_secret_file", &file);
        draft.remind(format!("nobody but the gateway may read the client's secret: `chmod 600 {file}`"));
    } else if settings.one("client-secret").is_some() {
        let file = format!("{IDP}.secret");
        draft.text(Section::Idp, "client_secret_file", &file);
        draft.remind(format!(
            "put the value of `client_secret` into `{file}`: `(umask 077; cat > {file})`; it is not copied"
        ));
    } else {
        draft.remind(
            "the client has no secret in what was read: write `client_secret_file`, or leave it as a public client",
        );
    }
}

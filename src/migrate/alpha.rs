//! The alpha config of oauth2-proxy: the same things under other names, as a tree.

use super::read::Settings;
use super::yaml::Node;

/// Where a value of a provider stands, and the option that says the same.
const PROVIDER: [(&str, &str); 24] = [
    ("allowedGroups", "allowed-group"),
    ("authRequestResponseMode", "auth-request-response-mode"),
    ("azureConfig.tenant", "azure-tenant"),
    ("backendLogoutURL", "backend-logout-url"),
    ("caFiles", "provider-ca-file"),
    ("clientID", "client-id"),
    ("clientSecret", "client-secret"),
    ("clientSecretFile", "client-secret-file"),
    ("code_challenge_method", "code-challenge-method"),
    ("googleConfig.group", "google-group"),
    ("keycloakConfig.groups", "keycloak-group"),
    ("keycloakConfig.roles", "allowed-role"),
    ("loginURL", "login-url"),
    ("microsoftEntraIDConfig.allowedTenants", "entra-id-allowed-tenant"),
    ("name", "provider-display-name"),
    ("oidcConfig.audienceClaims", "oidc-audience-claim"),
    ("oidcConfig.emailClaim", "oidc-email-claim"),
    ("oidcConfig.extraAudiences", "oidc-extra-audience"),
    ("oidcConfig.groupsClaim", "oidc-groups-claim"),
    ("oidcConfig.issuerURL", "oidc-issuer-url"),
    ("provider", "provider"),
    ("redeemURL", "redeem-url"),
    ("scope", "scope"),
    ("useSystemTrustStore", "use-system-trust-store"),
];

/// Those that switch something, whose name alone would say nothing.
const SWITCHES: [(&str, &str); 5] = [
    ("oidcConfig.insecureAllowUnverifiedEmail", "insecure-oidc-allow-unverified-email"),
    ("oidcConfig.insecureSkipIssuerVerification", "insecure-oidc-skip-issuer-verification"),
    ("oidcConfig.insecureSkipNonce", "insecure-oidc-skip-nonce"),
    ("oidcConfig.skipDiscovery", "skip-oidc-discovery"),
    ("skipClaimsFromProfileURL", "skip-claims-from-profile-url"),
];

/// The headers that an app gets of us, and the claim that stands in each.
const FORWARDED: [(&str, &str); 4] = [
    ("x-forwarded-user", "user"),
    ("x-forwarded-email", "email"),
    ("x-forwarded-groups", "groups"),
    ("x-forwarded-preferred-username", "preferred_username"),
];

/// Whether it has the form of an alpha config.
pub(super) fn is_alpha(tree: &Node) -> bool {
    ["upstreamConfig", "providers", "injectRequestHeaders", "injectResponseHeaders"]
        .iter()
        .any(|key| tree.get(key).is_some())
}

/// Adds what it says.
pub(super) fn read(tree: &Node, settings: &mut Settings) {
    for (key, node) in tree.entries() {
        match key.as_str() {
            "providers" => providers(node, settings),
            "upstreamConfig" => upstreams(node, settings),
            "injectRequestHeaders" => request_headers(node, settings),
            "injectResponseHeaders" => response_headers(node, settings),
            "server" => server(node, settings),
            "metricsServer" => add(settings, "metrics-address", node, vec!["there".to_owned()]),
            other => unknown(settings, other, node),
        }
    }
}

fn providers(node: &Node, settings: &mut Settings) {
    for (n, provider) in node.items().iter().enumerate() {
        if n > 0 {
            settings.add("providers[1]", vec!["further provider".to_owned()], place(provider));
            continue;
        }
        for (path, value) in leaves(provider) {
            let known = PROVIDER.iter().chain(&SWITCHES).find(|(name, _)| *name == path);
            match known {
                Some((_, option)) => add(settings, option, value, texts(value)),
                None if path == "id" => {}
                None => unknown(settings, &format!("providers.{path}"), value),
            }
        }
    }
}

/// Values two levels deep, each with its path.
fn leaves(node: &Node) -> Vec<(String, &Node)> {
    let mut leaves = Vec::new();
    for (key, value) in node.entries() {
        if value.entries().is_empty() {
            leaves.push((key.clone(), value));
        }
        leaves.extend(value.entries().iter().map(|(inner, value)| (format!("{key}.{inner}"), value)));
    }
    leaves
}

fn upstreams(node: &Node, settings: &mut Settings) {
    for (key, value) in node.entries().iter().filter(|(key, _)| key != "upstreams") {
        unknown(settings, &format!("upstreamConfig.{key}"), value);
    }
    for upstream in node.get("upstreams").map(Node::items).unwrap_or_default() {
        let text = |key| upstream.get(key).and_then(Node::text).unwrap_or_default();
        let (path, uri) = (text("path"), text("uri"));
        let is_static = upstream.get("static").is_some_and(|node| node.text() == Some("true"));
        for (key, value) in upstream.entries() {
            match key.as_str() {
                "id" | "path" | "uri" | "static" | "staticCode" => {}
                "flushInterval" => add(settings, "flush-interval", value, texts(value)),
                "timeout" => add(settings, "upstream-timeout", value, texts(value)),
                "passHostHeader" => add(settings, "pass-host-header", value, texts(value)),
                "proxyWebSockets" => add(settings, "proxy-websockets", value, texts(value)),
                "disableKeepAlives" => add(settings, "disable-keep-alives", value, texts(value)),
                "insecureSkipTLSVerify" => add(settings, "ssl-upstream-insecure-skip-verify", value, texts(value)),
                other => unknown(settings, &format!("upstreamConfig.upstreams.{other}"), value),
            }
        }
        if is_static {
            add(settings, "upstream", upstream, vec!["static://200".to_owned()]);
            continue;
        }
        // There a path in `uri` is put in front of what was asked for; in the old form, as here, it is the path itself.
        let bare = uri.trim_end_matches('/');
        let has_path = bare.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
        if has_path {
            let why = "a path in `uri` that is put in front of the request's own".to_owned();
            settings.add("upstreamConfig.upstreams.uri", vec![why], place(upstream));
        } else {
            add(settings, "upstream", upstream, vec![format!("{bare}{}", if path.is_empty() { "/" } else { path })]);
        }
    }
}

fn request_headers(node: &Node, settings: &mut Settings) {
    let mut ours = false;
    for header in node.items() {
        let name = header.get("name").and_then(Node::text).unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        let expected = FORWARDED.iter().find(|(ours, _)| *ours == lower).map(|(_, claim)| *claim);
        let values = header.get("values").map(Node::items).unwrap_or_default();
        let [value] = values else {
            unknown(settings, &format!("injectRequestHeaders {name}"), header);
            continue;
        };
        let claim = value.get("claim").or_else(|| value.get("claimSource")?.get("claim")).and_then(Node::text);
        let bare =
            value.entries().len() == 1 && value.get("claimSource").is_none_or(|source| source.entries().len() == 1);
        if claim.is_some() && claim == expected && bare {
            ours = true;
        } else {
            unknown(settings, &format!("injectRequestHeaders {name}"), header);
        }
    }
    add(settings, "pass-user-headers", node, vec![ours.to_string()]);
    add(settings, "pass-basic-auth", node, vec![ours.to_string()]);
}

fn response_headers(node: &Node, settings: &mut Settings) {
    for header in node.items() {
        let name = header.get("name").and_then(Node::text).unwrap_or_default();
        let ours = [
            "x-auth-request-user",
            "x-auth-request-email",
            "x-auth-request-groups",
            "x-auth-request-preferred-username",
        ];
        if ours.contains(&name.to_ascii_lowercase().as_str()) {
            add(settings, "set-xauthrequest", header, vec!["true".to_owned()]);
        } else {
            unknown(settings, &format!("injectResponseHeaders {name}"), header);
        }
    }
}

fn server(node: &Node, settings: &mut Settings) {
    for (key, value) in node.entries() {
        match key.as_str() {
            "bindAddress" => add(settings, "http-address", value, texts(value)),
            "secureBindAddress" => add(settings, "https-address", value, texts(value)),
            "tls" => {
                for (key, option) in [("key", "tls-key-file"), ("cert", "tls-cert-file")] {
                    match value.get(key).and_then(|source| source.get("fromFile")) {
                        Some(file) => add(settings, option, file, texts(file)),
                        None => unknown(settings, &format!("server.tls.{key}"), value),
                    }
                }
            }
            other => unknown(settings, &format!("server.{other}"), value),
        }
    }
}

fn add(settings: &mut Settings, option: &str, node: &Node, values: Vec<String>) {
    settings.add(option, values, place(node));
}

/// An entry that has no option of its own; it is reported by its name.
fn unknown(settings: &mut Settings, name: &str, node: &Node) {
    settings.add(name, vec!["there".to_owned()], place(node));
}

fn texts(node: &Node) -> Vec<String> {
    node.text()
        .map(|text| vec![text.to_owned()])
        .unwrap_or_else(|| node.items().iter().filter_map(Node::text).map(str::to_owned).collect())
}

fn place(node: &Node) -> String {
    format!("line {}", node.line)
}

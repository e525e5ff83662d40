use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::options::{Fate, OPTIONS};
use super::{Migrated, Source, oauth2_proxy};
use crate::apps::{Access, App, HeaderProfile};
use crate::config::{Config, File, Files};

/// A disk that has every file that a config can name.
struct Everything;

impl Files for Everything {
    fn read(&self, path: &Path) -> io::Result<File> {
        let bytes = match path.extension().and_then(|e| e.to_str()) {
            Some("key") => crate::seal::generate_key().unwrap().expose().as_bytes().to_vec(),
            _ => b"0123456789abcdef0123456789abcdef\n".to_vec(),
        };
        Ok(File { bytes: Zeroizing::new(bytes), exposed: false })
    }
}

fn migrated(name: &str, text: &str) -> Migrated {
    oauth2_proxy(&[Source { name, text }], None).unwrap_or_else(|why| panic!("{why}"))
}

fn checked(migrated: &Migrated) -> Config {
    Config::parse(&migrated.toml, Path::new("portcullis.toml"), &Everything)
        .unwrap_or_else(|faults| panic!("{faults}\n{}", migrated.toml))
}

fn app<'a>(config: &'a Config, name: &str) -> &'a App {
    config.apps.named(name).unwrap_or_else(|| panic!("no app {name}"))
}

fn left(migrated: &Migrated) -> Vec<&str> {
    migrated.left_out.iter().map(|left| left.option.as_str()).collect()
}

const CFG: &str = r#"
http_address = "0.0.0.0:4180"
cookie_secret = "this-is-a-secret-of-the-cookies="
cookie_expire = "8h"
cookie_refresh = "5m"
email_domains = ["corp.example", "example.org"]
upstreams = ["http://10.0.0.5:8080", "http://10.0.0.6:8080/grafana/"]
client_id = "wiki"
client_secret = "a-very-secret-secret"
redirect_url = "https://wiki.corp.example/oauth2/callback"
oidc_issuer_url = "https://idp.corp.example"
provider = "oidc"
allowed_groups = ["staff"]
skip_auth_routes = ["^/public/", "GET=^/health$", "^/static/.*$", "^/a[bc]"]
pass_user_headers = true
set_xauthrequest = true
reverse_proxy = true
cookie_domains = [".corp.example"]
pass_access_token = true
"#;

#[test]
fn a_config_file_means_the_same_here() {
    let migrated = migrated("oauth2-proxy.cfg", CFG);
    let config = checked(&migrated);
    assert_eq!(config.server.listen, ["0.0.0.0:4180".parse().unwrap()]);
    assert_eq!(config.session.max_age.as_secs(), 8 * 3600);
    let corp = config.idps.get("corp").unwrap();
    assert_eq!((corp.client_id.as_str(), corp.scopes.last().unwrap().as_str()), ("wiki", "groups"));
    assert_eq!(corp.revalidate.as_ref().map(|r| r.every.as_secs()), Some(300));
    let wiki = app(&config, "wiki");
    assert_eq!(wiki.allow.groups, ["staff"]);
    assert_eq!(wiki.allow.email_domains, ["corp.example", "example.org"]);
    assert_eq!(wiki.headers, HeaderProfile::Forwarded);
    let public: Vec<_> = wiki.rules.iter().map(|rule| (rule.path.as_str(), rule.access)).collect();
    assert_eq!(public, [("/public", Access::Public), ("/static", Access::Public)]);
    let grafana = app(&config, "grafana");
    assert_eq!((grafana.prefix.as_str(), grafana.upstreams.first().unwrap().host.as_str()), ("/grafana", "10.0.0.6"));
}

#[test]
fn what_has_no_like_is_named_and_stands_at_its_place() {
    let migrated = migrated("oauth2-proxy.cfg", CFG);
    assert_eq!(left(&migrated), ["skip-auth-route", "skip-auth-route", "cookie-domain", "pass-access-token"]);
    for left in &migrated.left_out {
        assert!(migrated.toml.contains(&format!("# NOT TRANSLATED {left}")), "{left}");
    }
    let place = migrated.left_out.iter().find(|left| left.option == "cookie-domain").map(|left| left.place.as_str());
    assert_eq!(place, Some("line 18"));
}

#[test]
fn no_secret_is_copied() {
    let secrets = ["this-is-a-secret-of-the-cookies=", "a-very-secret-secret", "a-password", "redis-password-1"];
    let more = format!(
        "{CFG}basic_auth_password = \"a-password\"\nredis_password = \"redis-password-1\"\njwt_key = \"a-password\"\n"
    );
    let migrated = migrated("oauth2-proxy.cfg", &more);
    let all = format!("{}{:?}{:?}", migrated.toml, migrated.left_out, migrated.to_do);
    for secret in secrets {
        assert!(!all.contains(secret), "{secret}");
    }
    assert!(migrated.toml.contains("client_secret_file = \"corp.secret\""));
    assert!(migrated.to_do.iter().any(|what| what.contains("`corp.secret`")));
}

/// The same, said in other forms.
const UNIT: &str = "[Service]\n# --upstream=http://10.0.0.9:1\nExecStart=/usr/bin/oauth2-proxy --http-address 127.0.0.1:4180 \\\n  \
    --provider=oidc --oidc-issuer-url=https://idp.corp.example --client-id=wiki \\\n  --email-domain=* --upstream \
    http://10.0.0.5:8080 --pass-user-headers --redirect-url=\"https://wiki.corp.example/oauth2/callback\"\n\
    Environment=OAUTH2_PROXY_CLIENT_SECRET=a-very-secret-secret\n";
const COMPOSE: &str = "services:\n  oauth2-proxy:\n    command:\n      - --http-address=127.0.0.1:4180\n      - \"--upstream=http://10.0.0.5:8080\"\n      \
    - --email-domain=*\n    environment:\n      OAUTH2_PROXY_PROVIDER: oidc\n      OAUTH2_PROXY_CLIENT_ID: \"wiki\"\n      \
    OAUTH2_PROXY_OIDC_ISSUER_URL: https://idp.corp.example\n      OAUTH2_PROXY_CLIENT_SECRET: a-very-secret-secret\n      \
    OAUTH2_PROXY_REDIRECT_URL: 'https://wiki.corp.example/oauth2/callback'\n";
const ENVIRONMENT: &str = "OAUTH2_PROXY_HTTP_ADDRESS=127.0.0.1:4180\nexport OAUTH2_PROXY_PROVIDER=oidc\nOAUTH2_PROXY_CLIENT_ID=wiki\n\
    OAUTH2_PROXY_OIDC_ISSUER_URL=https://idp.corp.example\nOAUTH2_PROXY_EMAIL_DOMAINS=*\nOAUTH2_PROXY_UPSTREAMS=http://10.0.0.5:8080\n\
    OAUTH2_PROXY_REDIRECT_URL=https://wiki.corp.example/oauth2/callback\nOAUTH2_PROXY_CLIENT_SECRET=a-very-secret-secret\n";
const ARGS: &str = "args: [\"--http-address=127.0.0.1:4180\", \"--provider=oidc\", \"--client-id=wiki\", \"--client-secret=a-very-secret-secret\", \
    \"--oidc-issuer-url=https://idp.corp.example\", \"--email-domain=*\", \"--upstream=http://10.0.0.5:8080\", \
    \"--redirect-url=https://wiki.corp.example/oauth2/callback\"]\n";
const ALPHA: &str = "server:\n  bindAddress: 127.0.0.1:4180\nupstreamConfig:\n  upstreams:\n    - id: wiki\n      path: /\n      uri: http://10.0.0.5:8080\n\
    injectRequestHeaders:\n  - name: X-Forwarded-User\n    values:\n      - claimSource:\n          claim: user\n\
    providers:\n  - id: oidc\n    provider: oidc\n    clientID: wiki\n    clientSecret: a-very-secret-secret\n    oidcConfig:\n      issuerURL: https://idp.corp.example\n";

#[test]
fn every_form_in_which_it_can_be_said_is_read() {
    let others = "email_domains = \"*\"\nredirect_url = \"https://wiki.corp.example/oauth2/callback\"\n";
    let forms: [(&str, Vec<&str>); 5] = [
        ("oauth2-proxy.service", vec![UNIT]),
        ("compose.yaml", vec![COMPOSE]),
        ("oauth2-proxy.env", vec![ENVIRONMENT]),
        ("deployment.yaml", vec![ARGS]),
        ("alpha.yaml", vec![others, ALPHA]),
    ];
    for (name, texts) in forms {
        let sources: Vec<_> = texts.iter().map(|text| Source { name, text }).collect();
        let migrated = oauth2_proxy(&sources, None).unwrap_or_else(|why| panic!("{name}: {why}"));
        let config = checked(&migrated);
        assert_eq!(left(&migrated), [""; 0], "{name}");
        assert!(!migrated.toml.contains("very-secret"), "{name}");
        assert_eq!(config.server.listen, ["127.0.0.1:4180".parse().unwrap()], "{name}");
        let corp = config.idps.get("corp").unwrap();
        assert_eq!((corp.issuer.as_str(), corp.client_id.as_str()), ("https://idp.corp.example", "wiki"), "{name}");
        let wiki = app(&config, "wiki");
        assert_eq!(
            (wiki.origin.as_str(), wiki.headers),
            ("https://wiki.corp.example", HeaderProfile::Forwarded),
            "{name}"
        );
        assert_eq!(wiki.upstreams.first().unwrap().host, "10.0.0.5", "{name}");
        assert!(wiki.allow.email_domains.is_empty() && wiki.allow.emails.is_empty(), "{name}");
    }
}

#[test]
fn nothing_that_is_not_understood_opens_a_path() {
    for route in [
        "^/", "/public", "^/a.b", "^/(a|b)", "^/a[bc]/", "GET=^/a", "!=^/a", "GET!=^/a", "^/a$", "^/../a", "^/a/.*/b",
        "^.*", "^/a?", "^/a|/b", "(?i)^/a", "^/a\\w", "",
    ] {
        let found = super::routes::public_path(route);
        // A dot matches any one character there, and itself here: fewer.
        assert!(found.is_err() || (route, found.as_deref()) == ("^/a.b", Ok("/a.b")), "{route}: {found:?}");
    }
}

#[test]
fn who_was_let_in_by_nobody_is_let_in_by_nobody() {
    for domains in ["", "email_domains = [\"*.corp.example\"]\n", "email_domains = []\n"] {
        let text = format!(
            "provider = \"oidc\"\noidc_issuer_url = \"https://idp.example\"\nupstreams = \"http://10.0.0.5:1\"\nredirect_url = \"https://a.example/oauth2/callback\"\n{domains}"
        );
        let migrated = migrated("a.cfg", &text);
        let config = checked(&migrated);
        assert_eq!(app(&config, "a").allow.emails, ["nobody@invalid.example"], "{domains}");
    }
}

#[test]
fn every_option_can_be_written_and_the_result_is_a_config() {
    for (flag, key, _, fate) in OPTIONS {
        if ["config", "alpha-config"].contains(&flag) {
            continue;
        }
        for value in ["true", "x", "1", "\u{7f}\"\\", "http://[::1", "https://x.example/a b/%2e%2e"] {
            let text = format!("--{flag}='{value}' --upstream=http://10.0.0.5:1");
            let migrated = migrated("flags", &text);
            let named = migrated.left_out.iter().any(|left| left.option == flag);
            if matches!(fate, Fate::Not(_)) && value == "true" {
                assert!(named, "{flag} is passed over");
            }
            if !["tls-cert-file", "tls-key-file", "provider-ca-file"].contains(&flag) {
                drop(checked(&migrated));
            }
            assert!(super::options::option(key).is_some_and(|known| known.flag == flag), "{key}");
        }
    }
}

#[test]
fn an_option_that_nobody_knows_is_named() {
    let migrated = migrated("flags", "oauth2-proxy --upstream=http://10.0.0.5:1 --frobnicate=yes --email-domain=*");
    assert!(left(&migrated).contains(&"frobnicate"), "{:?}", left(&migrated));
}

#[test]
fn what_is_no_config_is_refused() {
    for text in ["", "hello", "a: &a [1]\nproviders: *a\n", "\u{0}", "[", "- - - -", &"[".repeat(10_000)] {
        assert!(oauth2_proxy(&[Source { name: "x.yaml", text }], None).is_err(), "{:?}", text.get(..20));
    }
}

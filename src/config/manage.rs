//! `[streams.NAME]`, the part about how the gateway manages and watches a stream.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::Delivery;
use super::events::event;
use super::reader::{At, Reader, Why};
use super::values::{one_of, scope, seconds, secure_url, text};
use crate::event::Type;
use crate::event::stream_config::{Method, Wanted};
use crate::event::supervise;
use crate::secret::Secret;
use crate::stream::manage::{Settings, Subjects};
use crate::stream::{ClientProof, Credential, OauthClient};

/// How often a stream is asked to show that it lives.
const VERIFY_EVERY: Duration = Duration::from_secs(120);
/// After how long silence is darkness.
const BLIND_AFTER: Duration = Duration::from_secs(300);
/// How often everything is re-established while it is dark.
const BLIND_RECHECK: Duration = Duration::from_secs(900);

/// How a stream is watched.
pub(super) fn watch(table: &Reader<'_>, polled: bool) -> supervise::Settings {
    let verify_every = table.or("verify_every", seconds, VERIFY_EVERY);
    let blind_after = table.parse("blind_after", seconds);
    if let Some(At { value, place }) = &blind_after
        && *value <= verify_every
    {
        table
            .context()
            .fault(place, "it must be longer than `verify_every`: the stream would be dark between two signs");
    }
    supervise::Settings {
        verify_every,
        blind_after: blind_after.map_or(BLIND_AFTER, |at| at.value),
        recheck_every: table.or("blind_recheck", seconds, BLIND_RECHECK),
        polled,
        managed: table.has("manage"),
    }
}

/// How the gateway manages the stream; `None` if others do. The transmitter is asked for the `usual` events where the file
/// names none.
pub(super) fn manage(name: &str, table: &Reader<'_>, delivery: Option<&Delivery>, usual: &[Type]) -> Option<Settings> {
    let words = [("auto", Subjects::Auto), ("all", Subjects::All), ("none", Subjects::None)];
    let subjects = table.or("subjects", one_of(&words, &[]), Subjects::Auto);
    if !table.has("manage") {
        if table.has("subjects") {
            table.fault("subjects", "people are added by the stream's management; write `manage = { … }`, or drop it");
        }
        return None;
    }
    table.section("manage", |table| {
        let credential = credential(table);
        let polled = matches!(delivery, Some(Delivery::Poll { .. }));
        if polled && table.has("push_url") {
            table.fault("push_url", "the stream is polled: nobody pushes; drop it");
        }
        // Where the delivery itself has a fault, nobody knows whether this is needed.
        let pushed = matches!(delivery, Some(Delivery::Push { .. })) || table.has("push_url");
        let endpoint = if pushed && !polled { push_url(name, table) } else { None };
        let events: Vec<_> = table.list("events", event).into_iter().map(|at| at.value).collect();
        if table.is_empty_list("events") {
            table.fault("events", "the list is empty: no event would come; drop it to ask for all that count here");
        }
        let stream_id = table.parse("stream_id", text).map(|at| at.value);
        let hosts = table.list("hosts", host).into_iter().map(|at| at.value).collect();
        let description = table.or("description", text, format!("portcullis {name}"));
        let (method, authorization) = match delivery? {
            Delivery::Push { token } => {
                let bearer = |token: &Secret<String>| Secret::new(format!("Bearer {}", token.expose()));
                (Method::Push, token.as_ref().map(bearer))
            }
            Delivery::Poll { .. } => (Method::Poll, None),
        };
        if method == Method::Push && endpoint.is_none() {
            return None;
        }
        Some(Settings {
            wanted: Wanted {
                method,
                endpoint,
                authorization,
                events: if events.is_empty() { usual } else { &events }.iter().map(Type::uri).collect(),
                description,
            },
            stream_id,
            credential: credential?,
            hosts,
            subjects,
        })
    })
}

fn push_url(name: &str, table: &Reader<'_>) -> Option<Url> {
    let path = format!("/oauth2/ssf/{name}");
    if !table.has("push_url") {
        let why = format!("it is missing: where shall the transmitter push? write `push_url = \"https://APP{path}\"`");
        table.fault("push_url", &why);
    }
    let At { value, place } = table.parse("push_url", secure_url)?;
    if value.path() != path || value.query().is_some() {
        table
            .context()
            .fault(&place, format!("events of this stream are taken at `{path}`; write `https://APP{path}`"));
    }
    Some(value)
}

/// What is presented: a token, or what gets one.
fn credential(table: &Reader<'_>) -> Option<Credential> {
    let static_token = ["token", "token_file"].into_iter().find(|key| table.has(key));
    let of_client =
        ["token_url", "client_id", "client_secret", "client_secret_file", "key_file", "key_id", "auth", "scopes"];
    let client = of_client.into_iter().filter(|key| table.has(key)).count();
    match (static_token, client) {
        (Some(key), 1..) => {
            table.fault(key, "there is an OAuth client, too (`client_id` and its kin); keep one of the two");
            None
        }
        (Some(_), 0) => Some(Credential::Token(table.presented("token", "token_file")?)),
        (None, 0) => {
            table.fault("token_file", "it is missing: write `token_file`, or `token_url`, `client_id` and its secret");
            None
        }
        (None, _) => oauth_client(table).map(Credential::Client),
    }
}

fn oauth_client(table: &Reader<'_>) -> Option<OauthClient> {
    let token_url = table.require("token_url", secure_url);
    let client_id = table.require("client_id", text);
    let post = table.or("auth", one_of(&[("basic", false), ("post", true)], &[]), false);
    let scopes: Vec<_> = table.list("scopes", scope).into_iter().map(|at| at.value).collect();
    if table.is_empty_list("scopes") {
        table.fault("scopes", "the list is empty; drop it to ask for what the transmitter publishes");
    }
    let key_id = table.parse("key_id", text);
    let has_secret = table.has("client_secret") || table.has("client_secret_file");
    let proof = if table.has("key_file") {
        if has_secret || table.has("auth") {
            table.fault("key_file", "there is a secret, too; keep one of the two");
        }
        if key_id.is_none() {
            table.fault("key_id", "it is missing; it is the `kid` under which the key is registered there");
        }
        ClientProof::Key(Arc::new(table.signing_key("key_file", &key_id?.value)?))
    } else {
        if !has_secret {
            table.fault("client_secret_file", "it is missing; or write `key_file` and `key_id` (`private_key_jwt`)");
        }
        if table.has("key_id") {
            table.fault("key_id", "there is no `key_file` that it could name");
        }
        let secret = table.secret("client_secret", "client_secret_file")?.value;
        if post { ClientProof::Post(secret) } else { ClientProof::Basic(secret) }
    };
    let scopes = (!scopes.is_empty()).then_some(scopes);
    Some(OauthClient { token_url: token_url?.value, client_id: client_id?.value, proof, scopes })
}

/// A host that may be called with what is presented, with a port where it is not the usual one.
fn host(text: &str) -> Result<String, Why> {
    let url = Url::parse(&format!("https://{text}/")).ok();
    let named = url.as_ref().and_then(|url| {
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    });
    match named {
        Some(named) if named.eq_ignore_ascii_case(text) => Ok(named),
        Some(_) | None => Err(Why(format!("`{text}` is no host; write `mgmt.example.com` or `mgmt.example.com:8443`"))),
    }
}

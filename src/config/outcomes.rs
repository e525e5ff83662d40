//! `[outcomes]`: what is remembered of revocations, and who is told.

use std::time::Duration;

use url::Url;

use super::reader::{Reader, Why};
use super::values::{gateway_name, seconds, secure_url, text};
use crate::outcome::Parties;
use crate::secret::Secret;

/// `[outcomes]`: what is remembered of revocations, and who is told.
#[derive(Debug)]
pub struct OutcomeSettings {
    /// Outcomes that are remembered.
    pub most: usize,
    /// What this gateway is called; `None` for the machine's name.
    pub gateway: Option<String>,
    /// When others are told what a revocation came to.
    pub settle: Duration,
    /// Who is told.
    pub webhook: Option<WebhookSettings>,
}

/// `[outcomes.webhook]`.
#[derive(Debug)]
pub struct WebhookSettings {
    /// Where SETs are posted.
    pub url: Url,
    /// What is presented there.
    pub token: Option<Secret<String>>,
    /// `iss` and `aud` of the SETs.
    pub parties: Parties,
    /// What signs them.
    pub signer: crate::jose::Signer,
    /// Messages that may wait.
    pub queue: usize,
}

pub(super) fn outcomes(table: &Reader<'_>) -> Option<OutcomeSettings> {
    let has_webhook = table.has("webhook");
    let webhook = if has_webhook { table.section("webhook", webhook) } else { None };
    let settings = OutcomeSettings {
        most: table.number("max", 1..=1_000_000).unwrap_or(10_000),
        gateway: table.parse("gateway", gateway_name).map(|at| at.value),
        settle: table.or("settle", seconds, Duration::from_secs(300)),
        webhook,
    };
    (settings.webhook.is_some() == has_webhook).then_some(settings)
}

fn webhook(table: &Reader<'_>) -> Option<WebhookSettings> {
    let url = table.require("url", secure_url);
    let issuer = table.require("issuer", issuer);
    let audience = table.require("audience", text);
    if !table.has("key_file") {
        table.fault("key_file", "it is missing; `portcullis keygen --signing FILE` makes a key");
    }
    let signer = table.signing_key("key_file", "").and_then(crate::jose::Signer::named_by_its_key);
    let queue = table.number("queue", 1..=1_000_000).unwrap_or(10_000);
    let has_token = table.has("token") || table.has("token_file");
    let token = if has_token { Some(table.presented("token", "token_file")?) } else { None };
    Some(WebhookSettings {
        url: url?.value,
        token,
        parties: Parties { issuer: issuer?.value.into(), audience: audience?.value },
        signer: signer?,
        queue,
    })
}

/// What the gateway calls itself: a URL, kept as it is written.
fn issuer(text: &str) -> Result<Box<str>, Why> {
    Url::parse(text).map_err(|_| Why::from("it is no URL; write what receivers know this gateway by, `https://…`"))?;
    Ok(text.into())
}

//! From `[outcomes]` to what is remembered and who is told.

use crate::http::Client;
use crate::outcome;

/// What is remembered of revocations, and who is told.
pub(super) fn outcomes(
    settings: crate::config::OutcomeSettings,
    (clear, ceilings): (bool, outcome::Ceilings),
    client: &Client,
) -> (outcome::Settings, Option<outcome::Webhook>) {
    let gateway = settings.gateway.unwrap_or_else(machine);
    let webhook = settings.webhook.map(|webhook| outcome::Webhook {
        url: webhook.url,
        token: webhook.token,
        parties: webhook.parties,
        signer: webhook.signer,
        queue: webhook.queue,
        client: client.clone(),
    });
    (outcome::Settings { most: settings.most, gateway, clear, ceilings, settle: settings.settle }, webhook)
}

/// What the machine is called.
pub(super) fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "portcullis".to_owned() } else { name.trim().to_owned() }
}

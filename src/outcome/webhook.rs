//! Tells others what revocations did: signed SETs, posted until they are taken (RFC 8935, with us as the transmitter).
//!
//! A receiver that is down, slow or in trouble is tried again, later and later; nothing else waits for it. One that
//! refuses a message for good is told ten times, and then that is said loudly here.

use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ::http::{Request, StatusCode};
use url::Url;

use super::Outcomes;
use super::keeper::of_message;
use super::message::Parties;
use super::outbox::{Came, Message, Then};
use crate::audit::Event;
use crate::backoff::chance;
use crate::http::{Client, Error, bearer, retry_after};
use crate::jose::Signer;
use crate::secret::Secret;

/// Who is told.
#[derive(Debug)]
pub struct Webhook {
    /// Where.
    pub url: Url,
    /// What is presented there.
    pub token: Option<Secret<String>>,
    /// Who speaks to whom.
    pub parties: Parties,
    /// What signs.
    pub signer: Signer,
    /// Messages that may wait; one more is not sent.
    pub queue: usize,
    /// The way out.
    pub client: Client,
}

/// Bytes of an answer that are read: it should have none.
const MAX_ANSWER: usize = 16 * 1024;
/// The type of a SET (RFC 8417 §2.3).
const TYP: &str = "secevent+jwt";

impl Outcomes {
    /// Sends for as long as the future is driven; at once over if nobody is to be told.
    pub async fn send(&self) {
        let Some(webhook) = &self.0.webhook else { return };
        let mut trouble = None;
        loop {
            let batch = self.state().outbox.take();
            if batch.is_empty() {
                self.0.to_send.notified().await;
                continue;
            }
            let sent = batch.iter().map(|(_, message)| webhook.post(message));
            let came = futures_util::future::join_all(sent).await;
            let all_taken = came.iter().all(|came| *came == Came::Taken);
            say(came.iter().copied().find(|came| *came != Came::Taken), &mut trouble);
            let mut over = Vec::new();
            for ((number, message), came) in batch.iter().zip(&came) {
                let then = self.state().outbox.came(*number, *came);
                self.0.metrics.outcome_message(came.word());
                if then == Then::GivenUp {
                    self.given_up(message, *came);
                }
                if then != Then::Again {
                    over.push(of_message(*number));
                }
            }
            if let Err(error) = self.0.ledger.append_with(&[], over).await {
                tracing::warn!(%error, "what was told is not noted: after a restart it is told again");
            }
            let rest = self.state().outbox.rest(all_taken, chance());
            tokio::time::sleep(rest).await;
        }
    }

    fn given_up(&self, message: &Message, came: Came) {
        let status = if let Came::Refused(status) = came { status } else { 0 };
        tracing::error!(outcome = %message.id, status, "the webhook's receiver refuses a message; it is given up");
        self.0.metrics.outcome_message("given_up");
        self.0.audit.record(Event::OutcomeNotTold { outcome: message.id, status });
    }
}

impl Webhook {
    async fn post(&self, message: &Message) -> Came {
        let Some(set) = self.signer.sign(Some(TYP), &message.claims) else {
            tracing::error!(outcome = %message.id, "a message cannot be signed");
            return Came::NotNow(None);
        };
        let mut request = Request::post(self.url.as_str())
            .header(CONTENT_TYPE, "application/secevent+jwt")
            .header(ACCEPT, "application/json");
        if let Some(token) = &self.token {
            let Some(bearer) = bearer(token) else { return Came::Refused(0) };
            request = request.header(AUTHORIZATION, bearer);
        }
        let Ok(request) = request.body(set.into_bytes()) else { return Came::Refused(0) };
        match self.client.send(request, MAX_ANSWER).await {
            Ok(answer) => came_of(answer.status(), retry_after(&answer)),
            // An answer of that size is none that was asked for, and nobody knows whether the message was taken.
            Err(error) if error.is_transient() || matches!(error, Error::TooLarge) => Came::NotNow(None),
            Err(_) => Came::Refused(0),
        }
    }
}

/// What a status means. A redirect is followed by nobody: the message names people, and goes where the config says.
fn came_of(status: StatusCode, retry_after: Option<Duration>) -> Came {
    match status.as_u16() {
        200..=299 => Came::Taken,
        408 | 425 | 429 | 500..=599 => Came::NotNow(retry_after),
        other => Came::Refused(other),
    }
}

impl Came {
    const fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Refused(_) => "refused",
            Self::NotNow(_) => "not_now",
        }
    }
}

/// Says it once when trouble begins, changes or ends.
fn say(came: Option<Came>, known: &mut Option<&'static str>) {
    let word = came.map(Came::word);
    if word == *known {
        return;
    }
    match came {
        None | Some(Came::Taken) => tracing::info!("the webhook's receiver takes messages again"),
        Some(Came::NotNow(_)) => {
            tracing::warn!("the webhook's receiver cannot be reached or is in trouble; messages wait")
        }
        Some(Came::Refused(0)) => tracing::error!("the webhook's address cannot be called"),
        Some(Came::Refused(status)) => {
            tracing::error!(
                status,
                "the webhook's receiver refuses messages: check `token_file`, `audience` and its keys"
            );
        }
    }
    *known = word;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_means_taken_refused_or_later() {
        let span = Some(Duration::from_secs(7));
        for (status, expected) in [
            (200, Came::Taken),
            (202, Came::Taken),
            (302, Came::Refused(302)),
            (400, Came::Refused(400)),
            (401, Came::Refused(401)),
            (404, Came::Refused(404)),
            (408, Came::NotNow(span)),
            (429, Came::NotNow(span)),
            (500, Came::NotNow(span)),
            (503, Came::NotNow(span)),
        ] {
            assert_eq!(came_of(StatusCode::from_u16(status).expect("a status"), span), expected, "{status}");
        }
    }
}

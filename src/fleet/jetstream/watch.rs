//! Follows the stream by a push consumer that must say something every second. The client's own ordered consumers make
//! themselves anew without a word, and can be silent for long; this one ends instead, and says why.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, IntoConsumerConfig as _, push};
use async_nats::{HeaderMap, Message, StatusCode, Subscriber};
use futures_util::stream::{self, Stream};
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::task::coop::unconstrained;
use tokio::time::timeout;

use super::Settings;
use super::connection::Connection;
use super::log::{addressee, extent, info, subject};
use crate::fleet::{Entry, GatewayId, Position, To, Trouble};

/// A consumer, and how far it is.
pub(super) struct Watch {
    connection: Connection,
    stream: String,
    epoch: String,
    messages: Subscriber,
    /// How many messages the consumer has sent us: it counts them, so none is lost unseen.
    received: u64,
    last: Position,
}

/// Begins to follow. `known` is the epoch that the caller thinks this is.
pub(super) async fn begin(
    connection: Connection,
    settings: &Settings,
    known: Option<String>,
    after: Position,
    me: GatewayId,
) -> Result<Watch, Trouble> {
    let stream = settings.stream.clone();
    let epoch = loop {
        let now = extent(&info(&connection, &stream).await?);
        if known.as_ref().is_some_and(|known| *known != now.epoch) {
            return Err(Trouble::Gone);
        }
        if after <= now.last {
            break now.epoch;
        }
        // A leader that is new may not know yet all that it will; a log that was put back from a copy never will.
        tokio::time::sleep(CATCH_UP).await;
        if extent(&info(&connection, &stream).await?).last < after {
            return Err(Trouble::Gone);
        }
    };
    let inbox = connection.client.new_inbox();
    let away = |error: &dyn std::fmt::Display| Trouble::Away(error.to_string());
    // First the ear, then the voice.
    let messages = connection.client.subscribe(inbox.clone()).await.map_err(|error| away(&error))?;
    let config = push::Config {
        deliver_subject: inbox,
        description: Some(format!("portcullis gateway {me}")),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after.0.saturating_add(1) },
        ack_policy: AckPolicy::None,
        filter_subjects: [To::Everyone, To::One(me)].map(|to| subject(&stream, to)).to_vec(),
        flow_control: true,
        idle_heartbeat: HEARTBEAT,
        inactive_threshold: ABANDONED,
        num_replicas: 1,
        memory_storage: true,
        ..push::Config::default()
    };
    let request = json!({ "stream_name": stream, "config": config.into_consumer_config(), "action": "create" });
    let _: Value = connection.ask(format!("CONSUMER.CREATE.{stream}"), &request).await?;
    Ok(Watch { connection, stream, epoch, messages, received: 0, last: after })
}

impl Watch {
    /// Batches of letters, until trouble.
    pub(super) fn batches(self) -> impl Stream<Item = Result<Vec<Entry>, Trouble>> + Send + 'static {
        stream::try_unfold(self, |mut watch| async move {
            let batch = watch.next().await?;
            Ok(Some((batch, watch)))
        })
    }

    /// What is there, as soon as there is anything.
    async fn next(&mut self) -> Result<Vec<Entry>, Trouble> {
        let (mut batch, mut bytes) = (Vec::new(), 0_usize);
        while batch.len() < LARGEST_BATCH && bytes < LARGEST_BATCH_BYTES {
            let message = if batch.is_empty() {
                match timeout(SILENCE, self.messages.next()).await {
                    Ok(message) => message,
                    Err(_) => return Err(self.why_silent().await),
                }
            } else {
                match unconstrained(self.messages.next()).now_or_never() {
                    Some(message) => message,
                    None => break,
                }
            };
            let message = message.ok_or_else(|| Trouble::Away("the connection was closed".to_owned()))?;
            if message.status.is_some() {
                self.hear(&message).await?;
                continue;
            }
            let entry = self.entry(&message)?;
            bytes = bytes.saturating_add(entry.body.len());
            batch.push(entry);
        }
        Ok(batch)
    }

    /// A letter, if it is the next one.
    fn entry(&mut self, message: &Message) -> Result<Entry, Trouble> {
        let lost = || Trouble::Away("letters were lost on the way to this watch".to_owned());
        let (position, number) = message.reply.as_deref().and_then(place).ok_or_else(lost)?;
        if number != self.received.saturating_add(1) || position <= self.last {
            return Err(lost());
        }
        let to = addressee(&self.stream, &message.subject).ok_or_else(lost)?;
        (self.received, self.last) = (number, position);
        Ok(Entry { position, to, body: message.payload.to_vec() })
    }

    /// What the consumer says besides letters: that it lives, that it waits for us, that it is no more.
    async fn hear(&self, message: &Message) -> Result<(), Trouble> {
        if message.status != Some(StatusCode::IDLE_HEARTBEAT) {
            let what = message.description.as_deref().unwrap_or("without a word");
            return Err(Trouble::Away(format!("the servers ended this watch: {what}")));
        }
        let headers = message.headers.as_ref();
        let header = |name: &str| headers.and_then(|headers: &HeaderMap| headers.get_last(name)).map(|v| v.as_str());
        // A request for flow control has a reply subject; one that was lost stands in the next heartbeat.
        let asked = message.reply.as_deref().or_else(|| header("Nats-Consumer-Stalled"));
        if let Some(asked) = asked {
            let answer = self.connection.client.publish(asked.to_owned(), Vec::new().into());
            let sent = timeout(SILENCE, answer).await;
            if !matches!(sent, Ok(Ok(()))) {
                return Err(Trouble::Away("the connection takes nothing".to_owned()));
            }
        }
        let sent = header("Nats-Last-Consumer").and_then(|number| number.parse().ok());
        if message.reply.is_none() && sent.is_some_and(|sent: u64| sent != self.received) {
            return Err(Trouble::Away("letters were lost on the way to this watch".to_owned()));
        }
        Ok(())
    }

    /// Why a consumer that must say something every second says nothing.
    async fn why_silent(&self) -> Trouble {
        let silent = || Trouble::Away(format!("the watch was silent for {SILENCE:?}"));
        match timeout(SILENCE, info(&self.connection, &self.stream)).await {
            Ok(Ok(now)) if extent(&now).epoch != self.epoch => Trouble::Gone,
            Ok(Err(Trouble::Gone)) => Trouble::Gone,
            _ => silent(),
        }
    }
}

/// The place in the stream and the consumer's own number, from the reply subject of a letter:
/// `$JS.ACK.STREAM.CONSUMER.DELIVERED.PLACE.NUMBER.TIME.PENDING`, or with domain and account before the stream.
fn place(reply: &str) -> Option<(Position, u64)> {
    let rest = reply.strip_prefix("$JS.ACK.")?;
    let at = if rest.split('.').count() >= 9 { 5 } else { 3 };
    let mut parts = rest.split('.').skip(at);
    let place = parts.next()?.parse().ok()?;
    Some((Position(place), parts.next()?.parse().ok()?))
}

/// How often the consumer says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a watch may be silent, and how long is asked why.
const SILENCE: Duration = Duration::from_secs(4);
/// After that the server drops a consumer to which nobody listens.
const ABANDONED: Duration = Duration::from_secs(10);
/// How long a new leader is given to know what the old one knew.
const CATCH_UP: Duration = Duration::from_millis(500);
/// Letters in a batch.
const LARGEST_BATCH: usize = 1_000;
/// Bytes of bodies after which a batch is full.
const LARGEST_BATCH_BYTES: usize = 4 * 1_024 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letters_place_is_read_from_its_reply_subject() {
        for (reply, expected) in [
            ("$JS.ACK.fleet.c1.1.77.5.1700000000000000000.9", Some((77, 5))),
            ("$JS.ACK._.hash.fleet.c1.1.77.5.1700000000000000000.9", Some((77, 5))),
            ("$JS.ACK.hub.hash.fleet.c1.1.77.5.1700000000000000000.9.random", Some((77, 5))),
            ("$JS.ACK.fleet.c1.1.77", None),
            ("$JS.ACK.fleet.c1.1.x.5.1.9", None),
            ("$JS.ACK.fleet.c1.1.99999999999999999999999.5.1.9", None),
            ("_INBOX.1", None),
            ("", None),
        ] {
            assert_eq!(place(reply), expected.map(|(place, number)| (Position(place), number)), "`{reply}`");
        }
    }
}

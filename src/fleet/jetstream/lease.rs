//! Leases without a clock that two machines would have to agree on.
//!
//! The newest message of a lease's subject says who has it and for how long. Nobody can write the next one without
//! naming the one before it. Whoever wants a lease that another has, watches: when the same message has stood there for
//! the whole term since it was first *seen*, its writer has stopped, for it began to write earlier than that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::connection::{Connection, Failure};
use super::log::unpublished;
use crate::fleet::{Fence, GatewayId, Trouble};
use crate::time::Stopwatch;

/// When which message of which lease was first seen. As many as there are names.
#[derive(Debug, Default)]
pub(super) struct Sightings(Mutex<HashMap<String, (u64, Stopwatch)>>);

/// What a lease's message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    /// Who has it; nobody if it was given back.
    holder: Option<String>,
    /// For how long, in milliseconds.
    term: u64,
}

/// The newest message.
struct Newest {
    place: u64,
    claim: Claim,
}

/// An answer of `STREAM.MSG.GET`.
#[derive(Deserialize)]
struct Found {
    message: FoundMessage,
}

#[derive(Deserialize)]
struct FoundMessage {
    seq: u64,
    #[serde(default)]
    data: String,
}

impl Sightings {
    /// How long this message of this lease is known to have stood there.
    fn see(&self, name: &str, place: u64) -> Duration {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get(name) {
            Some((known, since)) if *known == place => since.elapsed(),
            _ => {
                seen.insert(name.to_owned(), (place, Stopwatch::start()));
                Duration::ZERO
            }
        }
    }
}

/// Takes the lease, or keeps it.
pub(super) async fn take(
    connection: &Connection,
    stream: &str,
    sightings: &Sightings,
    name: &str,
    me: GatewayId,
    term: Duration,
) -> Result<Option<Fence>, Trouble> {
    let subject = subject(stream, name);
    let newest = newest(connection, stream, &subject).await?;
    let is_ours = newest.as_ref().is_none_or(|newest| match &newest.claim.holder {
        Some(holder) if *holder == me.to_string() => true,
        Some(_) => sightings.see(name, newest.place) >= with_margin(Duration::from_millis(newest.claim.term)),
        None => true,
    });
    if !is_ours {
        return Ok(None);
    }
    let term = u64::try_from(term.as_millis()).unwrap_or(u64::MAX);
    let claim = Claim { holder: Some(me.to_string()), term };
    write(connection, stream, &subject, newest.map_or(0, |newest| newest.place), &claim).await
}

/// Gives the lease back, if we have it.
pub(super) async fn release(connection: &Connection, stream: &str, name: &str, me: GatewayId) -> Result<(), Trouble> {
    let subject = subject(stream, name);
    if let Some(newest) = newest(connection, stream, &subject).await?
        && newest.claim.holder == Some(me.to_string())
    {
        write(connection, stream, &subject, newest.place, &Claim { holder: None, term: 0 }).await?;
    }
    Ok(())
}

async fn newest(connection: &Connection, stream: &str, subject: &str) -> Result<Option<Newest>, Trouble> {
    let asked = connection.ask(format!("STREAM.MSG.GET.{stream}"), &json!({ "last_by_subj": subject })).await;
    let Found { message } = match asked {
        Ok(found) => found,
        Err(Failure::Answer(error)) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => return Ok(None),
        Err(failure) => return Err(failure.into()),
    };
    let text = STANDARD.decode(&message.data).unwrap_or_default();
    // What nobody of us wrote is nobody's claim.
    let claim = serde_json::from_slice(&text).unwrap_or(Claim { holder: None, term: 0 });
    Ok(Some(Newest { place: message.seq, claim }))
}

/// Writes the message after the one at `before`; `None` if another was faster.
async fn write(
    connection: &Connection,
    stream: &str,
    subject: &str,
    before: u64,
    claim: &Claim,
) -> Result<Option<Fence>, Trouble> {
    let body = serde_json::to_vec(claim).unwrap_or_default();
    let message = PublishMessage::build()
        .payload(body.into())
        .expected_stream(stream)
        .expected_last_subject_sequence(before)
        .ttl(KEPT.max(Duration::from_millis(claim.term).saturating_mul(2)));
    let sent = connection.context.send_publish(subject.to_owned(), message).await;
    match sent.map_err(|error| unpublished(&error))?.await {
        Ok(kept) => Ok(Some(Fence(kept.sequence))),
        Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
        Err(error) => Err(unpublished(&error)),
    }
}

/// Two clocks measure the same span a little differently.
fn with_margin(term: Duration) -> Duration {
    term.saturating_add(term / 64)
}

/// The subject of a lease. Every name has another one, whatever is in it.
fn subject(stream: &str, name: &str) -> String {
    let mut subject = format!("{stream}.lease.");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            subject.push(char::from(byte));
        } else {
            subject.push_str(&format!("_{byte:02x}"));
        }
    }
    subject
}

/// How long a claim is kept at least: longer than any term.
const KEPT: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_subject_of_its_own() {
        for (name, expected) in [
            ("poll-corp", "fleet.lease.poll-corp"),
            ("poll corp", "fleet.lease.poll_20corp"),
            ("a.b", "fleet.lease.a_2eb"),
            ("a_2eb", "fleet.lease.a_5f2eb"),
            ("*>", "fleet.lease._2a_3e"),
        ] {
            assert_eq!(subject("fleet", name), expected, "`{name}`");
        }
    }

    #[test]
    fn only_the_same_message_grows_old() {
        let sightings = Sightings::default();
        assert_eq!(sightings.see("a", 1), Duration::ZERO);
        let first = sightings.see("a", 1);
        assert!(sightings.see("a", 1) >= first);
        assert_eq!(sightings.see("b", 1), Duration::ZERO, "another lease");
        assert_eq!(sightings.see("a", 2), Duration::ZERO, "a newer message");
    }
}

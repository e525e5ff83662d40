//! The stream: made, checked, appended to.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType};

use super::connection::{Connection, Failure};
use super::{Jetstream, Settings};
use crate::fleet::{Extent, GatewayId, Letter, Position, To, Trouble};

impl Jetstream {
    /// The stream, made if there is none, and found safe.
    pub(super) async fn stand(&self, connection: &Connection) -> Result<Info, Trouble> {
        let settings = &self.settings;
        let largest = connection.client.server_info().max_payload;
        if largest < LARGEST {
            return Err(unfit(
                format!("the servers take messages of at most {largest} bytes"),
                format!("let them take {LARGEST}: `max_payload` in the servers' config"),
            ));
        }
        let info = match info(connection, &settings.stream).await {
            Err(Trouble::Gone) => make(connection, settings).await?,
            found => found?,
        };
        check(&info.config, settings)?;
        Ok(info)
    }
}

/// What the stream is now; [`Trouble::Gone`] if there is none.
pub(super) async fn info(connection: &Connection, stream: &str) -> Result<Info, Trouble> {
    Ok(connection.ask(format!("STREAM.INFO.{stream}"), &()).await?)
}

/// The log as a whole.
pub(super) fn extent(info: &Info) -> Extent {
    Extent { epoch: info.created.unix_timestamp_nanos().to_string(), last: Position(info.state.last_sequence) }
}

/// The subject of letters for `to`.
pub(super) fn subject(stream: &str, to: To) -> String {
    match to {
        To::Everyone => format!("{stream}.all"),
        To::One(gateway) => format!("{stream}.to.{gateway}"),
    }
}

/// For whom letters of `subject` are.
pub(super) fn addressee(stream: &str, subject: &str) -> Option<To> {
    let rest = subject.strip_prefix(stream)?.strip_prefix('.')?;
    if rest == "all" {
        return Some(To::Everyone);
    }
    u128::from_str_radix(rest.strip_prefix("to.")?, 16).ok().map(|id| To::One(GatewayId(id)))
}

/// Publishes `letters` and waits until all of them are kept.
pub(super) async fn append(connection: &Connection, settings: &Settings, letters: &[Letter]) -> Result<(), Trouble> {
    for some in letters.chunks(AT_ONCE) {
        let mut acknowledged = Vec::with_capacity(some.len());
        for letter in some {
            let message = message(&settings.stream, letter);
            let sent = connection.context.send_publish(subject(&settings.stream, letter.to), message).await;
            acknowledged.push(sent.map_err(|error| unpublished(&error))?);
        }
        for acknowledged in acknowledged {
            let kept = match acknowledged.await {
                Ok(kept) => kept,
                // Nobody listens: the stream is gone, or its servers choose a leader.
                Err(error) if error.kind() == PublishErrorKind::StreamNotFound => {
                    info(connection, &settings.stream).await?;
                    return Err(Trouble::Away("the stream has no leader at the moment".to_owned()));
                }
                Err(error) => return Err(unpublished(&error)),
            };
            // A duplicate of one that is still on its way has no place yet.
            if kept.sequence == 0 {
                return Err(Trouble::Away("the same letter is being written at the moment".to_owned()));
            }
        }
    }
    Ok(())
}

/// Why a message may not have been kept.
pub(super) fn unpublished(error: &PublishError) -> Trouble {
    if error.kind() == PublishErrorKind::MaxPayloadExceeded {
        return unfit(
            "a letter is larger than the servers take".to_owned(),
            format!("let them take {LARGEST} bytes: `max_payload` in the servers' config"),
        );
    }
    Trouble::Away(error.to_string())
}

fn message(stream: &str, letter: &Letter) -> PublishMessage {
    let message =
        PublishMessage::build().payload(letter.body.clone().into()).message_id(&letter.id).expected_stream(stream);
    match letter.to {
        To::Everyone => message,
        To::One(_) => message.ttl(To::KEPT_FOR_ONE),
    }
}

async fn make(connection: &Connection, settings: &Settings) -> Result<Info, Trouble> {
    let wanted = wanted(settings);
    let subject = format!("STREAM.CREATE.{}", settings.stream);
    match connection.ask(subject.clone(), &wanted).await {
        Err(Failure::Answer(error)) => match error.error_code() {
            // Another gateway was faster, with other settings.
            ErrorCode::STREAM_NAME_EXIST => info(connection, &settings.stream).await,
            ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED if settings.allow.few_replicas => {
                Ok(connection.ask(subject, &Config { num_replicas: 1, ..wanted }).await?)
            }
            ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => Err(few_replicas(1, settings)),
            _ => Err(Failure::Answer(error).into()),
        },
        made => Ok(made?),
    }
}

/// The stream that is made where there is none.
fn wanted(settings: &Settings) -> Config {
    let stream = &settings.stream;
    Config {
        name: stream.clone(),
        description: Some("Portcullis: what one gateway knows, all know".to_owned()),
        subjects: subjects(stream),
        storage: if settings.allow.memory_storage { StorageType::Memory } else { StorageType::File },
        num_replicas: settings.replicas,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        max_age: settings.max_age,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        duplicate_window: if settings.max_age.is_zero() { DUPLICATES } else { DUPLICATES.min(settings.max_age) },
        deny_delete: true,
        deny_purge: true,
        allow_message_ttl: true,
        ..Config::default()
    }
}

fn subjects(stream: &str) -> Vec<String> {
    ["all", "to.*", "lease.*"].iter().map(|part| format!("{stream}.{part}")).collect()
}

/// Whether a stream loses nothing that it should keep.
fn check(config: &Config, settings: &Settings) -> Result<(), Trouble> {
    let (name, allow) = (&settings.stream, settings.allow);
    let edit = |flags: &str| format!("change it: `nats stream edit {name} {flags}`");
    let anew = || format!("make it anew: delete it, and the gateway makes it (`nats stream rm {name}`)");
    if config.num_replicas < settings.replicas && !allow.few_replicas {
        return Err(few_replicas(config.num_replicas, settings));
    }
    let missing = subjects(name).into_iter().find(|subject| !config.subjects.contains(subject));
    let for_ever = settings.max_age.is_zero();
    let forgets = !config.max_age.is_zero() && (for_ever || config.max_age < settings.max_age);
    let kept = if for_ever { "for ever".to_owned() } else { format!("for {} s", secs(settings.max_age)) };
    let limited = [config.max_bytes, config.max_messages].iter().any(|limit| *limit > 0);
    let faults = [
        (
            config.storage == StorageType::Memory && !allow.memory_storage,
            "is in memory only".to_owned(),
            format!("{}, or allow = [\"memory_storage\"]", anew()),
        ),
        (
            config.persist_mode == Some(PersistenceMode::Async) && !allow.lazy_sync,
            "is acknowledged before it is written (`persist_mode` is `async`)".to_owned(),
            format!("{}, or allow = [\"lazy_sync\"]", anew()),
        ),
        (
            forgets,
            format!("forgets after {} s what must be kept {kept}", secs(config.max_age)),
            edit(&format!("--max-age={}s", secs(settings.max_age))),
        ),
        (config.retention != RetentionPolicy::Limits, "drops what was read".to_owned(), anew()),
        (
            limited && config.discard != DiscardPolicy::New,
            "drops the oldest letters when it is full".to_owned(),
            edit("--discard=new"),
        ),
        (
            config.max_messages_per_subject > 0,
            "keeps only some letters of each subject".to_owned(),
            edit("--max-msgs-per-subject=-1"),
        ),
        (
            (1..=LARGEST).contains(&usize::try_from(config.max_message_size).unwrap_or(0)),
            "takes only small letters".to_owned(),
            edit("--max-msg-size=-1"),
        ),
        (
            !config.deny_delete || !config.deny_purge || config.allow_rollup,
            "lets letters be deleted".to_owned(),
            format!("{} with deny_delete and deny_purge", anew()),
        ),
        (
            !config.allow_message_ttl,
            "cannot drop single letters (`allow_msg_ttl`)".to_owned(),
            format!("{}; servers older than 2.11 cannot do it", edit("--allow-msg-ttl")),
        ),
        (config.no_ack || config.sealed, "acknowledges nothing".to_owned(), anew()),
        (
            config.mirror.is_some() || config.subject_transform.is_some() || missing.is_some(),
            format!("has not the subjects {}", subjects(name).join(", ")),
            anew(),
        ),
    ];
    match faults.into_iter().find(|(is_there, ..)| *is_there) {
        Some((_, what, remedy)) => Err(unfit(format!("the stream `{name}` {what}"), remedy)),
        None => Ok(()),
    }
}

fn few_replicas(found: usize, settings: &Settings) -> Trouble {
    unfit(
        format!("the stream `{}` is on {found} of {} servers", settings.stream, settings.replicas),
        format!(
            "let {} servers be one cluster and `nats stream edit {} --replicas={0}`, or allow = [\"few_replicas\"]",
            settings.replicas, settings.stream
        ),
    )
}

const fn unfit(what: String, remedy: String) -> Trouble {
    Trouble::Unfit { what, remedy }
}

const fn secs(span: Duration) -> u64 {
    span.as_secs()
}

/// The largest message: a letter's body and its headers.
const LARGEST: usize = Letter::MAX_BODY + 1_024;
/// Letters that are on their way at once.
const AT_ONCE: usize = 1_000;
/// For how long the server tells two letters with the same id apart from two letters.
const DUPLICATES: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests;

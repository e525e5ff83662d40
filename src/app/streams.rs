//! What operators do with streams, and what they see of them.

use std::time::Duration;

use crate::admin::{StreamAnswer, StreamDeed, StreamError, StreamStatus, StreamThere};
use crate::endpoint::Parts;
use crate::event::StreamStatus as Word;
use crate::event::stream_config::Configuration;
use crate::stream::manage::Trouble;
use crate::stream::{Delivery, Stream};
use crate::time::Timestamp;

/// How long a verification event may take. The command line waits a little longer for its answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Does `deed` with the stream of that name, or shows it.
pub(super) async fn act(parts: &Parts, name: &str, deed: Option<StreamDeed>) -> Result<StreamAnswer, StreamError> {
    let stream = parts.streams.get(name).ok_or_else(|| StreamError::Unknown(name.to_owned()))?;
    if !stream.is_managed() {
        return if deed.is_none() {
            Ok(shown(stream, parts.clock.now()))
        } else {
            Err(StreamError::Unmanaged(name.to_owned()))
        };
    }
    let now = || parts.clock.now();
    let failed = |trouble: Trouble| StreamError::Transmitter(trouble.to_string());
    match deed {
        // What cannot be found is shown as such.
        None => drop(stream.find().await),
        Some(StreamDeed::Create) => {}
        Some(_) => stream.find().await.map_err(failed)?,
    }
    let (mut status, mut anew, mut verified_after) = (None, false, None);
    match deed {
        // What cannot be looked at is shown as it is known here; why stands beside it.
        None if stream.configuration().is_none() => {}
        None => status = stream.look(now()).await.map_err(failed)?.1,
        Some(StreamDeed::Create) => anew = stream.create(now()).await.map_err(failed)?.anew,
        Some(StreamDeed::Verify) => {
            let took = stream.prove(now(), PATIENCE).await.map_err(failed)?;
            let took = took.ok_or(StreamError::Silent(PATIENCE.as_secs()))?;
            verified_after = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        }
        Some(StreamDeed::Pause) => status = Some(stream.set_status(Word::Paused, now()).await.map_err(failed)?),
        Some(StreamDeed::Resume) => status = Some(stream.set_status(Word::Enabled, now()).await.map_err(failed)?),
        Some(StreamDeed::Delete) => stream.delete(now()).await.map_err(failed)?,
    }
    let mut answer = StreamAnswer { anew, verified_after, ..shown(stream, now()) };
    if let (Some(there), Some(status)) = (&mut answer.transmitter, status) {
        there.status = Some(status.word().to_owned());
    }
    Ok(answer)
}

fn shown(stream: &Stream, now: Timestamp) -> StreamAnswer {
    let supervised = stream.supervised(now);
    StreamAnswer {
        name: stream.settings().name.clone(),
        issuer: stream.settings().issuer.to_string(),
        delivery: match stream.delivery() {
            Delivery::Push { .. } => "push",
            Delivery::Poll { .. } => "poll",
        }
        .to_owned(),
        state: supervised.health.word().to_owned(),
        since: supervised.since,
        transmitter: stream.configuration().map(|stream| there(&stream)),
        leader: stream.lead().leader(),
        anew: false,
        verified_after: None,
    }
}

fn there(stream: &Configuration) -> StreamThere {
    StreamThere {
        stream_id: stream.stream_id.clone(),
        status: None,
        endpoint: stream.endpoint.as_ref().map(ToString::to_string).unwrap_or_default(),
        events: stream.events_delivered.clone(),
        min_verification_interval: stream.min_verification_interval.map(|span| span.as_secs()),
        inactivity_timeout: stream.inactivity_timeout.map(|span| span.as_secs()),
    }
}

/// A line of the status.
pub(super) fn status(stream: &Stream, now: Timestamp) -> StreamStatus {
    let (state, supervised) = (stream.state(), stream.supervised(now));
    StreamStatus {
        name: stream.settings().name.clone(),
        issuer: stream.settings().issuer.to_string(),
        polled: matches!(stream.delivery(), Delivery::Poll { .. }),
        last_poll_at: state.last_poll,
        poll_trouble: state.trouble.map(|trouble| trouble.to_string()),
        last_event_at: state.last_event,
        accepted: state.accepted,
        refused: state.refused,
        state: supervised.health.word().to_owned(),
        since: supervised.since,
        last_sign_at: supervised.last_sign,
        lag: supervised.lag.map(|lag| lag.as_secs()),
        trouble: stream.management_trouble().map(|trouble| trouble.to_string()),
        leader: stream.lead().leader(),
    }
}

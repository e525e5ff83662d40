//! `portcullis stream …`: the streams that the gateway manages.

use clap::{Args, Subcommand};

use super::operator::{Door, Reply, not_understood, refused};
use super::table::{columns, or};
use super::{Exit, Outcome, Running};
use crate::admin::{Problem, StreamAnswer, StreamDeed, StreamRequest};

#[derive(Debug, Subcommand)]
pub(super) enum Stream {
    /// Find the stream at its transmitter, or make it, and bring it to what the config says
    Create(Named),
    /// Show the stream, here and at its transmitter
    Show(Named),
    /// Ask the transmitter for a verification event, and wait until it arrives
    Verify(Named),
    /// Let the transmitter send nothing until `resume`; beyond the stream's `blind_after` apps do as `when_blind` says
    Pause(Named),
    /// Let the transmitter send again
    Resume(Named),
    /// Delete the stream; the gateway does not make it again until `create` or its next start, and apps do meanwhile as their
    /// `when_blind` says
    Delete(Named),
}

#[derive(Debug, Args)]
pub(super) struct Named {
    /// The stream's name in the config
    name: String,
    #[command(flatten)]
    running: Running,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Asks the running gateway to do it, and says what came of that.
pub(super) fn stream(typed: &Stream) -> Outcome {
    let (named, deed) = match typed {
        Stream::Create(named) => (named, Some(StreamDeed::Create)),
        Stream::Show(named) => (named, None),
        Stream::Verify(named) => (named, Some(StreamDeed::Verify)),
        Stream::Pause(named) => (named, Some(StreamDeed::Pause)),
        Stream::Resume(named) => (named, Some(StreamDeed::Resume)),
        Stream::Delete(named) => (named, Some(StreamDeed::Delete)),
    };
    if !crate::config::can_be_a_name(&named.name) {
        return Outcome::not(Exit::Usage, format!("`{}` is no name of a stream", named.name));
    }
    // Serialising plain structs with string keys into memory has no failing case.
    let body = deed.map(|deed| serde_json::to_vec(&StreamRequest { deed }).unwrap_or_default());
    let path = format!("/v1/streams/{}", named.name);
    match Door::of(&named.running).and_then(|door| door.call(&path, body)) {
        Ok(reply) => answered(&reply, deed, named.json),
        Err(outcome) => outcome,
    }
}

/// What the answer means.
pub(super) fn answered(reply: &Reply, deed: Option<StreamDeed>, json: bool) -> Outcome {
    match (reply.status, reply.read::<StreamAnswer>()) {
        (200, Some(_)) if json => Outcome::done(reply.text() + "\n"),
        (200, Some(answer)) => Outcome::done(told(&answer, deed)),
        (200, None) => not_understood(),
        (502 | 504, _) => {
            let why = reply.read().map_or_else(|| "no reason given".to_owned(), |problem: Problem| problem.error);
            Outcome::not(Exit::Transmitter, why)
        }
        _ => refused(reply),
    }
}

fn told(answer: &StreamAnswer, deed: Option<StreamDeed>) -> String {
    let row = |label: &str, text: String| [label.to_owned(), text];
    let mut rows = vec![row("stream", format!("{}, {}, of {}", answer.name, answer.delivery, answer.issuer))];
    let done = match deed {
        Some(StreamDeed::Create) if answer.anew => Some("made, just now".to_owned()),
        Some(StreamDeed::Create) => Some("found, and as the config says".to_owned()),
        Some(StreamDeed::Verify) => answer
            .verified_after
            .map(|millis| format!("its event arrived {:.1} s after it was asked for", seconds(millis))),
        Some(StreamDeed::Pause) => Some("the transmitter sends nothing until `portcullis stream resume`".to_owned()),
        Some(StreamDeed::Resume) => Some("the transmitter sends again".to_owned()),
        Some(StreamDeed::Delete) => {
            Some("deleted; not made again until `portcullis stream create` or a start".to_owned())
        }
        None => None,
    };
    rows.extend(done.map(|done| row("done", done)));
    rows.push(row("state", format!("{}, since {}", answer.state, answer.since)));
    rows.extend(answer.leader.iter().map(|leader| row("led by", leader.clone())));
    if let Some(there) = &answer.transmitter {
        rows.push(row(
            "there",
            format!(
                "{}{}",
                there.stream_id,
                there.status.as_ref().map_or_else(String::new, |status| format!(", {status}"))
            ),
        ));
        rows.push(row(if answer.delivery == "poll" { "polled at" } else { "pushes to" }, there.endpoint.clone()));
        rows.push(row("can send", or(&there.events, "nothing that it says")));
        rows.extend(there.min_verification_interval.map(|least| row("verify", format!("every {least} s at the most"))));
        rows.extend(there.inactivity_timeout.map(|most| row("patience", format!("{most} s without a sign of us"))));
    }
    columns(&rows)
}

#[expect(clippy::cast_precision_loss, reason = "a wait of minutes is far below 2^52 milliseconds")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

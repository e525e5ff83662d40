//! `portcullis approvals`, `approve` and `decline`.

use clap::Args;

use super::operator::{Door, Reply, not_understood, refused};
use super::table::{columns, count, or, table};
use super::{Exit, Outcome, Running, Status};
use crate::admin::{ApprovalAnswer, ApprovalRequest, Waiting};
use crate::revocation::RevocationId;

/// Which of those that wait.
#[derive(Debug, Args)]
pub(super) struct Which {
    #[command(flatten)]
    running: Running,
    /// These, by the id that `portcullis approvals` shows; its beginning is enough where it is the only such
    #[arg(value_name = "ID", required_unless_present_any = ["stream", "all"], conflicts_with_all = ["stream", "all"])]
    ids: Vec<String>,
    /// All that came on this stream
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    stream: Option<String>,
    /// All
    #[arg(long)]
    all: bool,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Asks the running gateway what awaits approval.
pub(super) fn approvals(typed: &Status) -> Outcome {
    match Door::of(&typed.running).and_then(|door| door.call("/v1/approvals", None)) {
        Ok(reply) if reply.status != 200 => refused(&reply),
        Ok(reply) if typed.json => Outcome::done(reply.text() + "\n"),
        Ok(reply) => reply.read().map_or_else(not_understood, |waiting: Vec<Waiting>| Outcome::done(shown(&waiting))),
        Err(outcome) => outcome,
    }
}

/// Asks the running gateway to let in, or to drop, what awaits approval.
pub(super) fn decide(typed: Which, approve: bool) -> Outcome {
    match decided(typed, approve) {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

fn decided(typed: Which, approve: bool) -> Result<Outcome, Outcome> {
    let door = Door::of(&typed.running)?;
    let ids = if typed.ids.is_empty() {
        vec![]
    } else {
        let reply = door.call("/v1/approvals", None)?;
        if reply.status != 200 {
            return Err(refused(&reply));
        }
        let waiting: Vec<Waiting> = reply.read().ok_or_else(not_understood)?;
        let known: Vec<_> = waiting.iter().map(|one| one.id).collect();
        typed.ids.iter().map(|typed| named(typed, &known)).collect::<Result<_, _>>()?
    };
    let request = ApprovalRequest { ids, stream: typed.stream, all: typed.all, approve, reason: typed.reason };
    // Serialising plain structs with string keys into memory has no failing case.
    let reply = door.call("/v1/approvals", Some(serde_json::to_vec(&request).unwrap_or_default()))?;
    Ok(told(&reply, typed.json))
}

/// The one id that begins as it was typed.
pub(super) fn named(typed: &str, known: &[RevocationId]) -> Result<RevocationId, Outcome> {
    let mut found = known.iter().filter(|id| !typed.is_empty() && id.to_string().starts_with(typed));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(*id),
        (None, _) => Err(Outcome::not(Exit::Usage, format!("nothing that awaits approval has the id `{typed}`"))),
        (Some(_), Some(_)) => {
            Err(Outcome::not(Exit::Usage, format!("several ids begin with `{typed}`; type more of it")))
        }
    }
}

/// What the answer to a decision means.
pub(super) fn told(reply: &Reply, json: bool) -> Outcome {
    match (reply.status, reply.read::<ApprovalAnswer>()) {
        (200, Some(_)) if json => Outcome::done(reply.text() + "\n"),
        (200, Some(answer)) => {
            let word = if answer.approved { "in force" } else { "dropped" };
            let mut rows = vec![[word.to_owned(), count(answer.decided, "revocation")]];
            if answer.approved {
                rows.push(["in flight".to_owned(), format!("{} cut", count(answer.cut, "exchange"))]);
            }
            Outcome::done(columns(&rows))
        }
        (200, None) => not_understood(),
        (503, _) => Outcome::not(
            Exit::TryAgain,
            "in force, but not written down: a restart would ask again; run the command again",
        ),
        _ => refused(reply),
    }
}

pub(super) fn shown(waiting: &[Waiting]) -> String {
    if waiting.is_empty() {
        return "nothing awaits approval\n".to_owned();
    }
    let rows = waiting.iter().map(|one| {
        let made = &one.revocation;
        let from = one.stream.as_ref().or(one.idp.as_ref()).map_or_else(String::new, |name| format!(" {name}"));
        let id = one.id.to_string();
        [
            id.get(..12).unwrap_or(&id).to_owned(),
            made.whom.clone(),
            or(&made.apps, "every app"),
            made.mode.word().to_owned(),
            format!("{}{from}", one.source),
            one.received_at.to_string(),
            one.reason.clone().unwrap_or_default(),
        ]
    });
    let all = table(["id", "whom", "apps", "mode", "by", "received", "reason"], rows.collect());
    format!("{} NOT in force until approved\n{all}", count(waiting.len(), "revocation"))
}

//! `portcullis lift` and `portcullis holds`.

use super::operator::{Door, Reply, not_understood, refused};
use super::table::{columns, count, or, table};
use super::{Exit, Lift, Outcome, Status};
use crate::admin::{Hold, LiftAnswer, LiftRequest};

/// Asks the running gateway to lift a hold, and says what that did.
pub(super) fn lift(typed: Lift) -> Outcome {
    let json = typed.json;
    let door = match Door::of(&typed.running) {
        Ok(door) => door,
        Err(outcome) => return outcome,
    };
    let (idp, whom, apps) = (typed.idp, typed.whom.into(), typed.apps);
    let request = LiftRequest { idp, whom, apps, reason: typed.reason, as_of: None };
    // Serialising plain structs with string keys into memory has no failing case.
    let body = serde_json::to_vec(&request).unwrap_or_default();
    door.call("/v1/lifts", Some(body)).map_or_else(|outcome| outcome, |reply| lifted(&reply, json))
}

/// What the answer to a lifting means.
pub(super) fn lifted(reply: &Reply, json: bool) -> Outcome {
    match (reply.status, reply.read::<LiftAnswer>()) {
        (200, Some(_)) if json => Outcome::done(reply.text() + "\n"),
        (200, Some(answer)) if answer.lifted == 0 => Outcome::done(
            "nobody was on hold by that name; `portcullis holds` shows who is, and how the hold names them\n",
        ),
        (200, Some(answer)) => Outcome::done(columns(&[
            ["lifted".to_owned(), count(answer.lifted, "hold")],
            ["way back".to_owned(), "a new login, proven at the IdP".to_owned()],
            ["durable".to_owned(), "yes".to_owned()],
        ])),
        (200, None) => not_understood(),
        (503, _) => Outcome::not(
            Exit::TryAgain,
            "lifted, but not written down: a restart would hold again; run the command again",
        ),
        _ => refused(reply),
    }
}

/// Asks the running gateway who is on hold.
pub(super) fn holds(typed: &Status) -> Outcome {
    match Door::of(&typed.running).and_then(|door| door.call("/v1/holds", None)) {
        Ok(reply) if reply.status != 200 => refused(&reply),
        Ok(reply) if typed.json => Outcome::done(reply.text() + "\n"),
        Ok(reply) => reply.read().map_or_else(not_understood, |holds: Vec<Hold>| Outcome::done(shown(&holds))),
        Err(outcome) => outcome,
    }
}

pub(super) fn shown(holds: &[Hold]) -> String {
    if holds.is_empty() {
        return "nobody is on hold\n".to_owned();
    }
    let rows = holds.iter().map(|hold| {
        let reason = hold.reason.clone().unwrap_or_default();
        [
            hold.whom.clone(),
            hold.issuer.clone(),
            or(&hold.apps, "every app"),
            hold.since.to_string(),
            hold.source.clone(),
            reason,
        ]
    });
    table(["on hold", "issuer", "apps", "since", "by", "reason"], rows.collect())
}

//! `portcullis reload`: the running gateway reads its config again.

use super::operator::{Door, Reply, not_understood, refused};
use super::table::{columns, count, table};
use super::{Exit, Outcome, Status};
use crate::admin::{ConfigFault, ConfigStatus, ReloadAnswer};

/// Asks for it, waits, and says what came of it.
pub(super) fn reload(typed: &Status) -> Outcome {
    match Door::of(&typed.running).and_then(|door| door.call("/v1/reload", Some(b"{}".to_vec()))) {
        Ok(reply) => reloaded(&reply, typed.json),
        Err(outcome) => outcome,
    }
}

/// What the answer means.
pub(super) fn reloaded(reply: &Reply, json: bool) -> Outcome {
    if !matches!(reply.status, 200 | 409 | 422 | 503) {
        return refused(reply);
    }
    let Some(answer) = reply.read::<ReloadAnswer>() else { return not_understood() };
    let exit = match answer.result.as_str() {
        "applied" | "unchanged" => Exit::Done,
        "needs_restart" => Exit::NeedsRestart,
        "faulty" => Exit::Config,
        _ => Exit::Failed,
    };
    if json {
        return Outcome { exit, says: reply.text() + "\n", complains: String::new() };
    }
    if exit == Exit::Done { Outcome::done(taken(&answer)) } else { Outcome::not(exit, not_taken(&answer)) }
}

fn taken(answer: &ReloadAnswer) -> String {
    let of = format!("{}, edition {} since {}", answer.file, answer.edition, answer.since);
    if answer.result == "unchanged" {
        return format!("nothing to do: what the file says runs already ({of})\n");
    }
    let mut out = format!("done: {} in force ({of})\n", changes(answer));
    out.push_str(&rows(answer));
    if answer.ended > 0 {
        let ended = count(answer.ended, "exchange");
        out.push_str(&format!("\n{ended} ended: the app is there no longer\n"));
    }
    out
}

fn changes(answer: &ReloadAnswer) -> String {
    let number = answer.changes.len();
    format!("{} {}", count(number, "change"), if number == 1 { "is" } else { "are" })
}

fn rows(answer: &ReloadAnswer) -> String {
    let rows = answer.changes.iter().map(|change| [change.key.clone(), change.what.clone()]);
    table(["key", "what"], rows.collect())
}

/// Why the file was not taken, and that nothing has changed.
fn not_taken(answer: &ReloadAnswer) -> String {
    let goes_on = format!("NOTHING WAS CHANGED: edition {}, of {}, goes on", answer.edition, answer.since);
    match answer.result.as_str() {
        "faulty" => {
            format!("{}\n\n{}\n{goes_on}", faults(&answer.file, &answer.faults), count(answer.faults.len(), "fault"))
        }
        "needs_restart" => {
            let (these, them) =
                if answer.needs_restart.len() == 1 { ("this waits", "it") } else { ("these wait", "them") };
            let keys: Vec<_> = answer.needs_restart.iter().map(|key| format!("  {key}\n")).collect();
            format!(
                "{these} for a restart:\n{}{goes_on}\nrestart the gateway to take the whole file, or take {them} back and reload",
                keys.concat()
            )
        }
        _ => format!("{}\n{goes_on}", answer.trouble.as_deref().unwrap_or("it failed")),
    }
}

/// One line for each fault: where, which key, why.
fn faults(file: &str, faults: &[ConfigFault]) -> String {
    let place = |fault: &ConfigFault| fault.line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
    let rows: Vec<_> = faults.iter().map(|fault| [place(fault), fault.key.clone(), fault.why.clone()]).collect();
    columns(&rows).trim_end().to_owned()
}

/// Which config runs, in a line; and what of its file does not.
pub(super) fn of(config: &ConfigStatus) -> String {
    let mut line = format!("edition {}, since {}", config.edition, config.since);
    if let Some(refused) = &config.refused {
        let why = match refused.result.as_str() {
            "faulty" => format!("has {}", count(refused.faults.len(), "fault")),
            "needs_restart" => format!("waits for a restart ({})", refused.needs_restart.join(", ")),
            _ => "could not be run".to_owned(),
        };
        line.push_str(&format!("; {} {why} and does NOT RUN", config.file));
    }
    for stale in &config.stale_files {
        line.push_str(&format!("; {} is NOT TAKEN: {}", stale.key, stale.why));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::ConfigChange;
    use crate::time::Timestamp;

    fn reply(status: u16, answer: &ReloadAnswer) -> Reply {
        Reply { status, body: serde_json::to_vec(answer).expect("JSON") }
    }

    #[test]
    fn who_reloads_is_told_what_changed_or_that_nothing_did() {
        let (key, what) = ("apps.wiki.allow.groups".to_owned(), "changed".to_owned());
        let fault = |line, key: &str, why: &str| ConfigFault { line, key: key.into(), why: why.into() };
        let base = ReloadAnswer {
            file: "p.toml".into(),
            edition: 2,
            since: Timestamp::from_secs(1_795_463_999),
            ..ReloadAnswer::default()
        };
        for (status, answer, exit, told) in [
            (
                200,
                ReloadAnswer {
                    result: "applied".into(),
                    changes: vec![ConfigChange { key, what }],
                    ended: 1,
                    ..base.clone()
                },
                Exit::Done,
                vec![
                    "done: 1 change is in force (p.toml, edition 2",
                    "apps.wiki.allow.groups  changed",
                    "1 exchange ended",
                ],
            ),
            (200, ReloadAnswer { result: "unchanged".into(), ..base.clone() }, Exit::Done, vec!["runs already"]),
            (
                422,
                ReloadAnswer {
                    result: "faulty".into(),
                    faults: vec![fault(Some(4), "apps.wiki.idp", "no such IdP"), fault(None, "keys", "it is missing")],
                    ..base.clone()
                },
                Exit::Config,
                vec![
                    "p.toml:4  apps.wiki.idp  no such IdP",
                    "p.toml    keys           it is missing",
                    "2 faults",
                    "NOTHING WAS CHANGED",
                ],
            ),
            (
                409,
                ReloadAnswer {
                    result: "needs_restart".into(),
                    needs_restart: vec!["server.listen".into()],
                    ..base.clone()
                },
                Exit::NeedsRestart,
                vec!["this waits for a restart:\n  server.listen\nNOTHING WAS CHANGED"],
            ),
            (
                503,
                ReloadAnswer { result: "failed".into(), trouble: Some("no".into()), ..base },
                Exit::Failed,
                vec!["no\n"],
            ),
        ] {
            let outcome = reloaded(&reply(status, &answer), false);
            assert_eq!(outcome.exit, exit, "{}", answer.result);
            let text = format!("{}{}", outcome.says, outcome.complains);
            for words in told {
                assert!(text.contains(words), "{}: `{words}` is not in\n{text}", answer.result);
            }
            assert_eq!(reloaded(&reply(status, &answer), true).exit, exit, "{} in JSON", answer.result);
        }
    }
}

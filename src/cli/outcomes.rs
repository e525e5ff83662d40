//! `portcullis outcomes`: what revocations did.

use std::time::Duration;

use clap::Args;

use super::operator::{Door, not_understood, refused};
use super::table::{columns, count, or, table};
use super::{Exit, Outcome as Ended, Running};
use crate::outcome::{Amount, Left, Outcome, OutcomeList};
use crate::time::{Clock, Timestamp};

/// What is typed.
#[derive(Debug, Args)]
pub(super) struct Outcomes {
    #[command(flatten)]
    running: Running,
    /// One of them in full, by its id or the beginning of it (8 digits or more)
    #[arg(long, value_name = "ID", conflicts_with_all = ["since", "all"])]
    id: Option<String>,
    /// Only those of the last while, like 90s, 30m, 1h or 7d
    #[arg(long, value_name = "SPAN", value_parser = span)]
    since: Option<Duration>,
    /// Also people's own sign-outs
    #[arg(long)]
    all: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// A span of time as people type it.
fn span(text: &str) -> Result<Duration, &'static str> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let found = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.parse::<u64>().ok()?, *factor)));
    let (number, factor) = found.ok_or("write a whole number and `s`, `m`, `h` or `d`, like `1h`")?;
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}

/// Asks the running gateway what revocations did, and shows it.
pub(super) fn outcomes(typed: &Outcomes) -> Ended {
    let path = match &typed.id {
        Some(id) if id.bytes().all(|b| b.is_ascii_hexdigit()) && (8..=32).contains(&id.len()) => {
            format!("/v1/outcomes/{id}")
        }
        Some(_) => return Ended::not(Exit::Usage, "an id is 32 hexadecimal digits; its first 8 are enough"),
        None => {
            let since = typed.since.map_or(Timestamp::ZERO, |span| Clock::System.now().minus(span));
            format!("/v1/outcomes?since={}&all={}", since.secs(), typed.all)
        }
    };
    let reply = match Door::of(&typed.running).and_then(|door| door.call(&path, None)) {
        Ok(reply) => reply,
        Err(outcome) => return outcome,
    };
    if reply.status != 200 {
        return refused(&reply);
    }
    if typed.json {
        return Ended::done(reply.text() + "\n");
    }
    let shown = match &typed.id {
        Some(_) => reply.read().map(|outcome: Outcome| one(&outcome)),
        None => reply.read().map(|outcomes: OutcomeList| list(&outcomes)),
    };
    shown.map_or_else(not_understood, Ended::done)
}

/// A line for each.
pub(super) fn list(list: &OutcomeList) -> String {
    if list.outcomes.is_empty() {
        return "no revocation is remembered\n".to_owned();
    }
    let row = |outcome: &Outcome| {
        let cut = outcome.cut_in_all().map_or_else(|| "?".to_owned(), |cut| cut.to_string());
        [
            outcome.id.to_string().chars().take(8).collect(),
            outcome.received_at.to_string(),
            outcome.source.clone(),
            outcome.mode.word().to_owned(),
            outcome.target.clone(),
            cut,
            amount(outcome.credentials.all),
            outcome.refusals.to_string(),
            amount(outcome.signed_in_again),
            left_in_short(outcome),
        ]
    };
    let headings = ["id", "received", "source", "mode", "target", "cut", "seen", "refused", "back", "left"];
    let mut out = table(headings, list.outcomes.iter().map(row).collect());
    if list.more {
        out.push_str("\nthere are older ones; ask with --since, or with --json and the API's `limit`\n");
    }
    out.trim_start_matches('\n').to_owned()
}

fn left_in_short(outcome: &Outcome) -> String {
    match outcome.left {
        Left { nothing: true, .. } => "nothing".to_owned(),
        Left { until: Some(until), .. } => format!("until {until}"),
        Left { until: None, .. } => "held".to_owned(),
    }
}

/// Everything about one, in plain words.
pub(super) fn one(outcome: &Outcome) -> String {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, says: String| rows.push([name.to_owned(), says]);
    row("id", outcome.id.to_string());
    row("source", source(outcome));
    row("target", format!("{}, of {}", outcome.target, outcome.issuer));
    row("in", or(&outcome.apps, "every app"));
    row("mode", outcome.mode.word().to_owned());
    if let Some(reason) = &outcome.reason {
        row("reason", reason.clone());
    }
    row("cut-off", outcome.cut_off.to_string());
    row("received", outcome.received_at.to_string());
    row("in force", outcome.in_force_at.to_string());
    let on_disk = outcome.persisted_at.map_or_else(|| "NO: a restart would forget it".to_owned(), |at| at.to_string());
    row("on disk", on_disk);
    if let Some(at) = outcome.lifted_at {
        row("lifted", at.to_string());
    }
    if outcome.redelivered > 0 {
        row("sent again", count(usize::try_from(outcome.redelivered).unwrap_or(usize::MAX), "time"));
    }
    row("met", met(outcome));
    row("cut", cut(outcome));
    row("refused", refusals(outcome));
    if outcome.sign_ins_refused > 0 {
        row("sign-ins", format!("{} refused that proved nothing newer", outcome.sign_ins_refused));
    }
    row("back", back(outcome));
    if !outcome.unmatched_members.is_empty() {
        let members = outcome.unmatched_members.join(", ");
        row("not matched", format!("{members}: somebody it met never told, and was met by the rest"));
    }
    for (n, line) in left(outcome).into_iter().enumerate() {
        row(if n == 0 { "left" } else { "" }, line);
    }
    row("applied by", outcome.applied_by.join(", "));
    if !outcome.behind.is_empty() {
        row("NOT yet by", outcome.behind.join(", "));
    }
    if !outcome.silent.is_empty() {
        row("SILENT", format!("{}: whether it is in force there is not known", outcome.silent.join(", ")));
    }
    if outcome.incomplete {
        row("incomplete", "some gateways counted more than there is room for".to_owned());
    }
    let mut out = columns(&rows);
    out.push_str(&at_gateways(outcome));
    out
}

/// What each gateway counted.
fn at_gateways(outcome: &Outcome) -> String {
    let rows = outcome.gateways.iter().map(|at| {
        let cut = at.cut.as_ref().map_or_else(|| "?".to_owned(), |cut| cut.values().sum::<usize>().to_string());
        let first = at.first_refusal_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let (seen, back) = (amount(at.credentials), amount(at.signed_in_again));
        [at.gateway.clone(), cut, seen, at.refusals.to_string(), first, back]
    });
    table(["gateway", "cut", "seen", "refused", "first refused", "back"], rows.collect())
}

fn source(outcome: &Outcome) -> String {
    let mut parts = vec![outcome.source.clone()];
    let named = [("stream", &outcome.stream), ("idp", &outcome.idp), ("jti", &outcome.jti), ("txn", &outcome.txn)];
    parts.extend(named.iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?))));
    parts.join(", ")
}

fn met(outcome: &Outcome) -> String {
    let seen = &outcome.credentials;
    if seen.all == Amount::default() {
        return "nobody yet: no credential that it covers was used since".to_owned();
    }
    let kinds = [
        (seen.sessions, "session"),
        (seen.app_cookies, "app cookie"),
        (seen.app_tokens, "app token"),
        (seen.access_tokens, "access token"),
    ];
    let kinds = kinds.iter().filter(|(kind, _)| *kind != Amount::default());
    let kinds: Vec<_> = kinds.map(|(kind, one)| several(*kind, one)).collect();
    format!(
        "{} of {}: {}",
        several(seen.all, "credential"),
        if outcome.people.seen == 1 && !outcome.people.or_more {
            "1 person".to_owned()
        } else {
            format!("{} people", amount(outcome.people))
        },
        kinds.join(", ")
    )
}

fn cut(outcome: &Outcome) -> String {
    match &outcome.cut {
        None => "not known: it was written by an older gateway, or by one that ended at that moment".to_owned(),
        Some(cut) if cut.is_empty() => "nothing was in flight".to_owned(),
        Some(cut) => {
            let kinds: Vec<_> = cut.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
            format!("{} in flight: {}", count(cut.values().sum(), "exchange"), kinds.join(", "))
        }
    }
}

fn refusals(outcome: &Outcome) -> String {
    let (Some(first), Some(last)) = (outcome.first_refusal_at, outcome.last_refusal_at) else {
        return "no request since".to_owned();
    };
    let number = count(usize::try_from(outcome.refusals).unwrap_or(usize::MAX), "request");
    format!("{number} since: the same compromise, not a new one; the first at {first}, the last at {last}")
}

fn back(outcome: &Outcome) -> String {
    let people = |amount: Amount| if amount.seen == 1 && !amount.or_more { "person" } else { "people" };
    let again = outcome.signed_in_again;
    outcome.signed_in_again_at.map_or_else(
        || "nobody signed in again".to_owned(),
        |at| format!("{} {} signed in again, the first at {at}", amount(again), people(again)),
    )
}

/// What may still come. There is no list of sessions anywhere: what was not used since cannot be counted.
fn left(outcome: &Outcome) -> Vec<String> {
    let Left { until, sessions_until, app_tokens_until, others_until, nothing } = outcome.left;
    if nothing {
        return vec![format!("nothing: whatever it covers ended by itself, at {others_until} at the latest")];
    }
    let mut lines = vec![
        "how many more there are is not known, as sessions are listed nowhere; each is refused when it comes"
            .to_owned(),
    ];
    lines.push(format!("sessions end by themselves by {sessions_until}"));
    lines.extend(app_tokens_until.map(|at| format!("tokens that apps made end by {at}")));
    lines.push(match until {
        Some(at) => format!("everything else is too old by {at}"),
        None => "nobody whom it names gets in, however new the sign-in, until it is lifted".to_owned(),
    });
    lines
}

fn amount(amount: Amount) -> String {
    if amount.or_more { format!("{} or more", amount.seen) } else { amount.seen.to_string() }
}

fn several(amount: Amount, one: &str) -> String {
    if amount.or_more { format!("{} or more {one}s", amount.seen) } else { count(amount.seen, one) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::outcome::{AtGateway, Credentials};
    use crate::revocation::{Mode, RevocationId};

    const AT: Timestamp = Timestamp::from_secs(1_795_464_000);

    fn outcome() -> Outcome {
        let some = |seen| Amount { seen, or_more: false };
        Outcome {
            id: RevocationId(0x8a8d_3ec2 << 96),
            source: "global_revocation".into(),
            stream: None,
            idp: Some("corp".into()),
            jti: Some("j1".into()),
            txn: None,
            mode: Mode::Terminate,
            issuer: "https://i".into(),
            target: "email #b3564233".into(),
            apps: vec![],
            reason: None,
            cut_off: AT,
            received_at: AT,
            in_force_at: AT,
            persisted_at: Some(AT),
            lifted_at: None,
            redelivered: 1,
            people: some(1),
            credentials: Credentials { all: some(4), sessions: some(3), app_tokens: some(1), ..Credentials::default() },
            cut: Some(BTreeMap::from([("sse".to_owned(), 2), ("websocket".to_owned(), 1)])),
            refusals: 5,
            first_refusal_at: Some(AT),
            last_refusal_at: Some(AT.plus(Duration::from_secs(7_200))),
            sign_ins_refused: 0,
            signed_in_again: some(1),
            signed_in_again_at: Some(AT),
            unmatched_members: vec!["device".into()],
            left: Left {
                until: Some(AT),
                sessions_until: AT,
                app_tokens_until: None,
                others_until: AT,
                nothing: false,
            },
            applied_by: vec!["gw-1".into(), "gw-2".into()],
            behind: vec!["gw-3".into()],
            silent: vec!["gw-4".into()],
            gateways: vec![AtGateway {
                gateway: "gw-2".into(),
                cut: Some(BTreeMap::from([("sse".to_owned(), 2)])),
                people: some(1),
                credentials: some(2),
                refusals: 3,
                first_refusal_at: Some(AT),
                signed_in_again: some(0),
            }],
            incomplete: false,
        }
    }

    #[test]
    fn an_outcome_is_told_in_plain_words() {
        let told = one(&outcome());
        for words in [
            "id           8a8d3ec2000000000000000000000000\n",
            "source       global_revocation, idp corp, jti j1\n",
            "sent again   1 time\n",
            "met          4 credentials of 1 person: 3 sessions, 1 app token\n",
            "cut          3 exchanges in flight: 2 sse, 1 websocket\n",
            "refused      5 requests since: the same compromise, not a new one; the first at 2026-11-23T20:00:00Z, the last at \
             2026-11-23T22:00:00Z\n",
            "back         1 person signed in again, the first at 2026-11-23T20:00:00Z\n",
            "not matched  device: somebody",
            "left         how many more there are is not known",
            "everything else is too old by 2026-11-23T20:00:00Z\n",
            "applied by   gw-1, gw-2\n",
            "NOT yet by   gw-3\n",
            "SILENT       gw-4: whether it is in force there is not known\n",
            "gateway  cut  seen  refused  first refused         back\n",
            "gw-2     2    2     3        2026-11-23T20:00:00Z  0\n",
        ] {
            assert!(told.contains(words), "`{words}` is not in\n{told}");
        }
        let nobody = Outcome { credentials: Credentials::default(), cut: None, persisted_at: None, ..outcome() };
        let told = one(&nobody);
        for words in ["nobody yet", "not known: it was written by an older gateway", "NO: a restart would forget it"] {
            assert!(told.contains(words), "`{words}` is not in\n{told}");
        }
    }

    #[test]
    fn several_stand_in_a_table_the_newest_first() {
        let told = list(&OutcomeList { outcomes: vec![outcome()], more: true });
        assert!(told.starts_with("id        received"), "{told}");
        assert!(told.contains(
            "8a8d3ec2  2026-11-23T20:00:00Z  global_revocation  terminate  email #b3564233  3    4     5        1"
        ));
        assert!(told.contains("there are older ones"), "{told}");
        assert_eq!(list(&OutcomeList::default()), "no revocation is remembered\n");
    }

    #[test]
    fn a_span_is_typed_with_its_unit() {
        for (text, expected) in [("90s", Some(90)), ("30m", Some(1_800)), ("1h", Some(3_600)), ("7d", Some(604_800))] {
            assert_eq!(span(text).ok(), expected.map(Duration::from_secs), "{text}");
        }
        for text in ["", "1", "h", "1.5h", "-1h", "1w"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}

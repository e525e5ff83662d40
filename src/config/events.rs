//! `[streams.NAME.events]`: what the events of a stream do.

use super::faults::did_you_mean;
use super::reader::{Reader, Why};
use super::values::one_of;
use crate::event::Type;
use crate::event::caep::Level;
use crate::policy::{Action, Rule, Rules, by_default};

/// What the stream's events do, where that is not the default.
pub(super) fn rules(stream: &Reader<'_>) -> Rules {
    let short = |name: &str, word: &str| {
        let of = event(name)?;
        let action = action(&of)(word)?;
        Ok((of, Rule { action: Some(action), ..Rule::default() }))
    };
    let long = |name: &str, table: &Reader<'_>| {
        // Every key counts as known, whatever else is wrong.
        let levels = table.parse("at_least", one_of(&LEVELS, &[])).map(|at| at.value);
        let (known, as_any) = (event(name), Type::Other(String::new()));
        let told = |key| table.parse(key, action(known.as_ref().unwrap_or(&as_any))).map(|at| at.value);
        let rule = Rule { action: told("action"), by_user: told("by_user"), at_least: levels };
        let of = known?;
        if rule.at_least.is_some() && of != Type::RiskLevelChange {
            table.fault("at_least", "only `risk-level-change` has levels; remove it");
        }
        if table.has("action") || table.has("by_user") || table.has("at_least") {
            return Ok((of, rule));
        }
        Err(Why("it says nothing; write what such an event does, like \"terminate\"".to_owned()))
    };
    stream.choices("events", short, long).into_iter().collect()
}

/// The types of events that the stream may send.
pub(super) fn allowed(stream: &Reader<'_>) -> Option<Vec<Type>> {
    if stream.is_empty_list("allowed_events") {
        stream.fault("allowed_events", "the list is empty: the stream could say nothing; remove it for all events");
    }
    let listed = stream.list("allowed_events", event);
    stream.has("allowed_events").then(|| listed.into_iter().map(|at| at.value).collect())
}

/// A type by its short name, or by the URI of one that is not known here.
pub(super) fn event(name: &str) -> Result<Type, Why> {
    let of = Type::named(name);
    let Type::Other(uri) = &of else { return Ok(of) };
    if uri.contains(':') {
        return Ok(of);
    }
    let known: Vec<Type> = Type::known().collect();
    Err(Why(match did_you_mean(uri, known.iter().map(Type::name)) {
        Some(meant) => format!("there is no event `{uri}`; did you mean \"{meant}\"?"),
        None => format!("there is no event `{uri}`; write the name of a CAEP or RISC event, or the URI of another"),
    }))
}

/// What an event of that type may be told to do: what lifts a hold ends nothing, and what ends something lifts nothing.
fn action(of: &Type) -> impl Fn(&str) -> Result<Action, Why> + use<> {
    let all = match by_default(of) {
        Action::Lift => vec![Action::Lift, Action::Ignore],
        Action::Ignore if matches!(of, Type::Other(_)) => Action::ALL.to_vec(),
        _ => vec![Action::Terminate, Action::Reestablish, Action::Hold, Action::Ignore],
    };
    let choices: Vec<_> = all.iter().map(|action| (action.word(), *action)).collect();
    one_of(&choices, &[])
}

const LEVELS: [(&str, Level); 3] = [("LOW", Level::Low), ("MEDIUM", Level::Medium), ("HIGH", Level::High)];

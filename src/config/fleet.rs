//! `[fleet]`: the other gateways, and what carries letters to them.

mod jetstream;
mod postgres;

use std::time::Duration;

use super::reader::{At, Reader};
use super::values::{duration, one_of, seconds};
use super::{EngineSettings, FleetSettings};
use crate::fleet::Accept;

/// After how long without a sign of life a gateway is stale.
const STALE_AFTER: Duration = Duration::from_secs(10);
/// How long a call to the engine may take.
const TELL_WITHIN: Duration = Duration::from_secs(2);

/// How long nobody may fetch the events of a stream.
const LEAD_FOR: Duration = Duration::from_secs(10);

/// What carries letters.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Engine {
    Jetstream,
    Postgres,
}

/// `None` inside if there is no such table: this gateway is alone.
pub(super) fn fleet(file: &Reader<'_>) -> Option<Option<FleetSettings>> {
    if !file.has("fleet") {
        return Some(None);
    }
    file.section("fleet", table).map(Some)
}

fn table(table: &Reader<'_>) -> Option<FleetSettings> {
    let words = [("jetstream", Engine::Jetstream), ("postgres", Engine::Postgres)];
    let engine = table.require("engine", one_of(&words, &[]));
    let accept = table.or("accept", one_of(&[("fleet", Accept::Fleet), ("local", Accept::Local)], &[]), Accept::Fleet);
    let tell_within = table.or("tell_within", duration, TELL_WITHIN);
    let stale_after = table.parse("stale_after", seconds);
    if let Some(At { value, place }) = &stale_after
        && *value <= tell_within
    {
        table
            .context()
            .fault(place, "it must be longer than `tell_within`: one slow answer would make the gateway stale");
    }
    let lead_for = table.parse("lead_for", seconds);
    if let Some(At { value, place }) = &lead_for
        && *value <= tell_within * 2
    {
        table.context().fault(
            place,
            "it must be longer than twice `tell_within`: one slow answer would take the streams from the gateway that leads",
        );
    }
    let of_the_engine = engine.and_then(|engine| {
        let (other, wanted) = match engine.value {
            Engine::Jetstream => ("postgres", "jetstream"),
            Engine::Postgres => ("jetstream", "postgres"),
        };
        if table.has(other) {
            table.fault(other, &format!("the engine is \"{wanted}\"; drop this table, or change `engine`"));
        }
        match engine.value {
            Engine::Jetstream => {
                let read = |table: &Reader<'_>| jetstream::jetstream(table, tell_within);
                table.section("jetstream", read).map(|settings| EngineSettings::Jetstream(Box::new(settings)))
            }
            Engine::Postgres => {
                let read = |table: &Reader<'_>| postgres::postgres(table, tell_within);
                table.section("postgres", read).map(|settings| EngineSettings::Postgres(Box::new(settings)))
            }
        }
    });
    Some(FleetSettings {
        engine: of_the_engine?,
        accept,
        tell_within,
        stale_after: stale_after.map_or(STALE_AFTER, |at| at.value),
        catch_up_within: table.or("catch_up_within", seconds, Duration::from_secs(60)),
        lead_for: lead_for.map_or(LEAD_FOR, |at| at.value),
        recheck_every: table.or("stale_recheck", seconds, Duration::from_secs(900)),
    })
}

//! `portcullis fleet-sql`.

use super::{Exit, Outcome};
use crate::config::{Config, EngineSettings};
use crate::fleet::postgres::Postgres;

/// Makes the schema that the config names, and gives its user the rights that a gateway needs.
pub(super) fn sql(config: &Config) -> Outcome {
    match config.fleet.as_ref().map(|fleet| &fleet.engine) {
        Some(EngineSettings::Postgres(settings)) => Outcome::done(Postgres::sql_to_run(settings)),
        Some(EngineSettings::Jetstream(_)) => Outcome::not(Exit::Config, "the fleet's engine is not PostgreSQL"),
        None => Outcome::not(Exit::Config, "the config has no `[fleet]`"),
    }
}

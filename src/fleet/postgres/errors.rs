//! What the server's errors mean for the fleet.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use super::Trouble;

/// Nothing came in time.
pub(super) fn no_answer(deadline: Duration) -> Trouble {
    Trouble::Away(format!("PostgreSQL has not answered within {deadline:?}"))
}

/// What to do where rights are missing.
pub(super) const MISSING_RIGHTS: &str = "somebody who may must run what `portcullis fleet-sql` prints";

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Self {
        if let Some(error) = error.as_db_error() {
            return from_server(error);
        }
        let said = with_sources(error);
        match cause(error) {
            Cause::Network => Self::Away(said),
            // Neither: the server wants what we do not have, or has not what we want: a password, TLS.
            Cause::Certificate | Cause::Neither => Self::Denied(said),
        }
    }
}

fn from_server(error: &DbError) -> Trouble {
    let code = error.code();
    let said = format!("{} (SQLSTATE {})", error.message(), code.code());
    let class = code.code().get(..2).unwrap_or_default();
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return Trouble::Denied(format!("{said}; {MISSING_RIGHTS}"));
    }
    if class == INVALID_AUTHORIZATION {
        return Trouble::Denied(said);
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        return Trouble::Unfit { what: said, remedy: "make it: CREATE DATABASE".to_owned() };
    }
    if [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME, SqlState::UNDEFINED_FUNCTION].contains(code) {
        return Trouble::Gone;
    }
    Trouble::Away(said)
}

/// An error and what is behind it, in one line.
fn with_sources(error: &Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(found) = source {
        let more = found.to_string();
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        source = found.source();
    }
    said
}

/// What is behind an error that is not the server's own.
enum Cause {
    Certificate,
    Network,
    Neither,
}

fn cause(error: &Error) -> Cause {
    if error.is_closed() {
        return Cause::Network;
    }
    let mut cause = Cause::Neither;
    let mut source = error.source();
    while let Some(found) = source {
        if found.is::<rustls::Error>() {
            return Cause::Certificate;
        }
        if let Some(io) = found.downcast_ref::<io::Error>() {
            if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
                return Cause::Certificate;
            }
            cause = Cause::Network;
        }
        source = found.source();
    }
    cause
}

/// Class 28 of SQLSTATE: who are you.
const INVALID_AUTHORIZATION: &str = "28";

//! What is kept in the ledger's file beside the revocations: texts under keys, each shelf a table of its own. An older
//! gateway leaves them alone.

use rusqlite::{Connection, params};

/// A table beside the revocations.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// What revocations did.
    Outcomes,
    /// What is still to be told to others.
    Outbox,
    /// The other gateways of the fleet.
    Peers,
}

/// One text to be kept, or dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub shelf: Shelf,
    /// Its name there.
    pub key: String,
    /// What it says from now on; `None` drops it.
    pub text: Option<String>,
}

/// Made where they are not there yet.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS outcomes (key TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS outbox (key TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS peers (key TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

impl Shelf {
    const fn select(self) -> &'static str {
        match self {
            Self::Outcomes => "SELECT key, text FROM outcomes ORDER BY key",
            Self::Outbox => "SELECT key, text FROM outbox ORDER BY key",
            Self::Peers => "SELECT key, text FROM peers ORDER BY key",
        }
    }

    const fn put(self) -> &'static str {
        match self {
            Self::Outcomes => "INSERT OR REPLACE INTO outcomes (key, text) VALUES (?1, ?2)",
            Self::Outbox => "INSERT OR REPLACE INTO outbox (key, text) VALUES (?1, ?2)",
            Self::Peers => "INSERT OR REPLACE INTO peers (key, text) VALUES (?1, ?2)",
        }
    }

    const fn drop(self) -> &'static str {
        match self {
            Self::Outcomes => "DELETE FROM outcomes WHERE key = ?1",
            Self::Outbox => "DELETE FROM outbox WHERE key = ?1",
            Self::Peers => "DELETE FROM peers WHERE key = ?1",
        }
    }
}

/// Everything on a shelf, by key.
pub(super) fn read(connection: &Connection, shelf: Shelf) -> rusqlite::Result<Vec<(String, String)>> {
    connection.prepare(shelf.select())?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Does what `notes` say, in their order.
pub(super) fn write(connection: &Connection, notes: &[Note]) -> rusqlite::Result<()> {
    for Note { shelf, key, text } in notes {
        match text {
            Some(text) => connection.prepare(shelf.put())?.execute(params![key, text])?,
            None => connection.prepare(shelf.drop())?.execute(params![key])?,
        };
    }
    Ok(())
}

//! What a gateway of a fleet keeps in its ledger's file beside the revocations: who it is, up to where it has heard the
//! others, and what it has not told them yet. An older gateway leaves these alone.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use crate::time::Timestamp;

/// Up to where a gateway has heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of which log.
    pub epoch: String,
    /// Everything up to this position is in the ledger.
    pub position: u64,
}

/// Who a gateway is among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Its name, by chance; another ledger is another gateway.
    pub me: u128,
    /// Up to where it has heard; `None` for one that was never in a fleet.
    pub place: Option<Place>,
}

/// A record that the others do not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// Its number.
    pub seq: i64,
    /// Its bytes.
    pub record: Vec<u8>,
}

/// Made where they are not there yet.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS member (key TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS untold (seq INTEGER PRIMARY KEY) STRICT;
";
const ME: &str = "me";
const EPOCH: &str = "epoch";
const POSITION: &str = "position";

/// Gives a new ledger its name.
pub(super) const NAME: &str = "INSERT OR IGNORE INTO member (key, text) VALUES ('me', lower(hex(randomblob(16))))";

/// Who this is.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Membership> {
    let value = |key: &str| -> rusqlite::Result<Option<String>> {
        connection.query_row("SELECT text FROM member WHERE key = ?1", [key], |row| row.get(0)).optional()
    };
    // What somebody else wrote there by hand is no name and no place.
    let me = value(ME)?.and_then(|text| u128::from_str_radix(&text, 16).ok()).unwrap_or_default();
    let position = value(POSITION)?.and_then(|text| text.parse().ok());
    let place = value(EPOCH)?.zip(position).map(|(epoch, position)| Place { epoch, position });
    Ok(Membership { me, place })
}

/// Notes up to where this gateway has heard.
pub(super) fn note(transaction: &Transaction<'_>, place: &Place) -> rusqlite::Result<()> {
    let mut put = transaction.prepare("INSERT OR REPLACE INTO member (key, text) VALUES (?1, ?2)")?;
    put.execute(params![EPOCH, place.epoch])?;
    put.execute(params![POSITION, place.position.to_string()])?;
    Ok(())
}

/// The records that others do not know yet, the oldest first. What was forgotten meanwhile has nothing left to do anywhere.
pub(super) fn untold(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<Untold>> {
    let mut select =
        connection.prepare("SELECT seq, record FROM untold JOIN revocations USING (seq) ORDER BY seq LIMIT ?1")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    select.query_map([limit], |row| Ok(Untold { seq: row.get(0)?, record: row.get(1)? }))?.collect()
}

/// The others know these.
pub(super) fn told(transaction: &Transaction<'_>, seqs: &[i64]) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare("DELETE FROM untold WHERE seq = ?1")?;
    for seq in seqs {
        delete.execute([seq])?;
    }
    Ok(())
}

/// What is told again.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// Everything.
    All,
    /// What came in since then.
    Since(Timestamp),
    /// What no age makes void, and would leave the log by its age all the same.
    WhatLasts,
}

/// Marks records to be told again. Says how many.
pub(super) fn tell_again(connection: &Connection, which: Again) -> rusqlite::Result<usize> {
    const MARK: &str = "INSERT OR IGNORE INTO untold (seq) SELECT seq FROM revocations";
    match which {
        Again::All => connection.execute(MARK, []),
        Again::Since(moment) => {
            connection.execute(&format!("{MARK} WHERE received_at >= ?1"), [super::embedded::stored(moment)])
        }
        Again::WhatLasts => connection.execute(&format!("{MARK} WHERE lasting IS NOT NULL"), []),
    }
}

/// By which a record that comes again is found.
pub(super) const INDEX: &str = "CREATE INDEX IF NOT EXISTS revocations_by_checksum ON revocations (checksum)";
/// Whether a record is there.
pub(super) const KNOWN: &str = "SELECT 1 FROM revocations WHERE checksum = ?1 AND record = ?2";

/// Drops the marks of records that were forgotten.
pub(super) fn tidy(connection: &Connection) -> rusqlite::Result<usize> {
    connection.execute("DELETE FROM untold WHERE seq NOT IN (SELECT seq FROM revocations)", [])
}

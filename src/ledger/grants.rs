//! What the gateway asks IdPs after live sessions with (refresh tokens), sealed, in a file of its own beside the ledger.
//!
//! A cookie is the wrong place: the IdP gives a new token at each use, and a browser may hold an old cookie. Nor do these
//! belong into the ledger: they are worth something to whoever has the key ring, they go when their session goes, and a
//! gateway that lost them lets nobody in who should stay outside. Its sessions are then checked with the browser.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, TransactionBehavior, params};
use tokio::sync::mpsc;

use super::embedded::stored;
use super::file::{Mark, become_ours, connect, create, make_durable, not_durable, recognise, unusable};
use super::writer::{Done, Writer};
use super::{AppendError, OpenError};
use crate::session::SessionId;
use crate::time::Timestamp;

/// `PORG` in ASCII, and the layout below.
const MARK: Mark = Mark { application: 0x504F_5247, layout: 1 };
const SCHEMA: &str = "
    CREATE TABLE grants (
        session BLOB PRIMARY KEY NOT NULL,
        idp TEXT NOT NULL,
        sealed TEXT NOT NULL,
        checked_at INTEGER NOT NULL,
        seen_at INTEGER NOT NULL,
        ends_at INTEGER NOT NULL,
        in_doubt INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";
/// What is put behind the name of the ledger's file.
const SUFFIX: &str = ".grants";
/// Changes that may wait for the disk.
const QUEUE: usize = 4_096;
/// Changes in one transaction, at the most.
const GROUP: usize = 1_000;

/// A session that is checked in the background.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub session: SessionId,
    /// When the IdP last spoke for it.
    pub checked_at: Timestamp,
    /// When it was last used.
    pub seen_at: Timestamp,
    /// When it, and all that grew from it, ends by itself.
    pub ends_at: Timestamp,
    /// A call with its token broke off, or was never finished: the IdP may have given another that was lost.
    pub in_doubt: bool,
}

/// A change of the file.
#[derive(Clone, Debug)]
pub enum Change {
    /// A session begins to be checked.
    Keep {
        /// It.
        kept: Kept,
        /// The configured name of its IdP.
        idp: String,
        /// Its grant.
        sealed: String,
    },
    /// It is about to be asked about.
    Ask(SessionId),
    /// It was asked about, and goes on.
    Asked {
        /// Which.
        session: SessionId,
        /// When the IdP last spoke for it.
        checked_at: Timestamp,
        /// Whether its token is in doubt.
        in_doubt: bool,
        /// Its grant, if it is a new one.
        sealed: Option<String>,
    },
    /// It was used.
    Seen(SessionId, Timestamp),
    /// It is checked no more.
    Forget(SessionId),
}

/// What the writer is asked to do.
enum Job {
    Change { changes: Vec<Change>, done: Done<()> },
    Read { session: SessionId, done: Done<Option<String>> },
}

/// A handle to the file. When the last clone goes, everything queued is written and the file closed.
#[derive(Clone, Debug)]
pub struct Grants(Arc<Writer<Job>>);

impl Grants {
    /// Opens the file that belongs to the ledger at `path`, which must be open already: its lock is this file's, too.
    /// With it everything that was kept of these IdPs; what was of others is forgotten.
    pub fn beside(path: &Path, idps: &[&str]) -> Result<(Self, Vec<(String, Kept)>), OpenError> {
        let mut name = path.as_os_str().to_owned();
        name.push(SUFFIX);
        let path = PathBuf::from(name);
        create(&path)?;
        let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|e| unusable(&path, e))?;
        let is_new = recognise(&connection, &path, MARK)?;
        prepare(&mut connection, is_new).map_err(|e| unusable(&path, e))?;
        let known = |idp: &String| idps.contains(&idp.as_str());
        let mut all = || -> rusqlite::Result<_> {
            let (kept, others): (Vec<_>, Vec<_>) = all(&connection)?.into_iter().partition(|(idp, _)| known(idp));
            let others: Vec<_> = others.into_iter().map(|(_, other)| Change::Forget(other.session)).collect();
            write(&mut connection, &others)?;
            Ok(kept)
        };
        let kept = all().map_err(|e| unusable(&path, e))?;
        let writer = Writer::start("grants", &path, QUEUE, move |jobs| work(connection, jobs))?;
        Ok((Self(Arc::new(writer)), kept))
    }

    /// Writes `changes` down; resolves once they are on disk, all of them or none.
    pub async fn write(&self, changes: Vec<Change>) -> Result<(), AppendError> {
        self.0.ask(|done| Job::Change { changes, done }).await
    }

    /// The grant of a session.
    pub async fn read(&self, session: SessionId) -> Result<Option<String>, AppendError> {
        self.0.ask(|done| Job::Read { session, done }).await
    }
}

/// Brings the file into the form in which it is used.
fn prepare(connection: &mut Connection, is_new: bool) -> rusqlite::Result<()> {
    make_durable(connection)?;
    // What is forgotten is overwritten.
    connection.pragma_update(None, "secure_delete", true)?;
    if is_new { become_ours(connection, MARK, SCHEMA) } else { Ok(()) }
}

/// Everything that is kept.
fn all(connection: &Connection) -> rusqlite::Result<Vec<(String, Kept)>> {
    let mut select = connection.prepare("SELECT session, idp, checked_at, seen_at, ends_at, in_doubt FROM grants")?;
    let moment = |row: &Row<'_>, column: usize| {
        row.get::<_, i64>(column).map(|secs| Timestamp::from_secs(u64::try_from(secs).unwrap_or_default()))
    };
    let rows = select.query_map([], |row| {
        let session = SessionId(row.get(0)?);
        let (checked_at, seen_at, ends_at) = (moment(row, 2)?, moment(row, 3)?, moment(row, 4)?);
        Ok((row.get(1)?, Kept { session, checked_at, seen_at, ends_at, in_doubt: row.get(5)? }))
    })?;
    rows.collect()
}

/// The writer's whole life: until every handle is gone and the queue is empty.
fn work(mut connection: Connection, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.blocking_recv() {
        let (mut changes, mut waiting, mut next) = (Vec::new(), Vec::new(), Some(first));
        let mut read = None;
        while let Some(job) = next.take() {
            match job {
                Job::Change { changes: these, done } => {
                    changes.extend(these);
                    waiting.push(done);
                    next = if changes.len() < GROUP { jobs.try_recv().ok() } else { None };
                }
                // What was queued before it is written before it is read.
                Job::Read { session, done } => read = Some((session, done)),
            }
        }
        if !waiting.is_empty() {
            let result = write(&mut connection, &changes).map_err(not_durable);
            for done in waiting {
                // Who no longer waits has nothing to go on with.
                let _ = done.send(result.clone());
            }
        }
        if let Some((session, done)) = read {
            let _ = done.send(read_one(&connection, session).map_err(not_durable));
        }
    }
}

fn read_one(connection: &Connection, session: SessionId) -> rusqlite::Result<Option<String>> {
    let mut select = connection.prepare("SELECT sealed FROM grants WHERE session = ?1")?;
    select.query_row([session.0], |row| row.get(0)).optional()
}

/// All of them in one transaction, or none.
fn write(connection: &mut Connection, changes: &[Change]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for change in changes {
        match change {
            Change::Keep { kept, idp, sealed } => transaction
                .prepare(
                    "INSERT OR REPLACE INTO grants (session, idp, sealed, checked_at, seen_at, ends_at, in_doubt)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    kept.session.0,
                    idp,
                    sealed,
                    stored(kept.checked_at),
                    stored(kept.seen_at),
                    stored(kept.ends_at),
                    kept.in_doubt
                ])?,
            Change::Ask(session) => {
                transaction.prepare("UPDATE grants SET in_doubt = 1 WHERE session = ?1")?.execute([session.0])?
            }
            Change::Asked { session, checked_at, in_doubt, sealed } => transaction
                .prepare(
                    "UPDATE grants SET checked_at = ?2, in_doubt = ?3, sealed = coalesce(?4, sealed)
                     WHERE session = ?1",
                )?
                .execute(params![session.0, stored(*checked_at), in_doubt, sealed])?,
            Change::Seen(session, at) => transaction
                .prepare("UPDATE grants SET seen_at = ?2 WHERE session = ?1")?
                .execute(params![session.0, stored(*at)])?,
            Change::Forget(session) => {
                transaction.prepare("DELETE FROM grants WHERE session = ?1")?.execute([session.0])?
            }
        };
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    fn kept(number: u8) -> Kept {
        let at = Timestamp::from_secs;
        Kept {
            session: SessionId([number; 16]),
            checked_at: at(1_000),
            seen_at: at(1_000),
            ends_at: at(9_000),
            in_doubt: false,
        }
    }

    fn keep(number: u8) -> Change {
        Change::Keep { kept: kept(number), idp: "corp".to_owned(), sealed: format!("sealed {number}") }
    }

    #[tokio::test]
    async fn what_was_kept_is_there_after_a_restart_as_it_last_was() {
        let scratch = Scratch::new();
        let path = scratch.file("ledger.db");
        let (grants, before) = Grants::beside(&path, &["corp"]).expect("opens");
        assert_eq!(before, []);
        grants.write((1..=4).map(keep).collect()).await.expect("durable");
        let (one, two, three) = (SessionId([1; 16]), SessionId([2; 16]), SessionId([3; 16]));
        let now = Timestamp::from_secs(2_000);
        let rotated = Some("rotated".to_owned());
        grants
            .write(vec![
                Change::Ask(one),
                Change::Asked { session: one, checked_at: now, in_doubt: false, sealed: rotated },
                Change::Ask(two),
                Change::Seen(two, now),
                Change::Forget(three),
                Change::Forget(SessionId([9; 16])),
            ])
            .await
            .expect("durable");
        assert_eq!(grants.read(one).await.expect("read").as_deref(), Some("rotated"));
        assert_eq!(grants.read(three).await.expect("read"), None);
        drop(grants);
        let (grants, mut after) = Grants::beside(&path, &["corp"]).expect("opens again");
        after.sort_by_key(|(_, kept)| kept.session.0);
        let expected = [
            Kept { checked_at: now, ..kept(1) },
            // Asked about when the gateway ended: nobody knows what became of its token.
            Kept { seen_at: now, in_doubt: true, ..kept(2) },
            kept(4),
        ];
        assert_eq!(after, expected.map(|kept| ("corp".to_owned(), kept)));
        assert_eq!(grants.read(SessionId([4; 16])).await.expect("read").as_deref(), Some("sealed 4"));
        drop(grants);
        let (grants, others) = Grants::beside(&path, &["partners"]).expect("opens once more");
        assert_eq!((others, grants.read(one).await.expect("read")), (vec![], None), "an IdP that is no longer there");
    }

    #[test]
    fn another_programs_file_is_not_touched() {
        let scratch = Scratch::new();
        let path = scratch.file("ledger.db.grants");
        Connection::open(&path).expect("opens").execute_batch("CREATE TABLE theirs (x)").expect("a table");
        let refused = Grants::beside(&scratch.file("ledger.db"), &[]).map(|_| ());
        assert!(matches!(refused, Err(OpenError::NotALedger(_))), "{refused:?}");
    }
}

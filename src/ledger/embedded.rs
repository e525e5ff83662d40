//! The ledger's file: SQLite in WAL mode with `synchronous=FULL`, so that a committed transaction survives the loss of
//! power. A reader (`sqlite3 ledger.db`) may look at it while the gateway runs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

use super::file::{Mark, become_ours, connect, create, lock, make_durable, not_durable, recognise, unusable};
use super::membership::{self, Again, Place, Untold};
use super::replay::{Records, Replay};
use super::shelf::{self, Note};
use super::{AppendError, OpenError, Settings};
use crate::revocation::{Fact, encode};
use crate::time::Timestamp;

/// `PORT` in ASCII, and the layout below.
const MARK: Mark = Mark { application: 0x504F_5254, layout: 2 };
/// `AUTOINCREMENT`: no number is ever given twice, even once the newest record is forgotten.
const SCHEMA: &str = "
    CREATE TABLE revocations (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        received_at INTEGER NOT NULL,
        cut_off INTEGER NOT NULL,
        record BLOB NOT NULL,
        checksum INTEGER NOT NULL,
        lasting BLOB
    ) STRICT;
    CREATE INDEX revocations_by_cut_off ON revocations (cut_off);
    CREATE INDEX revocations_that_last ON revocations (lasting, cut_off, seq) WHERE lasting IS NOT NULL;
";
/// What brings layout 1 up: no record of it lasts.
const FROM_LAYOUT_1: &str = "
    ALTER TABLE revocations ADD COLUMN lasting BLOB;
    CREATE INDEX revocations_that_last ON revocations (lasting, cut_off, seq) WHERE lasting IS NOT NULL;
";
/// Larger files are not checked as a whole at start, which would take longer than people wait: the replay reads every
/// record and its checksum anyway.
const CHECKED_WHOLE: u64 = 256 * 1_024 * 1_024;

/// One record, ready to be written.
#[derive(Debug)]
pub(super) struct Row {
    received_at: i64,
    cut_off: i64,
    record: Vec<u8>,
    /// Of what no age makes void: what it is about. Only the newest of these is kept for ever.
    lasting: Option<Vec<u8>>,
    whence: Whence,
}

/// Where a fact comes from.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Whence {
    /// From here; nobody else is concerned.
    #[default]
    Here,
    /// From here; the other gateways are to be told.
    HereForAll,
    /// From another gateway. It may come again, and is written down once.
    Elsewhere,
}

impl Row {
    pub(super) fn of(fact: &Fact, whence: Whence) -> Self {
        Self {
            received_at: stored(fact.received_at()),
            cut_off: stored(fact.cut_off()),
            record: encode(fact),
            lasting: fact.lasting_subject().map(|subject| sha256(subject.as_bytes(), 16)),
            whence,
        }
    }
}

/// The open file, for writing. Nobody else can open it while this exists.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    path: PathBuf,
    is_new: bool,
    flushes: Arc<AtomicU64>,
    /// What others tell is found again.
    knows_again: bool,
    /// Held, not used. INVARIANT: declared last, so that the file is closed before another gateway may open it.
    _lock: File,
}

impl Store {
    pub(super) fn open(settings: &Settings) -> Result<Self, OpenError> {
        let path = &settings.path;
        let lock = lock(path)?;
        create(path)?;
        let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|e| unusable(path, e))?;
        let is_new = recognise(&connection, path, MARK)?;
        prepare(&mut connection, settings, is_new).map_err(|e| unusable(path, e))?;
        if size <= CHECKED_WHOLE {
            check(&connection, path)?;
        } else {
            tracing::warn!(path = %path.display(), size, "the ledger is too large to be checked as a whole at start");
        }
        Ok(Self { connection, path: path.clone(), is_new, flushes: Arc::default(), knows_again: false, _lock: lock })
    }

    /// Every record that is there now, in order, over a connection of its own.
    pub(super) fn replay(&self) -> Result<Replay, OpenError> {
        let open = || -> rusqlite::Result<Replay> {
            let connection = connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            let last = connection.query_row("SELECT coalesce(max(seq), 0) FROM revocations", [], |row| row.get(0))?;
            Ok(Replay {
                connection,
                path: self.path.clone(),
                is_new: self.is_new,
                next: 0,
                last,
                chunk: Records { path: self.path.as_path().into(), rows: Vec::new().into_iter() },
            })
        };
        open().map_err(|e| unusable(&self.path, e))
    }

    /// Writes `rows`, `notes` beside them, and up to where the others were heard, in one transaction and flushes it to the
    /// disk. Rows do not depend on notes: inside is whether these were written, and the number of each row, zero for what was there.
    pub(super) fn append_with(
        &mut self,
        rows: &[Row],
        notes: &[Note],
        place: Option<&Place>,
    ) -> Result<(Vec<i64>, Result<(), AppendError>), AppendError> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        if !self.knows_again && rows.iter().any(|row| row.whence == Whence::Elsewhere) {
            self.connection.execute_batch(membership::INDEX).map_err(not_durable)?;
            self.knows_again = true;
        }
        let mut write = || -> rusqlite::Result<(Vec<i64>, Result<(), AppendError>)> {
            // Dropped without a commit, a transaction is rolled back.
            let mut transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut seqs = Vec::with_capacity(rows.len());
            {
                let mut insert = transaction.prepare(
                    "INSERT INTO revocations (received_at, cut_off, record, checksum, lasting) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?;
                let mut mark = transaction.prepare("INSERT INTO untold (seq) VALUES (?1)")?;
                let mut known = transaction.prepare(membership::KNOWN)?;
                for row in rows {
                    let sum = checksum(&row.record);
                    if row.whence == Whence::Elsewhere && known.exists(params![sum, row.record])? {
                        seqs.push(0);
                        continue;
                    }
                    let seq = insert.insert(params![row.received_at, row.cut_off, row.record, sum, row.lasting])?;
                    seqs.push(seq);
                    if row.whence == Whence::HereForAll {
                        mark.execute([seq])?;
                    }
                }
            }
            if let Some(place) = place {
                membership::note(&transaction, place)?;
            }
            let kept = keep(&mut transaction, notes);
            if let Err(error) = &kept {
                tracing::error!(%error, notes = notes.len(), "what revocations did could not be written down");
            }
            transaction.commit()?;
            Ok((seqs, kept.map_err(not_durable)))
        };
        write().map_err(not_durable)
    }

    /// Writes `rows` alone.
    #[cfg(test)]
    pub(super) fn append(&mut self, rows: &[Row]) -> Result<(), AppendError> {
        self.append_with(rows, &[], None)?.1
    }

    /// Records that the others do not know yet, the oldest first.
    pub(super) fn untold(&self, limit: usize) -> Result<Vec<Untold>, AppendError> {
        membership::untold(&self.connection, limit).map_err(not_durable)
    }

    /// The others know these.
    pub(super) fn told(&mut self, seqs: &[i64]) -> Result<(), AppendError> {
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            membership::told(&transaction, seqs)?;
            transaction.commit()
        };
        write().map_err(not_durable)
    }

    /// Marks records to be told again. Says how many.
    pub(super) fn tell_again(&self, which: Again) -> Result<usize, AppendError> {
        membership::tell_again(&self.connection, which).map_err(not_durable)
    }

    /// Forgets records with a cut-off before that moment, `limit` at the most; says how many. What lasts goes only once
    /// there is a newer one about the same.
    pub(super) fn forget(&mut self, before: Timestamp, limit: usize) -> Result<usize, AppendError> {
        self.connection
            .execute(
                "DELETE FROM revocations WHERE seq IN (
                    SELECT seq FROM revocations AS old WHERE cut_off < ?1 AND (lasting IS NULL OR EXISTS (
                        SELECT 1 FROM revocations AS newer WHERE newer.lasting = old.lasting
                        AND (newer.cut_off, newer.seq) > (old.cut_off, old.seq)
                    )) LIMIT ?2
                )",
                params![stored(before), i64::try_from(limit).unwrap_or(i64::MAX)],
            )
            .map_err(not_durable)
    }

    /// How often this asked the disk to make records durable.
    #[cfg(test)]
    pub(super) fn flushes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.flushes)
    }
}

/// Writes all of `notes` or none, and leaves the transaction as it is.
fn keep(transaction: &mut Transaction<'_>, notes: &[Note]) -> rusqlite::Result<()> {
    if notes.is_empty() {
        return Ok(());
    }
    let savepoint = transaction.savepoint()?;
    shelf::write(&savepoint, notes)?;
    savepoint.commit()
}

/// Brings the file into the form in which it is used.
fn prepare(connection: &mut Connection, settings: &Settings, is_new: bool) -> rusqlite::Result<()> {
    make_durable(connection)?;
    if is_new {
        become_ours(connection, MARK, SCHEMA)?;
    } else if connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? == 1 {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(FROM_LAYOUT_1)?;
        transaction.pragma_update(None, "user_version", MARK.layout)?;
        transaction.commit()?;
    }
    connection.execute_batch(shelf::SCHEMA)?;
    connection.execute_batch(membership::SCHEMA)?;
    connection.execute(membership::NAME, [])?;
    membership::tidy(connection)?;
    if let Some(bytes) = settings.max_bytes {
        let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).map(i64::cast_unsigned)?;
        let pages = i64::try_from(bytes / page.max(1)).unwrap_or(i64::MAX).max(1);
        connection.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))?;
    }
    Ok(())
}

/// Reads the whole file and compares what must agree.
fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let found: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| unusable(path, e))?;
    if found == "ok" { Ok(()) } else { Err(OpenError::Damaged { path: path.to_owned(), found }) }
}

/// Eight bytes of SHA-256. A record is text: a flipped bit may well leave it readable, with another person in it.
pub(super) fn checksum(record: &[u8]) -> i64 {
    let sum = digest::digest(&digest::SHA256, record);
    sum.as_ref().first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// The first `length` bytes of the SHA-256 of `bytes`.
fn sha256(bytes: &[u8], length: usize) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().take(length).copied().collect()
}

pub(super) fn stored(moment: Timestamp) -> i64 {
    i64::try_from(moment.secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs::{OpenOptions, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::scratch::Scratch;
    use super::*;
    use crate::identity::{Issuer, Target, TargetKind};
    use crate::revocation::{Mode, Origin, Reach, Revocation, Whom};

    fn row(user: &str) -> Row {
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        let fact = Fact::Revoked(Revocation {
            whom: Whom::all_of(vec![Target::new(&issuer, TargetKind::User, user).expect("target")]).expect("whom"),
            reach: Reach::All,
            mode: Mode::Terminate,
            cut_off: Timestamp::from_secs(1_000),
            origin: Origin::Operator,
            reason: None,
            said: Default::default(),
            received_at: Timestamp::from_secs(1_000),
        });
        Row::of(&fact, Whence::Here)
    }

    fn filled(settings: &Settings, records: usize) {
        let mut store = Store::open(settings).expect("opens");
        let rows: Vec<_> = (0..records).map(|n| row(&format!("user {n}"))).collect();
        store.append(&rows).expect("durable");
    }

    /// Changes the file behind the gateway's back.
    fn meddle(settings: &Settings, sql: &str) {
        Connection::open(&settings.path).expect("opens").execute_batch(sql).expect("changed");
    }

    #[test]
    fn a_ledger_of_the_first_layout_is_brought_up_with_all_that_is_in_it() {
        let scratch = Scratch::new();
        let settings = Settings::at(scratch.file("ledger.db"));
        filled(&settings, 3);
        meddle(
            &settings,
            "DROP INDEX revocations_that_last; ALTER TABLE revocations DROP COLUMN lasting; PRAGMA user_version = 1",
        );
        for _ in 0..2 {
            let mut store = Store::open(&settings).expect("brought up, or up already");
            assert_eq!(store.replay().expect("readable").filter(Result::is_ok).count(), 3);
            assert_eq!(store.forget(Timestamp::from_secs(1_000), 10).expect("forgets"), 0);
        }
    }

    #[test]
    fn what_lasts_is_forgotten_only_for_a_newer_one_about_the_same() {
        let scratch = Scratch::new();
        let mut store = Store::open(&Settings::at(scratch.file("ledger.db"))).expect("opens");
        let lasting = |cut_off: i64, about: &[u8]| Row { cut_off, lasting: Some(about.to_vec()), ..row("ann") };
        // The third is late: it is older than the first.
        let rows = [lasting(5, b"hold of ann"), lasting(6, b"hold of bob"), lasting(4, b"hold of ann"), row("eve")];
        store.append(&rows).expect("durable");
        assert_eq!(store.forget(Timestamp::from_secs(2_000), 10).expect("forgets"), 2, "the late one, and eve's");
        store.append(&[lasting(5, b"hold of ann")]).expect("durable");
        assert_eq!(
            store.forget(Timestamp::from_secs(2_000), 10).expect("forgets"),
            1,
            "of two alike the later record stays"
        );
        assert_eq!(store.replay().expect("readable").count(), 2);
    }

    fn refusal(settings: &Settings) -> OpenError {
        match Store::open(settings).and_then(|store| store.replay()) {
            Err(error) => error,
            Ok(replay) => replay.last().expect("records").expect_err("something is wrong with it"),
        }
    }

    #[test]
    fn each_reason_not_to_open_names_its_remedy() {
        type Spoil = fn(&Scratch, &Settings);
        let rows: [(&str, Spoil, &str); 8] = [
            ("no directory", |s, _| std::fs::remove_dir_all(s.path()).expect("removed"), "create it and give it"),
            ("a directory", |_, f| std::fs::create_dir(&f.path).expect("made"), "must belong to"),
            ("text", |_, f| std::fs::write(&f.path, "hello, world\n".repeat(500)).expect("written"), "restore it"),
            ("other tables", |_, f| meddle(f, "CREATE TABLE t (a)"), "name another file"),
            (
                "newer layout",
                |_, f| {
                    filled(f, 1);
                    meddle(f, "PRAGMA user_version = 3");
                },
                "run that version or a later one",
            ),
            (
                "newer record",
                |_, f| {
                    let newer = Row { record: br#"{"v":9,"revocation":{}}"#.to_vec(), ..row("ann") };
                    Store::open(f).expect("opens").append(&[row("bob"), newer]).expect("durable");
                },
                "record 2 of",
            ),
            (
                "one person turned into another",
                |_, f| {
                    filled(f, 3);
                    let other = "CAST(replace(CAST(record AS TEXT), 'user 1', 'user 7') AS BLOB)";
                    meddle(f, &format!("UPDATE revocations SET record = {other}"));
                },
                "record 2 of",
            ),
            (
                "half of it gone",
                |_, f| {
                    filled(f, 2_000);
                    let file = OpenOptions::new().write(true).open(&f.path).expect("opens");
                    file.set_len(file.metadata().expect("size").len() / 2).expect("cut");
                },
                "restore it from a backup",
            ),
        ];
        for (name, spoil, remedy) in rows {
            let scratch = Scratch::new();
            let settings = Settings::at(scratch.file("ledger.db"));
            spoil(&scratch, &settings);
            let said = refusal(&settings).to_string();
            assert!(said.contains(remedy), "{name}: `{remedy}` is not in `{said}`");
            assert!(said.contains("ledger.db"), "{name}: the file is not named in `{said}`");
        }
    }

    #[test]
    fn any_page_overwritten_is_noticed_or_harmless() {
        let scratch = Scratch::new();
        let settings = Settings::at(scratch.file("ledger.db"));
        filled(&settings, 300);
        let whole = std::fs::read(&settings.path).expect("read");
        let expected: Vec<_> = Store::open(&settings)
            .and_then(|store| store.replay())
            .expect("opens")
            .map(|r| r.expect("readable"))
            .collect();
        for page in 0..whole.len() / 4_096 {
            let mut spoilt = whole.clone();
            spoilt[page * 4_096..(page + 1) * 4_096].fill(0xA5);
            std::fs::write(&settings.path, &spoilt).expect("written");
            let read = Store::open(&settings).and_then(|s| s.replay()).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            assert!(read.is_err() || read.is_ok_and(|records| records == expected), "page {page}");
        }
    }

    #[test]
    fn two_gateways_never_share_a_file() {
        let scratch = Scratch::new();
        let settings = Settings::at(scratch.file("ledger.db"));
        let first = Store::open(&settings).expect("opens");
        assert!(matches!(Store::open(&settings), Err(OpenError::InUse(_))));
        drop(first);
        assert!(Store::open(&settings).is_ok());
    }

    #[test]
    fn an_operator_may_read_while_the_gateway_writes() {
        let scratch = Scratch::new();
        let settings = Settings::at(scratch.file("ledger.db"));
        let mut store = Store::open(&settings).expect("opens");
        store.append(&[row("ann")]).expect("durable");
        let reader = Connection::open_with_flags(&settings.path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("opens");
        let transaction = reader.unchecked_transaction().expect("begun");
        let count = || transaction.query_row("SELECT count(*) FROM revocations", [], |r| r.get::<_, i64>(0));
        assert_eq!(count(), Ok(1));
        store.append(&[row("bob")]).expect("durable, with a reader in the way");
        assert_eq!(count(), Ok(1), "the reader sees what was there when it began");
    }

    #[test]
    fn only_its_owner_reads_the_ledger() {
        let scratch = Scratch::new();
        let settings = Settings::at(scratch.file("ledger.db"));
        std::fs::write(&settings.path, "").expect("written");
        std::fs::set_permissions(&settings.path, Permissions::from_mode(0o666)).expect("opened to all");
        let mut store = Store::open(&settings).expect("opens");
        store.append(&[row("ann")]).expect("durable");
        let mut seen = Vec::new();
        for file in std::fs::read_dir(scratch.path()).expect("listed").map_while(Result::ok) {
            let mode = file.metadata().expect("mode").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", file.file_name());
            seen.push(file.file_name());
        }
        assert!(seen.len() >= 3, "the file, its lock and its write-ahead log: {seen:?}");
    }

    #[test]
    fn every_commit_is_flushed() {
        let scratch = Scratch::new();
        let store = Store::open(&Settings::at(scratch.file("ledger.db"))).expect("opens");
        let pragma =
            |name| store.connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
        assert_eq!(pragma("journal_mode"), Ok("wal".to_owned().into()));
        assert_eq!(pragma("synchronous"), Ok(2.into()), "2 is FULL: the log is flushed at each commit");
    }

    #[test]
    fn a_ledger_that_was_taken_away_is_told_from_one_that_is_empty() {
        let scratch = Scratch::new();
        let settings = Settings::at(scratch.file("ledger.db"));
        let is_new = || Store::open(&settings).and_then(|store| store.replay()).expect("opens").is_new();
        assert_eq!((is_new(), is_new()), (true, false));
        std::fs::remove_file(&settings.path).expect("removed");
        assert!(is_new());
    }

    #[test]
    fn a_number_is_never_given_twice() {
        let scratch = Scratch::new();
        let mut store = Store::open(&Settings::at(scratch.file("ledger.db"))).expect("opens");
        store.append(&[row("ann")]).expect("durable");
        assert_eq!(store.forget(Timestamp::from_secs(u64::MAX), 10).ok(), Some(1));
        store.append(&[row("bob")]).expect("durable");
        assert_eq!(store.connection.query_row("SELECT seq FROM revocations", [], |r| r.get(0)), Ok(2));
    }
}

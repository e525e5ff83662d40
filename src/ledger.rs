//! The durable record of revocations.
//!
//! One thread writes. It takes everything that waits, writes it in one transaction, and flushes once for all of them:
//! an append takes one flush of the disk, however many wait at the same time. Each gateway has a file of its own.

mod embedded;
mod file;
mod grants;
mod membership;
mod replay;
#[cfg(test)]
pub(crate) mod scratch;
mod shelf;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

pub use self::embedded::Whence;
use self::embedded::{Row, Store};
pub use self::grants::{Change, Grants, Kept};
pub use self::membership::{Again, Membership, Place, Untold};
pub use self::replay::{Records, Replay};
pub use self::shelf::{Note, Shelf};
use self::writer::{Done, Writer};
use crate::revocation::{Fact, Unreadable};
use crate::time::Timestamp;

/// Where the ledger is and how large it may become.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file. Its directory must exist; a `.lock` beside it keeps other gateways out.
    pub path: PathBuf,
    /// Appends that may wait for the disk. One more is refused with [`AppendError::Busy`].
    pub queue: usize,
    /// The size at which the file counts as full: appends fail until old records are forgotten.
    pub max_bytes: Option<u64>,
}

impl Settings {
    /// The file at `path`, with a queue that no sane burst fills and no bound but the disk.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), queue: 4_096, max_bytes: None }
    }
}

/// Why the ledger can not be opened, with what to do about it. A gateway without its ledger does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is missing.
    #[error("the directory of `{0}` does not exist: create it and give it to the gateway's user")]
    NoDirectory(PathBuf),
    /// The file or its directory refuses us.
    #[error("`{0}` can not be written: its directory and the file must belong to the gateway's user")]
    NotWritable(PathBuf),
    /// Another process has it.
    #[error("`{0}` is in use by another gateway: stop that one, or give each gateway a file of its own")]
    InUse(PathBuf),
    /// A database, but none of ours.
    #[error("`{0}` is another program's database: name another file")]
    NotALedger(PathBuf),
    /// A newer gateway changed the file's layout.
    #[error("`{path}` was written by a newer gateway (layout {layout}): run that version or a later one")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The layout that it has.
        layout: i64,
    },
    /// The file is not whole.
    #[error(
        "`{path}` is damaged ({found}): restore it from a backup; or move it away, start, and revoke everyone once, \
         because what it recorded is no longer in force"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check found.
        found: String,
    },
    /// One record can not be read. It may be a revocation that would have to be in force.
    #[error(
        "record {seq} of `{path}` can not be read ({why}): run the version that wrote it, or restore the file from a \
         backup"
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// The record's number.
        seq: i64,
        /// What is wrong with it.
        #[source]
        why: Unreadable,
    },
    /// The disk or the system failed.
    #[error("`{path}` can not be opened: look at the disk and the system's log")]
    Storage {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Failure,
    },
}

/// What failed below us.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The database.
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    /// The file system, or the thread that was to write.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// Why an append is not durable. Nothing was acknowledged; the same append may be tried again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// More appends wait than may.
    #[error("too many appends wait for the disk")]
    Busy,
    /// No space left, on the disk or within the bound of the settings.
    #[error("the ledger or its disk is full")]
    Full,
    /// The disk failed.
    #[error("the ledger could not be written")]
    Storage(#[source] Arc<rusqlite::Error>),
    /// The writer is gone: the gateway is stopping.
    #[error("the ledger is closed")]
    Closed,
}

/// What the writer is asked to do.
enum Job {
    Append { rows: Vec<Row>, notes: Vec<Note>, place: Option<Place>, done: Done<i64> },
    Forget { before: Timestamp, done: Done<usize> },
    Untold { limit: usize, done: Done<Vec<Untold>> },
    Told { seqs: Vec<i64>, done: Done<()> },
    TellAgain { which: Again, done: Done<usize> },
}

/// What is to be written, all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Entry<'a> {
    /// Facts.
    pub facts: &'a [Fact],
    /// Where they come from.
    pub whence: Whence,
    /// What is kept beside them. Facts do not depend on it: what cannot be kept is said in the log, and they are durable
    /// all the same. Notes without anything else succeed or fail by themselves.
    pub notes: Vec<Note>,
    /// Up to where the others were heard, once these are written.
    pub place: Option<Place>,
}

/// A handle to the writer. When the last clone goes, everything queued is written and the file closed.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Writer<Job>>);

/// Records in one transaction, at the most: what one flush can be made to wait for.
const GROUP: usize = 10_000;
/// Records forgotten in one transaction, at the most: appends wait no longer than that takes.
const FORGET_AT_ONCE: usize = 10_000;

impl Ledger {
    /// Opens the file, makes it if it is not there, and checks it. The replay yields every record in the order in
    /// which they were appended; it must be in force before the first request is let in.
    pub fn open(settings: &Settings) -> Result<(Self, Replay), OpenError> {
        let store = Store::open(settings)?;
        let replay = store.replay()?;
        let writer = Writer::start("ledger", &settings.path, settings.queue, move |jobs| write(store, jobs))?;
        Ok((Self(Arc::new(writer)), replay))
    }

    /// Writes `facts` down; resolves once they are on disk, all of them or none. They are queued before this
    /// waits for the first time: dropping the future later does not take them back.
    pub async fn append(&self, facts: &[Fact]) -> Result<(), AppendError> {
        self.write(Entry { facts, ..Entry::default() }).await.map(drop)
    }

    /// The same, with what is kept beside them, in the same transaction.
    pub async fn append_with(&self, facts: &[Fact], notes: Vec<Note>) -> Result<(), AppendError> {
        self.write(Entry { facts, notes, ..Entry::default() }).await.map(drop)
    }

    /// Writes `entry` down, like [`Ledger::append`]. Gives the number of the first fact from here; the others follow it.
    pub async fn write(&self, entry: Entry<'_>) -> Result<i64, AppendError> {
        let Entry { facts, whence, notes, place } = entry;
        if facts.is_empty() && notes.is_empty() && place.is_none() {
            return Ok(0);
        }
        let rows = facts.iter().map(|fact| Row::of(fact, whence)).collect();
        self.0.ask(|done| Job::Append { rows, notes, place, done }).await
    }

    /// Records that the others do not know yet, the oldest first, at most `limit`.
    pub async fn untold(&self, limit: usize) -> Result<Vec<Untold>, AppendError> {
        self.0.ask(|done| Job::Untold { limit, done }).await
    }

    /// Notes that the others know these.
    pub async fn told(&self, seqs: Vec<i64>) -> Result<(), AppendError> {
        self.0.ask(|done| Job::Told { seqs, done }).await
    }

    /// Marks records to be told again. Says how many are newly marked.
    pub async fn tell_again(&self, which: Again) -> Result<usize, AppendError> {
        self.0.ask(|done| Job::TellAgain { which, done }).await
    }

    /// Forgets every record with a cut-off before that moment; says how many.
    pub async fn forget_before(&self, before: Timestamp) -> Result<usize, AppendError> {
        let mut forgotten = 0;
        loop {
            let now = self.0.ask(|done| Job::Forget { before, done }).await?;
            forgotten += now;
            if now < FORGET_AT_ONCE {
                return Ok(forgotten);
            }
        }
    }
}

/// The writer's whole life: until every handle is gone and the queue is empty.
fn write(mut store: Store, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut group = Group::default();
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Append { rows, notes, place, done } => {
                    let only_notes = rows.is_empty() && place.is_none();
                    group.waiting.push(Waiting { done, at: group.rows.len(), only_notes });
                    group.rows.extend(rows);
                    group.notes.extend(notes);
                    group.place = place.or(group.place);
                }
                other => {
                    std::mem::take(&mut group).commit(&mut store);
                    // The caller may be gone; what is done stays done.
                    match other {
                        Job::Append { .. } => {}
                        Job::Forget { before, done } => drop(done.send(store.forget(before, FORGET_AT_ONCE))),
                        Job::Untold { limit, done } => drop(done.send(store.untold(limit))),
                        Job::Told { seqs, done } => drop(done.send(store.told(&seqs))),
                        Job::TellAgain { which, done } => drop(done.send(store.tell_again(which))),
                    }
                }
            }
            next = if group.rows.len() + group.notes.len() < GROUP { jobs.try_recv().ok() } else { None };
        }
        group.commit(&mut store);
    }
}

/// Appends that share one transaction.
#[derive(Default)]
struct Group {
    rows: Vec<Row>,
    notes: Vec<Note>,
    place: Option<Place>,
    waiting: Vec<Waiting>,
}

/// Who waits for a transaction.
struct Waiting {
    done: Done<i64>,
    /// Where its rows begin.
    at: usize,
    /// There are no rows.
    only_notes: bool,
}

impl Group {
    fn commit(self, store: &mut Store) {
        if self.waiting.is_empty() {
            return;
        }
        let result = store.append_with(&self.rows, &self.notes, self.place.as_ref());
        for Waiting { done, at, only_notes } in self.waiting {
            let result = match &result {
                Ok((_, notes)) if only_notes => notes.clone().map(|()| 0),
                Ok((seqs, _)) => Ok(seqs.get(at).copied().unwrap_or_default()),
                Err(why) => Err(why.clone()),
            };
            // Who no longer waits has nothing to acknowledge.
            let _ = done.send(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use tokio::sync::oneshot;

    use super::scratch::Scratch;
    use super::*;
    use crate::identity::{Issuer, Target, TargetKind};
    use crate::revocation::{Mode, Origin, Reach, Revocation, Whom};

    fn revocation(user: &str, cut_off: u64) -> Fact {
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        Fact::Revoked(Revocation {
            whom: Whom::all_of(vec![Target::new(&issuer, TargetKind::User, user).expect("target")]).expect("whom"),
            reach: Reach::All,
            mode: Mode::Terminate,
            cut_off: Timestamp::from_secs(cut_off),
            origin: Origin::Operator,
            reason: None,
            said: Default::default(),
            received_at: Timestamp::from_secs(cut_off),
        })
    }

    fn users(replay: Replay) -> Vec<String> {
        let user = |fact| match fact {
            Fact::Revoked(revocation) => revocation.whom.targets()[0].value.clone(),
            Fact::Reestablished(back) => back.who.value,
            other @ (Fact::Awaiting(_) | Fact::Decided(_)) => format!("{other:?}"),
            Fact::Lifted(lifted) => lifted.whom.targets()[0].value.clone(),
        };
        replay.map(|fact| user(fact.expect("readable"))).collect()
    }

    /// A process that another test starts at this moment has the lock, too, until it runs its program.
    #[expect(clippy::disallowed_methods, reason = "nothing tells when the other process runs its program")]
    fn reopened(settings: &Settings) -> Vec<String> {
        for _ in 0..500 {
            match Ledger::open(settings) {
                Err(OpenError::InUse(_)) => std::thread::sleep(std::time::Duration::from_millis(20)),
                opened => return users(opened.expect("opens again").1),
            }
        }
        panic!("it stays in use");
    }

    #[tokio::test]
    async fn what_was_acknowledged_is_replayed_in_order() {
        let scratch = Scratch::new();
        let settings = Settings::at(scratch.file("ledger.db"));
        let (ledger, replay) = Ledger::open(&settings).expect("opens");
        assert_eq!(users(replay), Vec::<String>::new());
        let expected: Vec<_> = (0..2_500).map(|n| format!("user {n}")).collect();
        for some in expected.chunks(700) {
            let some: Vec<_> = some.iter().map(|user| revocation(user, 1_000)).collect();
            ledger.append(&some).await.expect("durable");
        }
        drop(ledger);
        assert_eq!(reopened(&settings), expected);
    }

    #[tokio::test]
    async fn what_is_appended_while_a_replay_runs_does_not_disturb_it() {
        let scratch = Scratch::new();
        let settings = Settings::at(scratch.file("ledger.db"));
        let (ledger, _) = Ledger::open(&settings).expect("opens");
        let many: Vec<_> = (0..3_000).map(|n| revocation(&format!("user {n}"), 1_000)).collect();
        ledger.append(&many).await.expect("durable");
        drop(ledger);
        let (ledger, mut replay) = Ledger::open(&settings).expect("opens");
        assert!(replay.next().is_some());
        ledger.append(&[revocation("late", 1_000)]).await.expect("durable");
        let rest = users(replay);
        assert_eq!((rest.len(), rest.last().map(String::as_str)), (2_999, Some("user 2999")));
    }

    #[test]
    fn appends_that_wait_together_share_one_flush() {
        let scratch = Scratch::new();
        let store = Store::open(&Settings::at(scratch.file("ledger.db"))).expect("opens");
        let flushes = store.flushes();
        let (jobs, queue) = mpsc::channel(500);
        let waiting: Vec<_> = (0..500)
            .map(|n| {
                let (done, written) = oneshot::channel();
                let rows = vec![Row::of(&revocation(&format!("user {n}"), 1_000), Whence::Here)];
                assert!(jobs.try_send(Job::Append { rows, notes: vec![], place: None, done }).is_ok());
                written
            })
            .collect();
        drop(jobs);
        write(store, queue);
        for (n, written) in waiting.into_iter().enumerate() {
            let seq = written.blocking_recv().expect("an answer").expect("durable");
            assert_eq!(usize::try_from(seq), Ok(n + 1), "each learns its own number");
        }
        assert_eq!(flushes.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_queue_that_is_full_refuses_instead_of_growing() {
        // A queue that nobody reads.
        let (jobs, _queue) = mpsc::channel(1);
        let ledger = Ledger(Arc::new(Writer::to(jobs)));
        let one = [revocation("ann", 1_000)];
        assert!(futures_util::poll!(std::pin::pin!(ledger.append(&one))).is_pending());
        assert!(matches!(ledger.append(&one).await, Err(AppendError::Busy)));
    }

    #[tokio::test]
    async fn a_writer_that_is_gone_acknowledges_nothing() {
        let (jobs, queue) = mpsc::channel(1);
        let ledger = Ledger(Arc::new(Writer::to(jobs)));
        let one = [revocation("ann", 1_000)];
        let mut waiting = std::pin::pin!(ledger.append(&one));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(queue);
        assert!(matches!(waiting.await, Err(AppendError::Closed)));
        assert!(matches!(ledger.append(&one).await, Err(AppendError::Closed)));
    }

    #[tokio::test]
    async fn a_full_ledger_acknowledges_nothing_and_goes_on_once_there_is_space() {
        let scratch = Scratch::new();
        let settings = Settings { max_bytes: Some(256 * 1_024), ..Settings::at(scratch.file("ledger.db")) };
        let (ledger, _) = Ledger::open(&settings).expect("opens");
        let mut acknowledged = Vec::new();
        let full = loop {
            let batch: Vec<_> = (0..50).map(|n| format!("user {}", acknowledged.len() + n)).collect();
            let rows: Vec<_> = batch.iter().map(|user| revocation(user, 1_000)).collect();
            match ledger.append(&rows).await {
                Ok(()) => acknowledged.extend(batch),
                Err(error) => break error,
            }
            assert!(acknowledged.len() < 100_000, "the bound was never met");
        };
        assert!(matches!(full, AppendError::Full), "{full:?}");
        assert!(ledger.append(&vec![revocation("eve", 2_000); 50]).await.is_err(), "still full");
        assert_eq!(ledger.forget_before(Timestamp::from_secs(1_001)).await.expect("forgets"), acknowledged.len());
        ledger.append(&[revocation("late", 2_000)]).await.expect("durable again");
        drop(ledger);
        assert_eq!(reopened(&settings), ["late"]);
    }

    #[tokio::test]
    async fn what_is_kept_beside_facts_is_there_after_a_restart_and_never_stands_in_their_way() {
        let scratch = Scratch::new();
        let settings = Settings::at(scratch.file("ledger.db"));
        let note = |key: &str, text: Option<&str>| Note {
            shelf: Shelf::Outcomes,
            key: key.to_owned(),
            text: text.map(str::to_owned),
        };
        let (ledger, replay) = Ledger::open(&settings).expect("opens");
        drop(replay);
        let both = vec![note("a", Some("1")), note("b", Some("2"))];
        ledger.append_with(&[revocation("ann", 1_000)], both).await.expect("durable");
        ledger.append_with(&[], vec![note("b", None), note("a", Some("3"))]).await.expect("durable");
        drop(ledger);
        let (ledger, replay) = Ledger::open(&settings).expect("opens again");
        assert_eq!(replay.notes(Shelf::Outcomes).expect("readable"), [("a".to_owned(), "3".to_owned())]);
        assert_eq!(replay.notes(Shelf::Outbox).expect("readable"), []);
        drop(replay);
        let held = rusqlite::Connection::open(scratch.file("ledger.db")).expect("the file");
        held.execute_batch("DROP TABLE outcomes").expect("somebody ruins the shelf");
        assert!(ledger.append_with(&[], vec![note("c", Some("4"))]).await.is_err(), "notes alone are not kept");
        let with = ledger.append_with(&[revocation("bob", 1_000)], vec![note("c", Some("4"))]).await;
        with.expect("a revocation is durable all the same");
        drop((ledger, held));
        assert_eq!(reopened(&settings), ["ann", "bob"]);
    }

    #[tokio::test]
    async fn what_others_do_not_know_is_remembered_until_they_do() {
        let scratch = Scratch::new();
        let settings = Settings::at(scratch.file("ledger.db"));
        let seqs = async |ledger: &Ledger| -> Vec<i64> {
            ledger.untold(10).await.expect("readable").into_iter().map(|one| one.seq).collect()
        };
        let (ledger, replay) = Ledger::open(&settings).expect("opens");
        let Membership { me, place } = replay.membership().expect("readable");
        assert!(me != 0 && place.is_none());
        drop(replay);
        let both = [revocation("ann", 1_000), revocation("bob", 1_000)];
        let first = ledger
            .write(Entry { facts: &both, whence: Whence::HereForAll, ..Entry::default() })
            .await
            .expect("durable");
        let place = Some(Place { epoch: "e".into(), position: 9 });
        let heard = [revocation("eve", 1_000)];
        for _ in 0..2 {
            let entry = Entry { facts: &heard, whence: Whence::Elsewhere, place: place.clone(), ..Entry::default() };
            ledger.write(entry).await.expect("durable, and once however often it is heard");
        }
        assert_eq!(seqs(&ledger).await, [first, first + 1], "what was heard from others is not told");
        ledger.told(vec![first]).await.expect("durable");
        drop(ledger);
        let (ledger, replay) = Ledger::open(&settings).expect("opens again");
        assert_eq!(replay.membership().expect("readable"), Membership { me, place });
        drop(replay);
        let untold = ledger.untold(10).await.expect("readable");
        assert_eq!(untold, [Untold { seq: first + 1, record: crate::revocation::encode(&both[1]) }]);
        assert_eq!(ledger.tell_again(Again::All).await.expect("durable"), 2);
        assert_eq!(seqs(&ledger).await, [first, first + 1, first + 2]);
        ledger.forget_before(Timestamp::from_secs(2_000)).await.expect("forgets");
        assert_eq!(seqs(&ledger).await, Vec::<i64>::new(), "what has nothing left to do need not be told");
    }

    #[tokio::test]
    async fn only_records_with_an_older_cut_off_are_forgotten() {
        let scratch = Scratch::new();
        let settings = Settings::at(scratch.file("ledger.db"));
        let (ledger, _) = Ledger::open(&settings).expect("opens");
        let old: Vec<_> = (0..FORGET_AT_ONCE + 5).map(|n| revocation(&format!("old {n}"), 999)).collect();
        ledger.append(&old).await.expect("durable");
        ledger.append(&[revocation("equal", 1_000), revocation("newer", 1_001)]).await.expect("durable");
        assert_eq!(ledger.forget_before(Timestamp::from_secs(1_000)).await.expect("forgets"), old.len());
        drop(ledger);
        assert_eq!(reopened(&settings), ["equal", "newer"]);
    }

    /// Environment of the test that plays the gateway which is killed.
    const VICTIM: &str = "PORTCULLIS_TEST_VICTIM_LEDGER";

    /// Appends from several tasks at once, and prints each user once their revocation is acknowledged, until killed.
    /// Run by itself it does nothing: the tests below start it as a process of its own.
    #[test]
    fn victim() {
        let Some(path) = std::env::var_os(VICTIM) else { return };
        let (ledger, replay) = Ledger::open(&Settings::at(path)).expect("opens");
        let known = replay.count();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("runtime");
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let ledger = ledger.clone();
                runtime.spawn(async move {
                    for n in 0.. {
                        let user = format!("{known}-{task}-{n}");
                        match ledger.append(&[revocation(&user, 1_000)]).await {
                            Ok(()) => println!("acknowledged {user}"),
                            Err(error) => println!("refused {error}"),
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            runtime.block_on(task).expect("never ends by itself");
        }
    }

    fn start_victim(shell: &str, settings: &Settings) -> std::process::Child {
        Command::new("sh")
            .args(["-c", &format!("{shell} exec \"$0\" --exact ledger::tests::victim --nocapture")])
            .arg(std::env::current_exe().expect("this test's own binary"))
            .env(VICTIM, &settings.path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process")
    }

    /// A number below `bound` that differs from round to round and is the same in every run.
    fn scattered(round: usize, bound: usize) -> usize {
        (round + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) % bound
    }

    #[test]
    fn whatever_was_acknowledged_survives_a_kill_at_any_moment() {
        const ROUNDS: usize = 12;
        let scratch = Scratch::new();
        let settings = Settings::at(scratch.file("ledger.db"));
        let mut acknowledged = Vec::new();
        for round in 0..ROUNDS {
            let mut victim = start_victim("", &settings);
            let mut lines = BufReader::new(victim.stdout.take().expect("piped")).lines().map_while(Result::ok);
            let users = |line: String| line.strip_prefix("acknowledged ").map(str::to_owned);
            let before = acknowledged.len();
            acknowledged.extend(lines.by_ref().filter_map(users).take(1 + scattered(round, 200)));
            victim.kill().expect("killed");
            assert!(acknowledged.len() > before, "round {round}: the victim appended nothing");
            // What it managed to print before it died was acknowledged too.
            acknowledged.extend(lines.filter_map(users));
            victim.wait().expect("gone");
            let found: std::collections::HashSet<_> = reopened(&settings).into_iter().collect();
            let lost: Vec<_> = acknowledged.iter().filter(|user| !found.contains(*user)).collect();
            assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:?}");
        }
    }

    #[test]
    fn a_disk_that_takes_no_more_loses_nothing_acknowledged_and_is_used_again_once_it_does() {
        let scratch = Scratch::new();
        let settings = Settings::at(scratch.file("ledger.db"));
        // A limit on the size of files is a full disk for one process: 512 KiB here, as an error instead of a signal.
        let mut victim = start_victim("trap '' XFSZ; ulimit -S -f 1024;", &settings);
        let mut lines = BufReader::new(victim.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let mut acknowledged = Vec::new();
        let mut read_until = |wanted: &str, times: usize| {
            let mut left = times;
            while left > 0 {
                let line = lines.next().unwrap_or_else(|| panic!("the victim died before it printed `{wanted}`"));
                left -= usize::from(line.starts_with(wanted));
                acknowledged.extend(line.strip_prefix("acknowledged ").map(str::to_owned));
            }
        };
        read_until("acknowledged", 1);
        read_until("refused", 20);
        let pid = victim.id().to_string();
        let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
        assert!(lifted.expect("prlimit, of util-linux").success());
        read_until("acknowledged", 100);
        victim.kill().expect("killed");
        victim.wait().expect("gone");
        let found: std::collections::HashSet<_> = reopened(&settings).into_iter().collect();
        let lost: Vec<_> = acknowledged.iter().filter(|user| !found.contains(*user)).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    }
}

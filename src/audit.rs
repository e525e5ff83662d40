//! What happened and to whom: one event, one line of JSON, for the people who must answer for it later.
//!
//! Off the request's path: events go through a bounded queue to a thread that writes. When the queue is full an event
//! is dropped and counted; no request ever waits for the audit log. The file is opened for appending only, so a tool
//! that copies and truncates it may rotate it.

mod fields;
mod way;

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde::Serialize;

use self::fields::{bounded, bounded_option, first_eight, readable, without_query};
pub use self::way::Way;
use crate::metrics::Metrics;
use crate::revocation::{Mode, RevocationId};
use crate::time::{Clock, Timestamp};

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Nowhere.
    Off,
    /// The process's standard output, for a container's log.
    Stdout,
    /// To the end of that file, which only its owner can read.
    File(PathBuf),
}

/// Where the lines go and how many may wait.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the lines go.
    pub sink: Sink,
    /// Events that may wait to be written. At the bound further ones are dropped and counted.
    pub queue: usize,
}

/// The audit file can not be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "the audit log `{path}` can not be opened for writing: its directory must exist and belong to the gateway's user"
)]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// What is worth a line. `user` is the IdP's `sub`; sessions show the first eight characters of their id, requests
/// their method and path without the query. Tokens, cookies and e-mail addresses have no place here.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The gateway is about to accept requests.
    Started {
        /// Its version.
        version: &'static str,
        /// Revocations that the ledger put in force.
        revocations: usize,
    },
    /// Somebody signed in.
    SignedIn {
        /// To which app they wanted.
        app: String,
        /// Who says who they are.
        idp: String,
        /// Their `sub`.
        user: String,
        /// The new session.
        #[serde(serialize_with = "first_eight")]
        session: String,
    },
    /// The IdP sent somebody back, and they were not let in.
    SignInRefused {
        /// To which app they wanted.
        app: String,
        /// From where they came.
        idp: String,
        /// Their `sub`, if the assertion got as far as being believed.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// The word of the reason.
        #[serde(serialize_with = "bounded")]
        why: String,
    },
    /// The IdP, asked whether a session still stands, did not say yes.
    SessionRefused {
        /// The IdP.
        idp: String,
        /// The word for how it was asked.
        by: &'static str,
        /// The person's `sub`; empty if nobody knows any more.
        user: String,
        /// The session.
        #[serde(serialize_with = "first_eight")]
        session: String,
        /// What it said, or did not say.
        why: &'static str,
    },
    /// Somebody signed out.
    SignedOut {
        /// In which app.
        app: String,
        /// Who had said who they are.
        idp: String,
        /// Their `sub`.
        user: String,
        /// The session that is over.
        #[serde(serialize_with = "first_eight")]
        session: String,
    },
    /// A request came with a credential that was revoked.
    RequestRefused {
        /// For which app.
        app: String,
        /// Who had said who they are.
        idp: String,
        /// Their `sub`.
        user: String,
        /// Their session.
        #[serde(serialize_with = "first_eight")]
        session: String,
        /// What the revocation demands.
        mode: Mode,
        /// Since when.
        #[serde(serialize_with = "readable")]
        cut_off: Timestamp,
        /// Method and path.
        #[serde(serialize_with = "without_query")]
        request: String,
    },
    /// A revocation is not in force and awaits approval.
    AwaitingApproval {
        /// Its name.
        revocation: String,
        /// Whom it names, with pseudonyms for addresses and sessions.
        #[serde(serialize_with = "bounded")]
        target: String,
        /// What it would do.
        mode: Mode,
        /// By which way it came.
        #[serde(flatten)]
        way: Way,
    },
    /// Somebody decided on what awaited approval, or time did.
    Decided {
        /// The revocation's name.
        revocation: String,
        /// It is in force now, or dropped.
        approved: bool,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
        why: Option<String>,
    },
    /// A hold was lifted.
    Lifted {
        /// Whom it names, with pseudonyms for addresses and sessions.
        #[serde(serialize_with = "bounded")]
        target: String,
        /// Holds from before this moment are lifted.
        #[serde(serialize_with = "readable")]
        at: Timestamp,
        /// False if nobody was on hold by that name.
        was_held: bool,
        /// By which way it came.
        #[serde(flatten)]
        way: Way,
        /// The apps that it is limited to.
        #[serde(skip_serializing_if = "Option::is_none")]
        app: Option<String>,
        /// The reason in the sender's words.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
        why: Option<String>,
    },
    /// A revocation was put in force.
    Revoked {
        /// Its id.
        outcome: RevocationId,
        /// Whom it names, with pseudonyms for addresses and sessions.
        #[serde(serialize_with = "bounded")]
        target: String,
        /// What it demands.
        mode: Mode,
        /// Assertions up to this moment are over.
        #[serde(serialize_with = "readable")]
        cut_off: Timestamp,
        /// By which way it came.
        #[serde(flatten)]
        way: Way,
        /// The apps that it is limited to.
        #[serde(skip_serializing_if = "Option::is_none")]
        app: Option<String>,
        /// Exchanges that it ended.
        cut: usize,
        /// The reason in the sender's words.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
        why: Option<String>,
    },
    /// A credential that a revocation covers was used, the first since. Further ones are the same compromise: the outcome
    /// counts them.
    RevokedCredentialUsed {
        /// The revocation's id.
        outcome: RevocationId,
    },
    /// Somebody whom a revocation met signed in again, the first since.
    SignedInAgain {
        /// The revocation's id.
        outcome: RevocationId,
    },
    /// The webhook's receiver refused a message until it was given up.
    OutcomeNotTold {
        /// The revocation's id.
        outcome: RevocationId,
        /// What the receiver answered.
        status: u16,
    },
    /// A signal was refused.
    SignalRejected {
        /// By which way it came.
        #[serde(flatten)]
        way: Way,
        /// The word of the reason.
        #[serde(serialize_with = "bounded")]
        why: String,
    },
    /// A stream is another than before: whether it can be relied on.
    StreamChanged {
        /// Which.
        stream: String,
        /// The word of what it was.
        from: &'static str,
        /// The word of what it is.
        to: &'static str,
        /// What is wrong with its management, if that is known.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
        why: Option<String>,
    },
    /// This gateway knows what the others know, or does so no longer.
    FleetChanged {
        /// The word of how it was.
        from: &'static str,
        /// The word of how it is.
        to: &'static str,
        /// What is wrong with the engine, if that is known.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
        why: Option<String>,
    },
    /// Somebody who is no gateway of the fleet may have its log in hand.
    FleetAlarm {
        /// What shows that.
        #[serde(serialize_with = "bounded")]
        what: String,
    },
    /// A revocation that this gateway accepted is in force at every gateway that can be heard; or some have not said so for a
    /// while.
    FleetApplied {
        /// Its id.
        outcome: RevocationId,
        /// The gateways that have applied it.
        applied_by: Vec<String>,
        /// Those that are there and have not said so.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        behind: Vec<String>,
        /// Those that were not heard of.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        silent: Vec<String>,
    },
    /// Revocations are in force here, but other gateways may not know of them yet.
    FleetUntold {
        /// How many.
        revocations: usize,
        /// What failed.
        #[serde(serialize_with = "bounded")]
        why: String,
    },
    /// Revocations are in force but not on disk.
    LedgerFailed {
        /// How many.
        revocations: usize,
        /// What failed.
        #[serde(serialize_with = "bounded")]
        why: String,
    },
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "readable")]
    at: Timestamp,
    #[serde(flatten)]
    event: &'a Event,
}

/// The handle by which events are recorded. When the last clone goes, everything queued is written.
#[derive(Clone, Debug)]
pub struct Audit {
    clock: Clock,
    metrics: Arc<Metrics>,
    /// `None` writes nowhere.
    writer: Option<Arc<Writer>>,
}

#[derive(Debug)]
struct Writer {
    /// INVARIANT: `Some` until dropped.
    events: Option<SyncSender<(Timestamp, Event)>>,
    /// The thread that writes, taken once, at the end.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Audit {
    /// Opens the sink and starts to write to it.
    pub fn open(settings: &Settings, clock: Clock, metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        let output: Box<dyn Write + Send> = match &settings.sink {
            Sink::Off => return Ok(Self { clock, metrics, writer: None }),
            Sink::Stdout => Box::new(io::stdout()),
            Sink::File(path) => {
                let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
                Box::new(file.map_err(|source| OpenError { path: path.clone(), source })?)
            }
        };
        Self::start(output, settings.queue, clock, metrics).map_err(|source| {
            let path = if let Sink::File(path) = &settings.sink { path.clone() } else { PathBuf::from("stdout") };
            OpenError { path, source }
        })
    }

    fn start(out: Box<dyn Write + Send>, queue: usize, clock: Clock, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (events, waiting) = sync_channel(queue.max(1));
        let counted = Arc::clone(&metrics);
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || write(out, &waiting, &counted))?;
        let writer = Writer { events: Some(events), thread: Mutex::new(Some(thread)) };
        Ok(Self { clock, metrics, writer: Some(Arc::new(writer)) })
    }

    /// Counts and records that a signal was refused; `word` says why to those who count, `why` to those who read.
    pub fn signal_rejected(&self, way: Way, word: &'static str, why: &str) {
        self.metrics.signal_rejected(word);
        self.record(Event::SignalRejected { way, why: format!("{word}: {why}") });
    }

    /// Records `event` as of now. Never waits: if the queue is full the event is dropped and counted.
    pub fn record(&self, event: Event) {
        if let Some(events) = self.writer.as_ref().and_then(|writer| writer.events.as_ref())
            && events.try_send((self.clock.now(), event)).is_err()
        {
            self.metrics.audit_dropped(1);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.events = None;
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A writer that panicked left the queue: everything since was counted as dropped.
            let _ = thread.join();
        }
    }
}

/// The writer's whole life: until every handle is gone and the queue is empty. Flushes whenever nothing waits.
fn write(output: Box<dyn Write + Send>, events: &Receiver<(Timestamp, Event)>, metrics: &Metrics) {
    let mut output = BufWriter::new(output);
    let mut failing = false;
    while let Ok(first) = events.recv() {
        let mut lines = 0;
        // A write that failed may have left half a line; the next one begins on a line of its own.
        let mut written = if failing { output.write_all(b"\n") } else { Ok(()) };
        for (at, event) in std::iter::once(first).chain(events.try_iter()).take(FLUSHED_AT_ONCE) {
            lines += 1;
            written = written.and_then(|()| write_line(&mut output, &Line { at, event: &event }));
        }
        match written.and_then(|()| output.flush()) {
            Ok(()) => failing = false,
            Err(error) => {
                metrics.audit_dropped(lines);
                // Said once per trouble, not once per line.
                if !failing {
                    tracing::error!(%error, "the audit log can not be written; events are dropped and counted");
                }
                failing = true;
                // What it still holds was counted as dropped.
                output = BufWriter::new(output.into_parts().0);
            }
        }
    }
}

fn write_line(output: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *output, line)?;
    output.write_all(b"\n")
}

/// Lines between two flushes, at the most.
const FLUSHED_AT_ONCE: usize = 1_000;
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::mpsc::channel;

    use super::fields::LONGEST;
    use super::*;
    use crate::ledger::scratch::Scratch;

    fn clock() -> Clock {
        Clock::manual(Timestamp::from_secs(1_795_463_999))
    }

    fn signed_in(user: &str) -> Event {
        let (app, idp) = ("wiki".into(), "corp".into());
        Event::SignedIn { app, idp, user: user.into(), session: "0123456789abcdef".into() }
    }

    fn recorded(events: Vec<Event>) -> Vec<serde_json::Value> {
        let scratch = Scratch::new();
        let path = scratch.file("audit.log");
        let settings = Settings { sink: Sink::File(path.clone()), queue: 10_000 };
        let audit = Audit::open(&settings, clock(), Arc::default()).expect("opens");
        for event in events {
            audit.record(event);
        }
        drop(audit);
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(path).expect("read");
        text.lines().map(|line| serde_json::from_str(line).expect("one JSON value a line")).collect()
    }

    #[test]
    fn an_event_is_one_line_with_stable_names() {
        let refused = Event::RequestRefused {
            app: "wiki".into(),
            idp: "corp".into(),
            user: "ann\n{\"event\":\"forged\"}".into(),
            session: "0123456789abcdef".into(),
            mode: Mode::Terminate,
            cut_off: Timestamp::from_secs(1_795_463_000),
            request: "GET /page?token=hunter2#x".into(),
        };
        let expected = serde_json::json!({
            "at": "2026-11-23T19:59:59Z",
            "event": "request_refused",
            "app": "wiki",
            "idp": "corp",
            "user": "ann\n{\"event\":\"forged\"}",
            "session": "01234567",
            "mode": "terminate",
            "cut_off": "2026-11-23T19:43:20Z",
            "request": "GET /page",
        });
        assert_eq!(recorded(vec![refused]), [expected]);
    }

    #[test]
    fn what_others_wrote_is_shown_up_to_a_bound() {
        let why = "x".repeat(100_000);
        let lines = recorded(vec![Event::LedgerFailed { revocations: 1, why }]);
        assert_eq!(lines[0]["why"].as_str().map(str::len), Some(LONGEST));
    }

    #[test]
    fn a_second_run_appends() {
        let scratch = Scratch::new();
        let settings = Settings { sink: Sink::File(scratch.file("audit.log")), queue: 10 };
        for user in ["ann", "bob"] {
            Audit::open(&settings, clock(), Arc::default()).expect("opens").record(signed_in(user));
        }
        assert_eq!(std::fs::read_to_string(scratch.file("audit.log")).expect("read").lines().count(), 2);
    }

    #[test]
    fn everything_queued_is_written_before_the_end() {
        assert_eq!(recorded((0..5_000).map(|n| signed_in(&n.to_string())).collect()).len(), 5_000);
    }

    /// A disk that takes what it is given only once it is told to, and says when it was asked.
    struct Stuck {
        asked: SyncSender<()>,
        go: Receiver<()>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.asked.try_send(());
            let _ = self.go.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_disk_costs_events_and_never_a_wait() {
        let metrics = Arc::new(Metrics::new());
        let (asked, was_asked) = sync_channel(1);
        let (go, wait) = channel();
        let audit =
            Audit::start(Box::new(Stuck { asked, go: wait }), 3, clock(), Arc::clone(&metrics)).expect("starts");
        audit.record(signed_in("first"));
        was_asked.recv().expect("the writer is in the middle of a write");
        for n in 0..10 {
            audit.record(signed_in(&n.to_string()));
        }
        assert!(metrics.render().contains("portcullis_audit_dropped_total 7"), "3 of 10 wait, 7 are counted");
        drop(go);
        drop(audit);
    }

    /// A disk that is full.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_the_disk_refuses_is_counted() {
        let metrics = Arc::new(Metrics::new());

        let audit = Audit::start(Box::new(Broken), 10, clock(), Arc::clone(&metrics)).expect("starts");
        for user in ["ann", "bob", "eve"] {
            audit.record(signed_in(user));
        }
        drop(audit);
        assert!(metrics.render().contains("portcullis_audit_dropped_total 3"), "{}", metrics.render());
    }

    #[test]
    fn a_log_that_can_not_be_opened_says_which_and_what_to_do() {
        let scratch = Scratch::new();
        let settings = Settings { sink: Sink::File(scratch.file("missing/audit.log")), queue: 10 };
        let said = Audit::open(&settings, clock(), Arc::default()).expect_err("no directory").to_string();
        assert!(said.contains("missing/audit.log") && said.contains("must exist"), "{said}");
    }
}

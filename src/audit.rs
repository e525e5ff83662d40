//! What happened and to whom: one event, one line of JSON, for the people who must answer for it later.
//!
//! Off the request's path: events go through a bounded queue to a thread that writes. When the queue is full an event
//! is dropped and counted; no request ever waits for the audit log. The file is opened for appending only, so a tool
//! that copies and truncates it may rotate it.

mod event;
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

pub use self::event::Event;
use self::fields::readable;
pub use self::way::Way;
use crate::metrics::Metrics;
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
    use crate::revocation::Mode;

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

//! What the ledger remembers, put in force before the first request is let in.
//!
//! A large ledger is read by one thread and understood by all: to verify and decode a record and to hash its targets costs
//! several times what it costs to read it. Revocations are maxima (law 1), so it does not matter which of them is in
//! force first; everything else is kept in the order in which it was written.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZero;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};

use super::{Intake, SECOND};
use crate::ledger::{OpenError, Records, Replay};
use crate::metrics::Recorded;
use crate::revocation::{Fact, Mode};
use crate::time::Timestamp;

/// Threads at the most; beyond it the one that reads is what takes the time.
const MOST_THREADS: usize = 8;
/// Chunks of records that wait to be understood, for each thread.
const AHEAD: usize = 2;

/// A chunk that was understood.
struct Understood {
    /// Its facts in their order. Revocations among them are in force, unless they hold somebody.
    facts: Vec<Fact>,
    /// Revocations in force, by where they came from and their mode.
    counts: HashMap<(&'static str, Mode), u64>,
}

impl Intake {
    /// Puts in force what the ledger remembers, before the first request is let in; says how many revocations. What
    /// no credential can be old enough to meet is passed over.
    pub fn replay(&self, mut replay: Replay) -> Result<usize, OpenError> {
        let now = self.clock.now();
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        let mut kept = Kept { most: self.outcomes.most(), ..Kept::default() };
        let (chunks, waiting) = mpsc::sync_channel::<(usize, Records)>(threads * AHEAD);
        let waiting = Mutex::new(waiting);
        std::thread::scope(|scope| {
            let (done, understood) = mpsc::channel();
            for _ in 0..threads {
                let (waiting, done) = (&waiting, done.clone());
                scope.spawn(move || self.understand(waiting, &done, now));
            }
            // Dropped when this returns, whichever way: then the threads end.
            let chunks = chunks;
            drop(done);
            let mut number = 0;
            while let Some(records) = replay.records()? {
                if chunks.send((number, records)).is_err() {
                    break;
                }
                number += 1;
                while let Ok(chunk) = understood.try_recv() {
                    self.go_on(&mut kept, chunk, now)?;
                }
            }
            drop(chunks);
            understood.iter().try_for_each(|chunk| self.go_on(&mut kept, chunk, now))
        })?;
        for fact in &kept.newest {
            self.outcomes.replays(fact);
        }
        self.outcomes.replay_ends();
        self.measure();
        Ok(kept.in_force)
    }

    /// One thread's work: chunks, until there are no more.
    fn understand(
        &self,
        waiting: &Mutex<Receiver<(usize, Records)>>,
        done: &Sender<(usize, Result<Understood, OpenError>)>,
        now: Timestamp,
    ) {
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((number, records)) = next else { return };
            if done.send((number, self.put_in_force(records, now))).is_err() {
                return;
            }
        }
    }

    fn put_in_force(&self, records: Records, now: Timestamp) -> Result<Understood, OpenError> {
        let horizon = self.enforcer.horizon(now);
        let mut understood = Understood { facts: Vec::with_capacity(records.len()), counts: HashMap::new() };
        for fact in records {
            let mut fact = fact?;
            if let Fact::Revoked(revocation) = &mut fact
                && revocation.mode != Mode::Hold
                && revocation.cut_off >= horizon
            {
                // Written by a clock that was ahead: everything asserted until now is still covered.
                self.date(revocation, now);
                self.enforcer.restore(revocation);
                *understood.counts.entry((revocation.origin.word(), revocation.mode)).or_default() += 1;
            }
            understood.facts.push(fact);
        }
        Ok(understood)
    }

    /// A chunk is understood; it is taken up in its turn.
    fn go_on(
        &self,
        kept: &mut Kept,
        (number, chunk): (usize, Result<Understood, OpenError>),
        now: Timestamp,
    ) -> Result<(), OpenError> {
        kept.early.insert(number, chunk);
        while let Some(chunk) = kept.early.remove(&kept.next) {
            let Understood { facts, counts } = chunk?;
            kept.next += 1;
            for ((source, mode), count) in counts {
                self.metrics.replayed(source, mode, count);
                kept.in_force += usize::try_from(count).unwrap_or(usize::MAX);
            }
            for fact in &facts {
                kept.in_force += usize::from(self.replay_in_order(fact, now));
            }
            kept.remember(facts);
        }
        Ok(())
    }

    /// Puts in force what must be in its order; true if it is a revocation.
    fn replay_in_order(&self, fact: &Fact, now: Timestamp) -> bool {
        if fact.cut_off() < self.enforcer.horizon(now) && fact.lasting_subject().is_none() {
            return false;
        }
        match fact {
            Fact::Revoked(revocation) if revocation.mode == Mode::Hold => {
                let mut revocation = revocation.clone();
                self.date(&mut revocation, now);
                self.enforcer.apply(&revocation);
                self.metrics.revoked(&revocation.origin, revocation.mode, Recorded::Replayed);
                return true;
            }
            Fact::Revoked(_) => {}
            Fact::Lifted(lifted) => {
                let mut lifted = lifted.clone();
                lifted.at = lifted.at.min(now.plus(SECOND));
                self.enforcer.lift(&lifted);
            }
            Fact::Awaiting(awaiting) => self.approvals().replay_awaiting(awaiting.clone()),
            Fact::Decided(decided) => self.approvals().replay_decided(decided),
            Fact::Reestablished(back) => {
                let mut back = back.clone();
                back.at = back.at.min(now);
                self.enforcer.reestablished(&back);
            }
        }
        false
    }
}

/// What is known of a replay so far.
#[derive(Default)]
struct Kept {
    in_force: usize,
    /// The chunk whose turn it is.
    next: usize,
    /// Chunks that were understood before their turn.
    early: BTreeMap<usize, Result<Understood, OpenError>>,
    /// The newest facts: outcomes are told of them.
    newest: VecDeque<Fact>,
    /// How many of those, at the most.
    most: usize,
}

impl Kept {
    fn remember(&mut self, facts: Vec<Fact>) {
        let too_many = (self.newest.len() + facts.len()).saturating_sub(self.most);
        self.newest.drain(..too_many.min(self.newest.len()));
        let unwanted = facts.len().saturating_sub(self.most);
        self.newest.extend(facts.into_iter().skip(unwanted));
    }
}

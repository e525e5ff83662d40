//! What is known at the start: what was kept, and what the ledger says besides.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::Notify;

use super::book::Book;
use super::outbox::Outbox;
use super::record::Record;
use super::{Outcomes, Settings, Shared, State, Webhook};
use crate::audit::Audit;
use crate::ledger::{Ledger, OpenError, Replay, Shelf};
use crate::metrics::Metrics;
use crate::revocation::Fact;
use crate::seal::KeyRing;
use crate::time::Clock;

impl Outcomes {
    /// The outcomes that `replay` knows of. What cannot be read of them is left out: no revocation depends on it.
    pub fn open(
        settings: Settings,
        webhook: Option<Webhook>,
        ring: Arc<KeyRing>,
        (ledger, replay): (Ledger, &Replay),
        (audit, metrics, clock): (Audit, Arc<Metrics>, Clock),
    ) -> Result<Self, OpenError> {
        let most = webhook.as_ref().map_or(0, |webhook| webhook.queue);
        let mut state = State {
            book: Book::new(settings.most),
            outbox: Outbox::new(most),
            unsettled: BTreeSet::new(),
            news: vec![],
            gone: vec![],
            replayed: VecDeque::new(),
            awaited: VecDeque::new(),
        };
        let mut unread = 0;
        for (_, text) in replay.notes(Shelf::Outcomes)? {
            let Ok(record) = serde_json::from_str::<Record>(&text) else {
                unread += 1;
                continue;
            };
            if !record.settled {
                state.unsettled.insert((record.in_force_at.plus(settings.settle), record.id));
            }
            let id = record.id;
            state.gone.extend(state.book.open(record, &ring.hashers()));
            state.book.is_written(id);
        }
        for (key, text) in replay.notes(Shelf::Outbox)? {
            match (u64::from_str_radix(&key, 16), serde_json::from_str(&text)) {
                (Ok(number), Ok(message)) => state.outbox.put(number, message),
                _ => unread += 1,
            }
        }
        if unread > 0 {
            tracing::warn!(unread, "some of what revocations did cannot be read and is left out");
        }
        let shared = Shared {
            settings,
            webhook,
            ring,
            ledger,
            audit,
            metrics,
            clock,
            state: Mutex::new(state),
            changed: Notify::new(),
            to_send: Notify::new(),
            fleet: OnceLock::new(),
        };
        Ok(Self(Arc::new(shared)))
    }

    /// How many of the newest facts of the ledger are worth knowing.
    pub fn most(&self) -> usize {
        self.0.settings.most
    }

    /// The ledger says that. The newest are looked at once all of it was read: of the others there is no room to remember
    /// anything.
    pub fn replays(&self, fact: &Fact) {
        let mut state = self.state();
        if state.replayed.len() >= self.0.settings.most {
            state.replayed.pop_front();
        }
        state.replayed.push_back(fact.clone());
    }

    /// The ledger was read. Of revocations of which it is not known what they did, at least that they were is.
    pub fn replay_ends(&self) {
        let mut state = self.state();
        for fact in std::mem::take(&mut state.replayed) {
            match fact {
                Fact::Revoked(revocation) if state.book.get(self.known(&state.book, &revocation)).is_none() => {
                    self.opened(&mut state, &revocation, true, |id| Record::from_ledger(id, revocation.clone()));
                }
                Fact::Lifted(lifted) => state.book.lift(&lifted),
                Fact::Revoked(_) | Fact::Reestablished(_) | Fact::Awaiting(_) | Fact::Decided(_) => {}
            }
        }
        self.0.metrics.outcomes(state.book.len(), state.outbox.len());
        drop(state);
        self.0.to_send.notify_one();
    }
}

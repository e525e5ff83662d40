//! The way to end one exchange.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// The way to end one exchange, shared by the task that runs it and by whoever ends it. Clones are the same handle.
#[derive(Clone, Debug, Default)]
pub struct Cut(Arc<CutState>);

#[derive(Debug, Default)]
struct CutState {
    /// One of the constants below. INVARIANT: set before anybody is woken, never reset.
    end: AtomicU8,
    woken: Notify,
}

impl CutState {
    /// It goes on.
    const NONE: u8 = 0;
    /// What it runs on counts no more.
    const REVOKED: u8 = 1;
    /// The gateway stops, and has waited long enough.
    const LEFT: u8 = 2;
}

impl Cut {
    /// A handle that nobody has used yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the exchange. True for the call that did it, false if it was over already.
    pub fn cancel(&self) -> bool {
        self.end(CutState::REVOKED)
    }

    /// Ends the exchange because the gateway stops; nothing is wrong with it. True for the call that did it.
    pub fn leave(&self) -> bool {
        self.end(CutState::LEFT)
    }

    fn end(&self, why: u8) -> bool {
        let first = self.0.end.compare_exchange(CutState::NONE, why, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        self.0.woken.notify_waiters();
        first
    }

    /// True once the exchange is to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.end.load(Ordering::SeqCst) != CutState::NONE
    }

    /// True if it is to end because the gateway stops.
    pub fn is_left(&self) -> bool {
        self.0.end.load(Ordering::SeqCst) == CutState::LEFT
    }

    /// Waits until the exchange is to end; at once if that was said before. No wake-up is lost.
    pub async fn cancelled(&self) {
        // The waiter exists before the flag is read: whoever sets the flag after that read wakes this waiter.
        let woken = self.0.woken.notified();
        if !self.is_cancelled() {
            woken.await;
        }
    }
}

//! How a gateway stops: first it says so, then it lets nobody in, then what runs ends, then what brings revocations, then
//! what remembers. Whatever has to do with a stage is a member of it; a stage is over when the last member has left.
//!
//! Who gives the order, and how long each stage may take, is said in `app`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// What is told to end together.
#[derive(Clone, Debug)]
pub struct Stage(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// True once its members are to end.
    told: watch::Sender<bool>,
    /// How many there are.
    members: watch::Sender<usize>,
}

impl Default for Stage {
    fn default() -> Self {
        Self(Arc::new(Shared { told: watch::Sender::new(false), members: watch::Sender::new(0) }))
    }
}

impl Stage {
    /// From now on its members are to end, and whoever joins as well.
    pub fn tell(&self) {
        self.0.told.send_replace(true);
    }

    /// Turns true when the members are to end.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.told.subscribe()
    }

    /// One more member, for as long as the value exists.
    pub fn join(&self) -> Member {
        self.0.members.send_modify(|members| *members += 1);
        Member(Arc::clone(&self.0))
    }

    /// Waits until nobody is a member.
    pub async fn is_left(&self) {
        // An error means that the sender is gone, and it is ours.
        let _ = self.0.members.subscribe().wait_for(|members| *members == 0).await;
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        *self.0.members.borrow()
    }
}

/// Somebody takes part in a stage for as long as this exists.
#[derive(Debug)]
#[must_use = "a member that is dropped has left"]
pub struct Member(Arc<Shared>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.members.send_modify(|members| *members = members.saturating_sub(1));
    }
}

/// The stages, in their order. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    /// The same as what `begun` tells, where a lock would be too much: every answer asks.
    has_begun: Arc<AtomicBool>,
    /// The order to stop was given. Everything goes on; who asks is told, and who is answered is asked not to stay.
    begun: Stage,
    /// The listeners, and every connection that came in by them.
    pub entrance: Stage,
    /// What brings revocations: the admin listener, polls, checks. It ends after the last exchange: as long as one runs, a
    /// revocation can still end it.
    pub signals: Stage,
    /// What remembers: outcomes.
    pub memory: Stage,
}

impl Drain {
    /// The order to stop was given.
    pub fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
        self.begun.tell();
    }

    /// Whether the order to stop was given.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// Turns true when the order to stop is given.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.begun.watch()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn a_stage_is_over_when_the_last_member_has_left() {
        let stage = Stage::default();
        stage.is_left().await;
        let (one, other) = (stage.join(), stage.clone().join());
        assert_eq!(stage.members(), 2);
        drop(one);
        let mut left = Box::pin(stage.is_left());
        let pending = std::future::poll_fn(|cx| Poll::Ready(left.as_mut().poll(cx).is_pending())).await;
        assert!(pending, "one is still there");
        drop(other);
        left.await;
    }

    #[tokio::test]
    async fn who_joins_late_is_told_as_well() {
        let stage = Stage::default();
        let mut early = stage.watch();
        stage.tell();
        early.changed().await.expect("the stage exists");
        assert!(*early.borrow());
        assert!(*stage.watch().borrow());
    }

    #[test]
    fn the_order_is_seen_by_whoever_looks() {
        let drain = Drain::default();
        let watch = drain.watch();
        assert!(!drain.has_begun() && !*watch.borrow());
        let other = drain.clone();
        drain.begin();
        assert!(other.has_begun() && *watch.borrow());
    }
}

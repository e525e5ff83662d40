//! Tells the other gateways what is written down here: what a sender waits for first, then what is left over.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::engine::{Letter, Trouble};
use super::{Accept, Fleet, Inner, message};
use crate::backoff::{Backoff, chance};
use crate::ledger::Again;
use crate::revocation::{Fact, Origin, Revocation, decode, encode};

/// Letters that are told at once, at the most.
const GROUP: usize = 500;
/// How often it is noted in the ledger what was told. What is noted late is told twice after a crash.
const NOTE_EVERY: Duration = Duration::from_millis(500);
/// Notes that may be due; more are written at once.
const NOTES: usize = 5_000;
/// How long is waited after trouble.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The other gateways do not know yet. They will: it is marked in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTold {
    /// More wait to be told than may.
    #[error("too much waits to be told to the other gateways")]
    Busy,
    /// It took too long.
    #[error("the other gateways could not be told within {} ms", .0.as_millis())]
    Late(Duration),
    /// The engine did not take it.
    #[error("the other gateways could not be told: {0}")]
    Trouble(Trouble),
    /// The gateway is stopping.
    #[error("the gateway stops")]
    Stopping,
}

/// What waits to be told, and who waits for that.
#[derive(Debug)]
pub(super) struct Telling {
    letters: Vec<(i64, Letter)>,
    done: oneshot::Sender<Result<(), NotTold>>,
}

impl Fleet {
    /// Tells all gateways of facts that are written down here, the first under the number `first`, the others behind it.
    /// Resolves once the engine keeps them; at once where nobody has to wait for that.
    pub async fn tell(&self, first: i64, facts: &[Fact]) -> Result<(), NotTold> {
        let Inner { me, ring, settings, .. } = &*self.0;
        let numbered = (first..).zip(facts);
        let letters: Option<Vec<_>> =
            numbered.map(|(seq, fact)| Some((seq, message::fact(ring, *me, seq, &encode(fact))?))).collect();
        let (done, told) = oneshot::channel();
        let sent = letters.map(|letters| self.0.telling.try_send(Telling { letters, done }));
        if !matches!(sent, Some(Ok(()))) {
            // It is told from the ledger.
            self.0.state().has_untold = true;
            self.0.untold.notify_one();
            return if settings.accept == Accept::Local { Ok(()) } else { Err(NotTold::Busy) };
        }
        if settings.accept == Accept::Local {
            return Ok(());
        }
        match timeout(settings.tell_within, told).await {
            Ok(told) => told.unwrap_or(Err(NotTold::Stopping)),
            Err(_) => Err(NotTold::Late(settings.tell_within)),
        }
    }

    /// The same for what nobody waits for.
    pub fn tell_later(&self) {
        self.0.state().has_untold = true;
        self.0.untold.notify_one();
    }
}

/// What a gateway does because it does not hear the others concerns nobody else.
fn is_private(record: &[u8]) -> bool {
    matches!(decode(record), Ok(Fact::Revoked(Revocation { origin: Origin::Stale, .. })))
}

/// What the teller keeps in mind.
struct Turn {
    /// The ledger may have more to tell.
    left: bool,
    /// What was told and is not noted yet.
    told: Vec<i64>,
    failures: u32,
    /// The engine is in trouble; it is left alone until then.
    pause: Option<(Instant, Trouble)>,
}

impl Inner {
    /// Tells until the gateway ends.
    pub(super) async fn tell_all(&self, mut waiting: mpsc::Receiver<Telling>) {
        let mut turn = Turn { left: true, told: Vec::new(), failures: 0, pause: None };
        loop {
            self.mark_again(&mut turn).await;
            let mut group = Vec::new();
            if turn.pause.is_some() || !turn.left {
                let end = turn.pause.as_ref().map(|(end, _)| *end);
                tokio::select! {
                    biased;
                    one = waiting.recv() => match one {
                        Some(one) => group.push(one),
                        None => return,
                    },
                    () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => turn.pause = None,
                    () = self.untold.notified() => turn.left = true,
                    () = sleep(NOTE_EVERY), if !turn.told.is_empty() => self.note(&mut turn).await,
                }
            }
            let mut letters = group.iter().map(|one: &Telling| one.letters.len()).sum::<usize>();
            while letters < GROUP
                && let Ok(one) = waiting.try_recv()
            {
                letters += one.letters.len();
                group.push(one);
            }
            if !group.is_empty() {
                self.tell_group(group, &mut turn).await;
            } else if turn.left && turn.pause.is_none() {
                self.tell_what_is_left(&mut turn).await;
            }
            if turn.told.len() >= NOTES {
                self.note(&mut turn).await;
            }
            self.state().has_untold = turn.left;
        }
    }

    async fn tell_group(&self, group: Vec<Telling>, turn: &mut Turn) {
        let refused = match &turn.pause {
            // Nobody waits in vain while it is known that the engine is away.
            Some((_, trouble)) => Err(trouble.clone()),
            None => {
                let letters = group.iter().flat_map(|one| &one.letters);
                let (seqs, letters): (Vec<_>, Vec<_>) = letters.cloned().unzip();
                self.append(seqs, &letters, turn).await
            }
        };
        turn.left |= refused.is_err();
        for one in group {
            // Who no longer waits was told that it took too long.
            let _ = one.done.send(refused.clone().map_err(NotTold::Trouble));
        }
    }

    async fn tell_what_is_left(&self, turn: &mut Turn) {
        self.note(turn).await;
        let left = match self.ledger.untold(GROUP).await {
            Ok(left) => left,
            Err(error) => {
                tracing::warn!(%error, "what other gateways do not know yet cannot be read from the ledger");
                turn.pause = Some((Instant::now() + LONGEST_PAUSE, Trouble::Away("the ledger".into())));
                return;
            }
        };
        if left.is_empty() {
            turn.left = false;
            return;
        }
        // All of them have been dealt with afterwards, also those that are nobody else's business.
        let seqs = left.iter().map(|one| one.seq).collect();
        let ours = left.iter().filter(|one| !is_private(&one.record));
        let letters: Vec<_> = ours.filter_map(|one| message::fact(&self.ring, self.me, one.seq, &one.record)).collect();
        // What comes of it is noted there.
        let _ = self.append(seqs, &letters, turn).await;
    }

    async fn append(&self, seqs: Vec<i64>, letters: &[Letter], turn: &mut Turn) -> Result<(), Trouble> {
        let late = || Trouble::Away("it did not answer in time".into());
        let within = self.settings.tell_within;
        let appended = timeout(within, self.engine.append(letters)).await.unwrap_or_else(|_| Err(late()));
        match &appended {
            Ok(()) => {
                self.metrics.told(letters.len());
                turn.told.extend(seqs);
                if turn.failures > 0 {
                    tracing::info!("the other gateways can be told again");
                }
                turn.failures = 0;
            }
            Err(trouble) => {
                if turn.failures == 0 {
                    tracing::error!(%trouble, "the other gateways cannot be told; it is kept here until they can");
                }
                turn.failures = turn.failures.saturating_add(1);
                let pause = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)
                    .map_or(LONGEST_PAUSE, |backoff| backoff.jitter(turn.failures, chance()));
                turn.pause = Some((Instant::now() + pause, trouble.clone()));
                if *trouble == Trouble::Gone {
                    self.doubt.notify_one();
                }
            }
        }
        appended
    }

    /// Some of what was told is to be told again.
    pub(super) fn tell_again(&self, which: Again) {
        self.state().again.push(which);
        self.untold.notify_one();
    }

    /// Marks that in the ledger: after what was told until now is noted, which would take the marks away.
    async fn mark_again(&self, turn: &mut Turn) {
        let asked = std::mem::take(&mut self.state().again);
        if asked.is_empty() {
            return;
        }
        self.note(turn).await;
        for which in asked {
            match self.ledger.tell_again(which).await {
                Ok(0) => {}
                Ok(records) => tracing::info!(records, "what this gateway knows is told to the other gateways"),
                Err(error) => {
                    tracing::error!(%error, "it could not be marked what other gateways have to be told; again soon");
                    self.state().again.push(which);
                    turn.pause = Some((Instant::now() + LONGEST_PAUSE, Trouble::Away("the ledger".into())));
                }
            }
        }
        turn.left = true;
    }

    /// Notes in the ledger what was told.
    async fn note(&self, turn: &mut Turn) {
        if turn.told.is_empty() {
            return;
        }
        if let Err(error) = self.ledger.told(turn.told.clone()).await {
            // Then it is told twice.
            tracing::warn!(%error, "it could not be noted that the other gateways were told");
        }
        turn.told.clear();
    }
}

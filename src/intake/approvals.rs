//! Revocations that await approval: more than their sender may put in force by itself. They are written down before the
//! sender gets its answer; one command lets them in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{For, Intake, NotDurable, Receipt};
use crate::audit::Event;
use crate::exchanges::Counts;
use crate::revocation::{Awaiting, Decided, Fact, Revocation, RevocationId};
use crate::time::Timestamp;

/// Revocations that may await approval at once. The sender of one more is told to send it again later.
pub const MAX_AWAITING: usize = 100_000;

/// What awaits approval, and what was decided.
#[derive(Debug, Default)]
pub(super) struct Approvals {
    waiting: BTreeMap<RevocationId, Revocation>,
    /// Delivered again, what was decided does not ask again.
    decided: HashMap<RevocationId, Timestamp>,
}

impl Approvals {
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn replay_awaiting(&mut self, awaiting: Awaiting) {
        if !self.decided.contains_key(&awaiting.id) {
            self.waiting.insert(awaiting.id, awaiting.revocation);
        }
    }

    pub(super) fn replay_decided(&mut self, decided: &Decided) {
        self.waiting.remove(&decided.id);
        self.decided.insert(decided.id, decided.at);
    }

    /// Drops decisions on signals so old that their repetition ends nobody.
    fn forget_before(&mut self, moment: Timestamp) {
        self.decided.retain(|_, at| *at >= moment);
    }
}

/// Why a revocation does not await approval: the sender must send it again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotAwaiting {
    /// As many await approval as may.
    #[error("{MAX_AWAITING} revocations await approval already")]
    Full,
    /// It could not be written down.
    #[error(transparent)]
    NotDurable(#[from] NotDurable),
}

/// What was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approved {
    /// Revocations that no longer await approval.
    pub decided: usize,
    /// What came into force.
    pub receipt: Receipt,
}

impl Intake {
    /// Keeps `revocations` back until somebody approves them. When this returns they are written down.
    pub async fn await_approval(&self, revocations: Vec<Revocation>) -> Result<(), NotAwaiting> {
        let facts: Vec<_> = {
            let mut approvals = self.approvals();
            let known = |id: &RevocationId| approvals.waiting.contains_key(id) || approvals.decided.contains_key(id);
            let new = revocations.into_iter().map(|one| Awaiting { id: self.enforcer.id_of(&one), revocation: one });
            let new: Vec<_> = new.filter(|one| !known(&one.id)).collect();
            if approvals.waiting.len() + new.len() > MAX_AWAITING {
                return Err(NotAwaiting::Full);
            }
            approvals.waiting.extend(new.iter().map(|one| (one.id, one.revocation.clone())));
            self.metrics.awaiting_approval(approvals.waiting.len());
            new.into_iter().map(Fact::Awaiting).collect()
        };
        for fact in &facts {
            if let Fact::Awaiting(Awaiting { id, revocation }) = fact {
                tracing::error!(
                    %id,
                    source = revocation.origin.word(),
                    "a revocation is beyond what its sender may do in a minute: it is NOT in force and awaits approval"
                );
                self.audit.record(self.awaiting_event(*id, revocation));
            }
        }
        self.keep(&facts, vec![], For::Everyone)
            .await
            .map_err(|why| NotDurable { applied: 0, cut: Counts::default(), ids: vec![], why }.into())
    }

    /// Everything that awaits approval, the oldest first.
    pub fn awaiting(&self) -> Vec<(RevocationId, Revocation)> {
        let approvals = self.approvals();
        let mut all: Vec<_> = approvals.waiting.iter().map(|(id, one)| (*id, one.clone())).collect();
        all.sort_by_key(|(id, one)| (one.received_at, *id));
        all
    }

    /// Puts what awaits approval in force, or drops it. Ids that do not await approval are passed over.
    pub async fn decide(
        &self,
        ids: &[RevocationId],
        approved: bool,
        reason: Option<&str>,
    ) -> Result<Approved, NotDurable> {
        let found: Vec<(RevocationId, Revocation)> = {
            let approvals = self.approvals();
            let ids: BTreeSet<_> = ids.iter().collect();
            ids.into_iter().filter_map(|id| Some((*id, approvals.waiting.get(id)?.clone()))).collect()
        };
        let at = self.clock.now();
        let decisions: Vec<_> = found
            .iter()
            .map(|(id, one)| Decided { id: *id, mode: one.mode, approved, at, reason: reason.map(str::to_owned) })
            .collect();
        // In force and durable first: should this gateway fall between the two, what was approved asks once more.
        let receipt = if approved {
            self.accept(found.into_iter().map(|(_, revocation)| revocation).collect()).await?
        } else {
            Receipt::default()
        };
        let facts: Vec<_> = decisions.iter().cloned().map(Fact::Decided).collect();
        let noted = self.keep(&facts, vec![], For::Everyone).await;
        for decided in &decisions {
            self.audit.record(Event::Decided {
                revocation: decided.id.to_string(),
                approved,
                why: decided.reason.clone(),
            });
        }
        let mut approvals = self.approvals();
        decisions.iter().for_each(|decided| approvals.replay_decided(decided));
        self.metrics.awaiting_approval(approvals.waiting.len());
        drop(approvals);
        match noted {
            Ok(()) => Ok(Approved { decided: decisions.len(), receipt }),
            Err(why) => {
                let Receipt { applied, cut, ids, .. } = receipt;
                Err(NotDurable { applied, cut, ids, why })
            }
        }
    }

    /// Says of what awaited approval until nothing was left that it could end.
    pub(super) fn expire_awaiting(&self, horizon: Timestamp) {
        let mut approvals = self.approvals();
        approvals.forget_before(horizon);
        let fact = |(id, one): (&RevocationId, &Revocation)| {
            let over = one.cut_off < horizon && one.mode != crate::revocation::Mode::Hold;
            over.then_some(*id)
        };
        let over: Vec<_> = approvals.waiting.iter().filter_map(fact).collect();
        for id in over {
            approvals.waiting.remove(&id);
            tracing::error!(%id, "a revocation awaited approval until everything it could end was over by itself");
            let why = Some("nobody decided until everything it could end was over by itself".to_owned());
            self.audit.record(Event::Decided { revocation: id.to_string(), approved: false, why });
        }
        self.metrics.awaiting_approval(approvals.waiting.len());
    }
}

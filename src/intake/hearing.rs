//! What other gateways accepted: in force here as well, and written down, so that a restart needs to hear only what is new.

use super::Intake;
use crate::exchanges::Counts;
use crate::fleet::Heard;
use crate::ledger::{AppendError, Entry, Place, Whence};
use crate::metrics::Recorded;
use crate::revocation::Fact;
use crate::time::Timestamp;

impl Intake {
    /// Puts `facts` of other gateways in force, ends what they cover, then writes them down with `place`, up to where this
    /// gateway has heard with them. Each is said aloud if it is `live`, and not part of what was missed.
    pub async fn hear(&self, facts: Vec<Heard>, place: Place, live: bool) -> Result<(), AppendError> {
        let now = self.clock.now();
        let horizon = self.enforcer.horizon(now);
        let in_time = |heard: &Heard| heard.fact.cut_off() >= horizon || heard.fact.lasting_subject().is_some();
        let heard: Vec<_> = facts.into_iter().filter(in_time).collect();
        let cut = heard.iter().fold(Counts::default(), |cut, heard| cut.and(self.obey(heard, &place, now, live)));
        let facts: Vec<_> = heard.into_iter().map(|heard| heard.fact).collect();
        if !live && !facts.is_empty() {
            tracing::info!(
                facts = facts.len(),
                cut = cut.total(),
                "what other gateways accepted meanwhile is in force"
            );
        }
        self.measure();
        // As they were told, not as they are dated here: so they are found again.
        let entry = Entry { facts: &facts, whence: Whence::Elsewhere, place: Some(place), ..Entry::default() };
        let written = self.ledger.write(entry).await.map(drop);
        self.failing.store(written.is_err(), std::sync::atomic::Ordering::Relaxed);
        if let Err(why) = &written {
            tracing::error!(error = %why, facts = facts.len(), "what other gateways accepted is in force but not on disk");
        }
        written
    }

    fn obey(&self, heard: &Heard, place: &Place, now: Timestamp, live: bool) -> Counts {
        match heard.fact.clone() {
            Fact::Revoked(mut revocation) => {
                let mode = revocation.mode;
                let cut = if live {
                    self.enforce(&mut revocation, Some((heard.at, place))).1
                } else {
                    self.date(&mut revocation, now);
                    let applied = self.enforcer.apply(&revocation);
                    self.outcomes.begin_heard(&revocation, &applied.ended, heard.at, place);
                    self.metrics.cut(applied.cut);
                    applied.cut
                };
                self.metrics.revoked(&revocation.origin, mode, Recorded::Heard);
                return cut;
            }
            Fact::Lifted(mut lifted) => {
                lifted.at = lifted.at.min(now.plus(super::SECOND));
                let was_held = self.enforcer.lift(&lifted);
                self.outcomes.lifted(&lifted);
                self.metrics.lifted(&lifted.origin);
                self.audit.record(self.lifted(&lifted, was_held));
            }
            Fact::Reestablished(mut back) => {
                back.at = back.at.min(now);
                self.enforcer.reestablished(&back);
            }
            Fact::Awaiting(awaiting) => {
                self.audit.record(self.awaiting_event(awaiting.id, &awaiting.revocation));
                self.approvals().replay_awaiting(awaiting);
            }
            Fact::Decided(decided) => self.approvals().replay_decided(&decided),
        }
        Counts::default()
    }
}

//! How the audit log puts what came in.

use super::Intake;
use crate::audit::{Event, Way};
use crate::exchanges::Counts;
use crate::revocation::{Lifted, Reach, Revocation, RevocationId, Whom};

impl Intake {
    pub(super) fn event(&self, revocation: &Revocation, (outcome, cut): (RevocationId, Counts)) -> Event {
        Event::Revoked {
            outcome,
            target: self.named(&revocation.whom),
            mode: revocation.mode,
            cut_off: revocation.cut_off,
            way: Way::from(&revocation.origin),
            app: apps(&revocation.reach),
            cut: cut.total(),
            why: revocation.reason.clone(),
        }
    }

    pub(super) fn awaiting_event(&self, id: RevocationId, revocation: &Revocation) -> Event {
        Event::AwaitingApproval {
            revocation: id.to_string(),
            target: self.named(&revocation.whom),
            mode: revocation.mode,
            way: Way::from(&revocation.origin),
        }
    }

    pub(super) fn lifted(&self, lifted: &Lifted, was_held: bool) -> Event {
        Event::Lifted {
            target: self.named(&lifted.whom),
            at: lifted.at,
            was_held,
            way: Way::from(&lifted.origin),
            app: apps(&lifted.reach),
            why: lifted.reason.clone(),
        }
    }

    fn named(&self, whom: &Whom) -> String {
        let targets: Vec<_> = whom.targets().iter().map(|target| self.outcomes.name_of(target)).collect();
        targets.join(" and ")
    }
}

fn apps(reach: &Reach) -> Option<String> {
    match reach {
        Reach::All => None,
        Reach::Apps(apps) => Some(apps.join(",")),
    }
}

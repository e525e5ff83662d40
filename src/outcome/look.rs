//! Looking at outcomes.

use super::{Outcome, OutcomeList, Outcomes, Wanted};
use crate::identity::{Target, TargetKind};
use crate::revocation::{Credential, Explanation, Revocation, RevocationId};

impl Outcomes {
    /// What became of the revocation of that id.
    pub fn of(&self, id: RevocationId) -> Option<Outcome> {
        let roll = self.roll();
        self.state().book.get(id).map(|record| self.shown(record, &roll))
    }

    /// The same, by the beginning of its id, as people type it; eight digits at least, and no other begins so.
    pub fn beginning_with(&self, text: &str) -> Option<Outcome> {
        if text.len() < 8 {
            return None;
        }
        let roll = self.roll();
        self.state().book.beginning_with(&text.to_ascii_lowercase()).map(|record| self.shown(record, &roll))
    }

    /// The newest first.
    pub fn list(&self, wanted: Wanted) -> OutcomeList {
        let roll = self.roll();
        let state = self.state();
        let mut records = state.book.newest();
        records.retain(|record| record.revocation.received_at >= wanted.since);
        records.retain(|record| wanted.everyday || !record.is_everyday());
        let more = records.len() > wanted.most;
        let shown = records.into_iter().take(wanted.most).map(|record| self.shown(record, &roll).in_short());
        OutcomeList { outcomes: shown.collect(), more }
    }

    /// What whoever ended it says to the person behind that credential.
    pub fn said_to(&self, credential: &Credential<'_>) -> Option<Explanation> {
        self.state().book.said_to(credential)
    }

    /// The name of `revocation`, the same as when it came first.
    pub fn id_of(&self, revocation: &Revocation) -> RevocationId {
        self.known(&self.state().book, revocation)
    }

    /// A target as logs, messages and operators see it: addresses and the IdP's session ids under a pseudonym unless the
    /// config says otherwise, our own session ids by their beginning.
    pub fn name_of(&self, target: &Target) -> String {
        match target.kind {
            TargetKind::Email | TargetKind::Phone | TargetKind::Session if !self.0.settings.clear => {
                let key = format!("{:?}", self.0.ring.hasher().key(target));
                format!("{} #{}", target.kind.word(), key.chars().take(8).collect::<String>())
            }
            TargetKind::Gateway => {
                format!("{} {}", target.kind.word(), target.value.chars().take(8).collect::<String>())
            }
            _ => target.to_string(),
        }
    }

    /// The public keys that messages are verified with, if any are sent.
    pub fn jwks(&self) -> Option<serde_json::Value> {
        self.0.webhook.as_ref().map(|webhook| webhook.signer.jwks())
    }
}

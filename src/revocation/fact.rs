//! What the ledger keeps: revocations, and what answers them.

use serde::{Deserialize, Serialize};

use super::{Mode, Origin, Reach, Revocation, RevocationId, Whom};
use crate::identity::Target;
use crate::time::Timestamp;

/// Somebody signed in while something had to be re-established: what an app gave them before that lives on, where it was
/// not terminated. Late, doubled or out of order it says the same (law 1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reestablished {
    /// Who, by the IdP's `sub`.
    pub who: Target,
    /// When the IdP made the assertion.
    pub at: Timestamp,
}

/// What was on hold may go on: everything of that hold from before. The way back is still a newly proven login, because a
/// hold is a termination, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifted {
    /// Whom the hold names; nobody's hold is lifted who is named in another way.
    pub whom: Whom,
    /// In which apps.
    pub reach: Reach,
    /// Holds from before this moment are lifted; one of the same second stays (law 1).
    pub at: Timestamp,
    /// Where this came from.
    pub origin: Origin,
    /// The reason in the sender's words, for operators' eyes.
    pub reason: Option<String>,
    /// When it was received here.
    pub received_at: Timestamp,
}

/// A revocation beyond what its sender may do by itself: not in force until somebody approves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaiting {
    /// Its name.
    pub id: RevocationId,
    /// What it is.
    pub revocation: Revocation,
}

/// Somebody decided on what awaited approval. What was approved is a revocation of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// On which revocation.
    pub id: RevocationId,
    /// Its mode.
    pub mode: Mode,
    /// It is in force, or dropped.
    pub approved: bool,
    /// When.
    pub at: Timestamp,
    /// Why, for the audit trail.
    pub reason: Option<String>,
}

/// One fact, as it is written down and replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Something is over.
    Revoked(Revocation),
    /// Somebody is back.
    Reestablished(Reestablished),
    /// A hold is over.
    Lifted(Lifted),
    /// Something awaits approval.
    Awaiting(Awaiting),
    /// Somebody decided on it.
    Decided(Decided),
}

impl Fact {
    /// The moment that decides how long it is kept (law 10): no credential is touched by it that was proven later.
    pub const fn cut_off(&self) -> Timestamp {
        match self {
            Self::Revoked(revocation) => revocation.cut_off,
            Self::Reestablished(fact) => fact.at,
            Self::Lifted(lifted) => lifted.at,
            Self::Awaiting(awaiting) => awaiting.revocation.cut_off,
            Self::Decided(decided) => decided.at,
        }
    }

    /// When it came in.
    pub const fn received_at(&self) -> Timestamp {
        match self {
            Self::Revoked(revocation) => revocation.received_at,
            Self::Reestablished(back) => back.at,
            Self::Lifted(lifted) => lifted.received_at,
            Self::Awaiting(awaiting) => awaiting.revocation.received_at,
            Self::Decided(decided) => decided.at,
        }
    }

    /// What no age makes void has a subject: a hold until it is lifted, and the lifting, lest an old hold come again. Of two
    /// with the same subject the one with the later cut-off says it all.
    pub fn lasting_subject(&self) -> Option<String> {
        match self {
            Self::Revoked(Revocation { mode: Mode::Hold, whom, reach, origin, .. }) => {
                Some(subject("hold", origin, whom, reach))
            }
            Self::Lifted(Lifted { whom, reach, origin, .. }) => Some(subject("lifted", origin, whom, reach)),
            // The decision is the newer of the two.
            Self::Awaiting(Awaiting { id, revocation: Revocation { mode: Mode::Hold, .. } })
            | Self::Decided(Decided { id, mode: Mode::Hold, .. }) => Some(format!("awaiting {id}")),
            Self::Revoked(_) | Self::Reestablished(_) | Self::Awaiting(_) | Self::Decided(_) => None,
        }
    }
}

fn subject(what: &str, origin: &Origin, whom: &Whom, reach: &Reach) -> String {
    // An operator's word and a signal's are two: neither stands for the other.
    let by_operator = *origin == Origin::Operator;
    // Serialising plain structs into memory has no failing case.
    serde_json::to_string(&(what, by_operator, whom, reach)).unwrap_or_default()
}

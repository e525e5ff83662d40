//! What the ledger keeps: revocations, and what answers them.

use serde::{Deserialize, Serialize};

use super::Revocation;
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

/// One fact, as it is written down and replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Something is over.
    Revoked(Revocation),
    /// Somebody is back.
    Reestablished(Reestablished),
}

impl Fact {
    /// The moment that decides how long it is kept (law 10): no credential is touched by it that was proven later.
    pub const fn cut_off(&self) -> Timestamp {
        match self {
            Self::Revoked(revocation) => revocation.cut_off,
            Self::Reestablished(fact) => fact.at,
        }
    }
}

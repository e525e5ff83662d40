//! Beginning and resuming a login.
use crate::time::Timestamp;
/// What the way back must prove.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Any.
    Any,
    /// Newer.
    NewerThan(Timestamp),
    /// Reassert.
    Reassert(Timestamp),
}

//! Who signed in lately, for people who look for somebody. Sessions are stored nowhere, and neither is this: it is gone with
//! the process.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::session::SessionId;
use crate::time::Timestamp;

/// Sign-ins that are remembered: a few hundred bytes each.
const KEPT: usize = 2_000;

/// Somebody signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignIn {
    /// When.
    pub(crate) at: Timestamp,
    /// To which app they wanted.
    pub(crate) app: String,
    /// Who says who they are.
    pub(crate) idp: String,
    /// Their `sub`.
    pub(crate) user: String,
    /// Their address.
    pub(crate) email: Option<String>,
    /// The session here.
    pub(crate) session: SessionId,
    /// The session at the IdP (`sid`).
    pub(crate) sid: Option<String>,
    /// When they proved who they are.
    pub(crate) auth_time: Option<Timestamp>,
}

/// The last sign-ins, where somebody may ask for them.
#[derive(Debug)]
pub(crate) struct Recent {
    /// `None` where there is nobody who could ask.
    last: Option<Mutex<VecDeque<SignIn>>>,
}

impl Recent {
    /// None yet. `asked`: there is a console.
    pub(crate) fn new(asked: bool) -> Self {
        Self { last: asked.then(Mutex::default) }
    }

    /// Remembers one more; the oldest goes.
    pub(super) fn note(&self, sign_in: impl FnOnce() -> SignIn) {
        let Some(last) = &self.last else { return };
        let sign_in = sign_in();
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= KEPT {
            last.pop_front();
        }
        last.push_back(sign_in);
    }

    /// Those that are wanted, the newest first, at most so many.
    pub(crate) fn newest(&self, most: usize, wanted: impl Fn(&SignIn) -> bool) -> Vec<SignIn> {
        let Some(last) = &self.last else { return Vec::new() };
        let last = last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().rev().filter(|one| wanted(one)).take(most).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_nobody_is_where_nobody_asks() {
        let sign_in = |at| SignIn {
            at: Timestamp::from_secs(at),
            app: "wiki".into(),
            idp: "corp".into(),
            user: "ann".into(),
            email: None,
            session: SessionId([0; 16]),
            sid: None,
            auth_time: None,
        };
        let (asked, unasked) = (Recent::new(true), Recent::new(false));
        for at in 0..2 * KEPT as u64 {
            asked.note(|| sign_in(at));
            unasked.note(|| sign_in(at));
        }
        assert_eq!(asked.newest(1, |_| true).first().map(|one| one.at.secs()), Some(2 * KEPT as u64 - 1));
        assert_eq!(asked.newest(usize::MAX, |_| true).len(), KEPT);
        assert_eq!(unasked.newest(1, |_| true), []);
    }
}

//! What a command of the IdP comes to (OpenID Provider Commands §Account Commands, §Tenant Commands).
//!
//! The gateway keeps no accounts. Whoever the IdP signs in has one here, and it is active unless it is on hold; a command
//! that held it says which of the draft's other states that is. What takes something away is done in any state: a kill
//! must not fail because the two sides see the state differently. What gives something back is done in the right one only.

use super::SpokenFor;
use crate::event::command::{Asked, CommandToken, OnAccount, OnTenant};
use crate::identity::{Target, TargetKind};
use crate::revocation::{Lifted, Mode, Origin, Reach, Revocation, Whom};
use crate::time::Timestamp;

/// How an account stands (§Account Lifecycle States).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Deleted, and so on hold.
    Unknown,
    /// It may sign in.
    Active,
    /// On hold.
    Suspended,
    /// Archived, and so on hold.
    Archived,
}

impl State {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Archived => "archived",
        }
    }

    /// The state of whoever is on hold by `origin`.
    pub fn of(origin: &Origin) -> Self {
        match origin {
            Origin::Command { command, .. } if command == OnAccount::Archive.word() => Self::Archived,
            Origin::Command { command, .. } if command == OnAccount::Delete.word() => Self::Unknown,
            Origin::Command { .. }
            | Origin::Stream { .. }
            | Origin::BackChannel { .. }
            | Origin::Global { .. }
            | Origin::FrontChannel { .. }
            | Origin::Revalidation { .. }
            | Origin::Blind { .. }
            | Origin::Operator
            | Origin::SignOut
            | Origin::AppLogout { .. } => Self::Suspended,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing: only the answer is asked for.
    Nothing,
    /// This is over.
    Revoke(Revocation),
    /// This may go on.
    Lift(Lifted),
}

/// What a command comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commanded {
    /// What is to be done, before the answer.
    pub act: Act,
    /// How the account stands then; `Err` is how it stands where the command does not fit (409).
    pub state: Result<State, State>,
}

/// What is asked for about one person who stands as `state` says.
pub fn on_account(what: OnAccount, state: State, why: &Command<'_>) -> Commanded {
    let take = |mode| Act::Revoke(why.revocation(mode));
    let give = || Act::Lift(why.lifted());
    let (hold, kill) = (Mode::Hold, Mode::Terminate);
    let (act, state) = match (what, state) {
        (OnAccount::Audit, state) => (Act::Nothing, Ok(state)),
        (OnAccount::Invalidate, State::Active) => (take(kill), Ok(State::Active)),
        (OnAccount::Suspend, State::Active) => (take(hold), Ok(State::Suspended)),
        (OnAccount::Archive, State::Active | State::Suspended) => (take(hold), Ok(State::Archived)),
        (OnAccount::Delete, State::Active | State::Suspended | State::Archived) => (take(hold), Ok(State::Unknown)),
        // Done again where it is so already: the first time may not have reached the disk.
        (OnAccount::Suspend, State::Suspended)
        | (OnAccount::Archive, State::Archived)
        | (OnAccount::Delete, State::Unknown) => (take(hold), Err(state)),
        (OnAccount::Invalidate | OnAccount::Suspend | OnAccount::Archive, _) => (take(kill), Err(state)),
        (OnAccount::Reactivate, State::Suspended)
        | (OnAccount::Restore, State::Archived)
        // Whether somebody who is active was here before is not known.
        | (OnAccount::Activate, State::Unknown | State::Active) => (give(), Ok(State::Active)),
        (OnAccount::Reactivate | OnAccount::Restore, State::Active) => (give(), Err(State::Active)),
        (OnAccount::Reactivate | OnAccount::Restore | OnAccount::Activate, state) => (Act::Nothing, Err(state)),
    };
    Commanded { act, state }
}

/// What is asked for about everybody of a tenant. There is no list of them.
pub fn on_tenant(what: OnTenant, why: &Command<'_>) -> Act {
    let mode = match what {
        OnTenant::Invalidate => Mode::Terminate,
        OnTenant::Suspend | OnTenant::Archive | OnTenant::Delete => Mode::Hold,
    };
    Act::Revoke(why.revocation(mode))
}

/// One command, and whom it is about.
#[derive(Clone, Debug)]
pub struct Command<'a> {
    token: &'a CommandToken,
    idp: &'a SpokenFor,
    whom: Whom,
    now: Timestamp,
}

impl<'a> Command<'a> {
    /// `token` of `idp`, which came in at `now`. `None` for a token that is about nobody.
    pub fn of(token: &'a CommandToken, idp: &'a SpokenFor, now: Timestamp) -> Option<Self> {
        let target = match &token.asked {
            Asked::Account { sub, .. } => Target::new(&idp.issuer, TargetKind::User, sub),
            Asked::Tenant { tenant, .. } => Target::new(&idp.issuer, TargetKind::Tenant, tenant),
            Asked::Metadata | Asked::Unsupported => None,
        };
        Some(Self { token, idp, whom: Whom::all_of(vec![target?])?, now })
    }

    /// Whom it is about.
    pub const fn whom(&self) -> &Whom {
        &self.whom
    }

    fn origin(&self) -> Origin {
        Origin::Command {
            idp: self.idp.name.clone(),
            jti: self.token.jti.clone(),
            command: self.token.asked.word().to_owned(),
        }
    }

    fn at(&self) -> Timestamp {
        self.token.issued_at.min(self.now)
    }

    fn revocation(&self, mode: Mode) -> Revocation {
        Revocation {
            whom: self.whom.clone(),
            reach: Reach::All,
            mode,
            cut_off: self.at(),
            origin: self.origin(),
            reason: None,
            received_at: self.now,
        }
    }

    fn lifted(&self) -> Lifted {
        Lifted {
            whom: self.whom.clone(),
            reach: Reach::All,
            at: self.at(),
            origin: self.origin(),
            reason: None,
            received_at: self.now,
        }
    }
}

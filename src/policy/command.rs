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
    /// On hold by an operator, whose word no command of the IdP undoes.
    Kept,
}

impl State {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Active => "active",
            Self::Suspended | Self::Kept => "suspended",
            Self::Archived => "archived",
        }
    }

    /// The state of whoever is on hold by `origin`.
    pub fn of(origin: &Origin) -> Self {
        match origin {
            Origin::Command { command, .. } if command == OnAccount::Archive.word() => Self::Archived,
            Origin::Command { command, .. } if command == OnAccount::Delete.word() => Self::Unknown,
            Origin::Operator => Self::Kept,
            Origin::Command { .. }
            | Origin::Stream { .. }
            | Origin::BackChannel { .. }
            | Origin::Global { .. }
            | Origin::FrontChannel { .. }
            | Origin::Revalidation { .. }
            | Origin::Blind { .. }
            | Origin::Stale
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
        (OnAccount::Invalidate | OnAccount::Suspend | OnAccount::Archive | OnAccount::Delete, _) => (take(kill), Err(state)),
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
            said: Default::default(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Issuer;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn idp() -> SpokenFor {
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        SpokenFor { name: "corp".into(), issuer, client_id: "portcullis".into() }
    }

    fn token(asked: Asked, issued_at: Timestamp) -> CommandToken {
        CommandToken { jti: "j1".into(), issued_at, good_until: NOW, tenant: Some("t".into()), asked }
    }

    fn account(what: OnAccount) -> Asked {
        Asked::Account { what, sub: "00u1".into() }
    }

    /// The draft's states and commands: what is done, and how it is answered.
    #[test]
    fn each_command_in_each_state_does_what_takes_away_and_answers_by_the_draft() {
        use State::{Active, Archived, Kept, Suspended, Unknown};
        const STATES: [State; 5] = [Active, Suspended, Archived, Unknown, Kept];
        let (no, kill, hold, lift) = ("", "terminate", "hold", "lift");
        for (what, row) in [
            (
                OnAccount::Audit,
                [(no, Ok(Active)), (no, Ok(Suspended)), (no, Ok(Archived)), (no, Ok(Unknown)), (no, Ok(Kept))],
            ),
            (
                OnAccount::Invalidate,
                [
                    (kill, Ok(Active)),
                    (kill, Err(Suspended)),
                    (kill, Err(Archived)),
                    (kill, Err(Unknown)),
                    (kill, Err(Kept)),
                ],
            ),
            (
                OnAccount::Suspend,
                [
                    (hold, Ok(Suspended)),
                    (hold, Err(Suspended)),
                    (kill, Err(Archived)),
                    (kill, Err(Unknown)),
                    (kill, Err(Kept)),
                ],
            ),
            (
                OnAccount::Archive,
                [
                    (hold, Ok(Archived)),
                    (hold, Ok(Archived)),
                    (hold, Err(Archived)),
                    (kill, Err(Unknown)),
                    (kill, Err(Kept)),
                ],
            ),
            (
                OnAccount::Delete,
                [
                    (hold, Ok(Unknown)),
                    (hold, Ok(Unknown)),
                    (hold, Ok(Unknown)),
                    (hold, Err(Unknown)),
                    (kill, Err(Kept)),
                ],
            ),
            (
                OnAccount::Reactivate,
                [(lift, Err(Active)), (lift, Ok(Active)), (no, Err(Archived)), (no, Err(Unknown)), (no, Err(Kept))],
            ),
            (
                OnAccount::Restore,
                [(lift, Err(Active)), (no, Err(Suspended)), (lift, Ok(Active)), (no, Err(Unknown)), (no, Err(Kept))],
            ),
            (
                OnAccount::Activate,
                [(lift, Ok(Active)), (no, Err(Suspended)), (no, Err(Archived)), (lift, Ok(Active)), (no, Err(Kept))],
            ),
        ] {
            for (state, (act, answer)) in STATES.into_iter().zip(row) {
                let (token, idp) = (token(account(what), NOW), idp());
                let command = Command::of(&token, &idp, NOW).expect("somebody");
                let commanded = on_account(what, state, &command);
                let done = match &commanded.act {
                    Act::Nothing => no,
                    Act::Revoke(revocation) => revocation.mode.word(),
                    Act::Lift(_) => lift,
                };
                assert_eq!((done, commanded.state), (act, answer), "{} of who is {}", what.word(), state.word());
            }
        }
    }

    #[test]
    fn a_command_reaches_one_person_or_one_tenant_of_this_idp_as_of_its_own_time() {
        let idp = idp();
        for (what, issued_at, expected) in
            [("in time", NOW.secs() - 5, NOW.secs() - 5), ("by a clock that is ahead", NOW.secs() + 30, NOW.secs())]
        {
            for (asked, kind, value) in [
                (account(OnAccount::Suspend), TargetKind::User, "00u1"),
                (Asked::Tenant { what: OnTenant::Suspend, tenant: "t".into() }, TargetKind::Tenant, "t"),
            ] {
                let token = token(asked, Timestamp::from_secs(issued_at));
                let command = Command::of(&token, &idp, NOW).expect("somebody");
                let act = on_tenant(OnTenant::Suspend, &command);
                let Act::Revoke(revocation) = act else { panic!("{act:?}") };
                let target = Target::new(&idp.issuer, kind, value).expect("target");
                assert_eq!(revocation.whom.targets(), [target], "{what}");
                assert_eq!(revocation.cut_off.secs(), expected, "{what}");
                assert_eq!((revocation.reach, revocation.mode), (Reach::All, Mode::Hold), "{what}");
            }
        }
        for asked in [Asked::Metadata, Asked::Unsupported] {
            assert!(Command::of(&token(asked, NOW), &idp, NOW).is_none());
        }
    }

    #[test]
    fn a_hold_remembers_which_command_it_was() {
        let by = |command: &str| Origin::Command { idp: "corp".into(), jti: "j".into(), command: command.into() };
        for (origin, expected) in [
            (by("suspend"), State::Suspended),
            (by("archive"), State::Archived),
            (by("delete"), State::Unknown),
            (by("archive_tenant"), State::Suspended),
            (Origin::Operator, State::Kept),
            (Origin::FrontChannel { idp: "corp".into() }, State::Suspended),
        ] {
            assert_eq!(State::of(&origin), expected, "{origin:?}");
        }
    }
}

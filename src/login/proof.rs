//! What a login must prove, and whether it did (law 6): asked once, answered once, never a loop.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::revocation::Standing;
use crate::time::Timestamp;

/// The longest wait that a page proposes. An assertion further behind a cut-off than this is not a matter of clocks.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// What a login must prove before a session is made from it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// Nothing beyond who it is.
    Any,
    /// An assertion made after that moment (`iat`); the IdP may give it silently.
    Reassert(Timestamp),
    /// The person proved who they are after that moment (`auth_time`).
    NewerThan(Timestamp),
}

/// What came of a login.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It proves what was asked, and no revocation covers it.
    Proven,
    /// A revocation needs more than was asked: send the browser to the IdP again, asking for this. Each time that
    /// this comes of one login, it asks for strictly more than the time before.
    AskAgain(Proof),
    /// As much was asked as is needed, and the IdP did not give it: show a page.
    CannotProve(Shortfall),
    /// The person is on hold: nothing that an IdP says gets them in.
    OnHold,
}

/// What is missing from a login that cannot prove what it must.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// What had to be proved.
    pub asked: Proof,
    /// Why it is not.
    pub why: Why,
    /// If the clocks of the IdP and of the revocation are the likely cause (the same second counts as older): after
    /// this long, another try can succeed.
    pub retry_after: Option<Duration>,
}

/// Why a login does not prove what it must.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The IdP did not say when the person proved who they are (`auth_time`), although it was asked.
    NoAuthTime,
    /// The person's last proof is no newer than the cut-off: the IdP did not ask them again.
    OldAuthTime,
    /// The assertion is no newer than the cut-off.
    OldAssertion,
}

impl Proof {
    /// The proof that `standing` demands.
    pub const fn demanded_by(standing: Standing) -> Self {
        match (standing.terminated, standing.reestablish) {
            (Some(cut_off), _) => Self::NewerThan(cut_off),
            (None, Some(cut_off)) => Self::Reassert(cut_off),
            (None, None) => Self::Any,
        }
    }

    /// The least proof that is as strong as both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Any, proof) | (proof, Self::Any) => proof,
            (Self::Reassert(a), Self::Reassert(b)) => Self::Reassert(a.max(b)),
            // A person who authenticates after a moment is also asserted after it.
            (Self::NewerThan(a), Self::NewerThan(b) | Self::Reassert(b)) | (Self::Reassert(a), Self::NewerThan(b)) => {
                Self::NewerThan(a.max(b))
            }
        }
    }

    /// Why `identity` does not give this proof; `None` if it does.
    fn shortfall(self, identity: &Identity) -> Option<Why> {
        match self {
            Self::Any => None,
            Self::Reassert(cut_off) | Self::NewerThan(cut_off) if identity.asserted_at <= cut_off => {
                Some(Why::OldAssertion)
            }
            Self::Reassert(_) => None,
            Self::NewerThan(cut_off) => match identity.auth_time {
                None => Some(Why::NoAuthTime),
                Some(auth_time) if auth_time <= cut_off => Some(Why::OldAuthTime),
                Some(_) => None,
            },
        }
    }

    /// The moment after which something must have happened.
    const fn cut_off(self) -> Option<Timestamp> {
        match self {
            Self::Any => None,
            Self::Reassert(cut_off) | Self::NewerThan(cut_off) => Some(cut_off),
        }
    }
}

/// Judges a login that was asked for `asked` and gave `identity`, which stands like `standing` against the revocation
/// set *after* the code exchange.
///
/// The loop breaker: what is asked next is the union of all that was asked and all that is needed; if that is no more
/// than was asked already, asking again cannot help.
pub fn check_proof(asked: Proof, identity: &Identity, standing: Standing) -> Verdict {
    if standing.held.is_some() {
        return Verdict::OnHold;
    }
    let needed = Proof::demanded_by(standing);
    let together = asked.and(needed);
    if together != asked {
        return Verdict::AskAgain(together);
    }
    // A login that is not clear is short of `needed`, which `asked` includes; the set has the last word all the same.
    let why = asked.shortfall(identity).or_else(|| (!standing.is_clear()).then_some(Why::OldAssertion));
    why.map_or(Verdict::Proven, |why| {
        Verdict::CannotProve(Shortfall { asked, why, retry_after: wait_for_clocks(asked, identity) })
    })
}

/// How long until an assertion made in that many seconds is newer than the cut-off, if it is that close.
fn wait_for_clocks(asked: Proof, identity: &Identity) -> Option<Duration> {
    // An assertion made after the cut-off proves that the clocks are past it: only the person can do better.
    let cut_off = asked.cut_off().filter(|cut_off| identity.asserted_at <= *cut_off)?;
    let wait = cut_off.since(identity.asserted_at) + Duration::from_secs(1);
    (wait <= LONGEST_WAIT).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{AppKey, Issuer, Target, TargetHasher};
    use crate::revocation::{Credential, Mode, Origin, Reach, Revocation, RevocationSet, Whom};

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn identity(asserted_at: u64, auth_time: Option<u64>) -> Identity {
        Identity {
            issuer: Issuer::parse("https://idp.example.com").expect("issuer"),
            subject: "ann".into(),
            sid: None,
            email: None,
            phone: None,
            preferred_username: None,
            groups: Vec::new(),
            tenant: None,
            device: None,
            asserted_at: at(asserted_at),
            auth_time: auth_time.map(at),
            session_expiry: None,
        }
    }

    /// The standing that the real set gives to `identity` after a termination and a re-establishment.
    fn standing(identity: &Identity, terminate: Option<u64>, reestablish: Option<u64>) -> Standing {
        let hasher = TargetHasher::new(&[7; 32]);
        let set = RevocationSet::default();
        let targets = identity.targets();
        for (mode, cut_off) in [(Mode::Terminate, terminate), (Mode::Reestablish, reestablish)] {
            let Some(cut_off) = cut_off else { continue };
            let revocation = Revocation {
                whom: Whom::all_of(vec![targets[0].clone()]).expect("one target"),
                reach: Reach::All,
                mode,
                cut_off: at(cut_off),
                origin: Origin::Operator,
                reason: None,
                said: Default::default(),
                received_at: at(cut_off),
            };
            set.insert(&revocation, &[&hasher]);
        }
        let keys: Vec<_> = targets.iter().map(|t: &Target| (t.kind, hasher.key(t))).collect();
        set.judge(&Credential {
            targets: &keys,
            asserted_at: identity.asserted_at,
            auth_time: identity.auth_time,
            app: AppKey::of("wiki"),
        })
    }

    fn short(asked: Proof, why: Why, wait: Option<u64>) -> Verdict {
        Verdict::CannotProve(Shortfall { asked, why, retry_after: wait.map(Duration::from_secs) })
    }

    #[test]
    fn a_login_is_proven_asked_again_or_told_why_not() {
        use Proof::{Any, NewerThan, Reassert};
        use Verdict::{AskAgain, Proven};
        // asked, (iat, auth_time), (terminated at, reestablish at), verdict
        for (asked, (iat, auth_time), (terminate, reestablish), expected) in [
            // nothing in force
            (Any, (200, None), (None, None), Proven),
            (Any, (200, Some(50)), (None, None), Proven),
            (Reassert(at(100)), (200, None), (None, None), Proven),
            (Reassert(at(200)), (200, None), (None, None), short(Reassert(at(200)), Why::OldAssertion, Some(1))),
            (NewerThan(at(100)), (200, Some(101)), (None, None), Proven),
            (NewerThan(at(100)), (200, Some(100)), (None, None), short(NewerThan(at(100)), Why::OldAuthTime, None)),
            (NewerThan(at(100)), (200, Some(99)), (None, None), short(NewerThan(at(100)), Why::OldAuthTime, None)),
            (NewerThan(at(100)), (200, None), (None, None), short(NewerThan(at(100)), Why::NoAuthTime, None)),
            // terminated
            (Any, (200, Some(150)), (Some(100), None), Proven),
            (Any, (200, Some(100)), (Some(100), None), AskAgain(NewerThan(at(100)))),
            (Any, (200, None), (Some(100), None), AskAgain(NewerThan(at(100)))),
            (Any, (99, Some(99)), (Some(100), None), AskAgain(NewerThan(at(100)))),
            (Reassert(at(300)), (400, Some(50)), (Some(100), None), AskAgain(NewerThan(at(300)))),
            (NewerThan(at(100)), (200, Some(101)), (Some(100), None), Proven),
            (NewerThan(at(100)), (200, Some(50)), (Some(100), None), short(NewerThan(at(100)), Why::OldAuthTime, None)),
            (NewerThan(at(100)), (200, None), (Some(100), None), short(NewerThan(at(100)), Why::NoAuthTime, None)),
            // the same second, and an IdP whose clock is behind: a moment later it works
            (
                NewerThan(at(100)),
                (100, Some(100)),
                (Some(100), None),
                short(NewerThan(at(100)), Why::OldAssertion, Some(1)),
            ),
            (
                NewerThan(at(100)),
                (60, Some(60)),
                (Some(100), None),
                short(NewerThan(at(100)), Why::OldAssertion, Some(41)),
            ),
            (
                NewerThan(at(1000)),
                (60, Some(60)),
                (Some(1000), None),
                short(NewerThan(at(1000)), Why::OldAssertion, None),
            ),
            // terminated again while the person was at the IdP
            (NewerThan(at(100)), (200, Some(150)), (Some(180), None), AskAgain(NewerThan(at(180)))),
            (
                NewerThan(at(180)),
                (200, Some(150)),
                (Some(180), None),
                short(NewerThan(at(180)), Why::OldAuthTime, None),
            ),
            // to be re-established
            (Any, (200, None), (None, Some(100)), Proven),
            (Any, (100, None), (None, Some(100)), AskAgain(Reassert(at(100)))),
            (Reassert(at(100)), (100, None), (None, Some(100)), short(Reassert(at(100)), Why::OldAssertion, Some(1))),
            (Reassert(at(100)), (101, None), (None, Some(100)), Proven),
            (Reassert(at(100)), (101, None), (None, Some(120)), AskAgain(Reassert(at(120)))),
            (NewerThan(at(100)), (101, Some(101)), (None, Some(100)), Proven),
            (NewerThan(at(100)), (110, Some(101)), (None, Some(110)), AskAgain(NewerThan(at(110)))),
            // both
            (Any, (200, Some(150)), (Some(100), Some(120)), Proven),
            (Any, (110, Some(90)), (Some(100), Some(120)), AskAgain(NewerThan(at(100)))),
            (Reassert(at(120)), (130, Some(90)), (Some(100), Some(120)), AskAgain(NewerThan(at(120)))),
        ] {
            let identity = identity(iat, auth_time);
            let verdict = check_proof(asked, &identity, standing(&identity, terminate, reestablish));
            assert_eq!(
                verdict, expected,
                "asked {asked:?}, got iat {iat} auth_time {auth_time:?}; terminate {terminate:?}, re-establish {reestablish:?}"
            );
        }
    }

    #[test]
    fn an_auth_time_later_than_its_assertion_proves_no_more_than_the_assertion() {
        let identity = identity(100, Some(9_999_999_999));
        let verdict = check_proof(Proof::NewerThan(at(150)), &identity, standing(&identity, Some(150), None));
        assert_eq!(verdict, short(Proof::NewerThan(at(150)), Why::OldAssertion, Some(51)));
    }

    #[test]
    fn no_proof_gets_in_who_is_on_hold() {
        for asked in [Proof::Any, Proof::Reassert(at(1)), Proof::NewerThan(at(1))] {
            let standing = Standing { held: Some(at(1)), ..Standing::default() };
            assert_eq!(check_proof(asked, &identity(9, Some(9)), standing), Verdict::OnHold, "{asked:?}");
        }
    }

    /// Every IdP (also one that changes its mind), every standing: the chain of asking again ends, what is proven is
    /// clear, and what is clear and was proven as asked is never refused.
    #[test]
    fn asking_again_always_asks_for_more_and_never_admits_what_is_revoked() {
        let proofs = |t: u64| [Proof::Any, Proof::Reassert(at(t)), Proof::NewerThan(at(t))];
        let moments = [None, Some(1), Some(2), Some(3)];
        for asked in (1..=3).flat_map(proofs) {
            for iat in 1..=4 {
                for auth_time in [None, Some(1), Some(2), Some(3), Some(4)] {
                    for terminate in moments {
                        for reestablish in moments {
                            let identity = identity(iat, auth_time);
                            let standing = standing(&identity, terminate, reestablish);
                            let case = format!("{asked:?} {iat} {auth_time:?} {terminate:?} {reestablish:?}");
                            match check_proof(asked, &identity, standing) {
                                Verdict::Proven => {
                                    assert!(standing.is_clear() && asked.shortfall(&identity).is_none(), "{case}");
                                }
                                Verdict::AskAgain(more) => {
                                    assert!(!standing.is_clear(), "{case}");
                                    assert!(more != asked && more.and(asked) == more, "{case}: {more:?} is no more");
                                    assert!(
                                        !matches!(
                                            check_proof(more, &identity, standing),
                                            Verdict::AskAgain(_) | Verdict::Proven
                                        ),
                                        "{case}: the same answer again must end it"
                                    );
                                }
                                Verdict::OnHold => panic!("{case}: nobody is on hold"),
                                Verdict::CannotProve(shortfall) => {
                                    assert_eq!(shortfall.asked, asked, "{case}");
                                    assert!(!standing.is_clear() || asked.shortfall(&identity).is_some(), "{case}");
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

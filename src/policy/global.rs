//! What a global token revocation comes to: everything of one person of the IdP that asks, and never more.

use super::SpokenFor;
use crate::event::Simple;
use crate::event::global::Caller;
use crate::identity::{Issuer, Target, TargetKind};
use crate::revocation::{Mode, Origin, Reach, Revocation, Whom};
use crate::time::Timestamp;

/// Why a global token revocation is refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotRevoked {
    /// No identity here is known by an identifier of this format.
    #[error("subjects of this format are not supported; send `email`, `phone_number`, `iss_sub` or `opaque`")]
    Format,
    /// It names a person of another issuer.
    #[error("the subject is not a person of this identity provider")]
    Issuer,
    /// The format is known and the value can be nobody's.
    #[error("the subject can be nobody here")]
    Nobody,
}

/// What `subject`, as `caller` asks for it at `now`, comes to among the people of `idp`: one revocation for each name of
/// the person that is known here. `also` is what the IdP calls itself when it makes such calls, if that differs.
///
/// The cut-off is the caller's signed time; a shared secret signs none, and then it is the time of receipt.
pub fn global(
    subject: &Simple,
    caller: &Caller,
    idp: &SpokenFor,
    also: Option<&Issuer>,
    now: Timestamp,
) -> Result<Vec<Revocation>, NotRevoked> {
    let names = match subject {
        Simple::Aliases(names) => names.as_slice(),
        one => std::slice::from_ref(one),
    };
    let found: Vec<_> = names.iter().map(|name| target(name, idp, also)).collect();
    // One name by which the person is known is enough; else the refusal that says most.
    if let Some(refused) = found.iter().filter_map(|found| found.as_ref().err()).max_by_key(|r| weight(**r))
        && found.iter().all(Result::is_err)
    {
        return Err(*refused);
    }
    let (cut_off, jti) = match caller {
        Caller::Holder => (now, None),
        Caller::Signed { jti, issued_at, .. } => ((*issued_at).min(now), Some(jti.clone())),
    };
    let whoms = found.into_iter().flatten().filter_map(|target| Whom::all_of(vec![target]));
    Ok(whoms
        .map(|whom| Revocation {
            whom,
            reach: Reach::All,
            mode: Mode::Terminate,
            cut_off,
            origin: Origin::Global { idp: idp.name.clone(), jti: jti.clone() },
            reason: None,
            said: Default::default(),
            received_at: now,
        })
        .collect())
}

const fn weight(refused: NotRevoked) -> u8 {
    match refused {
        NotRevoked::Format => 0,
        NotRevoked::Nobody => 1,
        NotRevoked::Issuer => 2,
    }
}

/// The person of that name. An opaque identifier is the IdP's `sub` here: what is revoked is a user, never a session.
fn target(name: &Simple, idp: &SpokenFor, also: Option<&Issuer>) -> Result<Target, NotRevoked> {
    let (kind, value) = match name {
        Simple::Email(address) => (TargetKind::Email, address),
        Simple::PhoneNumber(number) => (TargetKind::Phone, number),
        Simple::Opaque(id) => (TargetKind::User, id),
        Simple::IssSub { iss, sub } => {
            if iss != idp.issuer.as_str() && also.is_none_or(|also| iss != also.as_str()) {
                return Err(NotRevoked::Issuer);
            }
            (TargetKind::User, sub)
        }
        Simple::Account(_)
        | Simple::Did(_)
        | Simple::Uri(_)
        | Simple::Aliases(_)
        | Simple::JwtId { .. }
        | Simple::SamlAssertionId { .. }
        | Simple::IpAddresses(_)
        | Simple::Scim { .. }
        | Simple::Other(_) => return Err(NotRevoked::Format),
    };
    Target::new(&idp.issuer, kind, value).ok_or(NotRevoked::Nobody)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Widest;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn issuer(text: &str) -> Issuer {
        Issuer::parse(text).expect("issuer")
    }

    fn signed(secs: u64) -> Caller {
        Caller::Signed { jti: "j1".into(), issued_at: Timestamp::from_secs(secs), good_until: NOW }
    }

    fn named(subject: &Simple) -> Result<Vec<(TargetKind, String)>, NotRevoked> {
        let idp = SpokenFor {
            name: "corp".into(),
            issuer: issuer("https://org.okta.example/oauth2/default"),
            client_id: "portcullis".into(),
        };
        let also = issuer("https://org.okta.example");
        let revocations = global(subject, &signed(NOW.secs() - 5), &idp, Some(&also), NOW)?;
        assert!(revocations.iter().all(|r| {
            Widest::of(&r.whom) == Widest::User
                && r.mode == Mode::Terminate
                && r.cut_off.secs() == NOW.secs() - 5
                && r.received_at == NOW
                && r.whom.targets().iter().all(|target| target.issuer == idp.issuer)
                && r.origin == Origin::Global { idp: "corp".into(), jti: Some("j1".into()) }
        }));
        Ok(revocations.iter().flat_map(|r| r.whom.targets()).map(|t| (t.kind, t.value.clone())).collect())
    }

    #[test]
    fn a_subject_names_one_person_of_this_idp_or_is_refused() {
        let iss_sub = |iss: &str| Simple::IssSub { iss: iss.into(), sub: "00u1".into() };
        let user = || Ok(vec![(TargetKind::User, "00u1".to_owned())]);
        let email = Simple::Email("Ann@Corp.example".into());
        let known = || (TargetKind::Email, "ann@corp.example".to_owned());
        for (what, subject, expected) in [
            ("e-mail", email.clone(), Ok(vec![known()])),
            ("phone", Simple::PhoneNumber("+1 206 555".into()), Ok(vec![(TargetKind::Phone, "+1206555".to_owned())])),
            ("opaque", Simple::Opaque("00u1".into()), user()),
            ("by issuer", iss_sub("https://org.okta.example/oauth2/default"), user()),
            ("by the caller's issuer", iss_sub("https://org.okta.example"), user()),
            ("of another issuer", iss_sub("https://evil.example"), Err(NotRevoked::Issuer)),
            ("the issuer with a slash", iss_sub("https://org.okta.example/"), Err(NotRevoked::Issuer)),
            ("no e-mail", Simple::Email("ann".into()), Err(NotRevoked::Nobody)),
            ("no number", Simple::PhoneNumber("none".into()), Err(NotRevoked::Nobody)),
            ("a DID", Simple::Did("did:x:1".into()), Err(NotRevoked::Format)),
            ("an account", Simple::Account("acct:ann@corp.example".into()), Err(NotRevoked::Format)),
            ("addresses", Simple::IpAddresses(vec![[10, 0, 0, 1].into()]), Err(NotRevoked::Format)),
            ("a new format", Simple::Other("badge".into()), Err(NotRevoked::Format)),
            (
                "every name that is known",
                Simple::Aliases(vec![Simple::Did("did:x:1".into()), email, iss_sub("https://org.okta.example")]),
                Ok(vec![known(), (TargetKind::User, "00u1".to_owned())]),
            ),
            (
                "no name that is known",
                Simple::Aliases(vec![Simple::Did("did:x:1".into()), iss_sub("https://evil.example")]),
                Err(NotRevoked::Issuer),
            ),
        ] {
            assert_eq!(named(&subject), expected, "{what}");
        }
    }

    #[test]
    fn a_signed_time_counts_and_never_one_in_the_future() {
        let idp = SpokenFor { name: "corp".into(), issuer: issuer("https://i.example"), client_id: "p".into() };
        for (what, caller, expected) in [
            ("signed", signed(NOW.secs() - 60), NOW.secs() - 60),
            ("by a clock that is ahead", signed(NOW.secs() + 60), NOW.secs()),
            ("a shared secret says no time", Caller::Holder, NOW.secs()),
        ] {
            let made = global(&Simple::Opaque("u".into()), &caller, &idp, None, NOW).expect("known");
            assert_eq!(made.iter().map(|r| r.cut_off.secs()).collect::<Vec<_>>(), [expected], "{what}");
        }
    }
}

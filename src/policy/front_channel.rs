//! What a front-channel logout comes to. Nothing proves who asks for it: the one session that is named, and no more.

use super::SpokenFor;
use crate::identity::{Target, TargetKind};
use crate::revocation::{Mode, Origin, Reach, Revocation, Whom};
use crate::time::Timestamp;

/// The lengths of a `sid` that is believed to be one nobody guesses (16 characters of base64 are 96 bits); the longest
/// is far beyond any that IdPs make.
const PLAUSIBLE: std::ops::RangeInclusive<usize> = 16..=255;
/// Different characters that it has at least: what is random has them, a counter padded with zeros does not.
const LEAST_DIFFERENT: usize = 6;

/// What the front-channel logout of `sid` at `idp` comes to; `None` for one that no IdP makes, or that can be guessed.
pub fn front_channel(sid: &str, idp: &SpokenFor, now: Timestamp) -> Option<Revocation> {
    let mut different: Vec<u8> = sid.bytes().collect();
    different.sort_unstable();
    different.dedup();
    // OpenID Connect Front-Channel Logout §3 leaves the form to the IdP; all have what stands in a URL or in JSON.
    let plausible = PLAUSIBLE.contains(&sid.len())
        && sid.bytes().all(|b| b.is_ascii_graphic())
        && different.len() >= LEAST_DIFFERENT;
    let target = plausible.then(|| Target::new(&idp.issuer, TargetKind::Session, sid)).flatten()?;
    Some(Revocation {
        whom: Whom::all_of(vec![target])?,
        reach: Reach::All,
        mode: Mode::Terminate,
        cut_off: now,
        origin: Origin::FrontChannel { idp: idp.name.clone() },
        reason: None,
        said: Default::default(),
        received_at: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Issuer;

    #[test]
    fn only_a_session_that_nobody_guesses_can_be_ended_and_nothing_wider() {
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        let idp = SpokenFor { name: "corp".into(), issuer, client_id: "p".into() };
        let now = Timestamp::from_secs(1_700_000_000);
        for (sid, taken) in [
            ("08a5019c-17e1-4977-8f42-65a12843ea02", true),
            ("Zm9vYmFyYmF6cXV4", true),
            ("Zm9vYmFyYmF6cXV", false),
            ("0000000000000042", false),
            ("aaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("with a space in it 123", false),
            ("ünïcödé-sid-0123456789", false),
            ("", false),
            ("ALL", false),
        ] {
            let made = front_channel(sid, &idp, now);
            assert_eq!(made.is_some(), taken, "`{sid}`");
            if let Some(revocation) = made {
                let targets: Vec<_> = revocation.whom.targets().iter().map(|t| (t.kind, t.value.as_str())).collect();
                assert_eq!(targets, [(TargetKind::Session, sid)]);
                assert_eq!((revocation.mode, revocation.cut_off), (Mode::Terminate, now));
                assert_eq!(revocation.origin, Origin::FrontChannel { idp: "corp".into() });
            }
        }
        assert!(front_channel(&"0123456789abcdef".repeat(16), &idp, now).is_none(), "256 characters");
    }
}

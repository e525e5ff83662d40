//! A fact as bytes: JSON with a version in front, so that an operator can read the ledger with `sqlite3` and a
//! gateway can tell a newer record from a broken one.

use serde::{Deserialize, Serialize};

use super::{Awaiting, Decided, Fact, Lifted, Mode, Origin, Reestablished, Revocation};

/// The newest version that this gateway reads. A record is written in the oldest version that has what is in it.
const VERSION: u32 = 5;
/// Revocations.
const REVOCATIONS: u32 = 1;
/// Also who is back.
const RETURNS: u32 = 2;
/// Also revocations by signals that the versions before did not know.
const MORE_SIGNALS: u32 = 3;
/// Also holds, their lifting, what awaits approval, and the signals that came with them.
const HOLDS: u32 = 4;
/// Also what a gateway did when it no longer heard the others.
const FLEETS: u32 = 5;

/// Why a record could not be read.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a newer gateway.
    #[error("the record has format version {0}, newer than this gateway reads")]
    Newer(u32),
    /// Not a record at all.
    #[error("the record is damaged")]
    Damaged,
}

#[derive(Default, Serialize)]
struct Written<'a> {
    v: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation: Option<&'a Revocation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reestablished: Option<&'a Reestablished>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifted: Option<&'a Lifted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    awaiting: Option<&'a Awaiting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<&'a Decided>,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Deserialize)]
struct Read {
    v: u32,
    revocation: Option<Revocation>,
    reestablished: Option<Reestablished>,
    lifted: Option<Lifted>,
    awaiting: Option<Awaiting>,
    decided: Option<Decided>,
}

impl Read {
    /// The one fact that it is.
    fn one(self) -> Option<Fact> {
        let Self { v: _, revocation, reestablished, lifted, awaiting, decided } = self;
        let mut all = [
            revocation.map(Fact::Revoked),
            reestablished.map(Fact::Reestablished),
            lifted.map(Fact::Lifted),
            awaiting.map(Fact::Awaiting),
            decided.map(Fact::Decided),
        ]
        .into_iter()
        .flatten();
        all.next().filter(|_| all.next().is_none())
    }
}

/// The bytes of `fact`.
pub fn encode(fact: &Fact) -> Vec<u8> {
    let written = match fact {
        Fact::Revoked(revocation) => {
            Written { v: version_of(revocation), revocation: Some(revocation), ..Written::default() }
        }
        Fact::Reestablished(back) => Written { v: RETURNS, reestablished: Some(back), ..Written::default() },
        Fact::Lifted(lifted) => Written { v: HOLDS, lifted: Some(lifted), ..Written::default() },
        Fact::Awaiting(awaiting) => Written { v: HOLDS, awaiting: Some(awaiting), ..Written::default() },
        Fact::Decided(decided) => Written { v: HOLDS, decided: Some(decided), ..Written::default() },
    };
    // Serialising plain structs with string keys into memory has no failing case.
    serde_json::to_vec(&written).unwrap_or_default()
}

/// The oldest version that knows such a revocation.
fn version_of(revocation: &Revocation) -> u32 {
    match &revocation.origin {
        _ if revocation.mode == Mode::Hold => HOLDS,
        Origin::Stream { .. } | Origin::BackChannel { .. } | Origin::Operator | Origin::SignOut => REVOCATIONS,
        Origin::Global { .. } | Origin::FrontChannel { .. } => MORE_SIGNALS,
        Origin::Command { .. } | Origin::Revalidation { .. } | Origin::Blind { .. } | Origin::AppLogout { .. } => HOLDS,
        Origin::Stale => FLEETS,
    }
}

/// The fact in `bytes`. Members that this version does not know are ignored; a newer version is not.
pub fn decode(bytes: &[u8]) -> Result<Fact, Unreadable> {
    decode_up_to(VERSION, bytes)
}

/// As a gateway reads it whose newest version is `newest`.
fn decode_up_to(newest: u32, bytes: &[u8]) -> Result<Fact, Unreadable> {
    // A ledger holds millions, and all but a few are whole: those are read once.
    match serde_json::from_slice::<Read>(bytes) {
        Ok(read) if read.v <= newest => read.one().ok_or(Unreadable::Damaged),
        Ok(read) => Err(Unreadable::Newer(read.v)),
        Err(_) => match serde_json::from_slice(bytes) {
            Ok(Version { v }) if v > newest => Err(Unreadable::Newer(v)),
            Ok(_) | Err(_) => Err(Unreadable::Damaged),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Issuer, Target, TargetKind};
    use crate::revocation::{Mode, Origin, Reach, RevocationId, Whom};
    use crate::time::Timestamp;

    fn sample() -> Fact {
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        Fact::Revoked(Revocation {
            whom: Whom::all_of(vec![Target::new(&issuer, TargetKind::User, "ann").expect("target")]).expect("whom"),
            reach: Reach::Apps(vec!["wiki".into()]),
            mode: Mode::Terminate,
            cut_off: Timestamp::from_secs(1_700_000_000),
            origin: Origin::Stream { stream: "corp".into(), jti: "j1".into(), txn: None, event: "e".into() },
            reason: Some("left the company".into()),
            said: Default::default(),
            received_at: Timestamp::from_secs(1_700_000_001),
        })
    }

    fn back() -> Fact {
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        let who = Target::new(&issuer, TargetKind::User, "ann").expect("target");
        Fact::Reestablished(Reestablished { who, at: Timestamp::from_secs(1_700_000_002) })
    }

    fn by(origin: Origin) -> Fact {
        match sample() {
            Fact::Revoked(revocation) => Fact::Revoked(Revocation { origin, ..revocation }),
            other => other,
        }
    }

    fn newer_signals() -> Vec<Fact> {
        let (idp, jti) = ("corp".to_owned(), Some("j1".to_owned()));
        let origins = [
            Origin::Global { idp: idp.clone(), jti },
            Origin::Global { idp: idp.clone(), jti: None },
            Origin::FrontChannel { idp },
        ];
        origins.map(by).to_vec()
    }

    fn of_holds() -> Vec<Fact> {
        let Fact::Revoked(revocation) = sample() else { panic!("a revocation") };
        let Revocation { whom, reach, cut_off: at, .. } = revocation.clone();
        let (idp, jti) = ("corp".to_owned(), "j1".to_owned());
        let origin = Origin::Operator;
        vec![
            Fact::Revoked(Revocation { mode: Mode::Hold, ..revocation.clone() }),
            Fact::Lifted(Lifted { whom, reach, at, origin, reason: None, received_at: at }),
            Fact::Awaiting(Awaiting { id: RevocationId(7), revocation }),
            Fact::Decided(Decided { id: RevocationId(7), mode: Mode::Terminate, approved: true, at, reason: None }),
            by(Origin::Command { idp: idp.clone(), jti, command: "suspend".into() }),
            by(Origin::Revalidation { idp, by: "refresh".into() }),
            by(Origin::Blind { stream: "corp".into() }),
            by(Origin::AppLogout { app: "wiki".into() }),
        ]
    }

    #[test]
    fn a_hold_is_newer_to_an_older_gateway() {
        for fact in of_holds() {
            assert_eq!(decode_up_to(MORE_SIGNALS, &encode(&fact)), Err(Unreadable::Newer(4)), "{fact:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for fact in [vec![sample(), back()], newer_signals(), of_holds()].concat() {
            assert_eq!(decode(&encode(&fact)), Ok(fact));
        }
    }

    #[test]
    fn a_signal_of_a_newer_kind_is_newer_to_an_older_gateway_and_not_damaged() {
        for fact in newer_signals() {
            let bytes = encode(&fact);
            assert!(bytes.starts_with(br#"{"v":3,"revocation":{"#), "{}", String::from_utf8_lossy(&bytes));
            assert_eq!(decode_up_to(RETURNS, &bytes), Err(Unreadable::Newer(3)));
            assert_eq!(decode_up_to(REVOCATIONS, &bytes), Err(Unreadable::Newer(3)));
        }
        for (origin, version) in [
            (Origin::Operator, 1),
            (Origin::SignOut, 1),
            (Origin::BackChannel { idp: "corp".into(), jti: "j".into() }, 1),
        ] {
            let bytes = encode(&by(origin.clone()));
            assert!(decode_up_to(version, &bytes).is_ok(), "{origin:?} needs no newer gateway");
        }
    }

    #[test]
    fn a_revocation_is_written_as_the_first_version_read_it() {
        assert!(encode(&sample()).starts_with(br#"{"v":1,"revocation":{"#), "an older gateway reads it");
        assert!(encode(&back()).starts_with(br#"{"v":2,"reestablished":{"#), "an older gateway says that it is newer");
    }

    #[test]
    fn a_newer_record_is_told_from_a_damaged_one() {
        let text = String::from_utf8(encode(&sample())).expect("utf-8");
        assert_eq!(decode(text.replacen("\"v\":1", "\"v\":9", 1).as_bytes()), Err(Unreadable::Newer(9)));
        for damaged in ["", "{}", "null", "{\"v\":1}", text.strip_suffix("}").expect("an object")] {
            assert_eq!(decode(damaged.as_bytes()), Err(Unreadable::Damaged), "`{damaged}`");
        }
    }

    #[test]
    fn a_member_from_the_future_of_the_same_version_is_ignored() {
        let text = String::from_utf8(encode(&sample())).expect("utf-8");
        assert_eq!(decode(text.replacen('{', "{\"extra\":1,", 1).as_bytes()), Ok(sample()));
    }
}

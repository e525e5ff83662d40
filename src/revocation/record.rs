//! A revocation as bytes: JSON with a version in front, so that an operator can read the ledger with `sqlite3` and a
//! gateway can tell a newer record from a broken one.

use serde::{Deserialize, Serialize};

use super::Revocation;

/// The version that this gateway writes, and the newest that it reads.
const VERSION: u32 = 1;

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

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    revocation: &'a Revocation,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Deserialize)]
struct Read {
    revocation: Revocation,
}

/// The bytes of `revocation`.
pub fn encode(revocation: &Revocation) -> Vec<u8> {
    // Serialising plain structs with string keys into memory has no failing case.
    serde_json::to_vec(&Written { v: VERSION, revocation }).unwrap_or_default()
}

/// The revocation in `bytes`. Members that this version does not know are ignored; a newer version is not.
pub fn decode(bytes: &[u8]) -> Result<Revocation, Unreadable> {
    let Version { v } = serde_json::from_slice(bytes).map_err(|_| Unreadable::Damaged)?;
    if v > VERSION {
        return Err(Unreadable::Newer(v));
    }
    let Read { revocation } = serde_json::from_slice(bytes).map_err(|_| Unreadable::Damaged)?;
    Ok(revocation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Issuer, Target, TargetKind};
    use crate::revocation::{Mode, Origin, Reach, Whom};
    use crate::time::Timestamp;

    fn sample() -> Revocation {
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        Revocation {
            whom: Whom::all_of(vec![Target::new(&issuer, TargetKind::User, "ann").expect("target")]).expect("whom"),
            reach: Reach::Apps(vec!["wiki".into()]),
            mode: Mode::Terminate,
            cut_off: Timestamp::from_secs(1_700_000_000),
            origin: Origin::Stream { stream: "corp".into(), jti: "j1".into(), txn: None, event: "e".into() },
            reason: Some("left the company".into()),
            received_at: Timestamp::from_secs(1_700_000_001),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(decode(&encode(&sample())), Ok(sample()));
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

//! What a transmitter says of an event, in the members of CAEP §2 that RISC shares, and in CAEP's own.

use serde_json::{Map, Value};

use super::{Type, bounded_text};
use crate::jose::{NumericDate, Reject};
use crate::revocation::Explanation;
use crate::time::Timestamp;

/// From here on a number of seconds is one of milliseconds: as seconds it would be the year 5138.
const MILLISECONDS_FROM: u64 = 100_000_000_000;

/// The longest word that decides, in bytes.
const MAX_WORD: usize = 128;

/// The longest explanation that is kept, in characters.
const MAX_EXPLANATION: usize = 512;

/// Something happened to whom the subject names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// What, by its type.
    pub of: Type,
    /// What, more closely, where the type needs it.
    pub detail: Detail,
    /// When (`event_timestamp`), if it was said.
    pub at: Option<Timestamp>,
    /// Who caused it.
    pub initiating_entity: Option<Initiator>,
    /// Why, for administrators' eyes.
    pub reason_admin: Option<String>,
    /// Why, for the person's eyes. Somebody else's text: escape it where it is shown.
    pub reason_user: Option<Explanation>,
}

/// What decides about an event besides its type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    #[default]
    None,
    /// CAEP §3.3.
    Credential {
        /// What became of it.
        change: Change,
        /// Its type: a CAEP word, or one that parties agree on.
        credential: String,
    },
    /// CAEP §3.4. `None` if it was not said: it may have sunk.
    Assurance(Option<Direction>),
    /// CAEP §3.5.
    Compliance(Compliance),
    /// CAEP §3.8.
    Risk {
        /// Whose risk, in CAEP's word.
        principal: String,
        /// The level now.
        level: Level,
    },
}

/// What became of a credential (CAEP §3.3, `change_type`).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is new.
    Create,
    /// It no longer counts.
    Revoke,
    /// It is another now.
    Update,
    /// It is gone.
    Delete,
}

/// Where an assurance level went (CAEP §3.4, `change_direction`).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Up.
    Increase,
    /// Down.
    Decrease,
}

/// Whether a device complies (CAEP §3.5, `current_status`).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Compliance {
    /// It does.
    Compliant,
    /// It does not.
    NotCompliant,
}

/// How high a risk is (CAEP §3.8, `current_level`).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
}

impl Level {
    /// The level of that name.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "LOW" => Some(Self::Low),
            "MEDIUM" => Some(Self::Medium),
            "HIGH" => Some(Self::High),
            _ => None,
        }
    }
}

/// Who caused an event (CAEP §2, `initiating_entity`).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Initiator {
    /// An administrator.
    Admin,
    /// The person themselves.
    User,
    /// A rule.
    Policy,
    /// The system's own workings.
    System,
}

impl Initiator {
    /// The initiator of that name.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "admin" => Some(Self::Admin),
            "user" => Some(Self::User),
            "policy" => Some(Self::Policy),
            "system" => Some(Self::System),
            _ => None,
        }
    }
}

impl Happened {
    /// Reads the payload of an event of that type. A time that is none is an error, and so is what decides and is missing or
    /// malformed; a malformed explanation or an unknown initiator is not. Of a type that is not known here nothing is an
    /// error (SSF §4.2.3).
    pub(super) fn parse(of: Type, payload: &Map<String, Value>) -> Result<Self, Reject> {
        let at = match (moment(payload, "event_timestamp"), &of) {
            (Err(_), Type::Other(_)) => None,
            (at, _) => at?,
        };
        // RISC gives some reasons as a word of its own (§2.3).
        let reason = || payload.get("reason").and_then(explanation);
        Ok(Self {
            detail: Detail::parse(&of, payload)?,
            of,
            at,
            initiating_entity: payload.get("initiating_entity").and_then(Value::as_str).and_then(Initiator::parse),
            reason_admin: payload.get("reason_admin").and_then(explanation).or_else(reason),
            reason_user: payload.get("reason_user").and_then(Explanation::parse),
        })
    }
}

impl Detail {
    fn parse(of: &Type, payload: &Map<String, Value>) -> Result<Self, Reject> {
        let word = |name: &'static str| {
            let value = payload.get(name).ok_or(Reject::Missing(name))?;
            bounded_text(value, MAX_WORD).ok_or(Reject::Claim(name))
        };
        Ok(match of {
            Type::CredentialChange => Self::Credential {
                change: match word("change_type")?.as_str() {
                    "create" => Change::Create,
                    "revoke" => Change::Revoke,
                    "update" => Change::Update,
                    "delete" => Change::Delete,
                    _ => return Err(Reject::Claim("change_type")),
                },
                credential: word("credential_type")?,
            },
            Type::AssuranceLevelChange => {
                word("current_level")?;
                Self::Assurance(match payload.get("change_direction").and_then(Value::as_str) {
                    Some("increase") => Some(Direction::Increase),
                    Some("decrease") => Some(Direction::Decrease),
                    _ => None,
                })
            }
            Type::DeviceComplianceChange => Self::Compliance(match word("current_status")?.as_str() {
                "compliant" => Compliance::Compliant,
                "not-compliant" => Compliance::NotCompliant,
                _ => return Err(Reject::Claim("current_status")),
            }),
            Type::RiskLevelChange => Self::Risk {
                principal: word("principal")?,
                level: Level::parse(&word("current_level")?).ok_or(Reject::Claim("current_level"))?,
            },
            _ => Self::None,
        })
    }
}

/// The moment that member `name` says, in seconds or, as some transmitters send it, in milliseconds.
///
/// Zero counts as absent: it is how an unset number is written, and as a cut-off it would end nothing.
pub(super) fn moment(members: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, Reject> {
    let Some(value) = members.get(name) else { return Ok(None) };
    let seconds = match NumericDate::parse(value).ok_or(Reject::Claim(name))?.0.secs() {
        0 => return Ok(None),
        milliseconds if milliseconds > MILLISECONDS_FROM => milliseconds / 1000,
        seconds => seconds,
    };
    Ok(Some(Timestamp::from_secs(seconds)))
}

/// A text for people: plain, or by language (CAEP §2), of which English comes first and else any. Cut to a bounded
/// length, without control characters. Anything else is no explanation.
pub(super) fn explanation(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text,
        Value::Object(languages) => languages.get("en").or_else(|| languages.values().next())?.as_str()?,
        _ => return None,
    };
    let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_EXPLANATION).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(of: &str, payload: &Value) -> Result<Happened, Reject> {
        Happened::parse(Type::named(of), payload.as_object().expect("object"))
    }

    fn parse(payload: &Value) -> Result<Happened, Reject> {
        read("session-revoked", payload)
    }

    fn bare() -> Happened {
        parse(&json!({})).expect("nothing is needed")
    }

    #[test]
    fn a_time_is_read_in_seconds_and_in_milliseconds() {
        for (value, expected) in [
            (json!(1_615_304_991), Ok(Some(1_615_304_991))),
            (json!(1_615_304_991_643_u64), Ok(Some(1_615_304_991))),
            (json!(1_615_304_991.643), Ok(Some(1_615_304_991))),
            (json!(1_615_304_991_643.5), Ok(Some(1_615_304_991))),
            (json!(100_000_000_000_u64), Ok(Some(100_000_000_000))),
            (json!(100_000_000_001_u64), Ok(Some(100_000_000))),
            (json!(0), Ok(None)),
            (json!(-5), Err(Reject::Claim("event_timestamp"))),
            (json!(1e300), Err(Reject::Claim("event_timestamp"))),
            (json!("1615304991"), Err(Reject::Claim("event_timestamp"))),
            (json!(null), Err(Reject::Claim("event_timestamp"))),
            (json!({}), Err(Reject::Claim("event_timestamp"))),
        ] {
            let at = parse(&json!({ "event_timestamp": value })).map(|event| event.at.map(Timestamp::secs));
            assert_eq!(at, expected, "{value}");
        }
        assert_eq!(bare().at, None);
    }

    #[test]
    fn who_and_why_are_read_where_they_can_be_and_never_spoil_the_event() {
        let whole = parse(&json!({
            "initiating_entity": "policy",
            "reason_admin": { "de": "Landesgeschwindigkeit", "en": "land speed" },
            "reason_user": { "fr": "plusieurs\u{7} régions" },
            "something_new": [1, 2],
        }));
        assert_eq!(
            whole,
            Ok(Happened {
                initiating_entity: Some(Initiator::Policy),
                reason_admin: Some("land speed".into()),
                reason_user: Explanation::parse(&json!({ "fr": "plusieurs régions" })),
                ..bare()
            })
        );
        for odd in [
            json!({ "initiating_entity": "ghost", "reason_admin": {}, "reason_user": [] }),
            json!({ "initiating_entity": 7, "reason_admin": { "en": 7 }, "reason_user": "" }),
        ] {
            assert_eq!(parse(&odd), Ok(bare()), "{odd}");
        }
        let long = parse(&json!({ "reason_admin": "é".repeat(10_000) })).expect("event");
        assert_eq!(long.reason_admin.map(|text| text.chars().count()), Some(MAX_EXPLANATION));
    }

    #[test]
    fn what_decides_is_read_strictly_and_of_an_unknown_type_nothing_is_wrong() {
        let missing = |name| Err(Reject::Missing(name));
        let wrong = |name| Err(Reject::Claim(name));
        let credential = |change, credential: &str| Ok(Detail::Credential { change, credential: credential.into() });
        let risk = |principal: &str, level| Ok(Detail::Risk { principal: principal.into(), level });
        for (of, payload, expected) in [
            (
                "credential-change",
                json!({ "credential_type": "password", "change_type": "update" }),
                credential(Change::Update, "password"),
            ),
            (
                "credential-change",
                json!({ "credential_type": "ALL_FACTORS", "change_type": "revoke" }),
                credential(Change::Revoke, "ALL_FACTORS"),
            ),
            ("credential-change", json!({ "credential_type": "pin" }), missing("change_type")),
            ("credential-change", json!({ "change_type": "create" }), missing("credential_type")),
            ("credential-change", json!({ "credential_type": "pin", "change_type": "lost" }), wrong("change_type")),
            ("credential-change", json!({ "credential_type": 7, "change_type": "create" }), wrong("credential_type")),
            (
                "credential-change",
                json!({ "credential_type": "x".repeat(129), "change_type": "create" }),
                wrong("credential_type"),
            ),
            (
                "assurance-level-change",
                json!({ "current_level": "1", "change_direction": "increase" }),
                Ok(Detail::Assurance(Some(Direction::Increase))),
            ),
            (
                "assurance-level-change",
                json!({ "current_level": "1", "change_direction": "decrease" }),
                Ok(Detail::Assurance(Some(Direction::Decrease))),
            ),
            (
                "assurance-level-change",
                json!({ "current_level": "1", "change_direction": "up" }),
                Ok(Detail::Assurance(None)),
            ),
            ("assurance-level-change", json!({ "current_level": "1" }), Ok(Detail::Assurance(None))),
            ("assurance-level-change", json!({}), missing("current_level")),
            (
                "device-compliance-change",
                json!({ "current_status": "compliant" }),
                Ok(Detail::Compliance(Compliance::Compliant)),
            ),
            (
                "device-compliance-change",
                json!({ "current_status": "not-compliant" }),
                Ok(Detail::Compliance(Compliance::NotCompliant)),
            ),
            ("device-compliance-change", json!({ "current_status": "lost" }), wrong("current_status")),
            ("device-compliance-change", json!({}), missing("current_status")),
            ("risk-level-change", json!({ "principal": "USER", "current_level": "HIGH" }), risk("USER", Level::High)),
            ("risk-level-change", json!({ "principal": "SHIP", "current_level": "LOW" }), risk("SHIP", Level::Low)),
            ("risk-level-change", json!({ "principal": "USER", "current_level": "high" }), wrong("current_level")),
            ("risk-level-change", json!({ "current_level": "HIGH" }), missing("principal")),
            ("account-disabled", json!({ "reason": "hijacking" }), Ok(Detail::None)),
            ("urn:x:new", json!({ "event_timestamp": "noon", "principal": [] }), Ok(Detail::None)),
        ] {
            assert_eq!(read(of, &payload).map(|event| event.detail), expected, "{of} {payload}");
        }
        let hijacked = read("account-disabled", &json!({ "reason": "hijacking" })).expect("event");
        assert_eq!(hijacked.reason_admin.as_deref(), Some("hijacking"));
    }
}

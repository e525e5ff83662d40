//! CAEP events: what a transmitter says about sessions.

use serde_json::{Map, Value};

use crate::jose::{NumericDate, Reject};
use crate::time::Timestamp;

/// The type of [`SessionRevoked`] (CAEP §3.1).
pub const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// From here on a number of seconds is one of milliseconds: as seconds it would be the year 5138.
const MILLISECONDS_FROM: u64 = 100_000_000_000;

/// The longest explanation that is kept, in characters.
const MAX_EXPLANATION: usize = 512;

/// The sessions that the subject names are over (CAEP §3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionRevoked {
    /// When they ended (`event_timestamp`), if it was said.
    pub at: Option<Timestamp>,
    /// Who ended them.
    pub initiating_entity: Option<Initiator>,
    /// Why, for administrators' eyes.
    pub reason_admin: Option<String>,
    /// Why, for the person's eyes. Somebody else's text: escape it where it is shown.
    pub reason_user: Option<String>,
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

impl SessionRevoked {
    /// Reads the payload. A time that is none is an error; a malformed explanation or an unknown initiator is not.
    pub(super) fn parse(payload: &Map<String, Value>) -> Result<Self, Reject> {
        Ok(Self {
            at: moment(payload, "event_timestamp")?,
            initiating_entity: payload.get("initiating_entity").and_then(Value::as_str).and_then(Initiator::parse),
            reason_admin: payload.get("reason_admin").and_then(explanation),
            reason_user: payload.get("reason_user").and_then(explanation),
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

    fn parse(payload: &Value) -> Result<SessionRevoked, Reject> {
        SessionRevoked::parse(payload.as_object().expect("object"))
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
        assert_eq!(parse(&json!({})), Ok(SessionRevoked::default()));
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
            Ok(SessionRevoked {
                at: None,
                initiating_entity: Some(Initiator::Policy),
                reason_admin: Some("land speed".into()),
                reason_user: Some("plusieurs régions".into()),
            })
        );
        for odd in [
            json!({ "initiating_entity": "ghost", "reason_admin": {}, "reason_user": [] }),
            json!({ "initiating_entity": 7, "reason_admin": { "en": 7 }, "reason_user": "" }),
        ] {
            assert_eq!(parse(&odd), Ok(SessionRevoked::default()), "{odd}");
        }
        let long = parse(&json!({ "reason_admin": "é".repeat(10_000) })).expect("event");
        assert_eq!(long.reason_admin.map(|text| text.chars().count()), Some(MAX_EXPLANATION));
    }
}

//! What the signed tokens of other parties say, as facts: SSF events (RFC 8417, SSF, CAEP) and OIDC logout tokens.
//!
//! A parser here is strict about what decides (whom, when, which event) and lenient about ornaments (reasons, `txn`):
//! a session must not outlive its end because somebody's explanation was malformed. What an event *does* here is not
//! decided here but in [`policy`](crate::policy).

pub mod caep;
pub mod call;
mod kind;
pub mod command;
pub mod global;
pub mod logout;
pub mod poll;
pub mod quirks;
pub mod reject;
pub mod stream_config;
pub mod subject;
pub mod subjects;
pub mod supervise;
pub mod token;

use serde_json::{Map, Value};

pub use self::caep::{Detail, Happened};
pub use self::kind::Type;
pub use self::quirks::{Preset, Quirks};
pub use self::subject::{Role, Simple, Subject};
use crate::jose::Reject;
use crate::time::Timestamp;

/// One verified Security Event Token, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityEvent {
    /// The token's own id, unique for its issuer (RFC 8417 §2.2).
    pub jti: String,
    /// What several tokens of one cause have in common (SSF §4.1.9).
    pub txn: Option<String>,
    /// When the token was made (`iat`).
    pub issued_at: Timestamp,
    /// When the event happened (`toe`), if it was said.
    pub occurred_at: Option<Timestamp>,
    /// Whom or what it is about (`sub_id`).
    pub subject: Subject,
    /// What happened. Not empty; more than one only if the sender names one event by several types (SSF §4.2.1).
    pub events: Vec<Event>,
}

impl SecurityEvent {
    /// When an event that says it happened `at` takes effect: then, else at `toe`, else at `iat`. Never after the
    /// token was made (as far as clocks agree) and never after `now`: a signed time in the future must not lock out
    /// a login that comes first (law 1).
    pub fn effective_at(&self, at: Option<Timestamp>, now: Timestamp) -> Timestamp {
        at.or(self.occurred_at).unwrap_or(self.issued_at).min(self.issued_at.plus(token::SKEW)).min(now)
    }
}

/// One event of a token, by its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something happened to whom the subject names, also of a type that is not known here: that is acknowledged, and of no
    /// effect unless the stream says so (SSF §4.2.3).
    Happened(Happened),
    /// The stream is alive (SSF §8.1.4).
    Verification {
        /// What we asked to be sent back; absent if the transmitter verifies on its own.
        state: Option<String>,
    },
    /// The transmitter changed the state of the stream (SSF §8.1.5).
    StreamUpdated {
        /// The new state.
        status: StreamStatus,
        /// Why, in the transmitter's words.
        reason: Option<String>,
    },
}

/// Whether a stream delivers (SSF §8.1.2).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum StreamStatus {
    /// Events are sent.
    Enabled,
    /// Events are held, perhaps dropped.
    Paused,
    /// Events are neither sent nor held.
    Disabled,
}

impl StreamStatus {
    /// The state of that name.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "enabled" => Some(Self::Enabled),
            "paused" => Some(Self::Paused),
            "disabled" => Some(Self::Disabled),
            _ => None,
        }
    }

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

/// SSF §8.1.4.1.
const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";

/// SSF §8.1.5.
const STREAM_UPDATED: &str = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";

impl Event {
    /// Reads the event of type `uri`. Members that are not known are ignored (SSF §4.2.3).
    fn parse(uri: &str, payload: &Map<String, Value>) -> Result<Self, Reject> {
        match uri {
            STREAM_UPDATED => {
                let status = payload.get("status").ok_or(Reject::Missing("status"))?;
                let status = status.as_str().and_then(StreamStatus::parse).ok_or(Reject::Claim("status"))?;
                Ok(Self::StreamUpdated { status, reason: payload.get("reason").and_then(caep::explanation) })
            }
            VERIFICATION => {
                // Some transmitters write the absence of a state as null.
                let state = match payload.get("state") {
                    None | Some(Value::Null) => None,
                    Some(state) => Some(bounded_text(state, MAX_VALUE).ok_or(Reject::Claim("state"))?),
                };
                Ok(Self::Verification { state })
            }
            _ => Happened::parse(Type::of(uri), payload).map(Self::Happened),
        }
    }
}

/// True for the types of events that are about the stream itself and end nobody's session.
fn is_of_the_stream(uri: &str) -> bool {
    [VERIFICATION, STREAM_UPDATED].contains(&uri)
}

/// The longest identifier that is kept, in bytes: a subject is a key in memory, not a document.
const MAX_VALUE: usize = 1024;

/// The longest `jti` that is kept, in bytes.
const MAX_ID: usize = 512;

/// A text that is neither empty nor longer than `max` bytes.
fn bounded_text(value: &Value, max: usize) -> Option<String> {
    let text = value.as_str()?;
    (1..=max).contains(&text.len()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::Issuer;
    use crate::jose::tests::Xorshift;
    use crate::jose::{self, Alg, Keys, Signer};

    #[test]
    fn each_known_type_is_read_and_an_unknown_one_is_no_error() {
        let ssf = "https://schemas.openid.net/secevent/ssf/event-type/";
        let state = |text: &str| Ok(Event::Verification { state: Some(text.to_owned()) });
        let stateless = Ok(Event::Verification { state: None });
        let unknown =
            |uri: &str| Event::Happened(Happened::parse(Type::Other(uri.to_owned()), &Map::new()).expect("no error"));
        for (uri, payload, expected) in [
            (format!("{ssf}verification"), json!({ "state": "x" }), state("x")),
            (format!("{ssf}verification"), json!({}), stateless.clone()),
            (format!("{ssf}verification"), json!({ "state": null }), stateless),
            (format!("{ssf}verification"), json!({ "state": 7 }), Err(Reject::Claim("state"))),
            (format!("{ssf}verification"), json!({ "state": "x".repeat(1025) }), Err(Reject::Claim("state"))),
            (
                format!("{ssf}stream-updated"),
                json!({ "status": "paused", "reason": "licence" }),
                Ok(Event::StreamUpdated { status: StreamStatus::Paused, reason: Some("licence".into()) }),
            ),
            (
                format!("{ssf}stream-updated"),
                json!({ "status": "enabled", "reason": 7 }),
                Ok(Event::StreamUpdated { status: StreamStatus::Enabled, reason: None }),
            ),
            (format!("{ssf}stream-updated"), json!({ "status": "asleep" }), Err(Reject::Claim("status"))),
            (format!("{ssf}stream-updated"), json!({}), Err(Reject::Missing("status"))),
            ("urn:x:new".to_owned(), json!({ "a": [] }), Ok(unknown("urn:x:new"))),
            (format!("{ssf}Verification"), json!({}), Ok(unknown(&format!("{ssf}Verification")))),
        ] {
            let payload = payload.as_object().expect("object");
            assert_eq!(Event::parse(&uri, payload), expected, "{uri} {payload:?}");
        }
    }

    #[test]
    fn an_event_takes_effect_when_it_says_but_never_in_the_future() {
        let token = |toe: Option<u64>, iat: u64| SecurityEvent {
            jti: "j".into(),
            txn: None,
            issued_at: Timestamp::from_secs(iat),
            occurred_at: toe.map(Timestamp::from_secs),
            subject: Subject::Simple(Simple::Opaque("s".into())),
            events: Vec::new(),
        };
        let now = 1_000_000;
        for (name, at, toe, iat, expected) in [
            ("its own time first", Some(900), Some(800), 999_000, 900),
            ("else toe", None, Some(800), 999_000, 800),
            ("else iat", None, None, 999_000, 999_000),
            ("an hour after the token was made", Some(999_000 + 3600), None, 990_000, 990_300),
            ("a token dated ahead of our clock", None, None, now + 200, now),
            ("an event dated ahead of our clock", Some(now + 200), None, now, now),
            ("long past", Some(1), None, now, 1),
        ] {
            let effective = token(toe, iat).effective_at(at.map(Timestamp::from_secs), Timestamp::from_secs(now));
            assert_eq!(effective.secs(), expected, "{name}");
        }
    }

    #[test]
    fn no_signed_text_makes_a_parser_panic() {
        let seed = 0x1234_5678_9abc_def1;
        println!("seed {seed:#x}");
        let mut random = Xorshift(seed);
        let signer = Signer::generate("k1").expect("key");
        let keys = Keys::parse(signer.jwks().to_string().as_bytes()).expect("keys");
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        let (audiences, now) = (["gateway".to_owned()], Timestamp::from_secs(1_700_000_000));
        let set = json!({
            "iss": issuer, "aud": "gateway", "iat": 1_700_000_000, "jti": "j", "toe": 1_699_999_999.5, "txn": "t",
            "sub_id": { "format": "complex", "user": { "format": "aliases", "identifiers": [
                { "format": "email", "email": "ann@corp.com" }, { "format": "opaque", "id": "ann" } ] } },
            "events": { "https://schemas.openid.net/secevent/caep/event-type/session-revoked": { "event_timestamp": 1_700_000_000_123_u64,
                "initiating_entity": "admin", "reason_admin": { "en": "left" } } },
        });
        let token = json!({
            "iss": issuer, "aud": "gateway", "iat": 1_700_000_000, "jti": "j", "sub": "ann", "sid": "s",
            "events": { logout::BACKCHANNEL_LOGOUT: {} },
        });
        let older = json!({
            "iss": issuer, "aud": "gateway", "iat": 1_700_000_000, "jti": "j",
            "events": { "https://schemas.openid.net/secevent/caep/event-type/session-revoked": { "event_timestamp": 1_700_000_000_123_u64, "subject": {
                "user": { "subject_type": "id_token_claims", "iss": issuer, "sub": "ann", "email": "ann@corp.com" },
                "session": { "format": "opaque", "id": "ALL" }, "device": { "format": "phone", "phone_number": "+1" } } } },
        });
        let every = Quirks {
            typ_of_any_jwt: true,
            subject_in_event: true,
            subject_type: true,
            complex_without_format: true,
            session_all: true,
            phone_format: true,
            verification_of_risc: true,
            pushes_without_token: true,
            issuers: quirks::Issuers::OktaOrganisation,
        };
        let mut good = 0;
        for _ in 0..2_000 {
            for (typ, claims, quirks) in [
                ("secevent+jwt", &set, &Quirks::NONE),
                ("secevent+jwt", &older, &every),
                ("logout+jwt", &token, &every),
            ] {
                let mut payload = claims.to_string().into_bytes();
                if random.below(8) > 0 {
                    random.damage(&mut payload);
                }
                let header = json!({ "alg": "ES256", "typ": typ }).to_string();
                let compact = signer.sign_texts(&header, &String::from_utf8_lossy(&payload)).expect("token");
                let expectation = token::expectation(&issuer, &audiences, &Alg::ALL, quirks);
                let as_set = jose::verify(&compact, &keys, &expectation, now)
                    .and_then(|verified| token::parse(verified, quirks));
                let as_logout =
                    jose::verify(&compact, &keys, &logout::expectation(&issuer, &audiences, &Alg::ALL), now)
                        .and_then(|verified| logout::parse(verified, now));
                assert!(as_set.is_err() || as_logout.is_err(), "one token passes for both");
                good += usize::from(as_set.is_ok() || as_logout.is_ok());
            }
        }
        assert!(good > 300, "only {good} were whole");
    }
}

//! What a sender is told about a token that was refused: RFC 8935 §2.3 for SETs, Back-Channel Logout §2.8 for logout
//! tokens.
//!
//! A description says what is wrong with the *token*. It never depends on whether a person, a session or a key
//! exists here beyond what the code itself says.

use serde_json::{Value, json};

use crate::jose::Reject;

/// A Security Event Token error code (RFC 8935 §2.4 and its registry; `invalid_state` is from SSF §11).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// It is no SET, or it is not what its event's definition says.
    InvalidRequest,
    /// Its key or algorithm is not acceptable, or its signature is wrong.
    InvalidKey,
    /// It is not from the issuer that is expected here.
    InvalidIssuer,
    /// It is not for us.
    InvalidAudience,
    /// The transmitter did not prove who it is.
    AuthenticationFailed,
    /// The transmitter may not say this.
    AccessDenied,
    /// The state of a verification event is none that we asked for.
    InvalidState,
}

impl Code {
    /// The code as it is sent.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidKey => "invalid_key",
            Self::InvalidIssuer => "invalid_issuer",
            Self::InvalidAudience => "invalid_audience",
            Self::AuthenticationFailed => "authentication_failed",
            Self::AccessDenied => "access_denied",
            Self::InvalidState => "invalid_state",
        }
    }
}

/// A refusal as the transmitter gets it: the body of a push answer, or one value of a poll's `setErrs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The error code.
    pub code: Code,
    /// For people, in English (`Content-Language: en`).
    pub description: String,
}

impl Answer {
    /// The status of every refusal (RFC 8935 §2.3).
    pub const STATUS: u16 = 400;

    /// A refusal with this code and description.
    pub fn new(code: Code, description: impl Into<String>) -> Self {
        Self { code, description: description.into() }
    }

    /// The transmitter did not prove who it is.
    pub fn authentication_failed() -> Self {
        Self::new(Code::AuthenticationFailed, "the transmitter could not be authenticated")
    }

    /// A verification event with a state that we never asked for (SSF §8.1.4.1).
    pub fn invalid_state() -> Self {
        Self::new(Code::InvalidState, "the state is not one that was asked for")
    }

    /// `{"err": …, "description": …}` (RFC 8935 §2.3, RFC 8936 §2.2).
    pub fn json(&self) -> Value {
        json!({ "err": self.code.word(), "description": self.description })
    }
}

impl From<Reject> for Answer {
    fn from(reject: Reject) -> Self {
        Self::new(code(reject), reject.to_string())
    }
}

/// The error code that a refused SET is answered with (RFC 8935 §2.4).
pub const fn code(reject: Reject) -> Code {
    match reject {
        Reject::TooLarge
        | Reject::Malformed
        | Reject::Type
        | Reject::Expired
        | Reject::NotYet
        | Reject::Forbidden(_)
        | Reject::Missing(_)
        | Reject::Claim(_) => Code::InvalidRequest,
        Reject::Algorithm | Reject::UnknownKey | Reject::WeakKey | Reject::Signature => Code::InvalidKey,
        Reject::Issuer => Code::InvalidIssuer,
        Reject::Audience => Code::InvalidAudience,
    }
}

/// The body of the answer, with status 400, to a refused logout token (Back-Channel Logout §2.8).
pub fn logout_json(refusal: &Answer) -> Value {
    json!({ "error": "invalid_request", "error_description": refusal.description })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_code() {
        for (reject, expected) in [
            (Reject::TooLarge, "invalid_request"),
            (Reject::Malformed, "invalid_request"),
            (Reject::Type, "invalid_request"),
            (Reject::Expired, "invalid_request"),
            (Reject::NotYet, "invalid_request"),
            (Reject::Forbidden("exp"), "invalid_request"),
            (Reject::Missing("jti"), "invalid_request"),
            (Reject::Claim("sub_id"), "invalid_request"),
            (Reject::Algorithm, "invalid_key"),
            (Reject::UnknownKey, "invalid_key"),
            (Reject::WeakKey, "invalid_key"),
            (Reject::Signature, "invalid_key"),
            (Reject::Issuer, "invalid_issuer"),
            (Reject::Audience, "invalid_audience"),
        ] {
            let answer = Answer::from(reject);
            assert_eq!(answer.json()["err"], expected, "{reject:?}");
            assert!(!answer.description.is_empty(), "{reject:?}");
            let logout = logout_json(&answer);
            assert_eq!(logout["error"], "invalid_request", "{reject:?}");
            assert_eq!(logout["error_description"], answer.description.as_str(), "{reject:?}");
        }
    }

    #[test]
    fn the_codes_that_no_token_causes_have_answers_too() {
        assert_eq!(Answer::authentication_failed().json()["err"], "authentication_failed");
        assert_eq!(Answer::invalid_state().json()["err"], "invalid_state");
        assert_eq!(
            Answer::new(Code::AccessDenied, "no").json(),
            json!({ "err": "access_denied", "description": "no" })
        );
    }
}

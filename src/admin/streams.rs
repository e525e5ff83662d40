//! Streams, as operators see them and what they do with them.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{Door, Problem, Told, json, read};
use crate::time::Timestamp;

/// `POST /v1/streams/NAME`: do something with a stream.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamRequest {
    /// What.
    #[serde(rename = "do")]
    pub deed: StreamDeed,
}

/// What can be done with a stream that the gateway manages.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamDeed {
    /// Find it at the transmitter, or make it, and bring it to what the config says.
    Create,
    /// Ask for a verification event and wait for it.
    Verify,
    /// Let the transmitter send nothing.
    Pause,
    /// Let it send again.
    Resume,
    /// Delete it. The gateway does not make it again by itself until it starts again.
    Delete,
}

impl StreamDeed {
    /// The word for the audit log.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Create => "stream_create",
            Self::Verify => "stream_verify",
            Self::Pause => "stream_pause",
            Self::Resume => "stream_resume",
            Self::Delete => "stream_delete",
        }
    }
}

/// A stream, here and at the transmitter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamAnswer {
    /// Its name in the config.
    pub name: String,
    /// The transmitter.
    pub issuer: String,
    /// `push` or `poll`.
    pub delivery: String,
    /// How it is: `live`, `late`, `blind`, `paused`, `gone`, or `unsupervised` where nobody can tell.
    pub state: String,
    /// Since when: seconds since 1970.
    pub since: Timestamp,
    /// The gateway of the fleet that polls it and asks its transmitter; absent while nobody can tell, or without a fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// How the transmitter has it; absent if it does not have it, or others manage it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmitter: Option<StreamThere>,
    /// It was made just now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
    /// Milliseconds from asking for a verification event to its arrival.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_after: Option<u64>,
}

/// A stream, as the transmitter has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamThere {
    /// Its name there.
    pub stream_id: String,
    /// `enabled`, `paused` or `disabled`; absent where the transmitter does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Where events are pushed to, or polled from.
    pub endpoint: String,
    /// The event types that can come.
    pub events: Vec<String>,
    /// Seconds between two verifications, at the least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_verification_interval: Option<u64>,
    /// Seconds without a sign of us after which the transmitter may stop or delete it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactivity_timeout: Option<u64>,
}

/// Why nothing was done with a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// There is none of that name.
    #[error("there is no stream `{0}`")]
    Unknown(String),
    /// Others manage it.
    #[error(
        "the gateway does not manage the stream `{0}`; write `manage` in [streams.{0}], or do it at the transmitter"
    )]
    Unmanaged(String),
    /// The transmitter does not do it.
    #[error("{0}")]
    Transmitter(String),
    /// The verification event did not come.
    #[error("the transmitter was asked for a verification event, and none came in {0} s: its events do not reach us")]
    Silent(u64),
}

impl StreamError {
    /// The status and the body that tell it.
    pub(crate) fn told(&self) -> (StatusCode, Problem) {
        let status = match self {
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Unmanaged(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Transmitter(_) => StatusCode::BAD_GATEWAY,
            Self::Silent(_) => StatusCode::GATEWAY_TIMEOUT,
        };
        (status, Problem::new(self.to_string()))
    }
}

pub(super) async fn show(State(door): State<Door>, Path(name): Path<String>) -> Response {
    answer(door.gateway.stream(&name, None).await)
}

pub(super) async fn act(State(door): State<Door>, Path(name): Path<String>, request: Request) -> Response {
    match read::<StreamRequest>(request).await {
        Ok(request) => answer(door.gateway.stream(&name, Some(request.deed)).await),
        Err(refusal) => refusal,
    }
}

fn answer(outcome: Result<StreamAnswer, StreamError>) -> Response {
    match outcome {
        Ok(answer) => json(StatusCode::OK, &answer),
        Err(error) => Told::refused(error.told()).response(),
    }
}

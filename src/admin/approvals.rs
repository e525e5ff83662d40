//! Approvals: what a sender may not put in force by itself, and what an operator says to it.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::api::Made;
use super::{Door, Problem, Told, json, read};
use crate::revocation::{Revocation, RevocationId};
use crate::time::Timestamp;

/// `GET /v1/approvals`: one revocation that is not in force and awaits approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// Its name.
    pub id: RevocationId,
    /// What it would do.
    pub revocation: Made,
    /// The kind of signal.
    pub source: String,
    /// The stream that it came on.
    pub stream: Option<String>,
    /// The IdP that it came from.
    pub idp: Option<String>,
    /// The signal's id.
    pub jti: Option<String>,
    /// The reason in the sender's words.
    pub reason: Option<String>,
    /// When it came: seconds since 1970.
    pub received_at: Timestamp,
}

impl From<&(RevocationId, Revocation)> for Waiting {
    fn from((id, revocation): &(RevocationId, Revocation)) -> Self {
        let (stream, idp, jti) = revocation.origin.parts();
        Self {
            id: *id,
            revocation: Made::from(revocation),
            source: revocation.origin.word().to_owned(),
            stream: stream.map(str::to_owned),
            idp: idp.map(str::to_owned),
            jti: jti.map(str::to_owned),
            reason: revocation.reason.clone(),
            received_at: revocation.received_at,
        }
    }
}

/// `POST /v1/approvals`: what becomes of revocations that await approval. One of `ids`, `stream`, `all` says which.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalRequest {
    /// These.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<RevocationId>,
    /// All that came on this stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// All.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// They come into force; else they are dropped.
    pub approve: bool,
    /// Why, for the audit trail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ApprovalRequest {
    /// The ids that it means, of those that wait; `None` unless it says which in exactly one way.
    pub fn meant(&self, waiting: &[(RevocationId, Revocation)]) -> Option<Vec<RevocationId>> {
        let ids = |wanted: &dyn Fn(&RevocationId, &Revocation) -> bool| {
            Some(waiting.iter().filter(|(id, one)| wanted(id, one)).map(|(id, _)| *id).collect())
        };
        match (self.ids.is_empty(), &self.stream, self.all) {
            (false, None, false) => ids(&|id, _| self.ids.contains(id)),
            (true, Some(stream), false) => ids(&|_, one| one.origin.parts().0 == Some(stream)),
            (true, None, true) => ids(&|_, _| true),
            _ => None,
        }
    }
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalAnswer {
    /// Revocations that no longer await approval.
    pub decided: usize,
    /// They are in force.
    pub approved: bool,
    /// Exchanges in flight that were cut.
    pub cut: usize,
}

/// Why nothing is decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// It does not say which.
    #[error("say which: one of `ids`, `stream` and `all`")]
    Which,
    /// What was approved is in force, but not written down.
    #[error("what was approved is in force, but could not be written down; try again")]
    NotDurable,
}

impl ApprovalError {
    /// The status and the body that tell it.
    pub(crate) fn told(&self) -> (StatusCode, Problem) {
        let status = match self {
            Self::Which => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotDurable => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Problem::new(self.to_string()))
    }
}

pub(super) async fn approvals(State(door): State<Door>) -> Response {
    json(StatusCode::OK, &door.gateway.approvals().await)
}

pub(super) async fn decide(State(door): State<Door>, request: Request) -> Response {
    let request = match read(request).await {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    match door.gateway.decide(request).await {
        Ok(answer) => json(StatusCode::OK, &answer),
        Err(error) => Told::refused(error.told()).response(),
    }
}

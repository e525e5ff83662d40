//! Holds: who is on hold, and how they get off it.

use std::collections::BTreeMap;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::api::{Named, RevokeRequest, Unclear};
use super::{Door, Problem, Told, json, read, repeat};
use crate::apps::Apps;
use crate::identity::Issuer;
use crate::revocation::{Lifted, Mode, OnHold, Origin, Reach};
use crate::time::Timestamp;

/// `POST /v1/lifts`: somebody may sign in again. It must name them as the hold does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiftRequest {
    /// Whose people; needed where the handle means something else at another IdP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idp: Option<String>,
    /// Whom.
    pub whom: Named,
    /// In which apps; none means the hold for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<String>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only a hold from before or at this moment; any, if nothing is said. Said again with the same moment, however much
    /// later, it lifts no hold that is newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

impl LiftRequest {
    /// The liftings that this request means, as of `now`: one, or one per IdP where the handle means the same at all.
    pub fn liftings(
        &self,
        idps: &BTreeMap<String, Issuer>,
        apps: &Apps,
        now: Timestamp,
    ) -> Result<Vec<Lifted>, Unclear> {
        let (idp, whom, named) = (self.idp.clone(), self.whom.clone(), self.apps.clone());
        let (as_of, mode) = (self.as_of, Mode::Hold);
        let hold = RevokeRequest { idp, whom, apps: named, mode, reason: None, as_of, dry_run: false };
        let lifted = |hold: crate::revocation::Revocation| Lifted {
            whom: hold.whom,
            reach: hold.reach,
            at: now,
            origin: Origin::Operator,
            reason: self.reason.clone(),
            received_at: now,
        };
        Ok(hold.revocations(idps, apps, now)?.into_iter().map(lifted).collect())
    }
}

/// What a lifting did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiftAnswer {
    /// Holds that were in force and are no longer.
    pub lifted: usize,
    /// It is written down and outlives a restart.
    pub durable: bool,
}

/// Why a lifting is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiftError {
    /// The request names nobody, nowhere or nothing.
    #[error(transparent)]
    Unclear(#[from] Unclear),
    /// It is lifted here, but could not be written down: a restart would hold again.
    #[error("lifted, but that could not be written down: a restart would hold again; try again")]
    NotDurable,
}

impl LiftError {
    /// The status and the body that tell it.
    pub(crate) fn told(&self) -> (StatusCode, Problem) {
        match self {
            Self::Unclear(unclear) => (StatusCode::UNPROCESSABLE_ENTITY, Problem::from(unclear)),
            Self::NotDurable => (StatusCode::SERVICE_UNAVAILABLE, Problem::new(self.to_string())),
        }
    }
}

/// `GET /v1/holds`: one hold in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Whose people.
    pub issuer: String,
    /// Whom it names.
    pub whom: String,
    /// In which apps; none means all.
    pub apps: Vec<String>,
    /// Since when: seconds since 1970.
    pub since: Timestamp,
    /// Where it came from.
    pub source: String,
    /// The reason in the sender's words.
    pub reason: Option<String>,
}

impl From<&OnHold> for Hold {
    fn from(hold: &OnHold) -> Self {
        let revocation = &hold.revocation;
        Self {
            issuer: revocation.whom.targets().first().map(|target| target.issuer.to_string()).unwrap_or_default(),
            whom: revocation.whom.to_string(),
            apps: match &revocation.reach {
                Reach::All => Vec::new(),
                Reach::Apps(apps) => apps.clone(),
            },
            since: hold.since,
            source: revocation.origin.word().to_owned(),
            reason: revocation.reason.clone(),
        }
    }
}

pub(super) async fn lift(State(door): State<Door>, request: Request) -> Response {
    let key = match repeat::key(request.headers()) {
        Ok(key) => key,
        Err(problem) => return json(StatusCode::BAD_REQUEST, &problem),
    };
    let request: LiftRequest = match read(request).await {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    let work = async {
        match door.gateway.lift(request.clone()).await {
            Ok(answer) => Told::of(StatusCode::OK, &answer),
            Err(refused) => Told::refused(refused.told()),
        }
    };
    door.repeats.once(key, "lift", &request, work).await
}

pub(super) async fn holds(State(door): State<Door>) -> Response {
    json(StatusCode::OK, &door.gateway.holds().await)
}

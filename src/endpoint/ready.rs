//! Whether requests may be sent here, for load balancers: the listener that people come in by says it itself, so that
//! nobody has to reach the admin listener. It tells no more than that.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{Endpoints, answer};
use crate::fleet::Fresh;

/// Asked by address as well as by name: who checks health knows no host of ours.
const PATH: &[u8] = b"/oauth2/ready";

/// True for the question whether requests may be sent here.
pub(crate) fn asks_whether_ready(target: &[u8]) -> bool {
    target == PATH
}

impl Endpoints {
    /// The answer to it, from a gateway that stays or one that is about to stop.
    pub(crate) fn readiness(&self, stays: bool) -> Response<Bytes> {
        let catches_up = || self.0.fleet.as_ref().is_some_and(|fleet| fleet.fresh() == Fresh::CatchingUp);
        let not = if !stays {
            Some("draining")
        } else if !self.0.intake.is_durable() {
            Some("not_durable")
        } else {
            catches_up().then_some("catching_up")
        };
        let status = if not.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        answer::json(status, &serde_json::json!({ "status": not.unwrap_or("ready") }))
    }
}

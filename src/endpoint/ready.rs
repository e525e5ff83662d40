//! Whether requests may be sent here, for load balancers: the listener that people come in by says it itself, so that
//! nobody has to reach the admin listener. It tells no more than that.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{Endpoints, answer};

/// Asked by address as well as by name: who checks health knows no host of ours.
const PATH: &[u8] = b"/oauth2/ready";

/// True for the question whether requests may be sent here.
pub(crate) fn asks_whether_ready(target: &[u8]) -> bool {
    target == PATH
}

impl Endpoints {
    /// The answer to it, from a gateway that stays or one that is about to stop.
    pub(crate) fn readiness(&self, stays: bool) -> Response<Bytes> {
        let (status, word) = match (stays, self.0.intake.is_durable()) {
            (true, true) => (StatusCode::OK, "ready"),
            (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            (true, false) => (StatusCode::SERVICE_UNAVAILABLE, "not_durable"),
        };
        answer::json(status, &serde_json::json!({ "status": word }))
    }
}

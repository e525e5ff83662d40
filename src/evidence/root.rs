//! What the tokens grow from that an app makes at a request.

use std::sync::Arc;

use super::{Bearer, Maker};
use crate::apps::Minting;
use crate::lineage::Lineage;
use crate::session::{Person, Session};
use crate::time::Timestamp;

/// What a new token grows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Where it comes from.
    pub lineage: Lineage,
    /// Whom it is for.
    pub person: Arc<Person>,
    /// When it ends, whatever happens.
    pub ends_at: Timestamp,
}

impl Root {
    /// The oldest token of the request, so that a token of a token of a session dies with that session; else the session.
    pub fn of(session: Option<&Session>, bearers: &[Bearer], minting: &Minting) -> Option<Self> {
        let of_bearer = |bearer: &Bearer| Self {
            lineage: bearer.lineage.clone(),
            person: Arc::clone(&bearer.person),
            ends_at: match bearer.maker {
                Maker::App => bearer.ends_at,
                Maker::Idp => bearer.lineage.asserted_at.plus(minting.max_age),
            },
        };
        let of_session = |session: &Session| Self {
            lineage: Lineage::of(session),
            person: Arc::clone(&session.person),
            // What the IdP says of the session's end holds for all that the session makes; our own limit is for cookies.
            ends_at: session.asserted_at.plus(minting.max_age).min(session.expires_at),
        };
        oldest(bearers).map(of_bearer).or_else(|| session.map(of_session))
    }
}

/// The token that whatever is made with several grows from.
pub fn oldest(bearers: &[Bearer]) -> Option<&Bearer> {
    bearers.iter().min_by_key(|bearer| bearer.lineage.proven_at())
}

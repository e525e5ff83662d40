//! Whom a transmitter tells about, where it tells about nobody by itself.

use super::manage::{Manager, Trouble};
use super::{Stream, Watch};
use crate::event::subjects::Change;
use crate::identity::Issuer;
use crate::time::Timestamp;

/// People whom the transmitter is told about in one turn: it has other things to do.
const PEOPLE_IN_A_TURN: usize = 8;

impl Stream {
    /// Somebody of `issuer` signed in, for a session until then: the transmitter shall tell about them, if it tells about
    /// nobody by itself. Waits for nothing.
    pub(crate) fn signed_in(&self, issuer: &Issuer, sub: &str, until: Timestamp, now: Timestamp) {
        if self.manager.is_none() || !self.settings.speaks_for.iter().any(|idp| idp.issuer == *issuer) {
            return;
        }
        if let Err(error) = self.watched.subjects().signed_in((issuer.clone(), sub.to_owned()), until, now) {
            tracing::error!(stream = self.settings.name, %error, "nothing will be told about somebody who signed in");
        }
    }

    /// Tells the transmitter whom to tell about.
    pub(super) async fn tell_about_people(&self, manager: &Manager, watch: Watch<'_>) {
        if !manager.is_there() || self.watched.subjects().is_empty() || !manager.adds_subjects().await {
            return;
        }
        for _ in 0..PEOPLE_IN_A_TURN {
            let now = watch.signals.clock.now();
            let Some(change) = self.watched.subjects().due(now) else { return };
            // A session that began at another gateway may not have ended: in a fleet nobody is removed.
            if self.lead.is_of_fleet() && matches!(change, Change::Remove(_)) {
                self.watched.subjects().done(&change, now);
                continue;
            }
            let Err(trouble) = manager.tell(&change).await else {
                self.watched.subjects().done(&change, watch.signals.clock.now());
                continue;
            };
            // 404 may mean the stream, which comes back.
            let again = !matches!(trouble, Trouble::Status(400) | Trouble::NotAllowed(_) | Trouble::NotOffered(_));
            let kept = self.watched.subjects().failed(&change, again, watch.signals.clock.now());
            let (stream, what) = (&self.settings.name, matches!(change, Change::Add(_)));
            if kept {
                tracing::warn!(stream, added = what, %trouble, "the transmitter was not told about somebody; it will be");
            } else {
                tracing::error!(stream, added = what, %trouble, "the transmitter is not told about somebody");
            }
            // Whoever was asked too often is left alone for a turn.
            return;
        }
    }
}

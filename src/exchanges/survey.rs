//! What a revocation would meet: of everything in flight, how much of it, of whom, in which apps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Counts, Entry};
use crate::identity::{TargetKey, TargetKind};

/// What is in flight of those whom a revocation names. Sessions are not stored anywhere: somebody who is signed in and has
/// nothing in flight is not seen here, and is met all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// By the app's name.
    pub apps: BTreeMap<Arc<str>, Seen>,
}

/// What is in flight in one app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The exchanges, by kind.
    pub exchanges: Counts,
    /// The sessions that they run on, each once.
    pub sessions: BTreeSet<TargetKey>,
    /// The people behind them, each once.
    pub people: BTreeSet<TargetKey>,
}

impl Survey {
    /// Adds one exchange.
    pub(super) fn add(&mut self, entry: &Entry) {
        let seen = self.apps.entry(Arc::clone(&entry.exchange.app_name)).or_default();
        seen.exchanges.add(entry.kind());
        for (kind, key) in entry.exchange.credentials.iter().flat_map(|held| held.targets.iter()) {
            match kind {
                TargetKind::Gateway => drop(seen.sessions.insert(*key)),
                TargetKind::User => drop(seen.people.insert(*key)),
                TargetKind::Email
                | TargetKind::Phone
                | TargetKind::Session
                | TargetKind::Device
                | TargetKind::Tenant
                | TargetKind::Group
                | TargetKind::OrgUnit
                | TargetKind::Everyone => {}
            }
        }
    }

    /// Adds what another survey saw of the same exchanges.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (app, theirs) in other.apps {
            let ours = self.apps.entry(app).or_default();
            ours.exchanges = ours.exchanges.and(theirs.exchanges);
            ours.sessions.extend(theirs.sessions);
            ours.people.extend(theirs.people);
        }
        self
    }

    /// All of it, as if in one app: a session that is used in two apps counts once.
    pub fn total(&self) -> Seen {
        let mut total = Seen::default();
        for seen in self.apps.values() {
            total.exchanges = total.exchanges.and(seen.exchanges);
            total.sessions.extend(&seen.sessions);
            total.people.extend(&seen.people);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cut, Exchange, Exchanges, Held, Kind, Settings};
    use super::*;
    use crate::identity::AppKey;
    use crate::revocation::RevocationSet;
    use crate::time::Timestamp;

    #[test]
    fn sessions_and_people_count_once_and_exchanges_each_time() {
        let exchanges = Exchanges::new(&Settings::default());
        let enter = |app: &str, user: u128, session: u128, kind| {
            let held = Held {
                targets: Arc::new([
                    (TargetKind::User, TargetKey(user)),
                    (TargetKind::Gateway, TargetKey(session)),
                    (TargetKind::Everyone, TargetKey(9)),
                ]),
                asserted_at: Timestamp::from_secs(1),
                auth_time: None,
                imprint: Default::default(),
            };
            let (app, app_name) = (AppKey::of(app), app.into());
            let exchange = Exchange { credentials: vec![held], app, app_name, kind, ends_at: None };
            exchanges.enter(exchange, &Cut::new()).expect("room")
        };
        let _guards = [
            enter("wiki", 1, 11, Kind::Request),
            enter("wiki", 1, 11, Kind::WebSocket),
            enter("wiki", 1, 12, Kind::WebSocket),
            enter("mail", 1, 11, Kind::Request),
            enter("mail", 2, 21, Kind::Download),
        ];
        let survey = exchanges.survey(&[TargetKey(9)], |_| true);
        let told = |seen: &Seen| (seen.exchanges.total(), seen.sessions.len(), seen.people.len());
        let apps: Vec<_> = survey.apps.iter().map(|(app, seen)| (app.to_string(), told(seen))).collect();
        assert_eq!(apps, [("mail".to_owned(), (2, 2, 2)), ("wiki".to_owned(), (3, 2, 1))]);
        assert_eq!(told(&survey.total()), (5, 3, 2));
        assert_eq!(survey.apps["wiki"].exchanges.of(Kind::WebSocket), 2);
        let nothing_revoked = RevocationSet::default();
        assert_eq!(exchanges.survey_covered(&[TargetKey(9)], &nothing_revoked), Survey::default());
        assert_eq!(told(&exchanges.survey(&[TargetKey(2)], |_| true).total()), (1, 1, 1));
    }
}

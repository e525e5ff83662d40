//! Which apps must not be used because a stream is dark: one look at a counter while none is.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::identity::AppKey;

/// Why apps must not be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The stream of that name is dark.
    Stream(String),
    /// This gateway may not know what others do.
    Fleet,
}

/// The apps that refuse everybody while a stream of their IdP is dark, or while this gateway may not know what others do.
/// It outlives every config: who made an app dark says so again when other apps are there.
#[derive(Debug, Default)]
pub struct Sight {
    /// How many apps are dark, counted once for each cause.
    dark: AtomicUsize,
    /// Which, by cause. Guards this alone; held for one look-up or one entry, and looked at only while any is dark.
    by_cause: RwLock<HashMap<Cause, HashSet<AppKey>>>,
}

impl Sight {
    /// Whether `app` refuses everybody at the moment. To be asked after the exchange was entered: then either this says so,
    /// or whoever made it dark finds the exchange in flight (law 3).
    pub fn is_blind(&self, app: AppKey) -> bool {
        self.dark.load(Ordering::Acquire) > 0
            && self.by_cause.read().unwrap_or_else(PoisonError::into_inner).values().any(|apps| apps.contains(&app))
    }

    /// From now on `cause` makes these apps dark and no others. Answers which it did not before: what people have in flight
    /// there is to end.
    pub(crate) fn shows(&self, cause: &Cause, apps: HashSet<AppKey>) -> Vec<AppKey> {
        let is_so = |known: &HashMap<Cause, HashSet<AppKey>>| match known.get(cause) {
            Some(known) => *known == apps,
            None => apps.is_empty(),
        };
        if is_so(&self.by_cause.read().unwrap_or_else(PoisonError::into_inner)) {
            return Vec::new();
        }
        let mut by_cause = self.by_cause.write().unwrap_or_else(PoisonError::into_inner);
        let before = by_cause.remove(cause).unwrap_or_default();
        let anew = apps.difference(&before).copied().collect();
        if !apps.is_empty() {
            by_cause.insert(cause.clone(), apps);
        }
        // Before whoever calls ends what is in flight: who found zero here is found there.
        self.dark.store(by_cause.values().map(HashSet::len).sum(), Ordering::Release);
        anew
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_blind_while_any_cause_makes_it_dark() {
        let (sight, [wiki, mail]) = (Sight::default(), ["wiki", "mail"].map(AppKey::of));
        let [one, other] = ["one", "other"].map(|name| Cause::Stream(name.to_owned()));
        assert!(!sight.is_blind(wiki));
        assert_eq!(sight.shows(&one, [wiki].into()), [wiki]);
        assert_eq!(sight.shows(&one, [wiki].into()), [], "it is known");
        assert_eq!(sight.shows(&other, [wiki, mail].into()).len(), 2);
        assert!(sight.is_blind(wiki) && sight.is_blind(mail));
        assert_eq!(sight.shows(&one, HashSet::new()), []);
        assert!(sight.is_blind(wiki), "another stream is dark still");
        assert_eq!(sight.shows(&other, [mail].into()), [], "fewer than before");
        assert!(!sight.is_blind(wiki) && sight.is_blind(mail));
        sight.shows(&other, HashSet::new());
        assert!(!sight.is_blind(mail));
        assert_eq!(sight.shows(&Cause::Fleet, [mail].into()), [mail]);
        assert!(sight.is_blind(mail));
    }
}

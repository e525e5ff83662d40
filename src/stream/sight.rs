//! Which apps must not be used because a stream is dark: one look at a counter while none is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::apps::{Apps, WhenBlind};
use crate::identity::AppKey;

/// The apps that refuse everybody while a stream of their IdP is dark, or while this gateway may not know what others do.
#[derive(Debug, Default)]
pub struct Sight {
    /// Streams that are dark, counted once for each app that minds.
    dark: AtomicUsize,
    /// The same by app.
    of: HashMap<AppKey, AtomicUsize>,
}

impl Sight {
    /// No stream is dark.
    pub fn new(apps: &Apps) -> Self {
        let minds = apps.iter().filter(|app| app.when_blind != WhenBlind::Serve);
        Self { dark: AtomicUsize::new(0), of: minds.map(|app| (app.key, AtomicUsize::new(0))).collect() }
    }

    /// Whether `app` refuses everybody at the moment. To be asked after the exchange was entered: then either this says so,
    /// or whoever made it dark finds the exchange in flight (law 3).
    pub fn is_blind(&self, app: AppKey) -> bool {
        self.dark.load(Ordering::Relaxed) > 0
            && self.of.get(&app).is_some_and(|streams| streams.load(Ordering::Relaxed) > 0)
    }

    /// One more stream of that app is dark.
    pub(crate) fn darken(&self, app: AppKey) {
        if let Some(streams) = self.of.get(&app) {
            streams.fetch_add(1, Ordering::Relaxed);
            self.dark.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One of them is dark no longer.
    pub(crate) fn lighten(&self, app: AppKey) {
        if let Some(streams) = self.of.get(&app) {
            streams.fetch_sub(1, Ordering::Relaxed);
            self.dark.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::tests::app;

    #[test]
    fn an_app_is_blind_while_any_of_its_streams_is_dark() {
        let mut minds = app("wiki", "https://wiki.example.com");
        minds.when_blind = WhenBlind::Refuse;
        let mut serves = app("mail", "https://mail.example.com");
        serves.when_blind = WhenBlind::Serve;
        let apps = Apps::new([minds, serves]);
        let (sight, [wiki, mail]) = (Sight::new(&apps), ["wiki", "mail"].map(AppKey::of));
        assert!(!sight.is_blind(wiki));
        for app in [wiki, wiki, mail] {
            sight.darken(app);
        }
        assert!(sight.is_blind(wiki) && !sight.is_blind(mail), "only apps that mind");
        sight.lighten(wiki);
        assert!(sight.is_blind(wiki), "another stream is dark still");
        sight.lighten(mail);
        sight.lighten(wiki);
        assert!(!sight.is_blind(wiki));
    }
}

//! `apps.NAME.realm`: apps that share credentials, and what they have to agree on.

use super::reader::{At, Context, Place};
use crate::apps::App;

/// An app, as far as its realm matters.
struct Member {
    app: String,
    realm: String,
    /// Where the realm is written, if it is.
    place: Option<Place>,
    idp: At<String>,
    /// Where it says that its cookies are left alone, if it does.
    unsealed: Option<Place>,
}

/// Which app is in which realm.
#[derive(Default)]
pub(super) struct Realms(Vec<Member>);

impl Realms {
    /// Takes note of an app, and says what its realm is: by default its own.
    pub(super) fn add(&mut self, app: &str, realm: Option<At<String>>, idp: &At<String>, unsealed: Option<Place>) {
        let (realm, place) = realm.map_or_else(|| (app.to_owned(), None), |at| (at.value, Some(at.place)));
        self.0.push(Member { app: app.to_owned(), realm, place, idp: idp.clone(), unsealed });
    }

    /// Notes what cannot be shared, when all apps are known.
    pub(super) fn check(&self, context: &Context<'_>) {
        for (n, member) in self.0.iter().enumerate() {
            let Member { app, realm, place, idp, unsealed } = member;
            let namesake = self.0.iter().find(|other| other.app == *realm && other.realm != *realm);
            if let (Some(place), Some(Member { app: other, realm: theirs, .. })) = (place, namesake) {
                let why = format!("[apps.{other}] is in the realm \"{theirs}\"; write that, or a name that no app has");
                context.fault(place, why);
            }
            // What is sealed says of the person only who they are to their IdP.
            let first = self.0.iter().take(n).find(|other| other.realm == *realm);
            if let Some(other) = first.filter(|other| other.idp.value != idp.value) {
                let (other, theirs) = (&other.app, &other.idp.value);
                context.fault(&idp.place, format!("[apps.{other}] of the same realm uses \"{theirs}\"; share the IdP"));
            }
            let shared = self.0.iter().any(|other| other.realm == *realm && other.app != *app);
            if let Some(at) = unsealed.as_ref().filter(|_| shared || place.is_some()) {
                context.fault(at, format!("the realm \"{realm}\" shares sealed cookies; drop `learn` or `realm`"));
            }
        }
    }
}

/// What must be sealed in one app of a realm must be in all of them.
pub(super) fn share_names(apps: &mut [Option<App>]) {
    let named =
        |app: &App| app.session_cookies.iter().map(|name| (app.realm.clone(), name.clone())).collect::<Vec<_>>();
    let all: Vec<_> = apps.iter().flatten().flat_map(named).collect();
    for app in apps.iter_mut().flatten() {
        for (_, name) in all.iter().filter(|(realm, _)| *realm == app.realm) {
            if !app.session_cookies.contains(name) {
                app.session_cookies.push(name.clone());
            }
        }
    }
}

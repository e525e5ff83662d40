//! The apps' own cookies on their way through: opened and judged coming in, sealed going out.

use super::{Ask, Endpoints};
use crate::apps::{Access, App};
use crate::evidence::{Imprint, Sort};
use crate::exchanges::Held;
use crate::lineage::{self, Dressed, Kept, Lineage, Received, Scene};

/// What a forwarded request brings of the app's own, and what its answer's cookies grow from.
#[derive(Debug, Default)]
pub(crate) struct Derived {
    received: Received,
    /// The lineage of what the app makes now; none where nothing stands behind the request.
    lineage: Option<Lineage>,
    path: String,
}

impl Derived {
    /// The `Cookie` field for the app, if it is another than the client sent.
    pub(crate) fn field(&self) -> Option<&[u8]> {
        self.received.field.as_deref()
    }

    /// `Set-Cookie` values for what was taken out of the request.
    pub(crate) fn expiries(&self) -> &[String] {
        &self.received.expiries
    }

    /// The credentials that the exchange runs on besides what stands behind it.
    pub(super) fn held(&self, behind: Option<&Lineage>) -> Vec<Held> {
        let held = |lineage: Lineage| {
            let imprint = Imprint::of_session(Sort::AppCookie, lineage.session.0);
            Held { imprint, ..Held::from(lineage) }
        };
        self.received.lineages(behind).into_iter().map(held).collect()
    }

    /// Cookies that were taken out because a revocation covers them.
    pub(super) fn revoked(&self) -> &[Kept] {
        &self.received.revoked
    }

    /// Every cookie that opened, whatever became of it.
    pub(super) fn opened(&self) -> impl Iterator<Item = &Kept> {
        self.received.revoked.iter().chain(&self.received.kept)
    }
}

impl Endpoints {
    /// Opens and judges the app's cookies of a request, behind which stands `behind`, if that counts. What the app makes now
    /// grows from `root`.
    pub(super) fn receive(
        &self,
        ask: &Ask<'_>,
        cookies: Option<&[(&str, &str)]>,
        app: &App,
        by: Access,
        behind: Option<&Lineage>,
        root: Option<Lineage>,
    ) -> Derived {
        if !app.learn {
            return Derived::default();
        }
        let parts = self.parts();
        let horizon = parts.enforcer.horizon(parts.clock.now());
        let public = by == Access::Public;
        let scene = Scene { app, ring: &parts.ring, names: &parts.names, behind, public, horizon };
        let received = match cookies {
            Some(cookies) => lineage::receive(cookies, &scene, |credential| parts.enforcer.judge(credential)),
            // Nobody can say what is in there: on a public path the app gets no cookie at all.
            None => Received { field: Some(vec![]), ..Received::default() },
        };
        for fault in &received.faults {
            if fault.is_of_the_seal() {
                parts.metrics.seal_failed(fault.word());
            }
            tracing::debug!(app = app.name, why = fault.word(), "a cookie of the app's is withheld");
        }
        Derived { received, lineage: root, path: ask.path.as_str().to_owned() }
    }

    /// What goes out for one `Set-Cookie` value of `app`.
    pub(crate) fn dress(&self, app: &App, derived: &Derived, field: &[u8]) -> Dressed {
        if !app.learn {
            return Dressed::Same;
        }
        let parts = self.parts();
        let now = parts.clock.now();
        let with = (app, &*parts.ring, &*parts.names);
        let dressed = lineage::dress(field, with, derived.lineage.as_ref(), &derived.received.kept, &derived.path, now);
        if dressed == Dressed::Dropped {
            parts.metrics.seal_failed("too_large");
            tracing::warn!(app = app.name, "a cookie is too large to be sealed, and was not set");
        }
        dressed
    }
}

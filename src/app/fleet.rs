//! The gateway among others: what it hears goes to the intake; how fresh it is decides what apps do.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::lasting::Lasting;
use super::services::until;
use crate::apps::{App, Apps, WhenBlind};
use crate::config::{EngineSettings, FleetSettings};
use crate::exchanges::Survey;
use crate::fleet::jetstream::Jetstream;
use crate::fleet::postgres::Postgres;
use crate::fleet::{Engine, Fleet, Fresh, GatewayId, Heard, Hearer, Settings, Sign, Tally, Trouble};
use crate::http::Client;
use crate::ledger::{AppendError, Place};
use crate::proxy::Current;
use crate::revocation::{Fact, Origin, Revocation};
use crate::stream::{Cause, Stream};
use crate::time::Timestamp;

/// Letters are kept longer than revocations: gateways and engine look at different clocks, and none may forget first.
const KEPT_LONGER: Duration = Duration::from_secs(3_600);
/// How long the start waits for an engine that may have to be set up in another way.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// How the gateway of that name lives in the fleet, whose revocations have nothing left to do after `retention`.
pub(super) fn settings(config: &FleetSettings, name: String, retention: Duration) -> Settings {
    Settings {
        name,
        accept: config.accept,
        tell_within: config.tell_within,
        stale_after: config.stale_after,
        catch_up_within: config.catch_up_within,
        recheck_every: config.recheck_every,
        lead_for: config.lead_for,
        keep_for: retention.saturating_add(KEPT_LONGER),
    }
}

/// The engine of `settings`.
pub(super) fn engine(
    settings: &EngineSettings,
    keep_for: Duration,
    client: &Client,
) -> anyhow::Result<Arc<dyn Engine>> {
    Ok(match settings.clone() {
        EngineSettings::Jetstream(settings) => {
            let settings = crate::fleet::jetstream::Settings { max_age: keep_for, ..*settings };
            Arc::new(Jetstream::new(settings, client.clone()))
        }
        EngineSettings::Postgres(settings) => Arc::new(Postgres::new(*settings)?),
    })
}

/// Looks whether the engine is fit, with a connection of its own. One that is away is none of the start's business: it may
/// come back. One that would lose what it acknowledges, or does not let us in, is.
pub(super) fn is_fit(settings: &EngineSettings, keep_for: Duration, client: &Client) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let look = async {
        let engine = engine(settings, keep_for, client)?;
        match tokio::time::timeout(FIRST_LOOK, engine.open()).await {
            Ok(Err(trouble)) if trouble.is_configuration() => Err(anyhow::Error::from(trouble).context("[fleet]")),
            Ok(Err(trouble)) => {
                tracing::warn!(%trouble, "the fleet's engine is not there yet");
                Ok(())
            }
            Err(_) => {
                let trouble = Trouble::Away("it did not answer in time".into());
                tracing::warn!(%trouble, "the fleet's engine is not there yet");
                Ok(())
            }
            Ok(Ok(_)) => Ok(()),
        }
    };
    let fit = runtime.block_on(look);
    // What the connection left behind ends here.
    runtime.shutdown_timeout(Duration::from_secs(1));
    fit
}

/// Lives in the fleet.
pub(super) struct Among {
    lasting: Arc<Lasting>,
    current: Current,
    fleet: Fleet,
}

impl Among {
    /// A gateway that has not heard the others yet: apps that mind are closed until it has, or until it took too long.
    pub(super) fn new(lasting: Arc<Lasting>, current: Current, fleet: Fleet) -> Self {
        darken(&lasting, Fresh::CatchingUp, &lasting.apps.load());
        Self { lasting, current, fleet }
    }

    /// The stream of that name, if the config in force has it.
    fn stream(&self, name: &str) -> Option<Arc<Stream>> {
        self.current.load().endpoints.parts().streams.get(name).cloned()
    }

    /// Everything that people were asserted to be has to go through their IdP again: what was accepted elsewhere is not
    /// known.
    fn doubts(&self) -> Vec<Revocation> {
        let edition = self.current.load();
        let parts = edition.endpoints.parts();
        let now = parts.clock.now();
        let of_idp = |(name, idp): (&String, &Arc<crate::idp::Idp>)| {
            let minds = |app: &&Arc<App>| app.when_blind == WhenBlind::Reestablish && app.idp == *name;
            let apps: Vec<_> = parts.apps.iter().filter(minds).map(|app| app.name.clone()).collect();
            let reason = "this gateway may not have heard what others accepted".to_owned();
            Revocation::of_doubt(idp.issuer(), apps, Origin::Stale, reason, now)
        };
        parts.idps.iter().filter_map(of_idp).collect()
    }
}

/// Closes those of `apps` that are closed to a gateway so fresh, and opens the others.
pub(super) fn darken(lasting: &Lasting, fresh: Fresh, apps: &Apps) {
    let closed = |app: &&Arc<App>| match fresh {
        Fresh::CatchingUp => app.when_blind != WhenBlind::Serve,
        Fresh::Stale => app.when_blind == WhenBlind::Refuse,
        Fresh::Yes => false,
    };
    let closed = apps.iter().filter(closed).map(|app| app.key).collect();
    for app in lasting.sight.shows(&Cause::Fleet, closed) {
        lasting.metrics.cut(lasting.enforcer.end_in(app));
    }
}

#[async_trait]
impl Hearer for Among {
    async fn hear(&self, facts: Vec<Heard>, place: Place) -> Result<(), AppendError> {
        let live = self.fleet.fresh() == Fresh::Yes;
        for fact in &facts {
            if let Fact::Revoked(Revocation { origin: Origin::Blind { stream }, .. }) = &fact.fact
                && let Some(stream) = self.stream(stream)
            {
                stream.others_doubt(self.lasting.clock.now());
            }
        }
        self.lasting.intake.hear(facts, place, live).await
    }

    fn sign(&self, stream: &str, sign: Sign, at: Timestamp) {
        // One that only other gateways have is none of ours.
        if let Some(stream) = self.stream(stream) {
            stream.hears(sign, at, self.lasting.clock.now());
        }
    }

    fn stands(&self, told: Vec<Heard>, epoch: &str) {
        self.lasting.outcomes.stands(&told, epoch);
    }

    fn tallies(&self) -> Vec<Tally> {
        self.lasting.outcomes.tallies()
    }

    fn not_told(&self, tallies: Vec<Tally>) {
        self.lasting.outcomes.not_told(&tallies);
    }

    fn reported(&self, from: GatewayId, name: &str, tallies: Vec<Tally>) {
        self.lasting.outcomes.reported(from, name, tallies);
    }

    fn would_meet(&self, revocations: &[Revocation]) -> Survey {
        let enforcer = &self.lasting.enforcer;
        revocations.iter().map(|one| enforcer.would_meet(one)).fold(Survey::default(), Survey::and)
    }

    async fn fresh(&self, _: Fresh, to: Fresh) {
        darken(&self.lasting, to, &self.lasting.apps.load());
        if to == Fresh::Stale {
            // In force in any case; the intake says so loudly if it could not be written down.
            let _ = self.lasting.intake.accept_here(self.doubts()).await;
        }
    }
}

#[async_trait]
impl BackgroundService for Among {
    async fn start(&self, shutdown: ShutdownWatch) {
        until(shutdown, self.fleet.run(self)).await;
    }
}

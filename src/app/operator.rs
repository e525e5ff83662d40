//! What operators can ask of the running gateway.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::lasting::Lasting;
use super::reload::Reloader;
use super::streams;
use crate::admin::{
    AppStatus, ApprovalAnswer, ApprovalError, ApprovalRequest, FleetStatus, Gateway, Hold, IdpStatus, LedgerStatus,
    LiftAnswer, LiftError, LiftRequest, Made, Met, MetAtGateway, OutcomesAsked, Ready, ReloadAnswer,
    RevalidationStatus, RevokeAnswer, RevokeError, RevokeRequest, Status, StreamAnswer, StreamDeed, StreamError,
    Waiting,
};
use crate::apps::App;
use crate::drain::Drain;
use crate::endpoint::Parts;
use crate::exchanges::Survey;
use crate::fleet::{Fresh, Sight};
use crate::identity::Issuer;
use crate::metrics::{Now, StreamNow};
use crate::outcome::{Outcome, OutcomeList, Wanted};
use crate::proxy::{Current, Edition};
use crate::revocation::{Lifted, RevocationId};
use crate::time::Timestamp;

/// The operators' view of the gateway.
pub(super) struct Operator {
    lasting: Arc<Lasting>,
    current: Current,
    reloader: Arc<Reloader>,
    listeners: Arc<Listeners>,
    drain: Drain,
    started_at: Timestamp,
}

impl Operator {
    pub(super) fn new(
        lasting: Arc<Lasting>,
        (current, reloader): (Current, Arc<Reloader>),
        listeners: Arc<Listeners>,
        drain: Drain,
    ) -> Self {
        let started_at = lasting.clock.now();
        Self { lasting, current, reloader, listeners, drain, started_at }
    }
}

/// The issuer of each IdP, by its name.
fn issuers(parts: &Parts) -> BTreeMap<String, Issuer> {
    parts.idps.iter().map(|(name, idp)| (name.clone(), idp.issuer().clone())).collect()
}

/// How many upstreams of that app answer, and how many there are.
fn upstreams(edition: &Edition, app: &str) -> (usize, usize) {
    let backends = edition.pools.get(app).map(|pool| pool.balancer().backends());
    let known = backends.map(|b| b.get_backend()).unwrap_or_default();
    (known.iter().filter(|one| backends.is_some_and(|b| b.ready(one))).count(), known.len())
}

/// Where requests are taken. Pingora binds these in its own time, beside the admin listener, and tells nobody.
pub(super) struct Listeners {
    addresses: Vec<SocketAddr>,
    /// Each of them was there once; they stay until the process ends.
    are_there: AtomicBool,
}

impl Listeners {
    pub(super) fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { addresses: addresses.into_iter().collect(), are_there: AtomicBool::new(false) }
    }

    /// Whether all of them take connections; asked until it is true once.
    pub(super) async fn are_there(&self) -> bool {
        if self.are_there.load(Ordering::Relaxed) {
            return true;
        }
        for address in &self.addresses {
            if tokio::net::TcpStream::connect(address).await.is_err() {
                return false;
            }
        }
        self.are_there.store(true, Ordering::Relaxed);
        true
    }
}

/// The same, with the ids under which people can look at what each did.
fn named(mut answer: RevokeAnswer, ids: &[RevocationId]) -> RevokeAnswer {
    for (made, id) in answer.revocations.iter_mut().zip(ids) {
        made.outcome = Some(*id);
    }
    answer
}

#[async_trait]
impl Gateway for Operator {
    async fn revoke(&self, request: RevokeRequest) -> Result<RevokeAnswer, RevokeError> {
        let edition = self.current.load();
        let parts = edition.endpoints.parts();
        let revocations = request.revocations(&issuers(parts), &parts.apps, parts.clock.now())?;
        let would = revocations.iter().map(|revocation| parts.enforcer.would_meet(revocation));
        let here = Sight::from(&would.fold(Survey::default(), Survey::and));
        let mut met = Met::from(&here);
        let (mut gateways, mut silent) = (Vec::new(), Vec::new());
        if let Some(fleet) = parts.fleet.as_ref().filter(|_| request.dry_run) {
            let asked = fleet.would_meet(&revocations).await;
            let at = |gateway: &str, sight: &Sight| MetAtGateway { gateway: gateway.to_owned(), met: sight.into() };
            gateways.push(at(&fleet.settings().name, &here));
            gateways.extend(asked.answers.iter().map(|(name, sight)| at(name, sight)));
            met = Met::from(&asked.answers.into_iter().fold(here, |all, (_, sight)| all.and(sight)));
            silent = asked.silent;
        }
        let answer = |cut: usize, durable: bool| RevokeAnswer {
            gateways: gateways.clone(),
            silent: silent.clone(),
            revocations: revocations.iter().map(Made::from).collect(),
            cut,
            met: met.clone(),
            dry_run: request.dry_run,
            durable,
        };
        if request.dry_run {
            return Ok(answer(met.exchanges, false));
        }
        match parts.intake.accept(revocations.clone()).await {
            Ok(receipt) => Ok(named(answer(receipt.cut.total(), true), &receipt.ids)),
            Err(not) => Err(RevokeError::NotDurable(named(answer(not.cut.total(), false), &not.ids))),
        }
    }

    async fn lift(&self, request: LiftRequest) -> Result<LiftAnswer, LiftError> {
        let edition = self.current.load();
        let parts = edition.endpoints.parts();
        let mut liftings = request.liftings(&issuers(parts), &parts.apps, parts.clock.now())?;
        if let Some(as_of) = request.as_of {
            let since = |lifted: &Lifted| parts.enforcer.hold_of(&lifted.whom, &lifted.reach).0;
            liftings.retain(|lifted| since(lifted).is_none_or(|since| since <= as_of));
        }
        let lifting = parts.intake.lift(liftings).await.map_err(|_| LiftError::NotDurable)?;
        Ok(LiftAnswer { lifted: lifting.lifted, durable: true })
    }

    async fn approvals(&self) -> Vec<Waiting> {
        self.lasting.intake.awaiting().iter().map(Waiting::from).collect()
    }

    async fn decide(&self, request: ApprovalRequest) -> Result<ApprovalAnswer, ApprovalError> {
        let intake = &self.lasting.intake;
        let ids = request.meant(&intake.awaiting()).ok_or(ApprovalError::Which)?;
        let done = intake.decide(&ids, request.approve, request.reason.as_deref()).await;
        let done = done.map_err(|_| ApprovalError::NotDurable)?;
        Ok(ApprovalAnswer { decided: done.decided, approved: request.approve, cut: done.receipt.cut.total() })
    }

    async fn holds(&self) -> Vec<Hold> {
        self.lasting.enforcer.on_hold().iter().map(Hold::from).collect()
    }

    async fn outcomes(&self, asked: OutcomesAsked) -> OutcomeList {
        let wanted = Wanted { since: asked.since, everyday: asked.all, most: asked.limit };
        self.lasting.outcomes.list(wanted)
    }

    async fn outcome(&self, id: &str) -> Option<Outcome> {
        self.lasting.outcomes.beginning_with(id)
    }

    async fn stream(&self, name: &str, deed: Option<StreamDeed>) -> Result<StreamAnswer, StreamError> {
        streams::act(self.current.load().endpoints.parts(), name, deed).await
    }

    async fn reload(&self) -> ReloadAnswer {
        self.reloader.reload("operator").await
    }

    async fn status(&self) -> Status {
        let edition = self.current.load();
        let parts = edition.endpoints.parts();
        let mut idps = Vec::new();
        for idp in parts.idps.values() {
            let reachable = idp.probe().await.is_ok();
            let revalidation = parts.checks.get(idp.name());
            let revalidation = revalidation.map(|of| RevalidationStatus::of(of.settings(), of.state()));
            let (name, issuer) = (idp.name().to_owned(), idp.issuer().to_string());
            idps.push(IdpStatus { name, issuer, reachable, revalidation });
        }
        let mut streams: Vec<_> =
            parts.streams.values().map(|stream| streams::status(stream, parts.clock.now())).collect();
        let mut apps: Vec<_> = parts
            .apps
            .with_servers()
            .map(|app| {
                let (healthy, upstreams) = upstreams(&edition, &app.name);
                let url = format!("{}{}", app.origin.as_str(), app.prefix.as_str());
                AppStatus { name: app.name.clone(), url, healthy, upstreams }
            })
            .collect();
        idps.sort_by(|a, b| a.name.cmp(&b.name));
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        apps.sort_by(|a, b| a.name.cmp(&b.name));
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            ready: self.ready().await,
            revocations: parts.enforcer.size(),
            on_hold: parts.enforcer.subjects_on_hold(),
            awaiting_approval: parts.intake.awaiting().len(),
            exchanges: parts.enforcer.in_flight(),
            fleet: parts.fleet.as_ref().map(FleetStatus::from),
            config: self.reloader.status().await,
            ledger: LedgerStatus { durable: parts.intake.is_durable(), records: None },
            idps,
            streams,
            apps,
        }
    }

    /// Requests are taken from the moment the listeners are there: the ledger was replayed before. What is wrong
    /// nevertheless is said, and takes the gateway out of a load balancer only if the ledger cannot be written:
    /// signals go to one that can.
    async fn ready(&self) -> Ready {
        let intake = &self.lasting.intake;
        let mut reasons = Vec::new();
        let stays = !self.drain.has_begun();
        if !stays {
            reasons.push("draining".to_owned());
        }
        let listens = self.listeners.are_there().await;
        if !listens {
            reasons.push("nobody listens for requests yet".to_owned());
        }
        if !intake.is_durable() {
            reasons.push("the ledger cannot be written: revocations are in force but not durable".to_owned());
        }
        let mut heard = true;
        if let Some(fleet) = &self.lasting.fleet {
            match fleet.acts_as() {
                Fresh::Yes => {}
                Fresh::CatchingUp => {
                    heard = false;
                    reasons.push("it has not heard yet what other gateways accepted meanwhile".to_owned());
                }
                // Out of every load balancer for that, all gateways would be out while the engine is away.
                Fresh::Stale => reasons.push(
                    "it does not hear the other gateways: what they accept may be missing here, apps do as `when_blind` says"
                        .to_owned(),
                ),
            }
        }
        if intake.is_crowded() {
            let (entries, most) = intake.room();
            reasons.push(format!(
                "{entries} entries are revoked and `ledger.max_subjects` is {most}: nobody new can sign in; all are enforced"
            ));
        }
        Ready { ready: stays && listens && heard && intake.is_durable(), reasons }
    }

    async fn metrics(&self) -> String {
        let edition = self.current.load();
        let (parts, metrics) = (edition.endpoints.parts(), &self.lasting.metrics);
        let now = parts.clock.now();
        let streams = parts.streams.values().map(|stream| {
            let stands = stream.supervised(now);
            StreamNow {
                name: stream.settings().name.clone(),
                silent_for: stands.last_sign.map(|sign| now.since(sign)),
                lag: stands.lag,
            }
        });
        let upstreams = |app: &Arc<App>| {
            let (healthy, known) = upstreams(&edition, &app.name);
            (app.name.clone(), healthy, known)
        };
        metrics.stands(&Now {
            started_at: self.started_at,
            ready: self.ready().await.ready,
            draining: self.drain.has_begun(),
            durable: parts.intake.is_durable(),
            exchanges: parts.enforcer.exchanges(),
            apps: parts.apps.iter().map(upstreams).collect(),
            streams: streams.collect(),
        });
        metrics.render()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;

    use super::*;

    #[tokio::test]
    async fn it_is_not_ready_before_it_listens_everywhere() {
        let bound = || {
            let socket = TcpSocket::new_v4().expect("socket");
            socket.bind("127.0.0.1:0".parse().expect("address")).expect("port");
            socket
        };
        let [one, other] = [bound(), bound()];
        let listeners = Listeners::new([&one, &other].map(|socket| socket.local_addr().expect("address")));
        let one = one.listen(8).expect("listener");
        assert!(!listeners.are_there().await, "one of two is not there");
        let other = other.listen(8).expect("listener");
        assert!(listeners.are_there().await);
        drop((one, other));
        assert!(listeners.are_there().await, "it is not asked again");
    }
}

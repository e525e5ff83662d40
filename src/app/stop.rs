//! Stopping: who gives the order, and how long each stage of the drain may take.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use pingora::services::background::{BackgroundService, GenBackgroundService, background_service};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::notify::{notify, notify_stopping};
use super::operator::Listeners;
use crate::drain::{Drain, Stage};
use crate::enforcer::Enforcer;
use crate::exchanges::Kind;
use crate::time::Stopwatch;

/// How long what is ended at the bound may take to say so and go.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long what brings revocations, and what remembers, may each take to end: a call of an operator, a write.
const LAST_DEEDS: Duration = Duration::from_secs(5);
/// How often it is asked whether somebody listens, until somebody does.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// What a gateway that runs is told.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// To end what it has begun, and stop.
    Drain,
    /// To stop at once. What was acknowledged is on the disk.
    Now,
}

/// How long a drain takes at the most.
#[derive(Copy, Clone, Debug)]
pub(super) struct Limits {
    /// From the order until nobody is let in any more: so long others may need to notice.
    pub(super) lead: Duration,
    /// From the order until what still runs is ended.
    pub(super) bound: Duration,
}

/// Who gives the orders.
#[derive(Clone, Debug)]
pub(super) enum Orderer {
    /// The system: SIGTERM and SIGQUIT to drain, SIGINT to stop at once, and so any other after the first.
    Signals,
    /// Whoever holds the other end; if nobody does, at once.
    Told(watch::Receiver<Option<Order>>),
}

enum Orders {
    Signals { term: Signal, quit: Signal, int: Signal },
    Told(watch::Receiver<Option<Order>>),
}

impl Orderer {
    fn orders(&self) -> std::io::Result<Orders> {
        Ok(match self {
            Self::Signals => Orders::Signals {
                term: signal(SignalKind::terminate())?,
                quit: signal(SignalKind::quit())?,
                int: signal(SignalKind::interrupt())?,
            },
            Self::Told(told) => Orders::Told(told.clone()),
        })
    }
}

impl Orders {
    /// The next order. Nothing is lost if nobody waits for it any more.
    async fn next(&mut self) -> Order {
        match self {
            Self::Signals { term, quit, int } => tokio::select! {
                _ = term.recv() => Order::Drain,
                _ = quit.recv() => Order::Drain,
                _ = int.recv() => Order::Now,
            },
            Self::Told(told) => {
                // An error means that the other end is gone.
                let order = told.wait_for(Option::is_some).await;
                order.ok().and_then(|order| *order).unwrap_or(Order::Now)
            }
        }
    }

    /// Somebody does not want to wait any longer.
    async fn hurry(&mut self) {
        match self {
            Self::Signals { .. } => {
                self.next().await;
            }
            Self::Told(told) => {
                // An error means that the other end is gone.
                let _ = told.wait_for(|order| *order == Some(Order::Now)).await;
            }
        }
    }
}

/// The one who conducts the drain. Pingora is told to stop when everything has: what it does on its own account is end
/// its runtimes with whatever is still in them.
pub(super) struct Stopping {
    pub(super) orderer: Orderer,
    pub(super) limits: Limits,
    pub(super) drain: Drain,
    pub(super) enforcer: Enforcer,
    pub(super) listeners: Arc<Listeners>,
}

#[async_trait]
impl ShutdownSignalWatch for Stopping {
    async fn recv(&self) -> ShutdownSignal {
        match self.orderer.orders() {
            Ok(mut orders) => self.conduct(&mut orders).await,
            Err(error) => tracing::error!(%error, "no signal can be waited for: the gateway stops"),
        }
        ShutdownSignal::FastShutdown
    }
}

impl Stopping {
    async fn conduct(&self, orders: &mut Orders) {
        let first = tokio::select! {
            biased;
            order = orders.next() => order,
            () = self.says_ready() => orders.next().await,
        };
        if first == Order::Now {
            return;
        }
        tokio::select! {
            biased;
            () = orders.hurry() => tracing::warn!("told again to stop: what still runs is not waited for"),
            () = self.stages() => tracing::info!("the gateway has stopped"),
        }
    }

    async fn says_ready(&self) {
        while !self.listeners.are_there().await {
            tokio::time::sleep(ASK_AGAIN).await;
        }
        notify("READY=1");
    }

    async fn stages(&self) {
        let began = Stopwatch::start();
        let Self { limits, drain, .. } = self;
        drain.begin();
        notify_stopping(limits.bound + LAST_WORDS + 2 * LAST_DEEDS);
        let (lead, bound) = (limits.lead.as_millis(), limits.bound.as_millis());
        tracing::info!(lead_ms = lead, bound_ms = bound, exchanges = self.enforcer.in_flight(), "draining");
        tokio::time::sleep(limits.lead).await;

        drain.entrance.tell();
        let left = limits.bound.saturating_sub(began.elapsed());
        if tokio::time::timeout(left, drain.entrance.is_left()).await.is_err() {
            let ended = self.enforcer.leave_all();
            let of = |kind| ended.of(kind);
            tracing::info!(
                websockets = of(Kind::WebSocket),
                sse = of(Kind::EventStream),
                downloads = of(Kind::Download),
                uploads = of(Kind::Upload),
                requests = of(Kind::Request),
                "the bound of the drain is reached: what still ran is ended"
            );
            // Who does not read is not waited for.
            let _ = tokio::time::timeout(LAST_WORDS, drain.entrance.is_left()).await;
        }
        for stage in [&drain.signals, &drain.memory] {
            stage.tell();
            if tokio::time::timeout(LAST_DEEDS, stage.is_left()).await.is_err() {
                tracing::warn!(services = stage.members(), "not everything ended in time");
            }
        }
    }
}

/// A service that ends with a stage of the drain, and not when pingora says so.
pub(super) struct Staged<S> {
    stage: Stage,
    service: S,
}

/// `service`, to end with `stage`.
pub(super) fn staged<S>(name: &str, stage: &Stage, service: S) -> GenBackgroundService<Staged<S>> {
    background_service(name, Staged { stage: stage.clone(), service })
}

#[async_trait]
impl<S: BackgroundService + Send + Sync> BackgroundService for Staged<S> {
    async fn start(&self, _pingoras: ShutdownWatch) {
        let _member = self.stage.join();
        self.service.start(self.stage.watch()).await;
    }
}

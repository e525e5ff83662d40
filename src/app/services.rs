//! What runs beside the proxy.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::lasting::Lasting;
use crate::admin;
use crate::intake::Intake;
use crate::outcome::Outcomes;
use crate::time::Clock;

/// How often what is over is forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often sessions that reach their end are looked for. Ends are whole seconds.
const END_EVERY: Duration = Duration::from_secs(1);

/// The admin listener.
pub(super) struct AdminService {
    /// Taken once, when the service starts.
    listener: Mutex<Option<TcpListener>>,
    token: admin::Token,
    operator: Arc<dyn admin::Gateway>,
    clock: Clock,
}

impl AdminService {
    pub(super) const fn new(
        listener: TcpListener,
        token: admin::Token,
        operator: Arc<dyn admin::Gateway>,
        clock: Clock,
    ) -> Self {
        Self { listener: Mutex::new(Some(listener)), token, operator, clock }
    }
}

#[async_trait]
impl BackgroundService for AdminService {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(listener) = listener.and_then(|l| tokio::net::TcpListener::from_std(l).ok()) else {
            tracing::error!("the admin listener cannot be served");
            return;
        };
        let router = admin::router(self.operator.clone(), self.token.clone(), self.clock.clone());
        let stop = async move {
            // An error means that the server is gone.
            let _ = shutdown.wait_for(|stop| *stop).await;
        };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
            tracing::error!(%error, "the admin listener ended");
        }
    }
}

/// Forgets revocations that have nothing left to do (law 10).
pub(super) struct Housekeeping(pub(super) Arc<Intake>);

#[async_trait]
impl BackgroundService for Housekeeping {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        loop {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(SWEEP_EVERY) => {}
            }
            match self.0.sweep().await {
                Ok(swept) if swept.subjects + swept.records > 0 => tracing::info!(
                    subjects = swept.subjects,
                    records = swept.records,
                    "revocations older than every credential were forgotten"
                ),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "old revocations could not be deleted from the ledger"),
            }
        }
    }
}

/// Ends what is in flight on sessions that reach their end.
pub(super) struct Deadlines(pub(super) Arc<Lasting>);

#[async_trait]
impl BackgroundService for Deadlines {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let parts = &self.0;
        loop {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(END_EVERY) => {}
            }
            let cut = parts.enforcer.end_over(parts.clock.now());
            if cut.total() > 0 {
                parts.metrics.cut(cut);
                tracing::info!(cut = cut.total(), "sessions reached their end, and what ran on them with them");
            }
        }
    }
}

/// Does `work` until it is over or the gateway ends, whichever comes first.
pub(super) async fn until(mut shutdown: ShutdownWatch, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        _ = shutdown.wait_for(|stop| *stop) => {}
        () = work => {}
    }
}

/// Writes down what revocations did, and tells whoever is to be told.
pub(super) struct Remembering(pub(super) Outcomes);

#[async_trait]
impl BackgroundService for Remembering {
    async fn start(&self, shutdown: ShutdownWatch) {
        until(shutdown, async { _ = tokio::join!(self.0.keep(), self.0.send()) }).await;
        if let Err(error) = self.0.write_down().await {
            tracing::warn!(%error, "what revocations did last is not written down");
        }
    }
}

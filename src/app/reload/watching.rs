//! Who has the config read again: SIGHUP, and files that change.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::super::notify::notify;
use super::Reloader;

/// How often the files that the config names are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Waits for SIGHUP, and for files that change.
pub(in crate::app) struct Watching {
    pub(in crate::app) reloader: Arc<Reloader>,
    /// Taken once, when the service starts; `None` if signals of the process are not meant for this gateway.
    pub(in crate::app) hangup: std::sync::Mutex<Option<Signal>>,
}

/// From now on SIGHUP does not end the process, and is heard. Nobody has to wait for that until a service runs: whoever
/// sees a gateway that is ready may reload it.
pub(in crate::app) fn hangup() -> anyhow::Result<Signal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let heard = runtime.block_on(async { signal(SignalKind::hangup()) });
    heard.context("SIGHUP cannot be heard")
}

#[async_trait]
impl BackgroundService for Watching {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut hangup = self.hangup.lock().unwrap_or_else(PoisonError::into_inner).take();
        loop {
            let is_told = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => return,
                () = next(&mut hangup) => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            if is_told {
                notify("RELOADING=1");
                self.reloader.reload("signal").await;
                notify("READY=1");
            } else {
                self.reloader.look_at_files().await;
            }
        }
    }
}

/// The next signal; never, if none are heard.
async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

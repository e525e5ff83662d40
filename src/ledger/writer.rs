//! A thread that owns a file, and the way to it. Whoever hands it a job learns at once if there is no room.

use std::path::Path;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::{AppendError, OpenError};

/// Where what came of a job is told.
pub(super) type Done<T> = oneshot::Sender<Result<T, AppendError>>;

/// The way to the thread. When it goes, everything queued is done and the file closed.
pub(super) struct Writer<J> {
    /// INVARIANT: `Some` until dropped.
    jobs: Option<mpsc::Sender<J>>,
    /// `None` once it was waited for.
    thread: Option<JoinHandle<()>>,
}

impl<J: Send + 'static> Writer<J> {
    /// Starts the thread of that name for the file at `path`; at most `queue` jobs wait for it.
    pub(super) fn start(
        name: &str,
        path: &Path,
        queue: usize,
        work: impl FnOnce(mpsc::Receiver<J>) + Send + 'static,
    ) -> Result<Self, OpenError> {
        let (jobs, waiting) = mpsc::channel(queue.max(1));
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || work(waiting))
            .map_err(|error| OpenError::Storage { path: path.to_owned(), source: error.into() })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// A way that leads to nobody, or to whoever reads the other end of `jobs`.
    #[cfg(test)]
    pub(super) const fn to(jobs: mpsc::Sender<J>) -> Self {
        Self { jobs: Some(jobs), thread: None }
    }

    /// Queues a job before it waits for the first time, and gives what came of it: dropping the future later takes nothing
    /// back.
    pub(super) async fn ask<T>(&self, job: impl FnOnce(Done<T>) -> J) -> Result<T, AppendError> {
        let (done, told) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(AppendError::Closed)?;
        jobs.try_send(job(done)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AppendError::Busy,
            mpsc::error::TrySendError::Closed(_) => AppendError::Closed,
        })?;
        told.await.unwrap_or(Err(AppendError::Closed))
    }
}

impl<J> std::fmt::Debug for Writer<J> {
    /// What waits is nobody's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl<J> Drop for Writer<J> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked closed the queue: whoever wrote since was told so.
            let _ = thread.join();
        }
    }
}

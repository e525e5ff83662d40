//! What is sent to pages that watch: one stream of events for each, a bounded number of them, all fed by one look.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::sync::{Semaphore, watch};

use super::series::{EVERY, Sample, Series};
use crate::admin::{Gateway, Status};
use crate::endpoint::Parts;
use crate::proxy::Pieces;

/// Pages that may watch at once: a team, each with a few tabs.
const WATCHERS: usize = 64;

/// What the console saw lately.
#[derive(Debug)]
pub(super) struct Live {
    /// Guards this alone; held for one look or one copy.
    series: Mutex<Series>,
    /// The last event, as it is sent.
    event: watch::Sender<Bytes>,
    room: Arc<Semaphore>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            series: Mutex::default(),
            event: watch::Sender::new(Bytes::new()),
            room: Arc::new(Semaphore::new(WATCHERS)),
        }
    }
}

impl Live {
    /// The samples, and the last minute.
    pub(super) fn series(&self) -> (Vec<Sample>, Sample) {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        (series.all(), series.minute())
    }

    /// Looks again and again; while somebody watches, they are told.
    pub(super) async fn keep(&self, parts: &Parts, gateway: &dyn Gateway) {
        let (status, told) = (watch::Sender::new(None), self.event.clone());
        // How everything is may take a while to find out: an IdP that does not answer is asked, too.
        let ask = async {
            let mut ticks = tokio::time::interval(EVERY);
            loop {
                ticks.tick().await;
                if told.receiver_count() > 0 {
                    status.send_replace(Some(gateway.status().await));
                }
            }
        };
        let look = async {
            let mut ticks = tokio::time::interval(EVERY);
            loop {
                ticks.tick().await;
                let (totals, exchanges) = (parts.metrics.totals(), parts.enforcer.in_flight());
                let now = parts.clock.now();
                let sample = self.series.lock().unwrap_or_else(PoisonError::into_inner).look(now, totals, exchanges);
                if told.receiver_count() > 0 {
                    told.send_replace(event(sample, self.series().1, status.borrow().as_ref()));
                }
            }
        };
        tokio::join!(ask, look);
    }

    /// The events for one page; `None` if too many watch.
    pub(super) fn watch(&self) -> Option<Pieces> {
        let place = Arc::clone(&self.room).try_acquire_owned().ok()?;
        let mut told = self.event.subscribe();
        told.mark_unchanged();
        // The head goes out with something, so that the page knows that it is heard.
        let first = stream::iter([Bytes::from_static(b"retry: 3000\n\n")]);
        let rest = stream::unfold((told, place), async |(mut told, place)| {
            told.changed().await.ok()?;
            let event = told.borrow_and_update().clone();
            Some((event, (told, place)))
        });
        Some(Box::pin(stream::StreamExt::chain(first, rest)))
    }
}

fn event(sample: Sample, minute: Sample, status: Option<&Status>) -> Bytes {
    let data = json!({ "sample": sample, "minute": minute, "status": status });
    Bytes::from(format!("event: now\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn pages_that_watch_hear_what_is_new_and_are_bounded() {
        let live = Live::default();
        let mut pages: Vec<_> = (0..WATCHERS).filter_map(|_| live.watch()).collect();
        assert_eq!(pages.len(), WATCHERS);
        assert!(live.watch().is_none(), "there is no room for one more");
        let page = pages.last_mut().expect("a page");
        assert_eq!(page.next().await, Some(Bytes::from_static(b"retry: 3000\n\n")));
        live.event.send_replace(event(Sample::default(), Sample::default(), None));
        let told = page.next().await.expect("an event");
        assert!(told.starts_with(b"event: now\ndata: {") && told.ends_with(b"}\n\n"), "{told:?}");
        pages.pop();
        assert!(live.watch().is_some(), "a page that closes makes room");
    }
}

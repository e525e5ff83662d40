//! Writes down what was counted, and hands news to the outbox.

use std::time::Duration;

use super::fleetwide::Roll;
use super::record::{News, Record};
use super::{Outcomes, State, kept_message, kept_record, message_key};
use crate::ledger::{AppendError, Note, Shelf};
use crate::revocation::RevocationId;

/// Between two writes of what was counted.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Records in one write: it shares the disk with revocations.
const AT_ONCE: usize = 500;

impl Outcomes {
    /// Keeps the book for as long as the future is driven.
    pub async fn keep(&self) {
        let mut failing = false;
        loop {
            let kept = self.write_down().await;
            match (&kept, failing) {
                (Err(error), false) => {
                    tracing::warn!(%error, "what revocations did cannot be written down; it is kept in memory")
                }
                (Ok(_), true) => tracing::info!("what revocations did is written down again"),
                _ => {}
            }
            failing = kept.is_err();
            if !matches!(kept, Ok(written) if written >= AT_ONCE) {
                // News are written at once, counts now and then.
                let news = self.0.changed.notified();
                let _either =
                    futures_util::future::select(std::pin::pin!(news), std::pin::pin!(tokio::time::sleep(WRITE_EVERY)))
                        .await;
            }
        }
    }

    /// Writes what has changed; says how many records.
    pub async fn write_down(&self) -> Result<usize, AppendError> {
        self.note_applied();
        let now = self.0.clock.now();
        let roll = if self.0.webhook.is_some() { self.roll() } else { Roll::default() };
        let (mut notes, mut messages, mut pages) = (Vec::new(), Vec::new(), Vec::new());
        let (mut dropped, mut numbers) = (Vec::new(), Vec::new());
        {
            let mut state = self.state();
            let State { book, outbox, unsettled, news, gone, .. } = &mut *state;
            while let Some((due, id)) = unsettled.first().copied().filter(|(due, _)| *due <= now) {
                unsettled.remove(&(due, id));
                if book.change(id, |record| record.settled = true).is_some() {
                    news.push((id, News::Settled));
                }
            }
            for (id, what) in news.drain(..) {
                // Before the first message there is none: that one is written with the revocation, or not at all.
                let is_ours = |record: &Record| record.revision > 0 && !record.is_heard;
                let is_told = self.0.webhook.is_some() && book.get(id).is_some_and(is_ours);
                if !is_told || !book.change(id, |record| record.is_still_news(what)).unwrap_or_default() {
                    continue;
                }
                book.change(id, |record| record.revision += 1);
                if let Some(record) = book.get(id) {
                    messages.extend(self.message(outbox, (record, &roll), what, now));
                }
            }
            notes.extend(messages.iter().map(|(number, message)| kept_message(*number, message)));
            for (record, version) in book.dirty().take(AT_ONCE) {
                notes.push(kept_record(record));
                pages.push((record.id, version));
            }
            dropped.append(gone);
            numbers.extend(outbox.forget(&dropped));
            notes.extend(dropped.iter().map(|id| of_outcome(*id)));
            notes.extend(numbers.iter().map(|number| of_message(*number)));
        }
        if notes.is_empty() {
            return Ok(0);
        }
        let written = self.0.ledger.append_with(&[], notes).await;
        let mut state = self.state();
        if written.is_ok() {
            for (id, version) in &pages {
                state.book.written(*id, *version, |_| {});
            }
        } else {
            state.gone.extend(dropped);
        }
        // What others are to be told they are told, also while the disk is in trouble; a restart may forget it.
        for (number, message) in messages {
            state.outbox.put(number, message);
        }
        self.0.metrics.outcomes(state.book.len(), state.outbox.len());
        drop(state);
        self.0.to_send.notify_one();
        written.map(|()| pages.len())
    }
}

fn of_outcome(id: RevocationId) -> Note {
    Note { shelf: Shelf::Outcomes, key: id.to_string(), text: None }
}

pub(super) fn of_message(number: u64) -> Note {
    Note { shelf: Shelf::Outbox, key: message_key(number), text: None }
}

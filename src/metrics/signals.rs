//! What is counted of streams, and of the signals that come.

use super::Metrics;
use crate::event::supervise::Health;

impl Metrics {
    /// A SET came on `stream`; `result` is the word of what became of it.
    pub fn set_came(&self, stream: &str, result: &'static str) {
        self.sets.with_label_values(&[stream, result]).inc();
    }

    /// A signal was refused; `why` is the word of the rejection.
    pub fn signal_rejected(&self, why: &'static str) {
        self.rejected.with_label_values(&[why]).inc();
    }

    /// A stream is so now.
    pub fn stream_is(&self, stream: &str, health: Health) {
        for each in Health::ALL {
            self.streams.with_label_values(&[stream, each.word()]).set(i64::from(each == health));
        }
    }

    /// A stream is in no state any more: the config has it no longer.
    pub fn stream_is_no_more(&self, stream: &str) {
        for each in Health::ALL {
            // An error means that it was in none.
            let _ = self.streams.remove_label_values(&[stream, each.word()]);
        }
    }

    /// An event, or a part of one, had no effect because it is not about us or nothing follows from it.
    pub fn event_ignored(&self) {
        self.ignored.inc();
    }

    /// A signal named nobody that this gateway could match.
    pub fn subject_unmatched(&self) {
        self.unmatched.inc();
    }
}

//! What is counted about the config.

use prometheus::{GaugeVec, IntCounterVec, IntGauge};

use super::Metrics;
use super::register::{Register, counters, gauge, named, registered};
use crate::time::Timestamp;

/// What is counted about the config.
#[derive(Debug)]
pub(super) struct Config {
    reloads: IntCounterVec,
    last_good: IntGauge,
    edition: IntGauge,
    rereads: IntCounterVec,
    not_after: GaugeVec,
}

impl Config {
    pub(super) fn registered(to: &Register) -> prometheus::Result<Self> {
        Ok(Self {
            reloads: counters(to, "config_reload_total", "Times the config was to be read again", &["result"])?,
            last_good: gauge(
                to,
                "config_last_reload_success_timestamp_seconds",
                "When the config that runs was taken",
            )?,
            edition: gauge(to, "config_edition", "How many configs have run since the start")?,
            rereads: counters(
                to,
                "config_files_reread_total",
                "Times that files which the config names had changed",
                &["result"],
            )?,
            not_after: registered(
                to,
                GaugeVec::new(
                    named("certificate_not_after_seconds", "When a certificate that is shown ends: seconds since 1970"),
                    &["file"],
                )?,
            )?,
        })
    }
}

impl Metrics {
    /// The config was to be read again; `result` is the word of what came of it.
    pub fn config_reloaded(&self, result: &'static str) {
        self.config.reloads.with_label_values(&[result]).inc();
    }

    /// Another config runs, the `edition`th.
    pub fn config_runs(&self, edition: u64, since: Timestamp) {
        self.config.edition.set(i64::try_from(edition).unwrap_or(i64::MAX));
        self.config.last_good.set(i64::try_from(since.secs()).unwrap_or(i64::MAX));
    }

    /// Files that the config names had changed; `result` is the word of what came of it.
    pub fn config_files_reread(&self, result: &'static str) {
        self.config.rereads.with_label_values(&[result]).inc();
    }

    /// These certificates are shown, each until then.
    #[expect(clippy::cast_precision_loss, reason = "a moment in seconds is far below 2^53")]
    pub fn certificates_end(&self, ends: &[(String, i64)]) {
        self.config.not_after.reset();
        for (file, end) in ends {
            self.config.not_after.with_label_values(&[file.as_str()]).set(*end as f64);
        }
    }
}

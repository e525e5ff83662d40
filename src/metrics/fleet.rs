//! What is counted of the fleet.

use std::time::Duration;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::Metrics;
use super::register::{Register, counter, counters, gauge, named, registered};

#[derive(Debug)]
pub(super) struct Fleet {
    told: IntCounter,
    heard: IntCounter,
    illegible: IntCounterVec,
    replaced: IntCounter,
    stale: IntGauge,
    age: IntGauge,
    untold: IntGauge,
    leads: IntGaugeVec,
}

impl Fleet {
    pub(super) fn registered(to: &Register) -> prometheus::Result<Self> {
        Ok(Self {
            told: counter(to, "fleet_told_total", "Facts that the engine keeps for the other gateways")?,
            heard: counter(to, "fleet_heard_total", "Facts that other gateways told")?,
            illegible: counters(
                to,
                "fleet_illegible_total",
                "Letters in the fleet's log that say nothing here",
                &["why"],
            )?,
            replaced: counter(
                to,
                "fleet_log_replaced_total",
                "Times that the fleet's log was another one than before",
            )?,
            stale: gauge(to, "fleet_stale", "1 while what other gateways accepted may be missing here")?,
            age: gauge(to, "fleet_age_seconds", "How old the newest thing may be that is not known here; -1 at first")?,
            untold: gauge(to, "fleet_untold", "1 while something is known here that may be known nowhere else")?,
            leads: registered(
                to,
                IntGaugeVec::new(named("fleet_leads", "1 while this gateway leads the stream"), &["stream"])?,
            )?,
        })
    }
}

impl Metrics {
    /// The engine keeps so many facts for the other gateways.
    pub fn told(&self, facts: usize) {
        self.fleet.told.inc_by(u64::try_from(facts).unwrap_or(u64::MAX));
    }

    /// Other gateways told so many facts.
    pub fn heard(&self, facts: usize) {
        self.fleet.heard.inc_by(u64::try_from(facts).unwrap_or(u64::MAX));
    }

    /// A letter said nothing to this gateway; `why` is the word of the reason.
    pub fn illegible(&self, why: &'static str) {
        self.fleet.illegible.with_label_values(&[why]).inc();
    }

    /// The fleet's log is another one than before.
    pub fn log_replaced(&self) {
        self.fleet.replaced.inc();
    }

    /// This gateway leads that stream, or does not.
    pub fn leads(&self, stream: &str, leads: bool) {
        self.fleet.leads.with_label_values(&[stream]).set(i64::from(leads));
    }

    /// How the gateway stands in its fleet: whether it is stale, how old what it lacks may be, whether it has something
    /// to tell.
    pub fn fleet_is(&self, stale: bool, age: Option<Duration>, has_untold: bool) {
        self.fleet.stale.set(i64::from(stale));
        self.fleet.age.set(age.map_or(-1, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX)));
        self.fleet.untold.set(i64::from(has_untold));
    }
}

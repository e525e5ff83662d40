//! How things stand at the moment at which somebody asks for the metrics.

use std::time::Duration;

use prometheus::{GaugeVec, IntGauge, IntGaugeVec};

use super::Metrics;
use super::register::{Register, gauge, named, registered};
use crate::exchanges::{Counts, Kind};
use crate::time::Timestamp;

/// How the gateway stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Now {
    /// Since when it runs.
    pub started_at: Timestamp,
    /// A load balancer may send people here.
    pub ready: bool,
    /// It was told to stop.
    pub draining: bool,
    /// The ledger took the last record.
    pub durable: bool,
    /// What is in flight.
    pub exchanges: Counts,
    /// Each app: its name, how many of its upstreams answer, how many there are.
    pub apps: Vec<(String, usize, usize)>,
    /// Each stream.
    pub streams: Vec<StreamNow>,
}

/// How a stream stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamNow {
    /// Its name.
    pub name: String,
    /// How long ago it showed that it lives, if it ever did.
    pub silent_for: Option<Duration>,
    /// How long the last verification event took, if one was asked for.
    pub lag: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Gauges {
    started: IntGauge,
    ready: IntGauge,
    draining: IntGauge,
    failing: IntGauge,
    exchanges: IntGaugeVec,
    upstreams: IntGaugeVec,
    age: IntGaugeVec,
    lag: GaugeVec,
}

impl Gauges {
    pub(super) fn registered(to: &Register) -> prometheus::Result<Self> {
        let gauges = |name, help, labels: &[&str]| registered(to, IntGaugeVec::new(named(name, help), labels)?);
        Ok(Self {
            started: gauge(to, "start_time_seconds", "When the gateway started, in seconds since 1970")?,
            ready: gauge(to, "ready", "1 while a load balancer may send people here, as /ready says")?,
            draining: gauge(to, "draining", "1 from the order to stop on")?,
            failing: gauge(to, "ledger_failing", "1 while what is revoked is in force but could not be written down")?,
            exchanges: gauges("exchanges", "What is in flight and would be cut", &["kind"])?,
            upstreams: gauges(
                "upstreams",
                "Upstreams of each app: all of them, and those that answer",
                &["app", "state"],
            )?,
            age: gauges(
                "stream_age_seconds",
                "Since the stream's last sign of life; -1 before the first",
                &["stream"],
            )?,
            lag: registered(
                to,
                GaugeVec::new(
                    named("stream_verification_seconds", "How long the stream's last verification event took"),
                    &["stream"],
                )?,
            )?,
        })
    }
}

impl Metrics {
    /// Everything stands so now.
    pub fn stands(&self, now: &Now) {
        let gauges = &self.now;
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        gauges.started.set(i64::try_from(now.started_at.secs()).unwrap_or(i64::MAX));
        gauges.ready.set(i64::from(now.ready));
        gauges.draining.set(i64::from(now.draining));
        gauges.failing.set(i64::from(!now.durable));
        for kind in Kind::ALL {
            gauges.exchanges.with_label_values(&[kind.word()]).set(whole(now.exchanges.of(kind)));
        }
        for (app, healthy, known) in &now.apps {
            gauges.upstreams.with_label_values(&[app, "healthy"]).set(whole(*healthy));
            gauges.upstreams.with_label_values(&[app, "known"]).set(whole(*known));
        }
        for stream in &now.streams {
            let age = stream.silent_for.map_or(-1, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
            gauges.age.with_label_values(&[&stream.name]).set(age);
            if let Some(lag) = stream.lag {
                gauges.lag.with_label_values(&[&stream.name]).set(lag.as_secs_f64());
            }
        }
    }
}

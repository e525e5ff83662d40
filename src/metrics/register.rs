//! How metrics are made and registered, and a list of all of them: a label that was never used has no line in the text
//! format, and the documentation has one for each.

use std::cell::RefCell;

use prometheus::proto::MetricType;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, core::Collector};

/// A metric that is registered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: Vec<String>,
}

/// Where metrics are registered while they are made.
#[derive(Debug, Default)]
pub(super) struct Register {
    registry: Registry,
    listed: RefCell<Vec<Listed>>,
}

impl Register {
    /// What was registered, sorted by name.
    pub(super) fn listed(&self) -> Vec<Listed> {
        let mut listed = self.listed.borrow().clone();
        listed.sort();
        listed
    }

    pub(super) fn registry(self) -> Registry {
        self.registry
    }

    fn list(&self, metric: &impl Collector) {
        let kind = match metric.collect().first().map(prometheus::proto::MetricFamily::get_field_type) {
            Some(MetricType::COUNTER) => "counter",
            Some(MetricType::HISTOGRAM) => "histogram",
            Some(MetricType::GAUGE) => "gauge",
            Some(MetricType::SUMMARY | MetricType::UNTYPED) | None => "untyped",
        };
        for desc in metric.desc() {
            let (name, labels) = (desc.fq_name.clone(), desc.variable_labels.clone());
            self.listed.borrow_mut().push(Listed { name, kind, labels });
        }
    }
}

pub(super) fn named(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("portcullis")
}

pub(super) fn spread(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).namespace("portcullis").buckets(buckets.to_vec())
}

pub(super) fn registered<T: Collector + Clone + 'static>(to: &Register, metric: T) -> prometheus::Result<T> {
    to.list(&metric);
    to.registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(super) fn counter(to: &Register, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    registered(to, IntCounter::with_opts(named(name, help))?)
}

pub(super) fn counters(to: &Register, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    registered(to, IntCounterVec::new(named(name, help), labels)?)
}

pub(super) fn gauge(to: &Register, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    registered(to, IntGauge::with_opts(named(name, help))?)
}

pub(super) fn histogram(to: &Register, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
    registered(to, Histogram::with_opts(spread(name, help, buckets))?)
}

//! What the gateway counts, in the Prometheus text format. Callers count by typed methods; the names live here only.
//!
//! Label values are configured names and the fixed words of enums, never what a client sent: the number of series is
//! bounded by the configuration.

mod config;
mod fleet;
mod now;
mod register;
mod signals;
mod totals;

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

pub use self::now::{Now, StreamNow};
pub use self::register::Listed;
use self::register::{Register, counter, counters, gauge, histogram, named, registered, spread};

pub use self::totals::Totals;
use crate::exchanges::{Counts, Kind};
use crate::revocation::{Mode, Origin};

/// What became of a revocation's record.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is on disk.
    Durable,
    /// It is in force here, but the ledger did not take it; the sender was told to send it again.
    NotDurable,
    /// In force and on disk here; other gateways may not know yet.
    Untold,
    /// Another gateway accepted it.
    Heard,
    /// It came from the ledger at start.
    Replayed,
}

impl Recorded {
    const fn word(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::NotDurable => "not_durable",
            Self::Untold => "untold",
            Self::Heard => "heard",
            Self::Replayed => "replayed",
        }
    }
}

/// All counters of one gateway, in a registry of its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    listed: Vec<Listed>,
    requests: IntCounterVec,
    in_flight: IntGauge,
    durations: HistogramVec,
    revocations: IntCounterVec,
    lifted: IntCounterVec,
    awaiting: IntGauge,
    on_hold: IntGauge,
    set_size: IntGauge,
    set_entries: IntGauge,
    set_limit: IntGauge,
    crowded: IntGauge,
    latency: HistogramVec,
    enforcement: HistogramVec,
    sets: IntCounterVec,
    cut: IntCounterVec,
    blocked: IntCounterVec,
    rejected: IntCounterVec,
    streams: IntGaugeVec,
    unmatched: IntCounter,
    ignored: IntCounter,
    logins: IntCounterVec,
    seal_failures: IntCounterVec,
    tokens_sealed: IntCounterVec,
    tokens_refused: IntCounterVec,
    appends: Histogram,
    audit_dropped: IntCounter,
    outcomes: IntGauge,
    outbox: IntGauge,
    outcome_messages: IntCounterVec,
    revalidations: IntCounterVec,
    revalidating: IntGaugeVec,
    grants_not_kept: IntCounterVec,
    fleet: fleet::Fleet,
    config: config::Config,
    now: now::Gauges,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All counters at zero.
    #[expect(clippy::expect_used, reason = "names and labels are constants of this function; every test builds them")]
    pub fn new() -> Self {
        Self::build().expect("constant names are valid and differ")
    }

    fn build() -> prometheus::Result<Self> {
        let register = Register::default();
        let to = &register;
        let build = IntGaugeVec::new(named("build_info", "What is running; the value is always 1"), &["version"])?;
        registered(to, build)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            requests: counters(to, "requests_total", "Requests answered", &["app", "code"])?,
            in_flight: gauge(to, "requests_in_flight", "Requests and streams in flight")?,
            durations: registered(
                to,
                HistogramVec::new(
                    spread("response_duration_seconds", "From a request's head to the end of its answer", &RESPONSE),
                    &["app"],
                )?,
            )?,
            revocations: counters(to, "revocations_total", "Revocations put in force", &["source", "mode", "result"])?,
            lifted: counters(to, "holds_lifted_total", "Holds that were told to be lifted", &["source"])?,
            awaiting: gauge(to, "revocations_awaiting_approval", "Revocations that are not in force until approved")?,
            on_hold: gauge(to, "subjects_on_hold", "Subjects that nobody gets in by until they are lifted")?,
            set_size: gauge(to, "revocation_set_size", "Subjects in force")?,
            set_entries: gauge(to, "revocation_set_entries", "What takes room in the revocation set")?,
            set_limit: gauge(to, "revocation_set_limit", "Entries above which nobody new can sign in")?,
            crowded: gauge(to, "crowded", "1 while nobody new can sign in because too much is revoked")?,
            latency: registered(
                to,
                HistogramVec::new(
                    spread("revocation_latency_seconds", "From the event at the sender to in force", &LATENCY),
                    &["source"],
                )?,
            )?,
            enforcement: registered(
                to,
                HistogramVec::new(
                    spread("revocation_enforcement_seconds", "From a signal's arrival here to in force", &ENFORCEMENT),
                    &["source"],
                )?,
            )?,
            sets: counters(to, "stream_sets_total", "SETs that came on each stream", &["stream", "result"])?,
            cut: counters(to, "exchanges_cut_total", "Exchanges ended by a revocation or a session's end", &["kind"])?,
            blocked: counters(to, "requests_blocked_total", "Requests that were not let through", &["reason"])?,
            rejected: counters(to, "set_rejected_total", "Signals that were refused", &["why"])?,
            streams: registered(
                to,
                IntGaugeVec::new(
                    named("stream_state", "How each stream is: 1 for the state that it is in"),
                    &["stream", "state"],
                )?,
            )?,
            unmatched: counter(to, "unmatched_subject_total", "Signals whose subject no IdP here can match")?,
            ignored: counter(to, "ignored_event_total", "Events, or parts of one, from which nothing follows here")?,
            logins: counters(to, "logins_total", "Logins that came back from the IdP", &["idp", "result"])?,
            seal_failures: counters(
                to,
                "seal_failures_total",
                "Cookies and tokens of apps whose seal was not there or not good, or that could not be sealed",
                &["kind"],
            )?,
            tokens_sealed: counters(
                to,
                "tokens_sealed_total",
                "Tokens that apps gave out and that were sealed",
                &["app"],
            )?,
            tokens_refused: counters(
                to,
                "access_tokens_refused_total",
                "Access tokens of IdPs that did not count",
                &["why"],
            )?,
            appends: histogram(to, "ledger_append_seconds", "From an append to its record on disk", &APPEND)?,
            audit_dropped: counter(to, "audit_dropped_total", "Audit lines that were not written")?,
            outcomes: gauge(to, "outcomes", "Revocations of which it is remembered what they did")?,
            outbox: gauge(to, "outcome_outbox", "Messages about outcomes that wait for the webhook's receiver")?,
            outcome_messages: counters(
                to,
                "outcome_messages_total",
                "Messages about outcomes, by what became of each try",
                &["result"],
            )?,
            revalidations: counters(
                to,
                "revalidations_total",
                "Times an IdP was asked whether a session still stands",
                &["idp", "by", "result"],
            )?,
            revalidating: registered(
                to,
                IntGaugeVec::new(
                    named("revalidation_sessions", "Sessions that are checked in the background, and those overdue"),
                    &["idp", "state"],
                )?,
            )?,
            grants_not_kept: counters(
                to,
                "revalidation_grants_not_kept_total",
                "Sessions that are checked with the browser for want of a refresh token or of room for it",
                &["idp", "why"],
            )?,
            fleet: fleet::Fleet::registered(to)?,
            config: config::Config::registered(to)?,
            now: now::Gauges::registered(to)?,
            listed: register.listed(),
            registry: register.registry(),
        })
    }

    /// Every metric that there is, also those that have counted nothing yet.
    pub fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// A request has begun; it is in flight until the value is dropped.
    pub fn request_begins(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// A request of `app` has been answered.
    pub fn request_ends(&self, app: &str, status: u16, took: Duration) {
        let class = match status {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        self.requests.with_label_values(&[app, class]).inc();
        self.durations.with_label_values(&[app]).observe(took.as_secs_f64());
    }

    /// A revocation was put in force.
    pub fn revoked(&self, origin: &Origin, mode: Mode, recorded: Recorded) {
        self.revocations.with_label_values(&[origin.word(), mode.word(), recorded.word()]).inc();
    }

    /// So many revocations from `source` came from the ledger at start.
    pub fn replayed(&self, source: &str, mode: Mode, count: u64) {
        self.revocations.with_label_values(&[source, mode.word(), Recorded::Replayed.word()]).inc_by(count);
    }

    /// A hold was told to be lifted.
    pub fn lifted(&self, origin: &Origin) {
        self.lifted.with_label_values(&[origin.word()]).inc();
    }

    /// So many revocations await approval.
    pub fn awaiting_approval(&self, revocations: usize) {
        self.awaiting.set(i64::try_from(revocations).unwrap_or(i64::MAX));
    }

    /// So many subjects are on hold.
    pub fn on_hold(&self, subjects: usize) {
        self.on_hold.set(i64::try_from(subjects).unwrap_or(i64::MAX));
    }

    /// A revocation came into force that long after what it tells of.
    pub fn enforced_after(&self, origin: &Origin, latency: Duration) {
        self.latency.with_label_values(&[origin.word()]).observe(latency.as_secs_f64());
    }

    /// A revocation came into force that long after its signal arrived here.
    pub fn enforced_within(&self, origin: &Origin, took: Duration) {
        self.enforcement.with_label_values(&[origin.word()]).observe(took.as_secs_f64());
    }

    /// So many subjects are in force, with so many entries, of which there may be so many.
    pub fn set_size(&self, subjects: usize, (entries, limit): (usize, usize)) {
        self.set_size.set(i64::try_from(subjects).unwrap_or(i64::MAX));
        self.set_entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.set_limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    /// Whether nobody new can sign in because too much is revoked.
    pub fn crowded(&self, is_crowded: bool) {
        self.crowded.set(i64::from(is_crowded));
    }

    /// Exchanges were ended by a revocation, or because their session reached its end.
    pub fn cut(&self, counts: Counts) {
        for kind in Kind::ALL {
            self.cut.with_label_values(&[kind.word()]).inc_by(counts.of(kind) as u64);
        }
    }

    /// A request was not let through; `reason` is the word of the decision's cause.
    pub fn request_blocked(&self, reason: &'static str) {
        self.blocked.with_label_values(&[reason]).inc();
    }

    /// A login came back from `idp`; `result` is `ok` or the word of what was wrong with it.
    pub fn login(&self, idp: &str, result: &'static str) {
        self.logins.with_label_values(&[idp, result]).inc();
    }

    /// A derived credential came without a good seal, or could not be given one; `kind` is the word of what is wrong.
    pub fn seal_failed(&self, kind: &'static str) {
        self.seal_failures.with_label_values(&[kind]).inc();
    }

    /// A token that `app` gave out was sealed.
    pub fn token_sealed(&self, app: &str) {
        self.tokens_sealed.with_label_values(&[app]).inc();
    }

    /// An access token of an IdP did not count; `why` is the word of what is wrong.
    pub fn token_refused(&self, why: &'static str) {
        self.tokens_refused.with_label_values(&[why]).inc();
    }

    /// An append took that long until it was durable.
    pub fn appended(&self, took: Duration) {
        self.appends.observe(took.as_secs_f64());
    }

    /// Audit lines were not written.
    pub fn audit_dropped(&self, lines: u64) {
        self.audit_dropped.inc_by(lines);
    }

    /// That many outcomes are remembered, and that many messages about them wait.
    pub fn outcomes(&self, outcomes: usize, waiting: usize) {
        self.outcomes.set(i64::try_from(outcomes).unwrap_or(i64::MAX));
        self.outbox.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// A message about an outcome was sent, or could not be; `result` is the word of what became of it.
    pub fn outcome_message(&self, result: &'static str) {
        self.outcome_messages.with_label_values(&[result]).inc();
    }

    /// `idp` was asked whether a session still stands; `result` is the word of its answer.
    pub fn revalidated(&self, idp: &str, by: &'static str, result: &'static str) {
        self.revalidations.with_label_values(&[idp, by, result]).inc();
    }

    /// So many sessions of `idp` are checked in the background, so many of them are overdue.
    pub fn revalidating(&self, idp: &str, live: usize, overdue: usize) {
        for (state, count) in [("live", live), ("overdue", overdue)] {
            let gauge = self.revalidating.with_label_values(&[idp, state]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// A session of `idp` cannot be checked in the background; `why` is the word of the reason.
    pub fn grant_not_kept(&self, idp: &str, why: &'static str) {
        self.grants_not_kept.with_label_values(&[idp, why]).inc();
    }

    /// Everything, in the Prometheus text format (version 0.0.4).
    pub fn render(&self) -> String {
        let mut text = String::new();
        match TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            Ok(()) => text,
            // Only a metric without samples is refused, and the registry leaves those out.
            Err(error) => format!("# {error}\n"),
        }
    }
}

/// One request in flight.
#[derive(Debug)]
#[must_use = "the request counts as in flight until this is dropped"]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// From a fast page to a slow report; streams last longer than any bucket.
const RESPONSE: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Events are dated in whole seconds; a day is a stream that was broken overnight.
const LATENCY: [f64; 10] = [0.0, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 600.0, 3_600.0, 86_400.0];
/// From a signature that is checked with a key at hand to one whose key must be fetched.
const ENFORCEMENT: [f64; 10] = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.1, 0.5, 2.0, 10.0];
/// From one flush of a fast disk to a disk in trouble.
const APPEND: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::supervise::Health;

    #[test]
    fn every_count_shows_under_its_name() {
        let metrics = Metrics::new();
        let in_flight = metrics.request_begins();
        metrics.request_ends("wiki", 204, Duration::from_millis(3));
        metrics.revoked(&Origin::Operator, Mode::Terminate, Recorded::Durable);
        metrics.enforced_after(&Origin::Operator, Duration::from_secs(3));
        metrics.enforced_within(&Origin::Operator, Duration::from_millis(2));
        metrics.set_came("corp", "taken");
        metrics.set_size(5, (6, 10));
        metrics.crowded(true);
        metrics.cut(Counts::default());
        metrics.request_blocked("terminated");
        metrics.signal_rejected("signature");
        metrics.stream_is("corp", Health::Late);
        metrics.stream_is("corp", Health::Live);
        metrics.subject_unmatched();
        metrics.event_ignored();
        metrics.login("corp", "ok");
        metrics.appended(Duration::from_millis(4));
        metrics.audit_dropped(2);
        let text = metrics.render();
        for line in [
            "portcullis_requests_total{app=\"wiki\",code=\"2xx\"} 1",
            "portcullis_requests_in_flight 1",
            "portcullis_response_duration_seconds_bucket{app=\"wiki\",le=\"0.005\"} 1",
            "portcullis_revocations_total{mode=\"terminate\",result=\"durable\",source=\"operator\"} 1",
            "portcullis_revocation_set_size 5",
            "portcullis_revocation_set_entries 6",
            "portcullis_revocation_set_limit 10",
            "portcullis_crowded 1",
            "portcullis_revocation_latency_seconds_bucket{source=\"operator\",le=\"5\"} 1",
            "portcullis_revocation_enforcement_seconds_bucket{source=\"operator\",le=\"0.0025\"} 1",
            "portcullis_stream_sets_total{result=\"taken\",stream=\"corp\"} 1",
            "portcullis_exchanges_cut_total{kind=\"websocket\"} 0",
            "portcullis_requests_blocked_total{reason=\"terminated\"} 1",
            "portcullis_set_rejected_total{why=\"signature\"} 1",
            "portcullis_stream_state{state=\"live\",stream=\"corp\"} 1",
            "portcullis_stream_state{state=\"late\",stream=\"corp\"} 0",
            "portcullis_unmatched_subject_total 1",
            "portcullis_ignored_event_total 1",
            "portcullis_logins_total{idp=\"corp\",result=\"ok\"} 1",
            "portcullis_ledger_append_seconds_bucket{le=\"0.005\"} 1",
            "portcullis_audit_dropped_total 2",
            concat!("portcullis_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|l| l == line), "`{line}` is not in\n{text}");
        }
        drop(in_flight);
        assert!(metrics.render().contains("portcullis_requests_in_flight 0"));
    }

    #[test]
    fn every_metric_is_documented_and_nothing_else_is() {
        let page = include_str!("../deploy/docs/metrics.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `portcullis_"));
        let documented: Vec<_> = rows
            .map(|row| {
                let mut cells = row.split('|').map(str::trim);
                let mut cell = || cells.next().unwrap_or_default();
                let (name, kind, labels) = (cell(), cell(), cell());
                let name = format!("portcullis_{}", name.trim_end_matches('`'));
                let labels = labels.split(", ").map(|label| label.trim_matches('`').to_owned());
                (name, kind.to_owned(), labels.filter(|label| !label.is_empty()).collect::<Vec<_>>())
            })
            .collect();
        let metrics = Metrics::new();
        let there: Vec<_> =
            metrics.listed().iter().map(|m| (m.name.clone(), m.kind.to_owned(), m.labels.clone())).collect();
        for row in &there {
            assert!(documented.contains(row), "deploy/docs/metrics.md has no such row: {row:?}");
        }
        for row in &documented {
            assert!(there.contains(row), "deploy/docs/metrics.md has what is no metric: {row:?}");
        }
        assert_eq!(there.len(), documented.len(), "no metric stands there twice");
    }

    #[test]
    fn two_gateways_in_one_process_count_apart() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.subject_unmatched();
        assert!(other.render().contains("portcullis_unmatched_subject_total 0"));
    }
}

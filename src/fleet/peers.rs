//! The other gateways, as far as they were heard of. Pure; moments are spans since this gateway's start.

use std::collections::HashMap;
use std::time::Duration;

use super::engine::{GatewayId, Position};
use super::freshness::Fresh;
use super::report::Report;
use crate::time::Timestamp;

/// Gateways that are remembered. Beyond it the one that was silent for the longest is forgotten.
const MOST: usize = 4_096;
/// Reports that the whole fleet sends in a second, at the most.
const A_SECOND: u32 = 20;
/// Between two reports while something happens, and while nothing does, in a small fleet.
const SOON: Duration = Duration::from_millis(100);
const AT_EASE: Duration = Duration::from_secs(5);
/// Intervals without a report after which a gateway is silent.
const MISSED: u32 = 3;
/// After that long it is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(86_400);
/// What a gateway may say of its own interval.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// How long a gateway of a fleet of `gateways` waits between two reports: at least, and at most.
pub(super) fn intervals(gateways: usize) -> (Duration, Duration) {
    let share = Duration::from_secs(1) * u32::try_from(gateways).unwrap_or(u32::MAX) / A_SECOND;
    let soon = share.clamp(SOON, INTERVALS.1);
    (soon, soon.max(AT_EASE))
}

/// Another gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What the fleet knows it by.
    pub id: GatewayId,
    /// What people call it.
    pub name: String,
    /// The version that it runs.
    pub version: String,
    /// Whether it knew what the others know, when it last said so.
    pub fresh: Fresh,
    /// It was not heard of for longer than it should.
    pub is_silent: bool,
    /// How long ago it was heard of.
    pub heard: Duration,
    /// Up to where it has applied the log of that epoch.
    pub epoch: String,
    /// See `epoch`.
    pub applied: Position,
}

#[derive(Debug)]
struct Known {
    report: Report,
    /// When the last report came.
    came: Duration,
    /// How old it was then.
    lag: Duration,
}

impl Known {
    fn heard(&self, now: Duration) -> Duration {
        now.saturating_sub(self.came).saturating_add(self.lag)
    }

    fn is_silent(&self, now: Duration) -> bool {
        let every = Duration::from_millis(self.report.every).clamp(INTERVALS.0, INTERVALS.1);
        self.heard(now) > every * MISSED
    }
}

/// All that were heard of.
#[derive(Debug, Default)]
pub(super) struct Peers(HashMap<GatewayId, Known>);

impl Peers {
    /// A report came `now`, `lag` after it was sent. False if it is older than one that came before.
    pub(super) fn heard(&mut self, from: GatewayId, report: &Report, now: Duration, lag: Duration) -> bool {
        // A clock that was set back makes no gateway dumb: of another life anything is news.
        let is_old = |known: &Known| known.report.age.0 == report.age.0 && known.report.age.1 >= report.age.1;
        if self.0.get(&from).is_some_and(is_old) {
            return false;
        }
        let report = Report { tallies: vec![], ..report.clone() };
        self.0.insert(from, Known { report, came: now, lag });
        self.0.retain(|_, known| known.heard(now) <= FORGOTTEN);
        if self.0.len() > MOST {
            let oldest = self.0.iter().max_by_key(|(_, known)| known.heard(now)).map(|(id, _)| *id);
            oldest.and_then(|id| self.0.remove(&id));
        }
        true
    }

    /// True if it was heard of under that name and version.
    pub(super) fn knows(&self, id: GatewayId, name: &str, version: &str) -> bool {
        self.0.get(&id).is_some_and(|known| known.report.name == name && known.report.version == version)
    }

    /// Gateways in the fleet that are not silent, this one among them.
    pub(super) fn lively(&self, now: Duration) -> usize {
        1 + self.0.values().filter(|known| !known.is_silent(now)).count()
    }

    /// All of them, by name. Two of one name can be told apart.
    pub(super) fn list(&self, own: &str, now: Duration) -> Vec<Peer> {
        let mut names: HashMap<&str, usize> = HashMap::from([(own, 1)]);
        for known in self.0.values() {
            *names.entry(&known.report.name).or_default() += 1;
        }
        let remembered = self.0.iter().filter(|(_, known)| known.heard(now) <= FORGOTTEN);
        let mut list: Vec<_> = remembered
            .map(|(id, known)| {
                let Report { name, version, epoch, applied, fresh, .. } = &known.report;
                let is_one_of_several = names.get(&**name).is_some_and(|several| *several > 1);
                let mark: String = id.to_string().chars().take(8).collect();
                Peer {
                    id: *id,
                    name: if is_one_of_several { format!("{name} #{mark}") } else { name.clone() },
                    version: version.clone(),
                    fresh: (*fresh).into(),
                    is_silent: known.is_silent(now),
                    heard: known.heard(now),
                    epoch: epoch.clone(),
                    applied: Position(*applied),
                }
            })
            .collect();
        list.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        list
    }

    /// What is to be kept of them over a restart.
    pub(super) fn kept(&self) -> impl Iterator<Item = (GatewayId, &Report)> {
        self.0.iter().map(|(id, known)| (*id, &known.report))
    }

    /// The same as it was kept.
    pub(super) fn remember(&mut self, id: GatewayId, report: Report, wall: Timestamp) {
        let lag = wall.since(report.sent_at);
        if lag <= FORGOTTEN && self.0.len() < MOST {
            self.0.insert(id, Known { report, came: Duration::ZERO, lag });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    const A: GatewayId = GatewayId(1);
    const B: GatewayId = GatewayId(2);

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn however_many_gateways_there_are_the_fleet_sends_no_more_than_so_many_reports() {
        for (gateways, soon, at_ease) in [
            (0, 100, 5_000),
            (1, 100, 5_000),
            (2, 100, 5_000),
            (3, 150, 5_000),
            (20, 1_000, 5_000),
            (100, 5_000, 5_000),
            (1_000, 50_000, 50_000),
            (usize::MAX, 3_600_000, 3_600_000),
        ] {
            let ms = Duration::from_millis;
            assert_eq!(intervals(gateways), (ms(soon), ms(at_ease)), "{gateways}");
        }
    }

    #[test]
    fn whoever_misses_three_intervals_is_silent_and_after_a_day_forgotten() {
        let mut peers = Peers::default();
        assert!(peers.heard(A, &report("a", 1, 9), s(100), s(0)));
        let is_silent = |peers: &Peers, now| peers.list("me", now).first().map(|peer| peer.is_silent);
        assert_eq!((is_silent(&peers, s(115)), is_silent(&peers, s(116))), (Some(false), Some(true)));
        assert_eq!((peers.lively(s(115)), peers.lively(s(116))), (2, 1));
        assert!(peers.heard(A, &report("a", 2, 9), s(200), s(0)));
        assert_eq!(is_silent(&peers, s(201)), Some(false), "it is back");
        assert_eq!(is_silent(&peers, s(200 + 86_400)), Some(true));
        assert_eq!(is_silent(&peers, s(200 + 86_401)), None);
    }

    #[test]
    fn what_was_missed_is_as_old_as_it_is() {
        let mut peers = Peers::default();
        assert!(peers.heard(A, &report("a", 1, 9), s(1), s(500)));
        let peer = peers.list("me", s(2)).remove(0);
        assert_eq!((peer.is_silent, peer.heard), (true, s(501)));
    }

    #[test]
    fn an_older_report_replaces_no_newer_one() {
        let mut peers = Peers::default();
        assert!(peers.heard(A, &report("a", 7, 70), s(1), s(0)));
        assert!(!peers.heard(A, &report("a", 6, 60), s(2), s(0)));
        assert!(!peers.heard(A, &report("a", 7, 70), s(2), s(0)), "the same again");
        let restarted = Report { age: (1, 1), ..report("a", 1, 80) };
        assert!(peers.heard(A, &restarted, s(3), s(0)));
        assert_eq!(peers.list("me", s(3)).first().map(|peer| peer.applied), Some(Position(80)));
    }

    #[test]
    fn gateways_of_one_name_can_be_told_apart() {
        let mut peers = Peers::default();
        peers.heard(A, &report("same", 1, 1), s(1), s(0));
        peers.heard(B, &report("me", 1, 1), s(1), s(0));
        let names = |peers: &Peers| peers.list("me", s(1)).into_iter().map(|peer| peer.name).collect::<Vec<_>>();
        assert_eq!(names(&peers), ["me #00000000", "same"]);
        peers.heard(GatewayId(3 << 96), &report("same", 1, 1), s(1), s(0));
        assert_eq!(names(&peers), ["me #00000000", "same #00000000", "same #00000003"]);
    }

    #[test]
    fn only_so_many_are_remembered_and_the_longest_silent_goes() {
        let mut peers = Peers::default();
        for n in 0..MOST as u64 + 10 {
            peers.heard(GatewayId(n.into()), &report("x", 1, 1), s(n), s(0));
        }
        let list = peers.list("me", s(0));
        assert_eq!(list.len(), MOST);
        assert!(list.iter().all(|peer| peer.id >= GatewayId(10)));
    }

    #[test]
    fn a_restart_remembers_them_as_silent_as_they_were() {
        let mut peers = Peers::default();
        peers.heard(A, &report("a", 1, 9), s(1), s(0));
        let kept: Vec<_> = peers.kept().map(|(id, report)| (id, report.clone())).collect();
        let mut again = Peers::default();
        for (id, report) in kept {
            again.remember(id, report.clone(), Timestamp::from_secs(1_001 + 60));
            again.remember(B, report, Timestamp::from_secs(1_001 + 86_401));
        }
        let list = again.list("me", s(0));
        assert_eq!(list.iter().map(|peer| (peer.id, peer.is_silent)).collect::<Vec<_>>(), [(A, true)]);
    }
}

//! What gateways say of themselves: how far they are, and what they counted. Totals, never differences: one that is lost or
//! comes twice does no harm.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::freshness::Fresh;
use crate::identity::TargetKind;
use crate::revocation::RevocationId;
use crate::time::Timestamp;

/// Prints of one set that travel. Of a set with more of them it is only told how many there are.
const MOST_PRINTS: usize = 64;
/// Bytes of counts in one report; the rest is in the next.
const MOST_BYTES: usize = 96 * 1_024;
/// Characters of a name or a version.
const MOST_CHARS: usize = 64;

/// One report. Members that this gateway does not know are not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    /// What people call the gateway.
    pub(super) name: String,
    /// The version that it runs.
    pub(super) version: String,
    /// When it was sent, by the gateway's own clock.
    pub(super) sent_at: Timestamp,
    /// A number of the process, by chance, and of this report in its life: an old one does not replace a newer one.
    pub(super) age: (u64, u64),
    /// The next one comes within that many milliseconds, whatever happens.
    pub(super) every: u64,
    /// Everything up to this position of the log of that epoch is in force there and on disk.
    pub(super) epoch: String,
    pub(super) applied: u64,
    /// Whether it knows what the others know.
    pub(super) fresh: Said,
    /// What it counted, of outcomes where that changed since its last report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tallies: Vec<Tally>,
}

/// How fresh a gateway says that it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    Yes,
    CatchingUp,
    /// Also what a newer gateway may say.
    #[serde(other)]
    Stale,
}

impl From<Fresh> for Said {
    fn from(fresh: Fresh) -> Self {
        match fresh {
            Fresh::CatchingUp => Self::CatchingUp,
            Fresh::Yes => Self::Yes,
            Fresh::Stale => Self::Stale,
        }
    }
}

impl From<Said> for Fresh {
    fn from(said: Said) -> Self {
        match said {
            Said::CatchingUp => Self::CatchingUp,
            Said::Yes => Self::Yes,
            Said::Stale => Self::Stale,
        }
    }
}

/// What one gateway counted of one outcome: all of it, since the revocation came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The outcome.
    pub id: RevocationId,
    /// Exchanges that it ended there, in the order of [`crate::exchanges::Kind::ALL`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<usize>,
    /// People whose credentials were seen.
    #[serde(default, skip_serializing_if = "Prints::is_empty")]
    pub people: Prints,
    /// Credentials that were seen, in the order of [`crate::evidence::Sort::ALL`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<Prints>,
    /// People who signed in again.
    #[serde(default, skip_serializing_if = "Prints::is_empty")]
    pub back: Prints,
    /// When the first did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_at: Option<Timestamp>,
    /// Requests refused.
    #[serde(default)]
    pub refusals: u64,
    /// When the first was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_refusal_at: Option<Timestamp>,
    /// When the last was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refusal_at: Option<Timestamp>,
    /// Sign-ins that did not prove to be newer.
    #[serde(default)]
    pub sign_ins_refused: u64,
    /// Times that the sender sent it to that gateway again.
    #[serde(default)]
    pub redelivered: u64,
    /// Members of the subject that were passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<TargetKind>,
}

impl Tally {
    /// All the prints in it.
    pub fn prints(&self) -> impl Iterator<Item = &Prints> {
        self.credentials.iter().chain([&self.people, &self.back])
    }

    /// The same without any prints: only how many there are.
    #[must_use]
    pub fn without_prints(mut self) -> Self {
        for prints in self.credentials.iter_mut().chain([&mut self.people, &mut self.back]) {
            prints.some = vec![];
        }
        self
    }

    /// True if nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.cut.iter().all(|count| *count == 0)
            && self.people.is_empty()
            && self.credentials.iter().all(Prints::is_empty)
            && self.back.is_empty()
            && self.back_at.is_none()
            && self.refusals == 0
            && self.sign_ins_refused == 0
            && self.redelivered == 0
    }
}

/// Different things: which ones, while they are few; else how many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prints {
    /// Those that are told, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub some: Vec<u64>,
    /// How many there are.
    #[serde(default)]
    pub all: usize,
    /// There may be more: no more were told apart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub or_more: bool,
}

impl Prints {
    /// What travels of these.
    pub fn of(prints: &[u64], or_more: bool) -> Self {
        let all = prints.len();
        Self { some: if all <= MOST_PRINTS { prints.to_vec() } else { vec![] }, all, or_more }
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.all == 0 && !self.or_more
    }

    /// Both together. What is told counts once; of what is not, some may be the same.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let or_more = self.or_more || other.or_more;
        if self.all == self.some.len() && other.all == other.some.len() {
            let some: Vec<_> = self.some.into_iter().chain(other.some).collect::<BTreeSet<_>>().into_iter().collect();
            return Self { all: some.len(), some, or_more };
        }
        Self { some: vec![], all: self.all.saturating_add(other.all), or_more }
    }

    /// True if all of them are told.
    pub fn are_all_told(&self) -> bool {
        !self.or_more && self.all == self.some.len()
    }
}

impl Report {
    /// The bytes of it, and the counts for which there was no room.
    pub(super) fn write(mut self) -> (Vec<u8>, Vec<Tally>) {
        let mut room = MOST_BYTES;
        let fits = |tally: &&Tally| {
            let left = room.checked_sub(serde_json::to_vec(tally).map_or(usize::MAX, |text| text.len()));
            room = left.unwrap_or_default();
            left.is_some()
        };
        let first = self.tallies.iter().take_while(fits).count();
        let rest = self.tallies.split_off(first);
        // Serialising plain structs into memory has no failing case.
        (serde_json::to_vec(&self).unwrap_or_default(), rest)
    }

    /// Reads one.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let mut report: Self = serde_json::from_slice(text).ok()?;
        for text in [&mut report.name, &mut report.version] {
            *text = text.chars().filter(|c| !c.is_control()).take(MOST_CHARS).collect();
        }
        Some(report)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The `number`th report of a gateway that began at zero and has applied so much.
    pub(in super::super) fn report(name: &str, number: u64, applied: u64) -> Report {
        Report {
            name: name.into(),
            version: "1.0.0".into(),
            sent_at: Timestamp::from_secs(1_000 + number),
            age: (0, number),
            every: 5_000,
            epoch: "0".into(),
            applied,
            fresh: Said::Yes,
            tallies: vec![],
        }
    }

    /// A tally of so many refusals.
    pub(in super::super) fn tally(id: u128, refusals: u64) -> Tally {
        Tally {
            id: RevocationId(id),
            cut: vec![1, 0, 2],
            people: Prints::of(&[7], false),
            credentials: vec![Prints::of(&[1, 2], false)],
            back: Prints::default(),
            back_at: None,
            refusals,
            first_refusal_at: None,
            last_refusal_at: None,
            sign_ins_refused: 0,
            redelivered: 0,
            passed_over: vec![],
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_a_newer_gateway_adds_is_passed_over() {
        let report = Report { tallies: vec![tally(1, 3)], ..report("gw-1", 1, 9) };
        let (text, rest) = report.clone().write();
        assert_eq!((Report::read(&text), rest), (Some(report.clone()), vec![]));
        let mut newer: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        newer["weather"] = "fine".into();
        newer["fresh"] = "asleep".into();
        newer["tallies"][0]["moods"] = 7.into();
        let read = Report::read(newer.to_string().as_bytes()).expect("readable");
        assert_eq!(read, Report { fresh: Said::Stale, ..report }, "what it does not know of freshness is none");
        for nonsense in ["", "[]", "{}", "7", r#"{"name":7}"#] {
            assert_eq!(Report::read(nonsense.as_bytes()), None, "{nonsense}");
        }
    }

    #[test]
    fn a_report_has_a_bound_and_what_does_not_fit_comes_next() {
        let tallies: Vec<_> = (0..10_000).map(|id| tally(id, 1)).collect();
        let (text, rest) = Report { tallies: tallies.clone(), ..report("gw-1", 1, 9) }.write();
        assert!(text.len() < MOST_BYTES + 1_024, "{}", text.len());
        let sent = Report::read(&text).expect("readable").tallies;
        assert!(!sent.is_empty() && sent.into_iter().chain(rest).eq(tallies), "none is lost, none comes twice");
        let long = "x".repeat(1_000) + "\u{7}";
        let (text, _) = Report { name: long, ..report("gw-1", 1, 9) }.write();
        assert_eq!(Report::read(&text).map(|report| report.name.len()), Some(MOST_CHARS));
    }

    #[test]
    fn prints_travel_while_they_are_few() {
        let many: Vec<_> = (0..MOST_PRINTS as u64 + 1).collect();
        for (prints, or_more, told, all) in [
            (&many[..0], false, 0, true),
            (&many[..3], false, 3, true),
            (&many[..3], true, 3, false),
            (&many[..MOST_PRINTS], false, MOST_PRINTS, true),
            (&many[..], false, 0, false),
        ] {
            let travels = Prints::of(prints, or_more);
            assert_eq!((travels.some.len(), travels.are_all_told()), (told, all), "{} {or_more}", prints.len());
            assert_eq!(travels.all, prints.len());
        }
    }
}

//! What a gateway knows of its fleet.

use std::time::Duration;

use super::Settings;
use super::engine::{Extent, Position, Trouble};
use super::freshness::{Fresh, Freshness};
use super::message::Illegible;
use crate::ledger::{Again, Place};

/// How a gateway stands in its fleet, for people to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it knows what the others know.
    pub fresh: Fresh,
    /// How old the newest thing may be that it does not know; `None` before it heard for the first time.
    pub age: Option<Duration>,
    /// Up to where it has heard.
    pub heard: Position,
    /// What the log held when this was last looked at: the end of a catching up.
    pub last: Position,
    /// Where the newest fact stands that was heard since the start.
    pub newest_fact: Position,
    /// The log's epoch.
    pub epoch: String,
    /// What is wrong with the engine at the moment.
    pub trouble: Option<Trouble>,
    /// Letters that said nothing to this gateway, since its start.
    pub illegible: u64,
    /// Signals may be known here and nowhere else.
    pub has_untold: bool,
}

/// See [`Standing`].
#[derive(Debug)]
pub(super) struct State {
    pub(super) freshness: Freshness,
    /// Up to where this gateway has heard, of which log.
    pub(super) place: Option<Place>,
    /// Where a letter stands that this gateway may be able to read one day: the place on disk stays before it.
    pub(super) unread: Option<Position>,
    pub(super) last: Position,
    /// Where the newest fact stands that was heard since the start.
    pub(super) newest_fact: Position,
    pub(super) trouble: Option<Trouble>,
    pub(super) illegible: u64,
    pub(super) has_untold: bool,
    /// As how fresh the gateway acts.
    pub(super) acts_as: Fresh,
    /// What is to be told again.
    pub(super) again: Vec<Again>,
}

/// What a look at the log says about the place up to which a gateway has heard.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// It is the log in which it heard.
    Same,
    /// It was never in a fleet.
    First,
    /// It is another log, or lost what was in it.
    Replaced,
}

impl State {
    pub(super) const fn new(settings: &Settings, place: Option<Place>) -> Self {
        Self {
            freshness: Freshness::new(settings.stale_after, settings.catch_up_within),
            place,
            unread: None,
            last: Position(0),
            newest_fact: Position(0),
            trouble: None,
            illegible: 0,
            has_untold: true,
            acts_as: Fresh::CatchingUp,
            again: Vec::new(),
        }
    }

    /// Compares the log with the place, and takes the place in it.
    pub(super) fn look_at(&mut self, extent: &Extent) -> (Log, Position) {
        self.last = extent.last;
        let (log, position) = match &self.place {
            Some(place) if place.epoch == extent.epoch && place.position <= extent.last.0 => {
                return (Log::Same, Position(place.position));
            }
            Some(_) => (Log::Replaced, Position(0)),
            None => (Log::First, Position(0)),
        };
        self.place = Some(Place { epoch: extent.epoch.clone(), position: 0 });
        self.unread = None;
        self.newest_fact = Position(0);
        (log, position)
    }

    /// Everything up to `position` was heard.
    pub(super) fn heard(&mut self, position: Position) {
        if let Some(place) = &mut self.place {
            place.position = place.position.max(position.0);
        }
        self.last = self.last.max(position);
    }

    /// What may be written down as the place: before any letter that may be read later.
    pub(super) fn place_to_write(&self, up_to: Position) -> Option<Place> {
        let before = |unread: Position| unread.0.saturating_sub(1);
        let position = self.unread.map_or(up_to.0, |unread| up_to.0.min(before(unread)));
        self.place.as_ref().map(|place| Place { epoch: place.epoch.clone(), position })
    }

    /// Up to where everything is in force and on disk here.
    pub(super) fn applied(&self) -> Option<Place> {
        self.place.as_ref().and_then(|place| self.place_to_write(Position(place.position)))
    }

    /// A letter said nothing. True if that should be said aloud: the first, and each time ten times as many.
    pub(super) fn illegible(&mut self, why: Illegible, at: Position) -> bool {
        if why.may_be_read_later() {
            self.unread.get_or_insert(at);
        }
        self.illegible = self.illegible.saturating_add(1);
        self.illegible.ilog10() > self.illegible.saturating_sub(1).checked_ilog10().unwrap_or(0) || self.illegible == 1
    }

    pub(super) fn fresh(&self, now: Duration) -> Fresh {
        self.freshness.at(now)
    }

    pub(super) fn standing(&self, now: Duration) -> Standing {
        Standing {
            fresh: self.fresh(now),
            age: self.freshness.age(now),
            heard: Position(self.place.as_ref().map_or(0, |place| place.position)),
            last: self.last,
            newest_fact: self.newest_fact,
            epoch: self.place.as_ref().map(|place| place.epoch.clone()).unwrap_or_default(),
            trouble: self.trouble.clone(),
            illegible: self.illegible,
            has_untold: self.has_untold,
        }
    }
}

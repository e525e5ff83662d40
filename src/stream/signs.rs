//! Signs of life of a stream that travel between gateways: push lands anywhere, one gateway polls and asks, all judge.

use super::Stream;
use crate::event::{Event, SecurityEvent};
use crate::fleet::{Lead, Role, Sign, There};
use crate::time::Timestamp;

impl Stream {
    /// Who does what only one gateway should do.
    pub(crate) const fn lead(&self) -> &Lead {
        &self.lead
    }

    /// Tells the others what an authentic event shows.
    pub(super) fn says(&self, event: &SecurityEvent) {
        if !self.lead.is_of_fleet() {
            return;
        }
        let issued_at = event.issued_at;
        for each in &event.events {
            self.lead.say(match each {
                Event::Verification { state: Some(state) } => Sign::Answered { state: state.clone(), issued_at },
                Event::StreamUpdated { status, .. } => Sign::Told(*status),
                Event::Verification { state: None } | Event::Happened(_) => Sign::Heard { issued_at },
            });
        }
    }

    /// Says that this gateway leads the stream, and what it knows of it.
    pub(super) fn says_that_it_leads(&self) {
        if let (Role::Leader(fence), Some(name)) = (self.lead.role(), self.lead.me()) {
            self.lead.say(Sign::Leads { name: name.to_owned(), fence: fence.0, there: self.there() });
        }
    }

    /// What every gateway has to know of a managed stream; `None` where it is not there.
    pub(super) fn there(&self) -> Option<There> {
        let stream = self.manager.as_ref()?.stream()?;
        let (limits, proof) = self.watched.machine().terms();
        Some(There { stream_id: stream.stream_id.clone(), limits, proof })
    }

    /// Another gateway saw that of the stream then.
    pub(crate) fn hears(&self, sign: Sign, at: Timestamp, now: Timestamp) {
        let at = at.min(now);
        let lossy = self.watched.machine().is_lossy();
        match sign {
            Sign::Leads { name, fence, there } => {
                self.lead.heard_of(&name, fence);
                if let Some(there) = there {
                    self.watched.machine().hears_of(there.limits, there.proof, at);
                    self.is_called(there.stream_id, now);
                }
            }
            Sign::Made { there, anew } => {
                self.watched.machine().made(there.limits, there.proof, anew, at);
                if anew {
                    self.watched.subjects().begin_again(now);
                }
                self.is_called(there.stream_id, now);
            }
            Sign::Gone => {
                self.watched.machine().gone(at);
                self.forget();
            }
            Sign::Heard { issued_at } => self.watched.machine().heard(issued_at, at),
            Sign::Answered { state, issued_at } => {
                {
                    let mut machine = self.watched.machine();
                    // Another may have asked; it is a sign of life all the same.
                    let _ = machine.answered(Some(&state), at);
                    machine.heard(issued_at, at);
                }
                self.watched.came.notify_waiters();
            }
            Sign::Polled => {
                self.watched.machine().polled(at);
                let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                state.last_poll = state.last_poll.max(Some(at));
            }
            Sign::Told(status) => self.watched.machine().told(status, at),
            Sign::Stopped(status) => {
                let mut machine = self.watched.machine();
                match status {
                    Some(status) => {
                        machine.stopped_on_purpose();
                        machine.told(status, at);
                    }
                    None => {
                        machine.gone(at);
                        machine.stopped_on_purpose();
                        drop(machine);
                        self.forget();
                    }
                }
            }
        }
        if at < self.watched.since {
            self.watched.machine().lost_only(lossy);
        }
    }

    /// Another gateway told everybody what this stream may have missed.
    pub(crate) fn others_doubt(&self, now: Timestamp) {
        self.watched.owed().others(now);
    }

    fn is_called(&self, stream_id: String, now: Timestamp) {
        // Another one than this gateway knew: whoever leads looks for it.
        if self.manager.as_ref().is_some_and(|manager| manager.is_called(stream_id)) {
            self.watched.machine().takes_over(now);
        }
    }

    fn forget(&self) {
        if let Some(manager) = &self.manager {
            manager.forget();
        }
    }
}

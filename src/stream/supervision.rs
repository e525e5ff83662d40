//! Watches over a stream: asks what there is to ask, and acts when it can no longer be relied on. What is asked when, and how
//! the stream is, is decided by [`event::supervise`](crate::event::supervise).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::manage::{Made, Manager, May, Trouble};
use super::{Cause, Delivery, Sight, Signals, Stream};
use crate::apps::{App, Apps, WhenBlind};
use crate::audit::Event as Audited;
use crate::enforcer::Enforcer;
use crate::event::stream_config::{Configuration, Metadata, Method};
use crate::event::subjects::Subjects;
use crate::event::supervise::{Health, Limits, Owed, Proof, Settings, Step, Supervision, Verdict};
use crate::event::{Event, SecurityEvent, StreamStatus, Type};
use crate::fleet::{Role, Sign};
use crate::policy;
use crate::revocation::{Origin, Revocation};
use crate::time::{Stopwatch, Timestamp};

/// Between two looks at the clock.
const TURN: Duration = Duration::from_millis(250);

/// What the watch over streams acts on.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Watch<'a> {
    pub(crate) signals: Signals<'a>,
    /// Those of the config that runs; they may be others at every turn.
    pub(crate) apps: &'a ArcSwap<Apps>,
    pub(crate) enforcer: &'a Enforcer,
    pub(crate) sight: &'a Sight,
}

/// Calls whose failures are told apart: one that goes well says nothing about another.
#[derive(Copy, Clone, Debug)]
pub(super) enum Kind {
    /// Finding and making the stream.
    Make,
    /// Its status.
    Status,
    /// Verification.
    Verify,
    /// What it can send.
    Events,
}

impl Kind {
    const COUNT: usize = 4;
}

/// What is known about how a stream is.
#[derive(Debug)]
pub(super) struct Watched {
    /// When this gateway began to watch.
    pub(super) since: Timestamp,
    /// Guards the machine; held for a look or a change, never across a call.
    supervision: Mutex<Supervision>,
    /// Guards what the gateway that leads should tell; the same.
    owed: Mutex<Owed>,
    /// Guards the people; the same.
    subjects: Mutex<Subjects>,
    /// Why the last call of each kind came to nothing.
    troubles: Mutex<[Option<Trouble>; Kind::COUNT]>,
    /// An event came.
    pub(super) came: Notify,
}

impl Watched {
    pub(super) fn new(settings: Settings, proof: Proof, now: Timestamp) -> Self {
        Self {
            since: now,
            supervision: Mutex::new(Supervision::new(settings, proof, now)),
            owed: Mutex::default(),
            subjects: Mutex::default(),
            troubles: Mutex::default(),
            came: Notify::new(),
        }
    }

    pub(super) fn machine(&self) -> MutexGuard<'_, Supervision> {
        lock(&self.supervision)
    }

    pub(super) fn owed(&self) -> MutexGuard<'_, Owed> {
        lock(&self.owed)
    }

    pub(super) fn subjects(&self) -> MutexGuard<'_, Subjects> {
        lock(&self.subjects)
    }

    /// What is wrong; what stands in the way of all else comes first.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        lock(&self.troubles).iter().flatten().next().cloned()
    }

    /// Takes note of an authentic event; false for the answer to a question that nobody asked: neither this gateway nor,
    /// by its state, another.
    pub(super) fn heard(&self, event: &SecurityEvent, now: Timestamp, others: impl Fn(&str) -> bool) -> bool {
        let mut machine = self.machine();
        for each in &event.events {
            match each {
                Event::Verification { state } => {
                    if !machine.answered(state.as_deref(), now) && !state.as_deref().is_some_and(&others) {
                        return false;
                    }
                }
                Event::StreamUpdated { status, .. } => machine.told(*status, now),
                Event::Happened(_) => {}
            }
        }
        machine.heard(event.issued_at, now);
        drop(machine);
        self.came.notify_waiters();
        true
    }
}

impl Stream {
    /// Watches over the stream for as long as the future is driven.
    pub(crate) async fn supervise(&self, watch: Watch<'_>) {
        let (mut before, mut said) = (Role::Follower, Stopwatch::start());
        self.tell(None, self.watched.machine().health(watch.signals.clock.now()).0, watch);
        loop {
            let role = self.lead.role();
            let begins = role.acts() && (!before.acts() || role.is_sure() && !before.is_sure());
            if begins {
                self.watched.machine().takes_over(watch.signals.clock.now());
            }
            if begins || said.elapsed() >= self.lead.says_every() {
                self.says_that_it_leads();
                said = Stopwatch::start();
            }
            before = role;
            if let Some(manager) = &self.manager {
                let step = if role.acts() { self.due(watch.signals.clock.now()) } else { None };
                if let Some(step) = step {
                    self.take_step(manager, step, watch).await;
                }
                self.tell_about_people(manager, watch).await;
            }
            let verdict = self.watched.machine().judge(watch.signals.clock.now());
            self.act(verdict, watch).await;
            tokio::time::sleep(TURN).await;
        }
    }

    fn due(&self, now: Timestamp) -> Option<Step> {
        self.watched.machine().due(now, || self.lead.mark())
    }

    /// Takes note of what the transmitter said its status is, for all.
    pub(super) fn is_told(&self, status: StreamStatus, now: Timestamp) {
        self.watched.machine().told(status, now);
        self.lead.say(Sign::Told(status));
    }

    /// Does what the machine wants done, and tells it what came of that.
    async fn take_step(&self, manager: &Manager, step: Step, watch: Watch<'_>) {
        let now = || watch.signals.clock.now();
        let kind = match step {
            Step::Make => Kind::Make,
            Step::Status | Step::Resume => Kind::Status,
            Step::Verify(_) => Kind::Verify,
        };
        let outcome = match step {
            // While nobody can tell who leads, it is found and not made: else there could be as many as gateways.
            Step::Make => self.make(manager, &|| self.lead.role().is_sure(), now()).await.map(drop),
            Step::Status => match manager.status().await {
                // Where status cannot be asked, events have to do.
                Err(Trouble::NotOffered(_) | Trouble::NotAllowed(_)) => Ok(()),
                status => status.map(|(status, _)| self.is_told(status, now())),
            },
            Step::Resume => match manager.set_status(StreamStatus::Enabled).await {
                // It is theirs to enable again, or will be some time.
                Err(Trouble::NotOffered(_) | Trouble::NotAllowed(_) | Trouble::Forbidden | Trouble::Pending) => Ok(()),
                status => status.map(|status| self.is_told(status, now())),
            },
            Step::Verify(state) => {
                let asked = manager.verify(&state).await;
                if let Err(Trouble::TooOften | Trouble::NotOffered(_) | Trouble::NotAllowed(_)) = asked {
                    self.watched.machine().not_verified(now());
                }
                asked
            }
        };
        if let Err(Trouble::Gone) = outcome {
            manager.forget();
            self.watched.machine().gone(now());
            self.lead.say(Sign::Gone);
        }
        // Where polls show whether the transmitter can be reached, they count.
        if !matches!(self.delivery, Delivery::Poll { .. }) || manager.stream().is_none() {
            self.lead.went(!outcome.as_ref().is_err_and(Trouble::is_out_of_reach));
        }
        self.note(kind, outcome.err());
    }

    /// Finds the stream, or makes it, if it may.
    pub(super) async fn make(&self, manager: &Manager, may: May<'_>, now: Timestamp) -> Result<Made, Trouble> {
        let made = async {
            let made = manager.ensure(may).await?;
            Ok::<_, Trouble>((made, manager.metadata().await?))
        };
        match made.await {
            Ok((made, metadata)) => {
                self.made(manager, &made, &metadata, now);
                Ok(made)
            }
            Err(trouble) => {
                self.watched.machine().not_made(now);
                // What is not there cannot be gone: it is still to be made.
                Err(if trouble == Trouble::Gone { Trouble::Status(404) } else { trouble })
            }
        }
    }

    fn made(&self, manager: &Manager, made: &Made, metadata: &Metadata, now: Timestamp) {
        let Configuration { stream_id, min_verification_interval, inactivity_timeout, .. } = &*made.stream;
        let limits =
            Limits { min_verification_interval: *min_verification_interval, inactivity_timeout: *inactivity_timeout };
        let proof = if metadata.verification_endpoint.is_some() {
            Proof::Verification
        } else if manager.method() == Method::Poll {
            Proof::Polls
        } else if metadata.status_endpoint.is_some() {
            Proof::Status
        } else {
            Proof::Nothing
        };
        self.watched.machine().made(limits, proof, made.anew, now);
        if made.anew {
            self.watched.subjects().begin_again(now);
        }
        if let Some(there) = self.there() {
            self.lead.say(Sign::Made { there, anew: made.anew });
        }
        let stream = &self.settings.name;
        tracing::info!(stream, stream_id, anew = made.anew, "the stream is there");
        let ends_sessions = |event: &String| self.settings.rules.end_sessions(&Type::of(event));
        let can_revoke = made.stream.events_delivered.iter().any(ends_sessions);
        self.note(Kind::Events, (!can_revoke).then_some(Trouble::CannotRevoke));
    }

    /// What a verdict comes to: a line where something changed, revocations, apps that refuse.
    async fn act(&self, verdict: Verdict, watch: Watch<'_>) {
        let apps = watch.apps.load_full();
        self.shows(verdict.dark, &apps, watch);
        let (role, now) = (self.lead.role(), watch.signals.clock.now());
        let patience = self.lead.says_every().saturating_mul(4);
        let falls_to_us = self.watched.owed().falls_to_us(verdict.reestablish, role.acts(), patience, now);
        if falls_to_us {
            // In force in any case; the intake says so loudly if it could not be written down.
            if role == Role::Unled {
                let _ = watch.signals.intake.accept_here(self.doubts(&apps, now)).await;
            } else {
                let _ = watch.signals.enter(Stopwatch::start(), self.doubts(&apps, now)).await;
            }
        }
        // Said once it is so.
        if let Some((from, to)) = verdict.change {
            self.tell(Some(from), to, watch);
        }
    }

    /// Closes those of `apps` that are closed while the stream is dark, if it is, and opens all others.
    fn shows(&self, dark: bool, apps: &Apps, watch: Watch<'_>) {
        let closed: HashSet<_> = match dark {
            true => self.minding(apps, WhenBlind::Refuse).map(|app| app.key).collect(),
            false => HashSet::new(),
        };
        for app in watch.sight.shows(&Cause::Stream(self.settings.name.clone()), closed) {
            watch.signals.metrics.cut(watch.enforcer.end_in(app));
        }
    }

    /// The same for apps that are about to be there: they are closed before anybody comes to them.
    pub(crate) fn shows_to(&self, apps: &Apps, watch: Watch<'_>) {
        let dark = self.watched.machine().is_dark();
        self.shows(dark, apps, watch);
    }

    /// The config has it no longer: it closes no app any more, and is in no state.
    pub(crate) fn is_no_more(&self, watch: Watch<'_>) {
        watch.sight.shows(&Cause::Stream(self.settings.name.clone()), HashSet::new());
        watch.signals.metrics.stream_is_no_more(&self.settings.name);
    }

    /// Everything that people of this stream were asserted to be has to go through their IdP again: what the stream should
    /// have said about them is not known.
    fn doubts(&self, apps: &Apps, now: Timestamp) -> Vec<Revocation> {
        let stream = &self.settings.name;
        let of_idp = |idp: &policy::SpokenFor| {
            let minds = self.minding(apps, WhenBlind::Reestablish).filter(|app| app.idp == idp.name);
            let apps = minds.map(|app| app.name.clone()).collect();
            let origin = Origin::Blind { stream: stream.clone() };
            let reason = format!("the stream `{stream}` may have missed something");
            Revocation::of_doubt(&idp.issuer, apps, origin, reason, now)
        };
        self.settings.speaks_for.iter().filter_map(of_idp).collect()
    }

    /// Apps that the stream reaches, and that do that when it is dark.
    fn minding<'a>(&'a self, apps: &'a Apps, when_blind: WhenBlind) -> impl Iterator<Item = &'a Arc<App>> {
        let policy::Settings { speaks_for, bounds, .. } = &self.settings;
        let reached = move |app: &App| {
            speaks_for.iter().any(|idp| idp.name == app.idp)
                && (bounds.apps.is_empty() || bounds.apps.contains(&app.name))
        };
        apps.iter().filter(move |app| app.when_blind == when_blind && reached(app))
    }

    /// Says that the stream is another than before.
    fn tell(&self, from: Option<Health>, to: Health, watch: Watch<'_>) {
        let (stream, state) = (&self.settings.name, to.word());
        watch.signals.metrics.stream_is(stream, to);
        let Some(from) = from else { return };
        let why = self.watched.trouble().map(|trouble| trouble.to_string());
        match to {
            Health::Live | Health::Unsupervised => tracing::info!(stream, state, "the stream can be relied on again"),
            Health::Late => tracing::warn!(stream, state, why, "nothing shows at the moment that the stream lives"),
            Health::Blind | Health::Paused | Health::Gone => {
                tracing::error!(stream, state, why, "the stream cannot be relied on: signals may be missed");
            }
        }
        watch.signals.audit.record(Audited::StreamChanged {
            stream: stream.clone(),
            from: from.word(),
            to: state,
            why,
        });
    }

    /// Takes note of what is wrong with the management; says it once when it begins, changes or ends.
    pub(super) fn note(&self, kind: Kind, trouble: Option<Trouble>) {
        let before = match lock(&self.watched.troubles).get_mut(kind as usize) {
            Some(place) => std::mem::replace(place, trouble.clone()),
            None => return,
        };
        if before == trouble {
            return;
        }
        let stream = &self.settings.name;
        match trouble {
            None => tracing::info!(stream, "the stream is managed again as it should"),
            Some(trouble) if trouble.is_configuration() => {
                tracing::error!(stream, %trouble, "the stream cannot be managed until somebody changes something");
            }
            Some(trouble) => tracing::warn!(stream, %trouble, "the stream is not managed as it should"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

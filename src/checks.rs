//! Asks an IdP that sends no signal whether its sessions still stand, in the background.
//!
//! What is asked when, and what follows, is decided by [`revalidation`]; here it is done. The order for one session: that
//! it is asked about is on disk before the call, what the IdP gave is on disk before it is used. A gateway that dies in
//! between finds the token *in doubt*: the IdP may have replaced it by one that was lost. The next refusal of it then says
//! nothing about the person, and costs them a new assertion instead of everything.

mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

pub use self::watch::State;
use self::watch::{Live, Watch};
use crate::apps::App;
use crate::audit::{Audit, Event};
use crate::backoff::{Backoff, chance};
use crate::enforcer::Enforcer;
use crate::identity::{AppKey, TargetKind};
use crate::idp::{Checked, Idp};
use crate::intake::Intake;
use crate::ledger::{Change, Grants, Kept};
use crate::lineage::Lineage;
use crate::metrics::Metrics;
use crate::revalidation::{self, By, Grant, Next, Verdict, Why};
use crate::revocation::{Mode, Origin, Revocation};
use crate::seal::KeyRing;
use crate::secret::Secret;
use crate::session::{self, Session, SessionId};
use crate::time::{Clock, Stopwatch};

/// How often what was used is written down, and what is overdue is counted.
const TICK: Duration = Duration::from_secs(1);
/// How long all checks rest where it is us whom the IdP refuses. Not longer than the interval.
const REST: Duration = Duration::from_secs(30);

/// What checks work with.
#[derive(Debug)]
pub(crate) struct Parts {
    /// A check that is under way ends with what it began with.
    pub(crate) of: ArcSwap<Of>,
    pub(crate) settings: revalidation::Settings,
    pub(crate) enforcer: Enforcer,
    pub(crate) intake: Arc<Intake>,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    /// `None` where sessions are checked with the browser only.
    pub(crate) grants: Option<Grants>,
}

/// What they work with by the config that runs: another one may come while they go on.
#[derive(Clone, Debug)]
pub(crate) struct Of {
    pub(crate) idp: Arc<Idp>,
    pub(crate) session: session::Settings,
    pub(crate) ring: Arc<KeyRing>,
}

/// The checks of one IdP's sessions.
#[derive(Debug)]
pub(crate) struct Checks {
    parts: Parts,
    backoff: Option<Backoff>,
    running: Stopwatch,
    /// Held for a look or a change, never across a call.
    watch: Mutex<Watch>,
    /// Somebody is to be checked who was not there before.
    news: Notify,
}

impl Checks {
    /// Checks that begin where those before the start left off.
    pub(crate) fn new(parts: Parts, kept: impl IntoIterator<Item = Kept>) -> Self {
        let every = parts.settings.every;
        let mut watch = Watch::new(every, parts.settings.calls_per_second);
        let now = parts.clock.now();
        // Nobody knows what the gateway before this one asked in its last second.
        watch.pause(TICK, 0);
        for kept in kept {
            watch.add(kept, now.since(kept.checked_at), 0, chance());
        }
        let backoff = Backoff::new(TICK.min(every / 2), every / 2).ok();
        Self { parts, backoff, running: Stopwatch::start(), watch: Mutex::new(watch), news: Notify::new() }
    }

    /// From now on sessions are checked by these.
    pub(crate) fn goes_on_with(&self, of: Of) {
        self.parts.of.store(Arc::new(of));
    }

    fn of(&self) -> Arc<Of> {
        self.parts.of.load_full()
    }

    /// How sessions are checked.
    pub(crate) const fn settings(&self) -> &revalidation::Settings {
        &self.parts.settings
    }

    /// Whether that session is checked in the background.
    pub(crate) fn holds(&self, session: SessionId) -> bool {
        self.parts.grants.is_some() && self.watch().live(session).is_some()
    }

    /// Notes that a session, or something that grew from it, was used.
    pub(crate) fn seen(&self, session: SessionId) {
        if self.parts.grants.is_some() {
            let often = self.of().session.idle / 10;
            self.watch().seen(session, self.parts.clock.now(), often);
        }
    }

    /// Begins to check `session` with the refresh token that its sign-in brought, if it brought one. It is on disk when this
    /// returns; if it cannot be, the session is checked with the browser.
    pub(crate) async fn keep(&self, session: &Session, app: &App, token: Option<Secret<String>>) {
        let Some(grants) = &self.parts.grants else { return };
        let Some(token) = token else { return self.not_kept("no_refresh_token") };
        if self.watch().len() >= self.parts.settings.max_sessions {
            return self.not_kept("full");
        }
        let now = self.parts.clock.now();
        let subject = session.person.subject.clone();
        let grant = Grant { lineage: Lineage::of(session), subject, app: app.name.clone(), token };
        let Some(sealed) = grant.seal(&self.of().ring) else { return self.not_kept("too_large") };
        // Tokens of the app's outlive the session, and are checked with it for as long as somebody uses them.
        let of_tokens = app.minting.as_ref().map(|minting| session.issued_at.plus(minting.max_age));
        let ends_at = of_tokens.unwrap_or_default().max(session.end(&self.of().session));
        let kept = Kept { session: session.id, checked_at: now, seen_at: now, ends_at, in_doubt: false };
        let idp = self.of().idp.name().to_owned();
        if grants.write(vec![Change::Keep { kept, idp, sealed }]).await.is_err() {
            return self.not_kept("disk");
        }
        self.watch().add(kept, Duration::ZERO, self.millis(), chance());
        self.news.notify_one();
    }

    /// What there is to say about the checks.
    pub(crate) fn state(&self) -> State {
        self.watch().state(self.parts.clock.now(), self.parts.settings.every)
    }

    /// Checks for as long as the future is driven.
    pub(crate) async fn run(&self) {
        let Some(grants) = &self.parts.grants else { return };
        let mut under_way = FuturesUnordered::new();
        loop {
            let wait = loop {
                let mut watch = self.watch();
                match watch.take(self.millis()) {
                    Some(session) => under_way.push(self.check(grants, session)),
                    None => break watch.wait(self.millis()),
                }
            };
            tokio::select! {
                Some(()) = under_way.next() => {}
                () = self.news.notified() => {}
                () = tokio::time::sleep(wait.unwrap_or(TICK).min(TICK)) => {}
            }
            self.note(grants).await;
        }
    }

    /// Counts, and writes down what was used.
    async fn note(&self, grants: &Grants) {
        let state = self.state();
        self.parts.metrics.revalidating(self.of().idp.name(), state.live, state.overdue);
        let used = self.watch().used();
        // What is not written down is idle a little earlier after a restart.
        if !used.is_empty() {
            let _ = grants.write(used.into_iter().map(|(session, at)| Change::Seen(session, at)).collect()).await;
        }
    }

    /// One session, from the look at it to what follows.
    async fn check(&self, grants: &Grants, session: SessionId) {
        let Some(live) = self.watch().live(session) else { return };
        let Ok(sealed) = grants.read(session).await else { return self.later(session, live, None) };
        // Gone, or under a key that has left the ring: so has the session.
        let Some(grant) = sealed.and_then(|sealed| Grant::open(&self.of().ring, session, &sealed)) else {
            return self.forget(grants, session).await;
        };
        if self.is_over(&live, &grant) {
            return self.forget(grants, session).await;
        }
        let by = self.parts.settings.by;
        if by == By::Refresh && grants.write(vec![Change::Ask(session)]).await.is_err() {
            return self.later(session, live, None);
        }
        let checked = self.of().idp.check(by, &grant.token).await;
        let verdict = self.verdict(&checked, &grant);
        self.parts.metrics.revalidated(self.of().idp.name(), by.word(), verdict.word());
        self.say(verdict, &checked);
        let now = self.parts.clock.now();
        match revalidation::next(&self.parts.settings, verdict, live.in_doubt, live.checked_at, now) {
            Next::GoesOn => {
                let live = self.asked(grants, grant, Live { checked_at: now, failures: 0, ..live }, checked).await;
                self.watch().again(session, live, self.millis(), chance());
            }
            Next::TryAgain => {
                let pause = match verdict {
                    Verdict::Misconfigured => Some(REST),
                    _ => checked.retry_after,
                };
                let live = self.asked(grants, grant, live, checked).await;
                self.later(session, live, pause);
            }
            Next::Terminate(why) => self.end(grants, &grant, live, Mode::Terminate, why).await,
            Next::Reestablish(why) => self.end(grants, &grant, live, Mode::Reestablish, why).await,
        }
    }

    /// Whether nobody can use the session any more: it ended, was revoked, or lies idle with nothing in flight.
    fn is_over(&self, live: &Live, grant: &Grant) -> bool {
        let now = self.parts.clock.now();
        let clear = self.parts.enforcer.judge(&grant.lineage.credential(AppKey::of(&grant.app))).is_clear();
        if !clear || now >= live.ends_at {
            return true;
        }
        if now.since(live.seen_at) < self.of().session.idle {
            return false;
        }
        // What is in flight counts as use.
        let own = grant.lineage.targets.iter().find(|(kind, _)| *kind == TargetKind::Gateway);
        !own.is_some_and(|(_, key)| self.parts.enforcer.runs_on(*key))
    }

    /// What the answer says about this session.
    fn verdict(&self, checked: &Checked, grant: &Grant) -> Verdict {
        let Some(said) = &checked.said else { return checked.verdict };
        if said.identity.subject != grant.subject {
            return Verdict::Refused;
        }
        let next_check = self.parts.clock.now().plus(self.parts.settings.every);
        if said.identity.session_expiry.is_some_and(|end| end <= next_check) {
            return Verdict::Changed;
        }
        let of = self.of();
        let Some(hasher) = of.ring.hasher_of(grant.lineage.key) else { return checked.verdict };
        let groups = || said.identity.targets().into_iter().filter(|target| target.kind == TargetKind::Group);
        let told: Vec<_> = groups().map(|target| hasher.key(&target)).collect();
        let mut had = grant.lineage.targets.iter().filter(|(kind, _)| *kind == TargetKind::Group);
        if said.tells_groups && had.any(|(_, key)| !told.contains(key)) { Verdict::Changed } else { checked.verdict }
    }

    /// Writes down how a session came out of a call, with its new token if there is one.
    async fn asked(&self, grants: &Grants, grant: Grant, live: Live, checked: Checked) -> Live {
        let (session, in_doubt) = (grant.lineage.session, checked.in_doubt.unwrap_or(live.in_doubt));
        let sealed = checked.rotated.map(|token| Grant { token, ..grant }.seal(&self.of().ring));
        let lost = matches!(sealed, Some(None));
        let change = Change::Asked {
            session,
            checked_at: live.checked_at,
            in_doubt: in_doubt || lost,
            sealed: sealed.flatten(),
        };
        let written = grants.write(vec![change]).await;
        if written.is_err() {
            tracing::warn!(idp = self.of().idp.name(), "what the IdP answered about a session is not on disk");
        }
        Live { in_doubt: in_doubt || lost || written.is_err(), ..live }
    }

    /// Ends a session for good, or until a new assertion.
    async fn end(&self, grants: &Grants, grant: &Grant, live: Live, mode: Mode, why: Why) {
        let (session, now) = (grant.lineage.session, self.parts.clock.now());
        let by = self.parts.settings.by;
        self.parts.audit.record(Event::SessionRefused {
            idp: self.of().idp.name().to_owned(),
            by: by.word(),
            user: grant.subject.clone(),
            session: session.to_string(),
            why: why.words(),
        });
        let origin = Origin::Revalidation { idp: self.of().idp.name().to_owned(), by: by.word().to_owned() };
        let of = self.of();
        let (issuer, id) = (of.idp.issuer(), session.to_string());
        let Some(revocation) = Revocation::of_session(issuer, &id, mode, origin, Some(why.words()), now) else {
            return;
        };
        match self.parts.intake.accept(vec![revocation]).await {
            Ok(_) => self.forget(grants, session).await,
            // In force, but a restart would forget it: then it must be asked about again.
            Err(_) => self.later(session, live, None),
        }
    }

    async fn forget(&self, grants: &Grants, session: SessionId) {
        self.watch().forget(session);
        // What stays on disk is looked at once more after a restart.
        let _ = grants.write(vec![Change::Forget(session)]).await;
    }

    /// Puts a session back, to be asked about before its next turn; all wait for `pause`, but not beyond the interval.
    fn later(&self, session: SessionId, live: Live, pause: Option<Duration>) {
        let settings = &self.parts.settings;
        let failures = live.failures.saturating_add(1);
        let delay = self.backoff.map_or(TICK, |backoff| backoff.jitter(failures, chance()));
        // Whoever loses patience does it in time.
        let left = settings.patience.saturating_sub(self.parts.clock.now().since(live.checked_at));
        let delay = if left.is_zero() { delay } else { delay.min(left) };
        let mut watch = self.watch();
        if let Some(pause) = pause {
            watch.pause(pause.min(settings.every), self.millis());
        }
        watch.later(session, Live { failures, ..live }, delay, self.millis());
    }

    /// Says it once when asking begins to fail, fails otherwise, or works again.
    fn say(&self, verdict: Verdict, checked: &Checked) {
        let trouble = checked.trouble.as_ref().map(ToString::to_string);
        let of = self.of();
        let idp = of.idp.name();
        let (now, refused) = (self.parts.clock.now(), verdict == Verdict::Refused);
        if !self.watch().answered(trouble.clone(), refused, now) {
            return;
        }
        match (verdict, trouble) {
            (_, None) => tracing::info!(idp, "the IdP can be asked about sessions again"),
            (Verdict::Misconfigured, Some(why)) => tracing::error!(
                idp,
                why,
                "sessions are not checked, because the IdP refuses this client: nobody is signed out for that, and \
                 nobody whom the IdP refuses is either"
            ),
            (_, Some(why)) => tracing::warn!(idp, why, "the IdP cannot be asked about sessions"),
        }
    }

    /// A session will be checked with the browser; said once per reason.
    fn not_kept(&self, why: &'static str) {
        let of = self.of();
        let idp = of.idp.name();
        self.parts.metrics.grant_not_kept(idp, why);
        if self.watch().is_news(why) {
            tracing::warn!(idp, why, "a session is not checked in the background, but with the browser's next page");
        }
    }

    /// Milliseconds since the start, for the schedule.
    fn millis(&self) -> u64 {
        u64::try_from(self.running.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

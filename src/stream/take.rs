//! What a SET comes to, however it arrived: verified, read, judged by the stream's policy, and past the intake.

use crate::audit::{Audit, Way};
use crate::event::reject::Answer;
use crate::event::{SecurityEvent, token};
use crate::intake::{Intake, NotDurable};
use crate::jose::Reject;
use crate::keys::Failure;
use crate::metrics::Metrics;
use crate::policy::{self, Ignored};
use crate::revocation::{Lifted, Revocation};
use crate::stream::Stream;
use crate::time::{Clock, Stopwatch};

/// Why a signal is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// It is refused, for good.
    Refused(Answer),
    /// It cannot be judged or kept at the moment: the sender must send it again.
    Later,
}

impl From<Failure> for Unserved {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(reject) => Self::Refused(reject.into()),
            Failure::Unavailable => Self::Later,
        }
    }
}

impl From<Reject> for Unserved {
    fn from(reject: Reject) -> Self {
        Self::Refused(reject.into())
    }
}

impl From<NotDurable> for Unserved {
    fn from(_: NotDurable) -> Self {
        Self::Later
    }
}

/// What signals go through.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Signals<'a> {
    pub(crate) intake: &'a Intake,
    pub(crate) audit: &'a Audit,
    pub(crate) metrics: &'a Metrics,
    pub(crate) clock: &'a Clock,
}

impl Signals<'_> {
    /// Takes a SET of `stream`, which is called `named` where it came with a name. What comes of it is in force and
    /// durable when this returns (law 2).
    pub(crate) async fn take(&self, stream: &Stream, compact: &str, named: Option<&str>) -> Result<(), Unserved> {
        let taken = self.judged(stream, compact, named, Stopwatch::start()).await;
        match taken {
            Ok(()) => self.metrics.set_came(&stream.settings().name, "taken"),
            Err(Unserved::Later) => self.metrics.set_came(&stream.settings().name, "later"),
            // Counted where the refusal is said.
            Err(Unserved::Refused(_)) => {}
        }
        taken
    }

    async fn judged(
        &self,
        stream: &Stream,
        compact: &str,
        named: Option<&str>,
        arrived: Stopwatch,
    ) -> Result<(), Unserved> {
        let verified = stream.verify::<token::SetClaims>(compact).await?;
        let event = token::parse(verified, &stream.settings().quirks)?;
        // Under another name it would be acknowledged in another's place.
        if named.is_some_and(|name| name != event.jti) {
            return Err(Reject::Claim("jti").into());
        }
        self.judge(stream, &event, arrived).await
    }

    /// What an authentic event comes to.
    async fn judge(&self, stream: &Stream, event: &SecurityEvent, arrived: Stopwatch) -> Result<(), Unserved> {
        let now = self.clock.now();
        if !stream.heard(event, now) {
            return Err(Unserved::Refused(Answer::invalid_state()));
        }
        let judged = policy::revocations(event, &stream.authority(), now)
            .map_err(|refused| Unserved::Refused(refused.into()))?;
        for unmatched in &judged.unmatched {
            self.metrics.subject_unmatched();
            tracing::warn!(stream = stream.settings().name, jti = event.jti, why = %unmatched, "a signal names nobody here");
        }
        for ignored in &judged.ignored {
            self.metrics.event_ignored();
            if *ignored == Ignored::OptedOut {
                tracing::warn!(stream = stream.settings().name, jti = event.jti, why = %ignored, "a person is out of sight");
            } else {
                tracing::debug!(stream = stream.settings().name, jti = event.jti, why = %ignored, "an event is passed over");
            }
        }
        let rated = stream.rated(judged.revocations, now);
        // Both, whatever becomes of the other: what is within authority must not wait for what is not.
        let entered = self.enter(arrived, rated.within).await;
        if !rated.beyond.is_empty() {
            self.intake.await_approval(rated.beyond).await.map_err(|why| {
                tracing::error!(stream = stream.settings().name, %why, "a signal is not taken");
                Unserved::Later
            })?;
        }
        entered?;
        self.lift(judged.lifts).await
    }

    /// Lifts holds.
    pub(crate) async fn lift(&self, lifts: Vec<Lifted>) -> Result<(), Unserved> {
        if lifts.is_empty() {
            return Ok(());
        }
        self.intake.lift(lifts).await?;
        Ok(())
    }

    /// Lets in revocations whose signal `arrived` a while ago.
    pub(crate) async fn enter(&self, arrived: Stopwatch, revocations: Vec<Revocation>) -> Result<(), Unserved> {
        if revocations.is_empty() {
            return Ok(());
        }
        self.intake.accept_from(arrived, revocations).await?;
        Ok(())
    }

    /// Counts and writes down that a SET of `stream` was refused.
    pub(crate) fn refused(&self, stream: &Stream, refusal: &Answer) {
        stream.refused();
        self.metrics.set_came(&stream.settings().name, "refused");
        let way = Way::of_stream(&stream.settings().name);
        self.audit.signal_rejected(way, refusal.code.word(), &refusal.description);
    }
}

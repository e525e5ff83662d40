//! Sessions of IdPs that send no signal: how often the IdP is asked whether one still stands, and what follows from what it
//! says, or from its silence.
//!
//! In the background, by the refresh token of the sign-in ([`By::Refresh`], [`By::Introspect`]), or with the browser's
//! next page, which is sent through the IdP (`prompt=none`, [`By::Silent`]). A session without a refresh token is checked
//! with the browser whatever is configured.

mod grant;
mod schedule;

use std::time::Duration;

pub use self::grant::Grant;
pub use self::schedule::Schedule;
use crate::time::Timestamp;

/// How the IdP is asked.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// A refresh grant (RFC 6749 §6).
    Refresh,
    /// A question about the refresh token (RFC 7662).
    Introspect,
    /// The browser's next page goes through the IdP with `prompt=none` (OpenID Connect Core §3.1.2.1).
    Silent,
}

impl By {
    /// The word in the config, in logs and in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Introspect => "introspect",
            Self::Silent => "silent",
        }
    }
}

/// How sessions of one IdP are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often.
    pub every: Duration,
    /// How.
    pub by: By,
    /// Background checks that begin within any second, at the most.
    pub calls_per_second: usize,
    /// How long a session goes on without a word of the IdP's, counted from the last.
    pub patience: Duration,
    /// How long beyond `every` scripts and open streams go on in a browser that shows no new page.
    pub grace: Duration,
    /// Sessions that are checked in the background, at the most; further ones are checked with the browser.
    pub max_sessions: usize,
    /// What is asked for at sign-in so that the IdP gives a refresh token.
    pub scopes: Vec<String>,
    /// Whether the person is asked for consent at each sign-in (`prompt=consent`), without which some IdPs give none.
    pub consent: bool,
}

/// How long ago the IdP last spoke for a session that is checked with the browser.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Recently enough, or it need not.
    #[default]
    Fresh,
    /// The next page goes through the IdP.
    Due,
    /// Nothing goes on before that.
    Overdue,
}

impl Settings {
    /// Whether there is anything to do in the background.
    pub const fn in_background(&self) -> bool {
        match self.by {
            By::Refresh | By::Introspect => true,
            By::Silent => false,
        }
    }

    /// How fresh an assertion of that moment is.
    pub fn freshness(&self, asserted_at: Timestamp, now: Timestamp) -> Freshness {
        if now >= self.overdue_at(asserted_at) {
            Freshness::Overdue
        } else if now.since(asserted_at) >= self.every {
            Freshness::Due
        } else {
            Freshness::Fresh
        }
    }

    /// When what is in flight on an assertion of that moment ends.
    pub fn overdue_at(&self, asserted_at: Timestamp) -> Timestamp {
        asserted_at.plus(self.every.saturating_add(self.grace))
    }
}

/// What the IdP's answer says about a session.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stands.
    Stands,
    /// It stands, but what it was made from does not hold any more: groups were taken away, or its end comes.
    Changed,
    /// It is over.
    Refused,
    /// Nothing: the IdP is not there, has a fault, or has no time.
    NoVerdict,
    /// Nothing: it is us whom the IdP refuses.
    Misconfigured,
}

impl Verdict {
    /// The word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stands => "stands",
            Self::Changed => "changed",
            Self::Refused => "refused",
            Self::NoVerdict => "no_verdict",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// Why a session is ended by a check.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The IdP refuses to go on with it.
    Refused,
    /// The IdP refuses a token that may have been used up by a call whose answer was lost.
    InDoubt,
    /// The IdP no longer says of the person what the session was made from.
    Changed,
    /// The IdP said nothing for too long.
    Silence,
}

impl Why {
    /// In words, for the audit log.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Refused => "the IdP refused to go on with the session",
            Self::InDoubt => "the IdP refused a refresh token that a lost answer may have used up",
            Self::Changed => "the IdP no longer says of the person what the session was made from",
            Self::Silence => "the IdP gave no verdict for too long",
        }
    }
}

/// What follows from a check.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on, until the next check.
    GoesOn,
    /// It goes on, and is asked about again before that.
    TryAgain,
    /// Everything that grew from it dies.
    Terminate(Why),
    /// Nothing of it goes on before a new assertion.
    Reestablish(Why),
}

/// What follows from `verdict` on a session that the IdP last spoke for at `checked_at`.
///
/// `in_doubt`: a call with its token broke off before, so that the IdP may have given a new one that was lost. The refusal
/// of such a token is as likely the consequence of that as a decision about the person: a new assertion tells.
pub fn next(settings: &Settings, verdict: Verdict, in_doubt: bool, checked_at: Timestamp, now: Timestamp) -> Next {
    match verdict {
        Verdict::Stands => Next::GoesOn,
        Verdict::Changed => Next::Reestablish(Why::Changed),
        Verdict::Refused if in_doubt => Next::Reestablish(Why::InDoubt),
        Verdict::Refused => Next::Terminate(Why::Refused),
        Verdict::NoVerdict if now.since(checked_at) >= settings.patience => Next::Reestablish(Why::Silence),
        // Nobody is thrown out for a mistake of ours in the config: it is said loudly instead.
        Verdict::NoVerdict | Verdict::Misconfigured => Next::TryAgain,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn settings() -> Settings {
        Settings {
            every: Duration::from_secs(300),
            by: By::Refresh,
            calls_per_second: 20,
            patience: Duration::from_secs(900),
            grace: Duration::from_secs(60),
            max_sessions: 100,
            scopes: vec!["offline_access".to_owned()],
            consent: false,
        }
    }

    #[test]
    fn pages_are_sent_away_before_scripts_and_streams_end() {
        let at = Timestamp::from_secs;
        for (now, expected) in [
            (1_000, Freshness::Fresh),
            (1_299, Freshness::Fresh),
            (1_300, Freshness::Due),
            (1_359, Freshness::Due),
            (1_360, Freshness::Overdue),
            (0, Freshness::Fresh), // a clock that went back ends nothing
        ] {
            assert_eq!(settings().freshness(at(1_000), at(now)), expected, "at {now}");
        }
        assert_eq!(settings().overdue_at(at(1_000)), at(1_360));
    }

    #[test]
    fn only_the_idps_own_no_terminates() {
        use Next::{GoesOn, Reestablish, Terminate, TryAgain};
        let (checked_at, soon, late) = (1_000, 1_899, 1_900);
        for (verdict, in_doubt, now, expected) in [
            (Verdict::Stands, false, late, GoesOn),
            (Verdict::Stands, true, late, GoesOn),
            (Verdict::Changed, false, soon, Reestablish(Why::Changed)),
            (Verdict::Refused, false, soon, Terminate(Why::Refused)),
            (Verdict::Refused, true, soon, Reestablish(Why::InDoubt)),
            (Verdict::NoVerdict, false, soon, TryAgain),
            (Verdict::NoVerdict, false, late, Reestablish(Why::Silence)),
            (Verdict::Misconfigured, false, soon, TryAgain),
            (Verdict::Misconfigured, true, u64::MAX, TryAgain),
        ] {
            let at = Timestamp::from_secs;
            let found = next(&settings(), verdict, in_doubt, at(checked_at), at(now));
            assert_eq!(found, expected, "{verdict:?} at {now}, in doubt: {in_doubt}");
        }
    }
}

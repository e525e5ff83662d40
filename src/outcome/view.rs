//! An outcome as people and programs get to see it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::distinct::Distinct;
use super::record::Record;
use crate::evidence::Sort;
use crate::exchanges::Kind;
use crate::identity::Target;
use crate::revocation::{Mode, Origin, Reach, RevocationId};
use crate::time::Timestamp;

/// How long what a revocation covers can live at the most, seen from the moment at which it came.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Ceilings {
    /// A session, from sign-in.
    pub session: Duration,
    /// A token that an app made, from the sign-in behind it; `None` where no app makes any.
    pub app_token: Option<Duration>,
    /// Anything, from its proof: what is older cannot be judged, and is refused for that alone (law 10).
    pub anything: Duration,
}

/// How much of something was seen.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// That many different ones.
    pub seen: usize,
    /// Or more: no more are told apart.
    pub or_more: bool,
}

impl Amount {
    fn of(distinct: &Distinct) -> Self {
        Self { seen: distinct.count(), or_more: distinct.has_more() }
    }

    fn and(self, other: Self) -> Self {
        Self { seen: self.seen + other.seen, or_more: self.or_more || other.or_more }
    }
}

/// The credentials that were seen and refused, or cut.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// All of them.
    pub all: Amount,
    /// Sessions of the gateway.
    pub sessions: Amount,
    /// Cookies that apps made in them.
    pub app_cookies: Amount,
    /// Tokens that apps made in them.
    pub app_tokens: Amount,
    /// Access tokens of the IdP.
    pub access_tokens: Amount,
}

/// What may still come, and until when.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// From this moment on nothing that it covers can be alive by itself: seconds since 1970. Absent while it is a hold:
    /// that ends when it is lifted.
    pub until: Option<Timestamp>,
    /// The same, of sessions.
    pub sessions_until: Timestamp,
    /// The same, of tokens that apps made; absent where no app makes any.
    pub app_tokens_until: Option<Timestamp>,
    /// The same, of cookies that apps made and of access tokens of the IdP.
    pub others_until: Timestamp,
    /// That moment has passed.
    pub nothing: bool,
}

/// What one revocation did: `GET /v1/outcomes/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The revocation's id.
    pub id: RevocationId,
    /// Where it came from, in the words of the audit log.
    pub source: String,
    /// The configured name of the stream that it came on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The configured name of the IdP that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idp: Option<String>,
    /// The signal's `jti`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The signal's `txn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn: Option<String>,
    /// What it demands.
    pub mode: Mode,
    /// Whose people.
    pub issuer: String,
    /// Whom it names, as the audit log shows it.
    pub target: String,
    /// The apps that it is limited to; none means all.
    pub apps: Vec<String>,
    /// Why, in the sender's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Assertions up to this moment are over: seconds since 1970, like every moment here.
    pub cut_off: Timestamp,
    /// When it arrived.
    pub received_at: Timestamp,
    /// When it came into force here.
    pub in_force_at: Timestamp,
    /// When it was on disk here; absent if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persisted_at: Option<Timestamp>,
    /// When the hold was lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted_at: Option<Timestamp>,
    /// Times that the sender sent it again.
    pub redelivered: u64,
    /// Different people of whom credentials were seen.
    pub people: Amount,
    /// Different credentials that were seen, each refused or cut.
    pub credentials: Credentials,
    /// Exchanges that it ended, by kind; absent where that is not known any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<BTreeMap<String, usize>>,
    /// Requests refused since then: the same compromise, not a new one.
    pub refusals: u64,
    /// When the first was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_refusal_at: Option<Timestamp>,
    /// When the last was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refusal_at: Option<Timestamp>,
    /// Sign-ins that did not prove to be newer.
    pub sign_ins_refused: u64,
    /// People who signed in again.
    pub signed_in_again: Amount,
    /// When the first did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in_again_at: Option<Timestamp>,
    /// Members of the subject that somebody it met never told, and that were passed over for that reason.
    pub unmatched_members: Vec<String>,
    /// What may still come.
    pub left: Left,
    /// Gateways that have applied it.
    pub applied_by: Vec<String>,
}

/// `GET /v1/outcomes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeList {
    /// The newest first.
    pub outcomes: Vec<Outcome>,
    /// There are older ones that are not in the list.
    pub more: bool,
}

impl Outcome {
    /// Exchanges that it ended, of all kinds.
    pub fn cut_in_all(&self) -> Option<usize> {
        self.cut.as_ref().map(|cut| cut.values().sum())
    }
}

impl Record {
    /// As others see it.
    pub(super) fn shown(
        &self,
        ceilings: &Ceilings,
        gateway: &str,
        shown: impl Fn(&Target) -> String,
        now: Timestamp,
    ) -> Outcome {
        let revocation = &self.revocation;
        let (stream, idp, jti) = revocation.origin.parts();
        let txn = match &revocation.origin {
            Origin::Stream { txn, .. } => txn.clone(),
            _ => None,
        };
        let targets = revocation.whom.targets();
        let texts: Vec<_> = targets.iter().map(shown).collect();
        let by_kind = || Kind::ALL.iter().zip(self.cut).map(|(kind, count)| (kind.word().to_owned(), count));
        Outcome {
            id: self.id,
            source: revocation.origin.word().to_owned(),
            stream: stream.map(str::to_owned),
            idp: idp.map(str::to_owned),
            jti: jti.map(str::to_owned),
            txn,
            mode: revocation.mode,
            issuer: targets.first().map(|target| target.issuer.to_string()).unwrap_or_default(),
            target: texts.join(" and "),
            apps: match &revocation.reach {
                Reach::All => vec![],
                Reach::Apps(apps) => apps.clone(),
            },
            reason: revocation.reason.as_ref().map(|reason| reason.chars().take(LONGEST).collect()),
            cut_off: revocation.cut_off,
            received_at: revocation.received_at,
            in_force_at: self.in_force_at,
            persisted_at: self.persisted_at,
            lifted_at: self.lifted_at,
            redelivered: self.redelivered,
            people: Amount::of(&self.people),
            credentials: self.shown_credentials(),
            cut: (!self.is_from_ledger).then(|| by_kind().filter(|(_, count)| *count > 0).collect()),
            refusals: self.refusals,
            first_refusal_at: self.first_refusal_at,
            last_refusal_at: self.last_refusal_at,
            sign_ins_refused: self.sign_ins_refused,
            signed_in_again: Amount::of(&self.back),
            signed_in_again_at: self.back_at,
            unmatched_members: self.passed_over.iter().map(|kind| kind.word().to_owned()).collect(),
            left: self.left(ceilings, now),
            applied_by: vec![gateway.to_owned()],
        }
    }

    fn shown_credentials(&self) -> Credentials {
        let of = |sort: Sort| self.credentials.get(sort as usize).map(Amount::of).unwrap_or_default();
        Credentials {
            all: Sort::ALL.into_iter().map(of).fold(Amount::default(), Amount::and),
            sessions: of(Sort::Session),
            app_cookies: of(Sort::AppCookie),
            app_tokens: of(Sort::AppToken),
            access_tokens: of(Sort::AccessToken),
        }
    }

    /// Whatever is covered was there when the revocation came: a later sign-in is judged by it. And whatever is covered is
    /// older than the cut-off.
    fn left(&self, ceilings: &Ceilings, now: Timestamp) -> Left {
        let came = self.revocation.received_at;
        let others_until = self.revocation.cut_off.plus(ceilings.anything);
        let sessions_until = came.plus(ceilings.session).min(others_until);
        let app_tokens_until = ceilings.app_token.map(|span| came.plus(span).min(others_until));
        let is_lasting = self.revocation.mode == Mode::Hold && self.lifted_at.is_none();
        Left {
            until: (!is_lasting).then_some(others_until),
            sessions_until,
            app_tokens_until,
            others_until,
            nothing: !is_lasting && now > others_until,
        }
    }
}

/// Characters of a reason that others wrote.
const LONGEST: usize = 512;

//! An outcome as people and programs get to see it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fleetwide::{Roll, Stand, by_word, in_short};
use super::record::Record;
use crate::evidence::Sort;
use crate::fleet::{Prints, Tally, added};
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
    /// What several gateways told apart, each for itself.
    fn of(all: &[&Prints]) -> Self {
        let told: BTreeSet<_> = all.iter().flat_map(|prints| &prints.some).collect();
        let most = all.iter().map(|prints| prints.all).max().unwrap_or_default();
        // Of what does not travel one by one nobody knows how much is the same.
        let is_whole = |prints: &Prints| prints.are_all_told() || prints.is_empty();
        let several = all.iter().filter(|prints| !prints.is_empty()).count() > 1;
        let or_more = all.iter().any(|prints| prints.or_more || (several && !is_whole(prints)));
        Self { seen: told.len().max(most), or_more }
    }

    /// What one gateway told apart.
    fn at(prints: &Prints) -> Self {
        Self { seen: prints.all, or_more: prints.or_more }
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

/// What one gateway counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtGateway {
    /// Its name.
    pub gateway: String,
    /// Exchanges that were ended there, by kind; absent where that is not known any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<BTreeMap<String, usize>>,
    /// Different people of whom credentials were seen there.
    pub people: Amount,
    /// Different credentials that were seen there.
    pub credentials: Amount,
    /// Requests refused there.
    pub refusals: u64,
    /// When the first was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_refusal_at: Option<Timestamp>,
    /// People who signed in there again.
    pub signed_in_again: Amount,
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
    /// Gateways that have applied it, by name.
    pub applied_by: Vec<String>,
    /// Gateways that are there and have not said yet that they have applied it.
    #[serde(default)]
    pub behind: Vec<String>,
    /// Gateways that were not heard of lately, and had not said before that they have applied it.
    #[serde(default)]
    pub silent: Vec<String>,
    /// What each gateway counted that counted anything; all the counts above are those of all gateways together. Empty for
    /// a gateway that is alone, and in a list.
    #[serde(default)]
    pub gateways: Vec<AtGateway>,
    /// What some gateways counted is missing: there was no room for it.
    #[serde(default)]
    pub incomplete: bool,
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
    /// As it stands among many.
    pub(super) fn in_short(self) -> Self {
        let Self { applied_by, behind, silent, .. } = self;
        let [applied_by, behind, silent] = [applied_by, behind, silent].map(in_short);
        Self { applied_by, behind, silent, gateways: vec![], ..self }
    }

    /// Exchanges that it ended, of all kinds.
    pub fn cut_in_all(&self) -> Option<usize> {
        self.cut.as_ref().map(|cut| cut.values().sum())
    }
}

impl AtGateway {
    fn of(name: &str, tally: &Tally, is_cut_known: bool) -> Self {
        let all = |amount: Amount, prints| amount.and(Amount::at(prints));
        Self {
            gateway: name.to_owned(),
            cut: is_cut_known.then(|| by_word(&tally.cut)),
            people: Amount::at(&tally.people),
            credentials: tally.credentials.iter().fold(Amount::default(), all),
            refusals: tally.refusals,
            first_refusal_at: tally.first_refusal_at,
            signed_in_again: Amount::at(&tally.back),
        }
    }
}

impl Record {
    /// As others see it: what all gateways counted, together.
    pub(super) fn shown(
        &self,
        ceilings: &Ceilings,
        (gateway, roll): (&str, &Roll),
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
        let own = self.whole();
        let all: Vec<_> = std::iter::once(&own).chain(self.elsewhere.values().map(|other| &other.tally)).collect();
        let of = |part: fn(&Tally) -> &Prints| Amount::of(&all.iter().map(|tally| part(tally)).collect::<Vec<_>>());
        let sum = |part: fn(&Tally) -> u64| all.iter().map(|tally| part(tally)).fold(0, u64::saturating_add);
        let passed_over: BTreeSet<_> = all.iter().flat_map(|tally| &tally.passed_over).collect();
        let cut = || by_word(&all.iter().fold(vec![], |sum, tally| added(&sum, &tally.cut)));
        let named = |stand| roll.names(self, stand).collect::<Vec<_>>();
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
            redelivered: sum(|tally| tally.redelivered),
            people: of(|tally| &tally.people),
            credentials: shown_credentials(&all),
            cut: (!self.is_from_ledger).then(cut),
            refusals: sum(|tally| tally.refusals),
            first_refusal_at: all.iter().filter_map(|tally| tally.first_refusal_at).min(),
            last_refusal_at: all.iter().filter_map(|tally| tally.last_refusal_at).max(),
            sign_ins_refused: sum(|tally| tally.sign_ins_refused),
            signed_in_again: of(|tally| &tally.back),
            signed_in_again_at: all.iter().filter_map(|tally| tally.back_at).min(),
            unmatched_members: passed_over.iter().map(|kind| kind.word().to_owned()).collect(),
            left: self.left(ceilings, now),
            applied_by: std::iter::once(gateway.to_owned()).chain(named(Stand::Applied)).collect(),
            behind: named(Stand::Behind),
            silent: named(Stand::Silent),
            gateways: self.at_gateways(gateway, roll),
            incomplete: self.is_incomplete,
        }
    }

    /// What each gateway counted, as long as there are several.
    fn at_gateways(&self, own: &str, roll: &Roll) -> Vec<AtGateway> {
        if roll.me.is_none() {
            return vec![];
        }
        let ours = AtGateway::of(own, &self.tally(), !self.is_from_ledger);
        let known = |id: &str| roll.peers.iter().find(|peer| peer.id.to_string() == id).map(|peer| &*peer.name);
        let others = self.elsewhere.iter();
        let others = others.map(|(id, other)| AtGateway::of(known(id).unwrap_or(&other.name), &other.tally, true));
        std::iter::once(ours).filter(|_| !self.tally().is_empty()).chain(others).collect()
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

fn shown_credentials(all: &[&Tally]) -> Credentials {
    let none = Prints::default();
    let of = |sort: Sort| {
        let prints: Vec<_> = all.iter().map(|tally| tally.credentials.get(sort as usize).unwrap_or(&none)).collect();
        Amount::of(&prints)
    };
    Credentials {
        all: Sort::ALL.into_iter().map(of).fold(Amount::default(), Amount::and),
        sessions: of(Sort::Session),
        app_cookies: of(Sort::AppCookie),
        app_tokens: of(Sort::AppToken),
        access_tokens: of(Sort::AccessToken),
    }
}

/// Characters of a reason that others wrote.
const LONGEST: usize = 512;

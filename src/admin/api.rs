//! What operators and the gateway say to each other: the one set of types that the admin listener reads and the
//! command line writes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fleet::FleetStatus;
use super::met::{Met, MetAtGateway};
use super::reload::ConfigStatus;
use crate::apps::Apps;
use crate::identity::{Issuer, Target, TargetKind};
use crate::revocation::{Mode, Origin, Reach, Revocation, RevocationId, Whom};
use crate::time::Timestamp;

/// `POST /v1/revocations`: somebody's sessions are over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// Whose people; needed where the handle means something else at another IdP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idp: Option<String>,
    /// Whom.
    pub whom: Named,
    /// In which apps; none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<String>,
    /// What happens to their credentials.
    #[serde(default = "terminate")]
    pub mode: Mode,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Assertions at or before this moment are over; now, if nothing is said. Said again with the same moment, however much
    /// later, a revocation is the same one: who signed in since stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

/// Whom a revocation names; everything given must be true of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Named {
    /// The person, by the IdP's `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The person, by e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The person, by phone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// One session at the IdP, by `sid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Whoever is on that device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Whoever belongs to that tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Whoever is in that group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Everybody.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
}

/// What a revocation did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeAnswer {
    /// Each revocation that was made of the request: one per IdP.
    pub revocations: Vec<Made>,
    /// Exchanges in flight that were cut, or would be.
    pub cut: usize,
    /// Whom it met, or would meet, of those who had something in flight at that moment.
    pub met: Met,
    /// Nothing was done.
    pub dry_run: bool,
    /// It is written down and outlives a restart. Always false for a dry run.
    pub durable: bool,
    /// In a dry run, what each gateway of the fleet would meet; the counts above are those of all together. Otherwise empty:
    /// what the other gateways did stands in the outcome a moment later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<MetAtGateway>,
    /// Gateways that did not say in time what they would meet: it is not in the counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<String>,
}

/// One revocation, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// Whose people.
    pub issuer: String,
    /// Whom it names.
    pub whom: String,
    /// In which apps; none means all.
    pub apps: Vec<String>,
    /// What it does.
    pub mode: Mode,
    /// Assertions at or before this moment are over: seconds since 1970.
    pub cut_off: Timestamp,
    /// Under which `GET /v1/outcomes/{id}` says what it did; absent in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<RevocationId>,
}

impl From<&Revocation> for Made {
    fn from(revocation: &Revocation) -> Self {
        let targets = revocation.whom.targets();
        Self {
            issuer: targets.first().map(|target| target.issuer.to_string()).unwrap_or_default(),
            whom: revocation.whom.to_string(),
            apps: match &revocation.reach {
                Reach::All => Vec::new(),
                Reach::Apps(apps) => apps.clone(),
            },
            mode: revocation.mode,
            cut_off: revocation.cut_off,
            outcome: None,
        }
    }
}

/// Why a request names nobody, nowhere or nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// No handle was given.
    #[error("nobody is named")]
    Nobody,
    /// `everyone` together with somebody.
    #[error("everyone and somebody exclude each other")]
    EveryoneAndSomebody,
    /// The handle has no such value.
    #[error("`{1}` is no {word}", word = .0.word())]
    NotA(TargetKind, String),
    /// There is no IdP of that name.
    #[error("there is no IdP `{0}`")]
    UnknownIdp(String),
    /// There are several IdPs, and the handle means somebody else at each.
    #[error("there are several IdPs; say whose people are meant (only an e-mail address or everyone alone means all)")]
    WhichIdp,
    /// There is no app of that name.
    #[error("there is no app `{0}`")]
    UnknownApp(String),
    /// The moment is not there yet: it would lock out logins to come.
    #[error("`as_of` is in the future")]
    InFuture,
}

impl RevokeRequest {
    /// The revocations that this request means, as of `now`: one, or one per IdP where the handle means the same at
    /// all of them.
    pub fn revocations(
        &self,
        idps: &BTreeMap<String, Issuer>,
        apps: &Apps,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, Unclear> {
        let issuers: Vec<&Issuer> = match &self.idp {
            Some(name) => vec![idps.get(name).ok_or_else(|| Unclear::UnknownIdp(name.clone()))?],
            None if idps.len() > 1 && !self.whom.means_the_same_everywhere() => return Err(Unclear::WhichIdp),
            None => idps.values().collect(),
        };
        if let Some(unknown) = self.apps.iter().find(|name| apps.named(name).is_none()) {
            return Err(Unclear::UnknownApp(unknown.clone()));
        }
        if self.as_of.is_some_and(|moment| moment > now) {
            return Err(Unclear::InFuture);
        }
        let reach = if self.apps.is_empty() { Reach::All } else { Reach::Apps(self.apps.clone()) };
        let mut made: Vec<Revocation> = Vec::new();
        for issuer in issuers {
            let whom = self.whom.at(issuer)?;
            // Two clients of one issuer have the same people.
            if made.iter().any(|other| other.whom == whom) {
                continue;
            }
            made.push(Revocation {
                whom,
                reach: reach.clone(),
                mode: self.mode,
                cut_off: self.as_of.unwrap_or(now),
                origin: Origin::Operator,
                reason: self.reason.clone(),
                said: Default::default(),
                received_at: now,
            });
        }
        if made.is_empty() { Err(Unclear::Nobody) } else { Ok(made) }
    }
}

impl Named {
    fn handles(&self) -> impl Iterator<Item = (TargetKind, &str)> {
        [
            (TargetKind::User, &self.user),
            (TargetKind::Email, &self.email),
            (TargetKind::Phone, &self.phone),
            (TargetKind::Session, &self.session),
            (TargetKind::Device, &self.device),
            (TargetKind::Tenant, &self.tenant),
            (TargetKind::Group, &self.group),
        ]
        .into_iter()
        .filter_map(|(kind, value)| Some((kind, value.as_deref()?)))
    }

    /// True for an e-mail address or everyone, alone: the other handles are one IdP's own words.
    fn means_the_same_everywhere(&self) -> bool {
        self.handles().all(|(kind, _)| kind == TargetKind::Email)
    }

    /// The people of `issuer` that this names.
    fn at(&self, issuer: &Issuer) -> Result<Whom, Unclear> {
        let targets: Vec<Target> = self
            .handles()
            .map(|(kind, value)| Target::new(issuer, kind, value).ok_or_else(|| Unclear::NotA(kind, value.to_owned())))
            .collect::<Result<_, _>>()?;
        let targets = match (self.everyone, targets.is_empty()) {
            (true, true) => vec![Target::everyone(issuer)],
            (true, false) => return Err(Unclear::EveryoneAndSomebody),
            (false, _) => targets,
        };
        Whom::all_of(targets).ok_or(Unclear::Nobody)
    }
}

/// `GET /v1/status`: how the gateway is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Status {
    /// The version that runs.
    pub version: String,
    /// Since when: seconds since 1970.
    pub started_at: Timestamp,
    /// Whether it takes requests, and why not.
    pub ready: Ready,
    /// Subjects that some revocation in force names.
    pub revocations: usize,
    /// Subjects that nobody gets in by until they are lifted.
    #[serde(default)]
    pub on_hold: usize,
    /// Revocations that are not in force until somebody approves them.
    #[serde(default)]
    pub awaiting_approval: usize,
    /// Requests and streams in flight.
    pub exchanges: usize,
    /// Whether revocations are written down.
    pub ledger: LedgerStatus,
    /// How this gateway stands among the others; absent for one that is alone.
    #[serde(default)]
    pub fleet: Option<FleetStatus>,
    /// Which config runs.
    #[serde(default)]
    pub config: ConfigStatus,
    /// Each IdP.
    pub idps: Vec<IdpStatus>,
    /// Each stream.
    pub streams: Vec<StreamStatus>,
    /// Each app.
    pub apps: Vec<AppStatus>,
}

/// `GET /ready`: whether requests are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// They are.
    pub ready: bool,
    /// What is waited for, if they are not.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// How the ledger is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerStatus {
    /// The last write succeeded.
    pub durable: bool,
    /// Records in it, where that is known.
    #[serde(default)]
    pub records: Option<u64>,
}

/// How an IdP is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdpStatus {
    /// Its name in the config.
    pub name: String,
    /// Its issuer.
    pub issuer: String,
    /// Its metadata and keys were fetched.
    pub reachable: bool,
    /// How its sessions are checked, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revalidation: Option<super::revalidation::RevalidationStatus>,
}

/// How a stream is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamStatus {
    /// Its name in the config.
    pub name: String,
    /// The transmitter.
    pub issuer: String,
    /// It is polled; else its events are pushed.
    #[serde(default)]
    pub polled: bool,
    /// When it was last polled as it should: seconds since 1970; absent if it is pushed.
    #[serde(default)]
    pub last_poll_at: Option<Timestamp>,
    /// Why it is not polled as it should at the moment.
    #[serde(default)]
    pub poll_trouble: Option<String>,
    /// When an event last arrived: seconds since 1970. Silence is not health.
    #[serde(default)]
    pub last_event_at: Option<Timestamp>,
    /// Events taken since the start.
    pub accepted: u64,
    /// Events refused since the start.
    pub refused: u64,
    /// How it is: `live`, `late`, `blind`, `paused`, `gone`, or `unsupervised` where nobody can tell.
    pub state: String,
    /// Since when: seconds since 1970.
    pub since: Timestamp,
    /// When it last showed that it lives: seconds since 1970.
    #[serde(default)]
    pub last_sign_at: Option<Timestamp>,
    /// Seconds from asking for the last verification event to its arrival.
    #[serde(default)]
    pub lag: Option<u64>,
    /// Why the gateway cannot manage it as it should at the moment.
    #[serde(default)]
    pub trouble: Option<String>,
    /// The gateway of the fleet that polls it and asks its transmitter; absent while nobody can tell, or without a fleet.
    #[serde(default)]
    pub leader: Option<String>,
}

/// How an app is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppStatus {
    /// Its name in the config.
    pub name: String,
    /// What people type.
    pub url: String,
    /// Its upstreams that are well.
    pub healthy: usize,
    /// All its upstreams.
    pub upstreams: usize,
}

/// What every answer that is no success says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// What is wrong.
    pub error: String,
    /// Which part of the request is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What was done nevertheless: in force here, but not durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<RevokeAnswer>,
}

const fn terminate() -> Mode {
    Mode::Terminate
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idps(names: &[&str]) -> BTreeMap<String, Issuer> {
        let issuer = |name: &str| Issuer::parse(&format!("https://{name}.example.com")).expect("issuer");
        names.iter().map(|name| ((*name).to_owned(), issuer(name))).collect()
    }

    fn request(json: &str) -> RevokeRequest {
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
    }

    #[test]
    fn a_request_becomes_one_revocation_or_one_per_idp() {
        let apps = Apps::new([crate::apps::tests::app("wiki", "https://wiki.example.com")]);
        let now = Timestamp::from_secs(1000);
        for (json, idp_names, expected) in [
            (r#"{"whom":{"user":"ann"}}"#, &["corp"][..], Ok(vec!["user ann"])),
            (r#"{"whom":{"user":"ann"}}"#, &["corp", "partners"], Err(Unclear::WhichIdp)),
            (r#"{"whom":{"user":"ann"},"idp":"corp"}"#, &["corp", "partners"], Ok(vec!["user ann"])),
            (r#"{"whom":{"user":"ann"},"idp":"crop"}"#, &["corp"], Err(Unclear::UnknownIdp("crop".into()))),
            (r#"{"whom":{"email":"Ann@A.org"}}"#, &["corp", "partners"], Ok(vec!["email ann@a.org"; 2])),
            (r#"{"whom":{"email":"a@a.org","group":"g"}}"#, &["corp", "partners"], Err(Unclear::WhichIdp)),
            (r#"{"whom":{"everyone":true}}"#, &["corp", "partners"], Ok(vec!["everyone"; 2])),
            (r#"{"whom":{"user":"ann","device":"d"}}"#, &["corp"], Ok(vec!["user ann and device d"])),
            (r#"{"whom":{"everyone":true,"user":"ann"}}"#, &["corp"], Err(Unclear::EveryoneAndSomebody)),
            (r#"{"whom":{"email":"ann"}}"#, &["corp"], Err(Unclear::NotA(TargetKind::Email, "ann".into()))),
            (r#"{"whom":{"user":""}}"#, &["corp"], Err(Unclear::NotA(TargetKind::User, String::new()))),
            (r#"{"whom":{}}"#, &["corp"], Err(Unclear::Nobody)),
            (r#"{"whom":{"user":"ann"},"apps":["mail"]}"#, &["corp"], Err(Unclear::UnknownApp("mail".into()))),
            (r#"{"whom":{"phone":"+1 206 555"}}"#, &["corp"], Ok(vec!["phone +1206555"])),
            (r#"{"whom":{"user":"ann"},"as_of":1001}"#, &["corp"], Err(Unclear::InFuture)),
            (r#"{"whom":{"user":"ann"},"apps":["wiki"],"mode":"reestablish"}"#, &["corp"], Ok(vec!["user ann"])),
        ] {
            let made = request(json).revocations(&idps(idp_names), &apps, now);
            if let Ok(made) = &made {
                assert!(made.iter().all(|r| r.cut_off == now && r.origin == Origin::Operator), "{json}");
            }
            let words = made.map(|made| made.iter().map(|r| r.whom.to_string()).collect::<Vec<_>>());
            assert_eq!(words, expected.map(|words| words.into_iter().map(str::to_owned).collect()), "{json}");
        }
    }

    #[test]
    fn a_slip_in_a_request_is_refused_and_terminate_is_the_default() {
        for json in [
            r#"{"whom":{"usr":"ann"}}"#,
            r#"{"whom":{"user":"ann"},"app":["wiki"]}"#,
            r#"{"whom":{"user":"ann"},"mode":"held"}"#,
            r#"{"user":"ann"}"#,
            r#"{"whom":{"user":7}}"#,
            "[]",
        ] {
            assert!(serde_json::from_str::<RevokeRequest>(json).is_err(), "{json}");
        }
        assert_eq!(request(r#"{"whom":{"user":"ann"}}"#).mode, Mode::Terminate);
    }

    #[test]
    fn a_moment_that_is_said_is_the_cut_off() {
        for (json, expected) in [
            (r#"{"whom":{"user":"ann"}}"#, 1000),
            (r#"{"whom":{"user":"ann"},"as_of":900}"#, 900),
            (r#"{"whom":{"user":"ann"},"as_of":1000}"#, 1000),
        ] {
            let made = request(json).revocations(&idps(&["corp"]), &Apps::default(), Timestamp::from_secs(1000));
            let cut_offs = made.map(|made| made.iter().map(|r| r.cut_off.secs()).collect::<Vec<_>>());
            assert_eq!(cut_offs, Ok(vec![expected]), "{json}");
        }
    }

    #[test]
    fn every_mistake_names_its_field_and_its_remedy() {
        for (unclear, field) in [
            (Unclear::Nobody, "whom"),
            (Unclear::EveryoneAndSomebody, "whom.everyone"),
            (Unclear::NotA(TargetKind::Email, "ann".into()), "whom.email"),
            (Unclear::NotA(TargetKind::Device, String::new()), "whom.device"),
            (Unclear::UnknownIdp("crop".into()), "idp"),
            (Unclear::WhichIdp, "idp"),
            (Unclear::UnknownApp("mail".into()), "apps"),
            (Unclear::InFuture, "as_of"),
        ] {
            let problem = Problem::from(&unclear);
            assert_eq!(problem.field.as_deref(), Some(field), "{unclear}");
            assert!(problem.remedy.is_some_and(|remedy| !remedy.is_empty()) && problem.done.is_none(), "{unclear}");
        }
    }

    #[test]
    fn two_clients_of_one_issuer_are_one_revocation() {
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        let idps = BTreeMap::from([("a".to_owned(), issuer.clone()), ("b".to_owned(), issuer)]);
        let made = request(r#"{"whom":{"everyone":true}}"#).revocations(&idps, &Apps::default(), Timestamp::ZERO);
        assert_eq!(made.map(|made| made.len()), Ok(1));
    }
}

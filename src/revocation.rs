//! The one fact that every signal becomes: *whatever matches this subject and was asserted at or before the
//! cut-off is over*.

mod cover;
mod explanation;
mod fact;
mod hold;
mod id;
mod record;
mod rule;
mod set;
mod shards;

use serde::{Deserialize, Serialize};

pub use self::cover::Cover;
pub use self::explanation::Explanation;
pub use self::fact::{Awaiting, Decided, Fact, Lifted, Reestablished};
pub use self::hold::OnHold;
pub use self::id::{InvalidId, RevocationId};
pub use self::record::{Unreadable, decode, encode};
pub use self::rule::Member;
pub use self::set::{Credential, RevocationSet, Standing, rules};
use crate::identity::{Issuer, Target, TargetHasher, TargetKind};
use crate::time::Timestamp;

/// What a revocation does to the credentials that it covers (IPSIE SL2 names both).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing goes on until a newer assertion; what the app gave out survives.
    Reestablish,
    /// Every credential dies; the way back is a login that the IdP proves to be newer.
    Terminate,
    /// Every credential dies, and there is no way back until it is lifted.
    Hold,
}

impl Mode {
    /// All of them, the mildest first.
    pub const ALL: [Self; 3] = [Self::Reestablish, Self::Terminate, Self::Hold];

    /// The word that people read and type.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reestablish => "reestablish",
            Self::Terminate => "terminate",
            Self::Hold => "hold",
        }
    }
}

/// Whom a revocation names: all of these targets at once (SSF §3.3, complex subjects). One target is the usual case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Whom(Vec<Target>);

/// The members of one complex subject, at the most.
pub const MAX_MEMBERS: usize = 8;

impl Whom {
    /// Everyone who matches all `targets`. `None` for no target or more than [`MAX_MEMBERS`]: neither names anybody.
    pub fn all_of(mut targets: Vec<Target>) -> Option<Self> {
        targets.sort();
        targets.dedup();
        (1..=MAX_MEMBERS).contains(&targets.len()).then_some(Self(targets))
    }

    /// The targets, sorted, each once.
    pub fn targets(&self) -> &[Target] {
        &self.0
    }

    /// The widest reach: the kind that decides what authority is needed. A person named together with a group is
    /// as narrow as the person.
    pub fn reach(&self) -> TargetKind {
        let narrowness = |kind: TargetKind| match kind {
            TargetKind::Gateway => 0,
            TargetKind::Session => 1,
            TargetKind::Device => 2,
            TargetKind::User => 3,
            TargetKind::Email => 4,
            TargetKind::Phone => 5,
            TargetKind::Group => 6,
            TargetKind::OrgUnit => 7,
            TargetKind::Tenant => 8,
            TargetKind::Everyone => 9,
        };
        self.0.iter().map(|t| t.kind).min_by_key(|k| narrowness(*k)).unwrap_or(TargetKind::Everyone)
    }
}

impl std::fmt::Display for Whom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, target) in self.0.iter().enumerate() {
            let joint = if i == 0 { "" } else { " and " };
            write!(f, "{joint}{target}")?;
        }
        Ok(())
    }
}

/// Which apps a revocation is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Every app behind the gateway.
    All,
    /// Only the apps of these names.
    Apps(Vec<String>),
}

/// Where a revocation came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Origin {
    /// An event on an SSF stream.
    Stream {
        /// The configured name of the stream.
        stream: String,
        /// The SET's `jti`.
        jti: String,
        /// The SET's `txn`, if it had one: several SETs of one cause share it.
        txn: Option<String>,
        /// The event type, as its URI.
        event: String,
    },
    /// An OIDC logout token.
    BackChannel {
        /// The configured name of the IdP.
        idp: String,
        /// The token's `jti`.
        jti: String,
    },
    /// A global token revocation.
    Global {
        /// The configured name of the IdP.
        idp: String,
        /// The `jti` of the caller's token; a shared secret has none.
        jti: Option<String>,
    },
    /// A front-channel logout, brought by a browser.
    FrontChannel {
        /// The configured name of the IdP.
        idp: String,
    },
    /// A command of the OpenID provider.
    Command {
        /// The configured name of the IdP.
        idp: String,
        /// The command token's `jti`.
        jti: String,
        /// Which command.
        command: String,
    },
    /// The IdP, asked whether the session still stands, said no.
    Revalidation {
        /// The configured name of the IdP.
        idp: String,
        /// How it was asked.
        by: String,
    },
    /// Nobody's signal: a stream went blind, and what it might have said is not known.
    Blind {
        /// The configured name of the stream.
        stream: String,
    },
    /// Nobody's signal: this gateway may not have heard what other gateways accepted.
    Stale,
    /// A person at the admin interface or the command line.
    Operator,
    /// The person themselves, by signing out.
    SignOut,
    /// The person themselves, by signing out of an app.
    AppLogout {
        /// The configured name of the app.
        app: String,
    },
}

impl Origin {
    /// The word for logs and for the `source` label of metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Stream { .. } => "stream",
            Self::BackChannel { .. } => "backchannel",
            Self::Global { .. } => "global_revocation",
            Self::FrontChannel { .. } => "frontchannel",
            Self::Command { .. } => "command",
            Self::Revalidation { .. } => "revalidation",
            Self::Blind { .. } => "blind_stream",
            Self::Stale => "stale_gateway",
            Self::Operator => "operator",
            Self::SignOut => "sign_out",
            Self::AppLogout { .. } => "app_logout",
        }
    }

    /// The configured names of the stream and of the IdP that it came by, and the id that its sender gave it.
    pub fn parts(&self) -> (Option<&str>, Option<&str>, Option<&str>) {
        match self {
            Self::Stream { stream, jti, .. } => (Some(stream), None, Some(jti)),
            Self::BackChannel { idp, jti } | Self::Command { idp, jti, .. } => (None, Some(idp), Some(jti)),
            Self::Global { idp, jti } => (None, Some(idp), jti.as_deref()),
            Self::FrontChannel { idp } | Self::Revalidation { idp, .. } => (None, Some(idp), None),
            Self::Blind { stream } => (Some(stream), None, None),
            Self::Stale | Self::Operator | Self::SignOut | Self::AppLogout { .. } => (None, None, None),
        }
    }
}

/// One revocation, as it enters, is enforced, is written down and is replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Whom it names.
    pub whom: Whom,
    /// In which apps.
    pub reach: Reach,
    /// What it does.
    pub mode: Mode,
    /// Assertions at or before this moment are over. Never later than the moment it was received.
    pub cut_off: Timestamp,
    /// Where it came from.
    pub origin: Origin,
    /// The reason in the sender's words, for operators' eyes.
    pub reason: Option<String>,
    /// What the sender says to the person.
    #[serde(default, skip_serializing_if = "Explanation::is_empty")]
    pub said: Explanation,
    /// When it was received here.
    pub received_at: Timestamp,
}

impl Revocation {
    /// Of one session of this gateway's, by its own id, with everything that grew from it, as of `now`. `None` only for an
    /// id that is none.
    pub fn of_session(
        issuer: &Issuer,
        session: &str,
        mode: Mode,
        origin: Origin,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Option<Self> {
        Some(Self {
            whom: Whom::all_of(vec![Target::new(issuer, TargetKind::Gateway, session)?])?,
            reach: Reach::All,
            mode,
            cut_off: now,
            origin,
            reason: reason.map(str::to_owned),
            said: Explanation::default(),
            received_at: now,
        })
    }

    /// Of everybody whom `issuer` signed in to those apps, because what should have been told about them may not have been:
    /// all that they were asserted to be until now is to be asserted again. `None` if there is no app.
    pub fn of_doubt(
        issuer: &Issuer,
        apps: Vec<String>,
        origin: Origin,
        reason: String,
        now: Timestamp,
    ) -> Option<Self> {
        let whom = Whom::all_of(vec![Target::everyone(issuer)]).filter(|_| !apps.is_empty())?;
        let (mode, reach) = (Mode::Reestablish, Reach::Apps(apps));
        let (reason, said) = (Some(reason), Explanation::default());
        Some(Self { whom, reach, mode, cut_off: now, origin, reason, said, received_at: now })
    }

    /// Its name under the key of `hasher`: the same when the same signal is delivered again.
    pub fn id(&self, hasher: &TargetHasher) -> RevocationId {
        // A signal with an id of its own is itself whenever it comes, even where the cut-off was clamped to now.
        let at = self.origin.parts().2.is_none().then_some(self.cut_off);
        let whole = (&self.origin, &self.whom, &self.reach, self.mode, at);
        // Serialising plain structs with string keys into memory has no failing case.
        RevocationId(hasher.number(&serde_json::to_string(&whole).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_has_one_id_however_often_it_comes_and_shares_it_with_no_other() {
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        let whom =
            |user| Whom::all_of(vec![Target::new(&issuer, TargetKind::User, user).expect("target")]).expect("whom");
        let by = |jti: &str| Origin::BackChannel { idp: "corp".into(), jti: jti.into() };
        let one = Revocation {
            whom: whom("ann"),
            reach: Reach::All,
            mode: Mode::Terminate,
            cut_off: Timestamp::from_secs(7),
            origin: by("j1"),
            reason: None,
            said: Explanation::default(),
            received_at: Timestamp::from_secs(7),
        };
        let (hasher, id) = (TargetHasher::new(&[1; 32]), |one: &Revocation| one.id(&TargetHasher::new(&[1; 32])));
        let again = Revocation {
            cut_off: Timestamp::from_secs(8),
            received_at: Timestamp::from_secs(8),
            reason: Some("again".into()),
            ..one.clone()
        };
        assert_eq!(one.id(&hasher), again.id(&hasher), "the same signal");
        assert_ne!(one.id(&hasher), one.id(&TargetHasher::new(&[2; 32])), "nobody without the key makes it");
        let typed = Revocation { origin: Origin::Operator, ..one.clone() };
        for (name, other) in [
            ("another signal", Revocation { origin: by("j2"), ..one.clone() }),
            ("of somebody else", Revocation { whom: whom("bob"), ..one.clone() }),
            ("in one app", Revocation { reach: Reach::Apps(vec!["wiki".into()]), ..one.clone() }),
            ("another mode", Revocation { mode: Mode::Hold, ..one.clone() }),
            ("an operator's", typed.clone()),
        ] {
            assert_ne!(id(&one), id(&other), "{name}");
        }
        assert_ne!(
            id(&typed),
            id(&Revocation { cut_off: Timestamp::from_secs(8), ..typed.clone() }),
            "typed again later"
        );
    }
}

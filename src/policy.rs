//! Authority: what a signal may do here (law 7), and which revocations it therefore is.
//!
//! A transmitter is believed about its own people and no others. Outside its authority a signal is refused; what it
//! says within its authority but cannot be matched to anybody is reported as unmatched, not called success (law 8).

mod action;
mod authority;
mod command;
mod front_channel;
mod global;
mod naming;
mod rate;

pub use self::action::{Action, Rule, Rules, by_default};
pub use self::authority::Bounds;
pub use self::command::{Act, Command, Commanded, State, on_account, on_tenant};
pub use self::front_channel::front_channel;
pub use self::global::{NotRevoked, global};
pub use self::rate::{Rate, Rated};

use crate::event::logout::{LogoutToken, Whose};
use crate::event::reject::{Answer, Code};
use crate::event::{Event, Happened, Quirks, SecurityEvent, Type, token};
use crate::identity::{Issuer, Target, TargetKind};
use crate::jose::{Alg, Expectation};
use crate::revocation::{Lifted, Mode, Origin, Reach, Revocation, Whom};
use crate::time::Timestamp;

/// What one stream may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its configured name.
    pub name: String,
    /// Who signs its events.
    pub issuer: Issuer,
    /// The names under which its events are addressed to us; one is enough.
    pub audiences: Vec<String>,
    /// The signature algorithms that are accepted from it.
    pub algs: Vec<Alg>,
    /// The IdPs whose people it may revoke.
    pub speaks_for: Vec<SpokenFor>,
    /// The widest target it may use.
    pub widest: Widest,
    /// Further bounds of whom and what it reaches.
    pub bounds: Bounds,
    /// What its events do, where that is not the default.
    pub rules: Rules,
    /// The types of events that it may send; `None` for all.
    pub allowed_events: Option<Vec<Type>>,
    /// What the `externalId` of a SCIM subject is here.
    pub scim_external_id: TargetKind,
    /// The members of complex subjects that must be understood (the transmitter's `critical_subject_members`): an
    /// event with one that cannot be matched is discarded (SSF §3.6).
    pub critical_members: Vec<String>,
    /// What its transmitter sends besides the final specifications.
    pub quirks: Quirks,
    /// By which other names its subjects call the issuers that it speaks for.
    pub subject_issuers: Vec<IssuerAlias>,
}

/// An issuer as subjects name it, where that differs from what its ID tokens say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerAlias {
    /// What stands in subjects, byte for byte.
    pub named: String,
    /// Whose people are meant.
    pub issuer: Issuer,
}

impl Settings {
    /// What a SET on this stream must be.
    pub fn expectation(&self) -> Expectation<'_> {
        token::expectation(&self.issuer, &self.audiences, &self.algs, &self.quirks)
    }
}

/// An IdP whose people a stream, or the IdP itself by logout tokens, may revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpokenFor {
    /// Its configured name.
    pub name: String,
    /// Its issuer.
    pub issuer: Issuer,
    /// Our client id there: it is how a subject names this gateway as the `application`.
    pub client_id: String,
}

/// How many people one signal may reach.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Widest {
    /// One person, one of their sessions, or one device.
    User,
    /// A group or an organisational unit.
    Group,
    /// A tenant.
    Tenant,
    /// Everybody.
    Everyone,
}

impl Widest {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Tenant => "tenant",
            Self::Everyone => "everyone",
        }
    }

    /// The width of that name.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "user" => Some(Self::User),
            "group" => Some(Self::Group),
            "tenant" => Some(Self::Tenant),
            "everyone" => Some(Self::Everyone),
            _ => None,
        }
    }

    /// How wide `whom` can turn out to be.
    ///
    /// A person is one person whatever narrows them further. A device or session without a person must be known and
    /// equal (law 8). Otherwise, with a tenant, it is the tenant: a group that an identity never learned is passed over
    /// there. Without any of these every fact must be known and equal, so that the narrowest decides.
    pub fn of(whom: &Whom) -> Self {
        let has = |wanted: TargetKind| whom.targets().iter().any(|target| target.kind == wanted);
        let person = whom.targets().iter().any(|target| target.kind.names_a_person());
        if person || has(TargetKind::Device) || has(TargetKind::Session) {
            Self::User
        } else if has(TargetKind::Tenant) {
            Self::Tenant
        } else {
            match whom.reach() {
                TargetKind::Gateway
                | TargetKind::Session
                | TargetKind::Device
                | TargetKind::User
                | TargetKind::Email
                | TargetKind::Phone => Self::User,
                TargetKind::Group | TargetKind::OrgUnit => Self::Group,
                TargetKind::Tenant => Self::Tenant,
                TargetKind::Everyone => Self::Everyone,
            }
        }
    }
}

/// What a signal comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// The revocations to put in force.
    pub revocations: Vec<Revocation>,
    /// The holds to lift.
    pub lifts: Vec<Lifted>,
    /// What was meant for us but matches nobody by any fact that is known here: to be counted and shown, because
    /// somebody's session may go on that should not.
    pub unmatched: Vec<Unmatched>,
    /// What does not concern us.
    pub ignored: Vec<Ignored>,
}

/// Why an event, or a part of it, cannot be enforced.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unmatched {
    /// No identity here is known by an identifier of this format in this role.
    #[error("no identity here has a `{role}` in the form `{format}`")]
    Format {
        /// The role in a complex subject; `user` or `session` for a simple one.
        role: String,
        /// The identifier's format.
        format: String,
    },
    /// A member that the transmitter calls critical cannot be processed: the event is discarded (SSF §3.6).
    #[error("the critical member `{0}` cannot be matched here")]
    CriticalMember(String),
    /// The subject has no member that names anybody.
    #[error("the subject names nobody")]
    Nobody,
}

/// What is passed over because it is not about us.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Ignored {
    /// An event of a type that is not known here.
    #[error("the event type `{0}` is not known here")]
    EventType(String),
    /// An event of a type, or with a content, that does nothing here.
    #[error("`{0}` does nothing here")]
    NoAction(String),
    /// The transmitter says no more about this person: their sessions end by other signals, or by themselves.
    #[error("the transmitter says no more about this person")]
    OptedOut,
    /// The subject names another application than this gateway.
    #[error("the event is about another application")]
    Application,
    /// A member of a complex subject that is not known here; the event reaches as far as if it were absent.
    #[error("the member `{0}` is not known here")]
    Member(String),
    /// One of several names of the subject is by an issuer that the stream does not speak for; the others count.
    #[error("one alias is by an issuer that the stream does not speak for")]
    Alias,
}

/// Why a whole signal is refused: it is outside the stream's authority.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// It names people of an issuer that the stream does not speak for.
    #[error("the stream does not speak for the issuer of the subject")]
    Issuer,
    /// It reaches wider than the stream may.
    #[error("the stream may not use a subject this wide")]
    TooWide(Widest),
    /// The stream may not send events of this type.
    #[error("the stream may not send events of this type")]
    Event,
    /// It names an address of a domain that the stream does not speak for.
    #[error("the stream does not speak for addresses of this domain")]
    Domain,
    /// It names another tenant's people.
    #[error("the stream does not speak for this tenant")]
    Tenant,
    /// It comes to more revocations than one event may: a subject of that many aliases is an attack.
    #[error("the subject has too many aliases")]
    TooMany,
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        Self::new(Code::AccessDenied, refused.to_string())
    }
}

/// What `event` on the stream of `settings` comes to. Verification and stream-updated events come to nothing here: they
/// are the stream's own affair.
pub fn revocations(event: &SecurityEvent, settings: &Settings, now: Timestamp) -> Result<Judged, Refused> {
    let mut judged = Judged::default();
    for each in &event.events {
        match each {
            Event::Happened(happened) => judged.happened(happened, event, settings, now)?,
            Event::Verification { .. } | Event::StreamUpdated { .. } => {}
        }
    }
    Ok(judged)
}

impl Judged {
    fn happened(
        &mut self,
        happened: &Happened,
        event: &SecurityEvent,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let alone = naming::Alone::of(happened);
        let action = settings.rules.action(happened, naming::is_only_a_person(&event.subject, alone));
        if action == Action::Ignore {
            self.ignored.push(match &happened.of {
                Type::Other(uri) => Ignored::EventType(uri.clone()),
                Type::OptOutEffective => Ignored::OptedOut,
                of => Ignored::NoAction(of.name().to_owned()),
            });
            return Ok(());
        }
        if settings.allowed_events.as_ref().is_some_and(|allowed| !allowed.contains(&happened.of)) {
            return Err(Refused::Event);
        }
        let named = naming::name(&event.subject, alone, settings)?;
        let whoms = settings.may_revoke(named.whoms)?;
        self.unmatched.extend(named.unmatched);
        self.ignored.extend(named.ignored);
        let at = event.effective_at(happened.at, now);
        let (reach, reason) = (settings.bounds.reach(), &happened.reason_admin);
        let origin = Origin::Stream {
            stream: settings.name.clone(),
            jti: event.jti.clone(),
            txn: event.txn.clone(),
            event: happened.of.uri(),
        };
        match action.mode() {
            Some(mode) => self.revocations.extend(whoms.into_iter().map(|whom| Revocation {
                whom,
                reach: reach.clone(),
                mode,
                cut_off: at,
                origin: origin.clone(),
                reason: reason.clone(),
                said: happened.reason_user.clone().unwrap_or_default(),
                received_at: now,
            })),
            None => self.lifts.extend(whoms.into_iter().map(|whom| Lifted {
                whom,
                reach: reach.clone(),
                at,
                origin: origin.clone(),
                reason: reason.clone(),
                received_at: now,
            })),
        }
        Ok(())
    }
}

/// What a logout token of `idp` comes to: the one session that it names, else every session of the person
/// (Back-Channel Logout §2.7). `None` only for a name that is empty, which no parsed token has.
pub fn logout(token: &LogoutToken, idp: &SpokenFor, now: Timestamp) -> Option<Revocation> {
    let target = match &token.whose {
        Whose::Session(sid) => Target::new(&idp.issuer, TargetKind::Session, sid),
        Whose::User(sub) => Target::new(&idp.issuer, TargetKind::User, sub),
    };
    Some(Revocation {
        whom: Whom::all_of(vec![target?])?,
        reach: Reach::All,
        mode: Mode::Terminate,
        cut_off: token.issued_at.min(now),
        origin: Origin::BackChannel { idp: idp.name.clone(), jti: token.jti.clone() },
        reason: None,
        said: Default::default(),
        received_at: now,
    })
}

#[cfg(test)]
mod tests;

//! What an event does here: the default of its type and detail, and what a stream's settings make of it.

use std::collections::BTreeMap;

use crate::event::caep::{Change, Compliance, Direction, Initiator, Level};
use crate::event::{Detail, Happened, Type};
use crate::revocation::Mode;

/// What an event does.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Every credential of whom it names dies.
    Terminate,
    /// Nothing of theirs goes on until a new assertion.
    Reestablish,
    /// Every credential dies, and nobody gets in until the hold is lifted.
    Hold,
    /// Their hold is lifted.
    Lift,
    /// Nothing; it is counted.
    Ignore,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Terminate, Self::Reestablish, Self::Hold, Self::Lift, Self::Ignore];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Terminate => "terminate",
            Self::Reestablish => "reestablish",
            Self::Hold => "hold",
            Self::Lift => "lift",
            Self::Ignore => "ignore",
        }
    }

    /// The mode of a revocation that does it.
    pub const fn mode(self) -> Option<Mode> {
        match self {
            Self::Terminate => Some(Mode::Terminate),
            Self::Reestablish => Some(Mode::Reestablish),
            Self::Hold => Some(Mode::Hold),
            Self::Lift | Self::Ignore => None,
        }
    }
}

/// What a stream's settings say about the events of one type. What they do not say is as by default.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// What such an event does, where it counts.
    pub action: Option<Action>,
    /// What it does if the person themselves caused it and it names nothing but the person: some IdPs say that when somebody
    /// signs out in one browser.
    pub by_user: Option<Action>,
    /// From which level on a risk counts.
    pub at_least: Option<Level>,
}

/// What a stream's settings say about events, by their type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(BTreeMap<Type, Rule>);

impl FromIterator<(Type, Rule)> for Rules {
    fn from_iter<I: IntoIterator<Item = (Type, Rule)>>(rules: I) -> Self {
        Self(rules.into_iter().collect())
    }
}

impl Rules {
    /// What `happened` does; `only_a_person` if it names a person and not which session or device of theirs.
    pub fn action(&self, happened: &Happened, only_a_person: bool) -> Action {
        let rule = self.0.get(&happened.of).copied().unwrap_or_default();
        // Good news lifts a hold and does nothing else, whatever bad news of the same type does.
        if happened.detail == Detail::Compliance(Compliance::Compliant) {
            return Action::Lift;
        }
        let least = rule.at_least.unwrap_or(Level::High);
        if !counts(&happened.of, &happened.detail, least) {
            // Nobody but an operator could lift a hold whose own end is passed over.
            let lifts = rule.action == Some(Action::Hold) && is_good_news(&happened.detail, least);
            return if lifts { Action::Lift } else { Action::Ignore };
        }
        let by_user = happened.initiating_entity == Some(Initiator::User) && only_a_person;
        rule.by_user.filter(|_| by_user).or(rule.action).unwrap_or_else(|| by_default(&happened.of))
    }

    /// The types, of those that are `allowed`, whose events do something here: what a transmitter is asked for.
    pub fn acts_on(&self, allowed: Option<&[Type]>) -> Vec<Type> {
        let told = |of: &Type| self.said(of).unwrap_or_else(|| by_default(of));
        let own = self.0.keys().filter(|of| matches!(of, Type::Other(_))).cloned();
        let may = |of: &Type| allowed.is_none_or(|allowed| allowed.contains(of));
        Type::known().chain(own).filter(|of| may(of) && told(of) != Action::Ignore).collect()
    }

    /// Whether events of a type can end a session.
    pub fn end_sessions(&self, of: &Type) -> bool {
        self.said(of).unwrap_or_else(|| by_default(of)).mode().is_some()
    }

    /// What the settings say about a type, in a word for people.
    pub fn said(&self, of: &Type) -> Option<Action> {
        self.0.get(of)?.action
    }
}

/// What events of a type do, where they count.
pub const fn by_default(of: &Type) -> Action {
    match of {
        Type::SessionRevoked
        | Type::SessionsRevoked
        | Type::IdentifierRecycled
        | Type::CredentialCompromise
        | Type::TokensRevoked
        | Type::TokenRevoked => Action::Terminate,
        Type::TokenClaimsChange
        | Type::CredentialChange
        | Type::AssuranceLevelChange
        | Type::RiskLevelChange
        | Type::AccountCredentialChangeRequired
        | Type::IdentifierChanged => Action::Reestablish,
        Type::DeviceComplianceChange
        | Type::AccountPurged
        | Type::AccountDisabled
        | Type::ScimDeactivate
        | Type::ScimDelete => Action::Hold,
        Type::AccountEnabled | Type::ScimActivate => Action::Lift,
        Type::SessionEstablished
        | Type::SessionPresented
        | Type::OptIn
        | Type::OptOutInitiated
        | Type::OptOutCancelled
        | Type::OptOutEffective
        | Type::RecoveryActivated
        | Type::RecoveryInformationChanged
        | Type::Other(_) => Action::Ignore,
    }
}

/// Credentials whose renewal says nothing about the sessions that are there: devices and numbers come and go.
const RENEWED: [&str; 8] =
    ["x509", "fido2-platform", "fido2-roaming", "fido-u2f", "verifiable-credential", "phone-voice", "phone-sms", "app"];

/// Whether an event says anything that its sessions should not outlive.
fn counts(of: &Type, detail: &Detail, least: Level) -> bool {
    match detail {
        Detail::None | Detail::Compliance(_) => true,
        Detail::Credential { change, credential } => match change {
            Change::Create => false,
            Change::Revoke | Change::Delete => true,
            // What is not known here may be a password.
            Change::Update => !RENEWED.contains(&credential.as_str()),
        },
        Detail::Assurance(direction) => *direction != Some(Direction::Increase),
        Detail::Risk { level, .. } => *of == Type::RiskLevelChange && *level >= least,
    }
}

/// Whether an event says that what the opposite event of its type told of is over.
fn is_good_news(detail: &Detail, least: Level) -> bool {
    match detail {
        Detail::Compliance(compliance) => *compliance == Compliance::Compliant,
        Detail::Assurance(direction) => *direction == Some(Direction::Increase),
        Detail::Risk { level, .. } => *level < least,
        Detail::None | Detail::Credential { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(of: Type, detail: Detail) -> Happened {
        Happened { of, detail, at: None, initiating_entity: None, reason_admin: None, reason_user: None }
    }

    #[test]
    fn each_event_does_by_default_what_the_readme_says() {
        use Action::{Hold, Ignore, Lift, Reestablish, Terminate};
        let credential = |change, credential: &str| Detail::Credential { change, credential: credential.into() };
        let risk = |level| Detail::Risk { principal: "USER".into(), level };
        for (name, detail, expected) in [
            ("session-revoked", Detail::None, Terminate),
            ("token-claims-change", Detail::None, Reestablish),
            ("credential-change", credential(Change::Create, "password"), Ignore),
            ("credential-change", credential(Change::Update, "password"), Reestablish),
            ("credential-change", credential(Change::Update, "fido2-roaming"), Ignore),
            ("credential-change", credential(Change::Update, "ALL_FACTORS"), Reestablish),
            ("credential-change", credential(Change::Revoke, "fido2-roaming"), Reestablish),
            ("credential-change", credential(Change::Delete, "app"), Reestablish),
            ("assurance-level-change", Detail::Assurance(Some(Direction::Decrease)), Reestablish),
            ("assurance-level-change", Detail::Assurance(None), Reestablish),
            ("assurance-level-change", Detail::Assurance(Some(Direction::Increase)), Ignore),
            ("device-compliance-change", Detail::Compliance(Compliance::NotCompliant), Hold),
            ("device-compliance-change", Detail::Compliance(Compliance::Compliant), Lift),
            ("session-established", Detail::None, Ignore),
            ("session-presented", Detail::None, Ignore),
            ("risk-level-change", risk(Level::High), Reestablish),
            ("risk-level-change", risk(Level::Medium), Ignore),
            ("risk-level-change", risk(Level::Low), Ignore),
            ("account-credential-change-required", Detail::None, Reestablish),
            ("account-purged", Detail::None, Hold),
            ("account-disabled", Detail::None, Hold),
            ("account-enabled", Detail::None, Lift),
            ("identifier-changed", Detail::None, Reestablish),
            ("identifier-recycled", Detail::None, Terminate),
            ("credential-compromise", Detail::None, Terminate),
            ("opt-in", Detail::None, Ignore),
            ("opt-out-initiated", Detail::None, Ignore),
            ("opt-out-cancelled", Detail::None, Ignore),
            ("opt-out-effective", Detail::None, Ignore),
            ("recovery-activated", Detail::None, Ignore),
            ("recovery-information-changed", Detail::None, Ignore),
            ("sessions-revoked", Detail::None, Terminate),
            ("tokens-revoked", Detail::None, Terminate),
            ("token-revoked", Detail::None, Terminate),
            ("prov:activate", Detail::None, Lift),
            ("prov:deactivate", Detail::None, Hold),
            ("prov:delete", Detail::None, Hold),
            ("urn:x:new", Detail::None, Ignore),
        ] {
            let action = Rules::default().action(&happened(Type::named(name), detail.clone()), true);
            assert_eq!(action, expected, "{name} {detail:?}");
        }
    }

    #[test]
    fn a_stream_says_otherwise_by_type_by_who_caused_it_and_from_which_level_on() {
        let rules: Rules = [
            (
                Type::SessionRevoked,
                Rule { action: Some(Action::Hold), by_user: Some(Action::Reestablish), at_least: None },
            ),
            (Type::CredentialChange, Rule { action: Some(Action::Terminate), ..Rule::default() }),
            (
                Type::RiskLevelChange,
                Rule { action: Some(Action::Terminate), at_least: Some(Level::Medium), ..Rule::default() },
            ),
            (Type::DeviceComplianceChange, Rule { action: Some(Action::Ignore), ..Rule::default() }),
            (Type::Other("urn:x".into()), Rule { action: Some(Action::Terminate), ..Rule::default() }),
        ]
        .into_iter()
        .collect();
        let risk = |level| Detail::Risk { principal: "USER".into(), level };
        let created = Detail::Credential { change: Change::Create, credential: "app".into() };
        let by =
            |initiator| Happened { initiating_entity: Some(initiator), ..happened(Type::SessionRevoked, Detail::None) };
        for (happened, expected) in [
            (happened(Type::SessionRevoked, Detail::None), Action::Hold),
            (by(Initiator::Admin), Action::Hold),
            (by(Initiator::User), Action::Reestablish),
            (happened(Type::CredentialChange, created), Action::Ignore),
            (happened(Type::RiskLevelChange, risk(Level::Medium)), Action::Terminate),
            (happened(Type::RiskLevelChange, risk(Level::Low)), Action::Ignore),
            (happened(Type::DeviceComplianceChange, Detail::Compliance(Compliance::NotCompliant)), Action::Ignore),
            (happened(Type::DeviceComplianceChange, Detail::Compliance(Compliance::Compliant)), Action::Lift),
            (happened(Type::Other("urn:x".into()), Detail::None), Action::Terminate),
            (happened(Type::Other("urn:y".into()), Detail::None), Action::Ignore),
        ] {
            assert_eq!(rules.action(&happened, true), expected, "{happened:?}");
        }
        let asked = rules.acts_on(None);
        for (of, expected) in [
            (Type::SessionRevoked, true),
            (Type::AccountEnabled, true),
            (Type::DeviceComplianceChange, false),
            (Type::SessionPresented, false),
            (Type::Other("urn:x".into()), true),
        ] {
            assert_eq!(asked.contains(&of), expected, "{of:?} is asked for");
        }
        assert_eq!(rules.acts_on(Some(&[Type::SessionRevoked, Type::SessionPresented])), [Type::SessionRevoked]);
    }

    #[test]
    fn what_the_person_caused_does_less_only_where_it_names_nothing_but_the_person() {
        let rule = Rule { by_user: Some(Action::Reestablish), ..Rule::default() };
        let rules: Rules = [(Type::SessionRevoked, rule)].into_iter().collect();
        let by = |initiating_entity| Happened { initiating_entity, ..happened(Type::SessionRevoked, Detail::None) };
        for (initiator, only_a_person, expected) in [
            (Some(Initiator::User), true, Action::Reestablish),
            (Some(Initiator::User), false, Action::Terminate),
            (Some(Initiator::Admin), true, Action::Terminate),
            (None, true, Action::Terminate),
        ] {
            assert_eq!(rules.action(&by(initiator), only_a_person), expected, "{initiator:?} {only_a_person}");
        }
    }

    #[test]
    fn a_hold_that_an_event_is_told_to_make_is_lifted_by_its_opposite_and_by_nothing_else() {
        let risk = |level| Detail::Risk { principal: "USER".into(), level };
        let created = || Detail::Credential { change: Change::Create, credential: "password".into() };
        for (of, detail, with_hold, with_terminate) in [
            (Type::RiskLevelChange, risk(Level::High), Action::Hold, Action::Terminate),
            (Type::RiskLevelChange, risk(Level::Medium), Action::Lift, Action::Ignore),
            (Type::RiskLevelChange, risk(Level::Low), Action::Lift, Action::Ignore),
            (Type::AssuranceLevelChange, Detail::Assurance(None), Action::Hold, Action::Terminate),
            (Type::AssuranceLevelChange, Detail::Assurance(Some(Direction::Increase)), Action::Lift, Action::Ignore),
            (Type::CredentialChange, created(), Action::Ignore, Action::Ignore),
        ] {
            for (action, expected) in [(Action::Hold, with_hold), (Action::Terminate, with_terminate)] {
                let rule = Rule { action: Some(action), ..Rule::default() };
                let rules: Rules = [(of.clone(), rule)].into_iter().collect();
                assert_eq!(
                    rules.action(&happened(of.clone(), detail.clone()), true),
                    expected,
                    "{detail:?} {action:?}"
                );
            }
        }
    }
}

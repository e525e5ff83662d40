//! The types of events that are known here, by their names.

/// The type of an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// CAEP §3.1: sessions are over.
    SessionRevoked,
    /// CAEP §3.2: a claim of a token changed.
    TokenClaimsChange,
    /// CAEP §3.3: a credential was made, changed or taken away.
    CredentialChange,
    /// CAEP §3.4: the person is authenticated more, or less, strongly than they were.
    AssuranceLevelChange,
    /// CAEP §3.5: a device complies with the rules, or does not.
    DeviceComplianceChange,
    /// CAEP §3.6: a session was begun.
    SessionEstablished,
    /// CAEP §3.7: a session was used.
    SessionPresented,
    /// CAEP §3.8: a risk is rated anew.
    RiskLevelChange,
    /// RISC §2.1: the account has to change a credential.
    AccountCredentialChangeRequired,
    /// RISC §2.2: the account is gone for good.
    AccountPurged,
    /// RISC §2.3: the account is disabled.
    AccountDisabled,
    /// RISC §2.4: the account is enabled again.
    AccountEnabled,
    /// RISC §2.5: the address or number that is named is no longer the account's.
    IdentifierChanged,
    /// RISC §2.6: the address or number that is named is somebody else's now.
    IdentifierRecycled,
    /// RISC §2.7: a credential was found in wrong hands.
    CredentialCompromise,
    /// RISC §2.8.1: the account takes part.
    OptIn,
    /// RISC §2.8.2: it wants to take part no longer.
    OptOutInitiated,
    /// RISC §2.8.3: it does after all.
    OptOutCancelled,
    /// RISC §2.8.4: no more is said about it.
    OptOutEffective,
    /// RISC §2.9: somebody recovers the account.
    RecoveryActivated,
    /// RISC §2.10: the way to recover it changed.
    RecoveryInformationChanged,
    /// RISC §2.11 (deprecated, and still sent): all sessions of the account are over.
    SessionsRevoked,
    /// Google: all tokens of the account are revoked.
    TokensRevoked,
    /// Google: one token is revoked.
    TokenRevoked,
    /// RFC 9967: the account is active.
    ScimActivate,
    /// RFC 9967: the account is not active.
    ScimDeactivate,
    /// RFC 9967: the account is deleted.
    ScimDelete,
    /// A type that is not known here, by its URI.
    Other(String),
}

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const OAUTH: &str = "https://schemas.openid.net/secevent/oauth/event-type/";
const SCIM: &str = "urn:ietf:params:scim:event:";

/// Every known type: whose it is, and its name there. The names are unique.
const KNOWN: [(Type, &str, &str); 27] = [
    (Type::SessionRevoked, CAEP, "session-revoked"),
    (Type::TokenClaimsChange, CAEP, "token-claims-change"),
    (Type::CredentialChange, CAEP, "credential-change"),
    (Type::AssuranceLevelChange, CAEP, "assurance-level-change"),
    (Type::DeviceComplianceChange, CAEP, "device-compliance-change"),
    (Type::SessionEstablished, CAEP, "session-established"),
    (Type::SessionPresented, CAEP, "session-presented"),
    (Type::RiskLevelChange, CAEP, "risk-level-change"),
    (Type::AccountCredentialChangeRequired, RISC, "account-credential-change-required"),
    (Type::AccountPurged, RISC, "account-purged"),
    (Type::AccountDisabled, RISC, "account-disabled"),
    (Type::AccountEnabled, RISC, "account-enabled"),
    (Type::IdentifierChanged, RISC, "identifier-changed"),
    (Type::IdentifierRecycled, RISC, "identifier-recycled"),
    (Type::CredentialCompromise, RISC, "credential-compromise"),
    (Type::OptIn, RISC, "opt-in"),
    (Type::OptOutInitiated, RISC, "opt-out-initiated"),
    (Type::OptOutCancelled, RISC, "opt-out-cancelled"),
    (Type::OptOutEffective, RISC, "opt-out-effective"),
    (Type::RecoveryActivated, RISC, "recovery-activated"),
    (Type::RecoveryInformationChanged, RISC, "recovery-information-changed"),
    (Type::SessionsRevoked, RISC, "sessions-revoked"),
    (Type::TokensRevoked, OAUTH, "tokens-revoked"),
    (Type::TokenRevoked, OAUTH, "token-revoked"),
    (Type::ScimActivate, SCIM, "prov:activate"),
    (Type::ScimDeactivate, SCIM, "prov:deactivate"),
    (Type::ScimDelete, SCIM, "prov:delete"),
];

impl Type {
    /// The type with that URI.
    pub fn of(uri: &str) -> Self {
        let known = KNOWN.iter().find(|(_, base, name)| uri.strip_prefix(base) == Some(name));
        known.map_or_else(|| Self::Other(uri.to_owned()), |(of, ..)| of.clone())
    }

    /// The type of that short name, or with that URI.
    pub fn named(word: &str) -> Self {
        let known = KNOWN.iter().find(|(.., name)| *name == word);
        known.map_or_else(|| Self::of(word), |(of, ..)| of.clone())
    }

    /// Its URI.
    pub fn uri(&self) -> String {
        match self {
            Self::Other(uri) => uri.clone(),
            of => KNOWN
                .iter()
                .find(|(known, ..)| known == of)
                .map_or_else(String::new, |(_, base, name)| format!("{base}{name}")),
        }
    }

    /// Its short name; the URI of a type that is not known here.
    pub fn name(&self) -> &str {
        match self {
            Self::Other(uri) => uri,
            of => KNOWN.iter().find(|(known, ..)| known == of).map_or("", |(.., name)| name),
        }
    }

    /// Every type that is known here.
    pub fn known() -> impl Iterator<Item = Self> {
        KNOWN.iter().map(|(of, ..)| of.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_one_name_and_is_found_by_it_and_by_its_uri() {
        for (of, base, name) in &KNOWN {
            let uri = format!("{base}{name}");
            assert_eq!((Type::of(&uri), Type::named(name), Type::named(&uri)), (of.clone(), of.clone(), of.clone()));
            assert_eq!((of.uri(), of.name()), (uri, *name));
            assert_eq!(KNOWN.iter().filter(|(.., other)| other == name).count(), 1, "{name}");
        }
        assert_eq!(Type::known().count(), KNOWN.len());
        for other in ["session-revoked", "urn:x", "https://schemas.openid.net/secevent/risc/event-type/session-revoked"]
        {
            assert_eq!(Type::of(other), Type::Other(other.to_owned()));
        }
    }
}

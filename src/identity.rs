//! Who a person is according to an IdP, and every handle by which that person can be revoked.
//!
//! An [`Identity`] is parsed from an assertion once, at login. It yields its [`Target`]s; each target is hashed to
//! a [`TargetKey`] once, and only the keys travel in the sealed cookie and are looked up per request.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Targets that one identity can carry. Groups beyond the bound cannot be addressed by a group revocation;
/// the login that meets the bound says so in the log.
pub const MAX_TARGETS: usize = 32;

/// An OpenID issuer, byte for byte as configured (OpenID Connect Core §2, `iss`). Never folded or normalised.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Issuer(Arc<str>);

/// Why a text is no issuer.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIssuer {
    /// It is not an absolute URL with a host.
    #[error("it is not an absolute URL")]
    NotUrl,
    /// It is neither https, nor http on this machine.
    #[error("it must be https (plain http only on loopback)")]
    NotHttps,
    /// It carries a query or a fragment (OpenID Connect Discovery §3 forbids both).
    #[error("it must have no query and no fragment")]
    QueryOrFragment,
}

impl Issuer {
    /// Accepts an https URL without query or fragment, and plain http for loopback hosts.
    pub fn parse(text: &str) -> Result<Self, InvalidIssuer> {
        let url = url::Url::parse(text).map_err(|_| InvalidIssuer::NotUrl)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidIssuer::QueryOrFragment);
        }
        match (url.scheme(), url.host_str()) {
            ("https", Some(_)) => Ok(Self(text.into())),
            ("http", Some(host)) if is_loopback(host) => Ok(Self(text.into())),
            (_, None) => Err(InvalidIssuer::NotUrl),
            _ => Err(InvalidIssuer::NotHttps),
        }
    }

    /// The issuer as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// True for the names and addresses of this machine: `localhost`, `*.localhost`, 127.0.0.0/8, `::1`.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare.ends_with(".localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An e-mail address in the form that we compare: trimmed, one `@`, lower case throughout.
///
/// Lower-casing the local part may revoke a neighbour that only a case-sensitive mail server tells apart; that is
/// the safe side for a kill, and access rules compare whole domains only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Parses an address; `None` unless it is exactly `local@domain` in plain characters.
    ///
    /// Quoted local parts, several `@`, blanks, control characters and non-ASCII domains are not addresses here:
    /// each has been used to make two programs disagree about the domain.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.trim().to_lowercase();
        let (local, domain) = lower.split_once('@')?;
        let plain = |c: char| !c.is_control() && !c.is_whitespace() && c != '"' && c != '@';
        let domain_ok = !domain.is_empty()
            && domain.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
            && domain.split('.').all(|label| !label.is_empty());
        (!local.is_empty() && local.chars().all(plain) && domain_ok).then_some(Self(lower))
    }

    /// The normalised address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

/// By which handle a target names people.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TargetKind {
    /// One person, by the IdP's `sub`.
    User = 1,
    /// One person, by e-mail address.
    Email = 2,
    /// One person, by phone number.
    Phone = 3,
    /// One session at the IdP, by `sid`.
    Session = 4,
    /// One device.
    Device = 5,
    /// Everybody of a tenant.
    Tenant = 6,
    /// Everybody of a group.
    Group = 7,
    /// Everybody of an organisational unit.
    OrgUnit = 8,
    /// Everybody that the IdP signs in.
    Everyone = 9,
    /// One session of this gateway, by its own id (sign-out).
    Gateway = 10,
}

impl TargetKind {
    /// All kinds, in the order of their codes.
    pub const ALL: [Self; 10] = [
        Self::User,
        Self::Email,
        Self::Phone,
        Self::Session,
        Self::Device,
        Self::Tenant,
        Self::Group,
        Self::OrgUnit,
        Self::Everyone,
        Self::Gateway,
    ];

    /// The kind with that code, as it stands in a sealed cookie.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }

    /// The word that people read and type.
    pub const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Session => "session",
            Self::Device => "device",
            Self::Tenant => "tenant",
            Self::Group => "group",
            Self::OrgUnit => "org_unit",
            Self::Everyone => "everyone",
            Self::Gateway => "gateway_session",
        }
    }

    /// True where the handle names one person, however it names them.
    pub const fn names_a_person(self) -> bool {
        matches!(self, Self::User | Self::Email | Self::Phone)
    }
}

/// One handle by which people can be revoked, within the people of one issuer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Whose people: a target never reaches beyond the issuer that asserted them.
    pub issuer: Issuer,
    /// Which handle.
    pub kind: TargetKind,
    /// Its value, normalised per kind; empty for `Everyone`.
    pub value: String,
}

impl Target {
    /// A target with `value` brought to the form that is compared: e-mail folded, phone reduced to `+` and digits,
    /// everything else byte for byte. `None` if the value is empty or no value of that kind.
    pub fn new(issuer: &Issuer, kind: TargetKind, value: &str) -> Option<Self> {
        let value = match kind {
            TargetKind::Email => Email::parse(value)?.0,
            TargetKind::Phone => value.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect(),
            TargetKind::Everyone => return Some(Self::everyone(issuer)),
            TargetKind::User
            | TargetKind::Session
            | TargetKind::Device
            | TargetKind::Tenant
            | TargetKind::Group
            | TargetKind::OrgUnit
            | TargetKind::Gateway => value.to_owned(),
        };
        (!value.is_empty()).then(|| Self { issuer: issuer.clone(), kind, value })
    }

    /// Everybody whom `issuer` signs in.
    pub fn everyone(issuer: &Issuer) -> Self {
        Self { issuer: issuer.clone(), kind: TargetKind::Everyone, value: String::new() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TargetKind::Everyone => f.write_str("everyone"),
            kind => write!(f, "{} {}", kind.word(), self.value),
        }
    }
}

/// A target as the hot path sees it: a keyed hash of 128 bits. Equal keys are the same target.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetKey(pub u128);

impl TargetKey {
    /// The same target, seen in one app only. A revocation limited to an app is stored under this key.
    #[must_use]
    pub const fn in_app(self, app: AppKey) -> Self {
        Self(self.0 ^ app.0)
    }
}

impl fmt::Debug for TargetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// An app's name as 128 bits, mixed into target keys to limit a revocation to that app.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppKey(u128);

impl AppKey {
    /// The key of the app of that name. It need not be secret: it is only ever mixed with keyed hashes.
    pub fn of(name: &str) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
        Self(first_128_bits(digest.as_ref()))
    }
}

/// Turns targets into keys. Keyed, so that nobody outside can make two targets collide or guess them from a key.
#[derive(Clone)]
pub struct TargetHasher(hmac::Key);

impl TargetHasher {
    /// A hasher under 32 bytes of key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The key of `target`. Fields are length-prefixed, so no two targets share an encoding.
    pub fn key(&self, target: &Target) -> TargetKey {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&[target.kind as u8]);
        context.update(&(target.issuer.0.len() as u64).to_be_bytes());
        context.update(target.issuer.0.as_bytes());
        context.update(target.value.as_bytes());
        TargetKey(first_128_bits(context.sign().as_ref()))
    }

    /// A number for `text` that nobody without the key can connect with it, and that is no target's key.
    pub fn number(&self, text: &str) -> u128 {
        let mut context = hmac::Context::with_key(&self.0);
        // No kind of target.
        context.update(&[u8::MAX]);
        context.update(text.as_bytes());
        first_128_bits(context.sign().as_ref())
    }
}

impl fmt::Debug for TargetHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TargetHasher")
    }
}

/// The first 16 bytes of a digest as a number (digests here have 32).
fn first_128_bits(digest: &[u8]) -> u128 {
    digest.iter().take(16).fold(0, |acc, byte| (acc << 8) | u128::from(*byte))
}

/// The facts of one assertion about one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who says so.
    pub issuer: Issuer,
    /// The person, in the issuer's words (`sub`).
    pub subject: String,
    /// The session at the IdP (`sid`), if it was named.
    pub sid: Option<String>,
    /// The address, if it was given, parsed, and not said to be unverified.
    pub email: Option<Email>,
    /// The phone number, if it was given.
    pub phone: Option<String>,
    /// The name that the person types, for apps that show it.
    pub preferred_username: Option<String>,
    /// Groups, as asserted.
    pub groups: Vec<String>,
    /// Tenant, if the IdP has such a claim.
    pub tenant: Option<String>,
    /// Device, if the IdP has such a claim.
    pub device: Option<String>,
    /// When the assertion was made (`iat`).
    pub asserted_at: Timestamp,
    /// When the person last proved who they are (`auth_time`). `None` proves nothing.
    pub auth_time: Option<Timestamp>,
    /// The IdP's ceiling for sessions made from this assertion (`session_expiry`, IPSIE SL1).
    pub session_expiry: Option<Timestamp>,
}

impl Identity {
    /// Every target that a revocation of this person can use, at most [`MAX_TARGETS`]; the narrow ones come first,
    /// groups last, so that only groups can be cut off by the bound.
    pub fn targets(&self) -> Vec<Target> {
        let single = [
            (TargetKind::User, Some(self.subject.as_str())),
            (TargetKind::Session, self.sid.as_deref()),
            (TargetKind::Email, self.email.as_ref().map(Email::as_str)),
            (TargetKind::Phone, self.phone.as_deref()),
            (TargetKind::Device, self.device.as_deref()),
            (TargetKind::Tenant, self.tenant.as_deref()),
            (TargetKind::Everyone, Some("")),
        ];
        single
            .into_iter()
            .filter_map(|(kind, value)| Target::new(&self.issuer, kind, value?))
            .chain(self.groups.iter().filter_map(|g| Target::new(&self.issuer, TargetKind::Group, g)))
            .take(MAX_TARGETS)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> Issuer {
        Issuer::parse("https://idp.example.com").expect("issuer")
    }

    #[test]
    fn an_issuer_is_https_or_loopback_and_has_no_query() {
        for (text, expected) in [
            ("https://idp.example.com", Ok(())),
            ("https://idp.example.com/realms/a", Ok(())),
            ("http://127.0.0.9:4000", Ok(())),
            ("http://idp.localhost:4000", Ok(())),
            ("http://[::1]:4000", Ok(())),
            ("http://idp.example.com", Err(InvalidIssuer::NotHttps)),
            ("http://localhost.evil.com", Err(InvalidIssuer::NotHttps)),
            ("ftp://idp.example.com", Err(InvalidIssuer::NotHttps)),
            ("idp.example.com", Err(InvalidIssuer::NotUrl)),
            ("https://idp.example.com?x=1", Err(InvalidIssuer::QueryOrFragment)),
            ("https://idp.example.com/#x", Err(InvalidIssuer::QueryOrFragment)),
        ] {
            assert_eq!(Issuer::parse(text).map(|_| ()), expected, "`{text}`");
        }
    }

    #[test]
    fn an_email_has_one_at_sign_and_a_plain_domain() {
        for text in [
            "a@evil.com@corp.com",
            "\"a@corp.com\"@evil.com",
            "a b@corp.com",
            "@corp.com",
            "a@",
            "a@corp..com",
            "a@cörp.com",
            "a@corp\u{3002}com",
            "corp.com",
        ] {
            assert_eq!(Email::parse(text), None, "`{text}`");
        }
        assert_eq!(Email::parse(" Ann.Lee@Corp.COM ").map(|e| e.domain().to_owned()), Some("corp.com".to_owned()));
    }

    #[test]
    fn the_same_value_of_another_kind_or_issuer_is_another_target() {
        let hasher = TargetHasher::new(&[7; 32]);
        let other = Issuer::parse("https://other.example.com").expect("issuer");
        let keys: Vec<_> = [
            Target::new(&issuer(), TargetKind::User, "ann"),
            Target::new(&issuer(), TargetKind::Session, "ann"),
            Target::new(&other, TargetKind::User, "ann"),
            Target::new(&issuer(), TargetKind::User, "Ann"),
        ]
        .into_iter()
        .flatten()
        .map(|t| hasher.key(&t))
        .collect();
        assert_eq!(keys.len(), 4);
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys.iter().skip(i + 1).any(|other| other == key), "target {i} collides");
        }
    }

    #[test]
    fn only_groups_are_cut_off_by_the_bound() {
        let identity = Identity {
            issuer: issuer(),
            subject: "ann".into(),
            sid: Some("s1".into()),
            email: Email::parse("ann@corp.com"),
            phone: Some("+1 206 555 0123".into()),
            preferred_username: None,
            groups: (0..100).map(|n| format!("g{n}")).collect(),
            tenant: Some("t".into()),
            device: Some("d".into()),
            asserted_at: Timestamp::from_secs(1),
            auth_time: None,
            session_expiry: None,
        };
        let targets = identity.targets();
        assert_eq!(targets.len(), MAX_TARGETS);
        for kind in [
            TargetKind::User,
            TargetKind::Session,
            TargetKind::Email,
            TargetKind::Phone,
            TargetKind::Device,
            TargetKind::Tenant,
            TargetKind::Everyone,
        ] {
            assert!(targets.iter().any(|t| t.kind == kind), "{kind:?} is missing");
        }
        assert!(targets.iter().any(|t| t.value == "+12065550123"));
    }
}

//! From the subject of an event to the people it names, separately for each issuer that the stream speaks for.

use super::{Ignored, Refused, Settings, SpokenFor, Unmatched};
use crate::event::{Detail, Happened, Role, Simple, Subject, Type};
use crate::identity::{Issuer, Target, TargetKind};
use crate::revocation::Whom;

/// The most revocations that one subject may come to: eight aliases at each of eight issuers.
const MAX_WHOMS: usize = 64;

/// Whom a subject names.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) whoms: Vec<Whom>,
    pub(super) unmatched: Vec<Unmatched>,
    pub(super) ignored: Vec<Ignored>,
}

impl Settings {
    /// True where a subject that names the issuer `named` means the people of `issuer`: byte for byte, or by a name that
    /// the config or the preset knows. Nothing is folded.
    fn means(&self, named: &str, issuer: &Issuer) -> bool {
        named == issuer.as_str()
            || self.subject_issuers.iter().any(|alias| alias.named == named && alias.issuer == *issuer)
            || self.quirks.is_another_name(named, issuer)
    }
}

/// Names the people of `subject` among those that the stream speaks for. A simple one is `alone` to say whom it means.
pub(super) fn name(subject: &Subject, alone: Alone, settings: &Settings) -> Result<Named, Refused> {
    let Some(members) = members(subject, alone) else { return Ok(nobody(subject)) };
    let mut named = Named::default();
    for (role, _) in &members {
        if let Role::Other(member) = role {
            if settings.critical_members.contains(member) {
                return Ok(discarded(member));
            }
            named.ignored.push(Ignored::Member(member.clone()));
        }
    }

    let mut foreign = false;
    let (mut concerned, mut other_application) = (false, false);
    for issuer in issuers(&settings.speaks_for) {
        let facts: Vec<Fact<'_>> = members
            .iter()
            .filter(|(role, _)| !matches!(role, Role::Other(_)))
            .map(|(role, names)| Fact::find(role, names, issuer, settings))
            .collect();
        foreign |= facts.iter().any(|fact| fact.found.is_foreign());
        let unknown = facts.iter().filter(|fact| fact.found.is_unknown());
        // Somebody else's people are refused, below; what is merely not understood is discarded where it is critical.
        let not_understood = |fact: &&Fact<'_>| !fact.found.is_foreign() || fact.only_narrows();
        let critical = |fact: &&Fact<'_>| settings.critical_members.iter().any(|name| name == fact.role.name());
        if let Some(fact) = unknown.clone().filter(not_understood).find(critical) {
            return Ok(discarded(fact.role.name()));
        }
        if facts.iter().any(|fact| matches!(fact.found, Found::OtherApplication)) {
            other_application = true;
            continue;
        }
        if facts.iter().any(|fact| matches!(fact.found, Found::Elsewhere)) {
            continue;
        }
        concerned = true;
        for fact in unknown {
            let note = Unmatched::Format { role: fact.role.name().to_owned(), format: fact.format() };
            if !named.unmatched.contains(&note) {
                named.unmatched.push(note);
            }
        }
        // Law 8: a fact that no identity knows is passed over only where it narrows a person or tenant that is known.
        let (anchored, person) = (facts.iter().any(Fact::is_anchor), facts.iter().any(Fact::is_person));
        let passed_over = |fact: &Fact<'_>| match fact.role {
            Role::Session | Role::Device => person,
            _ => anchored && fact.only_narrows(),
        };
        if facts.iter().any(|fact| fact.found.is_unknown() && !passed_over(fact)) {
            continue;
        }
        let choices: Vec<&[Target]> = facts.iter().filter_map(|fact| fact.found.targets()).collect();
        named.whoms.extend(combinations(&choices)?.into_iter().filter_map(Whom::all_of));
        if facts.iter().any(|fact| fact.foreign_alias) && !named.ignored.contains(&Ignored::Alias) {
            named.ignored.push(Ignored::Alias);
        }
        if named.whoms.len() > MAX_WHOMS {
            return Err(Refused::TooMany);
        }
    }

    if named.whoms.is_empty() {
        if other_application && !concerned {
            named.ignored.push(Ignored::Application);
            named.unmatched.clear();
        } else if foreign || settings.speaks_for.is_empty() {
            return Err(Refused::Issuer);
        } else if named.unmatched.is_empty() {
            named.unmatched.push(Unmatched::Nobody);
        }
    }
    Ok(named)
}

fn discarded(member: &str) -> Named {
    Named { unmatched: vec![Unmatched::CriticalMember(member.to_owned())], ..Named::default() }
}

/// The subject is of a kind that nobody here is known by.
fn nobody(subject: &Subject) -> Named {
    let format = match subject {
        Subject::Simple(simple) => simple.format().to_owned(),
        Subject::Complex(_) => "complex".to_owned(),
        Subject::Stream => "none".to_owned(),
    };
    Named { unmatched: vec![Unmatched::Format { role: "principal".to_owned(), format }], ..Named::default() }
}

/// What a simple subject describes (SSF §8.1.3.1 leaves this open): it depends on the event.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Alone {
    /// A session where it is opaque, because that is how CAEP §3.1 names one; else a person.
    SessionOrPerson,
    /// A person.
    Person,
    /// A device.
    Device,
    /// A session.
    Session,
    /// A tenant.
    Tenant,
    /// A group.
    Group,
    /// An organisational unit.
    OrgUnit,
    /// Something that is not known here.
    Unknown,
}

impl Alone {
    /// What the simple subject of such an event describes: what CAEP's examples show, and what a risk says of itself.
    pub(super) fn of(happened: &Happened) -> Self {
        match (&happened.of, &happened.detail) {
            (Type::SessionRevoked | Type::SessionEstablished | Type::SessionPresented, _) => Self::SessionOrPerson,
            (Type::DeviceComplianceChange, _) => Self::Device,
            (_, Detail::Risk { principal, .. }) => match principal.as_str() {
                "USER" => Self::Person,
                "DEVICE" => Self::Device,
                "SESSION" => Self::Session,
                "TENANT" => Self::Tenant,
                "GROUP" => Self::Group,
                "ORG_UNIT" => Self::OrgUnit,
                _ => Self::Unknown,
            },
            _ => Self::Person,
        }
    }

    /// The role of `simple` then.
    const fn role(self, simple: &Simple) -> Option<Role> {
        Some(match (self, simple) {
            (Self::Unknown, _) => return None,
            // A token's or an assertion's id is as good as a session's.
            (Self::SessionOrPerson, Simple::Opaque(_))
            | (Self::Session, _)
            | (_, Simple::JwtId { .. } | Simple::SamlAssertionId { .. }) => Role::Session,
            (Self::SessionOrPerson | Self::Person, _) => Role::User,
            (Self::Device, _) => Role::Device,
            (Self::Tenant, _) => Role::Tenant,
            (Self::Group, _) => Role::Group,
            (Self::OrgUnit, _) => Role::OrgUnit,
        })
    }
}

/// One member of a subject: its role, and its alternative names with theirs.
type Member<'a> = (Role, Vec<(Role, &'a Simple)>);

/// A subject as members. A simple subject is a complex one of a single member.
fn members(subject: &Subject, alone: Alone) -> Option<Vec<Member<'_>>> {
    match subject {
        Subject::Stream => Some(Vec::new()),
        Subject::Simple(simple) => {
            let names =
                alternatives(simple).iter().map(|name| Some((alone.role(name)?, name))).collect::<Option<_>>()?;
            Some(vec![(alone.role(simple)?, names)])
        }
        Subject::Complex(facts) => {
            let names = |role: &Role, simple| alternatives(simple).iter().map(|name| (role.clone(), name)).collect();
            Some(facts.iter().map(|(role, simple)| (role.clone(), names(role, simple))).collect())
        }
    }
}

/// Whether a subject says who it is about, and nothing of which session or device of theirs.
pub(super) fn is_only_a_person(subject: &Subject, alone: Alone) -> bool {
    let Some(members) = members(subject, alone) else { return false };
    let narrower = |role: &Role| matches!(role, Role::Session | Role::Device);
    members.iter().any(|(role, _)| *role == Role::User)
        && !members.iter().any(|(role, names)| narrower(role) || names.iter().any(|(role, _)| narrower(role)))
}

fn alternatives(simple: &Simple) -> &[Simple] {
    match simple {
        Simple::Aliases(names) => names,
        one => std::slice::from_ref(one),
    }
}

/// Each issuer once, in the configured order.
fn issuers(speaks_for: &[SpokenFor]) -> Vec<&Issuer> {
    let mut issuers: Vec<&Issuer> = Vec::new();
    for idp in speaks_for {
        if !issuers.contains(&&idp.issuer) {
            issuers.push(&idp.issuer);
        }
    }
    issuers
}

/// One member of a subject, as it looks to the people of one issuer.
struct Fact<'a> {
    role: &'a Role,
    names: &'a [(Role, &'a Simple)],
    found: Found,
    /// True if it has targets, but also a name by an issuer that the stream does not speak for.
    foreign_alias: bool,
}

/// What one member, or one of its names, is to the people of one issuer.
enum Found {
    /// Any of these targets.
    Targets(Vec<Target>),
    /// This gateway, as an application: true of everybody here.
    ThisApplication,
    /// Another application.
    OtherApplication,
    /// It belongs to another issuer that the stream speaks for.
    Elsewhere,
    /// It belongs to an issuer that the stream does not speak for.
    Foreign,
    /// Nobody here is known by such a name.
    Unknown,
}

impl Found {
    const fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign)
    }

    const fn is_unknown(&self) -> bool {
        matches!(self, Self::Foreign | Self::Unknown)
    }

    fn targets(&self) -> Option<&[Target]> {
        match self {
            Self::Targets(targets) => Some(targets),
            Self::ThisApplication | Self::OtherApplication | Self::Elsewhere | Self::Foreign | Self::Unknown => None,
        }
    }

    /// How much a name tells: among aliases the most telling one counts.
    const fn weight(&self) -> u8 {
        match self {
            Self::Targets(_) | Self::ThisApplication => 0,
            Self::Elsewhere | Self::OtherApplication => 1,
            Self::Foreign => 2,
            Self::Unknown => 3,
        }
    }
}

impl<'a> Fact<'a> {
    fn find(role: &'a Role, names: &'a [(Role, &'a Simple)], issuer: &Issuer, settings: &Settings) -> Self {
        let mut targets = Vec::new();
        let mut others = Vec::new();
        for (role, name) in names {
            match find(role, name, issuer, settings) {
                Found::Targets(found) => targets.extend(found),
                other => others.push(other),
            }
        }
        let foreign_alias = !targets.is_empty() && others.iter().any(Found::is_foreign);
        let found = if targets.is_empty() {
            others.into_iter().min_by_key(Found::weight).unwrap_or(Found::Unknown)
        } else {
            Found::Targets(targets)
        };
        Self { role, names, found, foreign_alias }
    }

    /// True where it can find people by itself: they are known by it, or not at all.
    fn is_anchor(&self) -> bool {
        self.found
            .targets()
            .is_some_and(|targets| targets.iter().all(|t| t.kind.names_a_person() || t.kind == TargetKind::Tenant))
    }

    /// True where it finds one person.
    fn is_person(&self) -> bool {
        self.found.targets().is_some_and(|targets| targets.iter().all(|t| t.kind.names_a_person()))
    }

    /// True where it only narrows whom the others name.
    const fn only_narrows(&self) -> bool {
        match self.role {
            Role::Session | Role::Device | Role::Group | Role::OrgUnit | Role::Application => true,
            Role::User | Role::Tenant | Role::Other(_) => false,
        }
    }

    /// The format of its names, for the report.
    fn format(&self) -> String {
        let formats: Vec<&str> = self.names.iter().map(|(_, name)| name.format()).collect();
        formats.join(" ")
    }
}

/// What `name` in `role` is to the people of `issuer`.
fn find(role: &Role, name: &Simple, issuer: &Issuer, settings: &Settings) -> Found {
    let speaks_for = &settings.speaks_for;
    let target = |kind: TargetKind, value: &str| {
        Target::new(issuer, kind, value).map_or(Found::Unknown, |target| Found::Targets(vec![target]))
    };
    let value = match name {
        Simple::Opaque(id) => id,
        Simple::IssSub { iss, sub } if settings.means(iss, issuer) => sub,
        Simple::IssSub { iss, .. } => {
            let ours = speaks_for.iter().any(|idp| settings.means(iss, &idp.issuer));
            return match role {
                _ if ours => Found::Elsewhere,
                Role::Application => Found::OtherApplication,
                _ => Found::Foreign,
            };
        }
        Simple::Email(address) if *role == Role::User => return target(TargetKind::Email, address),
        Simple::PhoneNumber(number) if *role == Role::User => return target(TargetKind::Phone, number),
        Simple::Scim { uri, external_id: Some(id) } if *role == Role::User && is_person(uri.as_deref()) => {
            return target(settings.scim_external_id, id);
        }
        Simple::Scim { .. }
        | Simple::Email(_)
        | Simple::PhoneNumber(_)
        | Simple::Account(_)
        | Simple::Did(_)
        | Simple::Uri(_)
        | Simple::Aliases(_)
        | Simple::JwtId { .. }
        | Simple::SamlAssertionId { .. }
        | Simple::IpAddresses(_)
        | Simple::Other(_) => return Found::Unknown,
    };
    match role {
        Role::User => target(TargetKind::User, value),
        Role::Session => target(TargetKind::Session, value),
        Role::Device => target(TargetKind::Device, value),
        Role::Tenant => target(TargetKind::Tenant, value),
        Role::Group => target(TargetKind::Group, value),
        Role::Application => {
            let ours = speaks_for.iter().any(|idp| idp.issuer == *issuer && idp.client_id == *value);
            if ours { Found::ThisApplication } else { Found::OtherApplication }
        }
        // No assertion that is read here says an organisational unit.
        Role::OrgUnit | Role::Other(_) => Found::Unknown,
    }
}

/// Whether a SCIM resource is a person, as far as it says where it is (RFC 7644 §3.2): a group that is deleted has a name, too,
/// and ends nobody's sessions.
fn is_person(uri: Option<&str>) -> bool {
    let collection = |uri: &str| uri.trim_end_matches('/').rsplit('/').nth(1).map(str::to_owned);
    uri.is_none_or(|uri| collection(uri).is_some_and(|collection| collection.eq_ignore_ascii_case("users")))
}

/// Every way to take one target of each choice. None of none: a subject without facts names nobody.
fn combinations(choices: &[&[Target]]) -> Result<Vec<Vec<Target>>, Refused> {
    let count = choices.iter().fold(1_usize, |count, choice| count.saturating_mul(choice.len()));
    if count > MAX_WHOMS {
        return Err(Refused::TooMany);
    }
    let mut taken = vec![Vec::new()];
    for choice in choices {
        taken = taken
            .into_iter()
            .flat_map(|so_far: Vec<Target>| {
                choice.iter().map(move |target| so_far.iter().chain([target]).cloned().collect())
            })
            .collect();
    }
    Ok(taken)
}

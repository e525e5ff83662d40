//! Revocations that name people by several facts at once: user *and* device, group *and* tenant (law 8).

use crate::identity::{TargetKey, TargetKind};

/// One fact that a person must match.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Which handle.
    pub kind: TargetKind,
    /// Its key.
    pub key: TargetKey,
}

/// What a rule finds when it looks at one member of a person's targets.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Found {
    Equal,
    Different,
    /// The identity never learned this fact.
    Unknown,
}

/// True if a person with `targets` is named by all `members`.
///
/// A fact that the identity never learned is passed over only where it narrows a person or tenant that did match
/// (law 8): "ann on device D" reaches Ann when her device is unknown, "device D" alone reaches nobody then. Nor does
/// "device D of tenant T": the tenant says where to look, and not that everybody there is on that device.
pub(super) fn matches(members: &[Member], targets: &[(TargetKind, TargetKey)]) -> bool {
    let matched = |is: fn(TargetKind) -> bool| members.iter().any(|m| is(m.kind) && look(*m, targets) == Found::Equal);
    let (person, anchored) = (matched(TargetKind::names_a_person), matched(is_anchor));
    !members.is_empty()
        && members.iter().all(|member| match look(*member, targets) {
            Found::Equal => true,
            Found::Different => false,
            Found::Unknown => (person && is_one_of_theirs(member.kind)) || (anchored && is_one_of_many(member.kind)),
        })
}

/// The member under whose key a rule is found. One without person or tenant has no fact that may be passed over: any
/// member finds it.
pub(super) fn anchor(members: &[Member]) -> Option<Member> {
    members.iter().find(|member| is_anchor(member.kind)).or_else(|| members.first()).copied()
}

/// Facts that every identity knows or that must match: a rule is found by one of them.
pub(super) const fn is_anchor(kind: TargetKind) -> bool {
    kind.names_a_person() || matches!(kind, TargetKind::Tenant)
}

/// Facts that nobody is passed over for: whoever matches a rule has exactly this.
pub(super) const fn must_match(kind: TargetKind) -> bool {
    !is_one_of_theirs(kind) && !is_one_of_many(kind)
}

/// Facts that narrow a person down.
const fn is_one_of_theirs(kind: TargetKind) -> bool {
    matches!(kind, TargetKind::Session | TargetKind::Device)
}

/// Facts that narrow a tenant down, and so a person, too.
const fn is_one_of_many(kind: TargetKind) -> bool {
    matches!(kind, TargetKind::Group | TargetKind::OrgUnit)
}

fn look(member: Member, targets: &[(TargetKind, TargetKey)]) -> Found {
    let mut same_kind = targets.iter().filter(|(kind, _)| *kind == member.kind).peekable();
    if same_kind.peek().is_none() {
        Found::Unknown
    } else if same_kind.any(|(_, key)| *key == member.key) {
        Found::Equal
    } else {
        Found::Different
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TargetKind::{Device, Email, Group, Session, Tenant, User};

    fn person(facts: &[(TargetKind, u128)]) -> Vec<(TargetKind, TargetKey)> {
        facts.iter().map(|(kind, key)| (*kind, TargetKey(*key))).collect()
    }

    fn rule(facts: &[(TargetKind, u128)]) -> Vec<Member> {
        facts.iter().map(|(kind, key)| Member { kind: *kind, key: TargetKey(*key) }).collect()
    }

    #[test]
    fn every_member_must_match_and_an_unknown_one_needs_a_person_or_tenant_that_did() {
        let ann = person(&[(User, 1), (Email, 2), (Tenant, 3), (Group, 4), (Group, 5)]);
        let ann_on_d = person(&[(User, 1), (Email, 2), (Tenant, 3), (Device, 9)]);
        for (name, members, who, expected) in [
            ("user", rule(&[(User, 1)]), &ann, true),
            ("another user", rule(&[(User, 7)]), &ann, false),
            ("user and unknown device", rule(&[(User, 1), (Device, 9)]), &ann, true),
            ("user and known device", rule(&[(User, 1), (Device, 9)]), &ann_on_d, true),
            ("user and another device", rule(&[(User, 1), (Device, 8)]), &ann_on_d, false),
            ("another user, same device", rule(&[(User, 7), (Device, 9)]), &ann_on_d, false),
            ("unknown device alone", rule(&[(Device, 9)]), &ann, false),
            ("unknown device and group", rule(&[(Device, 9), (Group, 4)]), &ann, false),
            ("unknown device and tenant", rule(&[(Device, 9), (Tenant, 3)]), &ann, false),
            ("unknown session and tenant", rule(&[(Session, 9), (Tenant, 3)]), &ann, false),
            ("known device and tenant", rule(&[(Device, 9), (Tenant, 3)]), &ann_on_d, true),
            ("unknown group and tenant", rule(&[(Group, 9), (Tenant, 3)]), &ann_on_d, true),
            ("unknown group and user", rule(&[(Group, 9), (User, 1)]), &ann_on_d, true),
            ("unknown device, wrong tenant", rule(&[(Device, 9), (Tenant, 8)]), &ann, false),
            ("unknown session and user", rule(&[(Session, 6), (User, 1)]), &ann, true),
            ("second group", rule(&[(User, 1), (Group, 5)]), &ann, true),
            ("other group", rule(&[(User, 1), (Group, 6)]), &ann, false),
            ("nobody", rule(&[]), &ann, false),
        ] {
            assert_eq!(matches(&members, who), expected, "{name}");
        }
    }
}

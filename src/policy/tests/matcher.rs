//! The whole path from a subject to who is out, against a matcher that is right by inspection: `protocols.md` §3.4 and
//! law 8, read aloud over the subject's JSON. The path is the real one: the parsed subject, the policy's revocations, the
//! revocation set, and the targets of an identity.

use std::hash::{BuildHasher as _, Hasher as _};

use super::*;
use crate::identity::{AppKey, Email, Identity, TargetHasher};
use crate::revocation::{Credential, RevocationSet};

/// What a name in a member is to somebody, the most telling first: among aliases that one counts.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Is {
    Theirs,
    Not,
    /// Nobody ever learned such a thing of them.
    Unlearned,
    /// It is in the words of another issuer whose people are here.
    Elsewhere,
    /// Nobody here reads such a name.
    Unread,
}

/// §3.4 and law 8. Every member that is known must be theirs. A session or device may be unknown beside the person whose
/// it is, a group or unit beside a person or tenant; and a member that says something of somebody has to be theirs at all.
fn names(subject: &Value, who: &Identity, idps: &[SpokenFor]) -> bool {
    let is = |role: &str, id: &Value| alternatives(id).iter().map(|id| lookup(role, id, who, idps)).min();
    let found: Vec<_> = members(subject).iter().map(|(role, id)| (role.clone(), is(role, id))).collect();
    let theirs = |roles: &[&str]| found.iter().any(|(r, is)| roles.contains(&r.as_str()) && *is == Some(Is::Theirs));
    let passed_over = |role: &str| match role {
        "session" | "device" => theirs(&["user"]),
        "group" | "org_unit" | "application" => theirs(&["user", "tenant"]),
        _ => false,
    };
    let unknown = |is: Option<Is>| matches!(is, Some(Is::Unlearned | Is::Unread));
    idps.iter().any(|idp| idp.issuer == who.issuer)
        && theirs(&["user", "tenant", "session", "device", "group"])
        && found.iter().all(|(role, is)| *is == Some(Is::Theirs) || (unknown(*is) && passed_over(role)))
}

/// `S.lookup(m, id.format)` of §3.4.
fn lookup(role: &str, id: &Value, who: &Identity, idps: &[SpokenFor]) -> Is {
    let text = |name: &str| id[name].as_str().expect("well-formed");
    let theirs = |yes: bool| if yes { Is::Theirs } else { Is::Not };
    let same = |known: Option<&str>, value: &str| known.map_or(Is::Unlearned, |known| theirs(known == value));
    let here = |issuer: &str| idps.iter().find(|idp| idp.issuer.as_str() == issuer);
    let value = match text("format") {
        "email" if role == "user" => {
            let Some(address) = Email::parse(text("email")) else { return Is::Unread };
            return same(who.email.as_ref().map(Email::as_str), address.as_str());
        }
        "phone_number" if role == "user" => return same(who.phone.as_deref(), text("phone_number")),
        "opaque" => text("id"),
        "iss_sub" if text("iss") == who.issuer.as_str() => text("sub"),
        "iss_sub" if role == "application" || here(text("iss")).is_some() => return Is::Elsewhere,
        _ => return Is::Unread,
    };
    match role {
        "user" => theirs(who.subject == value),
        "session" => same(who.sid.as_deref(), value),
        "device" => same(who.device.as_deref(), value),
        "tenant" => same(who.tenant.as_deref(), value),
        "group" if who.groups.is_empty() => Is::Unlearned,
        "group" => theirs(who.groups.iter().any(|group| group == value)),
        "application" => theirs(here(who.issuer.as_str()).is_some_and(|idp| idp.client_id == value)),
        _ => Is::Unread,
    }
}

/// The members of a subject; a simple one is one of itself. What nobody here knows is as if it were absent.
fn members(subject: &Value) -> Vec<(String, Value)> {
    if subject["format"] != "complex" {
        let session = ["opaque", "jwt_id"].map(|format| json!(format)).contains(&subject["format"]);
        return vec![(if session { "session" } else { "user" }.to_owned(), subject.clone())];
    }
    let all =
        subject.as_object().expect("an object").iter().filter(|(name, _)| !["format", "rack"].contains(&name.as_str()));
    all.map(|(name, id)| (name.clone(), id.clone())).collect()
}

fn alternatives(id: &Value) -> Vec<Value> {
    id["identifiers"].as_array().cloned().unwrap_or_else(|| vec![id.clone()])
}

/// A simple subject of aliases names whom any of them names.
fn names_by_any(subject: &Value, who: &Identity, idps: &[SpokenFor]) -> bool {
    match subject["format"].as_str() {
        Some("aliases") => alternatives(subject).iter().any(|alias| names(alias, who, idps)),
        _ => names(subject, who, idps),
    }
}

const STRANGER: &str = "https://stranger.example.com";

/// Few words, so that subjects and people share them.
fn word(random: &mut Xorshift, role: &str) -> String {
    match role {
        "application" => (*random.one_of(&["corp-client", "partner-client", "other"])).to_owned(),
        _ => format!("{}{}", role.get(..1).unwrap_or_default(), random.below(3)),
    }
}

fn identifier(random: &mut Xorshift, role: &str) -> Value {
    match random.below(12) {
        0..=4 => opaque(&word(random, role)),
        5..=7 => iss_sub(random.one_of::<&str>(&[IDP, IDP, PARTNER, STRANGER]), &word(random, role)),
        8 => email(random.one_of::<&str>(&["U0@corp.com", "u1@corp.com", "u2@corp.com", "u0@corp@com"])),
        9 => json!({ "format": "phone_number", "phone_number": *random.one_of(&["+10", "+11", "+12"]) }),
        10 => json!({ "format": "jwt_id", "iss": IDP, "jti": "j" }),
        _ => json!({ "format": "employee_number", "number": 7 }),
    }
}

fn subject(random: &mut Xorshift) -> Value {
    let named = |random: &mut Xorshift, role: &str| match random.below(4) {
        0 => aliases(&[identifier(random, role), identifier(random, role)]),
        _ => identifier(random, role),
    };
    if random.below(4) == 0 {
        let role = *random.one_of(&["user", "session"]);
        return named(random, role);
    }
    let mut members = json!({});
    for _ in 0..=random.below(4) {
        let role = *random.one_of(&[
            "user",
            "user",
            "device",
            "session",
            "application",
            "tenant",
            "group",
            "org_unit",
            "rack",
        ]);
        members[role] = named(random, role);
    }
    complex(members)
}

fn identity(random: &mut Xorshift) -> Identity {
    let maybe = |random: &mut Xorshift, role: &str| (random.below(3) > 0).then(|| word(random, role));
    let issuer = *random.one_of(&[IDP, IDP, PARTNER]);
    Identity {
        issuer: Issuer::parse(issuer).expect("issuer"),
        subject: word(random, "user"),
        sid: maybe(random, "session"),
        email: maybe(random, "user").and_then(|user| Email::parse(&format!("{user}@corp.com"))),
        phone: (random.below(2) == 0).then(|| format!("+1{}", random.below(3))),
        preferred_username: None,
        groups: (0..random.below(3)).map(|_| word(random, "group")).collect(),
        tenant: maybe(random, "tenant"),
        device: maybe(random, "device"),
        asserted_at: NOW,
        auth_time: Some(NOW),
        session_expiry: None,
    }
}

/// Who is out after an event about `subject`, by way of everything that is real.
fn is_out(set: &RevocationSet, who: &Identity, hasher: &TargetHasher) -> bool {
    let targets: Vec<_> = who.targets().iter().map(|target| (target.kind, hasher.key(target))).collect();
    let credential = Credential { targets: &targets, asserted_at: NOW, auth_time: Some(NOW), app: AppKey::of("wiki") };
    !set.judge(&credential).is_clear()
}

#[test]
fn whoever_a_subject_names_is_out_and_nobody_else() {
    const FIXED: u64 = 20_261_124;
    const ROUNDS: usize = 6_000;
    let new = std::hash::RandomState::new().build_hasher().finish() | 1;
    for seed in [FIXED, new] {
        println!("seed {seed}");
        let mut random = Xorshift(seed);
        let idps = [spoken_for("corp", IDP), spoken_for("partner", PARTNER)];
        let hasher = TargetHasher::new(&[3; 32]);
        let (mut out, mut complex_out, mut devices, mut widened) = (0, 0, 0, 0);
        for round in 0..ROUNDS {
            let subject = subject(&mut random);
            let idps = &idps[..=random.below(2)];
            let judged = revocations(&event(&subject), &settings(idps, Widest::Everyone), NOW).unwrap_or_default();
            let set = RevocationSet::default();
            for revocation in &judged.revocations {
                set.insert(revocation, &[&hasher]);
            }
            for _ in 0..6 {
                let who = identity(&mut random);
                let (found, expected) = (is_out(&set, &who, &hasher), names_by_any(&subject, &who, idps));
                assert_eq!(found, expected, "seed {seed}, round {round}: {subject}\n{who:?}\nof {idps:?}\n{judged:?}");
                out += usize::from(found);
                let members = subject.as_object().expect("an object");
                let many = subject["format"] == "complex" && members.len() > 2;
                complex_out += usize::from(found && many);
                widened += usize::from(found && who.device.is_none() && members.contains_key("device"));
                // Said once more, for itself: what is only about a device reaches nobody whose device is not known.
                let only_device = members.keys().all(|name| ["format", "device", "rack"].contains(&name.as_str()));
                if subject["format"] == "complex" && only_device && who.device.is_none() {
                    devices += 1;
                    assert!(!found, "seed {seed}, round {round}: {subject} of {who:?}");
                }
            }
        }
        let enough = out > 1_000 && complex_out > 100 && devices > 150 && widened > 15;
        assert!(
            enough,
            "seed {seed}: {out} out, {complex_out} by several members, {devices} devices, {widened} widened"
        );
    }
}

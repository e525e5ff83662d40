//! What others are told of an outcome: the claims of one Security Event Token (RFC 8417).

use serde_json::{Map, Value, json};

use super::record::News;
use super::view::Outcome;
use crate::identity::{Target, TargetKind};
use crate::time::Timestamp;

/// The type of our one event: a revocation, and what it did so far. It is nobody's standard: Shared Signals has words for
/// that a SET arrived, and none for what came of it.
pub const EVENT: &str = "urn:portcullis:secevent:event-type:revocation-outcome";

/// Who speaks, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    /// What the gateway calls itself: `iss`.
    pub issuer: String,
    /// Whom the SETs are for: `aud`.
    pub audience: String,
}

/// The claims of the SET that says `news` of `outcome`. Its `jti` is the outcome's id and the number of the message: who
/// gets it twice knows. Its `txn` is the one of the signal that began it (RFC 8417 §2.2).
pub(super) fn claims(
    parties: &Parties,
    outcome: &Outcome,
    (news, revision): (News, u32),
    subject: &Value,
    now: Timestamp,
) -> Value {
    let mut claims = json!({
        "iss": parties.issuer,
        "aud": parties.audience,
        "iat": now,
        "jti": format!("{}.{revision}", outcome.id),
        "sub_id": subject,
        "events": { EVENT: { "news": news.word(), "revision": revision, "outcome": outcome } },
    });
    if let (Some(txn), Some(members)) = (&outcome.txn, claims.as_object_mut()) {
        members.insert("txn".to_owned(), txn.clone().into());
    }
    claims
}

/// Whom it is about, as a subject identifier (RFC 9493, SSF §3.2). What is not to be seen is an opaque pseudonym; `shown`
/// is what may be said of a target, `clear` whether that is the target itself.
pub(super) fn subject(targets: &[Target], clear: bool, shown: impl Fn(&Target) -> String) -> Value {
    let one = |target: &Target| match target.kind {
        TargetKind::User => json!({ "format": "iss_sub", "iss": target.issuer.as_str(), "sub": target.value }),
        TargetKind::Email if clear => json!({ "format": "email", "email": target.value }),
        TargetKind::Phone if clear => json!({ "format": "phone_number", "phone_number": target.value }),
        TargetKind::Session if clear => json!({ "format": "opaque", "id": target.value }),
        _ => json!({ "format": "opaque", "id": shown(target) }),
    };
    if let [only] = targets
        && only.kind != TargetKind::Session
    {
        return one(only);
    }
    let mut members = Map::new();
    members.insert("format".to_owned(), "complex".into());
    for target in targets {
        let member = match target.kind {
            TargetKind::User | TargetKind::Email | TargetKind::Phone => "user",
            TargetKind::Session | TargetKind::Gateway => "session",
            TargetKind::Device => "device",
            TargetKind::Tenant | TargetKind::Everyone => "tenant",
            TargetKind::Group => "group",
            TargetKind::OrgUnit => "org_unit",
        };
        members.entry(member).or_insert_with(|| one(target));
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Issuer;

    #[test]
    fn a_subject_says_no_more_than_may_be_shown() {
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        let target = |kind, value| Target::new(&issuer, kind, value).expect("target");
        let (ann, email) = (target(TargetKind::User, "ann"), target(TargetKind::Email, "ann@example.com"));
        let session = target(TargetKind::Session, "s1");
        for (targets, clear, expected) in [
            (vec![ann.clone()], false, json!({ "format": "iss_sub", "iss": "https://idp.example.com", "sub": "ann" })),
            (vec![email.clone()], false, json!({ "format": "opaque", "id": "email #" })),
            (vec![email], true, json!({ "format": "email", "email": "ann@example.com" })),
            (
                vec![session.clone()],
                false,
                json!({ "format": "complex", "session": { "format": "opaque", "id": "session #" } }),
            ),
            (
                vec![ann, session],
                true,
                json!({
                    "format": "complex",
                    "user": { "format": "iss_sub", "iss": "https://idp.example.com", "sub": "ann" },
                    "session": { "format": "opaque", "id": "s1" },
                }),
            ),
        ] {
            assert_eq!(subject(&targets, clear, |t| format!("{} #", t.kind.word())), expected);
        }
    }
}

//! What real transmitters send, as documented, on a stream without a preset and on one with theirs: whom of a few known
//! people each kills, and that it is nobody else.

use std::collections::BTreeMap;

use portcullis::event::{Preset, token};
use portcullis::identity::{Email, Identity, TargetHasher};
use portcullis::jose::{self, Alg, Keys};
use portcullis::policy::{self, Settings, SpokenFor, Widest};
use portcullis::revocation::{Credential, RevocationSet};
use portcullis::time::Timestamp;
use serde_json::{Value, json};

use super::{Signers, issuer, texts};

/// What a stream makes of one token, in the words of the files.
fn outcome(file: &Value, preset: Preset, compact: &str, keys: &Keys, now: Timestamp) -> Value {
    let settings = settings(file, preset);
    let read = jose::verify(compact, keys, &settings.expectation(), now)
        .and_then(|verified| token::parse(verified, &settings.quirks));
    let event = match read {
        Ok(event) => event,
        Err(why) => return refused(&why.into()),
    };
    let judged = match policy::revocations(&event, &settings, now) {
        Ok(judged) => judged,
        Err(why) => return refused(&why.into()),
    };
    let hasher = TargetHasher::new(&[7; 32]);
    let set = RevocationSet::default();
    for revocation in &judged.revocations {
        set.insert(revocation, &[&hasher]);
    }
    let stands = |person: &Identity| {
        let targets: Vec<_> = person.targets().iter().map(|target| (target.kind, hasher.key(target))).collect();
        let standing = set.judge(&Credential {
            targets: &targets,
            asserted_at: person.asserted_at,
            auth_time: person.auth_time,
            app: portcullis::identity::AppKey::of("wiki"),
        });
        match (standing.held, standing.terminated, standing.reestablish) {
            (Some(_), ..) => Some("hold"),
            (None, Some(_), _) => Some("terminate"),
            (None, None, Some(_)) => Some("reestablish"),
            (None, None, None) => None,
        }
    };
    let kills: BTreeMap<_, _> =
        people(file).into_iter().filter_map(|(name, person)| Some((name, stands(&person)?))).collect();
    json!({
        "kills": kills,
        "lifts": judged.lifts.iter().map(|lifted| lifted.whom.to_string()).collect::<Vec<_>>(),
        "unmatched": judged.unmatched.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "ignored": judged.ignored.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "verifies": event.events.iter().any(|each| matches!(each, portcullis::event::Event::Verification { .. })),
    })
}

fn refused(answer: &portcullis::event::reject::Answer) -> Value {
    json!({ "refused": answer.code.word(), "because": answer.description })
}

/// What a file expects, with what it leaves out: nothing.
fn expected(reading: &Value) -> Value {
    if reading["refused"].is_string() {
        return reading.clone();
    }
    let or = |name: &str, default: Value| reading.get(name).cloned().unwrap_or(default);
    json!({
        "kills": or("kills", json!({})),
        "lifts": or("lifts", json!([])),
        "unmatched": or("unmatched", json!([])),
        "ignored": or("ignored", json!([])),
        "verifies": or("verifies", json!(false)),
    })
}

fn settings(file: &Value, preset: Preset) -> Settings {
    let idps = file["speaks_for"].as_object().expect("speaks_for");
    Settings {
        name: "corp".into(),
        issuer: issuer(&file["issuer"]),
        audiences: texts(&file["audiences"]),
        algs: vec![Alg::Es256, Alg::Rs256],
        speaks_for: idps
            .iter()
            .map(|(name, idp)| SpokenFor { name: name.clone(), issuer: issuer(idp), client_id: "portcullis".into() })
            .collect(),
        widest: Widest::User,
        bounds: policy::Bounds::default(),
        rules: policy::Rules::default(),
        allowed_events: None,
        scim_external_id: portcullis::identity::TargetKind::User,
        critical_members: Vec::new(),
        quirks: preset.quirks(),
        subject_issuers: Vec::new(),
    }
}

/// Who is signed in, each with what their IdP said.
fn people(file: &Value) -> Vec<(String, Identity)> {
    let person = |(name, facts): (&String, &Value)| {
        let text = |fact: &str| facts[fact].as_str().map(str::to_owned);
        let since = Timestamp::from_secs(facts["since"].as_u64().expect("since"));
        let person = Identity {
            issuer: issuer(&facts["iss"]),
            subject: text("sub").expect("sub"),
            sid: text("sid"),
            email: text("email").map(|address| Email::parse(&address).expect("address")),
            phone: text("phone"),
            preferred_username: None,
            groups: Vec::new(),
            tenant: text("tenant"),
            device: text("device"),
            asserted_at: since,
            auth_time: Some(since),
            session_expiry: None,
        };
        (name.clone(), person)
    };
    file["people"].as_object().expect("people").iter().map(person).collect()
}

fn check(text: &str, preset: Preset) {
    let file: Value = serde_json::from_str(text).expect("json");
    assert_eq!(file["preset"], preset.word(), "the file is about another product");
    let signers = Signers::generate();
    let keys = signers.published();
    let now = Timestamp::from_secs(file["now"].as_u64().expect("now"));
    let mut wrong = Vec::new();
    for vector in file["vectors"].as_array().expect("vectors") {
        let compact = signers.token(&file, vector);
        for (reading, preset) in [("strict", Preset::Strict), ("preset", preset)] {
            let expected = expected(&vector[reading]);
            let got = outcome(&file, preset, &compact, &keys, now);
            if expected != got {
                wrong.push(format!("{} ({reading})\n  expected {expected}\n  got      {got}", vector["name"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} readings under {} fail:\n{}", wrong.len(), preset.word(), wrong.join("\n"));
}

#[test]
fn okta_kills_whom_it_names() {
    check(include_str!("presets/okta.json"), Preset::Okta);
}

#[test]
fn keycloak_kills_whom_it_names() {
    check(include_str!("presets/keycloak.json"), Preset::Keycloak);
}

#[test]
fn authentik_kills_whom_it_names() {
    check(include_str!("presets/authentik.json"), Preset::Authentik);
}

#[test]
fn google_kills_whom_it_names() {
    check(include_str!("presets/google-risc.json"), Preset::GoogleRisc);
}

#[test]
fn caep_dev_kills_whom_it_names() {
    check(include_str!("presets/caep-dev.json"), Preset::CaepDev);
}

//! Signed signals as they arrive, good and bad, from the files beside: each must get exactly the answer that stands
//! there. Everything goes through the library's public face, in the order in which an endpoint uses it.
#![cfg(test)]

#[path = "vectors/stream_answers.rs"]
mod stream_answers;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::event::reject::{self, Answer};
use portcullis::event::{Quirks, logout, token};
use portcullis::identity::Issuer;
use portcullis::jose::{self, Alg, Keys, Signer};
use portcullis::policy::{self, Settings, SpokenFor, Widest};
use portcullis::revocation::Revocation;
use portcullis::time::Timestamp;
use serde_json::{Value, json};

#[path = "vectors/presets.rs"]
mod presets;

/// What became of a token, in the words of the files.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Accepted { revokes: Vec<String>, unmatched: u64 },
    Refused { answer: String, because: String },
}

impl Outcome {
    fn expected(vector: &Value) -> Self {
        match vector["answer"].as_str().expect("answer") {
            "accepted" => {
                let revokes = vector["revokes"].as_array().expect("revokes");
                let revokes = revokes.iter().map(|whom| whom.as_str().expect("text").to_owned()).collect();
                Self::Accepted { revokes, unmatched: vector["unmatched"].as_u64().unwrap_or(0) }
            }
            answer => Self::Refused {
                answer: answer.to_owned(),
                because: vector["because"].as_str().expect("because").to_owned(),
            },
        }
    }

    fn accepted(revocations: &[Revocation], unmatched: usize) -> Self {
        let revokes = revocations.iter().map(|r| format!("{} @{}", r.whom, r.cut_off.secs())).collect();
        Self::Accepted { revokes, unmatched: unmatched as u64 }
    }

    fn refused(answer: &Answer) -> Self {
        Self::Refused { answer: answer.code.word().to_owned(), because: answer.description.clone() }
    }
}

/// The keys that tokens are signed with.
struct Signers {
    es256: Signer,
    rs256: Signer,
    stranger: Signer,
}

impl Signers {
    fn generate() -> Self {
        Self {
            es256: Signer::generate("es256").expect("key"),
            rs256: Signer::generate_for(Alg::Rs256, "rs256").expect("key"),
            stranger: Signer::generate("es256").expect("key"),
        }
    }

    /// What the issuer publishes: not the stranger's.
    fn published(&self) -> Keys {
        let keys = [&self.es256, &self.rs256].map(|signer| signer.jwks()["keys"][0].clone());
        Keys::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("keys")
    }

    fn token(&self, file: &Value, vector: &Value) -> String {
        let header = merged(&file["header"], &vector["header"]).to_string();
        let payload = match &vector["payload"] {
            Value::String(text) => text.clone(),
            _ => merged(&file["claims"], &vector["claims"]).to_string(),
        };
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&payload));
        let by = |signer: &Signer| signer.sign_texts(&header, &payload).expect("signature");
        match vector["signed_by"].as_str().unwrap_or("es256") {
            "es256" => by(&self.es256),
            "rs256" => by(&self.rs256),
            "stranger" => by(&self.stranger),
            "nobody" => format!("{signed}."),
            "public_key" => {
                let secret = self.es256.jwks()["keys"][0]["x"].as_str().expect("public key").to_owned();
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
                format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
            }
            other => panic!("nobody is called `{other}`"),
        }
    }
}

/// `patch` merged into `base`: objects member by member, null removes, all else replaces (RFC 7396).
fn merged(base: &Value, patch: &Value) -> Value {
    let mut result = base.clone();
    let Some(members) = patch.as_object() else { return result };
    for (name, value) in members {
        match (value, &mut result[name]) {
            (Value::Null, _) => drop(result.as_object_mut().expect("object").remove(name)),
            (Value::Object(_), slot @ Value::Object(_)) => *slot = merged(slot, value),
            (Value::Object(_), slot) => *slot = merged(&json!({}), value),
            (_, slot) => *slot = value.clone(),
        }
    }
    result
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("array").iter().map(|text| text.as_str().expect("text").to_owned()).collect()
}

fn issuer(value: &Value) -> Issuer {
    Issuer::parse(value.as_str().expect("text")).expect("issuer")
}

fn check_all(text: &str, outcome: impl Fn(&Value, &str, &Keys, Timestamp) -> Outcome) {
    let file: Value = serde_json::from_str(text).expect("json");
    let signers = Signers::generate();
    let keys = signers.published();
    let now = Timestamp::from_secs(file["now"].as_u64().expect("now"));
    let vectors = file["vectors"].as_array().expect("vectors");
    let mut wrong = Vec::new();
    for vector in vectors {
        let (expected, got) = (Outcome::expected(vector), outcome(&file, &signers.token(&file, vector), &keys, now));
        if expected != got {
            wrong.push(format!("{}\n  expected {expected:?}\n  got      {got:?}", vector["name"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} vectors fail:\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
}

fn judge_set(file: &Value, compact: &str, keys: &Keys, now: Timestamp) -> Outcome {
    let corp = &file["speaks_for"]["corp"];
    let settings = Settings {
        name: "corp".into(),
        issuer: issuer(&file["issuer"]),
        audiences: texts(&file["audiences"]),
        algs: vec![Alg::Es256, Alg::Rs256],
        speaks_for: vec![SpokenFor {
            name: "corp".into(),
            issuer: issuer(&corp["issuer"]),
            client_id: corp["client_id"].as_str().expect("text").into(),
        }],
        widest: Widest::parse(file["widest"].as_str().expect("text")).expect("width"),
        bounds: policy::Bounds::default(),
        rules: policy::Rules::default(),
        allowed_events: None,
        scim_external_id: portcullis::identity::TargetKind::User,
        critical_members: texts(&file["critical_members"]),
        quirks: Quirks::NONE,
        subject_issuers: Vec::new(),
    };
    let event = match jose::verify(compact, keys, &settings.expectation(), now)
        .and_then(|verified| token::parse(verified, &settings.quirks))
    {
        Ok(event) => event,
        Err(why) => return Outcome::refused(&why.into()),
    };
    match policy::revocations(&event, &settings, now) {
        Ok(judged) => Outcome::accepted(&judged.revocations, judged.unmatched.len()),
        Err(why) => Outcome::refused(&why.into()),
    }
}

fn judge_logout(file: &Value, compact: &str, keys: &Keys, now: Timestamp) -> Outcome {
    let issuer = issuer(&file["issuer"]);
    let audiences = texts(&file["audiences"]);
    let expectation = logout::expectation(&issuer, &audiences, &[Alg::Es256, Alg::Rs256]);
    let verified = jose::verify(compact, keys, &expectation, now);
    match verified.and_then(|verified| logout::parse(verified, now)) {
        Ok(token) => {
            let idp = SpokenFor { name: "corp".into(), issuer: issuer.clone(), client_id: audiences.concat() };
            let revocation = policy::logout(&token, &idp, now);
            Outcome::accepted(revocation.as_slice(), 0)
        }
        Err(why) => {
            let body = reject::logout_json(&why.into());
            let text = |name: &str| body[name].as_str().expect("text").to_owned();
            Outcome::Refused { answer: text("error"), because: text("error_description") }
        }
    }
}

#[test]
fn every_security_event_token_gets_its_answer() {
    check_all(include_str!("vectors/sets.json"), judge_set);
}

#[test]
fn every_logout_token_gets_its_answer() {
    check_all(include_str!("vectors/logout_tokens.json"), judge_logout);
}

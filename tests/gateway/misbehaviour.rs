//! A transmitter that does everything wrong that one can: each sin from `tests/vectors/misbehaviours.json` gets its exact
//! answer over real HTTP, is counted once, and throws out exactly whom it may.
#![expect(clippy::string_slice, reason = "tokens and the words of the file are ASCII")]

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::jose::{Alg, Signer};
use serde_json::{Map, Value, json};

use crate::harness::{AUDIENCE, Ask, Browser, House, Plan, soon};

const VECTORS: &str = include_str!("../vectors/misbehaviours.json");

/// Who can be thrown out.
const PEOPLE: [&str; 2] = ["ann", "ben"];

/// The stage: the house, and every key that anybody signs with.
struct Stage {
    house: House,
    rsa: Signer,
    stranger: Signer,
    header: Value,
    claims: Value,
    /// The token of the vector before.
    last: String,
}

impl Stage {
    async fn set(file: &Value) -> Self {
        let house = House::of(Plan::default().with_neighbour()).await;
        let rsa = Signer::generate_for(Alg::Rs256, "rsa").expect("a key");
        let weak = json!({ "kty": "RSA", "kid": "weak", "e": "AQAB", "n": file["weak_modulus"] });
        house.demo.idp.publish(rsa.jwks());
        house.demo.idp.publish(json!({ "keys": [weak] }));
        // So that its key has a name that the house's issuer has not.
        house.neighbour().idp.rotate_keys();
        let stranger = Signer::generate("key-1").expect("a key");
        Self {
            house,
            rsa,
            stranger,
            header: file["header"].clone(),
            claims: file["claims"].clone(),
            last: String::new(),
        }
    }

    /// The words of the file, and what they stand for.
    fn fill(&self, text: &str) -> String {
        let (issuer, push_token) = (self.house.demo.issuer.as_str(), self.house.demo.push_token.expose());
        let jti = format!("jti-{}", self.house.clock.now().secs());
        let mut text = text.to_owned();
        for (word, value) in [
            ("@issuer@", issuer),
            ("@issuer_rest@", issuer.trim_start_matches("http")),
            ("@neighbour@", self.house.neighbour().issuer.as_str()),
            ("@audience@", AUDIENCE),
            ("@jti@", &jti),
            ("@push_token@", push_token),
            ("@push_token_begins@", &push_token[..push_token.len() - 1]),
        ] {
            text = text.replace(word, value);
        }
        for (word, begin, end) in [("@x*", "x", ""), ("@blanks*", " ", ""), ("@nested*", "[", "]")] {
            if let Some((before, rest)) = text.clone().split_once(word) {
                let (count, after) = rest.split_once('@').expect("a second @");
                let count = count.parse().expect("a count");
                text = format!("{before}{}{}{after}", begin.repeat(count), end.repeat(count));
            }
        }
        while let Some((before, rest)) = text.clone().split_once("@now") {
            let (change, after) = rest.split_once('@').expect("a second @");
            text = format!("{before}{}{after}", self.time(change));
        }
        text
    }

    /// Now, and `+60`, `-60` or `*1000` of it.
    fn time(&self, change: &str) -> u64 {
        let now = self.house.clock.now().secs();
        let by = || change[1..].parse::<u64>().expect("a number");
        match change.chars().next() {
            None => now,
            Some('+') => now + by(),
            Some('-') => now - by(),
            _ => now * by(),
        }
    }

    /// As [`Stage::fill`], in every text of `value`; a text that is only a time becomes a number.
    fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if text == "@stranger_jwk@" => self.stranger.jwks()["keys"][0].clone(),
            Value::String(text) => match text.strip_prefix("@now").and_then(|rest| rest.strip_suffix('@')) {
                Some(change) => json!(self.time(change)),
                None => json!(self.fill(text)),
            },
            Value::Array(all) => all.iter().map(|each| self.filled(each)).collect(),
            Value::Object(all) => {
                all.iter().map(|(name, each)| (name.clone(), self.filled(each))).collect::<Map<_, _>>().into()
            }
            other => other.clone(),
        }
    }

    /// The token of a vector.
    fn token(&self, vector: &Value) -> String {
        let text = |exact: &Value, usual: &Value, change: &Value| match exact {
            Value::String(text) => self.fill(text),
            _ => self.filled(&changed(usual, change)).to_string(),
        };
        let header = text(&vector["header_text"], &self.header, &vector["header"]);
        let payload = text(&vector["payload"], &self.claims, &vector["claims"]);
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&payload));
        let by = |signer: &Signer| signer.sign_texts(&header, &payload).expect("a token");
        let hmac = |secret: &[u8]| {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
        };
        match vector["signed_by"].as_str().unwrap_or("idp") {
            "idp" => self.house.demo.idp.sign_texts(&header, &payload).expect("a token"),
            "neighbour" => self.house.neighbour().idp.sign_texts(&header, &payload).expect("a token"),
            "rsa" => by(&self.rsa),
            "stranger" => by(&self.stranger),
            "nobody" => format!("{signed}."),
            "public_key" => hmac(self.rsa.jwks()["keys"][0]["n"].as_str().expect("a key").as_bytes()),
            "push_token" => hmac(self.house.demo.push_token.expose().as_bytes()),
            other => panic!("nobody is called `{other}`"),
        }
    }

    /// The request of a vector.
    fn ask(&mut self, vector: &Value) -> Ask {
        let token = if vector["again"] == true { self.last.clone() } else { self.token(vector) };
        let usual = json!({
            "method": "POST", "path": "/oauth2/ssf/demo", "content_type": "application/secevent+jwt",
            "authorization": "Bearer @push_token@", "accept": "application/json", "body": "@token@",
        });
        let request = changed(&usual, &vector["request"]);
        let text = |name: &str| request[name].as_str().map(|text| self.fill(text));
        let (broken, cut) = (format!("{}\n{}", &token[..9], &token[9..]), &token[..token.len() - 2]);
        let body = text("body").expect("a body");
        let body = body.replace("@token_broken@", &broken).replace("@token_cut@", cut).replace("@token@", &token);
        let (method, path) = (text("method").expect("a method"), text("path").expect("a path"));
        let mut ask = match method.as_str() {
            "POST" => Ask::post(&path, &text("content_type").unwrap_or_default(), body),
            method => Ask::new(method, &path),
        };
        for (field, name) in [("Authorization", "authorization"), ("Accept", "accept")] {
            if let Some(value) = text(name) {
                ask = ask.with(field, &value);
            }
        }
        self.last = token;
        ask
    }

    /// How many signals were refused, by code, and how many subjects matched nobody.
    async fn counted(&self) -> (BTreeMap<String, u64>, u64) {
        let text = self.house.operator(Ask::get("/metrics")).await.text();
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        let lines: BTreeMap<_, u64> = lines.filter_map(|(name, n)| Some((name.to_owned(), n.parse().ok()?))).collect();
        let refused = lines.iter().filter_map(|(name, count)| {
            let code = name.strip_prefix("portcullis_set_rejected_total{why=\"")?.strip_suffix("\"}")?;
            Some((code.to_owned(), *count))
        });
        (refused.collect(), lines.get("portcullis_unmatched_subject_total").copied().unwrap_or_default())
    }
}

/// `usual` with the members of `change` instead of its own; null removes one.
fn changed(usual: &Value, change: &Value) -> Value {
    let mut all = usual.as_object().expect("an object").clone();
    for (name, value) in change.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(all.remove(name)),
            value => drop(all.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(all)
}

/// What is wrong with how `vector` was answered; nothing if all is as it stands there.
async fn is_answered(stage: &mut Stage, people: &mut [Browser; 2], vector: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    stage.house.seconds_pass(1);
    let ask = stage.ask(vector);
    let (mut refused, mut unmatched) = stage.counted().await;
    let answer = stage.house.asks(&ask).await;
    let mut expect = |what: &str, found: Value, expected: Value| {
        if found != expected {
            wrong.push(format!("{what} is {found}, not {expected}: {}", answer.text()));
        }
    };
    expect("the status", json!(answer.status), vector["status"].clone());
    match vector["err"].as_str() {
        Some(code) => {
            let body = answer.json();
            expect("err", body["err"].clone(), json!(code));
            expect(
                "a description",
                json!(body["description"].as_str().is_some_and(|text| !text.is_empty())),
                json!(true),
            );
            expect("the number of members", json!(body.as_object().map(Map::len)), json!(2));
            expect("the language", json!(answer.field("content-language")), json!("en"));
            expect("the content type", json!(answer.field("content-type")), json!("application/json"));
            *refused.entry(code.to_owned()).or_default() += 1;
        }
        None if vector["status"] == 202 => expect("the body", json!(answer.text()), json!("")),
        None => {}
    }
    expect("the cache rule", json!(answer.field("cache-control")), json!("no-store"));
    unmatched += vector["unmatched"].as_u64().unwrap_or_default();
    let counted = stage.counted().await;
    expect("what is counted as refused", json!(counted.0), json!(refused));
    expect("what is counted as unmatched", json!(counted.1), json!(unmatched));
    for (name, browser) in PEOPLE.iter().zip(people) {
        let ended = vector["ends"].as_array().is_some_and(|ends| ends.contains(&json!(name)));
        let page = browser.fetches("/").await.answer;
        let (status, word) = if ended { (401, json!("session_revoked")) } else { (200, Value::Null) };
        expect(name, json!([page.status, page.json()["error"]]), json!([status, word]));
        if page.status != 200 {
            stage.house.seconds_pass(1);
            browser.signs_in(name).await.is_let_in();
        }
    }
    wrong
}

#[tokio::test]
async fn every_misbehaviour_gets_its_answer_and_throws_out_whom_it_may() {
    let file: Value = serde_json::from_str(VECTORS).expect("the vectors are JSON");
    let mut stage = Stage::set(&file).await;
    let mut people = [stage.house.browser_of(PEOPLE[0]).await, stage.house.browser_of(PEOPLE[1]).await];
    let vectors = file["misbehaviours"].as_array().expect("vectors");
    let mut wrong = Vec::new();
    for vector in vectors {
        for fault in is_answered(&mut stage, &mut people, vector).await {
            wrong.push(format!("{}: {fault}", vector["name"]));
        }
    }
    assert!(wrong.is_empty(), "of {} misbehaviours:\n{}", vectors.len(), wrong.join("\n"));
    let refusals = vectors.iter().filter(|vector| vector["status"] == 400).count();
    let (written, _) = stage.counted().await;
    assert_eq!(written.values().sum::<u64>(), refusals as u64, "each is counted once");
    let audited = soon("every refusal in the audit log", async {
        loop {
            let audited = stage.house.audited();
            if audited.matches("\"event\":\"signal_rejected\"").count() == refusals {
                return audited;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!audited.contains(stage.house.demo.push_token.expose().as_str()), "a secret is in the audit log");
}

//! What a transmitter answers to stream management and to polls, good and bad: each means exactly what stands there.

use portcullis::event::poll::{Heard, Poll};
use portcullis::event::stream_config::{Configuration, Expected, Metadata, Method, Places, parse_status};
use serde_json::Value;
use std::time::Duration;

use super::{issuer, texts};

/// What the answer of a vector means.
fn means(file: &Value, vector: &Value) -> String {
    let (issuer, audiences) = (issuer(&file["issuer"]), texts(&file["audiences"]));
    let places = Places::new(&issuer, Vec::new());
    let expected = Expected { issuer: &issuer, audiences: &audiences, method: Method::Poll, places: &places };
    let body = vector["text"].as_str().map_or_else(|| vector["body"].to_string(), str::to_owned);
    let body = body.as_bytes();
    let stream_id = file["stream_id"].as_str().expect("a stream");
    let used = |result: Result<(), String>| result.map_or_else(|why| why, |()| "used".to_owned());
    let why = |error: portcullis::event::stream_config::Unusable| error.to_string();
    match vector["answer_to"].as_str().expect("a call") {
        "metadata" => used(Metadata::parse(body, &issuer).map(drop).map_err(why)),
        "create" => used(Configuration::parse(body, None, expected).map(drop).map_err(why)),
        "read" => used(Configuration::parse(body, Some(stream_id), expected).map(drop).map_err(why)),
        "list" => {
            Configuration::parse_list(body, expected).map_or_else(why, |found| format!("{} streams", found.len()))
        }
        "status" => match parse_status(body, stream_id) {
            Ok((status, Some(reason))) => format!("{}: {reason}", status.word()),
            Ok((status, None)) => status.word().to_owned(),
            Err(error) => why(error),
        },
        "poll" => polled(u16::try_from(vector["status"].as_u64().unwrap_or(200)).expect("a status"), body),
        other => panic!("nobody calls `{other}`"),
    }
}

fn polled(status: u16, body: &[u8]) -> String {
    let mut poll = Poll::default();
    poll.request();
    let sets = poll.heard(Heard::Answer { status, retry_after: None, body }, Duration::ZERO);
    if let Some(trouble) = poll.trouble() {
        return trouble.to_string();
    }
    let taken: Vec<_> = sets.into_iter().map(|set| set.jti).collect();
    let refused = poll.request().body["setErrs"].clone();
    let refused = refused.as_object().into_iter().flatten();
    let refused = refused.map(|(jti, why)| format!(", refuses {jti}: {}", why["err"].as_str().expect("a code")));
    format!("takes [{}]{}", taken.join(" "), refused.collect::<String>())
}

#[test]
fn every_answer_of_a_transmitter_means_what_it_should() {
    let file: Value = serde_json::from_str(include_str!("stream_answers.json")).expect("json");
    let vectors = file["vectors"].as_array().expect("vectors");
    let wrong = vectors.iter().filter_map(|vector| {
        let (expected, found) = (vector["means"].as_str().expect("a meaning"), means(&file, vector));
        (expected != found).then(|| format!("{}\n  expected {expected}\n  got      {found}", vector["name"]))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{} of {} vectors fail:\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
}

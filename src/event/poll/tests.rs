//! The machine in a table, and against transmitters that answer anything.

use super::*;
use crate::jose::tests::Xorshift;

const QUICK: Duration = Duration::from_millis(5);
const HELD: Duration = Duration::from_secs(30);

fn answer(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

/// An answer with SETs of these names.
fn sets(names: &[&str]) -> Vec<u8> {
    let sets: Map<_, _> = names.iter().map(|name| ((*name).to_owned(), json!(format!("set {name}")))).collect();
    answer(&json!({ "sets": sets }))
}

const fn good(body: &[u8]) -> Heard<'_> {
    Heard::Answer { status: 200, retry_after: None, body }
}

const fn status(status: u16) -> Heard<'static> {
    Heard::Answer { status, retry_after: None, body: b"" }
}

/// A machine that has had its first, empty answer.
fn proven() -> Poll {
    let mut poll = Poll::default();
    poll.request();
    assert_eq!(poll.heard(good(b"{}"), QUICK), []);
    poll.rest(QUICK, 0);
    assert_eq!(poll.trouble(), None);
    poll
}

/// One turn in which every SET comes to `outcome`; the names of the SETs, and how long to wait after a quick answer.
fn turn(poll: &mut Poll, what: Heard<'_>, outcome: &Outcome) -> (Vec<String>, Duration) {
    let took = if what == Heard::Late { PATIENCE } else { QUICK };
    let sets = poll.heard(what, took);
    let names: Vec<_> = sets.iter().map(|set| set.jti.clone()).collect();
    for set in sets {
        poll.settle(set.jti, outcome.clone());
    }
    (names, poll.rest(took, u32::MAX))
}

#[test]
fn the_first_question_is_to_be_answered_at_once_and_the_next_may_be_held_back() {
    let mut poll = Poll::default();
    let first = poll.request();
    assert_eq!((first.body, first.patience), (json!({ "maxEvents": 64, "returnImmediately": true }), HASTE));
    let (none, wait) = turn(&mut poll, good(b"{\"sets\":{}}"), &Outcome::Taken);
    assert_eq!((none.len(), wait), (0, SPACING - QUICK), "it works: on with it");
    let second = poll.request();
    assert_eq!((second.body, second.patience), (json!({ "maxEvents": 64, "returnImmediately": false }), PATIENCE));
    assert!(!second.has_errors);
}

#[test]
fn an_answer_is_read_by_what_decides_and_nothing_else() {
    for (what, body, expected) in [
        ("nothing", json!({}), Some(vec![])),
        ("no SETs", json!({ "sets": {} }), Some(vec![])),
        ("null for none", json!({ "sets": null }), Some(vec![])),
        ("two", json!({ "sets": { "a": "x", "b": "y" }, "moreAvailable": true }), Some(vec!["a", "b"])),
        ("unknown members", json!({ "sets": { "a": "x" }, "more": 7, "moreAvailable": "?" }), Some(vec!["a"])),
        ("one that is none", json!({ "sets": { "a": 7, "b": "y" } }), Some(vec!["b"])),
        ("a list of SETs", json!({ "sets": ["x"] }), None),
        ("a list", json!([]), None),
        ("a text", json!("sets"), None),
    ] {
        let mut poll = proven();
        poll.request();
        let found = poll.heard(good(&answer(&body)), QUICK);
        let names: Vec<_> = found.iter().map(|set| set.jti.as_str()).collect();
        assert_eq!(poll.trouble().is_none().then_some(names), expected, "{what}");
        assert_eq!(poll.request().has_errors, what == "one that is none", "{what}");
    }
    let mut poll = proven();
    for body in [&b""[..], b"{", b"\xff", b"{} {}"] {
        poll.request();
        assert_eq!(poll.heard(good(body), QUICK), []);
        assert_eq!(poll.trouble(), Some(Trouble::Unreadable), "{body:?}");
    }
    poll.request();
    poll.heard(status(204), QUICK);
    assert_eq!(poll.trouble(), None, "204 is an empty answer");
}

#[test]
fn more_sets_than_were_asked_for_wait_for_the_next_turn() {
    let many: Vec<_> = (0..200).map(|n| format!("{n:03}")).collect();
    let names: Vec<_> = many.iter().map(String::as_str).collect();
    let mut poll = proven();
    poll.request();
    let (taken, wait) = turn(&mut poll, good(&sets(&names)), &Outcome::Taken);
    assert_eq!((taken, wait), (many[..64].to_vec(), SPACING - QUICK), "and the rest is fetched at once");
    assert_eq!(poll.request().body["ack"], json!(many[..64]));
}

#[test]
fn each_outcome_is_told_in_its_own_way_and_only_once() {
    let mut poll = proven();
    poll.request();
    let found = poll.heard(good(&sets(&["bad", "good", "later"])), QUICK);
    assert_eq!(found.len(), 3);
    poll.settle("good".into(), Outcome::Taken);
    poll.settle("bad".into(), Outcome::Refused(Answer::new(Code::InvalidKey, "no such key")));
    poll.settle("later".into(), Outcome::Later);
    assert_eq!(poll.trouble(), Some(Trouble::NotKept));
    let request = poll.request();
    let errors = json!({ "bad": { "err": "invalid_key", "description": "no such key" } });
    assert_eq!(
        (request.body, request.has_errors),
        (json!({ "maxEvents": 64, "returnImmediately": true, "ack": ["good"], "setErrs": errors }), true)
    );
    let (again, _) = turn(&mut poll, good(&sets(&["later"])), &Outcome::Taken);
    assert_eq!((again, poll.trouble()), (vec!["later".to_owned()], None));
    let request = poll.request();
    assert_eq!(
        (request.body, request.has_errors),
        (json!({ "maxEvents": 64, "returnImmediately": false, "ack": ["later"] }), false)
    );
}

#[test]
fn what_was_told_in_a_request_that_failed_is_told_again() {
    for failure in [status(500), status(429), status(401), Heard::Late, Heard::Unreachable, Heard::TooLarge, good(b"?")]
    {
        let mut poll = proven();
        poll.request();
        turn(&mut poll, good(&sets(&["a"])), &Outcome::Taken);
        for _ in 0..10 {
            assert_eq!(poll.request().body["ack"], json!(["a"]), "{failure:?}");
            turn(&mut poll, failure, &Outcome::Taken);
        }
        assert_eq!(poll.request().body["ack"], json!(["a"]), "{failure:?}");
        turn(&mut poll, good(b"{}"), &Outcome::Taken);
        assert_eq!(poll.request().body.get("ack"), None, "{failure:?}");
    }
}

#[test]
fn a_transmitter_that_calls_our_words_wrong_is_told_nothing_after_a_while() {
    let mut poll = proven();
    poll.request();
    turn(&mut poll, good(&sets(&["a"])), &Outcome::Taken);
    let told: Vec<_> = (0..5)
        .map(|_| {
            let request = poll.request();
            turn(&mut poll, status(400), &Outcome::Taken);
            request.body.get("ack").is_some()
        })
        .collect();
    assert_eq!(told, [true, true, true, false, false]);
}

#[test]
fn a_set_that_comes_again_is_acknowledged_again_but_is_no_reason_to_hurry() {
    let mut poll = proven();
    let idle = IDLE - QUICK;
    for expected in [SPACING - QUICK, idle, idle, idle] {
        poll.request();
        let (_, wait) = turn(&mut poll, good(&sets(&["a"])), &Outcome::Taken);
        assert_eq!(wait, expected);
        assert_eq!(poll.request().body["ack"], json!(["a"]));
    }
    let (_, wait) = turn(&mut poll, good(&sets(&["a", "b"])), &Outcome::Taken);
    assert_eq!(wait, SPACING - QUICK, "something new is");
}

#[test]
fn how_long_to_wait_depends_on_what_came() {
    let rest = |what, took| {
        let mut poll = proven();
        poll.request();
        for set in poll.heard(what, took) {
            poll.settle(set.jti, Outcome::Taken);
        }
        poll.rest(took, u32::MAX)
    };
    let second = Duration::from_secs(1);
    let told = |status, seconds| Heard::Answer { status, retry_after: Some(seconds), body: b"" };
    for (what, heard, took, expected) in [
        ("nothing, held back", good(b"{}"), HELD, Duration::ZERO),
        ("nothing, at once", good(b"{}"), QUICK, IDLE - QUICK),
        ("something", good(&sets(&["a"])), QUICK, SPACING - QUICK),
        ("something, slowly", good(&sets(&["a"])), HELD, Duration::ZERO),
        ("more, but nothing", good(b"{\"moreAvailable\":true}"), QUICK, IDLE - QUICK),
        ("a failure", status(500), QUICK, second),
        ("a redirect", status(302), QUICK, second),
        ("another time", told(503, "7"), QUICK, 7 * second),
        ("a time that is short", told(429, "0"), QUICK, second),
        ("a time that is long", told(429, "86400"), QUICK, MOST_RETRY_AFTER),
        ("a time that is no number", told(429, "9999999999999999999999"), QUICK, MOST_RETRY_AFTER),
        ("a date", told(503, "Wed, 21 Oct 2026 07:28:00 GMT"), QUICK, second),
        ("less than nothing", told(503, "-5"), QUICK, second),
    ] {
        assert_eq!(rest(heard, took), expected, "{what}");
    }
}

#[test]
fn failures_in_a_row_are_further_and_further_apart_and_forgotten_after_a_good_turn() {
    let mut poll = proven();
    let waits = |poll: &mut Poll, what, outcome: &Outcome| -> Vec<u64> {
        (0..7).map(|_| (poll.request(), turn(poll, what, outcome).1.as_secs()).1).collect()
    };
    assert_eq!(waits(&mut poll, status(500), &Outcome::Taken), [1, 2, 4, 8, 16, 30, 30]);
    poll.request();
    turn(&mut poll, good(b"{}"), &Outcome::Taken);
    assert_eq!(waits(&mut poll, Heard::Unreachable, &Outcome::Taken), [1, 2, 4, 8, 16, 30, 30]);
    poll.request();
    turn(&mut poll, good(b"{}"), &Outcome::Taken);
    let body = sets(&["a", "b", "c"]);
    assert_eq!(waits(&mut poll, good(&body), &Outcome::Later), [1, 2, 4, 5, 5, 5, 5], "in force they are");
}

#[test]
fn an_answer_that_is_too_large_is_asked_for_in_smaller_pieces() {
    let mut poll = proven();
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let events = poll.request().body["maxEvents"].as_u64().expect("a number");
            turn(&mut poll, Heard::TooLarge, &Outcome::Taken);
            events
        })
        .collect();
    assert_eq!(asked, [64, 32, 16, 8, 4, 2, 1, 1]);
    poll.request();
    turn(&mut poll, good(&sets(&["a"])), &Outcome::Taken);
    assert_eq!(poll.request().body["maxEvents"], 64);
}

#[test]
fn events_that_come_again_and_again_do_not_stand_in_the_way_of_others() {
    let refused = Outcome::Refused(Answer::new(Code::InvalidKey, "no"));
    for outcome in [&refused, &Outcome::Later, &Outcome::Taken] {
        // A transmitter that minds nothing it is told and gives the oldest first; the newest is what matters.
        let names: Vec<_> = (0..300).map(|n| format!("{n:03}")).collect();
        let mut poll = proven();
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 12, "{outcome:?}: it never comes");
            let asked = usize::try_from(poll.request().body["maxEvents"].as_u64().expect("a number")).expect("small");
            let given: Vec<_> = names.iter().take(asked).map(String::as_str).collect();
            let (found, _) = turn(&mut poll, good(&sets(&given)), outcome);
            if found.iter().any(|jti| jti == "299") {
                break;
            }
        }
        poll.request();
        turn(&mut poll, good(b"{}"), outcome);
        assert_eq!(poll.request().body["maxEvents"], 64, "and back to the usual");
    }
}

#[test]
fn a_connection_that_does_not_come_about_is_no_answer_held_back() {
    let mut poll = proven();
    for _ in 0..5 {
        assert_eq!(poll.request().patience, PATIENCE);
        assert_eq!(poll.heard(Heard::Late, Duration::from_secs(2)), []);
        poll.rest(QUICK, 0);
        poll.request();
        turn(&mut poll, good(b"{}"), &Outcome::Taken);
    }
}

#[test]
fn a_transmitter_that_holds_back_for_too_long_is_not_let_do_so() {
    let mut poll = proven();
    for _ in 0..2 {
        assert_eq!(poll.request().patience, PATIENCE);
        turn(&mut poll, Heard::Late, &Outcome::Taken);
        assert_eq!(poll.request().patience, HASTE, "is anybody there?");
        turn(&mut poll, good(b"{}"), &Outcome::Taken);
    }
    assert_eq!(poll.request().body["returnImmediately"], true);
    turn(&mut poll, good(b"{}"), &Outcome::Taken);
    assert_eq!(poll.request().body["returnImmediately"], true);
    let mut poll = proven();
    for _ in 0..10 {
        poll.request();
        turn(&mut poll, Heard::Late, &Outcome::Taken);
        poll.request();
        turn(&mut poll, good(b"{}"), &Outcome::Taken);
        assert_eq!(poll.request().patience, PATIENCE, "one that breaks off now and then may go on");
        turn(&mut poll, good(b"{}"), &Outcome::Taken);
    }
}

#[test]
fn no_transmitter_makes_it_ask_too_often_and_what_is_told_is_true() {
    let seed = 0x0123_4567_89ab_cdef;
    println!("seed {seed:#x}");
    let mut random = Xorshift(seed);
    for _ in 0..300 {
        let mut poll = Poll::default();
        let (mut now, mut requests, mut failures, mut idle) = (Duration::ZERO, 0_u32, 0_u32, 0_u32);
        // What became of each SET since it was last told; what is told must be exactly that.
        let mut untold: BTreeMap<String, bool> = BTreeMap::new();
        // Transmitters have their habits.
        let habits: Vec<_> = (0..1 + random.below(4)).map(|_| random.below(9)).collect();
        let (names, delay) = (1 + random.below(200), *random.one_of(&[0, 0, 1, 200, 1_000, 30_000]));
        while now < Duration::from_secs(600) && requests < 20_000 {
            let request = poll.request();
            requests += 1;
            let acks: BTreeSet<_> =
                request.body["ack"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let errors: BTreeSet<_> =
                request.body["setErrs"].as_object().into_iter().flatten().map(|(jti, _)| jti.as_str()).collect();
            let of =
                |good: bool| untold.iter().filter(move |(_, g)| **g == good).map(|(jti, _)| jti.as_str()).collect();
            if !acks.is_empty() || !errors.is_empty() || poll.failures < SPEECHLESS {
                assert_eq!((acks, errors), (of(true), of(false)));
            }
            let took = Duration::from_millis(random.below(1 + delay) as u64);
            let body: Vec<u8> = match random.below(4) {
                0 => b"{}".to_vec(),
                _ => {
                    let some: Vec<_> = (0..random.below(6)).map(|_| random.below(names).to_string()).collect();
                    sets(&some.iter().map(String::as_str).collect::<Vec<_>>())
                }
            };
            let mut damaged = body.clone();
            random.damage(&mut damaged);
            let retry_after = *random.one_of(&[None, Some("0"), Some("1"), Some("x")]);
            let (what, clear) = match random.one_of(&habits) {
                0..=3 => (good(&body), true),
                4 => (good(&damaged), false),
                5 => (Heard::Answer { status: 503, retry_after, body: b"" }, false),
                6 => (status(400), false),
                7 => (*random.one_of(&[Heard::TooLarge, Heard::Late, Heard::Unreachable]), false),
                _ => (status(401), false),
            };
            let found = poll.heard(what, took);
            // Told and heard, or given up: in both cases nothing is left to tell.
            if clear || poll.trouble().is_none() || (poll.acks.is_empty() && poll.refusals.is_empty()) {
                untold.clear();
            }
            for jti in poll.refusals.keys() {
                untold.insert(jti.clone(), false);
            }
            let empty = found.is_empty() && poll.trouble().is_none();
            for set in found {
                let outcome = match random.below(8) {
                    0 => Outcome::Later,
                    1 => Outcome::Refused(Answer::new(Code::InvalidKey, "no")),
                    _ => Outcome::Taken,
                };
                match outcome {
                    Outcome::Taken => drop(untold.insert(set.jti.clone(), true)),
                    Outcome::Refused(_) => drop(untold.insert(set.jti.clone(), false)),
                    Outcome::Later => {}
                }
                poll.settle(set.jti, outcome);
            }
            let wait = poll.rest(took, u32::try_from(random.below(1 << 32)).expect("32 bits"));
            assert!(took + wait >= SPACING, "{what:?} after {took:?}: {wait:?}");
            assert!(wait <= MOST_RETRY_AFTER, "a wait has an end");
            failures += u32::from(poll.trouble().is_some());
            idle += u32::from(empty && took + wait < IDLE);
            now += took + wait;
        }
        let window = u32::try_from(now.as_millis()).expect("minutes");
        assert!(requests <= 1 + window / 100, "{requests} in {window} ms");
        assert!(failures <= 1 + window / 500, "{failures} failures in {window} ms");
        assert!(idle <= 1 + failures, "an empty answer hurries nobody, but the first one after trouble: {idle}");
    }
}

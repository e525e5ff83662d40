//! A stream's life, step by step: each row is a moment, what happens then, and how the stream is afterwards.

use super::*;
use crate::jose::tests::Xorshift;

use Health::{Blind, Gone, Late, Live, Paused, Unsupervised};

const PUSHED: Settings = Settings {
    verify_every: Duration::from_secs(120),
    blind_after: Duration::from_secs(300),
    recheck_every: Duration::from_secs(900),
    polled: false,
    managed: true,
};
const POLLED: Settings = Settings { polled: true, ..PUSHED };
const ALONE: Settings = Settings { managed: false, ..PUSHED };

/// What happens.
#[derive(Copy, Clone, Debug)]
enum Happens {
    /// Nothing but that time passes.
    Nothing,
    /// The stream is found, or made anew.
    Found,
    MadeAnew,
    /// An event, made so many seconds before.
    Event(u64),
    Polled,
    Status(StreamStatus),
    Deleted,
    /// An operator pauses it, and the transmitter says so.
    PausedHere,
}

/// A moment, what happens, how it is then, whether it is dark, whether everything is re-established.
type Row = (u64, Happens, Health, bool, bool);

fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + second)
}

fn goes(name: &str, settings: Settings, proof: Proof, rows: &[Row]) {
    let start = if settings.managed { Proof::Verification } else { proof };
    let mut stream = Supervision::new(settings, start, at(0));
    for (second, happens, health, dark, reestablish) in rows {
        let now = at(*second);
        match *happens {
            Happens::Nothing => {}
            Happens::Found => stream.made(Limits::default(), proof, false, now),
            Happens::MadeAnew => stream.made(Limits::default(), proof, true, now),
            Happens::Event(age) => stream.heard(now.minus(Duration::from_secs(age)), now),
            Happens::Polled => stream.polled(now),
            Happens::Status(status) => stream.told(status, now),
            Happens::Deleted => stream.gone(now),
            Happens::PausedHere => {
                stream.stopped_on_purpose();
                stream.told(StreamStatus::Paused, now);
            }
        }
        let verdict = stream.judge(now);
        let found = (stream.health(now).0, verdict.dark, verdict.reestablish);
        assert_eq!(found, (*health, *dark, *reestablish), "{name}: {happens:?} after {second} s");
        assert_eq!(stream.is_dark(), *dark, "{name}");
    }
}

#[test]
fn every_way_of_a_stream_from_one_state_to_another_is_known() {
    use Happens::{Deleted, Event, Found, MadeAnew, Nothing, PausedHere, Polled, Status};
    use StreamStatus::{Disabled, Enabled, Paused as Stopped};
    let verified = Proof::Verification;
    goes(
        "a quiet start",
        PUSHED,
        verified,
        &[
            (0, Found, Late, false, false),
            (299, Nothing, Late, false, false),
            (300, Nothing, Blind, true, true),
            (1_199, Nothing, Blind, true, false),
            (1_200, Nothing, Blind, true, true),
            (1_201, Event(0), Live, false, true),
            (1_202, Nothing, Live, false, false),
        ],
    );
    goes(
        "a stream that falls silent and returns",
        PUSHED,
        verified,
        &[
            (0, Found, Late, false, false),
            (1, Event(0), Live, false, false),
            (180, Nothing, Live, false, false),
            (181, Nothing, Late, false, false),
            (190, Event(0), Live, false, false),
            (370, Nothing, Late, false, false),
            (490, Nothing, Blind, true, true),
            (491, Event(300), Blind, true, false),
            (492, Event(299), Live, false, true),
        ],
    );
    goes(
        "a polled stream loses nothing by silence",
        POLLED,
        verified,
        &[
            (0, Found, Late, false, false),
            (300, Nothing, Blind, true, true),
            (301, Polled, Blind, true, false),
            (302, Event(0), Live, false, false),
        ],
    );
    goes(
        "polls are proof where nothing better is to be had",
        POLLED,
        Proof::Polls,
        &[
            (0, Found, Late, false, false),
            (1, Polled, Live, false, false),
            (301, Nothing, Blind, true, true),
            (302, Polled, Live, false, false),
        ],
    );
    goes(
        "the transmitter's word, too",
        PUSHED,
        Proof::Status,
        &[
            (0, Found, Late, false, false),
            (1, Status(Enabled), Live, false, false),
            (301, Nothing, Blind, true, true),
            (302, Status(Enabled), Live, false, true),
        ],
    );
    goes(
        "a word about its status is no proof where events are",
        PUSHED,
        verified,
        &[(0, Found, Late, false, false), (1, Status(Enabled), Late, false, false)],
    );
    goes(
        "a short pause loses nothing",
        PUSHED,
        verified,
        &[
            (0, Found, Late, false, false),
            (1, Event(0), Live, false, false),
            (10, Status(Stopped), Paused, false, false),
            (309, Nothing, Paused, false, false),
            (309, Status(Enabled), Late, false, false),
            (310, Event(0), Live, false, false),
        ],
    );
    goes(
        "a long pause is darkness",
        PUSHED,
        verified,
        &[
            (0, Found, Late, false, false),
            (1, Event(0), Live, false, false),
            (10, PausedHere, Paused, false, false),
            (310, Nothing, Paused, true, true),
            (311, Event(0), Paused, true, false),
            (312, Status(Enabled), Blind, true, false),
            (313, Event(0), Live, false, true),
        ],
    );
    goes(
        "of a disabled stream nothing is kept",
        POLLED,
        verified,
        &[
            (0, Found, Late, false, false),
            (1, Event(0), Live, false, false),
            (2, Status(Disabled), Paused, false, false),
            (3, Status(Enabled), Late, false, false),
            (4, Event(0), Live, false, true),
        ],
    );
    goes(
        "a deleted stream is made anew",
        POLLED,
        verified,
        &[
            (0, Found, Late, false, false),
            (1, Event(0), Live, false, false),
            (2, Deleted, Gone, true, true),
            (3, MadeAnew, Blind, true, false),
            (4, Event(0), Live, false, true),
            (5, Nothing, Live, false, false),
        ],
    );
    goes(
        "a stream that did not exist told nothing",
        PUSHED,
        verified,
        &[(0, MadeAnew, Late, false, false), (1, Event(0), Live, false, true)],
    );
    goes(
        "of a pushed stream without management nothing is claimed",
        ALONE,
        Proof::Nothing,
        &[
            (0, Nothing, Unsupervised, false, false),
            (90_000, Nothing, Unsupervised, false, false),
            (90_001, Event(0), Unsupervised, false, false),
            (90_002, Status(Stopped), Paused, false, false),
            (90_302, Nothing, Paused, true, true),
            (90_303, Status(Enabled), Unsupervised, false, true),
        ],
    );
    goes(
        "a polled stream without management lives by its polls",
        Settings { polled: true, ..ALONE },
        Proof::Polls,
        &[
            (0, Nothing, Late, false, false),
            (1, Polled, Live, false, false),
            (181, Nothing, Late, false, false),
            (301, Nothing, Blind, true, true),
            (302, Polled, Live, false, false),
        ],
    );
}

/// The next step, with a state that a test can tell.
fn step(stream: &mut Supervision, second: u64) -> Option<Step> {
    stream.due(at(second), || Some(format!("s{second}")))
}

fn managed(limits: Limits) -> Supervision {
    let mut stream = Supervision::new(PUSHED, Proof::Verification, at(0));
    assert_eq!(step(&mut stream, 0), Some(Step::Make));
    stream.made(limits, Proof::Verification, false, at(0));
    stream
}

#[test]
fn a_stream_is_verified_and_asked_about_each_period() {
    let mut stream = managed(Limits::default());
    assert_eq!(step(&mut stream, 0), Some(Step::Status));
    assert_eq!(step(&mut stream, 0), Some(Step::Verify("s0".into())));
    assert_eq!(step(&mut stream, 0), None);
    assert!(stream.answered(Some("s0"), at(2)) && stream.has_come("s0"));
    assert_eq!(stream.lag(), Some(Duration::from_secs(2)));
    assert_eq!(step(&mut stream, 119), None);
    assert_eq!(step(&mut stream, 120), Some(Step::Status));
    assert_eq!(step(&mut stream, 120), Some(Step::Verify("s120".into())));
    // Its event does not come: it is asked for again soon.
    assert_eq!(step(&mut stream, 179), None);
    assert_eq!(step(&mut stream, 180), Some(Step::Verify("s180".into())));
    stream.not_verified(at(180));
    assert_eq!(step(&mut stream, 240), Some(Step::Status));
    assert_eq!(step(&mut stream, 299), None, "asked too often, it waits for its turn");
    assert_eq!(step(&mut stream, 300), Some(Step::Verify("s300".into())));
}

#[test]
fn the_transmitters_own_bounds_are_kept() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    // Asks for a verification every 10 minutes at the most, and for a sign of life every 2.
    let limits = Limits { min_verification_interval: seconds(600), inactivity_timeout: seconds(120) };
    let mut stream = managed(limits);
    let mut steps = Vec::new();
    for second in 0..1_200 {
        while let Some(step) = step(&mut stream, second) {
            if let Step::Verify(state) = &step {
                stream.answered(Some(state), at(second));
            }
            steps.push((second, matches!(step, Step::Verify(_))));
        }
    }
    let verified: Vec<_> = steps.iter().filter(|(_, verified)| *verified).map(|(second, _)| *second).collect();
    assert_eq!(verified, [0, 600]);
    let asked: Vec<_> = steps.iter().filter(|(_, verified)| !verified).map(|(second, _)| *second).collect();
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] < 60), "{asked:?}");
    // What may be asked for every 10 minutes only cannot be late after 3.
    let (mut stream, now) = (managed(limits), at(659));
    stream.heard(at(0), at(0));
    assert_eq!(stream.judge(now).change, Some((Late, Live)));
    assert_eq!(stream.judge(at(660)).change, Some((Live, Late)));
    assert_eq!(stream.judge(at(720)).change, Some((Late, Blind)));
}

#[test]
fn only_a_state_that_was_asked_for_counts_and_any_of_several() {
    let mut stream = managed(Limits::default());
    for second in [1, 2, 3] {
        assert_eq!(stream.asks(at(second), || Some(format!("s{second}"))), Some(format!("s{second}")));
    }
    for (name, state, second, expected) in [
        ("the second of three", Some("s2"), 4, true),
        ("the same once more", Some("s2"), 5, true),
        ("the first, later than the second", Some("s1"), 6, true),
        ("one that nobody asked for", Some("s4"), 6, false),
        ("the empty one", Some(""), 6, false),
        ("none: the transmitter's own", None, 6, true),
        ("one that is an hour old", Some("s3"), 3_603, false),
    ] {
        assert_eq!(stream.answered(state, at(second)), expected, "{name}");
    }
    assert_eq!(stream.asks(at(4_000), || None), None, "no randomness, no question");
    for second in 5_000..5_100 {
        stream.asks(at(second), || Some(format!("s{second}")));
    }
    assert!(!stream.answered(Some("s5000"), at(5_100)), "at the bound the oldest is forgotten");
    assert!(stream.answered(Some("s5099"), at(5_100)));
    let mut alone = Supervision::new(ALONE, Proof::Nothing, at(0));
    assert!(alone.answered(Some("by hand"), at(1)), "where we never ask, somebody else may have");
}

#[test]
fn a_stream_that_cannot_be_made_is_tried_again_more_and_more_seldom() {
    let mut stream = Supervision::new(PUSHED, Proof::Verification, at(0));
    let (mut tries, mut second) = (Vec::new(), 0);
    while tries.len() < 9 {
        if step(&mut stream, second) == Some(Step::Make) {
            tries.push(second);
            stream.not_made(at(second));
        }
        second += 1;
    }
    assert_eq!(tries, [0, 2, 6, 14, 30, 62, 126, 246, 366]);
}

#[test]
fn what_the_transmitter_stopped_is_asked_back_and_what_we_stopped_is_not() {
    let mut stream = managed(Limits::default());
    stream.told(StreamStatus::Paused, at(1));
    assert_eq!(step(&mut stream, 1), Some(Step::Resume));
    assert_eq!(step(&mut stream, 1), Some(Step::Status));
    assert_eq!(step(&mut stream, 1), None, "a paused stream is not verified");
    assert_eq!(step(&mut stream, 121), Some(Step::Resume));
    stream.told(StreamStatus::Enabled, at(122));
    assert_eq!(step(&mut stream, 122), Some(Step::Status));
    assert_eq!(step(&mut stream, 122), Some(Step::Verify("s122".into())));

    stream.stopped_on_purpose();
    stream.told(StreamStatus::Paused, at(200));
    assert_eq!(step(&mut stream, 300), Some(Step::Status), "only looked after");
    assert_eq!(step(&mut stream, 300), None);

    let mut stream = managed(Limits::default());
    stream.gone(at(1));
    assert_eq!(step(&mut stream, 1), Some(Step::Make), "deleted there, made again here");
    stream.gone(at(2));
    stream.stopped_on_purpose();
    assert_eq!(step(&mut stream, 100_000), None, "deleted here, left alone");
    stream.made(Limits::default(), Proof::Verification, true, at(100_001));
    assert_eq!(step(&mut stream, 100_001), Some(Step::Status));
    let mut alone = Supervision::new(ALONE, Proof::Nothing, at(0));
    assert_eq!(step(&mut alone, 100_000), None, "nothing to be done without management");
}

#[test]
fn who_takes_over_finds_the_stream_first_and_undoes_nobodys_order() {
    let mut stream = Supervision::new(PUSHED, Proof::Verification, at(0));
    stream.hears_of(Limits::default(), Proof::Status, at(1));
    stream.told(StreamStatus::Enabled, at(2));
    assert_eq!((stream.terms().1, stream.health(at(2)).0), (Proof::Status, Live), "as the gateway that leads says");
    stream.takes_over(at(10));
    assert_eq!(step(&mut stream, 10), Some(Step::Make));
    stream.made(Limits::default(), Proof::Verification, false, at(10));
    assert_eq!(step(&mut stream, 10), Some(Step::Status));

    stream.stopped_on_purpose();
    stream.told(StreamStatus::Paused, at(11));
    stream.hears_of(Limits::default(), Proof::Verification, at(12));
    stream.takes_over(at(20));
    assert_eq!(step(&mut stream, 20), Some(Step::Make), "found, to be looked after");
    stream.made(Limits::default(), Proof::Verification, false, at(20));
    assert_eq!((step(&mut stream, 20), step(&mut stream, 20)), (Some(Step::Status), None), "and still paused");

    stream.gone(at(30));
    stream.stopped_on_purpose();
    stream.takes_over(at(40));
    assert_eq!(step(&mut stream, 100_000), None, "deleted here, left alone");
}

#[test]
fn what_comes_late_takes_nothing_back() {
    let mut stream = managed(Limits::default());
    stream.heard(at(100), at(100));
    stream.heard(at(50), at(50));
    assert_eq!(stream.last_sign(), Some(at(100)));
    stream.told(StreamStatus::Paused, at(60));
    stream.told(StreamStatus::Enabled, at(70));
    stream.heard(at(65), at(65));
    assert_eq!(stream.last_sign(), Some(at(100)), "from before it was enabled");
    let mut later = Supervision::new(PUSHED, Proof::Verification, at(1_000));
    later.heard(at(10), at(10));
    later.made(Limits::default(), Proof::Verification, true, at(20));
    assert_eq!((later.last_sign(), later.health(at(1_001)).0), (None, Late), "from before this gateway watched");
    assert!(later.is_lossy());
    later.lost_only(false);
    assert!(!later.is_lossy());
}

#[test]
fn whatever_happens_a_stream_is_dark_for_a_reason_and_heals_by_a_sign_of_life() {
    let seed = 0x5eed_0f11_7e57_0001;
    println!("seed {seed:#x}");
    let mut random = Xorshift(seed);
    let proofs = [Proof::Verification, Proof::Polls, Proof::Status, Proof::Nothing];
    for round in 0..400 {
        let settings = Settings { polled: random.below(2) == 0, managed: random.below(4) > 0, ..PUSHED };
        let least = Duration::from_secs(random.below(600) as u64);
        let limits = Limits { min_verification_interval: Some(least), inactivity_timeout: None };
        let proof = proofs[random.below(proofs.len())];
        let mut stream = Supervision::new(settings, proof, at(0));
        let (mut second, mut last_question, mut last_doubt) = (0, None, None);
        for step in 0..200 {
            second += random.below(200) as u64;
            let now = at(second);
            let name = format!("round {round}, step {step}, {settings:?}, {proof:?}");
            match random.below(12) {
                0 => stream.gone(now),
                1 => stream.told(StreamStatus::Paused, now),
                2 => stream.told(StreamStatus::Disabled, now),
                3 | 4 => stream.told(StreamStatus::Enabled, now),
                5 => stream.polled(now),
                6 => {
                    let anew = random.below(2) == 0;
                    last_question = last_question.filter(|_| !anew);
                    stream.made(limits, proof, anew, now);
                }
                7 => stream.heard(now, now),
                _ => {}
            }
            let steps: Vec<_> = std::iter::from_fn(|| stream.due(now, || Some(format!("s{second}")))).take(9).collect();
            assert!(steps.len() < 9, "{name}: without end: {steps:?}");
            for step in &steps {
                match step {
                    Step::Make => stream.not_made(now),
                    Step::Verify(state) => {
                        let since = last_question.map_or(Duration::MAX, |last| now.since(last));
                        assert!(
                            since >= stream.limits.min_verification_interval.unwrap_or_default(),
                            "{name}: too often"
                        );
                        last_question = Some(now);
                        if random.below(2) == 0 {
                            assert!(stream.answered(Some(state), now), "{name}");
                        }
                    }
                    Step::Status | Step::Resume => {}
                }
            }
            let was_dark = stream.is_dark();
            let verdict = stream.judge(now);
            let (health, since) = stream.health(now);
            assert!(since <= now, "{name}");
            let reason = matches!(health, Blind | Gone | Paused);
            assert!(reason || !verdict.dark, "{name}: dark although {health:?}");
            assert!(!matches!(health, Blind | Gone) || verdict.dark, "{name}: {health:?} and not dark");
            if verdict.reestablish && verdict.dark && was_dark {
                let apart = last_doubt.map_or(Duration::MAX, |last| now.since(last));
                assert!(apart >= settings.recheck_every, "{name}: again after {apart:?}");
            }
            if verdict.reestablish {
                last_doubt = Some(now);
            }
            assert!(!verdict.dark || was_dark || verdict.reestablish, "{name}: dark, and nobody is asked");
            assert!(!stream.judge(now).reestablish, "{name}: twice for one reason");
        }
        // Whatever it was: once it is there and enabled, one event is enough.
        stream.made(limits, proof, false, at(second));
        stream.told(StreamStatus::Enabled, at(second));
        stream.heard(at(second), at(second));
        stream.judge(at(second));
        let expected = if proof == Proof::Nothing { Unsupervised } else { Live };
        assert_eq!((stream.health(at(second)).0, stream.is_dark()), (expected, false), "round {round}");
    }
}

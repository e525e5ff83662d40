//! The revocation set.

use portcullis::identity::{AppKey, TargetHasher};
use portcullis::revocation::{Mode, RevocationSet, Standing};
use portcullis::time::Timestamp;

use super::words::{APPS, Keys, Lift, Shown, Signal, held, read_through};
use super::{Dice, seeds};

fn judged(set: &RevocationSet, shown: &Shown, app: &str, keys: &mut Keys) -> Standing {
    set.judge(&shown.held(keys).in_app(AppKey::of(app)))
}

#[test]
fn the_set_answers_like_a_list_of_all_revocations() {
    const ROUNDS: usize = 500;
    const STEPS: usize = 200;
    const NOW: u64 = 1_000;
    for seed in seeds() {
        let mut dice = Dice(seed);
        let hashers = [TargetHasher::new(&[1; 32]), TargetHasher::new(&[2; 32])];
        let mut rings = hashers.clone().map(Keys::new);
        let (mut questions, mut covered, mut on_hold, mut off) = (0, 0, 0, 0);
        for round in 0..ROUNDS {
            let set = RevocationSet::default();
            let mut signals: Vec<Signal> = Vec::new();
            let mut lifts: Vec<Lift> = Vec::new();
            for step in 0..STEPS {
                match dice.below(5) {
                    // In any order of their cut-offs.
                    0 => {
                        let cut_off = 1 + dice.below(NOW);
                        let mut signal = Signal::random(&mut dice, cut_off);
                        // A hold on every second would leave nobody to ask about.
                        if dice.one_in(8) {
                            signal.mode = Mode::Hold;
                        }
                        signals.push(signal);
                    }
                    // Before its hold, after it, or in its second.
                    1 if dice.one_in(2) && !signals.is_empty() => {
                        let of = dice.pick(&signals).clone();
                        let at = if dice.one_in(3) { of.cut_off } else { 1 + dice.below(NOW) };
                        lifts.push(Lift { of, at });
                        set.lift(&lifts.last().expect("just pushed").lifted(), &hashers.each_ref());
                        continue;
                    }
                    // Once more, as redelivery and replay do.
                    1 if !signals.is_empty() => {
                        let again = dice.pick(&signals).clone();
                        signals.push(again);
                    }
                    _ => {
                        let shown = Shown::random(&mut dice, NOW);
                        let app = *dice.pick(&APPS);
                        let since = held(&signals, &lifts, &shown, app);
                        let expected = Standing { held: since, ..read_through(&signals, &shown, app) };
                        on_hold += usize::from(since.is_some());
                        off += usize::from(since.is_none() && held(&signals, &[], &shown, app).is_some());
                        // Whichever key of the ring the session was sealed under.
                        let keys = &mut rings[usize::from(dice.one_in(2))];
                        let found = judged(&set, &shown, app, keys);
                        assert_eq!(
                            found, expected,
                            "seed {seed}, round {round}, step {step}: {shown:?} in {app}\n{signals:#?}"
                        );
                        questions += 1;
                        covered += usize::from(!expected.is_clear());
                        continue;
                    }
                }
                let newest = signals.last().expect("just pushed").revocation();
                set.insert(&newest, &hashers.each_ref());
            }
        }
        let share = covered * 100 / questions;
        assert!(on_hold > 1_000 && off > 100, "seed {seed}: {on_hold} on hold, {off} off it again");
        assert!((10..=90).contains(&share), "seed {seed}: {share} % covered is too one-sided to tell anything");
    }
}

#[test]
fn the_same_revocations_in_any_order_are_the_same_set() {
    const NOW: u64 = 1_000;
    for seed in seeds() {
        let mut dice = Dice(seed);
        let hasher = TargetHasher::new(&[1; 32]);
        let mut keys = Keys::new(hasher.clone());
        for round in 0..50 {
            let signals: Vec<_> = (0..60)
                .map(|_| {
                    let cut_off = 1 + dice.below(NOW);
                    Signal::random(&mut dice, cut_off).revocation()
                })
                .collect();
            let (forward, backward) = (RevocationSet::default(), RevocationSet::default());
            for (one, other) in signals.iter().zip(signals.iter().rev()) {
                forward.insert(one, &[&hasher]);
                backward.insert(other, &[&hasher]);
                if dice.one_in(3) {
                    backward.insert(dice.pick(&signals), &[&hasher]);
                }
            }
            assert_eq!(forward.len(), backward.len(), "seed {seed}, round {round}");
            for _ in 0..100 {
                let (shown, app) = (Shown::random(&mut dice, NOW), *dice.pick(&APPS));
                let answers = (judged(&forward, &shown, app, &mut keys), judged(&backward, &shown, app, &mut keys));
                assert_eq!(answers.0, answers.1, "seed {seed}, round {round}: {shown:?} in {app}");
            }
        }
    }
}

#[test]
fn dropping_the_old_never_touches_what_may_still_be_needed() {
    const NOW: u64 = 1_000;
    for seed in seeds() {
        let mut dice = Dice(seed);
        let hasher = TargetHasher::new(&[1; 32]);
        let mut keys = Keys::new(hasher.clone());
        for round in 0..100 {
            let set = RevocationSet::default();
            let all: Vec<_> = (0..60)
                .map(|_| {
                    let cut_off = 1 + dice.below(NOW);
                    Signal::random(&mut dice, cut_off)
                })
                .collect();
            for signal in &all {
                set.insert(&signal.revocation(), &[&hasher]);
            }
            let horizon = dice.below(NOW);
            let before = set.len();
            let dropped = set.drop_older_than(Timestamp::from_secs(horizon));
            assert_eq!(set.len(), before - dropped, "seed {seed}, round {round}");
            let kept: Vec<_> = all.iter().filter(|signal| signal.cut_off >= horizon).cloned().collect();
            for _ in 0..50 {
                let (shown, app) = (Shown::random(&mut dice, NOW), *dice.pick(&APPS));
                let found = judged(&set, &shown, app, &mut keys);
                let (least, most) = (read_through(&kept, &shown, app), read_through(&all, &shown, app));
                // Nothing that must be kept is gone, and nothing is there that never was.
                assert!(
                    found.and(least) == found && found.and(most) == most,
                    "seed {seed}, round {round}, horizon {horizon}: {found:?} is not between {least:?} and {most:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_superseded_goes_and_no_answer_changes() {
    const NOW: u64 = 1_000;
    let mut dropped = 0;
    for seed in seeds() {
        let mut dice = Dice(seed);
        let hasher = TargetHasher::new(&[1; 32]);
        let mut keys = Keys::new(hasher.clone());
        for round in 0..100 {
            let (whole, swept) = (RevocationSet::default(), RevocationSet::default());
            for _ in 0..60 {
                let cut_off = 1 + dice.below(NOW);
                let one = Signal::random(&mut dice, cut_off).revocation();
                whole.insert(&one, &[&hasher]);
                swept.insert(&one, &[&hasher]);
                if dice.one_in(10) {
                    dropped += swept.drop_older_than(Timestamp::ZERO);
                }
            }
            for _ in 0..100 {
                let (shown, app) = (Shown::random(&mut dice, NOW), *dice.pick(&APPS));
                let answers = (judged(&whole, &shown, app, &mut keys), judged(&swept, &shown, app, &mut keys));
                assert_eq!(answers.0, answers.1, "seed {seed}, round {round}: {shown:?} in {app}");
            }
        }
    }
    assert!(dropped > 0, "nothing was ever superseded: this tests nothing");
}

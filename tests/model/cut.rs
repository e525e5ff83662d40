//! What is in flight when a revocation comes.

use std::sync::Arc;
use std::time::Duration;

use portcullis::enforcer::{Enforcer, Settings};
use portcullis::exchanges::{Cut, Exchange, Guard, Kind};
use portcullis::identity::AppKey;
use portcullis::revocation::Standing;
use portcullis::seal::{KeyRing, generate_key};

use super::words::{APPS, Keys, Shown, Signal, read_through};
use super::{Dice, seeds};

/// A long exchange in flight.
struct Flight {
    shown: Vec<Shown>,
    app: &'static str,
    cut: Cut,
    guard: Guard,
}

impl Flight {
    fn is_covered(&self, signals: &[Signal]) -> bool {
        self.shown.iter().any(|shown| !read_through(signals, shown, self.app).is_clear())
    }
}

#[test]
fn a_revocation_cuts_all_that_it_covers_and_nothing_else() {
    const STEPS: usize = 6_000;
    const MOST_SIGNALS: usize = 150;
    for seed in seeds() {
        let mut dice = Dice(seed);
        let key = generate_key().expect("randomness");
        let ring = Arc::new(KeyRing::parse([key.expose().as_str()]).expect("key").expect("ring"));
        let mut keys = Keys::new(ring.hasher().clone());
        let settings = Settings {
            longest_life: Duration::from_secs(43_200),
            margin: Duration::from_secs(300),
            exchanges: portcullis::exchanges::Settings::default(),
        };
        let mut enforcer = Enforcer::new(&settings, Arc::clone(&ring));
        let (mut signals, mut people, mut flights): (Vec<Signal>, Vec<Shown>, Vec<Flight>) = Default::default();
        let (mut now, mut cuts, mut refusals) = (100, 0, 0);
        for step in 0..STEPS {
            let here = format!("seed {seed}, step {step}");
            now += dice.below(3);
            match dice.below(10) {
                // Somebody signs in.
                0 | 1 => {
                    let mut shown = Shown::random(&mut dice, now);
                    shown.asserted_at = now;
                    shown.auth_time = if dice.one_in(4) { shown.auth_time } else { Some(now) };
                    people.push(shown);
                }
                // A request, with one credential or two; some stay.
                2..=6 if !people.is_empty() => {
                    let shown: Vec<_> = (0..1 + dice.below(5) / 4).map(|_| dice.pick(&people).clone()).collect();
                    let app = *dice.pick(&APPS);
                    let cut = Cut::new();
                    let exchange = Exchange {
                        credentials: shown.iter().map(|shown| shown.held(&mut keys)).collect(),
                        app: AppKey::of(app),
                        app_name: app.into(),
                        kind: *dice.pick(&Kind::ALL),
                        ends_at: None,
                    };
                    let (standing, guard) = enforcer.admit(exchange, &cut).expect("room");
                    let expected = shown
                        .iter()
                        .fold(Standing::default(), |all, shown| all.and(read_through(&signals, shown, app)));
                    assert_eq!(standing, expected, "{here}");
                    if !standing.is_clear() {
                        refusals += 1;
                    } else if dice.one_in(2) {
                        flights.push(Flight { shown, app, cut, guard });
                    }
                }
                // A stream ends by itself.
                7 if !flights.is_empty() => {
                    let at = dice.below(flights.len() as u64);
                    flights.swap_remove(usize::try_from(at).expect("small"));
                }
                // A revocation: mostly of just now, sometimes late, sometimes once more.
                8 => {
                    let signal = match dice.below(4) {
                        0 if !signals.is_empty() => dice.pick(&signals).clone(),
                        1 => {
                            let late = now - dice.below(50);
                            Signal::random(&mut dice, late)
                        }
                        _ => Signal::random(&mut dice, now),
                    };
                    let alive = flights.iter().filter(|flight| !flight.cut.is_cancelled()).count();
                    let would = enforcer.would_cut(&signal.revocation());
                    let did = enforcer.apply(&signal.revocation()).cut;
                    assert_eq!(would, did, "{here}: the dry run said something else about {signal:?}");
                    signals.push(signal);
                    for flight in &flights {
                        assert_eq!(
                            flight.cut.is_cancelled(),
                            flight.is_covered(&signals),
                            "{here}: {:?}",
                            flight.shown
                        );
                        let again = enforcer.judge_again(&flight.guard);
                        assert_eq!(again.is_clear(), !flight.cut.is_cancelled(), "{here}");
                    }
                    let left = flights.iter().filter(|flight| !flight.cut.is_cancelled()).count();
                    assert_eq!(did.total(), alive - left, "{here}: the count is of what was ended");
                    cuts += did.total();
                }
                // A gateway that starts anew, before the list is too long to be read through.
                _ if signals.len() > MOST_SIGNALS => {
                    flights.clear();
                    assert_eq!(enforcer.in_flight(), 0, "{here}");
                    signals.clear();
                    enforcer = Enforcer::new(&settings, Arc::clone(&ring));
                }
                _ => assert_eq!(enforcer.in_flight(), flights.len(), "{here}"),
            }
            // People come and go; those who are long revoked would make every request a refusal.
            if people.len() > 40 {
                people.drain(..20);
            }
        }
        assert!(cuts > 100 && refusals > 100, "seed {seed}: {cuts} cuts and {refusals} refusals tell too little");
    }
}

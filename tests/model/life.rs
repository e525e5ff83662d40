//! The life of a gateway: people sign in, ask, are cut; apps give out cookies and tokens, and others for those; signals come
//! late, twice and in any order; the gateway starts again. The rules and the enforcer against the laws, read aloud.

mod request;
mod world;

use std::sync::Arc;

use portcullis::config::Config;
use portcullis::enforcer::Enforcer;
use portcullis::identity::TargetKind;
use portcullis::lineage::Names;
use portcullis::login::{self, Proof};
use portcullis::revocation::{Mode, Reestablished};
use portcullis::seal::KeyRing;
use portcullis::session::{Session, SessionId};

use self::world::{Counted, Holding, LOGIN, PLACES, SESSION, World, at, config, identity};
use crate::law::{Basis, Happened, Signed, asks, stands, user};
use crate::words::{Fact, NAMED, Shown, Signal};
use crate::{Dice, seeds};

/// Steps of each seed; two seeds are run.
const STEPS: usize = 50_000;
/// Steps after which a world ends: its list of all that happened is read through again and again.
const ROUND: usize = 250;
impl World<'_> {
    fn step(&mut self, dice: &mut Dice, counted: &mut Counted) {
        self.now += dice.below(14);
        match dice.below(100) {
            0..=11 => self.signs_in(dice, counted),
            12..=69 => self.asks(dice, counted),
            70..=74 if !self.flights.is_empty() => {
                let at = usize::try_from(dice.below(self.flights.len() as u64)).expect("small");
                drop(self.flights.swap_remove(at));
                assert_eq!(self.enforcer.in_flight(), self.flights.len());
            }
            75..=86 => {
                let signal = Happened::Revoked(self.signal(dice));
                if dice.one_in(3) { self.pending.push(signal) } else { self.learns(signal, counted) }
            }
            87..=92 if !self.pending.is_empty() => {
                let at = usize::try_from(dice.below(self.pending.len() as u64)).expect("small");
                let event = if dice.one_in(4) { self.pending[at].clone() } else { self.pending.swap_remove(at) };
                self.learns(event, counted);
            }
            93 | 94 if !self.happened.is_empty() => {
                let again = dice.pick(&self.happened).clone();
                self.learns(again, counted);
            }
            95 | 96 => self.ends(counted),
            97 if self.sweeps => drop(self.enforcer.sweep(at(self.now))),
            98 if dice.one_in(3) => self.starts_again(dice),
            _ => {}
        }
        forget(&mut self.sessions, 24, dice);
        forget(&mut self.cookies, 24, dice);
        forget(&mut self.tokens, 16, dice);
        forget(&mut self.flights, 12, dice);
    }

    /// Somebody comes back from their IdP with an assertion.
    fn signs_in(&mut self, dice: &mut Dice, counted: &mut Counted) {
        let who = usize::try_from(dice.below(self.people.len() as u64)).expect("small");
        let facts = self.people[who].clone();
        let issuer = facts[0].issuer;
        let theirs: Vec<_> = PLACES.iter().filter(|place| (place.name == "shop") == (issuer == 1)).collect();
        let place = *dice.pick(&theirs);
        // A callback may be late; a silent sign-in tells of an older proof; some IdPs tell of none.
        let asserted_at = self.now - dice.below(3) * dice.below(20);
        let silent = self.proofs[who].filter(|proof| *proof <= asserted_at && proof + LOGIN > self.now);
        let auth_time = match dice.below(8) {
            0 if !self.sweeps => None,
            1..=4 if silent.is_some() => silent,
            _ => Some(asserted_at),
        };
        self.proofs[who] = auth_time.or(self.proofs[who]);
        let said = dice.one_in(6).then(|| self.now + 50 + dice.below(900));
        self.made += 1;
        let mut facts = facts;
        for (kind, chance) in [(TargetKind::Session, 5), (TargetKind::Device, 2)] {
            if !dice.one_in(chance) {
                facts.push(Fact::random(dice, issuer, kind));
            }
        }
        let identity = identity(&facts, asserted_at, auth_time, said);
        facts.push(Fact { issuer, kind: TargetKind::Gateway, value: self.made });
        let root = Shown { facts, asserted_at, auth_time };

        let app = self.app(place.name);
        let id = SessionId(u128::from(self.made).to_be_bytes());
        let session = Session::begin(id, &app.idp, &identity, vec![], self.ring, at(self.now));
        let standing = self.enforcer.judge(&session.credential(app.key));
        let basis = Basis { root: root.clone(), newer: vec![] };
        assert_eq!(standing, stands(&self.happened, &basis, place.name), "a sign-in of {root:?} in {}", place.name);
        let proven = login::check_proof(Proof::Any, &identity, standing) == login::Verdict::Proven;
        assert_eq!(proven, standing.is_clear());
        assert_eq!(self.enforcer.asks_to_reestablish(), asks(&self.happened));
        if !proven {
            return;
        }
        if asks(&self.happened) {
            let back = Happened::Returned(user(&root), asserted_at);
            counted.returns += 1;
            if dice.one_in(3) {
                self.pending.push(back.clone());
            }
            self.learns(back, counted);
        }
        let end = said.unwrap_or(u64::MAX).min(self.now + SESSION);
        let sent = session.seal(self.ring, place.host).expect("sealed");
        self.sessions.push(Holding { known: Signed { root, host: place.host, end, said }, sent });
    }

    /// A signal about somebody, mostly of somebody who is here.
    fn signal(&self, dice: &mut Dice) -> Signal {
        let mode = if dice.one_in(2) { Mode::Terminate } else { Mode::Reestablish };
        let cut_off = self.now - dice.below(2) * dice.below(200);
        let apps = dice.one_in(3).then(|| PLACES.iter().map(|p| p.name).filter(|_| dice.one_in(2)).collect());
        let mut facts = vec![];
        if let (Some(session), false) = (self.sessions.last().map(|_| dice.pick(&self.sessions)), dice.one_in(4)) {
            let theirs = &session.known.root.facts;
            for _ in 0..1 + dice.below(3) / 2 {
                facts.push(*dice.pick(theirs));
            }
        } else {
            let issuer = dice.below(2);
            for _ in 0..1 + dice.below(4) / 2 {
                let kind = *dice.pick(&NAMED);
                facts.push(Fact::random(dice, issuer, kind));
            }
        }
        // Everybody at once would leave little to look at.
        if facts.iter().all(|fact| fact.kind == TargetKind::Everyone) && !dice.one_in(4) {
            facts.push(Fact::random(dice, facts[0].issuer, TargetKind::User));
        }
        Signal { facts, apps, mode, cut_off }
    }

    /// Puts in force what happened, and looks at everything in flight.
    fn learns(&mut self, event: Happened, counted: &mut Counted) {
        let did = match &event {
            Happened::Revoked(signal) => {
                let would = self.enforcer.would_cut(&signal.revocation()).total();
                let did = self.enforcer.apply(&signal.revocation()).cut.total();
                assert_eq!(would, did, "the dry run said something else about {signal:?}");
                did
            }
            Happened::Returned(user, moment) => {
                self.enforcer.reestablished(&Reestablished { who: user.target(), at: at(*moment) });
                0
            }
        };
        self.happened.push(event);
        let mut ended = 0;
        for flight in &mut self.flights {
            let covered = |basis: &Basis| !stands(&self.happened, basis, flight.app).is_clear();
            let over = flight.held.iter().any(covered);
            // What was cut before may have outlived the revocation that cut it.
            assert!(flight.over || self.enforcer.judge_again(&flight.guard).is_clear() != over);
            ended += usize::from(over && !flight.over);
            flight.over |= over;
            assert_eq!(
                flight.cut.is_cancelled(),
                flight.over,
                "{:?} in {}: {:#?}",
                flight.held,
                flight.app,
                self.happened
            );
        }
        assert_eq!(did, ended, "the count is of what was ended");
        counted.cuts += ended;
    }

    /// What reached its own end is cut.
    fn ends(&mut self, counted: &mut Counted) {
        let did = self.enforcer.end_over(at(self.now)).total();
        let mut ended = 0;
        for flight in &mut self.flights {
            let over = flight.end.is_some_and(|end| end <= self.now);
            ended += usize::from(over && !flight.over);
            flight.over |= over;
            assert_eq!(flight.cut.is_cancelled(), flight.over, "{:?}, which ends at {:?}", flight.held, flight.end);
        }
        assert_eq!(did, ended);
        counted.ends += ended;
    }

    /// The gateway is killed and started again: it reads what it wrote down, in whatever order it stands there.
    fn starts_again(&mut self, dice: &mut Dice) {
        self.flights.clear();
        assert_eq!(self.enforcer.in_flight(), 0);
        self.enforcer = Enforcer::new(&self.settings, Arc::clone(self.ring));
        self.names = Names::default();
        let mut written = self.happened.clone();
        while !written.is_empty() {
            let at = usize::try_from(dice.below(written.len() as u64)).expect("small");
            let fact = if dice.one_in(5) { written[at].clone() } else { written.swap_remove(at) };
            match fact {
                Happened::Revoked(signal) => drop(self.enforcer.apply(&signal.revocation())),
                Happened::Returned(user, moment) => {
                    self.enforcer.reestablished(&Reestablished { who: user.target(), at: self::at(moment) });
                }
            }
        }
    }
}

/// What is too much goes, whatever it is.
fn forget<T>(all: &mut Vec<T>, most: usize, dice: &mut Dice) {
    if all.len() > most {
        let at = usize::try_from(dice.below(all.len() as u64)).expect("small");
        drop(all.swap_remove(at));
    }
}

/// Says where it was, if it went wrong.
struct Here(u64, usize, usize);

impl Drop for Here {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("seed {}, round {}, step {}", self.0, self.1, self.2);
        }
    }
}

#[test]
fn a_life_of_a_hundred_thousand_steps_keeps_the_laws() {
    let (config, ring) = config();
    std::thread::scope(|scope| {
        for seed in seeds() {
            let (config, ring) = (&config, &ring);
            scope.spawn(move || live(seed, config, ring));
        }
    });
}

fn live(seed: u64, config: &Config, ring: &Arc<KeyRing>) {
    let mut dice = Dice(seed);
    let mut counted = Counted::default();
    for round in 0..STEPS / ROUND {
        let mut world = World::new(config, ring, &mut dice);
        let mut here = Here(seed, round, 0);
        for step in 0..ROUND {
            here.2 = step;
            world.step(&mut dice, &mut counted);
        }
    }
    println!("seed {seed}: {counted:?}");
    let words = ["forward", "session_revoked", "reestablish_required", "invalid_token", "session_expired"];
    let seen = words.iter().all(|word| counted.words.get(word).is_some_and(|times| *times > 500));
    let enough = [counted.cuts, counted.ends, counted.refreshed, counted.returns].iter().all(|times| *times > 100);
    assert!(seen && enough, "seed {seed}: {counted:?} tells too little");
}

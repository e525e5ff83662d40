use TargetKind::{Device, Group, Session, User};

use super::*;
use crate::exchanges::{Counts, Cut, Exchange, Held, Kind};
use crate::fleet::{GatewayId, Heard, Position};
use crate::identity::{AppKey, Issuer, TargetKey, TargetKind};
use crate::ledger::scratch::Scratch;
use crate::ledger::{self, Replay};
use crate::revocation::{Mode, Origin, Reach, Whom};
use crate::seal::generate_key;

const NOW: Timestamp = Timestamp::from_secs(1_795_464_000);
const HOUR: Duration = Duration::from_secs(3_600);

/// Small, with pseudonyms.
pub(crate) fn settings() -> Settings {
    Settings {
        most: 100,
        gateway: "gw-1".to_owned(),
        clear: false,
        ceilings: Ceilings {
            session: Duration::from_secs(43_200),
            app_token: Some(Duration::from_secs(86_400)),
            anything: Duration::from_secs(100_000),
        },
        settle: Duration::from_secs(300),
    }
}

/// Outcomes with a ledger of their own.
struct House {
    scratch: Scratch,
    ring: Arc<KeyRing>,
    clock: Clock,
    settings: Settings,
    outcomes: Outcomes,
}

impl House {
    fn new(settings: Settings) -> Self {
        let key = generate_key().expect("randomness");
        let ring = Arc::new(KeyRing::parse([key.expose().as_str()]).expect("key").expect("ring"));
        Self::open(Scratch::new(), ring, Clock::manual(NOW), settings)
    }

    fn open(scratch: Scratch, ring: Arc<KeyRing>, clock: Clock, settings: Settings) -> Self {
        let (ledger, replay) = Ledger::open(&ledger::Settings::at(scratch.file("ledger.db"))).expect("opens");
        let metrics = Arc::new(Metrics::new());
        let off = crate::audit::Settings { sink: crate::audit::Sink::Off, queue: 1 };
        let audit = Audit::open(&off, clock.clone(), Arc::clone(&metrics)).expect("opens");
        let others = (audit, metrics, clock.clone());
        let outcomes = Outcomes::open(settings.clone(), None, Arc::clone(&ring), (ledger, &replay), others);
        let house = Self { scratch, ring, clock, settings, outcomes: outcomes.expect("opens") };
        house.replays(replay);
        house
    }

    fn replays(&self, replay: Replay) {
        replay.for_each(|fact| self.outcomes.replays(&fact.expect("readable")));
        self.outcomes.replay_ends();
    }

    fn restarted(self) -> Self {
        let Self { scratch, ring, clock, settings, outcomes } = self;
        drop(outcomes);
        Self::open(scratch, ring, clock, settings)
    }

    fn target(&self, kind: TargetKind, value: &str) -> Target {
        Target::new(&Issuer::parse("https://idp.example.com").expect("issuer"), kind, value).expect("target")
    }

    fn revocation(&self, targets: &[(TargetKind, &str)], jti: &str) -> Revocation {
        let targets = targets.iter().map(|(kind, value)| self.target(*kind, value)).collect();
        let now = self.clock.now();
        Revocation {
            whom: Whom::all_of(targets).expect("whom"),
            reach: Reach::All,
            mode: Mode::Terminate,
            cut_off: now,
            origin: Origin::BackChannel { idp: "corp".into(), jti: jti.into() },
            reason: None,
            said: Default::default(),
            received_at: now,
        }
    }

    async fn takes(&self, revocation: &Revocation) -> RevocationId {
        let id = self.outcomes.begin(revocation, &Ended::default());
        let mut begun = self.outcomes.to_write(&[id]);
        let facts = [Fact::Revoked(revocation.clone())];
        let notes = std::mem::take(&mut begun.notes);
        self.outcomes.0.ledger.append_with(&facts, notes).await.expect("durable");
        self.outcomes.written(begun);
        id
    }

    fn keys(&self, facts: &[(TargetKind, &str)]) -> Vec<(TargetKind, TargetKey)> {
        facts.iter().map(|(kind, value)| (*kind, self.ring.hasher().key(&self.target(*kind, value)))).collect()
    }

    /// A request with a session of that number, of whoever has these facts.
    fn refuses(&self, session: u8, facts: &[(TargetKind, &str)]) {
        let targets = self.keys(facts);
        self.outcomes.refused(&[presented(Imprint::of_session(Sort::Session, [session; 16]), &targets)]);
    }

    fn of(&self, id: RevocationId) -> Outcome {
        self.outcomes.of(id).expect("remembered")
    }
}

/// A credential from an hour before everything.
fn presented(imprint: Imprint, targets: &[(TargetKind, TargetKey)]) -> Presented<'_> {
    let asserted_at = NOW.minus(HOUR);
    let app = AppKey::of("wiki");
    Presented { imprint, credential: Credential { targets, asserted_at, auth_time: Some(asserted_at), app } }
}

#[tokio::test]
async fn a_million_replays_of_one_session_are_one_credential_of_one_person() {
    let house = House::new(settings());
    let id = house.takes(&house.revocation(&[(User, "ann")], "j1")).await;
    for round in 0..1_000 {
        house.refuses(1, &[(User, "ann")]);
        house.refuses(2, &[(User, "ann"), (Session, "s")]);
        house.refuses(3, &[(User, "bob")]);
        assert_eq!(house.of(id).refusals, 2 * (round + 1));
    }
    let outcome = house.of(id);
    assert_eq!((outcome.people.seen, outcome.credentials.all.seen, outcome.credentials.sessions.seen), (1, 2, 2));
}

#[tokio::test]
async fn what_is_not_told_apart_any_more_is_said_to_be_more() {
    let house = House::new(settings());
    let id = house.takes(&house.revocation(&[(Group, "staff")], "j1")).await;
    for n in 0..MOST + 10 {
        let targets = house.keys(&[(User, &n.to_string()), (Group, "staff")]);
        let mut name = [0; 16];
        name[..8].copy_from_slice(&(n as u64).to_be_bytes());
        house.outcomes.refused(&[presented(Imprint::of_session(Sort::Session, name), &targets)]);
    }
    let outcome = house.of(id);
    let full = Amount { seen: MOST, or_more: true };
    assert_eq!((outcome.people, outcome.credentials.sessions), (full, full));
    assert_eq!(outcome.refusals, MOST as u64 + 10, "requests are all counted");
}

#[tokio::test]
async fn a_restart_forgets_nothing_that_was_written_and_knows_of_every_revocation() {
    let house = House::new(settings());
    let ann = house.revocation(&[(User, "ann")], "j1");
    let id = house.takes(&ann).await;
    house.refuses(1, &[(User, "ann")]);
    assert_eq!(house.outcomes.write_down().await.ok(), Some(1));
    assert_eq!(house.outcomes.write_down().await.ok(), Some(0), "nothing has changed");
    let lost = house.revocation(&[(User, "bob")], "j2");
    house.outcomes.0.ledger.append(&[Fact::Revoked(lost.clone())]).await.expect("durable");
    let house = house.restarted();
    house.refuses(1, &[(User, "ann")]);
    house.refuses(9, &[(User, "bob")]);
    let outcome = house.of(id);
    assert_eq!((outcome.refusals, outcome.credentials.all.seen, outcome.redelivered), (2, 1, 0));
    assert_eq!((outcome.cut.clone(), outcome.persisted_at), (Some(Default::default()), Some(NOW)));
    let bobs = house.of(house.outcomes.id_of(&lost));
    assert_eq!((bobs.refusals, bobs.cut), (1, None), "what it cut is not known, and that is said");
    assert_eq!(house.outcomes.begin(&ann, &Ended::default()), id, "the same signal is the same outcome");
    assert_eq!(house.of(id).redelivered, 1);
    let house = house.restarted();
    assert_eq!(house.outcomes.list(all()).outcomes.len(), 2);
}

fn all() -> Wanted {
    Wanted { since: Timestamp::ZERO, everyday: true, most: 1_000 }
}

#[tokio::test]
async fn the_book_is_bounded_and_peoples_own_sign_outs_go_first() {
    let house = House::new(Settings { most: 3, ..settings() });
    let first = house.takes(&house.revocation(&[(User, "ann")], "j1")).await;
    for n in 0..10 {
        let signs_out = house.revocation(&[(TargetKind::Gateway, &n.to_string())], "x");
        house.takes(&Revocation { origin: Origin::SignOut, ..signs_out }).await;
    }
    assert!(house.outcomes.of(first).is_some());
    assert_eq!(house.outcomes.list(Wanted { everyday: false, ..all() }).outcomes.len(), 1);
    for n in 0..5 {
        house.clock.advance(Duration::from_secs(1));
        house.takes(&house.revocation(&[(User, "ann")], &format!("k{n}"))).await;
    }
    let left: Vec<_> = house.outcomes.list(all()).outcomes.into_iter().filter_map(|outcome| outcome.jti).collect();
    assert_eq!(left, ["k4", "k3", "k2"], "the newest, newest first");
    house.outcomes.write_down().await.expect("written");
    let house = house.restarted();
    assert_eq!(house.outcomes.list(all()).outcomes.len(), 3, "in the file, too");
}

#[tokio::test]
async fn whoever_was_met_is_back_when_they_sign_in_and_a_stranger_of_the_group_is_not() {
    let house = House::new(settings());
    let id = house.takes(&house.revocation(&[(Group, "staff")], "j1")).await;
    let signs_in = |user: &str| {
        let targets = house.keys(&[(User, user), (Group, "staff")]);
        let newer = NOW.plus(HOUR);
        let credential =
            Credential { targets: &targets, asserted_at: newer, auth_time: Some(newer), app: AppKey::of("wiki") };
        house.outcomes.signed_in(&credential);
    };
    signs_in("bob");
    assert_eq!(house.of(id).signed_in_again_at, None, "he was not out, as far as is known");
    house.refuses(1, &[(User, "ann"), (Group, "staff")]);
    signs_in("ann");
    signs_in("ann");
    let outcome = house.of(id);
    assert_eq!((outcome.signed_in_again.seen, outcome.signed_in_again_at), (1, Some(NOW)));
}

#[tokio::test]
async fn members_that_somebody_never_told_are_named() {
    let house = House::new(settings());
    let id = house.takes(&house.revocation(&[(User, "ann"), (Device, "d1")], "j1")).await;
    house.refuses(1, &[(User, "ann"), (Device, "d1")]);
    assert_eq!(house.of(id).unmatched_members, Vec::<String>::new());
    house.refuses(2, &[(User, "ann"), (Device, "d2")]);
    assert_eq!(house.of(id).refusals, 1, "another device");
    house.refuses(3, &[(User, "ann")]);
    assert_eq!(house.of(id).unmatched_members, ["device"]);
}

#[tokio::test]
async fn what_a_cut_ended_is_counted_with_whom_it_met() {
    let house = House::new(settings());
    let exchanges = crate::exchanges::Exchanges::new(&crate::exchanges::Settings::default());
    let set = crate::revocation::RevocationSet::default();
    let revocation = house.revocation(&[(User, "ann")], "j1");
    let held = |user: &str, session: u8| Held {
        targets: house.keys(&[(User, user)]).into(),
        asserted_at: NOW.minus(HOUR),
        auth_time: Some(NOW.minus(HOUR)),
        imprint: Imprint::of_session(Sort::Session, [session; 16]),
    };
    let guards: Vec<_> = [(Kind::WebSocket, 1), (Kind::WebSocket, 2), (Kind::EventStream, 1)]
        .into_iter()
        .map(|(kind, session)| {
            let credentials = vec![held("ann", session), held("bob", 7)];
            let exchange =
                Exchange { credentials, app: AppKey::of("wiki"), app_name: "wiki".into(), kind, ends_at: None };
            exchanges.enter(exchange, &Cut::new()).expect("room")
        })
        .collect();
    set.insert(&revocation, &house.ring.hashers());
    let keys: Vec<_> = house.keys(&[(User, "ann")]).into_iter().map(|(_, key)| key).collect();
    let ended = exchanges.end_covered(&keys, &set);
    assert_eq!(ended.counts().total(), 3);
    let id = house.outcomes.begin(&revocation, &ended);
    drop(guards);
    let outcome = house.of(id);
    let cut = [("sse".to_owned(), 1), ("websocket".to_owned(), 2)].into();
    assert_eq!((outcome.cut, outcome.people.seen, outcome.credentials.sessions.seen), (Some(cut), 1, 2));
    assert_ne!(ended.counts(), Counts::default());
}

#[tokio::test]
async fn what_is_left_ends_with_the_ceilings_and_a_hold_when_it_is_lifted() {
    let house = House::new(settings());
    let id = house.takes(&house.revocation(&[(User, "ann")], "j1")).await;
    let left = house.of(id).left;
    let until = |secs| NOW.plus(Duration::from_secs(secs));
    assert_eq!(
        left,
        Left {
            until: Some(until(100_000)),
            sessions_until: until(43_200),
            app_tokens_until: Some(until(86_400)),
            others_until: until(100_000),
            nothing: false,
        }
    );
    let hold = Revocation { mode: Mode::Hold, ..house.revocation(&[(User, "bob")], "j2") };
    let held = house.takes(&hold).await;
    house.clock.advance(Duration::from_secs(200_000));
    assert!(house.of(id).left.nothing);
    assert_eq!((house.of(held).left.until, house.of(held).left.nothing), (None, false));
    house.outcomes.sweep(house.clock.now().minus(Duration::from_secs(100_000)));
    assert!(house.outcomes.of(id).is_none() && house.outcomes.of(held).is_some(), "a hold is not forgotten");
    let at = house.clock.now();
    let (whom, reach) = (hold.whom.clone(), Reach::All);
    let lifted = Lifted { whom, reach, at, origin: Origin::Operator, reason: None, received_at: at };
    house.outcomes.lifted(&lifted);
    assert_eq!(house.of(held).lifted_at, Some(at));
    assert!(house.of(held).left.nothing);
}

#[test]
fn names_of_people_are_pseudonyms_unless_the_config_says_otherwise() {
    let shown = |clear| {
        let house = House::new(Settings { clear, ..settings() });
        let email = house.target(TargetKind::Email, "ann@example.com");
        let other = house.target(TargetKind::Email, "bob@example.com");
        assert_ne!(house.outcomes.name_of(&email), house.outcomes.name_of(&other));
        house.outcomes.name_of(&email)
    };
    let hidden = shown(false);
    assert!(hidden.starts_with("email #") && !hidden.contains("ann"), "{hidden}");
    assert_eq!(shown(true), "email ann@example.com");
}

/// Another gateway, which has heard what this one accepted.
fn beside(house: &House, revocation: &Revocation, at: u64) -> (House, RevocationId) {
    let named = Settings { gateway: "gw-2".to_owned(), ..house.settings.clone() };
    let other = House::open(Scratch::new(), Arc::clone(&house.ring), house.clock.clone(), named);
    let id = other.outcomes.begin_heard(revocation, &Ended::default(), Position(at), &place());
    (other, id)
}

fn place() -> ledger::Place {
    ledger::Place { epoch: "1".into(), position: 9 }
}

fn stands(house: &House, revocation: &Revocation, at: u64) {
    house.outcomes.stands(&[Heard { fact: Fact::Revoked(revocation.clone()), at: Position(at) }], "1");
}

#[tokio::test]
async fn what_gateways_count_is_added_up_and_the_same_person_at_two_is_one() {
    let house = House::new(settings());
    let ann = house.revocation(&[(User, "ann")], "j1");
    let id = house.takes(&ann).await;
    let (other, same) = beside(&house, &ann, 7);
    assert_eq!(id, same, "all gateways call it the same");
    house.refuses(1, &[(User, "ann")]);
    assert_eq!(house.outcomes.tallies(), [], "before it stands in the log, others could not know what it is about");
    stands(&house, &ann, 7);
    assert_eq!(house.outcomes.tallies().len(), 1);
    assert_eq!(house.outcomes.tallies(), [], "nothing has changed since");
    house.clock.advance(Duration::from_secs(60));
    other.refuses(1, &[(User, "ann")]);
    other.refuses(2, &[(User, "ann")]);
    for _ in 0..3 {
        let tallies = other.outcomes.tallies();
        assert_eq!(tallies.len(), 1);
        house.outcomes.reported(GatewayId(2), "gw-2", tallies.clone());
        // It cannot be said whether it came: it comes again.
        other.outcomes.not_told(&tallies);
    }
    let outcome = house.of(id);
    assert_eq!(outcome.refusals, 3, "however often it is told");
    assert_eq!((outcome.people.seen, outcome.credentials.sessions.seen), (1, 2));
    assert_eq!(
        (outcome.first_refusal_at, outcome.last_refusal_at),
        (Some(NOW), Some(NOW.plus(Duration::from_secs(60))))
    );
    assert_eq!(other.of(id).redelivered, 0, "what one gateway tells another was not sent again");
    house.outcomes.write_down().await.expect("written");
    let house = house.restarted();
    assert_eq!(house.of(id).refusals, 3, "a restart forgets no other gateway's counts");
}

#[tokio::test]
async fn the_gateway_that_stands_first_in_the_log_is_the_one_that_tells_others() {
    let is_heard = |house: &House, id| house.outcomes.0.state.lock().expect("a lock").book.get(id).map(|r| r.is_heard);
    for (own, others, expected) in [(5, 7, false), (7, 5, true)] {
        let house = House::new(settings());
        let ann = house.revocation(&[(User, "ann")], "j1");
        let id = house.takes(&ann).await;
        let own_comes = || stands(&house, &ann, own);
        let others_comes = || _ = house.outcomes.begin_heard(&ann, &Ended::default(), Position(others), &place());
        if own < others {
            own_comes()
        } else {
            others_comes()
        }
        if own < others {
            others_comes()
        } else {
            own_comes()
        }
        assert_eq!(is_heard(&house, id), Some(expected), "own at {own}, the other's at {others}");
    }
    let house = House::new(settings());
    let ann = house.revocation(&[(User, "ann")], "j1");
    let (other, id) = beside(&house, &ann, 5);
    assert!(is_heard(&other, id) == Some(true) && other.outcomes.to_write(&[id]).messages.is_empty());
}

#[test]
fn news_from_several_gateways_are_news_once() {
    let house = House::new(settings());
    let mut record = Record::begin(RevocationId(1), house.revocation(&[(User, "ann")], "j1"), NOW);
    let mut tally = record.tally();
    tally.first_refusal_at = Some(NOW);
    let from = |n| GatewayId(n);
    assert_eq!(record.counted_elsewhere(from(2), "b", tally.clone(), true), [News::FirstRefusal]);
    assert!(record.is_still_news(News::FirstRefusal));
    assert_eq!(record.counted_elsewhere(from(3), "c", tally.clone(), true), []);
    assert_eq!(record.refuse(NOW), Some(News::FirstRefusal), "here it is the first");
    assert!(!record.is_still_news(News::FirstRefusal), "others know already");
    assert!(record.is_still_news(News::Settled) && record.is_still_news(News::Settled));
    record.counted_elsewhere(from(4), "d", tally.clone(), false);
    assert!(record.is_incomplete && record.elsewhere.len() == 2);
    record.counted_elsewhere(from(3), "c", tally, false);
    assert_eq!(record.elsewhere.len(), 2, "who is known is always heard");
}

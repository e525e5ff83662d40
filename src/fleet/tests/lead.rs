//! Who leads, as the engine comes and goes, and gateways with it.

use super::*;
use crate::event::StreamStatus;

/// The lead of a gateway, kept until it is killed.
struct Leading {
    lead: Lead,
    task: tokio::task::JoinHandle<()>,
}

impl Leading {
    fn of(gateway: &Gateway) -> Self {
        let lead = gateway.fleet.lead("corp");
        #[expect(clippy::disallowed_methods, reason = "the gateway's own task set is not here")]
        let task = tokio::spawn({
            let lead = lead.clone();
            async move { lead.keep().await }
        });
        Self { lead, task }
    }

    fn leads(&self) -> bool {
        matches!(self.lead.role(), Role::Leader(_))
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn comes_to(what: &str, is: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not come to this: {what}");
}

fn three(scratch: &Scratch, engine: &Memory, lead_for: Duration) -> [Gateway; 3] {
    let ring = ring();
    ["a", "b", "c"].map(|file| Gateway::start_with(scratch, file, engine, &ring, lead_for))
}

fn how_many(all: &[Leading]) -> usize {
    all.iter().filter(|one| one.leads()).count()
}

#[tokio::test]
async fn when_the_gateway_that_leads_is_killed_another_does_and_never_two() {
    let (scratch, engine) = (Scratch::new(), Memory::new());
    let lead_for = Duration::from_secs(2);
    let gateways = three(&scratch, &engine, lead_for);
    let mut all: Vec<_> = gateways.iter().map(Leading::of).collect();
    comes_to("one leads", || how_many(&all) == 1).await;
    for left in [2, 1] {
        let at = all.iter().position(Leading::leads).expect("one leads");
        let Role::Leader(before) = all[at].lead.role() else { panic!("it leads") };
        drop(all.remove(at));
        let began = Instant::now();
        comes_to("another leads", || {
            let leaders = how_many(&all);
            assert!(leaders <= 1, "{leaders} lead");
            leaders == 1
        })
        .await;
        println!("{:?} after one was killed another leads; it may take {lead_for:?}", began.elapsed());
        let role = all.iter().find(|one| one.leads()).expect("one leads").lead.role();
        assert!(matches!(role, Role::Leader(fence) if fence > before), "{role:?} after {before:?}");
        assert_eq!(all.len(), left);
    }
}

#[tokio::test]
async fn while_the_engine_is_away_everybody_works_as_if_they_led_and_one_does_when_it_is_back() {
    let (scratch, engine) = (Scratch::new(), Memory::new());
    let gateways = three(&scratch, &engine, Duration::from_secs(1));
    let all: Vec<_> = gateways.iter().map(Leading::of).collect();
    comes_to("one leads", || how_many(&all) == 1).await;
    engine.is_away(true);
    comes_to("all act", || all.iter().all(|one| one.lead.role() == Role::Unled)).await;
    assert!(all.iter().all(|one| one.lead.role().acts() && !one.lead.role().is_sure()));
    within(async { futures_util::future::join_all(all.iter().map(|one| one.lead.acts())).await }).await;
    assert!(gateways[0].accepts("ann").await.is_err(), "and what they accept is not acknowledged");
    engine.is_away(false);
    comes_to("one leads, the others follow", || all.iter().filter(|one| !one.lead.role().acts()).count() == 2).await;
    assert_eq!(how_many(&all), 1);
}

#[tokio::test]
async fn who_ends_in_order_hands_over_at_once() {
    let (scratch, engine) = (Scratch::new(), Memory::new());
    let lead_for = Duration::from_secs(60);
    let gateways = three(&scratch, &engine, lead_for);
    let mut all: Vec<_> = gateways.iter().map(Leading::of).collect();
    comes_to("one leads", || how_many(&all) == 1).await;
    let leader = all.remove(all.iter().position(Leading::leads).expect("one leads"));
    leader.lead.release().await;
    assert_eq!(leader.lead.role(), Role::Follower);
    // The lease would have lasted for thirty seconds, and that is as long as this waits.
    comes_to("another leads", || how_many(&all) == 1).await;
}

#[tokio::test]
async fn who_cannot_do_it_leaves_it_to_another() {
    let (scratch, engine) = (Scratch::new(), Memory::new());
    let gateways = three(&scratch, &engine, Duration::from_secs(1));
    let all: Vec<_> = gateways.iter().map(Leading::of).collect();
    comes_to("one leads", || how_many(&all) == 1).await;
    let first = all.iter().position(Leading::leads).expect("one leads");
    comes_to("another leads", || {
        all[first].lead.went(false);
        all.iter().enumerate().any(|(n, one)| n != first && one.leads())
    })
    .await;
    assert!(!all[first].lead.role().is_sure());
}

#[tokio::test]
async fn signs_reach_the_others_and_everybody_knows_who_leads_and_who_asked() {
    let (scratch, engine) = (Scratch::new(), Memory::new());
    let [a, b, c] = three(&scratch, &engine, Duration::from_secs(10));
    let [lead_a, lead_b] = [&a, &b].map(|gateway| gateway.fleet.lead("corp"));
    for sign in [Sign::Polled, Sign::Polled, Sign::Stopped(Some(StreamStatus::Paused)), Sign::Gone] {
        lead_a.say(sign);
    }
    let last = |signs: &Vec<(String, Sign)>| signs.iter().any(|(_, sign)| *sign == Sign::Gone);
    let heard = within(b.ears.signs.subscribe().wait_for(last)).await.expect("there").clone();
    let expected = [Sign::Polled, Sign::Stopped(Some(StreamStatus::Paused)), Sign::Gone];
    assert_eq!(heard, expected.map(|sign| ("corp".to_owned(), sign)), "the second of two that say the same is spared");
    assert!(a.ears.signs.borrow().is_empty(), "nobody hears themselves");

    lead_b.heard_of("a", 7);
    lead_b.heard_of("c", 6);
    assert_eq!(lead_b.leader().as_deref(), Some("a"), "who led before is not believed");
    lead_b.heard_of("c", 8);
    assert_eq!(lead_b.leader().as_deref(), Some("c"));

    let mark = lead_a.mark().expect("randomness");
    assert!(lead_b.is_mark(&mark) && lead_a.is_mark(&mark), "made by a gateway of this fleet");
    assert!(!c.fleet.lead("other").is_mark(&mark), "for another stream");
    assert!(!Lead::alone().is_mark(&mark) && Lead::alone().mark().is_some_and(|mark| !lead_b.is_mark(&mark)));
    for odd in ["", "a", "*", &"A".repeat(1_000), mark.get(1..).expect("a text"), &format!("{mark}A")] {
        assert!(!lead_b.is_mark(odd), "{odd}");
    }
    let stranger = Gateway::start(&scratch, "d", &Memory::new(), &ring());
    assert!(!stranger.fleet.lead("corp").is_mark(&mark), "another key");
}

#[tokio::test]
async fn one_that_is_alone_leads() {
    let lead = Lead::alone();
    within(lead.acts()).await;
    assert!(lead.role() == Role::Alone && lead.role().is_sure() && lead.leader().is_none());
    lead.say(Sign::Polled);
    lead.went(false);
    lead.release().await;
    assert_eq!(lead.role(), Role::Alone);
}

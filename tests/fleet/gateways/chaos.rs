use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use super::super::harness::Stage;
use super::super::harness::dice::Dice;
use super::Fleet;

/// What is done to a fleet in a round.
#[derive(Copy, Clone, Debug)]
enum Blow {
    KillGateway(usize),
    PauseGateway(usize),
    KillServer(usize),
    /// A disk or a network that hangs.
    PauseServer(usize),
    CutOff(usize),
}

const GATEWAYS: usize = 3;
/// By when everything is in force everywhere once nothing is broken any more: a slow machine gets a multiple of it.
const HEALED: Duration = Duration::from_secs(30);

/// Rounds of blows while SETs arrive: `PORTCULLIS_CHAOS_ROUNDS` of them, with `PORTCULLIS_CHAOS_SEED`.
pub(super) async fn nothing_acknowledged_is_lost_whatever_dies(stage: &dyn Stage) {
    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let rounds = from_env("PORTCULLIS_CHAOS_ROUNDS").unwrap_or(10);
    let mut dice = from_env("PORTCULLIS_CHAOS_SEED").map_or_else(Dice::new, Dice::of);
    let fleet = Fleet::of(stage, GATEWAYS).await;
    let gateways = &fleet.gateways;
    let bystander = gateways.cookies("bystander", "localhost:8080");
    let (mut acknowledged, mut refused) = (Vec::<String>::new(), 0);
    for round in 0..rounds {
        let (gateway, server) = (dice.below(GATEWAYS), dice.below(stage.servers()));
        let blow = *dice.one_of(&[
            &Blow::KillGateway(gateway),
            &Blow::PauseGateway(gateway),
            &Blow::KillServer(server),
            &Blow::PauseServer(server),
            &Blow::CutOff(gateway),
        ]);
        let (before, lasts) = (dice.below(200) as u64, 200 + dice.below(1_500) as u64);
        let done = Mutex::new(BTreeSet::new());
        let over = tokio::sync::watch::Sender::new(false);
        let senders = (0..4).map(|sender| {
            let (over, done, at) = (over.subscribe(), &done, dice.below(GATEWAYS));
            async move {
                let (mut n, mut refused) = (0, 0);
                while !*over.borrow() {
                    let user = format!("user-{round}-{sender}-{n}");
                    if gateways.pushes((at + n) % GATEWAYS, &user).await == 202 {
                        done.lock().expect("a lock").insert(user);
                    } else {
                        refused += 1;
                    }
                    n += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                refused
            }
        });
        let strike = async {
            tokio::time::sleep(Duration::from_millis(before)).await;
            strikes(&fleet, blow);
            tokio::time::sleep(Duration::from_millis(lasts)).await;
            heals(&fleet, blow).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            over.send_replace(true);
        };
        let (no, ()) = tokio::join!(futures_util::future::join_all(senders), strike);
        refused += no.into_iter().sum::<usize>();
        for n in 0..GATEWAYS {
            gateways.is_ready(n).await;
            fleet.is_fresh(n).await;
        }
        let new: Vec<_> = done.into_inner().expect("a lock").into_iter().collect();
        let lost = lost(&fleet, &new).await;
        assert!(lost.is_empty(), "round {round}, {blow:?}: acknowledged and not in force: {lost:?}");
        acknowledged.extend(new);
        for n in 0..GATEWAYS {
            assert_eq!(gateways.asks(n, &bystander).await, Some(200), "round {round}, {blow:?}: nobody else is harmed");
        }
    }
    // All at once, and everything that was ever said.
    (0..GATEWAYS).for_each(|n| gateways.kill(n));
    (0..GATEWAYS).for_each(|n| gateways.launch(n));
    for n in 0..GATEWAYS {
        gateways.is_ready(n).await;
    }
    let lost = lost(&fleet, &acknowledged).await;
    println!(
        "chaos: {rounds} rounds, {} acknowledgements, {refused} told to send again, {} lost",
        acknowledged.len(),
        lost.len()
    );
    assert!(lost.is_empty(), "un-done: {lost:?}");
    assert!(acknowledged.len() as u64 >= rounds, "hardly anything was acknowledged: that shows nothing");
}

fn strikes(fleet: &Fleet<'_>, blow: Blow) {
    match blow {
        Blow::KillGateway(n) => fleet.gateways.kill(n),
        Blow::PauseGateway(n) => fleet.gateways.signal(n, "STOP"),
        Blow::KillServer(n) => fleet.stage.kill(n),
        Blow::PauseServer(n) => fleet.stage.pause(n),
        Blow::CutOff(n) => fleet.cuts_off(n),
    }
}

async fn heals(fleet: &Fleet<'_>, blow: Blow) {
    match blow {
        Blow::KillGateway(n) => fleet.gateways.launch(n),
        Blow::PauseGateway(n) => fleet.gateways.signal(n, "CONT"),
        Blow::KillServer(n) => fleet.stage.start(n).await,
        Blow::PauseServer(n) => fleet.stage.resume(n),
        Blow::CutOff(n) => fleet.reconnects(n),
    }
}

/// Who of `users` is still let in somewhere. A gateway that was cut off for less than `stale_after` is fresh all the while,
/// and learns what it missed in that time.
async fn lost(fleet: &Fleet<'_>, users: &[String]) -> Vec<String> {
    let mut lost = Vec::new();
    for user in users {
        let cookies = fleet.gateways.cookies(user, "localhost:8080");
        for n in 0..GATEWAYS {
            let dead = until_dead(fleet, n, &cookies);
            if tokio::time::timeout(HEALED, dead).await.is_err() {
                lost.push(format!("{user} at {n}"));
            }
        }
    }
    lost
}

async fn until_dead(fleet: &Fleet<'_>, n: usize, cookies: &str) {
    while fleet.gateways.asks(n, cookies).await != Some(401) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

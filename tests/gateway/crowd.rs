//! Law 2 under load: once a signal is acknowledged, no request that begins later reaches the app.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::harness::{Ask, House, Seen, Wire, soon};

const CLIENTS: usize = 500;
const NEIGHBOURS: usize = 50;
/// Requests of ann's that are to be served before the signal, so that all connections are busy.
const WARM: usize = 1_000;

/// The moment at which a request began, in a count that all clients share.
fn began(seen: &Seen) -> u64 {
    seen.field("x-began").and_then(|began| began.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_begins_after_the_acknowledgement_reaches_the_app() {
    crowd(CLIENTS + NEIGHBOURS).await;
}

/// Where few ask at once, each is served within milliseconds of its beginning: enforcement that lags behind the
/// acknowledgement by no more than that is seen, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_even_one_that_begins_at_once_and_is_served_at_once() {
    crowd(6).await;
}

/// Everybody asks again and again, `at_once` at a time; in the middle of it ann's sessions end.
async fn crowd(at_once: usize) {
    let house = House::new().await;
    let (ann, ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    house.backend.forget();
    let (count, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (address, host) = (house.address(), house.host());
    let turns = Arc::new(Semaphore::new(at_once));
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS + NEIGHBOURS {
        let is_ann = n < CLIENTS;
        let cookies = if is_ann { ann.cookies() } else { ben.cookies() };
        let (count, over, turns, host) = (Arc::clone(&count), Arc::clone(&over), Arc::clone(&turns), host.clone());
        clients.spawn(async move {
            let mut wire = Wire::to(address).await;
            let mut statuses = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let _turn = turns.acquire().await;
                let began = count.fetch_add(1, Ordering::SeqCst).to_string();
                let ask = Ask::get("/").with("Cookie", &cookies).with("Accept", "*/*").with("X-Began", &began);
                wire.send(&ask.bytes(&host)).await;
                match wire.answer().await {
                    Some(answer) => statuses.push(answer.status),
                    // A request that was cut while it ran.
                    None => {
                        statuses.push(0);
                        wire = Wire::to(address).await;
                    }
                }
            }
            (is_ann, statuses)
        });
    }
    house.backend.sees("the crowd is busy", |log| log.len() >= WARM).await;
    house.seconds_pass(1);
    let answer = house.pushes(&house.revoking_set(&house.subject_of("ann"))).await;
    assert_eq!(answer.status, 202);
    let acknowledged = count.fetch_add(1, Ordering::SeqCst);
    // Everybody asks on, several times each.
    let enough = acknowledged + u64::try_from(4 * (CLIENTS + NEIGHBOURS)).expect("small");
    soon("the crowd asks on", async {
        while count.load(Ordering::SeqCst) < enough {
            tokio::task::yield_now().await;
        }
    })
    .await;
    over.store(true, Ordering::SeqCst);

    let (mut let_in, mut refused) = (0, 0);
    for (is_ann, statuses) in soon("the crowd goes home", clients.join_all()).await {
        if is_ann {
            assert!(statuses.iter().all(|status| [0, 200, 401].contains(status)), "{statuses:?}");
            let_in += statuses.iter().filter(|status| **status == 200).count();
            refused += statuses.iter().filter(|status| **status == 401).count();
        } else {
            assert!(!statuses.is_empty() && statuses.iter().all(|status| *status == 200), "a neighbour: {statuses:?}");
        }
    }
    assert!(let_in > 0 && refused >= CLIENTS, "{let_in} of ann's requests were let in, {refused} refused");
    let of = |user: &'static str| move |seen: &&Seen| seen.field("x-forwarded-user").as_deref() == Some(user);
    let seen = house.backend.seen();
    let late: Vec<_> = seen.iter().filter(of("00u-ann")).map(began).filter(|began| *began > acknowledged).collect();
    assert_eq!(late, [0_u64; 0], "requests of ann's that began after the acknowledgement ({acknowledged})");
    assert!(seen.iter().filter(of("00u-ben")).any(|seen| began(seen) > acknowledged), "the neighbours go on");
}

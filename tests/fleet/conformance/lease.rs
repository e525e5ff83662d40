//! A lease is held by one at a time.

use portcullis::fleet::Fence;
use tokio::time::Instant;

use super::*;

/// Long enough that a busy machine keeps a lease that it means to keep.
const LONG: Duration = Duration::from_secs(60);

/// Takes the lease, as a gateway does: again and again until it is there.
async fn taken(engine: &dyn Engine, name: &str, me: GatewayId, term: Duration) -> Fence {
    until("the lease can be had", || async { engine.lease(name, me, term).await.ok()? }).await
}

/// Five want it and none gives it back: at no moment do two think that it is theirs, and fences grow.
pub(crate) async fn a_lease_is_never_held_by_two(stage: &dyn Stage) {
    const TERM: Duration = Duration::from_millis(500);
    let first = opened(stage).await;
    let held = std::sync::Mutex::new(Vec::new());
    let end = Instant::now() + Duration::from_secs(6);
    let gateways = (1..=5).map(|id| {
        let held = &held;
        async move {
            let engine = opened(stage).await;
            let me = GatewayId(id);
            while Instant::now() < end {
                let begun = Instant::now();
                if let Ok(Some(fence)) = engine.lease("one", me, TERM).await {
                    held.lock().expect("no panic").push((me, fence, Instant::now(), begun + TERM));
                    // Now and then it is kept, mostly it is left to run out.
                    if fence.0 % 3 == 0 {
                        continue;
                    }
                    tokio::time::sleep(TERM).await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    futures_util::future::join_all(gateways).await;
    let mut held = held.into_inner().expect("no panic");
    held.sort_by_key(|(_, fence, ..)| *fence);
    let holders: std::collections::BTreeSet<_> = held.iter().map(|(who, ..)| *who).collect();
    assert!(holders.len() > 1, "it went from one to another");
    for pair in held.windows(2) {
        let ((one, earlier, _, until), (two, later, from, _)) = (pair[0], pair[1]);
        assert!(one == two || earlier < later, "a later holder has a greater fence");
        assert!(one == two || until <= from, "{one} and {two} had it at the same time");
    }
    // Others are others.
    taken(&first, "two", OTHER, LONG).await;
    assert_eq!(first.lease("two", ME, LONG).await, Ok(None));
}

/// Its holder is gone without a word.
pub(crate) async fn a_lease_comes_free_after_its_term(stage: &dyn Stage) {
    let (one, two) = (opened(stage).await, opened(stage).await);
    let begun = Instant::now();
    let term = Duration::from_millis(1_500);
    let first = taken(&one, "a", ME, term).await;
    drop(one);
    let second = taken(&two, "a", OTHER, LONG).await;
    assert!(begun.elapsed() >= term, "the term was over");
    assert!(second > first);
    let third = taken(&two, "a", OTHER, LONG).await;
    assert!(third >= second, "who keeps it never gets a smaller fence");
    assert_eq!(two.lease("a", ME, LONG).await, Ok(None));
}

/// Nobody has to wait for one who has stopped.
pub(crate) async fn a_lease_given_back_is_free_at_once(stage: &dyn Stage) {
    let (one, two) = (opened(stage).await, opened(stage).await);
    let begun = Instant::now();
    let first = taken(&one, "a", ME, LONG).await;
    assert_eq!(two.lease("a", OTHER, LONG).await, Ok(None));
    two.release("a", OTHER).await.expect("what one does not have, one cannot give back: no harm");
    assert_eq!(two.lease("a", OTHER, LONG).await, Ok(None), "it is still the other's");
    one.release("a", ME).await.expect("given back");
    one.release("a", ME).await.expect("twice");
    one.release("never taken", ME).await.expect("no harm");
    let second = taken(&two, "a", OTHER, LONG).await;
    assert!(begun.elapsed() < LONG && second > first);
    assert_eq!(one.lease("a", ME, LONG).await, Ok(None));
}

/// A killed server that comes back remembers who has what.
pub(crate) async fn leases_and_fences_outlive_the_servers(stage: &dyn Stage) {
    let (one, two) = (opened(stage).await, opened(stage).await);
    let first = taken(&one, "a", ME, LONG).await;
    (0..stage.servers()).for_each(|server| stage.kill(server));
    futures_util::future::join_all((0..stage.servers()).map(|server| stage.start(server))).await;
    open(&two).await;
    let others = until("the lease is asked for", || async { two.lease("a", OTHER, LONG).await.ok() }).await;
    assert_eq!(others, None, "it is still the first one's");
    let kept = taken(&one, "a", ME, LONG).await;
    assert!(kept >= first);
    until("it is given back", || async { one.release("a", ME).await.ok() }).await;
    assert!(taken(&two, "a", OTHER, LONG).await > kept);
}

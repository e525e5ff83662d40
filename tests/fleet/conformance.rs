//! What every engine must do, written against [`Engine`] alone and run for each: with one server and with three.

mod follow;
mod lease;
mod trouble;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use portcullis::fleet::{Engine, Entry, Following, GatewayId, Letter, Position, To, Trouble};

use super::harness::{Patient, Stage, soon, until};

pub(crate) use self::follow::*;
pub(crate) use self::lease::*;
pub(crate) use self::trouble::*;

const ME: GatewayId = GatewayId(1);
const OTHER: GatewayId = GatewayId(2);
const THIRD: GatewayId = GatewayId(3);

/// A letter for everyone whose content is its id.
fn letter(id: impl Into<String>) -> Letter {
    let id = id.into();
    Letter { to: To::Everyone, body: id.as_bytes().to_vec(), id }
}

/// The same for one gateway.
fn letter_to(one: GatewayId, id: &str) -> Letter {
    Letter { to: To::One(one), ..letter(id) }
}

/// So many letters for everyone, `NAME-0` and on.
fn letters(name: &str, count: usize) -> Vec<Letter> {
    (0..count).map(|n| letter(format!("{name}-{n}"))).collect()
}

/// What a letter says.
fn text(entry: &Entry) -> String {
    String::from_utf8(entry.body.clone()).expect("these tests write text")
}

/// A gateway's engine, opened, as a gateway uses it: what cannot be done at the moment is tried again. The engine itself is
/// in it, for whoever asks what it says when it is away.
async fn opened(stage: &dyn Stage) -> Patient {
    let engine = unopened(stage).await;
    open(&engine).await;
    engine
}

/// The same, not yet opened.
async fn unopened(stage: &dyn Stage) -> Patient {
    Patient(stage.engine().await.into())
}

/// Opens it, as a gateway does: again and again until it is there.
async fn open(engine: &Patient) -> portcullis::fleet::Extent {
    until("the engine opens", || async {
        match engine.open().await {
            Ok(extent) => Some(extent),
            Err(trouble) if trouble.is_configuration() => panic!("{trouble}"),
            Err(_) => None,
        }
    })
    .await
}

/// Appends until it is kept.
async fn tell(engine: &Patient, letters: &[Letter]) {
    until("the letters are kept", || async { engine.append(letters).await.ok() }).await;
}

/// Follows.
async fn following(engine: &Patient, after: Position, me: GatewayId) -> Following {
    until("a watch begins", || async { engine.follow(after, me).await.ok() }).await
}

/// Follows until the engine itself says that it cannot.
async fn following_once(engine: &Patient, after: Position, me: GatewayId) -> Following {
    until("a watch begins", || async { engine.0.follow(after, me).await.ok() }).await
}

/// The next `count` letters of a watch, which must be in order.
async fn take(watch: &mut Following, after: Position, count: usize) -> Vec<Entry> {
    let mut all = Vec::new();
    let (mut last, what) = (after, format!("{count} letters come"));
    soon(&what, async {
        while all.len() < count {
            for entry in watch.next().await.expect("a watch ends with an error only").expect("no trouble") {
                assert!(entry.position > last, "{:?} after {last:?}", entry.position);
                last = entry.position;
                all.push(entry);
            }
        }
    })
    .await;
    assert_eq!(all.len(), count, "no more than were sent");
    all
}

/// What they say.
fn texts(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(text).collect()
}

/// How often each is there.
fn counts(entries: &[Entry]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in entries {
        *counts.entry(text(entry)).or_default() += 1;
    }
    counts
}

/// Everything for everyone that is in the log, as somebody sees it who comes anew.
async fn whole_log(engine: &Patient) -> Vec<Entry> {
    let marker = format!("marker-{}", open(engine).await.last.0);
    tell(engine, &[letter(marker.clone())]).await;
    let mut all: Vec<Entry> = Vec::new();
    let mut watch = following(engine, Position(0), THIRD).await;
    soon("the whole log comes", async {
        while !all.iter().any(|entry| text(entry) == marker) {
            let batch = watch.next().await.expect("it does not end").expect("no trouble");
            all.extend(batch);
        }
    })
    .await;
    all.retain(|entry| !text(entry).starts_with("marker-"));
    assert!(all.is_sorted_by(|a, b| a.position < b.position), "in order");
    all
}

/// By when a call must have ended: the deadline, and what a busy machine adds.
fn by_the_deadline(stage: &dyn Stage) -> Duration {
    stage.deadline() * 3
}

/// What `call` says, which must come by the deadline.
async fn answers<T>(
    stage: &dyn Stage,
    what: &str,
    call: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(by_the_deadline(stage), call).await {
        Ok(answer) => answer,
        Err(_) => panic!("{what} did not end within {:?}", by_the_deadline(stage)),
    }
}

/// Makes a test of each promise; `$stage` is an expression that makes an `impl Stage` with `.await`, `$quick` another one
/// for what only takes long.
macro_rules! conformance {
    ($stage:expr; $($promise:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let stage = $stage.await;
            $crate::conformance::$promise(&stage).await;
        }
    )*};
    ($stage:expr) => {
        $crate::conformance::conformance!($stage, $stage);
    };
    ($stage:expr, $quick:expr) => {
        $crate::conformance::conformance! { $quick;
            a_hundred_thousand_letters_come_again
        }
        $crate::conformance::conformance! { $stage;
            what_is_appended_is_there
            letters_come_in_order_and_none_is_skipped_while_many_write
            a_watch_begins_at_any_place
            a_letter_for_one_reaches_only_that_one
            appending_twice_does_no_harm
            letters_of_every_size_come_back_as_they_were
            a_new_letter_comes_at_once
            dropped_futures_do_no_harm
            what_was_kept_outlives_kill_minus_nine
            any_server_may_die_and_nothing_is_lost
            any_server_may_fall_silent
            a_server_that_is_away_is_an_error_in_time_and_then_it_goes_on
            a_server_that_says_nothing_is_never_silence_for_long
            a_log_that_was_deleted_is_another_one
            a_lease_is_never_held_by_two
            a_lease_comes_free_after_its_term
            a_lease_given_back_is_free_at_once
            leases_and_fences_outlive_the_servers
        }
    };
}
pub(crate) use conformance;

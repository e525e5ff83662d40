//! Servers that follow another, and are promoted.

use portcullis::fleet::postgres::{Postgres as Engine, Settings};
use portcullis::fleet::{Engine as _, Position, Trouble};

use super::{ME, end, from_the_start, letter, read_until};
use crate::harness::postgres::Postgres;
use crate::harness::{soon, until};

/// An engine that knows both.
fn engine(primary: &Postgres, standby: &Postgres, synchronous_standbys: usize) -> Engine {
    let hosts = vec![primary.host(), standby.host()];
    Engine::new(Settings { hosts, synchronous_standbys, ..primary.settings() }).expect("an engine")
}

async fn promote(standby: &Postgres) {
    let admin = standby.admin("postgres").await;
    soon("it is promoted", admin.batch_execute("SELECT pg_promote()")).await.expect("it is promoted");
}

#[tokio::test]
async fn a_promoted_standby_that_lacks_letters_is_taken_for_another_log() {
    let primary = Postgres::start(&[]).await;
    let standby = primary.standby("standby").await;
    let engine = engine(&primary, &standby, 0);
    let before = engine.open().await.expect("it opens");
    engine.append(&[letter("a")]).await.expect("it is kept");
    let there = standby.admin("fleet").await;
    until("the standby has the first letter", || async {
        there.query_one("SELECT FROM portcullis.letters WHERE id = 'a'", &[]).await.ok()
    })
    .await;
    standby.kill();
    let mut following = from_the_start(&engine).await;
    engine.append(&[letter("b"), letter("c")]).await.expect("they are kept, by the primary alone");
    read_until(&mut following, "c").await;
    let newest = engine.open().await.expect("it opens").last;
    primary.kill();
    standby.restart().await;
    promote(&standby).await;

    end(&mut following).await;
    // Another gateway, which asked the new one first, writes until the old position has passed.
    let other = Engine::new(Settings { hosts: vec![standby.host()], ..primary.settings() }).expect("an engine");
    let mut last = Position(0);
    while last <= newest {
        other.append(&[letter(format!("new-{}", last.0)), letter(format!("newer-{}", last.0))]).await.expect("kept");
        last = other.open().await.expect("it opens").last;
    }
    // Nothing goes on as if it were the same log, whether or not somebody asked.
    assert_eq!(engine.append(&[letter("d")]).await, Err(Trouble::Gone));
    assert_eq!(engine.follow(newest, ME).await.err(), Some(Trouble::Gone));
    assert_eq!(engine.lease("poll", ME, std::time::Duration::from_secs(9)).await, Err(Trouble::Gone));
    let after = engine.open().await.expect("it opens");
    assert_ne!(after.epoch, before.epoch, "it is another log");
    assert_eq!(after.epoch, other.open().await.expect("it opens").epoch, "for everybody");
    engine.append(&[letter("a"), letter("b"), letter("c")]).await.expect("what is in force is told again");
    let mut following = from_the_start(&engine).await;
    let read = read_until(&mut following, "c").await;
    assert_eq!(read.iter().filter(|id| ["a", "b", "c"].contains(&id.as_str())).count(), 3, "{read:?}");
}

#[tokio::test]
async fn a_later_lease_has_a_greater_fence_also_on_a_standby_that_counts_again() {
    let primary = Postgres::start(&[]).await;
    let standby = primary.standby("standby").await;
    let engine = engine(&primary, &standby, 0);
    engine.open().await.expect("it opens");
    let term = std::time::Duration::from_secs(60);
    // The schema and nothing more is there.
    let there = standby.admin("fleet").await;
    until("the standby has the schema", || async {
        there.query_one("SELECT epoch FROM portcullis.log", &[]).await.ok()
    })
    .await;
    standby.kill();
    let mut fence = None;
    for _ in 0..5 {
        fence = engine.lease("poll", ME, term).await.expect("a lease");
        engine.release("poll", ME).await.expect("it is given back");
    }
    primary.kill();
    standby.restart().await;
    promote(&standby).await;
    engine.open().await.expect("it opens");
    let later = engine.lease("poll", ME, term).await.expect("a lease");
    assert!(fence.is_some() && later > fence, "{later:?} after {fence:?}");
}

#[tokio::test]
async fn what_was_acknowledged_is_on_the_standby_that_was_wanted() {
    let primary = Postgres::start(&[]).await;
    let standby = primary.standby("standby").await;
    let engine = engine(&primary, &standby, 1);
    // Wanted, but the server does not wait.
    let trouble = engine.open().await.expect_err("it is refused");
    assert!(matches!(&trouble, Trouble::Unfit { remedy, .. } if remedy.contains("ANY 1 (*)")), "{trouble}");
    primary.set(&["synchronous_standby_names = 'ANY 1 (*)'"]).await;
    until("the server waits", || async { engine.open().await.ok() }).await;
    engine.append(&[letter("a")]).await.expect("it is kept, by both");

    standby.kill();
    let trouble = soon("the call ends", engine.append(&[letter("b")])).await.expect_err("only one has it");
    assert!(matches!(trouble, Trouble::Away(_)), "{trouble:?}");
    let before = engine.open().await.expect("reading needs no standby");
    let (mut following, read) = (from_the_start(&engine).await, "a");
    assert_eq!(read_until(&mut following, read).await, ["a"], "nobody sees what only one has");
    standby.restart().await;
    engine.append(&[letter("b"), letter("c")]).await.expect("both have it");
    assert_eq!(read_until(&mut following, "c").await, ["b", "c"]);

    primary.kill();
    promote(&standby).await;
    standby.set(&["synchronous_standby_names = ''"]).await;
    let engine = self::engine(&primary, &standby, 0);
    let after = until("it opens", || async { engine.open().await.ok() }).await;
    assert_ne!(after.epoch, before.epoch, "a gateway cannot know that nothing is missing, and looks");
    let mut following = from_the_start(&engine).await;
    assert_eq!(read_until(&mut following, "c").await, ["a", "b", "c"], "nothing is");
}

#[tokio::test]
async fn a_wait_for_standbys_that_an_administrator_ends_is_no_acknowledgement() {
    let postgres = Postgres::start(&[]).await;
    postgres.set(&["synchronous_standby_names = 'ANY 1 (*)'"]).await;
    let settings = Settings { synchronous_standbys: 1, ..postgres.settings() };
    let engine = Engine::new(settings).expect("an engine");
    let (opened, ()) = tokio::join!(engine.open(), end_a_wait(&postgres));
    let trouble = opened.expect_err("the schema is on one server only");
    assert!(matches!(&trouble, Trouble::Away(why) if why.contains("warns")), "{trouble:?}");
    engine.open().await.expect("looking needs no standby");
    let letters = [letter("a")];
    let (appended, ()) = tokio::join!(engine.append(&letters), end_a_wait(&postgres));
    let trouble = appended.expect_err("the letter is on one server only");
    assert!(matches!(&trouble, Trouble::Away(why) if why.contains("warns")), "{trouble:?}");
}

/// What an administrator does who thinks that a query hangs.
async fn end_a_wait(postgres: &Postgres) {
    let admin = postgres.admin("postgres").await;
    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    until("something waits", || async { admin.query_one(cancel, &[]).await.ok() }).await;
}

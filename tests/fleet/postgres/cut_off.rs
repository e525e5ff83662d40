//! A server or a gateway that is suddenly not there.

use std::time::Duration;

use portcullis::fleet::postgres::{Host, Postgres as Engine, Settings};
use portcullis::fleet::{Engine as _, Letter, To, Trouble};

use super::{ME, end, from_the_start, letter, read_until};
use crate::harness::gate::Gate;
use crate::harness::postgres::Postgres;
use crate::harness::{soon, until};

/// An engine that reaches the server only through a gate.
async fn through_a_gate(postgres: &Postgres) -> (Engine, Gate) {
    let Host::Tcp(address, port) = postgres.host() else { panic!("it listens on TCP") };
    let gate = Gate::before((address, port)).await;
    let (address, port) = gate.address();
    let settings = Settings { hosts: vec![Host::Tcp(address, port)], ..postgres.settings() };
    (Engine::new(settings).expect("an engine"), gate)
}

#[tokio::test]
async fn a_gateway_that_is_cut_off_in_the_middle_of_an_append_blocks_nobody() {
    let postgres = Postgres::start(&[]).await;
    let (cut_off, gate) = through_a_gate(&postgres).await;
    cut_off.open().await.expect("it opens");
    // All but the end of it, so that whatever could be begun is begun.
    let large = Letter { id: "large".to_owned(), to: To::Everyone, body: vec![1; 200_000] };
    gate.shut_after(400_000);
    let trouble = soon("the call ends", cut_off.append(&[large])).await.expect_err("nothing came back");
    assert!(matches!(trouble, Trouble::Away(_)), "{trouble:?}");

    let engine = postgres.engine();
    engine.append(&[letter("another")]).await.expect("it need not wait");
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    let held: i64 = postgres.admin("fleet").await.query_one(locks, &[]).await.expect("locks").get(0);
    assert_eq!(held, 0, "nobody holds the lock across the network");
    let mut following = from_the_start(&engine).await;
    assert_eq!(read_until(&mut following, "another").await, ["another"], "half a letter is none");

    gate.open();
    cut_off.append(&[letter("back")]).await.expect("it is kept");
    assert_eq!(read_until(&mut following, "back").await, ["back"]);
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_noticed() {
    let postgres = Postgres::start(&[]).await;
    let (engine, gate) = through_a_gate(&postgres).await;
    engine.open().await.expect("it opens");
    let mut following = from_the_start(&engine).await;
    engine.append(&[letter("before")]).await.expect("it is kept");
    read_until(&mut following, "before").await;
    gate.shut();
    let after = [letter("after")];
    let (watch, append, open, lease) = tokio::join!(
        end(&mut following),
        soon("append ends", engine.append(&after)),
        soon("open ends", engine.open()),
        soon("lease ends", engine.lease("poll", ME, Duration::from_secs(10))),
    );
    let ends = [Some(watch), append.err(), open.err(), lease.err()];
    assert!(ends.iter().all(|end| matches!(end, Some(Trouble::Away(_)))), "{ends:?}");
    gate.open();
    engine.append(&after).await.expect("it is kept");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_does_not_stand_in_the_way_of_the_next() {
    let postgres = Postgres::start(&[]).await;
    let (engine, gate) = through_a_gate(&postgres).await;
    engine.open().await.expect("it opens");
    gate.shut();
    for n in 0..3 {
        let left = tokio::time::timeout(Duration::from_millis(50), engine.append(&[letter(format!("left-{n}"))])).await;
        assert!(left.is_err(), "the network swallows everything");
    }
    gate.open();
    engine.append(&[letter("next")]).await.expect("it has a connection of its own");
}

#[tokio::test]
async fn a_server_that_says_nothing_does_not_keep_the_next_from_being_used() {
    let (silent, postgres) = tokio::join!(Postgres::start(&[]), Postgres::start(&[]));
    silent.pause();
    let nobody = Host::Tcp("127.0.0.1".to_owned(), 1);
    let settings = Settings { hosts: vec![silent.host(), nobody, postgres.host()], ..postgres.settings() };
    let engine = Engine::new(settings).expect("an engine");
    engine.open().await.expect("the third serves");
    engine.append(&[letter("a")]).await.expect("it is kept");
    silent.resume();
}

#[tokio::test]
async fn a_connection_that_the_server_ends_is_made_anew() {
    let postgres = Postgres::start(&[]).await;
    let engine = postgres.engine();
    engine.open().await.expect("it opens");
    let mut following = from_the_start(&engine).await;
    let admin = postgres.admin("fleet").await;
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway'";
    admin.batch_execute(kill).await.expect("they end");
    end(&mut following).await;
    until("a call succeeds", || async { engine.append(&[letter("a")]).await.ok() }).await;
}

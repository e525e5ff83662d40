//! What is refused because it could lose what it carries, and what is another log than before.

use portcullis::fleet::postgres::{Allow, Postgres as Engine, Settings};
use portcullis::fleet::{Engine as _, Trouble};

use super::letter;
use crate::harness::postgres::Postgres;
use crate::harness::until;

#[tokio::test]
async fn a_server_that_may_lose_what_it_acknowledged_is_refused_unless_that_is_allowed_in_words() {
    let postgres = Postgres::start(&[]).await;
    postgres.engine().open().await.expect("it opens");
    let admin = postgres.admin("fleet").await;
    for (worse, named, better, allow) in [
        ("ALTER SYSTEM SET fsync = off", "`fsync", "ALTER SYSTEM RESET fsync", Allow::NoFsync),
        (
            "ALTER SYSTEM SET full_page_writes = off",
            "`full_page_writes",
            "ALTER SYSTEM RESET full_page_writes",
            Allow::NoFullPageWrites,
        ),
        (
            "ALTER TABLE portcullis.letters SET UNLOGGED",
            "SET LOGGED",
            "ALTER TABLE portcullis.letters SET LOGGED",
            Allow::Unlogged,
        ),
    ] {
        admin.batch_execute(worse).await.expect(worse);
        admin.batch_execute("SELECT pg_reload_conf()").await.expect("it reads its config");
        let trouble = until("it is refused", || async { postgres.engine().open().await.err() }).await;
        let Trouble::Unfit { what, remedy } = &trouble else { panic!("{worse}: {trouble:?}") };
        assert!(format!("{what} {remedy}").contains(named), "{trouble}");
        assert!(remedy.contains(&format!("allow = [\"{}\"]", allow.word())), "{trouble}");
        let allowed = Settings { allow: vec![allow], ..postgres.settings() };
        Engine::new(allowed).expect("an engine").open().await.expect("it was allowed");
        admin.batch_execute(better).await.expect(better);
        admin.batch_execute("SELECT pg_reload_conf()").await.expect("it reads its config");
        until("it is good again", || async { postgres.engine().open().await.ok() }).await;
    }
}

#[tokio::test]
async fn commits_wait_for_the_disk_whatever_the_user_has_set() {
    let postgres = Postgres::start(&["synchronous_commit = off"]).await;
    let admin = postgres.admin("postgres").await;
    admin.batch_execute("ALTER ROLE gateway SET synchronous_commit = 'off'").await.expect("it is set");
    let engine = postgres.engine();
    engine.open().await.expect("it opens");
    for n in 0..20 {
        engine.append(&[letter(format!("kept-{n}"))]).await.expect("it is kept");
    }
    postgres.kill();
    postgres.restart().await;
    let count = "SELECT count(*) FROM portcullis.letters";
    let kept: i64 = postgres.admin("fleet").await.query_one(count, &[]).await.expect("letters").get(0);
    assert_eq!(kept, 20);
}

#[tokio::test]
async fn a_layout_that_is_newer_is_left_alone() {
    let postgres = Postgres::start(&[]).await;
    postgres.engine().open().await.expect("it opens");
    let admin = postgres.admin("fleet").await;
    admin.batch_execute("UPDATE portcullis.log SET layout = 2").await.expect("a newer one");
    let trouble = postgres.engine().open().await.expect_err("it is refused");
    assert!(matches!(&trouble, Trouble::Unfit { what, .. } if what.contains("layout 2")), "{trouble:?}");
}

#[tokio::test]
async fn a_log_that_is_shorter_than_it_was_is_another_for_everybody() {
    let postgres = Postgres::start(&[]).await;
    for shorten in [
        "DELETE FROM portcullis.letters WHERE id <> 'a'",
        "TRUNCATE portcullis.letters",
        "DROP TABLE portcullis.letters",
        "DROP SCHEMA portcullis CASCADE",
    ] {
        let (one, two) = (postgres.engine(), postgres.engine());
        let before = one.open().await.expect("it opens");
        assert_eq!(two.open().await.expect("it opens").epoch, before.epoch);
        one.append(&[letter("a"), letter("b")]).await.expect("they are kept");
        assert!(one.open().await.is_ok_and(|extent| extent.epoch == before.epoch), "nothing has happened yet");
        postgres.admin("fleet").await.batch_execute(shorten).await.expect("it is gone");
        let after = one.open().await.expect("it opens");
        assert_ne!(after.epoch, before.epoch, "{shorten}");
        assert_eq!(two.open().await.expect("it opens").epoch, after.epoch, "{shorten}");
        one.append(&[letter("a"), letter("b")]).await.expect("they are told again");
    }
}

#[tokio::test]
async fn gateways_that_start_at_once_make_one_log() {
    let postgres = Postgres::start(&[]).await;
    let opened = futures_util::future::join_all((0..8).map(|_| {
        let engine = postgres.engine();
        async move { engine.open().await.expect("it opens").epoch }
    }))
    .await;
    assert!(opened.windows(2).all(|two| two[0] == two[1]), "{opened:?}");
}

#[tokio::test]
async fn a_warning_that_everybody_gets_who_comes_in_is_no_trouble() {
    let postgres = Postgres::start(&[]).await;
    let admin = postgres.admin("postgres").await;
    for step in [
        "CREATE DATABASE old OWNER gateway TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'",
        // What an upgrade of the system leaves behind.
        "UPDATE pg_database SET datcollversion = '0' WHERE datname = 'old'",
    ] {
        admin.batch_execute(step).await.expect(step);
    }
    let engine = Engine::new(Settings { database: "old".to_owned(), ..postgres.settings() }).expect("an engine");
    engine.open().await.expect("it opens");
    engine.append(&[letter("a")]).await.expect("it is kept");
}

//! No reader skips a letter, whatever writers do, and nobody's transaction delays one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use portcullis::fleet::{Engine as _, Letter, Position, To};
use tokio_postgres::Client;

use super::{ME, OTHER, content, from_the_start, letter, read_until, some};
use crate::harness::postgres::Postgres;
use crate::harness::until;

/// `append` of the schema, in somebody's own transaction.
async fn append_by_hand(client: &Client, id: &str) {
    let body = format!("\\x{}", id.bytes().map(|b| format!("{b:02x}")).collect::<String>());
    let append = format!("SELECT portcullis.append('{id}', '-', '{body}', '')");
    client.batch_execute(&append).await.expect("it is appended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_skips_a_letter_while_many_write_some_at_length_and_some_in_vain() {
    const WRITERS: usize = 6;
    const EACH: usize = 30;
    let postgres = Postgres::start(&[]).await;
    let engine = postgres.engine();
    engine.open().await.expect("it opens");
    // Somebody else's transaction, as old as everything here.
    let others = postgres.admin("fleet").await;
    others.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.expect("it begins");

    let writers = (0..WRITERS).map(|w| {
        let engine = postgres.engine();
        async move {
            for n in 0..EACH {
                let letters = [letter(format!("w{w}-{n}-a")), letter(format!("w{w}-{n}-b"))];
                until("they are kept", || async { engine.append(&letters).await.ok() }).await;
            }
        }
    });
    // These take their time between the append and its end, and every other ends it in vain.
    let slow = (0..3).map(|w| {
        let postgres = &postgres;
        async move {
            let client = postgres.client("gateway", "fleet").await;
            for n in 0..EACH {
                client.batch_execute("BEGIN").await.expect("it begins");
                append_by_hand(&client, &format!("s{w}-{n}")).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
                client.batch_execute(if n % 2 == 0 { "COMMIT" } else { "ROLLBACK" }).await.expect("it ends");
            }
        }
    });
    let readers = (0..3).map(|_| {
        let engine = postgres.engine();
        async move {
            let mut following = from_the_start(&engine).await;
            let mut read = Vec::new();
            while read.last().is_none_or(|(_, content)| content != "end") {
                read.extend(some(&mut following).await.iter().map(|entry| (entry.position, content(entry))));
            }
            read
        }
    });
    let writing = async {
        tokio::join!(join_all(writers), join_all(slow));
        engine.append(&[letter("end")]).await.expect("it is kept");
    };
    let (read, ()) = tokio::join!(join_all(readers), writing);

    let mut expected: BTreeSet<String> = BTreeSet::from(["end".to_owned()]);
    for n in 0..EACH {
        expected.extend((0..WRITERS).flat_map(|w| [format!("w{w}-{n}-a"), format!("w{w}-{n}-b")]));
        expected.extend((0..3).filter(|_| n % 2 == 0).map(|w| format!("s{w}-{n}")));
    }
    for read in read {
        assert!(read.is_sorted_by(|(a, _), (b, _)| a < b), "positions rise");
        let contents: BTreeSet<_> = read.iter().map(|(_, content)| content.clone()).collect();
        assert_eq!(contents.len(), read.len(), "nothing comes twice");
        assert_eq!(contents, expected, "what was committed, and nothing else");
    }
    others.batch_execute("COMMIT").await.expect("it was open all the time");
}

#[tokio::test]
async fn letters_come_while_others_transactions_are_open() {
    let postgres = Postgres::start(&[]).await;
    let engine = postgres.engine();
    engine.open().await.expect("it opens");
    let mut others = Vec::new();
    for begin in [
        "BEGIN; CREATE TABLE public.of_others (n int); INSERT INTO public.of_others VALUES (1)",
        "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM portcullis.letters",
    ] {
        let client = postgres.admin("fleet").await;
        client.batch_execute(begin).await.expect("it begins");
        others.push(client);
    }
    let mut following = from_the_start(&engine).await;
    engine.append(&[letter("now")]).await.expect("it is kept");
    assert_eq!(read_until(&mut following, "now").await, ["now"]);
    for client in others {
        client.batch_execute("COMMIT").await.expect("it was open all the time");
    }
}

#[tokio::test]
async fn a_letter_whose_notify_was_lost_comes_all_the_same() {
    let postgres = Postgres::start(&[]).await;
    let engine = postgres.engine();
    engine.open().await.expect("it opens");
    let mut following = from_the_start(&engine).await;
    engine.append(&[letter("first")]).await.expect("it is kept");
    read_until(&mut following, "first").await;
    // This one tells nobody.
    append_by_hand(&postgres.client("gateway", "fleet").await, "quiet").await;
    assert_eq!(read_until(&mut following, "quiet").await, ["quiet"]);
}

#[tokio::test]
async fn a_gateways_own_letters_wake_no_other_and_reach_it_at_once() {
    let postgres = Postgres::start(&[]).await;
    let engine = postgres.engine();
    engine.open().await.expect("it opens");
    let listener = postgres.admin("fleet").await;
    let mut following = from_the_start(&engine).await;
    let to = |id: &str, to| Letter { to, ..letter(id) };
    listener.batch_execute("LISTEN pc_portcullis").await.expect("it listens");
    let begun = Instant::now();
    for n in 0..50 {
        let id = format!("echo-{n}");
        engine.append(&[to(&id, To::One(ME)), to(&format!("other-{n}"), To::One(OTHER))]).await.expect("they are kept");
        read_until(&mut following, &id).await;
    }
    println!("an echo of one's own: {:?} on the average", begun.elapsed() / 50);
    assert!(begun.elapsed() < Duration::from_secs(50), "each would have waited for the next look");
}

#[tokio::test]
async fn a_log_is_read_in_pages_that_are_bounded_and_hold_all_of_it() {
    const MANY: usize = 200_000;
    let postgres = Postgres::start(&[]).await;
    let engine = postgres.engine();
    engine.open().await.expect("it opens");
    let admin = postgres.admin("fleet").await;
    let fill = format!(
        "INSERT INTO portcullis.letters (id, recipient, body) \
         SELECT 'l' || n, CASE WHEN n % 4 = 0 THEN '\\x{OTHER}'::bytea WHEN n % 4 = 1 THEN '\\x{ME}'::bytea END, \
           decode(lpad(to_hex(n), 240, '0'), 'hex') FROM generate_series(1, {MANY}) n"
    );
    admin.batch_execute(&fill).await.expect("it is full");
    let large: Vec<_> = (0..40)
        .map(|n| Letter { id: format!("large-{n}"), to: To::Everyone, body: vec![7; Letter::MAX_BODY] })
        .collect();
    engine.append(&large).await.expect("they are kept");
    engine.append(&[letter("end")]).await.expect("it is kept");

    let begun = Instant::now();
    let mut following = from_the_start(&engine).await;
    let (mut read, mut last, mut seen) = (0, Position(0), BTreeMap::new());
    'all: loop {
        let entries = some(&mut following).await;
        assert!(entries.len() <= 10_000, "{} at once", entries.len());
        assert!(entries.iter().map(|entry| entry.body.len()).sum::<usize>() < 5 << 20, "bytes at once");
        for entry in entries {
            assert!(entry.position > last, "positions rise");
            last = entry.position;
            *seen.entry(format!("{:?}", entry.to)).or_insert(0) += 1;
            if entry.body == b"end" {
                break 'all;
            }
            read += 1;
        }
    }
    let took = begun.elapsed();
    println!("{read} letters in {took:?}: {:.0} a second", f64::from(read) / took.as_secs_f64());
    let (everyone, mine) = (format!("{:?}", To::Everyone), format!("{:?}", To::One(ME)));
    assert_eq!(seen, BTreeMap::from([(everyone, MANY / 2 + 41), (mine, MANY / 4)]), "all of them, and nobody else's");
}

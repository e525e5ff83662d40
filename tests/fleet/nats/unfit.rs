//! What can lose letters is refused, with what and remedy, unless it is allowed in words.

use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use portcullis::fleet::Trouble;
use portcullis::fleet::jetstream::Allow;

use super::*;

/// What `open` has against it.
async fn said(settings: Settings) -> String {
    match jetstream(settings).open().await {
        Err(trouble @ Trouble::Unfit { .. }) if trouble.is_configuration() => trouble.to_string(),
        other => panic!("it is not refused: {other:?}"),
    }
}

#[tokio::test]
async fn one_server_is_not_three_unless_that_is_allowed() {
    let nats = Nats::start(Plan::of(1)).await;
    let three = Settings { replicas: 3, ..settings(&nats) };
    let why = said(three.clone()).await;
    assert!(why.contains("on 1 of 3 servers") && why.contains("few_replicas"), "{why}");
    let allowed = Settings { allow: Allow { few_replicas: true, ..Allow::default() }, ..three.clone() };
    jetstream(allowed).open().await.expect("it is allowed");
    let why = said(three).await;
    assert!(why.contains("on 1 of 3 servers"), "also when it is there already: {why}");
}

#[tokio::test]
async fn servers_that_do_not_flush_what_they_acknowledge_are_refused_where_they_can_be_asked() {
    let lazy = Nats::start(Plan { sync_always: false, ..Plan::of(1) }).await;
    let why = said(settings(&lazy)).await;
    assert!(why.contains(&lazy.monitoring()[0]) && why.contains("sync_interval: always"), "{why}");
    assert!(why.contains("lazy_sync"), "{why}");
    let allowed = Settings { allow: Allow { lazy_sync: true, ..Allow::default() }, ..settings(&lazy) };
    jetstream(allowed).open().await.expect("it is allowed");
    let unasked = Settings { monitoring: vec![], ..settings(&lazy) };
    jetstream(unasked).open().await.expect("nobody can see it from here");
    let unreachable = Settings { monitoring: vec!["http://127.0.0.1:1".to_owned()], ..settings(&lazy) };
    jetstream(unreachable).open().await.expect("a monitor that is away keeps nobody out");
}

#[tokio::test]
async fn streams_that_lose_letters_are_refused_and_are_taken_once_they_are_made_anew() {
    let nats = Nats::start(Plan::of(1)).await;
    let engine = jetstream(settings(&nats));
    engine.open().await.expect("it opens");
    let administrator = administrator(&nats).await;
    let stream = administrator.get_stream("fleet").await.expect("a stream");
    let good = stream.cached_info().config.clone();
    drop(stream);
    let hour = Duration::from_secs(3_600);
    let wrong = [
        (Config { storage: StorageType::Memory, ..good.clone() }, "in memory only"),
        (Config { max_age: hour, ..good.clone() }, "--max-age=86400s"),
        (Config { deny_delete: false, ..good.clone() }, "deny_delete"),
        (Config { max_messages: 5, discard: DiscardPolicy::Old, ..good.clone() }, "--discard=new"),
        (Config { allow_message_ttl: false, ..good.clone() }, "allow_msg_ttl"),
        (Config { subjects: vec!["fleet.>".to_owned()], ..good.clone() }, "has not the subjects"),
    ];
    for (config, expected) in wrong {
        administrator.delete_stream("fleet").await.expect("it is deleted");
        administrator.create_stream(config).await.expect("it is made");
        let why = said(settings(&nats)).await;
        assert!(why.contains(expected), "`{expected}`: {why}");
        assert!(engine.open().await.is_err(), "also who has it open notices");
    }
    administrator.delete_stream("fleet").await.expect("it is deleted");
    engine.open().await.expect("the gateway makes it");
    let made = administrator.get_stream("fleet").await.expect("a stream");
    assert_eq!(made.cached_info().config, good, "as before");
}

#[tokio::test]
async fn servers_that_take_only_small_messages_are_refused() {
    let nats = Nats::start(Plan::of(1).with("max_payload: 100000")).await;
    let why = said(settings(&nats)).await;
    assert!(why.contains("100000 bytes") && why.contains("max_payload"), "{why}");
}

#[tokio::test]
async fn a_full_stream_refuses_and_forgets_nothing() {
    let nats = Nats::start(Plan::of(1)).await;
    let engine = jetstream(settings(&nats));
    engine.open().await.expect("it opens");
    let administrator = administrator(&nats).await;
    let stream = administrator.get_stream("fleet").await.expect("a stream");
    let full = Config { max_messages: 2, ..stream.cached_info().config.clone() };
    administrator.update_stream(full).await.expect("it is changed");
    let letter = |id: &str| Letter { id: id.to_owned(), to: To::Everyone, body: id.as_bytes().to_vec() };
    engine.append(&[letter("a"), letter("b")]).await.expect("there is room");
    let refused = engine.append(&[letter("c")]).await;
    assert!(refused.is_err(), "there is none: {refused:?}");
    let mut watch = engine.follow(Position(0), GatewayId(1)).await.expect("a watch");
    let first = soon("letters come", watch.next()).await.expect("no end").expect("no trouble");
    assert_eq!(first[0].body, b"a", "the oldest is still there");
}

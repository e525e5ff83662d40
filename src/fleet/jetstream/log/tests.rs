use super::*;
use crate::fleet::jetstream::{Allow, Credentials, Tls};

fn settings(allow: Allow) -> Settings {
    Settings {
        servers: vec!["nats://127.0.0.1:4222".to_owned()],
        stream: "fleet".to_owned(),
        replicas: 3,
        credentials: Credentials::None,
        tls: Tls::default(),
        deadline: Duration::from_secs(5),
        max_age: Duration::from_secs(3_600),
        allow,
        monitoring: vec![],
    }
}

/// What is said against a stream that is as the gateway makes it, but for one thing.
fn said(allow: Allow, change: impl FnOnce(&mut Config)) -> Option<String> {
    let settings = settings(allow);
    let mut config = wanted(&settings);
    change(&mut config);
    check(&config, &settings).err().map(|trouble| trouble.to_string())
}

#[test]
fn what_the_gateway_makes_is_safe() {
    assert_eq!(said(Allow::default(), |_| ()), None);
}

#[test]
fn what_can_be_lost_is_refused_with_what_and_remedy() {
    type Change = fn(&mut Config);
    let rows: [(Change, &str, &str); 16] = [
        (|c| c.storage = StorageType::Memory, "is in memory only", "memory_storage"),
        (|c| c.num_replicas = 1, "is on 1 of 3 servers", "few_replicas"),
        (|c| c.persist_mode = Some(PersistenceMode::Async), "before it is written", "lazy_sync"),
        (|c| c.max_age = Duration::from_secs(60), "after 60 s what must be kept for 3600 s", "--max-age=3600s"),
        (|c| c.retention = RetentionPolicy::WorkQueue, "drops what was read", "nats stream rm"),
        (|c| c.retention = RetentionPolicy::Interest, "drops what was read", "nats stream rm"),
        (|c| (c.max_bytes, c.discard) = (1, DiscardPolicy::Old), "drops the oldest", "--discard=new"),
        (|c| (c.max_messages, c.discard) = (1, DiscardPolicy::Old), "drops the oldest", "--discard=new"),
        (|c| c.max_messages_per_subject = 1, "keeps only some", "--max-msgs-per-subject=-1"),
        (|c| c.max_message_size = 1_000, "only small letters", "--max-msg-size=-1"),
        (|c| c.deny_delete = false, "lets letters be deleted", "deny_delete"),
        (|c| c.deny_purge = false, "lets letters be deleted", "deny_purge"),
        (|c| c.allow_rollup = true, "lets letters be deleted", "nats stream rm"),
        (|c| c.allow_message_ttl = false, "allow_msg_ttl", "--allow-msg-ttl"),
        (|c| c.no_ack = true, "acknowledges nothing", "nats stream rm"),
        (|c| c.subjects = vec!["fleet.all".to_owned()], "has not the subjects", "nats stream rm"),
    ];
    for (change, what, remedy) in rows {
        let said = said(Allow::default(), change).unwrap_or_default();
        assert!(said.contains(what) && said.contains(remedy), "`{what}`, `{remedy}`: {said}");
    }
}

#[test]
fn what_is_allowed_in_words_is_taken() {
    let none = Allow::default();
    assert_eq!(said(Allow { memory_storage: true, ..none }, |c| c.storage = StorageType::Memory), None);
    assert_eq!(said(Allow { few_replicas: true, ..none }, |c| c.num_replicas = 1), None);
    assert_eq!(said(Allow { lazy_sync: true, ..none }, |c| c.persist_mode = Some(PersistenceMode::Async)), None);
    let everything = Allow { memory_storage: true, few_replicas: true, lazy_sync: true };
    assert!(said(everything, |c| c.deny_purge = false).is_some(), "nothing else is allowed by it");
}

#[test]
fn a_stream_that_forgets_keeps_nothing_for_ever() {
    let for_ever = Settings { max_age: Duration::ZERO, ..settings(Allow::default()) };
    let config = wanted(&for_ever);
    assert_eq!((config.max_age, config.duplicate_window), (Duration::ZERO, DUPLICATES));
    assert_eq!(check(&config, &for_ever), Ok(()));
    let forgets = Config { max_age: Duration::from_secs(3_600), ..config };
    assert!(check(&forgets, &for_ever).is_err());
}

#[test]
fn what_loses_nothing_is_taken() {
    assert_eq!(said(Allow::default(), |c| c.max_age = Duration::ZERO), None, "kept for ever");
    assert_eq!(said(Allow::default(), |c| c.max_bytes = 1), None, "full is full, and says so");
    assert_eq!(said(Allow::default(), |c| c.num_replicas = 5), None);
    assert_eq!(said(Allow::default(), |c| c.subjects.push("fleet.more".to_owned())), None);
}

#[test]
fn a_subject_says_for_whom_its_letters_are() {
    for to in [To::Everyone, To::One(GatewayId(0)), To::One(GatewayId(u128::MAX))] {
        assert_eq!(addressee("fleet", &subject("fleet", to)), Some(to));
    }
    for wrong in ["", "fleet", "fleet.", "fleet.to.", "fleet.to.x", "fleet.lease.a", "other.all", "fleetall"] {
        assert_eq!(addressee("fleet", wrong), None, "`{wrong}`");
    }
}

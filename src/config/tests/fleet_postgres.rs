//! `[fleet.postgres]`: what it means, and what is a mistake in it.

use super::{GOOD, faults, parse};
use crate::config::EngineSettings;
use crate::fleet::postgres::{Allow, Host, Settings};

/// The good file in a fleet with that table.
fn with(table: &str) -> String {
    format!("{GOOD}\n[fleet]\nengine = \"postgres\"\ntell_within = \"3s\"\n[fleet.postgres]\n{table}\n")
}

fn settings(table: &str) -> Settings {
    let fleet = parse(&with(table)).expect("no faults").fleet.expect("a fleet");
    let EngineSettings::Postgres(settings) = fleet.engine else { panic!("another engine") };
    *settings
}

#[test]
fn the_least_of_it_means_a_database_on_two_servers() {
    let least = settings("hosts = [\"localhost\"]");
    assert_eq!(least.hosts, [Host::Tcp("localhost".to_owned(), 5432)]);
    assert_eq!((least.database.as_str(), least.user.as_str()), ("portcullis", "portcullis"));
    assert_eq!((least.schema.as_str(), least.synchronous_standbys, least.deadline.as_secs()), ("portcullis", 1, 3));
    assert!(least.tls.is_none() && least.password.is_none() && least.allow.is_empty());
}

#[test]
fn all_of_it_is_read() {
    let all = settings(
        "hosts = [\"db1.example.com\", \"10.0.0.2:6432\", \"/run/postgresql\"]\ndatabase = \"ops\"\nuser = \"gw\"\n\
         password_file = \"corp.secret\"\nschema = \"fleet_1\"\nsynchronous_standbys = 0\n\
         allow = [\"plaintext\", \"no_fsync\", \"no_full_page_writes\", \"unlogged\"]",
    );
    assert_eq!(all.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), HOSTS);
    assert_eq!((all.database.as_str(), all.user.as_str(), all.schema.as_str()), ("ops", "gw", "fleet_1"));
    assert_eq!(all.password.as_ref().map(|password| password.expose().as_str()), Some("s3cret"));
    assert_eq!(all.synchronous_standbys, 0);
    assert_eq!(all.allow, Allow::WORDS.map(|(_, allow)| allow));
    assert!(!format!("{all:?}").contains("s3cret"));
}

const HOSTS: &str = "db1.example.com:5432 10.0.0.2:6432 /run/postgresql:5432";

#[test]
fn each_mistake_is_found_on_its_line_and_nothing_else_is() {
    for (table, on, key, why) in [
        ("", "[fleet.postgres]", "hosts", "it is missing"),
        ("hosts = []", "hosts = []", "hosts", "it is missing"),
        ("hosts = [\"postgres://db1\"]", "postgres://db1", "hosts[0]", "is no server"),
        ("hosts = [\"127.0.0.1\", \"db1\"]", "db1", "hosts[1]", "`allow = [\"plaintext\"]`"),
        ("hosts = [\"localhost\"]\nallow = [\"fsync\"]", "\"fsync\"", "allow[0]", "\"no_fsync\""),
        ("hosts = [\"localhost\"]\nschema = \"a-b\"", "a-b", "schema", "is no schema"),
        ("hosts = [\"localhost\"]\nca_file = \"binary\"", "binary", "ca_file", "no certificate"),
        ("hosts = [\"localhost\"]\npassword_file = \"open.key\"", "open.key", "password_file", "chmod 600"),
        ("hosts = [\"localhost\"]\nsynchronous_standbys = 10", "= 10", "synchronous_standbys", "between 0 and 9"),
        ("hosts = [\"localhost\"]\nstandbys = 1", "standbys", "standbys", "there is no key `standbys`"),
    ] {
        let text = with(table);
        let line = 1 + text.lines().position(|line| line.contains(on)).expect(on);
        let found = faults(&text);
        let [fault] = found.as_slice() else { panic!("`{table}`: expected one fault, got {found:#?}") };
        assert_eq!((fault.line, fault.key.as_str()), (Some(line), format!("fleet.postgres.{key}").as_str()), "{table}");
        assert!(fault.why.contains(why), "`{table}`: expected `{why}` in `{}`", fault.why);
    }
    // Without TLS nobody would look at a certificate.
    let found = faults(&with("hosts = [\"localhost\"]\nkey_file = \"signs.pem\""));
    assert!(found.iter().any(|fault| fault.key == "fleet.postgres.key_file" && fault.why.contains("`ca_file`")));
}

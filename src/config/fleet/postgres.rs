//! `[fleet.postgres]`.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::super::reader::{Reader, Why};
use super::super::values::{one_of, text};
use crate::fleet::postgres::{Allow, Host, Schema, Settings, Tls};

/// How a letter is kept if nothing is said: one server may burn down.
const SYNCHRONOUS_STANDBYS: usize = 1;

pub(super) fn postgres(table: &Reader<'_>, deadline: Duration) -> Option<Settings> {
    if !table.has("hosts") || table.is_empty_list("hosts") {
        table.fault("hosts", "it is missing: where is the database? write `hosts = [\"db1.example.com\"]`");
    }
    let hosts: Vec<_> = table.list("hosts", host);
    let database = table.or("database", text, "portcullis".to_owned());
    let user = table.or("user", text, "portcullis".to_owned());
    let password = table.secret("password", "password_file").map(|at| at.value);
    let schema = table.or("schema", schema, Schema::default());
    let allow: Vec<_> = table.list("allow", one_of(&Allow::WORDS, &[])).into_iter().map(|at| at.value).collect();
    let tls = tls(table);
    if !table.has("ca_file") {
        let plainly = allow.contains(&Allow::Plaintext);
        for host in hosts.iter().filter(|host| !plainly && !host.value.is_here()) {
            let why = "it is not on this machine, and without `ca_file` it would be spoken to in the clear; name the \
                       authority of its certificate, or write `allow = [\"plaintext\"]`";
            table.context().fault(&host.place, why);
        }
    }
    let standbys = table.number("synchronous_standbys", 0..=9);
    Some(Settings {
        hosts: hosts.into_iter().map(|at| at.value).collect(),
        database,
        user,
        password,
        schema,
        tls,
        deadline,
        synchronous_standbys: standbys.unwrap_or(SYNCHRONOUS_STANDBYS),
        allow,
    })
}

fn tls(table: &Reader<'_>) -> Option<Tls> {
    let authorities = table.authorities("ca_file");
    let shows = ["cert_file", "key_file"].into_iter().find(|key| table.has(key));
    if let Some(key) = shows
        && !table.has("ca_file")
    {
        table.fault(key, "there is no `ca_file`: without TLS no certificate is shown");
    }
    let client = shows.and_then(|_| table.certificate()).map(|certificate| Arc::clone(&certificate.key));
    // What is damaged was a fault already.
    let authorities = CertificateDer::pem_slice_iter(&authorities?.value).flatten().collect();
    Some(Tls { authorities, client })
}

fn host(text: &str) -> Result<Host, Why> {
    Host::parse(text).ok_or_else(|| {
        Why(format!("`{text}` is no server; write `db1.example.com`, `db1.example.com:5432` or `/run/postgresql`"))
    })
}

fn schema(text: &str) -> Result<Schema, Why> {
    Schema::parse(text)
        .ok_or_else(|| Why(format!("`{text}` is no schema: write lower-case letters, digits and `_`, at most 40")))
}

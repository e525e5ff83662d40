//! `[fleet.jetstream]`: the NATS servers, what is shown to them, and what they must be.

use std::time::Duration;

use url::Url;

use crate::config::reader::{At, Reader, Why};
use crate::config::values::{one_of, secure_url, text};
use crate::fleet::jetstream::{Allow, Credentials, Settings, Tls};
use crate::identity::is_loopback;

/// The stream that is used if none is named.
const STREAM: &str = "portcullis";
/// How many servers keep each letter: one may die, and the others still agree.
const REPLICAS: usize = 3;
/// Characters of a stream's name. It becomes a directory at the servers.
const LONGEST_STREAM: usize = 32;
/// Servers that can be named.
const MOST_SERVERS: usize = 32;

/// What can be allowed in words.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Word {
    MemoryStorage,
    FewReplicas,
    LazySync,
    Plaintext,
}

/// How the servers are reached; `deadline` is how long a call may take. Letters are kept for ever until the assembly says
/// for how long they must.
pub(super) fn jetstream(table: &Reader<'_>, deadline: Duration) -> Option<Settings> {
    let words = [
        ("memory_storage", Word::MemoryStorage),
        ("few_replicas", Word::FewReplicas),
        ("lazy_sync", Word::LazySync),
        ("plaintext", Word::Plaintext),
    ];
    let allowed: Vec<_> = table.list("allow", one_of(&words, &[])).into_iter().map(|at| at.value).collect();
    let allows = |word| allowed.contains(&word);
    let tls = tls(table);
    let servers = servers(table, tls.required || allows(Word::Plaintext));
    let stream = table.or("stream", stream, STREAM.to_owned());
    let replicas = table.number("replicas", 1..=5);
    if replicas.is_some_and(|replicas| replicas < REPLICAS) && !allows(Word::FewReplicas) {
        table.fault("replicas", "with fewer than 3 one lost disk loses letters; or write `allow = [\"few_replicas\"]`");
    }
    let credentials = credentials(table);
    let monitoring = table.list("monitoring", secure_url).into_iter().map(|at| at.value.to_string()).collect();
    Some(Settings {
        servers: servers?,
        stream,
        replicas: replicas.unwrap_or(REPLICAS),
        credentials: credentials?,
        tls,
        deadline,
        max_age: Duration::ZERO,
        allow: Allow {
            memory_storage: allows(Word::MemoryStorage),
            few_replicas: allows(Word::FewReplicas),
            lazy_sync: allows(Word::LazySync),
        },
        monitoring,
    })
}

/// The servers; those on other machines with TLS, or `may_be_plain`.
fn servers(table: &Reader<'_>, may_be_plain: bool) -> Option<Vec<String>> {
    if !table.has("servers") || table.is_empty_list("servers") {
        table.fault("servers", "there is no server; write `servers = [\"tls://nats-1.example.com:4222\", …]`");
        return None;
    }
    let found = table.list("servers", server);
    if found.len() > MOST_SERVERS {
        table.fault("servers", &format!("there may be at most {MOST_SERVERS} servers"));
    }
    for At { value, place } in &found {
        if value.scheme() == "nats" && !value.host_str().is_some_and(is_loopback) && !may_be_plain {
            let why = "whoever is on the way reads the credentials: write `tls://…`, or name `ca_file`; \
                       or write `allow = [\"plaintext\"]`";
            table.context().fault(place, why);
        }
    }
    Some(found.into_iter().map(|at| at.value.to_string()).collect())
}

/// `nats://HOST:PORT` or `tls://HOST:PORT`.
fn server(text: &str) -> Result<Url, Why> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "nats" | "tls") && url.has_host());
    let url = url.ok_or("write `nats://HOST:PORT` or `tls://HOST:PORT`")?;
    // Without repeating the URL.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Why::from("there must be no user name and no password in the URL; there are keys for them"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(Why::from("there must be nothing after the port"));
    }
    Ok(url)
}

/// A name that can stand in subjects.
fn stream(name: &str) -> Result<String, Why> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > LONGEST_STREAM || !name.chars().all(plain) {
        return Err(Why(format!("a stream's name has letters, digits, `-` and `_`, at most {LONGEST_STREAM} of them")));
    }
    Ok(name.to_owned())
}

/// TLS as soon as anything of it is named; the files are read now so that mistakes show, and again for each connection.
fn tls(table: &Reader<'_>) -> Tls {
    let ca_file = table.parse("ca_file", |name| Ok(table.context().path(name))).map(|at| at.value);
    if ca_file.is_some() {
        table.authorities("ca_file");
    }
    let shows = table.has("cert_file") || table.has("key_file");
    let identity = if shows { table.certificate().map(|own| (own.cert_file, own.key_file)) } else { None };
    Tls { required: ca_file.is_some() || shows, ca_file, identity }
}

/// What is shown to the servers: one thing, or nothing.
fn credentials(table: &Reader<'_>) -> Option<Credentials> {
    let kinds: [(&'static str, &'static str); 4] = [
        ("credentials", "credentials_file"),
        ("nkey", "nkey_file"),
        ("token", "token_file"),
        ("password", "password_file"),
    ];
    let named: Vec<_> = kinds.into_iter().filter(|(key, file)| table.has(key) || table.has(file)).collect();
    let user = table.parse("user", text);
    if let [(_, first), (key, file), ..] = named.as_slice() {
        let second = if table.has(file) { file } else { key };
        table.fault(
            second,
            &format!("`{first}` or the like is there too: servers take one kind of credentials; keep one"),
        );
    }
    let mut secrets = kinds.map(|(key, file)| table.secret(key, file).map(|at| at.value)).into_iter();
    let (file, nkey, token, password) = (secrets.next()?, secrets.next()?, secrets.next()?, secrets.next()?);
    let password_named = named.iter().any(|(key, _)| *key == "password");
    match &user {
        Some(_) if named.is_empty() => table.fault("password_file", "it is missing; `user` has a password"),
        Some(At { place, .. }) if !password_named => {
            table.context().fault(place, "it goes with a password only; drop it")
        }
        None if password_named => table.fault("user", "it is missing; whose password is it?"),
        Some(_) | None => {}
    }
    Some(match (file, nkey, token, user, password) {
        (Some(content), ..) => Credentials::File(content),
        (_, Some(seed), ..) => Credentials::Nkey(seed),
        (_, _, Some(token), ..) => Credentials::Token(token),
        (.., Some(user), Some(password)) => Credentials::Password { user: user.value, password },
        _ => Credentials::None,
    })
}

#[cfg(test)]
mod tests;

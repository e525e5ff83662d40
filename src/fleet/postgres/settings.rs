//! Where the database is, and what is wanted of it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::To;
use crate::identity::is_loopback;
use crate::secret::Secret;

/// Where the database is, and what is wanted of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The servers: one, or a primary and its standbys. The first that takes writes is used.
    pub hosts: Vec<Host>,
    /// The database.
    pub database: String,
    /// The user.
    pub user: String,
    /// Their password; a client certificate, or the socket's owner, may do without.
    pub password: Option<Secret<String>>,
    /// The schema of all tables.
    pub schema: Schema,
    /// How servers are recognised; `None` speaks plainly.
    pub tls: Option<Tls>,
    /// By when every call ends.
    pub deadline: Duration,
    /// Standbys that must have a letter on disk before it counts as kept.
    pub synchronous_standbys: usize,
    /// What is allowed in words.
    pub allow: Vec<Allow>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// By name or address.
    Tcp(String, u16),
    /// The directory of its socket.
    Socket(PathBuf, u16),
}

impl Host {
    /// The usual port.
    pub const PORT: u16 = 5_432;

    /// Reads `db1.example.com`, `db1.example.com:5433`, `[::1]:5433` or `/run/postgresql`, that with a port, too.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()?),
            Some(_) | None => (text, Self::PORT),
        };
        if port == 0 {
            return None;
        }
        if host.starts_with('/') {
            return Some(Self::Socket(PathBuf::from(host), port));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
            None if !host.is_empty() && host.chars().all(plain) => host.to_owned(),
            None => return None,
        };
        Some(Self::Tcp(host, port))
    }

    /// Whether nobody on a network can listen.
    pub fn is_here(&self) -> bool {
        match self {
            Self::Tcp(host, _) => is_loopback(host) || host.parse() == Ok(std::net::Ipv6Addr::LOCALHOST),
            Self::Socket(..) => true,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Socket(directory, port) => write!(f, "{}:{port}", directory.display()),
        }
    }
}

/// How servers are recognised: the certificate must be for the host's name and come from one of these authorities.
#[derive(Clone)]
pub struct Tls {
    /// The authorities.
    pub authorities: Vec<CertificateDer<'static>>,
    /// What the gateway shows, if it is asked.
    pub client: Option<Arc<CertifiedKey>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (authorities, client) = (self.authorities.len(), self.client.is_some());
        f.debug_struct("Tls").field("authorities", &authorities).field("client", &client).finish()
    }
}

/// The name of a schema: lower-case letters, digits and `_`, at most 40 of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema(String);

impl Schema {
    /// Reads it.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let fits = (1..=LONGEST_SCHEMA).contains(&text.len()) && text.bytes().all(plain);
        // PostgreSQL keeps names that begin so for itself.
        (fits && !text.starts_with("pg_")).then(|| Self(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where those listen who wait for such a letter. Two gateways may share one: then one wakes for nothing.
    pub(super) fn channel(&self, to: To) -> String {
        match to {
            To::Everyone => format!("pc_{}", self.0),
            To::One(gateway) => format!("pc_{}_{:012x}", self.0, gateway.0 >> 80),
        }
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self("portcullis".to_owned())
    }
}

/// What is refused unless it is allowed in words.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Passwords and sealed letters cross a network in the clear.
    Plaintext,
    /// The server does not wait for its disk.
    NoFsync,
    /// A page that was half written when the power went stays so.
    NoFullPageWrites,
    /// Tables that a crash empties.
    Unlogged,
}

impl Allow {
    /// Each, by its word.
    pub const WORDS: [(&str, Self); 4] = [
        ("plaintext", Self::Plaintext),
        ("no_fsync", Self::NoFsync),
        ("no_full_page_writes", Self::NoFullPageWrites),
        ("unlogged", Self::Unlogged),
    ];

    /// Its word in the config.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, allow)| *allow == self).map_or("", |(word, _)| word)
    }
}

/// Characters of a schema's name: with a prefix and part of a gateway's id it names a channel, and that has 63 at most.
const LONGEST_SCHEMA: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_an_address_or_a_directory_with_a_port_or_without() {
        let tcp = |host: &str, port| Some(Host::Tcp(host.to_owned(), port));
        let socket = |path: &str, port| Some(Host::Socket(PathBuf::from(path), port));
        for (text, expected, here) in [
            ("db1.example.com", tcp("db1.example.com", 5432), false),
            ("db1.example.com:6432", tcp("db1.example.com", 6432), false),
            ("127.0.0.1:5433", tcp("127.0.0.1", 5433), true),
            ("localhost", tcp("localhost", 5432), true),
            ("[::1]:5433", tcp("::1", 5433), true),
            ("[2001:db8::1]", tcp("2001:db8::1", 5432), false),
            ("/run/postgresql", socket("/run/postgresql", 5432), true),
            ("/run/postgresql:5433", socket("/run/postgresql", 5433), true),
            ("", None, false),
            (":5432", None, false),
            ("::1", None, false),
            ("db1:0", None, false),
            ("db1:x", None, false),
            ("db1,db2", None, false),
            ("postgres://db1", None, false),
            ("user@db1", None, false),
        ] {
            let host = Host::parse(text);
            assert_eq!(host, expected, "`{text}`");
            assert_eq!(host.is_some_and(|host| host.is_here()), here, "`{text}`");
        }
    }

    #[test]
    fn a_schema_is_a_plain_name() {
        for (text, good) in [
            ("portcullis", true),
            ("fleet_2", true),
            (&"x".repeat(40), true),
            (&"x".repeat(41), false),
            ("", false),
            ("Fleet", false),
            ("a-b", false),
            ("a\"; DROP TABLE x", false),
            ("pg_fleet", false),
        ] {
            assert_eq!(Schema::parse(text).is_some(), good, "`{text}`");
        }
    }

    #[test]
    fn a_channel_is_no_longer_than_postgresql_takes() {
        let schema = Schema::parse(&"x".repeat(LONGEST_SCHEMA)).expect("schema");
        let one = schema.channel(To::One(crate::fleet::GatewayId(u128::MAX)));
        assert!(one.len() <= 63, "{one}");
        assert_ne!(one, schema.channel(To::Everyone));
    }

    #[test]
    fn each_word_is_its_own() {
        for (word, allow) in Allow::WORDS {
            assert_eq!(allow.word(), word);
        }
    }
}

use std::io;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};
use toml::de::DeTable;
use zeroize::Zeroizing;

use super::*;
use crate::config::files::{File, Files};
use crate::config::reader::{Context, read_root};

/// Files with these names, whatever their directory.
struct Shelf {
    cert: String,
    key: String,
}

impl Files for Shelf {
    fn read(&self, path: &Path) -> io::Result<File> {
        let (content, exposed) = match path.to_str() {
            Some("ca.pem" | "own.pem") => (self.cert.as_str(), false),
            Some("own.key") => (self.key.as_str(), false),
            Some("secret") => ("hunter2\n", false),
            Some("open") => ("hunter2\n", true),
            Some("empty") => ("\n", false),
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(File { bytes: Zeroizing::new(content.as_bytes().to_vec()), exposed })
    }
}

/// What the table reads as, and what is wrong with it: `key: why`.
fn read(text: &str) -> (Option<Settings>, Vec<String>) {
    let key = KeyPair::generate().expect("a key");
    let cert = CertificateParams::default().self_signed(&key).expect("a certificate");
    let shelf = Shelf { cert: cert.pem(), key: key.serialize_pem() };
    let table = DeTable::parse(text).expect("TOML");
    let context = Context::new(text, Path::new(""), &shelf);
    let settings = read_root(&context, table.get_ref(), |table| jetstream(table, Duration::from_secs(2)));
    let faults = context.into_faults().into_iter().map(|fault| format!("{}: {}", fault.key, fault.why)).collect();
    (settings, faults)
}

/// A table without a fault.
fn good(text: &str) -> Settings {
    match read(text) {
        (Some(settings), faults) if faults.is_empty() => settings,
        (_, faults) => panic!("{text}: {faults:#?}"),
    }
}

const LOCAL: &str = "servers = [\"nats://127.0.0.1:4222\"]\n";

#[test]
fn little_is_needed_and_what_is_not_said_is_safe() {
    let settings = good(LOCAL);
    assert_eq!(settings.servers, ["nats://127.0.0.1:4222"]);
    assert_eq!((settings.stream.as_str(), settings.replicas), ("portcullis", 3));
    assert_eq!((settings.allow, settings.tls), (Allow::default(), Tls::default()));
    assert_eq!((settings.deadline, settings.max_age), (Duration::from_secs(2), Duration::ZERO));
    assert!(matches!(settings.credentials, Credentials::None) && settings.monitoring.is_empty());
}

#[test]
fn everything_can_be_said() {
    let settings = good(
        r#"
        servers = ["tls://nats-1.example.com:4222", "tls://nats-2.example.com"]
        stream = "gates"
        replicas = 5
        user = "portcullis"
        password_file = "secret"
        ca_file = "ca.pem"
        cert_file = "own.pem"
        key_file = "own.key"
        monitoring = ["https://nats-1.example.com:8222", "http://127.0.0.1:8222"]
        allow = ["lazy_sync", "memory_storage"]"#,
    );
    assert_eq!(settings.servers, ["tls://nats-1.example.com:4222", "tls://nats-2.example.com"]);
    assert_eq!((settings.stream.as_str(), settings.replicas), ("gates", 5));
    assert!(matches!(&settings.credentials, Credentials::Password { user, password }
        if user == "portcullis" && password.matches("hunter2")));
    let file = PathBuf::from;
    let identity = Some((file("own.pem"), file("own.key")));
    assert_eq!(settings.tls, Tls { required: true, ca_file: Some(file("ca.pem")), identity });
    assert_eq!(settings.monitoring, ["https://nats-1.example.com:8222/", "http://127.0.0.1:8222/"]);
    assert_eq!(settings.allow, Allow { lazy_sync: true, memory_storage: true, few_replicas: false });
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn each_kind_of_credentials_is_read_from_its_file() {
    for (line, kind) in [
        ("credentials_file = \"secret\"", "File("),
        ("nkey_file = \"secret\"", "Nkey("),
        ("token_file = \"secret\"", "Token("),
        ("user = \"u\"\npassword_file = \"secret\"", "Password {"),
    ] {
        let found = format!("{:?}", good(&format!("{LOCAL}{line}")).credentials);
        assert!(found.starts_with(kind), "{line}: {found}");
    }
}

#[test]
fn plain_connections_to_other_machines_are_refused_unless_allowed_in_words() {
    let far = "servers = [\"nats://10.0.0.5:4222\"]\n";
    let (_, faults) = read(far);
    assert!(faults.len() == 1 && faults[0].contains("servers[0]") && faults[0].contains("plaintext"), "{faults:?}");
    assert!(!good(&format!("{far}allow = [\"plaintext\"]")).tls.required);
    assert!(good(&format!("{far}ca_file = \"ca.pem\"")).tls.required, "no connection without TLS");
}

#[test]
fn each_mistake_is_one_fault_with_its_key_and_remedy() {
    for (text, key, why) in [
        ("", "servers", "there is no server"),
        ("servers = []", "servers", "there is no server"),
        ("servers = [\"127.0.0.1:4222\"]", "servers[0]", "nats://HOST:PORT"),
        ("servers = [\"http://127.0.0.1:4222\"]", "servers[0]", "nats://HOST:PORT"),
        ("servers = [\"nats://u:hunter2@127.0.0.1\"]", "servers[0]", "no password in the URL"),
        ("servers = [\"nats://127.0.0.1/x\"]", "servers[0]", "nothing after the port"),
        ("+stream = \"a.b\"", "stream", "letters, digits"),
        ("+stream = \"\"", "stream", "letters, digits"),
        ("+replicas = 0", "replicas", "between 1 and 5"),
        ("+replicas = 1", "replicas", "few_replicas"),
        ("+allow = [\"everything\"]", "allow[0]", "memory_storage"),
        ("+token_file = \"gone\"", "token_file", "no such file"),
        ("+token_file = \"open\"", "token_file", "chmod 600"),
        ("+token_file = \"empty\"", "token_file", "empty"),
        ("+token_file = \"secret\"\nnkey_file = \"secret\"", "token_file", "keep one"),
        ("+user = \"u\"", "password_file", "is missing"),
        ("+password_file = \"secret\"", "user", "is missing"),
        ("+user = \"u\"\ntoken_file = \"secret\"", "user", "drop it"),
        ("+ca_file = \"secret\"", "ca_file", "no certificate in PEM"),
        ("+cert_file = \"own.pem\"", "key_file", "is missing"),
        ("+cert_file = \"own.pem\"\nkey_file = \"secret\"", "key_file", "no private key"),
        ("+monitoring = [\"http://10.0.0.5:8222\"]", "monitoring[0]", "must be https"),
        ("+server = [\"nats://127.0.0.1\"]", "server", "did you mean `servers`"),
    ] {
        let text = text.strip_prefix('+').map_or_else(|| text.to_owned(), |more| format!("{LOCAL}{more}"));
        let (_, faults) = read(&text);
        let [fault] = faults.as_slice() else { panic!("{text}: expected one fault, got {faults:#?}") };
        assert!(fault.starts_with(&format!("{key}: ")) && fault.contains(why), "{text}: `{key}`, `{why}`: {fault}");
        assert!(!fault.contains("hunter2"), "a secret is repeated: {fault}");
    }
}

//! What is read from named files: secrets, ring keys, certificates.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::reader::{At, Place, Reader, Why};
use crate::jose::Signer;
use crate::seal::KeyRing;
use crate::secret::Secret;

/// A certificate for a TLS listener, with its key; checked to belong together.
#[derive(Clone)]
pub struct Certificate {
    /// The chain, leaf first, as a PEM file.
    pub cert_file: PathBuf,
    /// The leaf's key, as a PEM file.
    pub key_file: PathBuf,
    /// Both, as rustls takes them.
    pub key: Arc<CertifiedKey>,
}

impl Certificate {
    /// Whether it is for that name (RFC 6125; wildcards cover one label).
    pub fn covers(&self, name: &str) -> bool {
        let Ok(name) = ServerName::try_from(name) else { return false };
        let leaf = self.key.end_entity_cert().and_then(ParsedCertificate::try_from);
        leaf.is_ok_and(|leaf| rustls::client::verify_server_name(&leaf, &name).is_ok())
    }
}

impl Certificate {
    /// When it ends: seconds since 1970. `None` if it does not say so in a way that is understood.
    pub fn not_after(&self) -> Option<i64> {
        let (_, leaf) = x509_parser::parse_x509_certificate(self.key.cert.first()?).ok()?;
        Some(leaf.validity().not_after.timestamp())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("cert_file", &self.cert_file).finish_non_exhaustive()
    }
}

/// Who may read a file.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Holds {
    Secret,
    Public,
}

impl Reader<'_> {
    /// A secret: `key` holds it, or `file_key` names the file that does. `None` if both are absent or it was a fault.
    pub(super) fn secret(&self, key: &'static str, file_key: &'static str) -> Option<At<Secret<String>>> {
        let literal = self.parse(key, |text| Ok(Secret::new(text.to_owned())));
        let file = self.parse(file_key, |name| Ok(self.context().path(name)));
        let found = match (literal, file) {
            (Some(_), Some(file)) => {
                let why = format!("`{key}` is there too; keep one of them, best `{file_key}`");
                self.context().fault(&file.place, why);
                return None;
            }
            (Some(literal), None) => literal,
            (None, Some(At { value: path, place })) => At { value: self.secret_text(&path, &place)?, place },
            (None, None) => return None,
        };
        if found.value.expose().trim().is_empty() {
            self.context().fault(&found.place, "the secret is empty");
            return None;
        }
        Some(found)
    }

    /// A secret that callers present to us: so long that it cannot be tried out, and fit for a header.
    pub(super) fn bearer(&self, key: &'static str, file_key: &'static str) -> Option<Secret<String>> {
        let found = self.for_a_header(key, file_key)?;
        if found.value.expose().len() < SHORTEST_BEARER {
            self.context().fault(&found.place, format!("the secret is shorter than {SHORTEST_BEARER} characters"));
        }
        Some(found.value)
    }

    /// A secret that we present to others: how long it is, is for them to say.
    pub(super) fn presented(&self, key: &'static str, file_key: &'static str) -> Option<Secret<String>> {
        self.for_a_header(key, file_key).map(|at| at.value)
    }

    fn for_a_header(&self, key: &'static str, file_key: &'static str) -> Option<At<Secret<String>>> {
        if !self.has(key) && !self.has(file_key) {
            self.fault(file_key, "it is missing; it names the file that holds the secret");
        }
        let found = self.secret(key, file_key)?;
        if !found.value.expose().bytes().all(|b| b.is_ascii_graphic()) {
            self.context().fault(&found.place, "the secret has a character that cannot stand in a header");
        }
        Some(found)
    }

    /// What is in a file that everybody may see.
    pub(super) fn public_file<T>(&self, key: &'static str, parse: impl FnOnce(&[u8]) -> Result<T, Why>) -> Option<T> {
        let At { value: path, place } = self.parse(key, |name| Ok(self.context().path(name)))?;
        let bytes = self.file(&path, &place, Holds::Public)?;
        let parsed = parse(&bytes).map_err(|Why(why)| format!("`{}`: {why}", path.display()));
        parsed.map_err(|why| self.context().fault(&place, why)).ok()
    }

    /// Certificates to trust, in PEM.
    pub(super) fn authorities(&self, key: &'static str) -> Option<At<Vec<u8>>> {
        let At { value: path, place } = self.parse(key, |name| Ok(self.context().path(name)))?;
        let bytes = self.file(&path, &place, Holds::Public)?;
        if let Err(Why(why)) = certificates(&bytes) {
            self.context().fault(&place, format!("`{}`: {why}", path.display()));
        }
        Some(At { value: bytes.to_vec(), place })
    }

    /// The pair that `cert_file` and `key_file` name.
    pub(super) fn certificate(&self) -> Option<Certificate> {
        let cert_file = self.require("cert_file", |name| Ok(self.context().path(name)));
        let key_file = self.require("key_file", |name| Ok(self.context().path(name)));
        let cert_pem = cert_file.as_ref().and_then(|at| self.file(&at.value, &at.place, Holds::Public));
        let key_pem = key_file.as_ref().and_then(|at| self.file(&at.value, &at.place, Holds::Secret));
        let (At { value: cert_file, place: cert_at }, At { value: key_file, place: key_at }) = (cert_file?, key_file?);
        let chain = match certificates(&cert_pem?) {
            Ok(chain) => chain,
            Err(Why(why)) => {
                self.context().fault(&cert_at, format!("`{}`: {why}", cert_file.display()));
                return None;
            }
        };
        let Ok(key) = PrivateKeyDer::from_pem_slice(&key_pem?) else {
            self.context().fault(&key_at, format!("`{}` holds no private key in PEM", key_file.display()));
            return None;
        };
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        match CertifiedKey::from_der(chain, key, &provider) {
            Ok(key) => Some(Certificate { cert_file, key_file, key: Arc::new(key) }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                let why = format!("the key does not belong to the certificate in `{}`", cert_file.display());
                self.context().fault(&key_at, why);
                None
            }
            Err(_) => {
                let why = format!("`{}` or its certificate cannot be used for TLS", key_file.display());
                self.context().fault(&key_at, why);
                None
            }
        }
    }

    /// The private key in the file under `key`, which others know as `kid`.
    pub(super) fn signing_key(&self, key: &'static str, kid: &str) -> Option<Signer> {
        let At { value: path, place } = self.parse(key, |name| Ok(self.context().path(name)))?;
        let pem = self.file(&path, &place, Holds::Secret)?;
        let signer = Signer::from_pem(kid, &pem);
        if signer.is_none() {
            let why = format!(
                "`{}` holds no private key in PEM (PKCS #8: RSA of 2048 bits or more, P-256 or Ed25519)",
                path.display()
            );
            self.context().fault(&place, why);
        }
        signer
    }

    /// The ring of the keys in the files under `key`, newest first.
    pub(super) fn key_ring(&self, key: &'static str) -> Option<KeyRing> {
        if !self.has(key) {
            self.fault(key, "there is no key to seal cookies with; `portcullis keygen FILE` makes one");
        }
        let files = self.list(key, |name| Ok(self.context().path(name)));
        if self.is_empty_list(key) {
            self.fault(key, "the list is empty; `portcullis keygen FILE` makes a key");
        }
        if files.len() > MAX_RING {
            self.fault(key, &format!("the ring holds at most {MAX_RING} keys; drop the oldest"));
        }
        let mut texts: Vec<Secret<String>> = Vec::new();
        for At { value: path, place } in files {
            let Some(text) = self.secret_text(&path, &place) else { continue };
            if let Err(invalid) = KeyRing::parse([text.expose().as_str()]) {
                self.context().fault(&place, format!("`{}`: {invalid}", path.display()));
            } else if texts.iter().any(|known| known.matches(text.expose())) {
                self.context().fault(&place, "this key is in the list already");
            } else {
                texts.push(text);
            }
        }
        KeyRing::parse(texts.iter().map(|text| text.expose().as_str())).ok().flatten()
    }

    fn secret_text(&self, path: &Path, place: &Place) -> Option<Secret<String>> {
        let bytes = self.file(path, place, Holds::Secret)?;
        let Ok(text) = std::str::from_utf8(&bytes) else {
            self.context().fault(place, format!("`{}` holds no text", path.display()));
            return None;
        };
        // Editors end a file with a line feed; it is no part of the secret.
        Some(Secret::new(text.trim().to_owned()))
    }

    fn file(&self, path: &Path, place: &Place, holds: Holds) -> Option<Zeroizing<Vec<u8>>> {
        match self.context().files.read(path) {
            Ok(file) if holds == Holds::Secret && file.exposed => {
                let path = path.display();
                self.context().fault(place, format!("`{path}` is open to others; `chmod 600 {path}`"));
                None
            }
            Ok(file) => Some(file.bytes),
            Err(error) => {
                let why = match error.kind() {
                    std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
                    std::io::ErrorKind::PermissionDenied => "it may not be read by this user".to_owned(),
                    _ => error.to_string(),
                };
                self.context().fault(place, format!("`{}`: {why}", path.display()));
                None
            }
        }
    }
}

/// All certificates in a PEM file.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Why> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(Why::from("it holds no certificate in PEM")),
        Ok(found) => Ok(found),
        Err(_) => Err(Why::from("the PEM in it is damaged")),
    }
}

/// Characters of a secret that callers present: 128 bits in hex are twice that (IPSIE Common Requirements §3.4).
const SHORTEST_BEARER: usize = 16;
/// Keys in the ring: every revocation is put in force under each of them.
const MAX_RING: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io;

    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use base64::Engine as _;

    use super::*;
    use crate::config::{Config, File, Files};

    /// One DER value.
    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let length = u16::try_from(body.len()).expect("short").to_be_bytes();
        let length = match length {
            [0, short @ ..0x80] => vec![short],
            [0, long] => vec![0x81, long],
            [high, low] => vec![0x82, high, low],
        };
        [&[tag], length.as_slice(), &body].concat()
    }

    fn pem(label: &str, bytes: &[u8]) -> Vec<u8> {
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n").into_bytes()
    }

    /// A self-signed certificate for `name` and its key (RFC 5280 §4.1), in PEM.
    fn certificate_for(name: &str) -> (Vec<u8>, Vec<u8>) {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).expect("key");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).expect("key");
        let ecdsa_with_sha256 = der(0x30, &[b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"]);
        let validity = der(0x30, &[b"\x17\x0d250101000000Z", b"\x17\x0d490101000000Z"]);
        let alternatives = der(0x30, &[&der(0x82, &[name.as_bytes()])]);
        let extension = der(0x30, &[b"\x06\x03\x55\x1d\x11", &der(0x04, &[&alternatives])]);
        let to_be_signed = der(
            0x30,
            &[
                b"\xa0\x03\x02\x01\x02\x02\x01\x01",
                &ecdsa_with_sha256,
                b"\x30\x00",
                &validity,
                b"\x30\x00",
                key.public_key().as_der().expect("public key").as_ref(),
                &der(0xa3, &[&der(0x30, &[&extension])]),
            ],
        );
        let signature = key.sign(&SystemRandom::new(), &to_be_signed).expect("signature");
        let whole = der(0x30, &[&to_be_signed, &ecdsa_with_sha256, &der(0x03, &[b"\x00", signature.as_ref()])]);
        (pem("CERTIFICATE", &whole), pem("PRIVATE KEY", pkcs8.as_ref()))
    }

    struct Shelf(HashMap<PathBuf, Vec<u8>>);

    impl Files for Shelf {
        fn read(&self, path: &Path) -> io::Result<File> {
            let bytes = self.0.get(path).ok_or(io::ErrorKind::NotFound)?.clone();
            Ok(File { bytes: Zeroizing::new(bytes), exposed: false })
        }
    }

    /// The faults of a config whose one TLS listener has these files, and its certificate if there are none.
    fn listener(cert_file: &str, key_file: &str) -> (Vec<String>, Option<Certificate>) {
        let (wiki, wiki_key) = certificate_for("*.example.com");
        let (_, other_key) = certificate_for("other.example.com");
        let ring = crate::seal::generate_key().expect("key").expose().clone().into_bytes();
        let files = [("wiki.pem", wiki), ("wiki.key", wiki_key), ("other.key", other_key), ("ring", ring)];
        let text = format!(
            r#"
            server.tls = [{{ listen = "127.0.0.1:8443", cert_file = "{cert_file}", key_file = "{key_file}" }}]
            admin.token = "0123456789abcdef"
            keys.files = ["ring"]
            ledger.path = "ledger.db"
            idps.corp = {{ issuer = "https://idp.example.com", client_id = "p" }}
            apps.wiki = {{ url = "https://wiki.example.com", upstreams = ["http://127.0.0.1:1"], idp = "corp" }}"#
        );
        let shelf = Shelf(files.into_iter().map(|(name, bytes)| (PathBuf::from(name), bytes)).collect());
        match Config::parse(&text, Path::new("p.toml"), &shelf) {
            Ok(config) => (vec![], config.server.tls.into_iter().map(|tls| tls.certificate).next()),
            Err(faults) => (faults.iter().map(|fault| fault.to_owned().why).collect(), None),
        }
    }

    #[test]
    fn a_certificate_and_its_key_are_taken_and_cover_their_names() {
        let (faults, certificate) = listener("wiki.pem", "wiki.key");
        assert_eq!(faults, [""; 0]);
        let certificate = certificate.expect("certificate");
        for (name, covered) in
            [("wiki.example.com", true), ("a.b.example.com", false), ("example.org", false), ("not a name", false)]
        {
            assert_eq!(certificate.covers(name), covered, "`{name}`");
        }
        assert_eq!(format!("{certificate:?}"), "Certificate { cert_file: \"wiki.pem\", .. }");
    }

    #[test]
    fn a_pair_that_does_not_belong_together_is_a_fault() {
        for (cert_file, key_file, why) in [
            ("wiki.pem", "other.key", "does not belong to the certificate"),
            ("wiki.key", "wiki.key", "holds no certificate"),
            ("wiki.pem", "wiki.pem", "holds no private key"),
            ("wiki.pem", "gone.key", "there is no such file"),
        ] {
            let (faults, _) = listener(cert_file, key_file);
            let [fault] = faults.as_slice() else { panic!("{cert_file}, {key_file}: {faults:?}") };
            assert!(fault.contains(why), "{cert_file}, {key_file}: {fault}");
        }
    }
}

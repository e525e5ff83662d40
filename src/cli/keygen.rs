//! `portcullis keygen`: a key for the ring, or one that signs.

use std::io::Write as _;
use std::path::Path;

use super::{Exit, Outcome};

/// Makes a key, in a new file or on standard output.
pub(super) fn keygen(file: Option<&Path>, signing: bool) -> Outcome {
    use std::os::unix::fs::OpenOptionsExt as _;

    let (made, place) = if signing {
        (crate::jose::Signer::generate_pem(), "name it in `[outcomes.webhook] key_file`")
    } else {
        (crate::seal::generate_key(), "put it first in `[keys] files` of every gateway")
    };
    let Some(key) = made else {
        return Outcome::not(Exit::Failed, "the system has no randomness to give");
    };
    let Some(path) = file else { return Outcome::done(key.expose().as_str()) };
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(key.expose().as_bytes()).and_then(|()| file.sync_all()));
    let path = path.display();
    match written {
        Ok(()) => Outcome::done(format!("a new key is in {path}; {place}\n")),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Outcome::not(Exit::Failed, format!("{path} is there already, and is left as it is"))
        }
        Err(error) => Outcome::not(Exit::Failed, format!("{path}: {error}")),
    }
}

//! `portcullis migrate`: another gateway's config, written as ours.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Exit, Outcome};
use crate::migrate::{MAX_FILE, Migrated, Source, Unreadable, oauth2_proxy};

/// From which gateway.
#[derive(Debug, Subcommand)]
pub(super) enum Migrate {
    /// From oauth2-proxy: its config file, alpha config, environment file, or whatever has its flags (a systemd unit, a
    /// compose file, a script)
    Oauth2Proxy(From),
}

/// What is read, and where ours goes.
#[derive(Debug, Args)]
pub(super) struct From {
    /// The files that together say it; of what is said twice the later counts
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where to put ours (never over a file that is there); standard output if left out
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What people type, where the files do not say it
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

type Read = fn(&[Source<'_>], Option<&str>) -> Result<Migrated, Unreadable>;

/// Translates, and says on standard error what is left to do.
pub(super) fn migrate(from: &Migrate) -> Outcome {
    match from {
        Migrate::Oauth2Proxy(from) => translate(from, oauth2_proxy),
    }
}

fn translate(from: &From, read: Read) -> Outcome {
    let mut texts = Vec::new();
    for path in &from.files {
        match text_of(path) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(why) => return Outcome::not(Exit::Failed, format!("{}: {why}", path.display())),
        }
    }
    let sources: Vec<_> = texts.iter().map(|(name, text)| Source { name, text }).collect();
    let migrated = match read(&sources, from.url.as_deref()) {
        Ok(migrated) => migrated,
        Err(why) => return Outcome::not(Exit::Failed, why.to_string()),
    };
    let says = match &from.output {
        None => migrated.toml.clone(),
        Some(path) => match written(path, &migrated.toml) {
            Ok(()) => String::new(),
            Err(error) => return Outcome::not(Exit::Failed, format!("{}: {error}", path.display())),
        },
    };
    let exit = if migrated.left_out.is_empty() { Exit::Done } else { Exit::Incomplete };
    Outcome { exit, says, complains: told(&migrated) }
}

/// At most so much of a file as a config can have.
fn text_of(path: &Path) -> Result<String, String> {
    use std::io::Read as _;

    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

fn written(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())
}

fn told(migrated: &Migrated) -> String {
    let mut told = String::new();
    if !migrated.left_out.is_empty() {
        told.push_str("not translated:\n");
        for left in &migrated.left_out {
            told.push_str(&format!("  - {left}\n"));
        }
    }
    told.push_str("before the first start:\n");
    for what in &migrated.to_do {
        told.push_str(&format!("  - {what}\n"));
    }
    told
}

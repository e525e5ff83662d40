//! Another gateway's config, written as ours: what it means is translated, and what has no like here is named.
//!
//! oauth2-proxy is read ([`oauth2_proxy`]). A table has every option that its documents know; an option's row says what
//! becomes of it, so that none is passed over in silence.
//! Secrets that stand in what was read never stand in what is written: it names a file, and says what to put into it.

mod alpha;
mod draft;
mod oauth2;
mod options;
mod read;
mod routes;
mod words;
mod yaml;

use std::fmt;

use self::draft::Draft;

/// The largest file that is read: a config is a few KiB.
pub const MAX_FILE: usize = 1 << 20;

/// What became of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Ours, in TOML.
    pub toml: String,
    /// What was left out, in the order in which it was found; each stands in `toml` as a comment, too.
    pub left_out: Vec<Left>,
    /// What has to be done before it runs: files to make, names to register.
    pub to_do: Vec<String>,
}

/// One option that could not be translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its name, as its own documents write it.
    pub option: String,
    /// Where it stands.
    pub place: String,
    /// Why, and what to do instead.
    pub why: String,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { option, place, why } = self;
        if place.is_empty() { write!(f, "{option}: {why}") } else { write!(f, "{option} ({place}): {why}") }
    }
}

/// Why nothing could be translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file to read: its name, and what it holds.
#[derive(Copy, Clone, Debug)]
pub struct Source<'a> {
    /// As it was typed.
    pub name: &'a str,
    /// What it holds.
    pub text: &'a str,
}

/// Translates what oauth2-proxy was told, in one or several files; of an option that is there twice the later counts.
/// `url`: what people type, where no file says it.
pub fn oauth2_proxy(sources: &[Source<'_>], url: Option<&str>) -> Result<Migrated, Unreadable> {
    let mut settings = read::Settings::default();
    for source in sources {
        settings.read(*source)?;
    }
    if settings.is_empty() {
        return Err(Unreadable("no option of oauth2-proxy is in there".to_owned()));
    }
    let mut draft = Draft::new(&names(sources), "oauth2-proxy");
    oauth2::translate(&settings, url, &mut draft);
    Ok(draft.finished())
}

fn names(sources: &[Source<'_>]) -> String {
    // Of a path only the last part: where it lies on one machine is nobody's affair.
    let last = |source: &Source<'_>| source.name.rsplit('/').next().unwrap_or_default().to_owned();
    sources.iter().map(last).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;

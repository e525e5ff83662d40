//! What the comments of the shipped config say of each key.

use std::collections::BTreeMap;

const SAMPLE: &str = include_str!("../../../conf/portcullis.toml");

/// The comments, by table and key.
#[derive(Debug, Default)]
pub(super) struct Prose {
    tables: BTreeMap<String, String>,
    keys: BTreeMap<(String, String), String>,
}

impl Prose {
    /// Reads the shipped file: the comment above a key, or above several that follow each other, is about it; so is one that
    /// stands above a table. Both may be comments themselves.
    pub(super) fn of_the_sample() -> Self {
        let mut prose = Self::default();
        let (mut table, mut said, mut key_before) = (String::new(), String::new(), false);
        for line in SAMPLE.lines() {
            let (words, is_comment) = line.strip_prefix('#').map_or((line, false), |rest| (rest, true));
            let words = words.strip_prefix(' ').unwrap_or(words);
            if words.is_empty() {
                (said, key_before) = (String::new(), false);
            } else if let Some(place) = header(words) {
                table = kin(place);
                if !said.is_empty() {
                    prose.tables.entry(table.clone()).or_insert_with(|| std::mem::take(&mut said));
                }
                (said, key_before) = (String::new(), false);
            } else if let Some(key) = key(words) {
                if !said.is_empty() {
                    prose.keys.entry((table.clone(), key.to_owned())).or_insert_with(|| said.clone());
                }
                key_before = true;
            } else if is_comment && !words.starts_with(['{', '}', ']', '"']) {
                if key_before {
                    (said, key_before) = (String::new(), false);
                }
                if !said.is_empty() {
                    said.push(' ');
                }
                said.push_str(words.trim());
            }
        }
        prose
    }

    /// What is said of the table at that place.
    pub(super) fn of_table(&self, place: &str) -> Option<&str> {
        self.tables.get(place).map(String::as_str)
    }

    /// What is said of a key, or of the table under it; where nothing is, of the table that it stands in.
    pub(super) fn of_key(&self, place: &str, key: &str) -> Option<&str> {
        if let Some(said) = self.keys.get(&(place.to_owned(), key.to_owned())) {
            return Some(said);
        }
        if let Some(said) = self.of_table(&format!("{place}.{key}")) {
            return Some(said);
        }
        let parent = place.strip_suffix("[]").or_else(|| place.strip_suffix(".NAME")).unwrap_or(place);
        let (above, name) = parent.rsplit_once('.')?;
        self.of_table(place).or_else(|| self.of_key(above, name))
    }

    /// Every key that something is said of.
    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.keys().map(|(place, key)| (place.as_str(), key.as_str()))
    }
}

/// The place in `[place]`.
fn header(words: &str) -> Option<&str> {
    let place = words.strip_prefix('[')?.strip_suffix(']')?;
    place.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)).then_some(place)
}

/// The key in `key = …`.
fn key(words: &str) -> Option<&str> {
    let (key, _) = words.split_once(" = ")?;
    (!key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')).then_some(key)
}

/// The place with `NAME` for what the writer chose.
fn kin(place: &str) -> String {
    let mut parts: Vec<&str> = place.split('.').collect();
    if let [first, name, ..] = parts.as_mut_slice()
        && ["apps", "idps", "streams"].contains(first)
    {
        *name = "NAME";
    }
    parts.join(".")
}

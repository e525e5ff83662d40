//! What a config was read from, and what is different about another reading: keys, never values.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use zeroize::Zeroizing;

use super::files::{File, Files};
use super::{Config, Faults};

/// What one reading of the config began with.
#[derive(Clone, Default)]
pub struct Reading {
    path: PathBuf,
    text: String,
    table: Table,
    /// The files that it named, as they were then: should one become unreadable, what was in it still counts.
    files: BTreeMap<PathBuf, Held>,
}

impl fmt::Debug for Reading {
    /// The text may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("path", &self.path).field("files", &self.files.keys()).finish_non_exhaustive()
    }
}

/// What was in a file.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Held {
    bytes: Zeroizing<Vec<u8>>,
    exposed: bool,
}

impl Held {
    fn file(&self) -> File {
        File { bytes: self.bytes.clone(), exposed: self.exposed }
    }
}

impl From<&File> for Held {
    fn from(file: &File) -> Self {
        Self { bytes: file.bytes.clone(), exposed: file.exposed }
    }
}

/// One difference between two readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key in dotted form, `apps.wiki.allow.groups`.
    pub key: String,
    /// What is different about it.
    pub what: Difference,
}

/// What is different about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It was not there before.
    Added,
    /// It is there no longer.
    Removed,
    /// It says something else.
    Altered,
    /// It names the same file, and something else is in that.
    Content,
}

impl Difference {
    /// As people say it.
    pub const fn words(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Altered => "changed",
            Self::Content => "the file has new content",
        }
    }
}

impl Reading {
    pub(super) fn new(path: &Path, text: &str, files: BTreeMap<PathBuf, Held>) -> Self {
        // What was understood as a config is TOML.
        let table = text.parse().unwrap_or_default();
        Self { path: path.to_owned(), text: text.to_owned(), table, files }
    }

    /// The config's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it said.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The files that it names and that are others now, as `files` has them; and why one cannot be read, if it cannot.
    pub fn stale(&self, files: &dyn Files) -> (Rewritten, Vec<(PathBuf, io::Error)>) {
        let (mut fresh, mut unread) = (BTreeMap::new(), Vec::new());
        for (path, held) in &self.files {
            match files.read(path) {
                Ok(file) if Held::from(&file) == *held => {}
                Ok(file) => drop(fresh.insert(path.clone(), Held::from(&file))),
                Err(error) => unread.push((path.clone(), error)),
            }
        }
        (Rewritten(fresh), unread)
    }

    /// The same text, with what is in these files now and what was in all others then.
    pub fn again(&self, fresh: &Rewritten) -> Result<Config, Faults> {
        Config::parse(&self.text, &self.path, &Overlay { of: self, fresh })
    }

    /// The same, by the table of the config that names them: what stands in one has to fit together, like a certificate and
    /// its key.
    pub fn apart(&self, fresh: &Rewritten) -> BTreeMap<String, Rewritten> {
        let mut apart: BTreeMap<String, Rewritten> = BTreeMap::new();
        for (path, held) in &fresh.0 {
            let mut then = self.clone();
            then.files.insert(path.clone(), held.clone());
            for Change { key, .. } in self.changes(&then) {
                let table = key.rsplit_once('.').map_or("", |(table, _)| table);
                apart.entry(table.to_owned()).or_default().0.insert(path.clone(), held.clone());
            }
        }
        apart
    }

    /// What is different about `next`, in the order of its keys.
    pub fn changes(&self, next: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let walk = Walk { before: self, after: next };
        walk.tables("", &self.table, &next.table, &mut changes);
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        changes
    }
}

struct Walk<'a> {
    before: &'a Reading,
    after: &'a Reading,
}

impl Walk<'_> {
    fn tables(&self, at: &str, before: &Table, after: &Table, changes: &mut Vec<Change>) {
        let mut note = |key: String, what| changes.push(Change { key, what });
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            note(under(at, key), Difference::Removed);
        }
        for key in after.keys().filter(|key| !before.contains_key(*key)) {
            note(under(at, key), Difference::Added);
        }
        for (key, after) in after {
            if let Some(before) = before.get(key) {
                self.values(&under(at, key), before, after, changes);
            }
        }
    }

    fn values(&self, at: &str, before: &Value, after: &Value, changes: &mut Vec<Change>) {
        match (before, after) {
            (Value::Table(before), Value::Table(after)) => self.tables(at, before, after, changes),
            (Value::Array(before), Value::Array(after)) if before.len() == after.len() && are_tables(before) => {
                for (n, (before, after)) in before.iter().zip(after).enumerate() {
                    self.values(&format!("{at}[{n}]"), before, after, changes);
                }
            }
            _ if before != after => changes.push(Change { key: at.to_owned(), what: Difference::Altered }),
            _ if self.has_other_content(after) => {
                changes.push(Change { key: at.to_owned(), what: Difference::Content });
            }
            _ => {}
        }
    }

    /// Whether a file that this names holds something else than before.
    fn has_other_content(&self, value: &Value) -> bool {
        match value {
            Value::String(name) => {
                let path = self.after.path.parent().unwrap_or_else(|| Path::new("")).join(name);
                self.before.files.get(&path) != self.after.files.get(&path)
            }
            Value::Array(values) => values.iter().any(|value| self.has_other_content(value)),
            _ => false,
        }
    }
}

fn are_tables(values: &[Value]) -> bool {
    values.iter().all(Value::is_table)
}

fn under(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

/// Files that are others than those that were read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Rewritten(BTreeMap<PathBuf, Held>);

impl fmt::Debug for Rewritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rewritten").field(&self.0.keys()).finish()
    }
}

impl Rewritten {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, too.
    #[must_use]
    pub fn and(mut self, more: &Self) -> Self {
        self.0.extend(more.0.clone());
        self
    }
}

/// What is in the rewritten files now, and was in the others then.
struct Overlay<'a> {
    of: &'a Reading,
    fresh: &'a Rewritten,
}

impl Files for Overlay<'_> {
    fn read(&self, path: &Path) -> io::Result<File> {
        let held = self.fresh.0.get(path).or_else(|| self.of.files.get(path));
        held.map(Held::file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Reads files, and remembers what was in them.
pub(super) struct Recorder<'a> {
    from: &'a dyn Files,
    seen: RefCell<BTreeMap<PathBuf, Held>>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(from: &'a dyn Files) -> Self {
        Self { from, seen: RefCell::default() }
    }

    pub(super) fn into_seen(self) -> BTreeMap<PathBuf, Held> {
        self.seen.into_inner()
    }
}

impl Files for Recorder<'_> {
    fn read(&self, path: &Path) -> io::Result<File> {
        let file = self.from.read(path)?;
        self.seen.borrow_mut().insert(path.to_owned(), Held::from(&file));
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(text: &str) -> Held {
        Held { bytes: Zeroizing::new(text.as_bytes().to_vec()), exposed: false }
    }

    fn reading(text: &str, files: &[(&str, &str)]) -> Reading {
        let files = files.iter().map(|(path, text)| (PathBuf::from(path), held(text))).collect();
        Reading::new(Path::new("/etc/p/p.toml"), text, files)
    }

    #[test]
    fn what_is_different_is_named_by_its_key() {
        let before = r#"
            server = { listen = ["127.0.0.1:80"], tls = [{ listen = "127.0.0.1:443", cert_file = "a.pem" }] }
            keys.files = ["one.key", "two.key"]
            [apps.wiki]
            url = "https://wiki.example.com"
            allow = { groups = ["staff"] }
            [apps.mail]
            url = "https://mail.example.com""#;
        let files = [("/etc/p/a.pem", "a"), ("/etc/p/one.key", "1"), ("/etc/p/two.key", "2")];
        let other = |from: &str, to: &str| before.replace(from, to);
        let same = files.as_slice();
        for (name, text, files, expected) in [
            ("nothing", before.to_owned(), same, vec![]),
            ("a comment", format!("# so\n{before}"), same, vec![]),
            ("a value", other("\"staff\"", "\"staff\", \"hr\""), same, vec!["apps.wiki.allow.groups: changed"]),
            (
                "a key more",
                other("url = \"https://mail", "idp = 1\nurl = \"https://mail"),
                same,
                vec!["apps.mail.idp: added"],
            ),
            ("another name", other("apps.mail", "apps.post"), same, vec!["apps.mail: removed", "apps.post: added"]),
            ("an address", other(":443", ":444"), same, vec!["server.tls[0].listen: changed"]),
            (
                "a file",
                before.to_owned(),
                &[("/etc/p/a.pem", "a'"), files[1], files[2]],
                vec!["server.tls[0].cert_file: the file has new content"],
            ),
            (
                "a file of several",
                before.to_owned(),
                &[files[0], files[1], ("/etc/p/two.key", "2'")],
                vec!["keys.files: the file has new content"],
            ),
            (
                "another order",
                other("\"one.key\", \"two.key\"", "\"two.key\", \"one.key\""),
                same,
                vec!["keys.files: changed"],
            ),
        ] {
            let changes = reading(before, same).changes(&reading(&text, files));
            let told: Vec<_> = changes.iter().map(|c| format!("{}: {}", c.key, c.what.words())).collect();
            assert_eq!(told, expected, "{name}");
        }
    }

    #[test]
    fn files_that_have_to_fit_together_stay_together() {
        let text =
            "server.tls = [{ cert_file = \"a.pem\", key_file = \"a.key\" }]\nidps.corp.client_secret_file = \"corp\"";
        let of = reading(text, &[("/etc/p/a.pem", "1"), ("/etc/p/a.key", "1"), ("/etc/p/corp", "1")]);
        let now = ["a.pem", "a.key", "corp"].map(|name| (PathBuf::from("/etc/p").join(name), held("2")));
        let apart = of.apart(&Rewritten(now.into()));
        let told: Vec<_> = apart.iter().map(|(table, files)| (table.as_str(), files.0.len())).collect();
        assert_eq!(told, [("idps.corp", 1), ("server.tls[0]", 2)]);
    }

    #[test]
    fn a_reading_does_not_show_what_it_holds() {
        let shown = format!("{:?}", reading("client_secret = \"hush\"", &[("/etc/p/x", "hush")]));
        assert!(!shown.contains("hush") && shown.contains("/etc/p/x"), "{shown}");
    }
}

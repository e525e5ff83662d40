//! What is wrong with a config: everything at once, each with its line, its key and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line it stands on, counted from 1; `None` for what is not in the file at all.
    pub line: Option<usize>,
    /// The key in dotted form, `apps.wiki.upstreams[1]`; empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong, and what to write instead. Never the value of a secret.
    pub why: String,
}

/// All mistakes of one file, in the order of their lines. INVARIANT: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    file: PathBuf,
    list: Vec<Fault>,
}

impl Faults {
    /// The faults of `file`, put in order.
    pub(super) fn new(file: &Path, mut list: Vec<Fault>) -> Self {
        // What is missing as a whole comes last: it has no line.
        list.sort_by_key(|fault| fault.line.unwrap_or(usize::MAX));
        Self { file: file.to_owned(), list }
    }

    /// The one fault that the file as a whole has.
    pub(super) fn of_file(file: &Path, why: String) -> Self {
        Self { file: file.to_owned(), list: vec![Fault { line: None, key: String::new(), why }] }
    }

    /// Each fault, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one")]
    pub fn len(&self) -> usize {
        self.list.len()
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    /// One line per fault, in three columns: where, which key, why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |fault: &Fault| match fault.line {
            Some(line) => format!("{}:{line}", self.file.display()),
            None => self.file.display().to_string(),
        };
        let width = |of: &dyn Fn(&Fault) -> usize| self.list.iter().map(of).max().unwrap_or(0).min(MAX_COLUMN);
        let places = width(&|fault| place(fault).len());
        let keys = width(&|fault| fault.key.len());
        for (i, fault) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            if keys == 0 {
                write!(f, "{}  {}", place(fault), fault.why)?;
            } else {
                write!(f, "{:places$}  {:keys$}  {}", place(fault), fault.key, fault.why)?;
            }
        }
        Ok(())
    }
}

/// The word among `known` that somebody who wrote `written` most likely meant.
pub(super) fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = |word: &str| word.to_lowercase().replace('-', "_");
    let written = folded(written);
    // A third of the word may be wrong; in a short word one letter.
    let tolerated = (written.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (distance(&written, &folded(word)), word))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Insertions, deletions, replacements and swaps of neighbours that make `b` of `a` (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(MAX_WORD).collect(), b.chars().take(MAX_WORD).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&last, j) + usize::from(x != y)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && Some(y) == a.get(i - 1) && Some(x) == b.get(j.wrapping_sub(1)) && x != y;
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

/// Columns wider than this are not padded: one long key must not push all reasons off the screen.
const MAX_COLUMN: usize = 48;
/// Characters of a key that are compared: longer ones are nobody's slip.
const MAX_WORD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let known = ["corp", "partners", "idle", "max_age", "client_secret_file"];
        for (written, meant) in [
            ("crop", Some("corp")),
            ("corpp", Some("corp")),
            ("CORP", Some("corp")),
            ("max-age", Some("max_age")),
            ("maxage", Some("max_age")),
            ("client_secert_file", Some("client_secret_file")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(did_you_mean(written, known), meant, "`{written}`");
        }
    }

    #[test]
    fn faults_stand_in_columns_in_the_order_of_their_lines() {
        let fault = |line, key: &str, why: &str| Fault { line, key: key.into(), why: why.into() };
        let faults = Faults::new(
            Path::new("p.toml"),
            vec![fault(None, "keys", "c"), fault(Some(31), "apps.wiki.idp", "b"), fault(Some(4), "server", "a")],
        );
        let expected = "p.toml:4   server         a\np.toml:31  apps.wiki.idp  b\np.toml     keys           c";
        assert_eq!(faults.to_string(), expected);
    }
}

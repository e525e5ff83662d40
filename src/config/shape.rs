//! Which keys the config knows, and in which form each is read: found by letting the readers read, so that it cannot differ
//! from what they do.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::files::{File, Files};
use super::reader::Why;
use super::values::choices_in;

/// Every key, by the table that it stands in: `apps.NAME.rules[]` is any of the list `rules` of any app.
#[derive(Debug, Default)]
pub struct Shape {
    tables: BTreeMap<String, BTreeMap<String, Key>>,
}

/// How one key is read.
#[derive(Clone, Debug, Default)]
pub struct Key {
    /// Each form that it may have.
    pub forms: Vec<Form>,
    /// The file is faulty without it, wherever its table is.
    pub required: bool,
}

/// The form of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A text; one of these, if there are any.
    Text(Vec<String>),
    /// A list of such texts.
    Texts(Vec<String>),
    /// One such text or a list of them.
    TextOrTexts(Vec<String>),
    /// `true` or `false`.
    Flag,
    /// A whole number from the first to the second.
    Number(usize, usize),
    /// A table.
    Table,
    /// A list of tables.
    Tables,
    /// Tables with names of the writer's choice.
    Named,
    /// Keys of the writer's choice, each with a text or a table.
    Choices,
    /// Keys of the writer's choice, each with one text or a list.
    ByName,
}

impl Form {
    /// Of what `parse` reads.
    pub(super) fn text<T>(parse: impl Fn(&str) -> Result<T, Why>) -> Self {
        Self::Text(choices(parse))
    }

    /// Of a list of what `parse` reads.
    pub(super) fn texts<T>(parse: impl Fn(&str) -> Result<T, Why>) -> Self {
        Self::Texts(choices(parse))
    }

    /// Of one or many of what `parse` reads.
    pub(super) fn text_or_texts<T>(parse: impl Fn(&str) -> Result<T, Why>) -> Self {
        Self::TextOrTexts(choices(parse))
    }
}

/// The words that `parse` takes, if it takes no others: it names them when it is given none of them.
fn choices<T>(parse: impl Fn(&str) -> Result<T, Why>) -> Vec<String> {
    parse("\u{1}").err().map(|Why(why)| choices_in(&why)).unwrap_or_default()
}

impl Shape {
    pub(super) fn add(&mut self, table: &str, key: &str, form: Form) {
        let forms = &mut self.key(table, key).forms;
        if !forms.contains(&form) {
            forms.push(form);
        }
    }

    pub(super) fn require(&mut self, table: &str, key: &str) {
        self.key(table, key).required = true;
    }

    /// Takes in what another reading found.
    pub(super) fn join(&mut self, other: Self) {
        for (table, keys) in other.tables {
            for (name, key) in keys {
                key.forms.into_iter().for_each(|form| self.add(&table, &name, form));
                self.key(&table, &name).required |= key.required;
            }
        }
    }

    fn key(&mut self, table: &str, key: &str) -> &mut Key {
        self.tables.entry(table.to_owned()).or_default().entry(key.to_owned()).or_default()
    }

    /// The keys of the table at that place, by name.
    pub fn keys(&self, table: &str) -> impl Iterator<Item = (&str, &Key)> {
        self.tables.get(table).into_iter().flatten().map(|(name, key)| (name.as_str(), key))
    }

    /// Every table that has keys, by place. The file itself is `""`.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// Where the table under `key` of the table at `table` stands, if one may be there.
    pub fn below(table: &str, key: &str, form: &Form) -> Option<String> {
        let dot = if table.is_empty() { "" } else { "." };
        let which = match form {
            Form::Table => "",
            Form::Tables => "[]",
            Form::Named | Form::Choices => ".NAME",
            _ => return None,
        };
        Some(format!("{table}{dot}{key}{which}"))
    }
}

/// What readers are given to read: nothing, and each word on which it depends what else they look at.
pub(super) const TELLING: [&str; 7] = [
    "",
    "[fleet]\nengine = \"jetstream\"\n",
    "[fleet]\nengine = \"postgres\"\n",
    "[streams.a]\ndelivery = \"poll\"\n[idps.a.revalidate]\nevery = \"5m\"\nby = \"silent\"\n",
    "[streams.a]\npush_token = \"0123456789abcdef\"\nmanage = { token = \"0123456789abcdef\" }\n",
    "[streams.a]\nmanage = { client_secret = \"0123456789abcdef\" }\n",
    "[streams.a]\nmanage = { key_file = \"a\", key_id = \"a\" }\n",
];

/// A disk with no files.
pub(super) struct Nothing;

impl Files for Nothing {
    fn read(&self, _: &Path) -> io::Result<File> {
        Err(io::ErrorKind::NotFound.into())
    }
}

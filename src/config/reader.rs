//! Walks the parsed file and notes which keys were asked for, so that every mistake is found in one go and no key is
//! silently ignored.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) use super::context::{At, Context, Place, Why};
use super::faults::did_you_mean;
use super::shape::Form;
pub(super) use super::words::plain_name;
use super::words::{join, wrong_type};

/// One table of the file. Only made by [`read_root`], [`Reader::section`] and its kin, which report every key that
/// nobody asked for when the table has been read: it cannot be forgotten.
pub(super) struct Reader<'c> {
    context: &'c Context<'c>,
    /// `None` where the file has no such table: then every key is absent.
    table: Option<&'c DeTable<'c>>,
    /// Where the table stands.
    place: Place,
    /// Where tables like it stand: with `NAME` for what the writer chose, and `[]` for each of a list.
    kin: String,
    /// The table's place holds something else: that is fault enough, nothing in it is missing too.
    muted: bool,
    asked: RefCell<Vec<&'static str>>,
}

/// Reads the file's outermost table.
pub(super) fn read_root<'c, T>(
    context: &'c Context<'c>,
    table: &'c DeTable<'c>,
    read: impl FnOnce(&Reader<'c>) -> T,
) -> T {
    let place = Place { line: None, key: String::new() };
    Reader::over(context, Some(table), place, String::new(), false, read)
}

/// Reads a part of the file's outermost table; what else is in it counts for nothing.
pub(super) fn read_part<'c, T>(
    context: &'c Context<'c>,
    table: &'c DeTable<'c>,
    read: impl FnOnce(&Reader<'c>) -> T,
) -> T {
    let place = Place { line: None, key: String::new() };
    let kin = String::new();
    read(&Reader { context, table: Some(table), place, kin, muted: false, asked: RefCell::new(Vec::new()) })
}

impl<'c> Reader<'c> {
    fn over<T>(
        context: &'c Context<'c>,
        table: Option<&'c DeTable<'c>>,
        place: Place,
        kin: String,
        muted: bool,
        read: impl FnOnce(&Self) -> T,
    ) -> T {
        let reader = Self { context, table, place, kin, muted, asked: RefCell::new(Vec::new()) };
        let value = read(&reader);
        reader.report_unknown();
        value
    }

    /// What all readers share.
    pub(super) const fn context(&self) -> &'c Context<'c> {
        self.context
    }

    /// Whether the table has that key, whatever it holds.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.look(key).is_some() || self.context.has_all()
    }

    /// Whether the key holds a list with nothing in it.
    pub(super) fn is_empty_list(&self, key: &'static str) -> bool {
        matches!(self.look(key), Some((DeValue::Array(array), _)) if array.is_empty())
    }

    /// A text, parsed; `None` if it is absent or was a fault.
    pub(super) fn parse<T>(&self, key: &'static str, parse: impl Fn(&str) -> Result<T, Why>) -> Option<At<T>> {
        self.context.note(&self.kin, key, || Form::text(&parse));
        let (value, place) = self.look(key)?;
        self.parse_text(value, place, &parse)
    }

    /// A text, parsed, or `default`.
    pub(super) fn or<T>(&self, key: &'static str, parse: impl Fn(&str) -> Result<T, Why>, default: T) -> T {
        self.parse(key, parse).map_or(default, |at| at.value)
    }

    /// A text that must be there, parsed.
    pub(super) fn require<T>(&self, key: &'static str, parse: impl Fn(&str) -> Result<T, Why>) -> Option<At<T>> {
        self.context.note_required(&self.kin, key);
        if self.look(key).is_none() {
            self.fault(key, "it is missing");
        }
        self.parse(key, parse)
    }

    /// Notes a fault of `key`, there or missing. Not where the table itself is one already.
    pub(super) fn fault(&self, key: &str, why: &str) {
        if !self.muted {
            self.context.fault(&self.at(key), why);
        }
    }

    /// A list of texts, each parsed.
    pub(super) fn list<T>(&self, key: &'static str, parse: impl Fn(&str) -> Result<T, Why>) -> Vec<At<T>> {
        self.context.note(&self.kin, key, || Form::texts(&parse));
        match self.look(key) {
            None => Vec::new(),
            Some((DeValue::Array(array), place)) => self.each_of(array, &place, &parse),
            Some((other, place)) => {
                self.context.fault(&place, wrong_type("a list of texts, `[\"…\"]`", other));
                Vec::new()
            }
        }
    }

    /// One text or a list of them, each parsed.
    pub(super) fn one_or_many<T>(&self, key: &'static str, parse: impl Fn(&str) -> Result<T, Why>) -> Vec<At<T>> {
        self.context.note(&self.kin, key, || Form::text_or_texts(&parse));
        match self.look(key) {
            Some((DeValue::Array(array), place)) => self.each_of(array, &place, &parse),
            Some((value, place)) => self.parse_text(value, place, &parse).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// True or false.
    pub(super) fn flag(&self, key: &'static str, default: bool) -> bool {
        self.context.note(&self.kin, key, || Form::Flag);
        match self.look(key) {
            None => default,
            Some((DeValue::Boolean(value), _)) => *value,
            Some((other, place)) => {
                self.context.fault(&place, wrong_type("`true` or `false`", other));
                default
            }
        }
    }

    /// A whole number within `bounds`.
    pub(super) fn number(&self, key: &'static str, bounds: std::ops::RangeInclusive<usize>) -> Option<usize> {
        self.context.note(&self.kin, key, || Form::Number(*bounds.start(), *bounds.end()));
        let (value, place) = self.look(key)?;
        let DeValue::Integer(number) = value else {
            self.context.fault(&place, wrong_type("a whole number", value));
            return None;
        };
        let parsed = usize::from_str_radix(number.as_str(), number.radix()).ok().filter(|n| bounds.contains(n));
        if parsed.is_none() {
            self.context.fault(&place, format!("it must be between {} and {}", bounds.start(), bounds.end()));
        }
        parsed
    }

    /// The table under `key`; an absent one reads as empty.
    pub(super) fn section<T>(&self, key: &'static str, read: impl FnOnce(&Self) -> T) -> T {
        let kin = self.kin_of(key, "");
        self.context.note(&self.kin, key, || Form::Table);
        match self.look(key) {
            None => Self::over(self.context, None, self.at(key), kin, self.muted, read),
            Some((DeValue::Table(table), place)) => Self::over(self.context, Some(table), place, kin, false, read),
            Some((other, place)) => {
                self.context.fault(&place, wrong_type("a table", other));
                Self::over(self.context, None, place, kin, true, read)
            }
        }
    }

    /// Every table in the list under `key`.
    pub(super) fn tables<T>(&self, key: &'static str, mut read: impl FnMut(&Self) -> Option<T>) -> Vec<T> {
        let expected = "a list of tables, `[{ … }]`";
        let kin = self.kin_of(key, "[]");
        self.context.note(&self.kin, key, || Form::Tables);
        self.as_if(&kin, &mut read);
        let Some((value, place)) = self.look(key) else { return Vec::new() };
        let DeValue::Array(array) = value else {
            self.context.fault(&place, wrong_type(expected, value));
            return Vec::new();
        };
        let mut found = Vec::new();
        for (i, item) in array.iter().enumerate() {
            let place = Place { line: Some(self.context.line(item.span().start)), key: format!("{}[{i}]", place.key) };
            match item.get_ref() {
                DeValue::Table(table) => {
                    found.extend(Self::over(self.context, Some(table), place, kin.clone(), false, &mut read));
                }
                other => self.context.fault(&place, wrong_type(expected, other)),
            }
        }
        found
    }

    /// Every named table under `key`, `[apps.NAME]`, in the order of the file.
    pub(super) fn named<T>(
        &self,
        key: &'static str,
        mut read: impl FnMut(&str, &Self) -> Option<T>,
    ) -> Vec<At<(String, Option<T>)>> {
        let kin = self.kin_of(key, ".NAME");
        self.context.note(&self.kin, key, || Form::Named);
        self.as_if(&kin, |reader| read(NAME, reader));
        let mut found = Vec::new();
        for (name, value, place) in self.free_keys(key) {
            if let Err(why) = plain_name(name) {
                self.context.fault(&place, why);
            }
            let read = |reader: &Self| read(name, reader);
            let value = match value {
                DeValue::Table(table) => Self::over(self.context, Some(table), place.clone(), kin.clone(), false, read),
                other => {
                    self.context.fault(&place, wrong_type(&format!("a table, `[{key}.NAME]`"), other));
                    Self::over(self.context, None, place.clone(), kin.clone(), true, read)
                }
            };
            found.push(At { value: (name.to_owned(), value), place });
        }
        found
    }

    /// A table with keys of the writer's choice, each with one text or with a table.
    pub(super) fn choices<T>(
        &self,
        key: &'static str,
        mut text: impl FnMut(&str, &str) -> Result<T, Why>,
        mut table: impl FnMut(&str, &Self) -> Result<T, Why>,
    ) -> Vec<T> {
        let kin = self.kin_of(key, ".NAME");
        self.context.note(&self.kin, key, || Form::Choices);
        self.as_if(&kin, |reader| table(NAME, reader));
        let mut found = Vec::new();
        for (name, value, place) in self.free_keys(key) {
            let read = match value {
                DeValue::String(word) => text(name, word),
                DeValue::Table(keys) => {
                    let read = |reader: &Self| table(name, reader);
                    Self::over(self.context, Some(keys), place.clone(), kin.clone(), false, read)
                }
                other => Err(Why(wrong_type("a text, or a table", other))),
            };
            match read {
                Ok(value) => found.push(value),
                Err(why) => self.context.fault(&place, why),
            }
        }
        found
    }

    /// A table with keys of the writer's choice, each with one text or several.
    pub(super) fn texts_by_name(&self, key: &'static str) -> Vec<(String, Vec<String>)> {
        self.by_name(key, |_| Ok(()), |text| Ok(text.to_owned()))
    }

    /// A table with keys that `known` must let pass, each with one text or several, each parsed.
    pub(super) fn by_name<T>(
        &self,
        key: &'static str,
        known: impl Fn(&str) -> Result<(), Why>,
        parse: impl Fn(&str) -> Result<T, Why>,
    ) -> Vec<(String, Vec<T>)> {
        self.context.note(&self.kin, key, || Form::ByName);
        let mut found = Vec::new();
        for (name, value, place) in self.free_keys(key) {
            if let Err(Why(why)) = known(name) {
                self.context.fault(&place, why);
            }
            let texts = match value {
                DeValue::Array(array) => self.each_of(array, &place, &parse),
                value => self.parse_text(value, place.clone(), &parse).into_iter().collect(),
            };
            if matches!(value, DeValue::Array(array) if array.is_empty()) {
                self.context.fault(&place, "the list is empty: nobody could satisfy it");
            }
            found.push((name.to_owned(), texts.into_iter().map(|at| at.value).collect()));
        }
        found
    }

    /// Where tables like the one under `key` stand.
    fn kin_of(&self, key: &str, which: &str) -> String {
        let dot = if self.kin.is_empty() { "" } else { "." };
        format!("{}{dot}{key}{which}", self.kin)
    }

    /// Has a table read as if the file had one, where somebody wants to know which keys it may have.
    fn as_if<T>(&self, kin: &str, read: impl FnOnce(&Self) -> T) {
        if self.context.records() {
            Self::over(self.context, None, self.place.clone(), kin.to_owned(), true, read);
        }
    }

    /// The entries of the table under `key`, in the order of the file.
    fn free_keys(&self, key: &'static str) -> Vec<(&'c str, &'c DeValue<'c>, Place)> {
        let Some((value, place)) = self.look(key) else { return Vec::new() };
        let DeValue::Table(table) = value else {
            self.context.fault(&place, wrong_type("a table", value));
            return Vec::new();
        };
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        entries
            .into_iter()
            .map(|(name, value)| {
                let line = Some(self.context.line(name.span().start));
                let name = name.get_ref().as_ref();
                (name, value.get_ref(), Place { line, key: format!("{}.{name}", place.key) })
            })
            .collect()
    }

    /// The value under `key`, and its place; the key counts as known from now on.
    fn look(&self, key: &'static str) -> Option<(&'c DeValue<'c>, Place)> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        let value = self.table?.get(key)?;
        Some((value.get_ref(), self.at(key)))
    }

    /// The place that `key` has, or would have, in this table.
    pub(super) fn at(&self, key: &str) -> Place {
        let line = self.table.and_then(|table| table.get_key_value(key)).map(|(name, _)| name.span().start);
        let line = line.map_or(self.place.line, |start| Some(self.context.line(start)));
        let dot = if self.place.key.is_empty() { "" } else { "." };
        Place { line, key: format!("{}{dot}{key}", self.place.key) }
    }

    fn parse_text<T>(
        &self,
        value: &DeValue<'_>,
        place: Place,
        parse: &impl Fn(&str) -> Result<T, Why>,
    ) -> Option<At<T>> {
        let DeValue::String(text) = value else {
            self.context.fault(&place, wrong_type("a text, `\"…\"`", value));
            return None;
        };
        match parse(text) {
            Ok(value) => Some(At { value, place }),
            Err(why) => {
                self.context.fault(&place, why);
                None
            }
        }
    }

    fn each_of<T>(
        &self,
        array: &toml::de::DeArray<'_>,
        place: &Place,
        parse: &impl Fn(&str) -> Result<T, Why>,
    ) -> Vec<At<T>> {
        let place = |i: usize, item: &Spanned<DeValue<'_>>| Place {
            line: Some(self.context.line(item.span().start)),
            key: format!("{}[{i}]", place.key),
        };
        array
            .iter()
            .enumerate()
            .filter_map(|(i, item)| self.parse_text(item.get_ref(), place(i, item), parse))
            .collect()
    }

    fn report_unknown(&self) {
        let asked = self.asked.borrow();
        let mut unknown: Vec<_> = self.table.iter().flat_map(|table| table.iter()).map(|(name, _)| name).collect();
        unknown.retain(|name| !asked.iter().any(|key| *key == name.get_ref().as_ref()));
        for name in unknown {
            let word = name.get_ref().as_ref();
            let why = if NOT_YET.contains(&word) {
                format!("`{word}` is not in this version")
            } else if let Some(meant) = did_you_mean(word, asked.iter().copied()) {
                format!("there is no key `{word}` here; did you mean `{meant}`?")
            } else {
                format!("there is no key `{word}` here; known are {}", join(&asked))
            };
            self.context.fault(&self.at(word), why);
        }
    }
}

/// What a table is called that is read as if the file had it.
const NAME: &str = "NAME";
/// Keys that the design knows and this version does not.
const NOT_YET: [&str; 2] = ["derived", "logout_paths"];

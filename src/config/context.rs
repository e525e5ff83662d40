//! What all readers of one file share: where things stand, what they name, and what is wrong with them.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::faults::Fault;
use super::files::Files;
use super::shape::{Form, Shape};

/// Why a value cannot be used, in words for people.
#[derive(Debug)]
pub(super) struct Why(pub(super) String);

impl<T: Into<String>> From<T> for Why {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Where something stands in the file.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The line, counted from 1.
    pub(super) line: Option<usize>,
    /// The dotted key.
    pub(super) key: String,
}

/// A value and where it stands, for checks that compare several.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// What all readers of one file share.
pub(super) struct Context<'a> {
    /// Where named files come from.
    pub(super) files: &'a dyn Files,
    /// What relative paths start from.
    base: &'a Path,
    /// Offset of the first byte of each line.
    line_starts: Vec<usize>,
    faults: RefCell<Vec<Fault>>,
    /// Which keys were asked for, and in which form; `None` where nobody wants to know.
    shape: Option<RefCell<Shape>>,
    /// Whether a file that is only read for its shape has every key.
    has_all: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(text: &str, base: &'a Path, files: &'a dyn Files) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { files, base, line_starts, faults: RefCell::new(Vec::new()), shape: None, has_all: false }
    }

    /// The same, and it notes every key that is asked for, whether the file has it or not. With `has_all` readers are told
    /// that it has.
    pub(super) fn recording(text: &str, base: &'a Path, files: &'a dyn Files, has_all: bool) -> Self {
        Self { shape: Some(RefCell::default()), has_all, ..Self::new(text, base, files) }
    }

    /// Whether readers are told that the file has every key.
    pub(super) const fn has_all(&self) -> bool {
        self.has_all
    }

    /// Whether keys are noted.
    pub(super) const fn records(&self) -> bool {
        self.shape.is_some()
    }

    /// Notes that `key` of the table at `table` is read in that form.
    pub(super) fn note(&self, table: &str, key: &str, form: impl FnOnce() -> Form) {
        if let Some(shape) = &self.shape {
            shape.borrow_mut().add(table, key, form());
        }
    }

    /// Notes that `key` of the table at `table` must be there.
    pub(super) fn note_required(&self, table: &str, key: &str) {
        if let Some(shape) = &self.shape {
            shape.borrow_mut().require(table, key);
        }
    }

    /// Every key that was noted.
    pub(super) fn into_shape(self) -> Shape {
        self.shape.map(RefCell::into_inner).unwrap_or_default()
    }

    /// The line that holds that byte.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Notes a fault.
    pub(super) fn fault(&self, place: &Place, why: impl Into<Why>) {
        let Why(why) = why.into();
        self.faults.borrow_mut().push(Fault { line: place.line, key: place.key.clone(), why });
    }

    /// The path that `text` names, seen from the config's directory.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    /// Everything that was noted.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }
}

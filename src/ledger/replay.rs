//! What is in the ledger's file when the gateway starts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::OpenError;
use super::embedded::checksum;
use super::file::unusable;
use super::membership::{self, Membership};
use super::shelf::{self, Shelf};
use crate::revocation::{Fact, Unreadable, decode};

/// Records that a replay holds at once.
const CHUNK: usize = 1_000;

/// The records of a ledger, in the order in which they were appended, read a thousand at a time.
///
/// It ends with the first that can not be read: that may be a revocation, and a gateway that does not know it must not
/// start.
#[derive(Debug)]
pub struct Replay {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) is_new: bool,
    /// Records up to this number were read.
    pub(super) next: i64,
    /// The newest record when the replay began.
    pub(super) last: i64,
    /// What was read and not yet given out.
    pub(super) chunk: Records,
}

/// Some records that were read, to be understood one by one, in any thread.
#[derive(Debug)]
pub struct Records {
    pub(super) path: Arc<Path>,
    pub(super) rows: std::vec::IntoIter<(i64, Vec<u8>, i64)>,
}

impl Records {
    /// How many are left.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True if none are left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Iterator for Records {
    type Item = Result<Fact, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (seq, record, sum) = self.rows.next()?;
        let readable = if checksum(&record) == sum { decode(&record) } else { Err(Unreadable::Damaged) };
        Some(readable.map_err(|why| OpenError::Record { path: self.path.to_path_buf(), seq, why }))
    }
}

impl Replay {
    /// True if the file was made just now: the first start, or somebody took the ledger away and with it all that was
    /// in force.
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Everything on a shelf, by key.
    pub fn notes(&self, shelf: Shelf) -> Result<Vec<(String, String)>, OpenError> {
        shelf::read(&self.connection, shelf).map_err(|e| unusable(&self.path, e))
    }

    /// Who this gateway is among others, and up to where it has heard them.
    pub fn membership(&self) -> Result<Membership, OpenError> {
        membership::read(&self.connection).map_err(|e| unusable(&self.path, e))
    }

    /// The next records, many at once; `None` after the last. In place of the iterator, not beside it.
    pub fn records(&mut self) -> Result<Option<Records>, OpenError> {
        if self.next < self.last {
            self.read().map_err(|error| unusable(&self.path, error))?;
        }
        let empty = Records { path: Arc::clone(&self.chunk.path), rows: Vec::new().into_iter() };
        Ok(Some(std::mem::replace(&mut self.chunk, empty)).filter(|records| !records.is_empty()))
    }

    fn read(&mut self) -> rusqlite::Result<()> {
        let mut select = self.connection.prepare(
            "SELECT seq, record, checksum FROM revocations WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
        )?;
        let limit = i64::try_from(CHUNK).unwrap_or(i64::MAX);
        let rows =
            select.query_map([self.next, self.last, limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let chunk: Vec<_> = rows.collect::<Result<_, _>>()?;
        drop(select);
        self.next = chunk.last().map_or(self.last, |(seq, ..)| *seq);
        self.chunk.rows = chunk.into_iter();
        Ok(())
    }

    /// Nothing comes after `error`.
    fn end(&mut self, error: OpenError) -> OpenError {
        self.next = self.last;
        self.chunk.rows = Vec::new().into_iter();
        error
    }
}

impl Iterator for Replay {
    type Item = Result<Fact, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.is_empty()
            && self.next < self.last
            && let Err(error) = self.read()
        {
            let error = unusable(&self.path, error);
            return Some(Err(self.end(error)));
        }
        let next = self.chunk.next()?;
        Some(next.map_err(|error| self.end(error)))
    }
}

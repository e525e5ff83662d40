//! A file of SQLite's that is ours: told from others, kept for ourselves, and durable.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{AppendError, Failure, OpenError};

/// How long a write waits for somebody who looks at the file with a tool of their own.
const PATIENCE: Duration = Duration::from_secs(5);
/// What SQLite may keep of the file in memory, in KiB: of millions of revocations, in which each new one is looked up by its
/// checksum, the index fits. What a small file does not need is not taken.
const CACHE: i64 = 64 * 1_024;
/// Pages of the log after which it is written back into the file: with fewer, a gateway that hears a million facts would
/// write the same pages of that index again and again.
const LOG: i64 = 10_000;
/// Only the owner: the file names people.
const OWNER_ONLY: u32 = 0o600;

/// What marks a file as ours.
#[derive(Copy, Clone, Debug)]
pub(super) struct Mark {
    /// Which of our files it is.
    pub(super) application: i64,
    /// Its newest layout. A change of it is a new number, and code that brings the older ones up.
    pub(super) layout: i64,
}

/// Keeps every other gateway away from the file at `path` until the lock is dropped or the process is gone.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = OsString::from(path);
    name.push(".lock");
    let file = open_for_owner(Path::new(&name)).map_err(|e| unreachable_file(path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(unreachable_file(path, error)),
    }
}

/// Makes the file if it is not there, and makes sure that only its owner reads it. Whatever SQLite puts beside it gets
/// the same mode.
pub(super) fn create(path: &Path) -> Result<(), OpenError> {
    // Opened and closed before SQLite has it: closing a file later would drop the locks that SQLite holds on it.
    let file = open_for_owner(path).map_err(|e| unreachable_file(path, e))?;
    file.set_permissions(Permissions::from_mode(OWNER_ONLY)).map_err(|e| unreachable_file(path, e))
}

fn open_for_owner(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(OWNER_ONLY).open(path)
}

pub(super) fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// Tells our file, of a layout that we know, from everything else, before anything is changed in it. True for an empty
/// file, which becomes ours.
pub(super) fn recognise(connection: &Connection, path: &Path, mark: Mark) -> Result<bool, OpenError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables = || connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    let read = || -> rusqlite::Result<_> { Ok((pragma("application_id")?, pragma("user_version")?, tables()?)) };
    match read().map_err(|e| unusable(path, e))? {
        (0, 0, 0) => Ok(true),
        (application, layout, _) if application == mark.application && layout > mark.layout => {
            Err(OpenError::Newer { path: path.to_owned(), layout })
        }
        (application, 1.., _) if application == mark.application => Ok(false),
        _ => Err(OpenError::NotALedger(path.to_owned())),
    }
}

/// Whatever is committed survives the loss of power.
pub(super) fn make_durable(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", LOG, |row| row.get::<_, i64>(0))?;
    // Negative: in KiB, not in pages.
    connection.pragma_update(None, "cache_size", -CACHE)
}

/// Makes an empty file ours.
pub(super) fn become_ours(connection: &mut Connection, mark: Mark, schema: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(schema)?;
    transaction.pragma_update(None, "application_id", mark.application)?;
    transaction.pragma_update(None, "user_version", mark.layout)?;
    transaction.commit()
}

/// What an error of the file system means to whoever starts the gateway.
fn unreachable_file(path: &Path, error: io::Error) -> OpenError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => OpenError::NoDirectory(path),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::IsADirectory => {
            OpenError::NotWritable(path)
        }
        _ => OpenError::Storage { path, source: Failure::System(error) },
    }
}

/// What an error of the database means to whoever starts the gateway.
pub(super) fn unusable(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            OpenError::Damaged { path, found: error.to_string() }
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => OpenError::NotWritable(path),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse(path),
        _ => OpenError::Storage { path, source: Failure::Database(error) },
    }
}

pub(super) fn not_durable(error: rusqlite::Error) -> AppendError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => AppendError::Full,
        _ => AppendError::Storage(Arc::new(error)),
    }
}

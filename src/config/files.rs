//! The files that a config names, and who else may read them.

use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::{fmt, fs};

use zeroize::Zeroizing;

/// Where the files that a config names come from: the disk, or a test.
pub trait Files {
    /// The file at `path`, at most 1 MiB of it.
    fn read(&self, path: &Path) -> io::Result<File>;
}

/// A file's content, wiped from memory after use: it may be a secret.
pub struct File {
    /// What it holds.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Whether its group may write it, or others may read, write or run it.
    pub exposed: bool,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({} bytes)", self.bytes.len())
    }
}

/// The file system.
#[derive(Copy, Clone, Debug)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<File> {
        // Before it is opened: opening a pipe would wait for a writer.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
        }
        let mut file = fs::File::open(path)?;
        // Asked of the open file, so that it is the one that is read.
        let metadata = file.metadata()?;
        if metadata.len() > MAX_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        file.by_ref().take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(File { bytes, exposed: metadata.mode() & 0o027 != 0 })
    }
}

/// The largest file that a config names: a bundle of all public authorities has a quarter of it.
const MAX_FILE: u64 = 1 << 20;

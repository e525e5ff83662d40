//! What the tests of the fleet stand on: servers that they start, kill, pause and start again, and a patient look.

#[path = "../../gateway/harness/dice.rs"]
pub(crate) mod dice;
pub(crate) mod gateways;
pub(crate) mod nats;
pub(crate) mod nkeys;
pub(crate) mod patient;
pub(crate) mod gate;
pub(crate) mod postgres;
pub(crate) mod stage;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) use self::patient::Patient;
pub(crate) use self::stage::Stage;

/// How long anything may take that has to happen: a machine may be slow, a promise that is kept is kept sooner.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// What `future` yields; fails with a sentence if it never does.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {PATIENCE:?} for this, and it did not happen: {what}"),
    }
}

/// Looks until `look` has found something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let looks = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    soon(what, looks).await
}

/// A directory that goes when this does.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A new, empty one, in which other users cannot look.
    pub(crate) fn new(what: &str) -> Self {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("portcullis-{what}-{}-{}", std::process::id(), next_number()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).expect("a scratch directory");
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it with this content, which nobody else can read.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A loopback address that no other test has, so that ports on it are ours.
pub(crate) fn own_address() -> String {
    let (process, number) = (std::process::id(), next_number());
    format!("127.{}.{}.{}", 1 + process % 250, process / 250 % 250, 1 + number % 250)
}

/// Sends a process that we started a signal: `STOP`, `CONT`, `KILL`.
pub(crate) fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), process.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "signal {name} could not be sent");
}

fn next_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

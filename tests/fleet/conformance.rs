//! What every engine must do, written against [`Engine`] alone and run for each: with one server and with three.

use portcullis::fleet::{Engine, Letter, Position, To};

use super::harness::{Stage, soon};

/// A letter for everyone.
fn letter(id: &str) -> Letter {
    Letter { id: id.to_owned(), to: To::Everyone, body: id.as_bytes().to_vec() }
}

/// What is appended is in the log, and the log says so.
pub(crate) async fn what_is_appended_is_there(stage: &dyn Stage) {
    let engine = stage.engine().await;
    let before = engine.open().await.expect("it opens");
    assert_eq!(before.last, Position(0), "a new log is empty");
    soon("letters are appended", engine.append(&[letter("a"), letter("b")])).await.expect("they are kept");
    let after = engine.open().await.expect("it opens");
    assert_eq!(after.epoch, before.epoch, "it is the same log");
    assert!(after.last >= Position(2), "{after:?}");
}

/// Makes a test of each promise; `$stage` is an expression that makes an `impl Stage` with `.await`.
macro_rules! conformance {
    ($stage:expr; $($promise:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let stage = $stage.await;
            $crate::conformance::$promise(&stage).await;
        }
    )*};
    ($stage:expr) => {
        $crate::conformance::conformance! { $stage;
            what_is_appended_is_there,
        }
    };
}
pub(crate) use conformance;

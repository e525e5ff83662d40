//! An engine's servers, as the conformance suite needs them.

use std::time::Duration;

use async_trait::async_trait;
use portcullis::fleet::Engine;

/// Real servers with one log, and gateways that use it.
#[async_trait]
pub(crate) trait Stage: Send + Sync {
    /// Another gateway's engine on the same log, not yet opened. Each has connections of its own.
    async fn engine(&self) -> Box<dyn Engine>;

    /// How many servers keep what is appended. Of three, any one may die and the rest go on.
    fn servers(&self) -> usize;

    /// Kills a server as `kill -9` does.
    fn kill(&self, server: usize);

    /// Starts a killed server again on what it has on disk; returns when it serves.
    async fn start(&self, server: usize);

    /// Stops a server as SIGSTOP does: it is there and says nothing.
    fn pause(&self, server: usize);

    /// Lets it go on.
    fn resume(&self, server: usize);

    /// Deletes the log, as somebody who should not have done it.
    async fn delete_log(&self);

    /// Where each server is reached.
    fn addresses(&self) -> Vec<(String, u16)>;

    /// The table `[fleet]` of a gateway that reaches them there.
    fn fleet(&self, addresses: &[(String, u16)]) -> String;

    /// By when every call must have ended: the engines' own deadline.
    fn deadline(&self) -> Duration;

    /// How long a watch may be silent while letters are there, until it ends with an error.
    fn deaf_at_most(&self) -> Duration;
}

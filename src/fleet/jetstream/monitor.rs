//! Asks the servers' monitoring addresses whether what is acknowledged is on the disk: no client can see that.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use http::Request;
use serde::Deserialize;
use tracing::warn;

use super::Jetstream;
use crate::fleet::Trouble;

/// What `/varz` says of JetStream.
#[derive(Debug, Default, Deserialize)]
struct Varz {
    #[serde(default)]
    jetstream: JetstreamVarz,
}

#[derive(Debug, Default, Deserialize)]
struct JetstreamVarz {
    /// `None` where JetStream is not enabled: that server keeps nothing.
    #[serde(default)]
    config: Option<JetstreamConfig>,
}

#[derive(Debug, Default, Deserialize)]
struct JetstreamConfig {
    /// `sync_interval: always`. It is left out where it is false.
    #[serde(default)]
    sync_always: bool,
}

impl Jetstream {
    /// Refuses servers that acknowledge what is not on their disks. Says once if nobody could be asked.
    pub(super) async fn check_servers(&self) -> Result<(), Trouble> {
        if self.settings.allow.lazy_sync {
            return Ok(());
        }
        let answers =
            join_all(self.settings.monitoring.iter().map(|at| async move { (at, self.is_lazy(at).await) })).await;
        if let Some((at, _)) = answers.iter().find(|(_, lazy)| *lazy == Some(true)) {
            return Err(Trouble::Unfit {
                what: format!("the NATS server at `{at}` acknowledges letters before they are on its disk"),
                remedy: "set `sync_interval: always` in its `jetstream` block, or allow = [\"lazy_sync\"]".to_owned(),
            });
        }
        let unasked = answers.is_empty() || answers.iter().any(|(_, lazy)| lazy.is_none());
        if unasked && !self.said_unchecked.swap(true, Ordering::Relaxed) {
            warn!(
                asked = answers.len(),
                "it was not checked whether every NATS server has `sync_interval: always`: without it they lose what \
                 they acknowledged when the power fails; name their monitoring addresses in `monitoring`"
            );
        }
        Ok(())
    }

    /// Whether the server at that address does so; `None` if it does not say.
    async fn is_lazy(&self, at: &str) -> Option<bool> {
        let url = format!("{}/varz", at.trim_end_matches('/'));
        let request = Request::get(url).body(Vec::new()).ok()?;
        // Half of the time, so that one that does not answer never keeps the stream from being opened.
        let answer = self.http.send_within(request, LARGEST_ANSWER, self.settings.deadline / 2).await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        parse(answer.body())
    }
}

fn parse(body: &[u8]) -> Option<bool> {
    let varz: Varz = serde_json::from_slice(body).ok()?;
    Some(varz.jetstream.config.is_some_and(|config| !config.sync_always))
}

/// Bytes of an answer that are read: it lists routes and subjects, thousands of lines in a large cluster.
const LARGEST_ANSWER: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_whether_it_flushes() {
        for (body, expected) in [
            (r#"{"jetstream":{"config":{"sync_interval":120000000000,"sync_always":true}}}"#, Some(false)),
            (r#"{"jetstream":{"config":{"sync_interval":120000000000}}}"#, Some(true)),
            (r#"{"jetstream":{}}"#, Some(false)),
            ("{}", Some(false)),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(parse(body.as_bytes()), expected, "{body}");
        }
    }
}

//! What the toys send: pushed SETs and logout tokens, each a POST whose answer is reported as it came.

use anyhow::Context;
use serde::Serialize;

use super::PATIENCE;
use crate::secret::Secret;
use crate::time::Stopwatch;

/// What the sender saw of one delivery.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// Where it went.
    pub url: String,
    /// The answer's status; `None` if there was no answer.
    pub status: Option<u16>,
    /// The answer's body, or what went wrong.
    pub answer: String,
    /// How often it was sent.
    pub attempts: u32,
    /// How long the last attempt took, from sending to the answer, in milliseconds.
    pub milliseconds: f64,
}

impl Delivery {
    /// True if the receiver took it.
    pub fn accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// True if sending the same again may help: no answer, an overload, an error of the receiver's own.
    const fn may_be_repeated(&self) -> bool {
        matches!(self.status, None | Some(429 | 500..=599))
    }
}

/// The toys' HTTP client: no redirects, a few seconds of patience.
#[derive(Clone, Debug)]
pub(super) struct Outbound(reqwest::Client);

impl Outbound {
    pub(super) fn new() -> anyhow::Result<Self> {
        // An error means that a provider is installed already, which is as well.
        let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .context("the HTTP client cannot start")?;
        Ok(Self(client))
    }

    /// Sends `body`, up to [`ATTEMPTS`] times while the receiver cannot take it.
    pub(super) async fn post(
        &self,
        url: &str,
        content_type: &str,
        authorization: Option<&Secret<String>>,
        body: &str,
    ) -> Delivery {
        let mut attempts = 1;
        loop {
            let mut delivery = self.attempt(url, content_type, authorization, body).await;
            delivery.attempts = attempts;
            if attempts == ATTEMPTS || !delivery.may_be_repeated() {
                return delivery;
            }
            tokio::time::sleep(PAUSE * attempts).await;
            attempts += 1;
        }
    }

    async fn attempt(
        &self,
        url: &str,
        content_type: &str,
        authorization: Option<&Secret<String>>,
        body: &str,
    ) -> Delivery {
        let mut request = self
            .0
            .post(url)
            .header("content-type", content_type)
            .header("accept", "application/json")
            .body(body.to_owned());
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization.expose());
        }
        let stopwatch = Stopwatch::start();
        let (status, answer) = match request.send().await {
            Ok(response) => (Some(response.status().as_u16()), response.text().await.unwrap_or_default()),
            Err(error) if error.is_timeout() => (None, "no answer in time".to_owned()),
            Err(_) => (None, "no connection".to_owned()),
        };
        let milliseconds = stopwatch.elapsed().as_secs_f64() * 1000.0;
        Delivery { url: url.to_owned(), status, answer, attempts: 1, milliseconds }
    }
}

/// How often a delivery is tried.
const ATTEMPTS: u32 = 3;

/// The pause after the first attempt; each further one is longer by as much.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

//! What the toys send: pushed SETs and logout tokens, each a POST whose answer is reported as it came.

use std::time::Duration;

use anyhow::Context;
use axum::http::{Error, HeaderValue, Request, header};
use serde::Serialize;

use crate::http::{Client, Settings};
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

/// The toys' way out: plain HTTP to this machine.
#[derive(Clone, Debug)]
pub(super) struct Outbound(Client);

impl Outbound {
    pub(super) fn new() -> anyhow::Result<Self> {
        Client::for_this_machine(&Settings::default()).map(Self).context("the HTTP client cannot start")
    }

    /// Sends `body`, up to [`ATTEMPTS`] times while the receiver cannot take it.
    pub(super) async fn post(
        &self,
        url: &str,
        content_type: &'static str,
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
        content_type: &'static str,
        authorization: Option<&Secret<String>>,
        body: &str,
    ) -> Delivery {
        let stopwatch = Stopwatch::start();
        let (status, answer) = match request(url, content_type, authorization, body) {
            Err(why) => (None, why.to_string()),
            Ok(request) => match self.0.send(request, MAX_ANSWER).await {
                Ok(response) => {
                    (Some(response.status().as_u16()), String::from_utf8_lossy(response.body()).into_owned())
                }
                Err(why) => (None, why.to_string()),
            },
        };
        let milliseconds = stopwatch.elapsed().as_secs_f64() * 1000.0;
        Delivery { url: url.to_owned(), status, answer, attempts: 1, milliseconds }
    }
}

fn request(
    url: &str,
    content_type: &'static str,
    authorization: Option<&Secret<String>>,
    body: &str,
) -> Result<Request<Vec<u8>>, Error> {
    let mut request =
        Request::post(url).header(header::CONTENT_TYPE, content_type).header(header::ACCEPT, "application/json");
    if let Some(authorization) = authorization {
        let mut field = HeaderValue::try_from(authorization.expose())?;
        field.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, field);
    }
    request.body(body.as_bytes().to_vec())
}

/// How often a delivery is tried.
const ATTEMPTS: u32 = 3;

/// The pause after the first attempt; each further one is longer by as much.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

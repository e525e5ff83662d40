//! Fetches the events of a polled stream (RFC 8936). What is asked and when is decided by [`event::poll`](Poll).

use std::time::Duration;

use ::http::Request;
use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_LANGUAGE, CONTENT_TYPE, RETRY_AFTER};
use url::Url;

use super::authorization::NoToken;
use super::{Delivery, Signals, Stream, Unserved};
use crate::backoff::chance;
use crate::event::poll::{self, Heard, Outcome, Poll, Trouble};
use crate::http::{Error, bearer};
use crate::secret::Secret;
use crate::time::Stopwatch;

/// Between two attempts to find out where to poll.
const PAUSE: Duration = Duration::from_millis(100);

impl Stream {
    /// Polls for as long as the future is driven, while this is the gateway to do so; at once over if the transmitter
    /// pushes.
    pub(crate) async fn poll(&self, signals: Signals<'_>) {
        let Delivery::Poll { url, token } = &self.delivery else { return };
        loop {
            self.lead.acts().await;
            // What was fetched earlier and not acknowledged comes again, to whoever polls.
            let (mut poll, mut known) = (Poll::default(), None);
            while self.lead.role().acts() {
                let Some(place) = self.place(url.as_ref()).await else { break };
                let watch = Stopwatch::start();
                if !self.turn(&mut poll, (&place, token.as_ref()), signals).await {
                    break;
                }
                self.polled(poll.trouble(), signals.clock.now());
                self.say(poll.trouble(), &mut known);
                let rest = tokio::time::sleep(poll.rest(watch.elapsed(), chance()));
                self.unless_another_leads(rest).await;
            }
            self.polls_no_more();
            // Where the transmitter does not say where to poll, it may some time.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Where it is polled; a managed stream where the transmitter says, once it is there. `None` if another gateway leads
    /// meanwhile.
    async fn place(&self, url: Option<&Url>) -> Option<Url> {
        match (url, &self.manager) {
            (Some(url), _) => Some(url.clone()),
            (None, Some(manager)) => self.unless_another_leads(manager.known()).await??.endpoint.clone(),
            (None, None) => None,
        }
    }

    /// What comes of `work`; `None` if another gateway leads before.
    async fn unless_another_leads<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.lead.acts_no_more() => None,
        }
    }

    /// One request, and all that its answer brings. False if another gateway leads before there is an answer: what is in it
    /// comes again to that one. What has come is taken in any case.
    async fn turn(&self, poll: &mut Poll, place: (&Url, Option<&Secret<String>>), signals: Signals<'_>) -> bool {
        let (request, watch) = (poll.request(), Stopwatch::start());
        let Some(answer) = self.unless_another_leads(self.ask(&request, place)).await else { return false };
        let sets = match &answer {
            Ok(answer) => {
                let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let heard = Heard::Answer { status: answer.status().as_u16(), retry_after, body: answer.body() };
                poll.heard(heard, watch.elapsed())
            }
            Err(Asking::Failed(Error::TooLarge)) => poll.heard(Heard::TooLarge, watch.elapsed()),
            Err(Asking::Failed(Error::Deadline)) => poll.heard(Heard::Late, watch.elapsed()),
            Err(Asking::Failed(_) | Asking::NoToken) => poll.heard(Heard::Unreachable, watch.elapsed()),
        };
        // All at once: they share the ledger's next write, and none waits for another's.
        let judged = sets.into_iter().map(|set| async move {
            let outcome = match signals.take(self, set.compact.trim(), Some(&set.jti)).await {
                Ok(()) => Outcome::Taken,
                Err(Unserved::Later) => Outcome::Later,
                Err(Unserved::Refused(refusal)) => {
                    signals.refused(self, &refusal);
                    Outcome::Refused(refusal)
                }
            };
            (set.jti, outcome)
        });
        for (jti, outcome) in futures_util::future::join_all(judged).await {
            poll.settle(jti, outcome);
        }
        true
    }

    /// One request; once more with another token where the first is not accepted and another can be had.
    async fn ask(
        &self,
        ask: &poll::Request,
        (url, token): (&Url, Option<&Secret<String>>),
    ) -> Result<::http::Response<Vec<u8>>, Asking> {
        let tokens = match (token, &self.manager) {
            (Some(token), _) => return Ok(self.once(ask, url, token).await?),
            (None, Some(manager)) => manager.tokens(),
            (None, None) => return Err(Asking::NoToken),
        };
        let token = tokens.token(url).await?;
        let answer = self.once(ask, url, &token).await?;
        match tokens.instead_of(&token, url, &answer).await? {
            None => Ok(answer),
            Some(other) => Ok(self.once(ask, url, &other).await?),
        }
    }

    async fn once(
        &self,
        ask: &poll::Request,
        url: &Url,
        token: &Secret<String>,
    ) -> Result<::http::Response<Vec<u8>>, Error> {
        let bearer = bearer(token).ok_or(Error::NotUrl)?;
        let mut request = Request::post(url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, bearer);
        if ask.has_errors {
            request = request.header(CONTENT_LANGUAGE, "en");
        }
        let request = request.body(ask.body.to_string().into_bytes()).map_err(|_| Error::NotUrl)?;
        self.client.send_within(request, poll::MAX_ANSWER, ask.patience).await
    }

    /// Says it once when trouble begins, changes or ends.
    fn say(&self, trouble: Option<Trouble>, known: &mut Option<Trouble>) {
        if trouble == *known {
            return;
        }
        let stream = &self.settings.name;
        match trouble {
            None => tracing::info!(stream, "the stream is polled again as it should"),
            Some(trouble @ Trouble::Denied(_)) => {
                tracing::error!(stream, %trouble, "the stream is not polled: no signal comes on it");
            }
            Some(trouble) => tracing::warn!(stream, %trouble, "the stream is not polled as it should"),
        }
        *known = trouble;
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Asking {
    /// The management has no token to ask with, and says why.
    #[error("there is no token to ask with")]
    NoToken,
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<NoToken> for Asking {
    fn from(_: NoToken) -> Self {
        Self::NoToken
    }
}

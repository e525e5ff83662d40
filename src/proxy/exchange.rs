//! The seam by which an exchange in flight is cut: every request runs as one future, raced against its cancel token.
//!
//! pingora's filters run only when bytes flow, so an idle WebSocket would never be asked. Dropping the future of the
//! request is what ends it in all its states: HTTP/1.1 closes both connections, an HTTP/2 stream is reset and its
//! neighbours on the connection go on. On HTTP/1.1 the [`Line`] is cut before that, for the short while in which the
//! request may still say why it ends.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use super::Proxy;
use super::line::Line;
use crate::exchanges::Cut;

/// How long an exchange that is cut may take to end by itself. What is read and written fails at once, so all that can
/// take time is the upstream's side, and a client that does not read.
const GRACE: Duration = Duration::from_millis(20);

tokio::task_local! {
    /// The exchange that the current task runs.
    static FLIGHT: Arc<Flight>;
}

/// One exchange, as its task sees it.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// Ends the exchange.
    pub(super) cut: Cut,
    /// The request's head is complete: the time for sending it no longer counts.
    arrived: AtomicBool,
}

impl Flight {
    /// The exchange that the current task runs; marks its head as complete.
    pub(super) fn arrive() -> Arc<Self> {
        let flight = FLIGHT.try_with(Arc::clone).unwrap_or_default();
        flight.arrived.store(true, Ordering::Release);
        flight
    }
}

/// Bounds on clients that are slow to ask.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Patience {
    /// For the head of a request, from its first byte allowed to its last.
    pub(crate) header_read: Duration,
    /// For the next request on a connection.
    pub(crate) keep_alive: Duration,
}

/// The proxy, with every request cuttable.
pub(crate) struct Cuttable {
    inner: Arc<HttpProxy<Proxy>>,
    patience: Patience,
}

impl Cuttable {
    pub(crate) fn new(inner: HttpProxy<Proxy>, patience: Patience) -> Self {
        Self { inner: Arc::new(inner), patience }
    }
}

#[async_trait]
impl HttpServerApp for Cuttable {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let flight = Arc::new(Flight::default());
        // HTTP/2 hands over complete heads. On HTTP/1.1 pingora bounds each read, not their number: a client that
        // sends a byte now and then would hold its connection for ever.
        let reused = session.take_connection_user_context().is_some();
        let limit = match (session.is_http2(), reused) {
            (true, _) => None,
            (false, false) => Some(self.patience.header_read),
            (false, true) => Some(self.patience.header_read + self.patience.keep_alive),
        };
        let late = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
            if flight.arrived.load(Ordering::Acquire) {
                std::future::pending::<()>().await;
            }
        };
        let mut work = pin!(FLIGHT.scope(flight.clone(), self.inner.process_new_http(session, shutdown)));
        tokio::select! {
            biased;
            () = flight.cut.cancelled() => {}
            done = &mut work => return done,
            () = late => return None,
        }
        if let Some(line) = Line::current() {
            line.cut();
            // Whether it ended by itself or has to be dropped, its connection is not used again.
            let _ended = tokio::time::timeout(GRACE, work).await;
        }
        None
    }

    async fn http_cleanup(&self) {
        self.inner.http_cleanup().await;
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.inner.server_options()
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.inner.h2_options()
    }
}

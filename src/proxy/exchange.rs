//! The seam by which an exchange in flight is cut: every request runs as one future, raced against its cancel token.
//!
//! pingora's filters run only when bytes flow, so an idle WebSocket would never be asked. Dropping the future of the
//! request is what ends it in all its states: HTTP/1.1 closes both connections, an HTTP/2 stream is reset and its
//! neighbours on the connection go on. On HTTP/1.1 the [`Line`] is cut before that, for the short while in which the
//! request may still say why it ends.

use std::pin::pin;
use std::sync::Arc;
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
/// The same where the gateway stops: nobody is to be kept from anything.
const LEISURE: Duration = Duration::from_millis(300);

tokio::task_local! {
    /// What ends the exchange that the current task runs.
    static CUT: Cut;
}

/// Takes note that the head of the current task's request is complete; returns what ends the exchange.
pub(super) fn arrive() -> Cut {
    if let Some(line) = Line::current() {
        line.arrive();
    }
    current()
}

/// What ends the exchange that the current task runs.
pub(super) fn current() -> Cut {
    CUT.try_with(Cut::clone).unwrap_or_default()
}

/// The proxy, with every request cuttable.
pub(crate) struct Cuttable(Arc<HttpProxy<Proxy>>);

impl Cuttable {
    pub(crate) fn new(inner: HttpProxy<Proxy>) -> Self {
        Self(Arc::new(inner))
    }
}

#[async_trait]
impl HttpServerApp for Cuttable {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let line = Line::current();
        if let Some(line) = &line {
            line.listen(session.take_connection_user_context().is_some());
        }
        let cut = Cut::new();
        let mut work = pin!(CUT.scope(cut.clone(), self.0.process_new_http(session, shutdown)));
        tokio::select! {
            biased;
            () = cut.cancelled() => {}
            done = &mut work => return done,
        }
        if let Some(line) = line {
            let grace = if cut.is_left() {
                line.leave();
                LEISURE
            } else {
                line.cut();
                GRACE
            };
            // Whether it ended by itself or has to be dropped, its connection is not used again.
            let _ended = tokio::time::timeout(grace, work).await;
        }
        None
    }

    async fn http_cleanup(&self) {
        self.0.http_cleanup().await;
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.0.server_options()
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.0.h2_options()
    }
}

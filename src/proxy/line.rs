//! The client's side of an HTTP/1.1 connection, as one that can be told that it is over.
//!
//! Dropping the future of a request ends it, and says nothing. Here the end is said first where the protocol has words
//! for it: once a line is cut, pingora's own reads and writes on it fail, so that it unwinds by itself and asks for an
//! answer if none has begun; a WebSocket gets a Close frame (RFC 6455 §5.5.1) if no frame is half sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::exchange::Cuttable;
use super::frames::Frames;
use crate::drain::Drain;
use crate::time::Stopwatch;

tokio::task_local! {
    /// The connection that the current task serves. HTTP/2 streams have tasks of their own, and none of it.
    static LINE: Arc<Line>;
}

/// What WebSockets are told: 1008, policy violation (RFC 6455 §7.4.1), and why.
const CLOSE: &[u8] = b"\x88\x11\x03\xf0session is over";
/// What they are told when nothing is wrong with them: 1001, going away. Clients that are written well come back.
const GOING_AWAY: &[u8] = b"\x88\x11\x03\xe9gateway restart";

/// How long who came at the last moment has to shake hands (TLS) and to ask.
const LATECOMERS: Duration = Duration::from_millis(500);

/// Bounds on clients that are slow to ask.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Patience {
    /// For the head of a request, from its first byte to its last; on a new connection from its beginning.
    pub(crate) header_read: Duration,
    /// For the first byte of the next request on a connection.
    pub(crate) keep_alive: Duration,
}

/// How a connection stands. Everything that touches it runs in the connection's own task: nobody must be woken.
#[derive(Debug)]
pub(super) struct Line {
    patience: Patience,
    /// When it began.
    began: Stopwatch,
    /// By when the client must have sent what is waited for, in milliseconds from the beginning.
    deadline: AtomicU64,
    /// Of the next request nothing has come yet.
    idle: AtomicBool,
    /// One of the constants below.
    state: AtomicU8,
    /// The app agreed to a WebSocket.
    upgraded: AtomicBool,
    /// It is over because the gateway stops.
    left: AtomicBool,
}

impl Line {
    const OPEN: u8 = 0;
    const CUT: u8 = 1;
    const ANSWERING: u8 = 2;
    /// The deadline while no head is waited for.
    const NONE: u64 = u64::MAX;

    fn new(patience: Patience) -> Self {
        Self {
            patience,
            began: Stopwatch::start(),
            deadline: AtomicU64::new(Self::NONE),
            idle: AtomicBool::new(false),
            state: AtomicU8::new(Self::OPEN),
            upgraded: AtomicBool::new(false),
            left: AtomicBool::new(false),
        }
    }

    /// The connection that the current task serves, unless it is one of several streams.
    pub(super) fn current() -> Option<Arc<Self>> {
        LINE.try_with(Arc::clone).ok()
    }

    /// From now on a request's head is waited for; `again` if the connection has served one before.
    pub(super) fn listen(&self, again: bool) {
        self.idle.store(again, Ordering::Release);
        self.allow(if again { self.patience.keep_alive } else { self.patience.header_read });
    }

    /// The head is complete: the time for sending it no longer counts.
    pub(super) fn arrive(&self) {
        self.deadline.store(Self::NONE, Ordering::Release);
    }

    /// Something of the client's came in.
    fn hear(&self) {
        if self.idle.load(Ordering::Acquire) {
            self.idle.store(false, Ordering::Release);
            self.allow(self.patience.header_read);
        }
    }

    fn allow(&self, time: Duration) {
        self.deadline.store(millis(self.began.elapsed().saturating_add(time)), Ordering::Release);
    }

    /// Ends when the client is late. pingora bounds each read of a head, not their number: a client that sends a byte
    /// now and then would hold its connection for ever.
    async fn late(&self) {
        // One timer for all requests. It is never set for longer than the shortest time that anybody is allowed:
        // whatever deadline is set while it runs, it ends before that.
        let shortest = self.patience.header_read.min(self.patience.keep_alive);
        loop {
            let left = self.deadline.load(Ordering::Acquire).saturating_sub(millis(self.began.elapsed()));
            if left == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(left).min(shortest)).await;
        }
    }

    /// From now on nothing comes in and nothing of the app's goes out.
    pub(super) fn cut(&self) {
        self.state.store(Self::CUT, Ordering::Release);
    }

    /// The same, because the gateway stops.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Release);
        self.cut();
    }

    /// What goes out from now on is our own answer.
    pub(super) fn answer(&self) {
        self.state.store(Self::ANSWERING, Ordering::Release);
    }

    /// After the head that is about to go out there are frames.
    pub(super) fn upgrade(&self) {
        self.upgraded.store(true, Ordering::Release);
    }

    fn state(&self) -> u8 {
        self.state.load(Ordering::Acquire)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The proxy behind a line on every HTTP/1.1 connection. HTTP/2 hands over complete heads.
pub(crate) struct Lines {
    inner: Arc<Cuttable>,
    patience: Patience,
    drain: Drain,
    /// Turns true when the order to stop is given.
    order: ShutdownWatch,
}

impl Lines {
    pub(crate) fn new(inner: Cuttable, patience: Patience, drain: Drain) -> Self {
        Self { inner: Arc::new(inner), patience, order: drain.watch(), drain }
    }
}

#[async_trait]
impl ServerApp for Lines {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let _member = self.drain.entrance.join();
        if stream.selected_alpn_proto() == Some(ALPN::H2) {
            // GOAWAY (RFC 9113 §6.8) loses no request: who came before the order gets it at once. Who comes after it would
            // only come again, and gets it with the end of the listeners.
            let shutdown = if self.drain.has_begun() { shutdown } else { &self.order };
            return self.inner.process_new(stream, shutdown).await;
        }
        let line = Arc::new(Line::new(self.patience));
        let stream = Box::new(Told { inner: stream, line: Arc::clone(&line), frames: None, said: false });
        tokio::select! {
            biased;
            stream = LINE.scope(Arc::clone(&line), self.inner.process_new(stream, shutdown)) => stream,
            () = line.late() => None,
        }
    }

    async fn cleanup(&self) {
        // The listeners are closed, and what comes next ends the connections on which nothing is asked. On one that was
        // taken a moment ago the first request is still on its way, and nobody would send it again.
        tokio::time::sleep(LATECOMERS).await;
        self.inner.cleanup().await;
    }
}

/// A stream that ends when its line is cut.
#[derive(Debug)]
struct Told {
    inner: Stream,
    line: Arc<Line>,
    /// Where the frames of the app end, if this became a WebSocket.
    frames: Option<Frames>,
    /// The Close frame went out, or never will.
    said: bool,
}

impl Told {
    /// The end, for whoever reads or writes: a WebSocket is told first.
    fn over(&mut self, cx: &mut Context<'_>) -> io::Error {
        if !self.said {
            self.said = true;
            if self.frames.is_some_and(Frames::at_boundary) {
                // What the client does not take at once it is not told: nobody waits for it.
                let mut rest = if self.line.left.load(Ordering::Acquire) { GOING_AWAY } else { CLOSE };
                while let Poll::Ready(Ok(written @ 1..)) = Pin::new(&mut self.inner).poll_write(cx, rest) {
                    rest = rest.get(written..).unwrap_or_default();
                }
                let _told = Pin::new(&mut self.inner).poll_flush(cx);
            }
        }
        io::Error::from(io::ErrorKind::ConnectionAborted)
    }

    /// These bytes went out.
    fn pass(&mut self, bytes: &[u8]) {
        if self.line.upgraded.load(Ordering::Acquire) {
            self.frames.get_or_insert(Frames::BEFORE).pass(bytes);
        }
    }

    /// Whether nothing that is written may go out.
    fn is_mute(&self) -> bool {
        self.line.state() == Line::CUT
    }
}

impl AsyncRead for Told {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.line.state() != Line::OPEN {
            return Poll::Ready(Err(self.over(cx)));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.line.hear();
        }
        read
    }
}

impl AsyncWrite for Told {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_mute() {
            return Poll::Ready(Err(self.over(cx)));
        }
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = written {
            self.pass(buf.get(..written).unwrap_or_default());
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_mute() {
            return Poll::Ready(Err(self.over(cx)));
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_mute() {
            return Poll::Ready(Err(self.over(cx)));
        }
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(mut left)) = written {
            for buf in bufs {
                let passed = left.min(buf.len());
                self.pass(buf.get(..passed).unwrap_or_default());
                left -= passed;
            }
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Told {
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

impl UniqueID for Told {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Told {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for Told {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for Told {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.inner.set_proxy_digest(digest);
    }
}

impl GetSocketDigest for Told {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.inner.set_socket_digest(digest);
    }
}

#[async_trait]
impl Peek for Told {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        self.inner.try_peek(buf).await
    }
}

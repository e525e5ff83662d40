//! An app that does as it is told, and writes down what reached it, byte for byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::wire::soon;

/// A request that reached the app.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The request line and the fields, as they came.
    pub(crate) head: String,
    /// The method.
    pub(crate) method: String,
    /// The request target, as it came.
    pub(crate) target: String,
    /// What came of the body, decoded.
    pub(crate) body: Vec<u8>,
    /// The exchange is over, one way or the other.
    pub(crate) ended: bool,
}

impl Seen {
    /// Every value of the fields of that name.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let fields = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).collect()
    }

    /// The value of the one field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        assert!(all.len() < 2, "`{name}` came {} times", all.len());
        all.pop()
    }
}

/// What the app does about a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Sends these bytes and waits for the next request.
    Bytes(Vec<u8>),
    /// Sends these bytes and closes.
    Last(Vec<u8>),
    /// Closes with a reset.
    Reset,
    /// Sends these bytes, and nothing more until the other side goes.
    Open(Vec<u8>),
    /// Sends these bytes, then more and more until the other side goes.
    Endless(Vec<u8>),
    /// Sends these bytes, then sends back whatever comes.
    Echo(Vec<u8>),
}

/// An answer with a body.
pub(crate) fn ok(body: &str) -> Reply {
    answer("200 OK", "", body)
}

/// An answer with a status, further fields (each with its line end) and a body.
pub(crate) fn answer(status: &str, fields: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Bytes(format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n{body}").into_bytes())
}

/// What the app says where it was told nothing.
pub(crate) const GREETING: &str = "hello from the app";

type Script = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// The app. Dropping it ends it and all its connections.
pub(crate) struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

struct Shared {
    script: Mutex<Script>,
    log: watch::Sender<Vec<Seen>>,
    tls: Option<tokio_rustls::TlsAcceptor>,
}

impl Backend {
    /// An app on a port of its own.
    pub(crate) async fn start() -> Self {
        Self::listen(None).await
    }

    /// An app that speaks TLS.
    pub(crate) async fn start_tls(tls: Arc<rustls::ServerConfig>) -> Self {
        Self::listen(Some(tls.into())).await
    }

    async fn listen(tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let script: Script = Arc::new(|_: &Seen| ok(GREETING));
        let shared = Arc::new(Shared { script: Mutex::new(script), log: watch::Sender::default(), tls });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _task: task }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it does this.
    pub(crate) fn does(&self, script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) {
        *self.shared.script.lock().expect("lock") = Arc::new(script);
    }

    /// From now on it answers this to everything.
    pub(crate) fn says(&self, reply: Reply) {
        self.does(move |_| reply.clone());
    }

    /// All requests that reached it, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.log.borrow().clone()
    }

    /// How many requests reached it.
    pub(crate) fn count(&self) -> usize {
        self.shared.log.borrow().len()
    }

    /// The last request that reached it.
    pub(crate) fn last(&self) -> Seen {
        self.shared.log.borrow().last().cloned().expect("a request reached the app")
    }

    /// Forgets what it saw.
    pub(crate) fn forget(&self) {
        self.shared.log.send_modify(Vec::clear);
    }

    /// Waits until what it saw is as `wanted` says.
    pub(crate) async fn sees(&self, what: &str, wanted: impl FnMut(&Vec<Seen>) -> bool) {
        let mut log = self.shared.log.subscribe();
        soon(what, log.wait_for(wanted)).await.expect("the app runs");
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _nodelay = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            match &shared.tls {
                None => Connection { shared: &shared, come: Vec::new() }.serve(stream).await,
                Some(tls) => {
                    // Whoever does not trust the certificate goes; a test sees that at the other end.
                    if let Ok(stream) = tls.accept(stream).await {
                        Connection { shared: &shared, come: Vec::new() }.serve(stream).await;
                    }
                }
            }
        });
    }
}

struct Connection<'a> {
    shared: &'a Shared,
    come: Vec<u8>,
}

/// A stream that can be reset.
trait Peer: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {
    fn reset(self);
}

impl Peer for TcpStream {
    fn reset(self) {
        let _gone = self.set_zero_linger();
    }
}

impl Peer for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(self) {
        self.into_inner().0.reset();
    }
}

impl Connection<'_> {
    async fn serve<S: Peer>(mut self, mut stream: S) {
        loop {
            let Some(head) = self.head(&mut stream).await else { return };
            let mut words = head.split(' ');
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let seen =
                Seen { method: method.to_owned(), target: target.to_owned(), head: head.clone(), ..Seen::default() };
            let mut index = 0;
            self.shared.log.send_modify(|log| {
                index = log.len();
                log.push(seen.clone());
            });
            let note = |change: &dyn Fn(&mut Seen)| {
                self.shared.log.send_modify(|log| {
                    if let Some(seen) = log.get_mut(index) {
                        change(seen);
                    }
                });
            };
            let (body, whole) = body(&mut self.come, &mut stream, &seen, |piece| {
                note(&|seen| seen.body.extend_from_slice(piece));
            })
            .await;
            if !whole {
                note(&|seen| seen.ended = true);
                return;
            }
            let script = Arc::clone(&self.shared.script.lock().expect("lock"));
            let reply = script(&Seen { body, ..seen });
            let goes_on = do_it(reply, &mut stream).await;
            note(&|seen| seen.ended = true);
            match goes_on {
                Then::Next => {}
                Then::Close => {
                    let _gone = stream.shutdown().await;
                    return;
                }
                Then::Reset => return stream.reset(),
            }
        }
    }

    /// The next head; `None` at the end of the connection.
    async fn head<S: Peer>(&mut self, stream: &mut S) -> Option<String> {
        loop {
            if let Some(end) = self.come.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.come.drain(..end + 4).collect();
                return Some(String::from_utf8_lossy(&head).trim_end().to_owned());
            }
            if !more(stream, &mut self.come).await {
                return None;
            }
        }
    }
}

/// What a file without end consists of.
const MORE: &[u8] = &[b'x'; 64 * 1024];

enum Then {
    Next,
    Close,
    Reset,
}

async fn do_it<S: Peer>(reply: Reply, stream: &mut S) -> Then {
    match reply {
        Reply::Bytes(bytes) => {
            let sent = stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok();
            if sent { Then::Next } else { Then::Close }
        }
        Reply::Last(bytes) => {
            let _gone = stream.write_all(&bytes).await;
            Then::Close
        }
        Reply::Reset => Then::Reset,
        Reply::Open(bytes) => {
            let _gone = stream.write_all(&bytes).await;
            let _gone = stream.flush().await;
            while more(stream, &mut Vec::new()).await {}
            Then::Close
        }
        Reply::Endless(bytes) => {
            let _gone = stream.write_all(&bytes).await;
            while stream.write_all(MORE).await.is_ok() {}
            Then::Close
        }
        Reply::Echo(bytes) => {
            let _gone = stream.write_all(&bytes).await;
            let mut come = Vec::new();
            while more(stream, &mut come).await && stream.write_all(&std::mem::take(&mut come)).await.is_ok() {}
            Then::Close
        }
    }
}

/// Reads the body of a request; false if it broke off.
async fn body<S: Peer>(
    come: &mut Vec<u8>,
    stream: &mut S,
    seen: &Seen,
    mut piece: impl FnMut(&[u8]),
) -> (Vec<u8>, bool) {
    let mut whole = Vec::new();
    let mut take = |bytes: &[u8]| {
        piece(bytes);
        whole.extend_from_slice(bytes);
    };
    if seen.all("transfer-encoding").iter().any(|coding| coding.contains("chunked")) {
        loop {
            let Some(line) = line(come, stream).await else { return (whole, false) };
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16).expect("a chunk");
            while come.len() < size {
                if !more(stream, come).await {
                    take(come);
                    return (whole, false);
                }
            }
            take(&come.drain(..size).collect::<Vec<_>>());
            if line_is_missing(come, stream).await {
                return (whole, false);
            }
            if size == 0 {
                return (whole, true);
            }
        }
    }
    let mut left: usize = seen.field("content-length").map_or(0, |length| length.parse().expect("a length"));
    while left > 0 {
        let size = left.min(come.len());
        take(&come.drain(..size).collect::<Vec<_>>());
        left -= size;
        if left > 0 && !more(stream, come).await {
            return (whole, false);
        }
    }
    (whole, true)
}

async fn line_is_missing<S: Peer>(come: &mut Vec<u8>, stream: &mut S) -> bool {
    line(come, stream).await.is_none()
}

async fn line<S: Peer>(come: &mut Vec<u8>, stream: &mut S) -> Option<String> {
    loop {
        if let Some(end) = come.windows(2).position(|window| window == b"\r\n") {
            let line: Vec<u8> = come.drain(..end + 2).collect();
            return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        if !more(stream, come).await {
            return None;
        }
    }
}

async fn more<S: Peer>(stream: &mut S, come: &mut Vec<u8>) -> bool {
    come.reserve(16 * 1024);
    matches!(stream.read_buf(come).await, Ok(1..))
}

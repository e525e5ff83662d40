//! HTTP/1.1 as it goes over the wire: what is sent is sent byte for byte, what comes is shown as it came.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long something may take that is going to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what is going to happen; `what` says in a failing test what did not.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(value) => value,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}

/// A request, to be written out.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Ask {
    /// A request without body.
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), fields: Vec::new(), body: None }
    }

    /// A GET.
    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST of a body of that type; no type is sent if it is empty.
    pub(crate) fn post(target: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let ask = Self { body: Some(body.into()), ..Self::new("POST", target) };
        if content_type.is_empty() { ask } else { ask.with("Content-Type", content_type) }
    }

    /// With one more field.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The bytes, for `host`.
    pub(crate) fn bytes(&self, host: &str) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.target);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of the first field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every value of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// One connection.
pub(crate) struct Wire<S = TcpStream> {
    stream: S,
    /// What came and was not looked at yet.
    come: Vec<u8>,
}

impl Wire {
    /// A new connection.
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(address)).await.expect("somebody listens");
        stream.set_nodelay(true).expect("a socket");
        Self::over(stream)
    }

    /// One request on a connection of its own.
    pub(crate) async fn once(address: SocketAddr, request: &[u8]) -> Answer {
        let mut wire = Self::to(address).await;
        wire.send(request).await;
        wire.answer().await.expect("an answer")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A connection over `stream`.
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, come: Vec::new() }
    }

    /// Sends bytes; a peer that is gone is seen when reading.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _gone = soon("bytes are taken", self.stream.write_all(bytes)).await;
        let _gone = self.stream.flush().await;
    }

    /// Sends bytes; false if the peer is gone.
    pub(crate) async fn offer(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// The head of the next answer; `None` if the connection ends before it is whole.
    pub(crate) async fn head(&mut self) -> Option<Answer> {
        soon("the head of an answer", async {
            loop {
                if let Some(end) = find(&self.come, b"\r\n\r\n") {
                    let head: Vec<u8> = self.come.drain(..end + 4).collect();
                    return Some(parse_head(&String::from_utf8_lossy(&head)));
                }
                if !self.more().await {
                    return None;
                }
            }
        })
        .await
    }

    /// The next answer, whole. `None` if the connection ends before its head is whole.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let mut answer = self.head().await?;
        let bare = answer.status < 200 || matches!(answer.status, 204 | 304);
        let length = answer.field("content-length").and_then(|length| length.parse().ok());
        answer.body = match length {
            _ if bare => Vec::new(),
            Some(length) => soon("the body of an answer", self.exactly(length)).await,
            None if answer.field("transfer-encoding").is_some() => soon("the chunks of an answer", self.chunks()).await,
            None => soon("the end of an answer", self.rest()).await,
        };
        Some(answer)
    }

    /// Reads until `text` has come.
    pub(crate) async fn until(&mut self, text: &str) {
        assert!(self.hears(text).await, "the connection ended before `{text}`");
    }

    /// Reads until `text` has come; false if the connection ends before.
    pub(crate) async fn hears(&mut self, text: &str) -> bool {
        soon(text, async {
            while find(&self.come, text.as_bytes()).is_none() {
                if !self.more().await {
                    return false;
                }
            }
            true
        })
        .await
    }

    /// Waits until the other side has ended the connection.
    pub(crate) async fn is_ended(&mut self) {
        soon("the connection is ended", async { while self.more().await {} }).await;
    }

    /// Reads that many bytes and throws them away; false if the connection ends before.
    pub(crate) async fn reads(&mut self, length: usize) -> bool {
        soon("many bytes", async {
            let mut read = 0;
            while read < length {
                if !self.more().await {
                    return false;
                }
                read += std::mem::take(&mut self.come).len();
            }
            true
        })
        .await
    }

    /// What came and was not looked at, up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.come)
    }

    /// Exactly that many bytes, or fewer if the connection ends.
    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.come.len() < length && self.more().await {}
        let length = length.min(self.come.len());
        self.come.drain(..length).collect()
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.come, b"\r\n") {
                let line: Vec<u8> = self.come.drain(..end + 2).collect();
                return String::from_utf8_lossy(&line).trim_end().to_owned();
            }
            if !self.more().await {
                return String::new();
            }
        }
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await;
            let size = line.split(';').next().unwrap_or_default();
            let Ok(size) = usize::from_str_radix(size, 16) else { return body };
            body.extend(self.exactly(size).await);
            self.line().await;
            if size == 0 {
                return body;
            }
        }
    }

    /// Reads once; false at the end.
    async fn more(&mut self) -> bool {
        self.come.reserve(PIECE);
        matches!(self.stream.read_buf(&mut self.come).await, Ok(1..))
    }
}

/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn parse_head(head: &str) -> Answer {
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let fields = lines.filter_map(|line| line.split_once(':'));
    let fields = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    Answer { status: status.expect("a status line"), fields, body: Vec::new() }
}

/// A program is told that what it bears does not count, by this word and this in the challenge.
#[track_caller]
pub(crate) fn is_refused(answer: &Answer, word: &str, challenge: &str) {
    assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some(word)), "{}", answer.text());
    let given = answer.field("www-authenticate").unwrap_or_default();
    let whole = given.starts_with("Bearer realm=\"payroll\"") && given.contains(challenge);
    assert!(whole, "`{challenge}` not in `{given}`");
}

//! A gate on the way to a server. Shut, it is a network that swallows everything and says nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::own_address;

/// The way to one server.
#[derive(Debug)]
pub(crate) struct Gate {
    address: SocketAddr,
    /// How many bytes more of each connection get through to the server; `None` for all.
    open: Arc<watch::Sender<Option<usize>>>,
    task: JoinHandle<()>,
}

impl Gate {
    /// A gate that is open.
    pub(crate) async fn before(server: (String, u16)) -> Self {
        let listener = TcpListener::bind((own_address().as_str(), 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let open = Arc::new(watch::Sender::new(None));
        let gate = Arc::clone(&open);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect((server.0.as_str(), server.1)).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass(from_client, to_server, gate.subscribe(), true));
                tokio::spawn(pass(from_server, to_client, gate.subscribe(), false));
            }
        });
        Self { address, open, task }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> (String, u16) {
        (self.address.ip().to_string(), self.address.port())
    }

    /// From now on nothing gets through, in neither direction.
    pub(crate) fn shut(&self) {
        self.shut_after(0);
    }

    /// Of what each connection still sends to the server, so many bytes get through; nothing comes back.
    pub(crate) fn shut_after(&self, bytes: usize) {
        self.open.send_replace(Some(bytes));
    }

    /// What comes now gets through again, on new connections.
    pub(crate) fn open(&self) {
        self.open.send_replace(None);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    gate: watch::Receiver<Option<usize>>,
    to_server: bool,
) {
    let mut bytes = vec![0; 16 << 10];
    let mut left: Option<usize> = None;
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if left.is_none() {
            left = *gate.borrow();
        }
        let through = match &mut left {
            None => read,
            Some(left) if to_server => {
                let through = read.min(*left);
                *left -= through;
                through
            }
            Some(_) => 0,
        };
        if to.write_all(&bytes[..through]).await.is_err() {
            return;
        }
    }
    // A network that swallows everything swallows the end of a connection, too.
    if left.is_some() || gate.borrow().is_some() {
        std::future::pending::<()>().await;
    }
}

//! Where requests come in: the listening sockets, ours or those that systemd holds for us.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{IntoRawFd as _, RawFd};
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use listenfd::ListenFd;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::listening::Service;
use tokio::sync::watch;

use crate::drain::Drain;
use crate::proxy::Lines;

/// Sockets that whoever started the gateway has bound (`sd_listen_fds(3)`). They go on listening while no gateway runs:
/// who comes then waits and is not refused.
#[derive(Debug, Default)]
pub(super) struct Handed(Vec<(SocketAddr, TcpListener)>);

impl Handed {
    /// What this process was given, and none of its children will be.
    pub(super) fn take_from_environment() -> anyhow::Result<Self> {
        let mut given = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..given.len() {
            let taken = given.take_tcp_listener(index).and_then(|listener| {
                let Some(listener) = listener else { return Ok(None) };
                listener.set_nonblocking(true)?;
                Ok(Some((listener.local_addr()?, listener)))
            });
            let taken = taken.with_context(|| {
                format!("socket {index} of the socket unit is none that listens for TCP (`ListenStream=ADDRESS:PORT`)")
            })?;
            sockets.extend(taken);
        }
        Ok(Self(sockets))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the socket of that address is among them.
    pub(super) fn has(&self, address: SocketAddr) -> bool {
        self.0.iter().any(|(known, _)| *known == address)
    }

    /// The socket of that address.
    pub(super) fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.0.iter().position(|(known, _)| *known == address)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Every socket must have been taken: on one that nobody serves, clients would wait for ever.
    pub(super) fn is_used_up(&self) -> anyhow::Result<()> {
        match self.0.first() {
            Some((address, _)) => bail!(
                "the socket unit listens at {address}, and the config does not: write the same address in both \
                 (`ListenStream=` and `server.listen`, `server.tls` or `admin.listen`)"
            ),
            None => Ok(()),
        }
    }
}

/// How long who waits in the queue of a listening socket has to be taken before it is closed.
const LAST_IN_QUEUE: Duration = Duration::from_millis(200);

/// The proxy's service as the first stage of the drain, with its listening sockets.
pub(super) struct Entrance {
    service: Service<Lines>,
    drain: Drain,
    addresses: Vec<SocketAddr>,
    /// Sockets that were handed over. Somebody else goes on listening with them.
    handed: Vec<(String, RawFd)>,
}

impl Entrance {
    /// Takes from `handed` what belongs to `addresses`.
    pub(super) fn new(
        service: Service<Lines>,
        addresses: impl IntoIterator<Item = SocketAddr>,
        handed: &mut Handed,
        drain: Drain,
    ) -> Self {
        let (mut taken, mut others) = (Vec::new(), Vec::new());
        for address in addresses {
            match handed.take(address) {
                Some(socket) => taken.push((address.to_string(), socket.into_raw_fd())),
                None => others.push(address),
            }
        }
        Self { service, drain, addresses: others, handed: taken }
    }

    /// Binds what was not handed over: a handle to each socket for us, and one for pingora. What cannot be bound now
    /// pingora tries again.
    fn bind(&mut self) -> (Vec<TcpListener>, Vec<(String, RawFd)>) {
        let (mut ours, mut theirs) = (Vec::new(), std::mem::take(&mut self.handed));
        for address in self.addresses.drain(..) {
            let bound = TcpListener::bind(address).and_then(|socket| {
                socket.set_nonblocking(true)?;
                Ok((socket.try_clone()?, socket))
            });
            if let Ok((our, their)) = bound {
                ours.push(our);
                theirs.push((address.to_string(), their.into_raw_fd()));
            }
        }
        (ours, theirs)
    }
}

/// From now on nobody gets into the queue of `socket`: who knocks hears nothing, and knocks again after a second. Closing
/// a socket resets whoever waits in its queue, with a request sent that nobody may send twice; a knock is no request.
fn turn_away(socket: &TcpListener) {
    // One instruction of the classic packet filter: accept no byte (BPF_RET | BPF_K, 0).
    let nothing = socket2::SockFilter::new(0x06, 0, 0, 0);
    if let Err(error) = socket2::SockRef::from(socket).attach_filter(&[nothing]) {
        tracing::debug!(%error, "who knocks while a listener is closed may be reset");
    }
}

#[async_trait]
impl pingora::services::Service for Entrance {
    async fn start_service(&mut self, fds: Option<ListenFds>, _pingoras: ShutdownWatch, listeners_per_fd: usize) {
        let _member = self.drain.entrance.join();
        let (ours, theirs) = self.bind();
        if let Some(table) = &fds {
            // Pingora looks there before it binds.
            let mut table = table.lock();
            for (address, fd) in theirs {
                table.add(address, fd);
            }
        }
        let (close, closed) = watch::channel(false);
        let mut told = self.drain.entrance.watch();
        let closing = async move {
            // An error means that the stage is gone, and it is ours.
            let _ = told.wait_for(|told| *told).await;
            if !ours.is_empty() {
                ours.iter().for_each(turn_away);
                tokio::time::sleep(LAST_IN_QUEUE).await;
            }
            drop(ours);
            close.send_replace(true);
            // It lives until pingora has heard it.
            close
        };
        let ((), _close) = tokio::join!(self.service.start_service(fds, closed, listeners_per_fd), closing);
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        self.service.listen_addresses()
    }
}

//! Where requests come in: the listening sockets, ours or those that systemd holds for us.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{IntoRawFd as _, RawFd};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use listenfd::ListenFd;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::listening::Service;

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

/// The proxy's service, with the sockets that were handed over, and as the first stage of the drain.
pub(super) struct Entrance {
    service: Service<Lines>,
    drain: Drain,
    sockets: Vec<(String, RawFd)>,
}

impl Entrance {
    /// Takes from `handed` what belongs to `addresses`.
    pub(super) fn new(
        service: Service<Lines>,
        addresses: impl IntoIterator<Item = SocketAddr>,
        handed: &mut Handed,
        drain: Drain,
    ) -> Self {
        let take = |address: SocketAddr| Some((address.to_string(), handed.take(address)?.into_raw_fd()));
        Self { service, drain, sockets: addresses.into_iter().filter_map(take).collect() }
    }
}

#[async_trait]
impl pingora::services::Service for Entrance {
    async fn start_service(&mut self, fds: Option<ListenFds>, _pingoras: ShutdownWatch, listeners_per_fd: usize) {
        let _member = self.drain.entrance.join();
        if let Some(table) = &fds {
            // Pingora looks there before it binds.
            let mut table = table.lock();
            for (address, fd) in self.sockets.drain(..) {
                table.add(address, fd);
            }
        }
        self.service.start_service(fds, self.drain.entrance.watch(), listeners_per_fd).await;
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

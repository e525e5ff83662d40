//! A gateway beside its caller, for the demo and for tests.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::watch;

use super::entrance::Handed;
use super::stop::{Order, Orderer};
use super::{Gateway, listeners};
use crate::config::Config;
use crate::time::Clock;

/// A gateway that runs in a thread of its own, until this is dropped.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<Option<Order>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Starts the gateway of `config` beside the caller. Returns once it listens.
pub fn start(config: Config, clock: Clock) -> anyhow::Result<Running> {
    let addresses: Vec<_> = listeners(&config).chain([config.admin.listen]).collect();
    let (stop, told) = watch::channel(None);
    let gateway = Gateway::assemble(config, clock, Handed::default(), Orderer::Told(told))?;
    let (failed, failure) = mpsc::channel();
    let thread = std::thread::Builder::new().name("gateway".into()).spawn(move || {
        gateway.run();
        // The receiver is gone if the start went well.
        let _ = failed.send(());
    })?;
    for address in addresses {
        wait_for(address, &failure)?;
    }
    Ok(Running { stop, thread: Some(thread) })
}

/// Waits until somebody listens at `address`.
fn wait_for(address: SocketAddr, failure: &mpsc::Receiver<()>) -> anyhow::Result<()> {
    for _ in 0..500 {
        if std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            return Ok(());
        }
        if failure.recv_timeout(Duration::from_millis(10)) != Err(mpsc::RecvTimeoutError::Timeout) {
            return Err(anyhow!("the gateway ended while it started"));
        }
    }
    Err(anyhow!("nobody listens at {address} after 5 s"))
}

impl Running {
    /// Gives the order to end what was begun, and to stop then.
    pub fn drain(&self) {
        self.stop.send_replace(Some(Order::Drain));
    }

    /// Whether it has stopped.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(std::thread::JoinHandle::is_finished)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(Some(Order::Now));
        if let Some(thread) = self.thread.take() {
            // A panic in the gateway's thread was printed there.
            let _ = thread.join();
        }
    }
}

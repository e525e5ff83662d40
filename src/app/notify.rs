//! What systemd is told about how the gateway is (`sd_notify(3)`): one datagram each.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Tells whoever started the gateway and wants to know.
pub(super) fn notify(state: &str) {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&address, state) {
        tracing::warn!(%error, "systemd cannot be told how the gateway is");
    }
}

/// Says that the gateway stops, and how long that may take.
pub(super) fn notify_stopping(at_most: Duration) {
    notify(&format!("STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC={}", at_most.as_micros()));
}

/// A name that begins with `@` is one of the abstract name space (unix(7)).
fn send(address: &OsStr, state: &str) -> io::Result<()> {
    let address = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_goes_to_an_abstract_name_and_to_a_path() {
        let name = format!("portcullis-notify-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).expect("a name");
        let path = std::env::temp_dir().join(&name);
        let _left_over = std::fs::remove_file(&path);
        for (socket, address) in [
            (UnixDatagram::bind_addr(&abstract_address), format!("@{name}").into()),
            (UnixDatagram::bind(&path), path.clone().into_os_string()),
        ] {
            let socket = socket.expect("a socket");
            send(&address, "READY=1").expect("it is sent");
            let mut come = [0; 32];
            let length = socket.recv(&mut come).expect("a datagram");
            assert_eq!(&come[..length], b"READY=1", "{}", address.display());
        }
        std::fs::remove_file(&path).expect("the socket's file");
    }
}

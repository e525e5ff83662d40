//! Names to addresses, minus those that an outbound call must not reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::identity::is_loopback;

/// Asks the system; but names of this machine are this machine, whatever a name server says (RFC 6761 §6.3).
#[derive(Debug)]
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            if is_loopback(name.as_str()) {
                let ours: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                return Ok(Box::new(ours.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs);
            }
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<_> = found.filter(|address| !is_off_limits(address.ip())).collect();
            if allowed.is_empty() {
                return Err("no address that may be called".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Addresses that no service of ours has: link-local (cloud metadata services live there), unspecified, multicast and
/// broadcast. Private networks are allowed: that is where many an IdP is.
pub(super) const fn is_off_limits(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_off_limits_v4(ip),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_off_limits_v4(ip),
            None => {
                let [a, b, ..] = ip.octets();
                let metadata = matches!(ip.segments(), [0xfd00, 0x0ec2, ..]);
                (a == 0xfe && b & 0xc0 == 0x80) || ip.is_unspecified() || ip.is_multicast() || metadata
            }
        },
    }
}

const fn is_off_limits_v4(ip: Ipv4Addr) -> bool {
    ip.is_link_local() || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()
}

//! Blocks of addresses: `10.0.0.0/8`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A block of addresses (RFC 4632 §3.1). A bare address is the block of that one.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

/// Why a text is no block.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCidr {
    /// No address in front of the slash.
    #[error("it is no address block; write `10.0.0.0/8` or `fd00::/8`")]
    NotAddress,
    /// More bits than the address has, or none at all.
    #[error("the number behind the slash is not between 0 and the bits of the address")]
    Bits,
    /// Bits are set behind the prefix: the writer meant another block.
    #[error("the address has bits set behind the prefix")]
    HostBits,
}

impl Cidr {
    /// Whether `address` lies in the block. An IPv4 address that arrived on an IPv6 socket counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                shifted(network.to_bits().into(), 32, self.bits) == shifted(address.to_bits().into(), 32, self.bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                shifted(network.to_bits(), 128, self.bits) == shifted(address.to_bits(), 128, self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| InvalidCidr::NotAddress)?;
        let (all, width) = match network {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= width).ok_or(InvalidCidr::Bits)?,
            None => width,
        };
        let kept = shifted(all, width, bits).checked_shl(u32::from(width - bits)).unwrap_or(0);
        if kept != all {
            return Err(InvalidCidr::HostBits);
        }
        Ok(Self { network, bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

/// The first `bits` of an address of `width` bits, as a number.
fn shifted(address: u128, width: u8, bits: u8) -> u128 {
    address.checked_shr(u32::from(width.saturating_sub(bits))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_its_addresses_and_no_others() {
        for (block, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.8", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::1", "::1", true),
        ] {
            let cidr: Cidr = block.parse().expect("block");
            assert_eq!(cidr.contains(address.parse().expect("address")), inside, "{address} in {block}");
        }
    }

    #[test]
    fn a_slip_is_no_block() {
        for (text, expected) in [
            ("10.0.0.0/33", InvalidCidr::Bits),
            ("10.0.0.0/", InvalidCidr::Bits),
            ("10.0.0.0/-1", InvalidCidr::Bits),
            ("10.0.0.5/8", InvalidCidr::HostBits),
            ("fd00::1/8", InvalidCidr::HostBits),
            ("::/129", InvalidCidr::Bits),
            ("localhost", InvalidCidr::NotAddress),
            ("", InvalidCidr::NotAddress),
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(expected), "`{text}`");
        }
    }
}

//! The fleet: what one gateway knows, all know.
//!
//! An [`Engine`] that others wrote carries [`Letter`]s between the gateways and keeps them for those that are away: NATS
//! JetStream or PostgreSQL. It is trusted with nothing but that: who can write to it and has not the key ring can neither
//! revoke nor read, and whatever it loses is still in the ledger of the gateway that told it.

mod engine;
pub mod postgres;

pub use self::engine::{Engine, Entry, Extent, Fence, Following, GatewayId, Letter, Position, To, Trouble};

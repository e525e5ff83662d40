//! The engines of the fleet against real servers: what every engine must do ([`conformance`]), and what only one can be
//! asked. `tests/setup` installs the servers.
#![cfg(test)]
#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod catch_up;
mod conformance;
mod gateways;
mod harness;
mod nats;
mod postgres;

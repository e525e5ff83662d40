//! The engines of the fleet against real servers: what every engine must do ([`conformance`]), and what only one can be
//! asked. `tests/setup` installs the servers.
#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests have tasks of their own, measure spans, and take a seed from outside"
)]

mod catch_up;
mod conformance;
mod gateways;
mod harness;
mod nats;
mod postgres;

//! What the tests are written in: a house with everything in it, a browser, an app, and the wire.

pub(crate) mod backend;
pub(crate) mod browser;
pub(crate) mod dice;
pub(crate) mod house;
pub(crate) mod tls;
pub(crate) mod wire;

pub(crate) use self::backend::{Backend, GREETING, Reply, Seen, answer, ok};
pub(crate) use self::browser::{Arrival, Browser, parameter};
pub(crate) use self::dice::Dice;
pub(crate) use self::house::{AUDIENCE, House, NEIGHBOURS_AUDIENCE, Plan, SESSION_REVOKED, VERIFICATION};
pub(crate) use self::wire::{Answer, Ask, Wire, is_refused, soon};

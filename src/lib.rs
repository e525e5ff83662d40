//! **Portcullis**: session enforcement in front of applications nobody can change.
//!
//! # The words
//!
//! | word | meaning | where |
//! |---|---|---|
//! | app | an unmodified application behind the gateway | [`apps`] |
//! | IdP | an OIDC issuer that signs people in | [`idp`] |
//! | assertion | what the IdP last said about the person | [`idp`], [`login`] |
//! | identity | the facts parsed from an assertion; it yields every target it can be revoked by | [`identity`] |
//! | access token | what the IdP gave a program, to act for somebody | [`idp`] |
//! | proof | that who bears a token holds the key that it is bound to | [`dpop`] |
//! | session | the gateway's own: a sealed cookie, no server-side store | [`session`] |
//! | derived credential | a cookie or token that an app made during a session | [`lineage`] |
//! | lineage | where it comes from, sealed into it: targets and assertion time | [`lineage`] |
//! | signal | any inbound "it is over" | [`event`], [`endpoint`] |
//! | stream | one configured SSF relation to a transmitter | [`stream`] |
//! | revocation | the one fact that every signal becomes | [`revocation`] |
//! | revocation set | the in-memory index of all revocations in force | [`revocation`] |
//! | ledger | the durable record of revocations | [`ledger`] |
//! | outcome | what a revocation did: whom it met, what it ended and refused, what is left | [`outcome`] |
//! | fleet | every gateway with the same keys and the same engine; what one accepts, all enforce | [`fleet`] |
//! | engine | what carries letters between the gateways: NATS JetStream or PostgreSQL | [`fleet`] |
//! | letter | what one gateway tells the others, sealed | [`fleet`] |
//! | stale | said of a gateway: what the others know may not have reached it | [`fleet`] |
//! | intake | the only door by which a revocation enters | [`intake`] |
//! | exchange | a request or stream in flight | [`exchanges`] |
//! | drain | how a gateway stops: what runs may end, nobody new comes in, what is told still counts | [`drain`] |
//! | check | a question to an IdP that sends no signal: does this session still stand? | [`revalidation`], [`checks`] |
//! | grant | what it is asked with: the refresh token of the sign-in, kept sealed | [`revalidation`], [`ledger`] |
//! | console | the built-in app in which operators see and do all this | [`console`] |
//! | dark | said of a stream: what it should have told is not known | [`stream`], [`event`] |
//!
//! # The floors
//!
//! Modules stand in dependency order; each uses only those above it (`tests/order.rs` checks that).
//! Floors 0 and 1 decide and are pure; floor 2 acts; floor 3 speaks HTTP; floor 4 puts it together.
//!
//! # The walks
//!
//! - **request**: [`proxy`] → [`apps`] → [`evidence`] → [`enforcer`] → [`decision`] → upstream, or [`endpoint`]
//! - **signal**: [`endpoint`] or the poll of a [`stream`] → [`jose`] → [`event`] → [`policy`] → [`intake`] → [`enforcer`],
//!   [`ledger`] → answer
//! - **login**: [`login`] begin → IdP → [`endpoint`] callback → [`idp`] → [`enforcer`] → [`session`]
//! - **watch**: [`stream`] asks its transmitter for a sign of life → none in time → [`apps`] that mind → [`intake`], or closed
//! - **cut**: [`enforcer`] → [`exchanges`] → every stream that the revocation covers ends

// floor 0: words
pub mod time;
pub mod secret;
pub mod identity;

// floor 1: rules
pub mod backoff;
pub mod jose;
pub mod dpop;
pub mod revocation;
pub mod seal;
pub mod event;
pub mod policy;
pub mod session;
pub mod apps;
pub mod lineage;
pub mod revalidation;
pub mod evidence;
pub mod login;
pub mod decision;
pub mod explain;
pub mod page;

// floor 2: engines
pub mod http;
pub mod keys;
pub mod idp;
pub mod exchanges;
pub mod drain;
pub mod enforcer;
pub mod metrics;
pub mod audit;
pub mod ledger;
pub mod fleet;
pub mod outcome;
pub mod intake;
pub mod checks;
pub mod stream;

// floor 3: surfaces
pub mod endpoint;
pub mod proxy;
pub mod admin;
pub mod console;

// floor 4: assembly
pub mod config;
pub mod migrate;
pub mod app;
pub mod demo;
pub mod cli;

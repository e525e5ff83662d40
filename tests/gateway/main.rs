//! The gateway as a whole, over real sockets, between a scripted IdP and a scripted app. One file per topic.
#![cfg(test)]

mod approvals;
mod bearers;
mod claims;
mod commands;
mod console;
mod crowd;
mod cut;
mod drain;
mod events;
mod front_channel;
mod global;
mod harness;
mod holds;
mod leaving;
mod main_job;
mod misbehaviour;
mod noise;
mod outcomes;
mod operators;
mod pages;
mod paths;
mod poll;
mod presets;
mod reload;
mod revalidation;
mod room;
mod signals;
mod smuggling;
mod stolen;
mod streams;
mod time;
mod tls;
mod tokens;
mod upstreams;
mod whom;

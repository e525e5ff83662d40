//! The gateway as a whole, over real sockets, between a scripted IdP and a scripted app. One file per topic.
#![cfg(test)]

mod harness;
mod main_job;

//! PostgreSQL: the conformance suite, and what only PostgreSQL can do wrong.

mod cut_off;
mod order;
mod rights;
mod standbys;
mod unfit;

use futures_util::StreamExt as _;
use portcullis::fleet::{Engine, Entry, Following, GatewayId, Letter, Position, To, Trouble};

use super::conformance::conformance;
use super::harness::postgres::Postgres;
use super::harness::{soon, until};

conformance!(Postgres::start(&[]));

const ME: GatewayId = GatewayId(0xa11ce);
const OTHER: GatewayId = GatewayId(0xb0b);

/// A letter for everyone, with its id for content.
fn letter(id: impl Into<String>) -> Letter {
    let id = id.into();
    Letter { body: id.clone().into_bytes(), id, to: To::Everyone }
}

/// Everything from the beginning.
async fn from_the_start(engine: &dyn Engine) -> Following {
    until("a watch begins", || async { engine.follow(Position(0), ME).await.ok() }).await
}

/// The next letters, until one has that content; contents in their order.
async fn read_until(following: &mut Following, last: &str) -> Vec<String> {
    let mut read = Vec::new();
    while read.last().is_none_or(|content| content != last) {
        read.extend(some(following).await.iter().map(content));
    }
    read
}

/// What comes next.
async fn some(following: &mut Following) -> Vec<Entry> {
    let next = soon("letters come", following.next()).await;
    next.expect("it ends only with an error").expect("letters")
}

/// The error that ends it; letters before that are passed over.
async fn end(following: &mut Following) -> Trouble {
    soon("it ends", async {
        loop {
            match following.next().await.expect("it ends only with an error") {
                Ok(_) => {}
                Err(trouble) => return trouble,
            }
        }
    })
    .await
}

fn content(entry: &Entry) -> String {
    String::from_utf8(entry.body.clone()).expect("text")
}

//! An engine as those above it use it: what it could not do because it was away, is asked for again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use portcullis::fleet::{Engine, Extent, Fence, Following, GatewayId, Letter, Position, Trouble};

use super::until;

/// Asks again while the engine is away. A busy machine's servers elect another leader now and then, and a server that does
/// not answer for a moment is no fault of the promise that a test looks at.
#[derive(Clone, Debug)]
pub(crate) struct Patient(pub(crate) Arc<dyn Engine>);

impl Patient {
    /// What `call` says when the engine is not away.
    async fn ask<T, F: Future<Output = Result<T, Trouble>>>(what: &str, call: impl Fn() -> F) -> Result<T, Trouble> {
        until(what, || async {
            match call().await {
                Err(Trouble::Away(_)) => None,
                answer => Some(answer),
            }
        })
        .await
    }
}

#[async_trait]
impl Engine for Patient {
    async fn open(&self) -> Result<Extent, Trouble> {
        Self::ask("the engine opens", || self.0.open()).await
    }

    async fn append(&self, letters: &[Letter]) -> Result<(), Trouble> {
        Self::ask("the letters are kept", || self.0.append(letters)).await
    }

    async fn follow(&self, after: Position, me: GatewayId) -> Result<Following, Trouble> {
        let watch = Self::ask("a watch begins", || self.0.follow(after, me)).await?;
        let begin = (self.clone(), Some(watch), after);
        let follow = move |(patient, watch, last): (Self, Option<Following>, Position)| async move {
            let mut watch = watch?;
            loop {
                match watch.next().await? {
                    Ok(batch) => {
                        let last = batch.last().map_or(last, |entry| entry.position);
                        return Some((Ok(batch), (patient, Some(watch), last)));
                    }
                    Err(Trouble::Away(_)) => match Self::ask("a watch goes on", || patient.0.follow(last, me)).await {
                        Ok(again) => watch = again,
                        Err(trouble) => return Some((Err(trouble), (patient, None, last))),
                    },
                    Err(trouble) => return Some((Err(trouble), (patient, None, last))),
                }
            }
        };
        Ok(futures_util::stream::unfold(begin, follow).boxed())
    }

    async fn forget_older_than(&self, age: Duration) -> Result<(), Trouble> {
        Self::ask("old letters go", || self.0.forget_older_than(age)).await
    }

    async fn lease(&self, name: &str, me: GatewayId, term: Duration) -> Result<Option<Fence>, Trouble> {
        Self::ask("the lease is asked for", || self.0.lease(name, me, term)).await
    }

    async fn release(&self, name: &str, me: GatewayId) -> Result<(), Trouble> {
        Self::ask("the lease is given back", || self.0.release(name, me)).await
    }
}

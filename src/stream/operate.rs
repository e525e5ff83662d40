//! What operators do with a stream that the gateway manages.

use std::sync::Arc;
use std::time::Duration;

use super::Stream;
use super::manage::{Made, Manager, Trouble};
use super::supervision::Kind;
use crate::event::StreamStatus;
use crate::event::stream_config::Configuration;
use crate::fleet::Sign;
use crate::time::{Stopwatch, Timestamp};

impl Stream {
    /// How the transmitter has it now; `None` without management.
    pub(crate) fn configuration(&self) -> Option<Arc<Configuration>> {
        self.manager.as_ref()?.stream()
    }

    fn managed(&self) -> Result<&Manager, Trouble> {
        self.manager.as_ref().ok_or(Trouble::NoStream)
    }

    /// Finds or makes it, now.
    pub(crate) async fn create(&self, now: Timestamp) -> Result<Made, Trouble> {
        let manager = self.managed()?;
        // Whoever orders it knows why.
        let made = self.make(manager, &|| true, now).await;
        self.note(Kind::Make, made.as_ref().err().cloned());
        made
    }

    /// Finds it, if this gateway does not look after it, and may not know it or know another.
    pub(crate) async fn find(&self) -> Result<(), Trouble> {
        let manager = self.managed()?;
        if !self.lead.is_of_fleet() || self.lead.role().is_sure() && manager.stream().is_some() {
            return Ok(());
        }
        match manager.ensure(&|| false).await {
            Ok(_) => Ok(()),
            Err(Trouble::NotOurs) => Err(Trouble::NoStream),
            Err(trouble) => Err(trouble),
        }
    }

    /// Asks the transmitter how it has it.
    pub(crate) async fn look(&self, now: Timestamp) -> Result<(Arc<Configuration>, Option<StreamStatus>), Trouble> {
        let manager = self.managed()?;
        let stream = manager.read_again().await?;
        let status = match manager.status().await {
            Ok((status, _)) => {
                self.is_told(status, now);
                Some(status)
            }
            Err(Trouble::NotOffered(_) | Trouble::NotAllowed(_)) => None,
            Err(trouble) => return Err(trouble),
        };
        Ok((stream, status))
    }

    /// Asks for a verification event and waits for it; `None` if it does not come in time.
    pub(crate) async fn prove(&self, now: Timestamp, patience: Duration) -> Result<Option<Duration>, Trouble> {
        let manager = self.managed()?;
        let state = self.watched.machine().asks(now, || self.lead.mark()).ok_or(Trouble::NoStream)?;
        let watch = Stopwatch::start();
        manager.verify(&state).await?;
        let came = async {
            loop {
                // The waiter exists before the look: what comes between them is not missed.
                let verified = self.watched.came.notified();
                if self.watched.machine().has_come(&state) {
                    return watch.elapsed();
                }
                verified.await;
            }
        };
        Ok(tokio::time::timeout(patience, came).await.ok())
    }

    /// Pauses it, or enables it again.
    pub(crate) async fn set_status(&self, status: StreamStatus, now: Timestamp) -> Result<StreamStatus, Trouble> {
        let manager = self.managed()?;
        let found = manager.set_status(status).await?;
        if status != StreamStatus::Enabled {
            self.watched.machine().stopped_on_purpose();
            self.lead.say(Sign::Stopped(Some(status)));
        }
        self.is_told(found, now);
        Ok(found)
    }

    /// Deletes it. It is not made again by itself until the gateway starts again.
    pub(crate) async fn delete(&self, now: Timestamp) -> Result<(), Trouble> {
        let manager = self.managed()?;
        manager.delete().await?;
        let mut machine = self.watched.machine();
        machine.gone(now);
        machine.stopped_on_purpose();
        drop(machine);
        self.lead.say(Sign::Stopped(None));
        Ok(())
    }
}

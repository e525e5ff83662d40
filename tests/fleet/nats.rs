//! JetStream: the conformance suite, and what only NATS can do wrong.

mod doors;
mod unfit;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use portcullis::fleet::jetstream::{Allow, Credentials, Jetstream, Settings, Tls};
use portcullis::fleet::{Engine, GatewayId, Letter, Position, To};
use portcullis::http::Client;

use super::harness::nats::{Nats, Plan};
use super::harness::{Stage, soon, until};

/// Every call's deadline: short, for half of these tests wait for it.
const DEADLINE: Duration = Duration::from_secs(4);

/// NATS servers and gateways that use them.
pub(crate) struct Servers {
    nats: Nats,
    settings: Settings,
}

impl Servers {
    pub(crate) async fn start(servers: usize) -> Self {
        let nats = Nats::start(Plan::of(servers)).await;
        Self { settings: settings(&nats), nats }
    }

    /// That do not flush what they acknowledge, for what takes long otherwise and kills nobody.
    pub(crate) async fn lazy(servers: usize) -> Self {
        let nats = Nats::start(Plan { sync_always: false, ..Plan::of(servers) }).await;
        let allow = Allow { lazy_sync: true, ..Allow::default() };
        Self { settings: Settings { allow, ..settings(&nats) }, nats }
    }
}

/// What a gateway needs to know of these servers.
fn settings(nats: &Nats) -> Settings {
    Settings {
        servers: nats.urls(),
        stream: "fleet".to_owned(),
        replicas: nats.len(),
        credentials: Credentials::None,
        tls: Tls::default(),
        deadline: DEADLINE,
        max_age: Duration::from_secs(24 * 3_600),
        allow: Allow::default(),
        monitoring: nats.monitoring(),
    }
}

fn jetstream(settings: Settings) -> Box<dyn Engine> {
    let http = Client::for_this_machine(&Default::default()).expect("a client");
    Box::new(Jetstream::new(settings, http))
}

/// An administrator's own connection.
async fn administrator(nats: &Nats) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(nats.urls()).await.expect("it connects"))
}

#[async_trait]
impl Stage for Servers {
    async fn engine(&self) -> Box<dyn Engine> {
        jetstream(self.settings.clone())
    }

    fn servers(&self) -> usize {
        self.nats.len()
    }

    fn kill(&self, server: usize) {
        self.nats.kill(server);
    }

    async fn start(&self, server: usize) {
        self.nats.restart(server).await;
    }

    fn pause(&self, server: usize) {
        self.nats.pause(server);
    }

    fn resume(&self, server: usize) {
        self.nats.resume(server);
    }

    async fn delete_log(&self) {
        let jetstream = administrator(&self.nats).await;
        until("the stream is deleted", || async { jetstream.delete_stream("fleet").await.ok() }).await;
    }

    fn addresses(&self) -> Vec<(String, u16)> {
        self.nats.clients()
    }

    fn fleet(&self, addresses: &[(String, u16)]) -> String {
        let servers: Vec<_> = addresses.iter().map(|(host, port)| format!("\"nats://{host}:{port}\"")).collect();
        let few = if self.nats.len() < 3 { "allow = [\"few_replicas\"]\n" } else { "" };
        format!(
            "[fleet]\nengine = \"jetstream\"\nstale_after = \"6s\"\n[fleet.jetstream]\nstream = \"fleet\"\n\
             servers = [{}]\nreplicas = {}\n{few}",
            servers.join(", "),
            self.nats.len(),
        )
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn deaf_at_most(&self) -> Duration {
        // Four seconds of silence, and as long until it is known why.
        Duration::from_secs(8)
    }
}

mod one {
    use super::Servers;
    use crate::conformance::conformance;

    conformance!(Servers::start(1), Servers::lazy(1));
}

mod three {
    use super::Servers;
    use crate::conformance::conformance;

    conformance!(Servers::start(3));
}

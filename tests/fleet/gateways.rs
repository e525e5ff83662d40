//! Whole gateways and an engine, for each engine: what one accepts, all enforce, whatever happens in between.

mod attacker;
mod chaos;
mod kill;
mod lead;
mod operators;
mod partition;
mod push;
mod together;

use super::harness::Stage;
use super::harness::gate::Gate;
use super::harness::gateways::Gateways;

/// Gateways, each with gates of its own on the way to the engine's servers.
struct Fleet<'a> {
    stage: &'a dyn Stage,
    gateways: Gateways,
    gates: Vec<Vec<Gate>>,
}

impl<'a> Fleet<'a> {
    /// So many gateways at those servers, all of them ready.
    async fn of(stage: &'a dyn Stage, gateways: usize) -> Self {
        Self::of_with(stage, gateways, "").await
    }

    /// The same with more in each config.
    async fn of_with(stage: &'a dyn Stage, gateways: usize, more: &str) -> Self {
        let (mut gates, mut fleets) = (Vec::new(), Vec::new());
        for _ in 0..gateways {
            let mut own = Vec::new();
            for server in stage.addresses() {
                own.push(Gate::before(server).await);
            }
            let through: Vec<_> = own.iter().map(Gate::address).collect();
            fleets.push(stage.fleet(&through));
            gates.push(own);
        }
        Self { stage, gateways: Gateways::start_with(&fleets, more).await, gates }
    }

    /// Cuts a gateway off from the engine.
    fn cuts_off(&self, n: usize) {
        self.gates[n].iter().for_each(Gate::shut);
    }

    /// It reaches the engine again.
    fn reconnects(&self, n: usize) {
        self.gates[n].iter().for_each(Gate::open);
    }

    /// Waits until a gateway knows what the others know.
    async fn is_fresh(&self, n: usize) {
        self.stands(n, "fresh").await;
    }

    /// Waits until a gateway says that it stands so.
    async fn stands(&self, n: usize, state: &str) {
        super::harness::until(&format!("gateway {n} is {state}"), || async {
            (self.gateways.standing(n).await?["state"] == *state).then_some(())
        })
        .await;
    }
}

/// Every promise of a fleet, with that engine.
macro_rules! promises {
    ($stage:expr) => {
        crate::gateways::promises! { $stage;
            kill a_kill_at_one_gateway_is_in_force_at_all
            operators what_one_operator_holds_another_lifts_at_another_gateway
            partition a_gateway_that_is_cut_off_goes_stale_does_what_its_apps_want_and_heals
            attacker who_has_the_engine_and_no_key_revokes_nothing_and_unrevokes_nothing
            lead one_gateway_polls_a_stream_and_when_it_dies_another_does
            lead while_the_engine_is_away_everybody_polls_and_nobody_acknowledges
            push wherever_an_event_lands_every_gateway_sees_that_the_stream_lives
            together all_gateways_together_say_what_a_revocation_did
            chaos nothing_acknowledged_is_lost_whatever_dies
        }
    };
    ($stage:expr; $($module:ident $promise:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let stage = $stage.await;
            crate::gateways::$module::$promise(&stage).await;
        }
    )*};
}
use promises;

mod by_jetstream {
    crate::gateways::promises!(crate::nats::Servers::start(3));
}

mod by_postgres {
    crate::gateways::promises!(crate::harness::postgres::Postgres::start(&[]));
}

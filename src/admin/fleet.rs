//! What operators see of the fleet.

use serde::{Deserialize, Serialize};

use crate::fleet::{Fleet, Peer, Standing};

/// How this gateway stands among the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetStatus {
    /// What people call this gateway.
    pub gateway: String,
    /// What the others know it by: 32 hexadecimal digits, another for every ledger.
    pub id: String,
    /// `fresh`, `catching up` or `stale`: what others accepted may be missing here.
    pub state: String,
    /// How old the newest thing may be that is not known here, in seconds; absent before it heard for the first time.
    #[serde(default)]
    pub age: Option<u64>,
    /// The position in the fleet's log up to which it has heard.
    pub heard: u64,
    /// The newest position that it saw there.
    pub last: u64,
    /// Something is known here that may be known nowhere else yet.
    pub untold: bool,
    /// Letters in the log that said nothing to this gateway, since its start. More than none is an alarm.
    pub illegible: u64,
    /// What is wrong with the engine at the moment.
    #[serde(default)]
    pub trouble: Option<String>,
    /// The other gateways, by name. One that was not heard of for a day is forgotten.
    #[serde(default)]
    pub gateways: Vec<GatewayStatus>,
}

/// How another gateway is, as far as this one heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayStatus {
    /// What people call it.
    pub name: String,
    /// What the others know it by.
    pub id: String,
    /// The version that it runs.
    pub version: String,
    /// `fresh`, `catching up` or `stale`, as it said last; `silent` if it was not heard of for longer than it should.
    pub state: String,
    /// How many seconds ago it was heard of.
    pub heard_ago: u64,
    /// How many positions of the log it is behind the newest fact that is known here; absent if nobody can tell: it
    /// speaks of another log.
    #[serde(default)]
    pub behind: Option<u64>,
}

impl From<&Fleet> for FleetStatus {
    fn from(fleet: &Fleet) -> Self {
        let Standing { fresh, age, heard, last, newest_fact, epoch, trouble, illegible, has_untold } = fleet.standing();
        let status = |peer: Peer| GatewayStatus {
            behind: (peer.epoch == epoch).then(|| newest_fact.0.saturating_sub(peer.applied.0)),
            id: peer.id.to_string(),
            state: if peer.is_silent { "silent" } else { peer.fresh.word() }.to_owned(),
            heard_ago: peer.heard.as_secs(),
            name: peer.name,
            version: peer.version,
        };
        Self {
            gateway: fleet.settings().name.clone(),
            id: fleet.me().to_string(),
            state: fresh.word().to_owned(),
            age: age.map(|age| age.as_secs()),
            heard: heard.0,
            last: last.0.max(heard.0),
            untold: has_untold,
            illegible,
            trouble: trouble.map(|trouble| trouble.to_string()),
            gateways: fleet.peers().into_iter().map(status).collect(),
        }
    }
}

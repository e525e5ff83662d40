//! What operators see of the fleet.

use serde::{Deserialize, Serialize};

use crate::fleet::{Fleet, Standing};

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
}

impl From<&Fleet> for FleetStatus {
    fn from(fleet: &Fleet) -> Self {
        let Standing { fresh, age, heard, last, trouble, illegible, has_untold } = fleet.standing();
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
        }
    }
}

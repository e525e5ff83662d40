//! What a reading of the config says, as operators are told it.

use crate::admin::{ConfigChange, ConfigFault};
use crate::config::{Change, Fault};

impl From<&Change> for ConfigChange {
    fn from(change: &Change) -> Self {
        Self { key: change.key.clone(), what: change.what.words().to_owned() }
    }
}

impl From<&Fault> for ConfigFault {
    fn from(fault: &Fault) -> Self {
        Self { line: fault.line, key: fault.key.clone(), why: fault.why.clone() }
    }
}

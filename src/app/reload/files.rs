//! The files that a config names, looked at again: those that fit count, the others are left out.

use crate::admin::ConfigFault;
use crate::config::{Config, Disk, Reading, Rewritten, waits_for_restart};

/// What there is to see of the named files.
pub(super) struct Look {
    /// All that are others now.
    pub(super) stale: Rewritten,
    /// Configs with those that fit: the first that can be run is meant.
    pub(super) fits: Vec<Config>,
    /// What is wrong with the rest.
    pub(super) faults: Vec<ConfigFault>,
}

/// Looks at the files; `None` if there is nothing new to see.
pub(super) fn look(reading: &Reading, left_out: &Rewritten) -> Option<Look> {
    // What cannot be read at the moment is as it was: a mount may be about to change.
    let (stale, _unread) = reading.stale(&Disk);
    if stale == *left_out {
        return None;
    }
    let waits = |config: &Config| {
        let changes = reading.changes(&config.reading);
        changes.iter().any(|change| waits_for_restart(&change.key))
    };
    match reading.again(&stale) {
        Ok(config) if !waits(&config) => return Some(Look { stale, fits: vec![config], faults: Vec::new() }),
        Ok(_) | Err(_) => {}
    }
    let (mut fit, mut faults) = (Rewritten::default(), Vec::new());
    for (table, files) in reading.apart(&stale) {
        match reading.again(&fit.clone().and(&files)) {
            Ok(config) if waits(&config) => {
                faults.push(ConfigFault { line: None, key: table, why: "it waits for a restart".to_owned() });
            }
            Ok(_) => fit = fit.and(&files),
            Err(told) => faults.extend(told.iter().map(ConfigFault::from)),
        }
    }
    let fits = if fit.is_empty() { Vec::new() } else { reading.again(&fit).into_iter().collect() };
    Some(Look { stale, fits, faults })
}

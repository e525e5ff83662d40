//! One event, one line.

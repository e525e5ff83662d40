//! Beginning and resuming a login.

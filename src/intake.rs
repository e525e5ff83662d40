//! The only door by which a revocation enters.

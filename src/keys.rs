//! An issuer's keys, cached.

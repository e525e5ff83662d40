//! The durable record of revocations.

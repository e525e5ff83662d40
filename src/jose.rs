//! Signed tokens: one verifier for every use, each with its own expectation.

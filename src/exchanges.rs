//! What is in flight, by whom.

//! The owner of the revocation set and of what is in flight.

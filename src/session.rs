//! What our own cookie says.

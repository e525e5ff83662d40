//! The request path on pingora.

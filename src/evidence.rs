//! The credentials that a request carries.

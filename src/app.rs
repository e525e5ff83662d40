//! From config to running services.

//! The applications behind the gateway: which one a request is for, and under which rules.

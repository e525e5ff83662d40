//! An IdP: discovery, authorization request, code exchange.

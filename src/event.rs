//! What a signal says: security event tokens and logout tokens, parsed.

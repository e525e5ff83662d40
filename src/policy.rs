//! What an event does: its mode, its targets, and whether the sender may.

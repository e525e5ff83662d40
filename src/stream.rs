//! An SSF stream: its settings and its state.

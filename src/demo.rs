//! A toy IdP, a toy app and the gateway in one process.

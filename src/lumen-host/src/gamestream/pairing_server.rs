//! pairing_server.

//! control_server.

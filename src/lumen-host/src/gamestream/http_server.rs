//! http_server.

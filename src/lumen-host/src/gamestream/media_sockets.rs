//! media_sockets.

//! The GameStream servers: they translate wire requests into session commands and nothing more.

pub mod control_server;
pub mod catalogue;
pub mod http_server;
pub mod listen;
pub mod mdns;
pub mod media_sockets;
pub mod pairing_server;
pub mod rtsp_server;

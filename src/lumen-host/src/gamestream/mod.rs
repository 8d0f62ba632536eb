//! The GameStream servers: they translate wire requests into session commands and nothing more.

mod box_art;
pub mod catalogue;
pub mod control_server;
pub mod http_server;
mod interfaces;
pub mod listen;
pub mod mdns;
pub mod media_sockets;
pub mod pairing_server;
pub mod rtsp_server;

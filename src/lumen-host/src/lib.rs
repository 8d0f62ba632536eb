//! The lumen host: the daemon that clients talk to, and the worker that streams one session.
//!
//! The binary is `lumen`; this library exists so that tests can drive the rooms one by one. `session` owns
//! `display`, `capture`, `encode`, `audio` and `input`; they know neither each other nor the session.

pub mod admin;
pub mod apps;
pub mod audio;
pub mod bench;
pub mod capture;
pub mod cli;
pub mod clipboard;
pub mod config;
pub mod daemon;
pub mod display;
pub mod doctor;
pub mod encode;
pub mod entropy;
pub mod frame;
pub mod gamestream;
pub mod gpu;
pub mod input;
pub mod link;
pub mod mediaserver;
#[cfg(feature = "quic")]
pub mod native;
pub mod net;
pub mod notify;
pub mod record;
pub mod session;
pub mod store;
pub mod wayland;
pub mod zerocopy;

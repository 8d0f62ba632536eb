//! Graphics drivers that are loaded at run time, so that one binary starts on machines with and without them.
//!
//! Nothing here is linked; a machine without a driver is told apart from one whose driver is broken.

pub mod cuda;
pub mod libraries;
pub mod vulkan;

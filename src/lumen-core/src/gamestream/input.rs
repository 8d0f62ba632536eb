//! Input packets (protocol part 3, section 3).

/// One thing that a client did.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum InputEvent {}

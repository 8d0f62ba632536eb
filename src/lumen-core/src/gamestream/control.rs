//! Control messages and their encryption (protocol part 3, section 2).

/// A message from host to client.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum HostMessage {}

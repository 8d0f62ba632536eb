//! The lumen reference client.

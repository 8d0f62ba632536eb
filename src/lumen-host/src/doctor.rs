//! `lumen doctor`.

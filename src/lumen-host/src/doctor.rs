//! `lumen doctor`.

/// x
#[derive(Debug, serde::Serialize)]
pub struct Report;
impl Report {
    /// x
    pub fn works(&self) -> bool {
        true
    }
}
impl std::fmt::Display for Report {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
/// x
pub fn examine(_: &crate::config::Sources) -> Report {
    Report
}

//! table
/// x
pub struct MessageInfo;
/// y
pub const MESSAGES: &[MessageInfo] = &[];

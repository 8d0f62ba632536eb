//! Video packet headers (protocol part 2, section 1).

/// Number of a video frame, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct FrameIndex(pub u32);

/// What a frame is to the client: the frame type byte of the frame header (protocol part 2, section 1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum FrameKind {
    /// Refers to earlier frames (type 1).
    P,
    /// Key frame with parameter sets (type 2).
    Idr,
    /// A frame of an intra refresh wave (type 4).
    IntraRefresh,
    /// The first frame that refers to none of the invalidated ones (type 5).
    AfterInvalidation,
}

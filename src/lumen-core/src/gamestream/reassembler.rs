//! Video packets back to frames.

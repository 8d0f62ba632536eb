//! FFmpeg at run time.

//! FFmpeg's video encoders and decoders, found and loaded at run time.
//!
//! Nothing of FFmpeg is needed to build, and a machine without it runs with what is built in. libavcodec 59 to 62
//! (FFmpeg 5.1 to 8) are known. Codec contexts are set up through named options only, so their layout does not matter;
//! of `AVFrame` and `AVPacket` a handful of public fields is read and written at offsets that are checked when the
//! library is loaded, and a library that does not pass is refused with a reason.
//!
//! This crate knows no protocol and no policy: which encoder with which options is the host's business.
#![deny(missing_docs)]

mod decoder;
mod encoder;
mod ffi;
mod format;
mod frame;
mod layout;
mod library;
mod options;

pub use decoder::{Picture, VideoDecoder};
pub use encoder::{EncoderParams, Packet, PictureType, VideoEncoder};
pub use format::PixelFormat;
pub use frame::PlanesMut;
pub use library::{Library, LoadError};

/// Why FFmpeg could not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// This build of FFmpeg lacks the codec.
    #[error("this FFmpeg has no {kind} {name}; install a build that has it")]
    NoCodec {
        /// `encoder` or `decoder`.
        kind: &'static str,
        /// FFmpeg's name of the codec.
        name: String,
    },
    /// An option is unknown to this build or has a value it does not take.
    #[error("{codec} does not take {option}={value}: {reason}")]
    Option {
        /// FFmpeg's name of the codec.
        codec: String,
        /// Name of the option.
        option: String,
        /// Value that was refused.
        value: String,
        /// FFmpeg's own words.
        reason: String,
    },
    /// A call failed.
    #[error("{codec} could not {action}: {reason}")]
    Call {
        /// FFmpeg's name of the codec.
        codec: String,
        /// What was tried.
        action: &'static str,
        /// FFmpeg's own words.
        reason: String,
    },
}

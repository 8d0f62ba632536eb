//! What can go wrong with NVENC, in words that say what to do.

use crate::encode::EncodeError;
use crate::gpu::cuda::CudaError;
use crate::gpu::libraries;

use super::NAME;
use super::api::{LIBRARY, NEEDED};

/// Why NVENC cannot be used, or stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NvencError {
    /// There is no NVIDIA driver on this machine.
    #[error("there is no NVIDIA driver on this machine")]
    Absent,
    /// The library is missing though there is a driver.
    #[error(
        "{LIBRARY} cannot be loaded ({reason}); install it with NVIDIA's driver, of the same version (Debian: \
         libnvidia-encode1; containers: the capability 'video'), or name its folder in {}",
        libraries::DIRECTORY_VARIABLE
    )]
    Missing { reason: String },
    /// CUDA does not work.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// The driver is older than the interface that is used here.
    #[error(
        "the driver's NVENC is version {}.{}, and {}.{} is needed: update NVIDIA's driver to 530 or newer",
        has.0, has.1, NEEDED.0, NEEDED.1
    )]
    TooOld { has: (u32, u32) },
    /// The GPU has no encoder.
    #[error("{gpu} has no video encoder (UNSUPPORTED_DEVICE)")]
    NoEncoder { gpu: String },
    /// No session can be opened.
    #[error(
        "{gpu} opens no more encoders ({status}): its driver allows a fixed number at once, of all programs together, \
         or its memory is full"
    )]
    Sessions { gpu: String, status: &'static str },
    /// The GPU does not do what was asked.
    #[error("{gpu} does not encode {what}")]
    Unsupported { gpu: String, what: String },
    /// A call failed.
    #[error("{call}: {status}{}", detail(said))]
    Call { call: &'static str, status: &'static str, said: String },
    /// The driver did something that its interface does not allow.
    #[error("the driver broke its rules: {0}")]
    Broken(&'static str),
    /// A picture could not be converted.
    #[error("{0}")]
    Picture(String),
}

fn detail(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(" ({said})") }
}

impl NvencError {
    /// As an answer to being opened.
    pub(super) fn on_opening(self) -> EncodeError {
        let reason = self.to_string();
        match self {
            Self::Absent => EncodeError::Absent { encoder: NAME, reason },
            _ => EncodeError::Unsupported { encoder: NAME, reason },
        }
    }

    /// As an answer to being used.
    pub(super) fn in_use(self) -> EncodeError {
        EncodeError::Failed { encoder: NAME, reason: self.to_string() }
    }
}

/// The interface's name of a status; 0 is success.
pub(super) fn status_name(status: u32) -> &'static str {
    const NAMES: [&str; 27] = [
        "SUCCESS",
        "NO_ENCODE_DEVICE",
        "UNSUPPORTED_DEVICE",
        "INVALID_ENCODERDEVICE",
        "INVALID_DEVICE",
        "DEVICE_NOT_EXIST",
        "INVALID_PTR",
        "INVALID_EVENT",
        "INVALID_PARAM",
        "INVALID_CALL",
        "OUT_OF_MEMORY",
        "ENCODER_NOT_INITIALIZED",
        "UNSUPPORTED_PARAM",
        "LOCK_BUSY",
        "NOT_ENOUGH_BUFFER",
        "INVALID_VERSION",
        "MAP_FAILED",
        "NEED_MORE_INPUT",
        "ENCODER_BUSY",
        "EVENT_NOT_REGISTERED",
        "GENERIC",
        "INCOMPATIBLE_CLIENT_KEY",
        "UNIMPLEMENTED",
        "RESOURCE_REGISTER_FAILED",
        "RESOURCE_NOT_REGISTERED",
        "RESOURCE_NOT_MAPPED",
        "NEED_MORE_OUTPUT",
    ];
    NAMES.get(status as usize).copied().unwrap_or("an unknown error")
}

//! What the double is told by its environment, and where it writes down what happened.

use std::fs::OpenOptions;
use std::io::Write;
use std::str::FromStr;

/// Names the file to which a line is added for each event. Lines that begin with `violation:` say which rule was broken.
pub const RECORD_VARIABLE: &str = "NVENC_DOUBLE_RECORD";
/// Names the fault to play: see [`Fault`].
pub const FAULT_VARIABLE: &str = "NVENC_DOUBLE_FAULT";
/// Names a folder with one file for each session that may be open at once, in all processes together. Unset, there may
/// be any number.
pub const SLOTS_VARIABLE: &str = "NVENC_DOUBLE_SLOTS";

/// A fault that is played on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `old-driver`: the driver speaks NVENC 11.1 only.
    OldDriver,
    /// `invalid-version`: no version of the list of functions is accepted.
    InvalidVersion,
    /// `unsupported-device`: the GPU has no encoder.
    UnsupportedDevice,
    /// `no-cuda`: CUDA does not start.
    NoCuda,
    /// `no-memory`: there is no memory for buffers.
    NoMemory,
    /// `out-of-memory@N`: the Nth picture of the process finds no memory; all others do.
    OutOfMemory(u64),
    /// `device-lost@N`: from the Nth picture of the process on, every call fails.
    DeviceLost(u64),
    /// `never-again@N`: from the Nth picture of the process on, no picture is encoded any more, but encoders open.
    NeverAgain(u64),
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = text.split_once('@').unwrap_or((text, "1"));
        let number = number.parse().map_err(|_| format!("{text}: no number"))?;
        Ok(match name {
            "old-driver" => Self::OldDriver,
            "invalid-version" => Self::InvalidVersion,
            "unsupported-device" => Self::UnsupportedDevice,
            "no-cuda" => Self::NoCuda,
            "no-memory" => Self::NoMemory,
            "out-of-memory" => Self::OutOfMemory(number),
            "device-lost" => Self::DeviceLost(number),
            "never-again" => Self::NeverAgain(number),
            _ => return Err(format!("{text}: no such fault")),
        })
    }
}

/// The fault to play, if any.
pub(crate) fn fault() -> Option<Fault> {
    let text = std::env::var(FAULT_VARIABLE).ok()?;
    match text.parse() {
        Ok(fault) => Some(fault),
        Err(error) => {
            record(&format!("violation: {FAULT_VARIABLE}: {error}"));
            None
        }
    }
}

/// Writes a line down.
pub(crate) fn record(line: &str) {
    let Some(path) = std::env::var_os(RECORD_VARIABLE) else { return };
    // One write, so that lines of several processes do not mix.
    let line = format!("{} {line}\n", std::process::id());
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) {
        let _ = file.write_all(line.as_bytes());
    }
}

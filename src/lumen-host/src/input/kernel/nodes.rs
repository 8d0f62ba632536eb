//! The two doors to the kernel's input devices, and what to say when one of them stays shut.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

/// A door to the kernel's input devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// Devices of keys and axes: keyboards, pointers, plain gamepads.
    Uinput,
    /// Whole HID devices, which a driver of the kernel takes for real ones: the DualSense.
    Uhid,
}

/// Why a device could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KernelInputError {
    /// The node is there, but not for this user.
    #[error("cannot open {}: permission denied", .0.path())]
    Denied(Node),
    /// The node is not there.
    #[error("cannot open {}: it is not there", .0.path())]
    Missing(Node),
    /// Nothing can be served.
    #[error("cannot start the thread that serves gamepads: {0}")]
    Thread(io::Error),
    /// It is there and open, but a device could not be made.
    #[error("cannot make {device} with {}: {source}", .node.path())]
    Failed {
        /// Which node.
        node: Node,
        /// What was to be made.
        device: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl KernelInputError {
    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Denied(_) => {
                "install lumen's udev rule (60-lumen.rules) and put the user of the host into group 'lumen'".to_owned()
            }
            Self::Missing(node) => format!("load the kernel module: modprobe {}", node.module()),
            Self::Thread(_) => "raise the limits of threads and open files".to_owned(),
            Self::Failed { .. } => "look into the kernel's log (dmesg)".to_owned(),
        }
    }
}

impl Node {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Uinput, Self::Uhid];

    /// Where it is.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Uinput => "/dev/uinput",
            Self::Uhid => "/dev/uhid",
        }
    }

    /// The kernel module that makes it.
    pub const fn module(self) -> &'static str {
        match self {
            Self::Uinput => "uinput",
            Self::Uhid => "uhid",
        }
    }

    /// Opens it for reading and writing; neither ever blocks.
    ///
    /// # Errors
    /// If it is missing or not permitted.
    pub fn open(self) -> Result<File, KernelInputError> {
        let flags = (OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
        // The bits of flags are those of open(2).
        let opened = OpenOptions::new().read(true).write(true).custom_flags(flags.cast_signed()).open(self.path());
        opened.map_err(|error| self.refused("a device", error))
    }

    /// What an error of this node means.
    pub(super) fn refused(self, device: &str, error: io::Error) -> KernelInputError {
        match error.kind() {
            io::ErrorKind::PermissionDenied => KernelInputError::Denied(self),
            io::ErrorKind::NotFound => KernelInputError::Missing(self),
            // A static node whose module is not there.
            _ if error.raw_os_error() == Some(libc::ENODEV) => KernelInputError::Missing(self),
            _ => KernelInputError::Failed { node: self, device: device.to_owned(), source: error },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file_and_the_remedy() {
        let said = |kind: io::ErrorKind| {
            let error = Node::Uhid.refused("a pad", kind.into());
            format!("{error}; {}", error.remedy())
        };
        let denied = said(io::ErrorKind::PermissionDenied);
        assert!(denied.starts_with("cannot open /dev/uhid: permission denied; install lumen's udev rule"), "{denied}");
        assert_eq!(
            said(io::ErrorKind::NotFound),
            "cannot open /dev/uhid: it is not there; load the kernel module: modprobe uhid"
        );
        assert!(said(io::ErrorKind::InvalidInput).starts_with("cannot make a pad with /dev/uhid: "));
    }
}

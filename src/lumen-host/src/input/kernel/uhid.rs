//! A HID device made through `/dev/uhid`: the kernel's driver for its numbers takes it for a real one. Messages are
//! those of the kernel's public header `uhid.h`: a number, then the fields without gaps, native byte order; short
//! writes count as filled up with zeros. Nothing here knows what reports mean, and nothing blocks.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::nodes::{KernelInputError, Node};

/// What a HID device is made of.
#[derive(Debug, Clone, Copy)]
pub struct Description<'a> {
    /// Name, at most 127 bytes; what is longer is cut.
    pub name: &'a str,
    /// Physical path, at most 63 bytes.
    pub path: &'a str,
    /// Serial number or address, at most 63 bytes. Drivers may replace it.
    pub unique: &'a str,
    /// Vendor number.
    pub vendor: u16,
    /// Product number.
    pub product: u16,
    /// Device version.
    pub version: u16,
    /// Report descriptor, at most 4096 bytes.
    pub descriptor: &'a [u8],
}

/// What the kernel wants of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A program or a driver listens now.
    Open,
    /// A report for the device, its number first.
    Output(Vec<u8>),
    /// Asks for a report; to be answered by [`Uhid::reply`] within 5 s.
    Get {
        /// Names the answer.
        id: u32,
        /// Number of the report.
        report: u8,
    },
    /// Sets a report; to be answered by [`Uhid::accept`] within 5 s.
    Set {
        /// Names the answer.
        id: u32,
        /// The report, its number first.
        report: Vec<u8>,
    },
}

/// A HID device. Dropping it removes it.
#[derive(Debug)]
pub struct Uhid {
    file: File,
    broken: bool,
}

impl Uhid {
    /// Plugs a device in. Its driver probes it in the background, and asks for reports meanwhile.
    ///
    /// # Errors
    /// If the node is missing, not permitted, or refuses the device.
    pub fn new(description: &Description<'_>) -> Result<Self, KernelInputError> {
        let mut file = Node::Uhid.open()?;
        file.write_all(&create(description)).map_err(|error| Node::Uhid.refused(description.name, error))?;
        Ok(Self { file, broken: false })
    }

    /// Sends an input report, its number first.
    pub fn input(&mut self, report: &[u8]) {
        self.send(&with_size(INPUT2, &[], report));
    }

    /// Answers a [`Request::Get`]; `None` says that there is no such report.
    pub fn reply(&mut self, id: u32, report: Option<&[u8]>) {
        let error = if report.is_some() { 0 } else { libc::EIO as u16 };
        let fields = [&id.to_ne_bytes()[..], &error.to_ne_bytes()].concat();
        self.send(&with_size(GET_REPORT_REPLY, &fields, report.unwrap_or_default()));
    }

    /// Answers a [`Request::Set`]: it is done.
    pub fn accept(&mut self, id: u32) {
        let done = 0_u16;
        self.send(&[&SET_REPORT_REPLY.to_ne_bytes()[..], &id.to_ne_bytes(), &done.to_ne_bytes()].concat());
    }

    /// The next thing that the kernel wants, if any.
    pub fn request(&mut self) -> Option<Request> {
        let mut message = vec![0; MESSAGE];
        loop {
            // One message a read; at its end, or when none waits, an error or nothing.
            let length = self.file.read(&mut message).ok().filter(|length| *length > 0)?;
            if let Some(request) = understand(&message[..length]) {
                return Some(request);
            }
        }
    }

    fn send(&mut self, message: &[u8]) {
        let result: io::Result<()> = self.file.write_all(message);
        if let Err(error) = result
            && !std::mem::replace(&mut self.broken, true)
        {
            tracing::warn!(%error, "a kernel HID device takes no reports");
        }
    }
}

impl AsFd for Uhid {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

// Numbers of messages.
const OPEN: u32 = 4;
const OUTPUT: u32 = 6;
const GET_REPORT: u32 = 9;
const GET_REPORT_REPLY: u32 = 10;
const CREATE2: u32 = 11;
const INPUT2: u32 = 12;
const SET_REPORT: u32 = 13;
const SET_REPORT_REPLY: u32 = 14;

/// Largest report or descriptor.
const DATA: usize = 4096;
/// The longest message, CREATE2, with its number.
const MESSAGE: usize = 4 + 128 + 64 + 64 + 2 + 2 + 4 * 4 + DATA;
/// USB.
const BUS: u16 = 0x03;

fn create(description: &Description<'_>) -> Vec<u8> {
    let descriptor = &description.descriptor[..description.descriptor.len().min(DATA)];
    let mut message = CREATE2.to_ne_bytes().to_vec();
    for (text, size) in [(description.name, 128), (description.path, 64), (description.unique, 64)] {
        let end = message.len() + size;
        message.extend(text.bytes().filter(|byte| *byte != 0).take(size - 1));
        message.resize(end, 0);
    }
    // At most DATA, which fits.
    message.extend((descriptor.len() as u16).to_ne_bytes());
    message.extend(BUS.to_ne_bytes());
    for number in [description.vendor, description.product, description.version, 0] {
        message.extend(u32::from(number).to_ne_bytes());
    }
    message.extend(descriptor);
    message
}

/// A message that ends with a size and that many bytes.
fn with_size(number: u32, fields: &[u8], data: &[u8]) -> Vec<u8> {
    let data = &data[..data.len().min(DATA)];
    // At most DATA, which fits.
    let size = (data.len() as u16).to_ne_bytes();
    [&number.to_ne_bytes()[..], fields, &size, data].concat()
}

fn understand(message: &[u8]) -> Option<Request> {
    let (number, fields) = message.split_first_chunk()?;
    match u32::from_ne_bytes(*number) {
        OPEN => Some(Request::Open),
        OUTPUT => {
            let (data, rest) = fields.split_at_checked(DATA)?;
            let size = u16::from_ne_bytes(*rest.first_chunk()?);
            Some(Request::Output(data.get(..size.into())?.to_vec()))
        }
        GET_REPORT => {
            let (id, rest) = fields.split_first_chunk()?;
            Some(Request::Get { id: u32::from_ne_bytes(*id), report: *rest.first()? })
        }
        SET_REPORT => {
            let (id, rest) = fields.split_first_chunk()?;
            // Number and kind of the report come before its size.
            let (size, data) = rest.get(2..)?.split_first_chunk()?;
            let report = data.get(..u16::from_ne_bytes(*size).into())?.to_vec();
            Some(Request::Set { id: u32::from_ne_bytes(*id), report })
        }
        // Start, stop and close need no answer.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_device_is_described_field_by_field() {
        let long = "x".repeat(200);
        let description = Description {
            name: "pad",
            path: &long,
            unique: "02:00",
            vendor: 0x054C,
            product: 0x0CE6,
            version: 0x8111,
            descriptor: &[5, 1, 9],
        };
        let message = create(&description);
        assert_eq!(message.len(), 4 + 128 + 64 + 64 + 4 + 16 + 3);
        assert_eq!(message[..8], [11, 0, 0, 0, b'p', b'a', b'd', 0]);
        assert_eq!(message[4 + 128 + 62..4 + 128 + 65], [b'x', 0, b'0']);
        assert_eq!(message[260..268], [3, 0, 3, 0, 0x4C, 0x05, 0, 0]);
        assert_eq!(message[276..], [0, 0, 0, 0, 5, 1, 9][..]);
    }

    #[test]
    fn requests_of_the_kernel_are_understood() {
        let mut output = OUTPUT.to_ne_bytes().to_vec();
        output.resize(4 + DATA, 7);
        output.extend([2, 0, 1]);
        assert_eq!(understand(&output), Some(Request::Output(vec![7, 7])));
        let get = [&GET_REPORT.to_ne_bytes()[..], &[9, 0, 0, 0, 0x20, 0]].concat();
        assert_eq!(understand(&get), Some(Request::Get { id: 9, report: 0x20 }));
        let set = [&SET_REPORT.to_ne_bytes()[..], &[9, 0, 0, 0, 0x08, 0, 2, 0, 8, 1, 99]].concat();
        assert_eq!(understand(&set), Some(Request::Set { id: 9, report: vec![8, 1] }));
        assert_eq!(understand(&OPEN.to_ne_bytes()), Some(Request::Open));
    }

    proptest! {
        #[test]
        fn no_message_panics(number in 0_u32..20, rest in proptest::collection::vec(any::<u8>(), 0..5000)) {
            understand(&[&number.to_ne_bytes()[..], &rest].concat());
            understand(&rest);
        }
    }
}

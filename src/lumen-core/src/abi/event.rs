//! Events as C sees them.

use super::LumenStatus::{self, LumenBadArgument, LumenBadVersion, LumenNothing, LumenOk};
use super::handle::Handle;
use super::{LUMEN_CLIPBOARD_PNG, LUMEN_CLIPBOARD_TEXT, LUMEN_NEVER};
use crate::lumen1::message::ClipboardFormat;
use crate::lumen1::session::{Client, ClientEvent, Ended, Host, HostEvent, References};
use crate::time::Timestamp;

/// What an event is about.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LumenEventKind {
    /// Nothing.
    LumenEventNone = 0,
    /// Host: the client is at the address `value`. Client: the host is there.
    LumenEventConnected = 1,
    /// Client: frame `first`, `data`; captured at `value`; `flags` is 1 if what it refers to was lost.
    LumenEventFrame = 2,
    /// Client: frames `first` to `last` are lost.
    LumenEventLost = 3,
    /// Client: an Opus frame, `data`, number `first`, time `value`.
    LumenEventAudio = 4,
    /// Client: an answer to an input device of type `first`, `data`.
    LumenEventInputAnswer = 5,
    /// Client: the pointer is at `x`, `y` and has shape `first`; `flags` is 1 if it is visible.
    LumenEventCursorPosition = 6,
    /// Client: shape `first` of the pointer has `x` × `y` pixels, `data`; `value` is the pixel that points, row × width + column.
    LumenEventCursorShape = 7,
    /// Both: the clipboard of the other end holds `data`, of format `first`.
    LumenEventClipboard = 8,
    /// Host: an input packet, `data`.
    LumenEventInput = 9,
    /// Host: an Opus frame of the microphone, `data`, number `first`, time `value`.
    LumenEventMicrophone = 10,
    /// Host: nothing may refer to frames `first` to `last`.
    LumenEventInvalidate = 11,
    /// Host: the client needs a key frame.
    LumenEventKeyFrame = 12,
    /// Host: frame `first` ended; `flags`: 0 complete, 1 restored, 2 lost; `x` shards arrived, `value` microseconds passed.
    LumenEventFrameStatus = 13,
    /// Host: receipts of packets of epoch `first`; `data` holds `LumenReceipt`s.
    LumenEventReceipts = 14,
    /// Host: a shard of frame `first` was sent again, in packet `value` of epoch `last`.
    LumenEventResent = 15,
    /// Both: the session is over. `first` is the code of the other end, or 65535 if it was silent; `data` its text.
    LumenEventEnded = 16,
}

use LumenEventKind::*;

/// An event. Valid until the next call with the handle.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LumenEvent {
    /// `sizeof(LumenEvent)` of the caller; not more than that is written.
    pub struct_size: u32,
    /// What it is about; the other members mean what is said there, or are 0.
    pub kind: LumenEventKind,
    /// See the kind.
    pub first: u32,
    /// See the kind.
    pub last: u32,
    /// See the kind.
    pub x: i32,
    /// See the kind.
    pub y: i32,
    /// See the kind.
    pub value: u64,
    /// See the kind; null if there are no bytes.
    pub data: *const u8,
    /// Bytes at `data`.
    pub len: usize,
    /// See the kind.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

/// When a packet arrived.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LumenReceipt {
    /// The packet.
    pub number: u64,
    /// Microseconds of the client's clock; `LUMEN_NEVER` if it did not arrive yet.
    pub arrived_us: u64,
}

/// Bytes of the structure of version 1.0: later versions append members.
const EVENT_1_0: usize = std::mem::offset_of!(LumenEvent, reserved) + size_of::<u32>();

const NO_EVENT: LumenEvent = LumenEvent {
    struct_size: 0,
    kind: LumenEventNone,
    first: 0,
    last: 0,
    x: 0,
    y: 0,
    value: 0,
    data: std::ptr::null(),
    len: 0,
    flags: 0,
    reserved: 0,
};

impl<T> Handle<T> {
    /// The event with bytes, which the handle keeps.
    fn with_bytes(&mut self, event: LumenEvent, bytes: Vec<u8>) -> LumenEvent {
        self.bytes = bytes;
        LumenEvent { data: self.bytes.as_ptr(), len: self.bytes.len(), ..event }
    }

    fn ended(&mut self, ended: Ended) -> LumenEvent {
        let (code, text) = match ended {
            Ended::Closed(code, text) => (code.wire(), text),
            Ended::Silent => (u16::MAX, String::new()),
        };
        self.with_bytes(LumenEvent { kind: LumenEventEnded, first: code.into(), ..NO_EVENT }, text.into_bytes())
    }
}

fn clipboard_format(format: ClipboardFormat) -> u32 {
    match format {
        ClipboardFormat::Text => LUMEN_CLIPBOARD_TEXT,
        ClipboardFormat::Png => LUMEN_CLIPBOARD_PNG,
    }
}

pub(super) fn format_of(format: u32) -> Option<ClipboardFormat> {
    match format {
        LUMEN_CLIPBOARD_TEXT => Some(ClipboardFormat::Text),
        LUMEN_CLIPBOARD_PNG => Some(ClipboardFormat::Png),
        _ => None,
    }
}

pub(super) fn host_event(handle: &mut Handle<Host>, event: HostEvent) -> LumenEvent {
    let of = |kind| LumenEvent { kind, ..NO_EVENT };
    match event {
        HostEvent::Path(path) => LumenEvent { value: path.0, ..of(LumenEventConnected) },
        HostEvent::Input(input) => handle.with_bytes(of(LumenEventInput), input.to_bytes()),
        HostEvent::Receipts { epoch, receipts } => {
            handle.receipts = receipts
                .into_iter()
                .map(|receipt| LumenReceipt {
                    number: receipt.number.0,
                    arrived_us: receipt.arrived.map_or(LUMEN_NEVER, Timestamp::as_micros),
                })
                .collect();
            let (data, len) = (handle.receipts.as_ptr().cast(), size_of_val(&handle.receipts[..]));
            LumenEvent { first: epoch.0.into(), data, len, ..of(LumenEventReceipts) }
        }
        HostEvent::FrameStatus(status) => LumenEvent {
            first: status.frame.0,
            flags: status.outcome as u32,
            x: status.received.into(),
            value: status.micros.into(),
            ..of(LumenEventFrameStatus)
        },
        HostEvent::Resent { frame, epoch, number } => {
            LumenEvent { first: frame.0, last: epoch.0.into(), value: number.0, ..of(LumenEventResent) }
        }
        HostEvent::Invalidate { first, last } => {
            LumenEvent { first: first.0, last: last.0, ..of(LumenEventInvalidate) }
        }
        HostEvent::KeyFrame => of(LumenEventKeyFrame),
        HostEvent::Clipboard(format, bytes) => {
            handle.with_bytes(LumenEvent { first: clipboard_format(format), ..of(LumenEventClipboard) }, bytes)
        }
        HostEvent::Microphone { sequence, timestamp, data } => {
            let event = LumenEvent { first: sequence, value: timestamp.into(), ..of(LumenEventMicrophone) };
            handle.with_bytes(event, data)
        }
        HostEvent::Ended(ended) => handle.ended(ended),
    }
}

pub(super) fn client_event(handle: &mut Handle<Client>, event: ClientEvent) -> LumenEvent {
    let of = |kind| LumenEvent { kind, ..NO_EVENT };
    match event {
        ClientEvent::Connected => of(LumenEventConnected),
        ClientEvent::Frame(frame, references) => {
            let frame = handle.frame.insert(frame);
            LumenEvent {
                first: frame.number.0,
                value: frame.header.captured.as_micros(),
                data: frame.data().as_ptr(),
                len: frame.data().len(),
                flags: u32::from(references == References::Broken),
                ..of(LumenEventFrame)
            }
        }
        ClientEvent::Lost { first, last } => LumenEvent { first: first.0, last: last.0, ..of(LumenEventLost) },
        ClientEvent::Audio { sequence, timestamp, data } => {
            let event = LumenEvent { first: sequence, value: timestamp.into(), ..of(LumenEventAudio) };
            handle.with_bytes(event, data)
        }
        ClientEvent::InputAnswer(kind, payload) => {
            handle.with_bytes(LumenEvent { first: kind.into(), ..of(LumenEventInputAnswer) }, payload)
        }
        ClientEvent::CursorShape { id, size: (width, height), hot_spot: (x, y), pixels } => {
            let value = u64::from(y) * u64::from(width) + u64::from(x);
            let event = LumenEvent { first: id, x: width.into(), y: height.into(), value, ..of(LumenEventCursorShape) };
            handle.with_bytes(event, pixels)
        }
        ClientEvent::CursorPosition(position) => LumenEvent {
            first: position.shape,
            x: position.x,
            y: position.y,
            flags: position.visibility as u32,
            ..of(LumenEventCursorPosition)
        },
        ClientEvent::Clipboard(format, bytes) => {
            handle.with_bytes(LumenEvent { first: clipboard_format(format), ..of(LumenEventClipboard) }, bytes)
        }
        ClientEvent::Ended(ended) => handle.ended(ended),
    }
}

/// Writes an event, as much of it as the caller has room for.
///
/// # Safety
/// `out` is null or points to at least four bytes and as many as these say, writable.
pub(super) unsafe fn write_event(out: *mut LumenEvent, event: Option<LumenEvent>) -> LumenStatus {
    // SAFETY: by the contract of this function.
    let said = match unsafe { sized_room(out) } {
        Ok(said) => said,
        Err(status) => return status,
    };
    let status = if event.is_some() { LumenOk } else { LumenNothing };
    let event = LumenEvent { struct_size: said as u32, ..event.unwrap_or(NO_EVENT) };
    let from = (&raw const event).cast::<u8>();
    // SAFETY: so many bytes are writable there, and readable here.
    unsafe { out.cast::<u8>().copy_from_nonoverlapping(from, said.min(size_of::<LumenEvent>())) };
    status
}

/// How much room the caller has for an event.
///
/// # Safety
/// `out` is null or points to at least four bytes.
pub(super) unsafe fn sized_room(out: *const LumenEvent) -> Result<usize, LumenStatus> {
    if out.is_null() {
        return Err(LumenBadArgument);
    }
    // SAFETY: not null, and four bytes are readable.
    let said = unsafe { out.cast::<u32>().read_unaligned() } as usize;
    if said < EVENT_1_0 { Err(LumenBadVersion) } else { Ok(said) }
}

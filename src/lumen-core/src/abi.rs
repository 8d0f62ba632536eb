//! The C ABI: both ends of a lumen/1 session for other languages. `include/lumen_core.h` is generated from this file.
//!
//! It follows the contract of [`crate::lumen1::session`]: datagrams go in; datagrams, events and the next deadline come
//! out; the caller owns sockets, clocks and random bytes. Every function takes null pointers and bad lengths for what they
//! are, and no panic crosses the border: a handle in which one happened refuses all further calls. Structures begin with
//! their own size, so that both sides may be of different versions. What a handle points to is valid until the next call
//! with that handle; a handle is for one thread at a time.
#![allow(unsafe_code, reason = "the border to C")]

use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::fec::scheme::Scheme;
use crate::gamestream::input::InputEvent;
use crate::lumen1::FrameToSend;
use crate::lumen1::header::{Epoch, PacketNumber, SessionId};
use crate::lumen1::keys::KeySchedule;
use crate::lumen1::message::{ClipboardFormat, CloseCode};
use crate::lumen1::negotiation::Grants;
use crate::lumen1::path::PathId;
use crate::lumen1::seal::SendPosition;
use crate::lumen1::session::{
    Client, ClientConfig, ClientEvent, Ended, Host, HostConfig, HostEvent, References, SessionConfig,
};
use crate::lumen1::video::{FrameFlags, FrameKind, Reference};
use crate::time::Timestamp;

/// Major version of the ABI in the upper 16 bits, minor version in the lower. A library serves callers of its own major
/// version and of any minor version up to its own.
pub const LUMEN_ABI_VERSION: u32 = 0x0001_0000;

/// No deadline.
pub const LUMEN_NEVER: u64 = u64::MAX;

/// The clipboard may be used.
pub const LUMEN_GRANT_CLIPBOARD: u32 = 1;
/// The client's microphone may be used.
pub const LUMEN_GRANT_MICROPHONE: u32 = 2;
/// The pointer goes apart from the picture.
pub const LUMEN_GRANT_CURSOR: u32 = 4;

/// Interleaved blocks over GF(2^8).
pub const LUMEN_SCHEME_GF8X: u8 = 1;
/// One block over GF(2^16).
pub const LUMEN_SCHEME_GF16: u8 = 2;

/// A frame that refers to earlier ones.
pub const LUMEN_FRAME_P: u8 = 1;
/// A key frame.
pub const LUMEN_FRAME_IDR: u8 = 2;
/// A part of an intra refresh.
pub const LUMEN_FRAME_INTRA_REFRESH: u8 = 4;
/// A frame that refers to no frame that was invalidated.
pub const LUMEN_FRAME_AFTER_INVALIDATION: u8 = 5;

/// Later frames may refer to the frame.
pub const LUMEN_REFERENCE_SHORT: u8 = 0;
/// The frame is kept as a long-term reference.
pub const LUMEN_REFERENCE_LONG_TERM: u8 = 1;
/// No frame refers to the frame.
pub const LUMEN_REFERENCE_NONE: u8 = 2;

/// UTF-8 text in a clipboard.
pub const LUMEN_CLIPBOARD_TEXT: u32 = 1;
/// A PNG image in a clipboard.
pub const LUMEN_CLIPBOARD_PNG: u32 = 2;

/// What came of a call.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LumenStatus {
    /// It was done.
    LumenOk = 0,
    /// There is nothing: no datagram, no event.
    LumenNothing = 1,
    /// A pointer is null, a length or a value is out of range.
    LumenBadArgument = 2,
    /// A structure is of a version that this library does not know.
    LumenBadVersion = 3,
    /// The datagram, or a part of it, was not used. That is harmless.
    LumenDropped = 4,
    /// The client's address is not known yet.
    LumenNoPath = 5,
    /// It can't be sent; the handle's error text says why.
    LumenRefused = 6,
    /// The buffer is too small; the length that is needed was written.
    LumenTooSmall = 7,
    /// The library failed. The handle can only be freed.
    LumenFailed = 8,
}

use LumenStatus::{
    LumenBadArgument, LumenBadVersion, LumenDropped, LumenFailed, LumenNoPath, LumenNothing, LumenOk, LumenRefused,
    LumenTooSmall,
};

/// What a session needs to know. Fill it with zeros, then set `struct_size`, the keys and what else is wanted.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LumenConfig {
    /// `sizeof(LumenConfig)` of the caller.
    pub struct_size: u32,
    /// The name of the session.
    pub session: u32,
    /// The secret that both ends have.
    pub secret: [u8; 32],
    /// Its length: 16 to 32.
    pub secret_len: u32,
    /// The random bytes of the host.
    pub host_random: [u8; 16],
    /// The random bytes of the client.
    pub client_random: [u8; 16],
    /// Random bytes that are never used again; only a host needs them.
    pub seed: [u8; 32],
    /// Longest datagram; 0 for 1452.
    pub datagram: u32,
    /// Longest frame in bytes; 0 for 16 MiB.
    pub max_frame: u32,
    /// Longest clipboard in bytes; 0 for 1 MiB.
    pub max_message: u32,
    /// `LUMEN_GRANT_*`, added.
    pub grants: u32,
    /// 0, or the epoch after the last one in which an earlier end with the same keys may have sent.
    pub epoch: u32,
}

/// A frame to be sent.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LumenFrame {
    /// `sizeof(LumenFrame)` of the caller.
    pub struct_size: u32,
    /// `LUMEN_FRAME_*`.
    pub kind: u8,
    /// `LUMEN_REFERENCE_*`.
    pub reference: u8,
    /// `LUMEN_SCHEME_*`.
    pub scheme: u8,
    /// 0.
    pub reserved: u8,
    /// Parity shards; measure them against `lumen_host_data_shards`.
    pub parity: u32,
    /// Microseconds after its capture for which the frame is of use; 0 without a limit.
    pub deadline_us: u32,
    /// Microseconds from capture until now.
    pub host_latency_us: u32,
    /// When it was captured, on the clock of `now_us`.
    pub captured_us: u64,
    /// The encoder's output.
    pub data: *const u8,
    /// Its length.
    pub len: usize,
}

/// The datagrams of a frame: one after another, all of one length. Valid until the next call with the host.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LumenDatagrams {
    /// The first byte of the first one.
    pub data: *const u8,
    /// The length of each.
    pub stride: usize,
    /// How many there are.
    pub count: usize,
    /// Where they go.
    pub path: u64,
    /// The number of the frame.
    pub frame: u32,
    /// The epoch of its packets.
    pub epoch: u32,
    /// The number of the first packet; the others follow it.
    pub first_packet: u64,
}

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

/// The host's end of a session.
pub struct LumenHost(Handle<Host>);

/// The client's end of a session.
pub struct LumenClient(Handle<Client>);

/// A machine, and what C was lent of it.
struct Handle<T> {
    machine: T,
    poisoned: bool,
    error: CString,
    /// A datagram that found no room with the caller.
    waiting: Option<(u64, Vec<u8>)>,
    datagram: Vec<u8>,
    bytes: Vec<u8>,
    receipts: Vec<LumenReceipt>,
    frame: Option<crate::lumen1::Frame>,
}

impl<T> Handle<T> {
    fn new(machine: T) -> Self {
        Self {
            machine,
            poisoned: false,
            error: CString::default(),
            waiting: None,
            datagram: Vec::new(),
            bytes: Vec::new(),
            receipts: Vec::new(),
            frame: None,
        }
    }

    /// Runs `action` on the handle behind `this`, so that neither null nor a panic does harm.
    ///
    /// # Safety
    /// `this` is null or a handle that was not freed, used by one thread.
    unsafe fn call(this: *mut Self, action: impl FnOnce(&mut Self) -> LumenStatus) -> LumenStatus {
        // SAFETY: by the contract of this function it is null or valid and not shared.
        let Some(handle) = (unsafe { this.as_mut() }) else { return LumenBadArgument };
        if handle.poisoned {
            return LumenFailed;
        }
        if !handle.error.is_empty() {
            handle.error = CString::default();
        }
        catch_unwind(AssertUnwindSafe(|| action(&mut *handle))).unwrap_or_else(|_| {
            handle.poisoned = true;
            handle.error = c"the library failed; free the handle".to_owned();
            LumenFailed
        })
    }

    fn fail(&mut self, status: LumenStatus, error: &dyn std::fmt::Display) -> LumenStatus {
        self.error = CString::new(error.to_string().replace('\0', " ")).unwrap_or_default();
        status
    }

    fn done<E: std::fmt::Display>(&mut self, result: Result<(), E>, failed: LumenStatus) -> LumenStatus {
        result.map_or_else(|error| self.fail(failed, &error), |()| LumenOk)
    }

    /// Hands out a datagram; keeps it if there is no room for it.
    fn transmit(&mut self, path: u64, out: Out<'_>) -> LumenStatus {
        let Out { buffer, len, path_out } = out;
        *len = self.datagram.len();
        let Some(room) = buffer.get_mut(..self.datagram.len()) else {
            self.waiting = Some((path, std::mem::take(&mut self.datagram)));
            return LumenTooSmall;
        };
        room.copy_from_slice(&self.datagram);
        if let Some(path_out) = path_out {
            *path_out = path;
        }
        LumenOk
    }
}

/// Where a datagram goes.
struct Out<'a> {
    buffer: &'a mut [u8],
    len: &'a mut usize,
    path_out: Option<&'a mut u64>,
}

/// The bytes behind a pointer and a length; `None` if they can't be any.
///
/// # Safety
/// `data` is null or points to `len` bytes that nobody writes for `'a`.
unsafe fn bytes<'a>(data: *const u8, len: usize) -> Option<&'a [u8]> {
    match (data.is_null(), isize::try_from(len)) {
        (_, Ok(0)) => Some(&[]),
        // SAFETY: not null, and as long as the caller says.
        (false, Ok(_)) => Some(unsafe { std::slice::from_raw_parts(data, len) }),
        _ => None,
    }
}

/// As [`bytes`], to be written.
///
/// # Safety
/// `data` is null or points to `len` bytes that nobody else uses for `'a`.
unsafe fn bytes_mut<'a>(data: *mut u8, len: usize) -> Option<&'a mut [u8]> {
    match (data.is_null(), isize::try_from(len)) {
        (_, Ok(0)) => Some(&mut []),
        // SAFETY: not null, as long as the caller says, and not shared.
        (false, Ok(_)) => Some(unsafe { std::slice::from_raw_parts_mut(data, len) }),
        _ => None,
    }
}

/// A structure that begins with its size: as much as the caller has of it, the rest zero. A caller of a later version may
/// have more, if that is zero.
///
/// # Safety
/// `from` is null or points to at least four readable bytes and to as many as these say; `T` is plain data for which
/// zeros are valid, and begins with its size.
unsafe fn sized<T: Copy>(from: *const T, least: usize) -> Result<T, LumenStatus> {
    if from.is_null() {
        return Err(LumenBadArgument);
    }
    // SAFETY: four bytes are readable; nothing is said of their alignment.
    let said = unsafe { from.cast::<u32>().read_unaligned() } as usize;
    if said < least || said > 1 << 16 {
        return Err(LumenBadVersion);
    }
    // SAFETY: the caller says that there are as many bytes.
    let given = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), said) };
    let known = said.min(size_of::<T>());
    if given[known..].iter().any(|byte| *byte != 0) {
        return Err(LumenBadVersion);
    }
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: `known` bytes are readable there and writable here, and zeros are valid for what is not written.
    unsafe {
        value.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(given.as_ptr(), known);
        Ok(value.assume_init())
    }
}

/// Bytes of the structures of version 1.0: later versions append members.
const CONFIG_1_0: usize = std::mem::offset_of!(LumenConfig, epoch) + size_of::<u32>();
const FRAME_1_0: usize = std::mem::offset_of!(LumenFrame, len) + size_of::<usize>();
const EVENT_1_0: usize = std::mem::offset_of!(LumenEvent, reserved) + size_of::<u32>();

impl LumenConfig {
    fn session(&self) -> Result<SessionConfig, LumenStatus> {
        let secret = self.secret.get(..self.secret_len as usize).ok_or(LumenBadArgument)?;
        let keys = KeySchedule::new(secret, &self.host_random, &self.client_random).map_err(|_| LumenBadArgument)?;
        let usual = SessionConfig::new(SessionId(self.session), keys);
        let or = |given: u32, usual: usize| if given == 0 { usual } else { given as usize };
        let datagram = or(self.datagram, usual.datagram);
        if !(crate::lumen1::MIN_DATAGRAM..=crate::lumen1::MAX_DATAGRAM).contains(&datagram) {
            return Err(LumenBadArgument);
        }
        Ok(SessionConfig {
            datagram,
            max_frame: or(self.max_frame, usual.max_frame),
            max_message: or(self.max_message, usual.max_message),
            grants: Grants(self.grants),
            ..usual
        })
    }

    fn position(&self) -> Result<SendPosition, LumenStatus> {
        let epoch = u16::try_from(self.epoch).map(Epoch).map_err(|_| LumenBadArgument)?;
        Ok(SendPosition { epoch, next: PacketNumber(0) })
    }
}

impl LumenFrame {
    /// # Safety
    /// `data` is null or points to `len` bytes that nobody writes for `'a`.
    unsafe fn to_send<'a>(self) -> Option<FrameToSend<'a>> {
        let micros = |micros: u32| Duration::from_micros(micros.into());
        Some(FrameToSend {
            // SAFETY: by the contract of this function.
            data: unsafe { bytes(self.data, self.len) }?,
            flags: FrameFlags {
                kind: FrameKind::from_wire_type(self.kind)?,
                reference: match self.reference {
                    LUMEN_REFERENCE_SHORT => Reference::Short,
                    LUMEN_REFERENCE_LONG_TERM => Reference::LongTerm,
                    LUMEN_REFERENCE_NONE => Reference::None,
                    _ => return None,
                },
            },
            captured: Timestamp::from_micros(self.captured_us),
            deadline: (self.deadline_us > 0).then(|| micros(self.deadline_us)),
            host_latency: micros(self.host_latency_us),
            scheme: Scheme::try_from(self.scheme).ok()?,
            parity: u16::try_from(self.parity).ok()?,
        })
    }
}

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

fn format_of(format: u32) -> Option<ClipboardFormat> {
    match format {
        LUMEN_CLIPBOARD_TEXT => Some(ClipboardFormat::Text),
        LUMEN_CLIPBOARD_PNG => Some(ClipboardFormat::Png),
        _ => None,
    }
}

fn host_event(handle: &mut Handle<Host>, event: HostEvent) -> LumenEvent {
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

fn client_event(handle: &mut Handle<Client>, event: ClientEvent) -> LumenEvent {
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
unsafe fn write_event(out: *mut LumenEvent, event: Option<LumenEvent>) -> LumenStatus {
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
unsafe fn sized_room(out: *const LumenEvent) -> Result<usize, LumenStatus> {
    if out.is_null() {
        return Err(LumenBadArgument);
    }
    // SAFETY: not null, and four bytes are readable.
    let said = unsafe { out.cast::<u32>().read_unaligned() } as usize;
    if said < EVENT_1_0 { Err(LumenBadVersion) } else { Ok(said) }
}

/// Puts a new handle where the caller wants it.
///
/// # Safety
/// `out` is null or writable; `config` is as for [`sized`].
unsafe fn create<T>(
    config: *const LumenConfig,
    out: *mut *mut T,
    make: impl FnOnce(&LumenConfig) -> Result<T, LumenStatus>,
) -> LumenStatus {
    if out.is_null() {
        return LumenBadArgument;
    }
    // SAFETY: not null, and writable.
    unsafe { out.write(std::ptr::null_mut()) };
    let made = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: by the contract of this function; the structure is plain numbers.
        let config = unsafe { sized(config, CONFIG_1_0) }?;
        make(&config)
    }));
    match made {
        Ok(Ok(handle)) => {
            // SAFETY: not null, and writable.
            unsafe { out.write(Box::into_raw(Box::new(handle))) };
            LumenOk
        }
        Ok(Err(status)) => status,
        Err(_) => LumenFailed,
    }
}

/// The version of this library; compare its upper half with that of `LUMEN_ABI_VERSION`.
#[unsafe(no_mangle)]
pub extern "C" fn lumen_abi_version() -> u32 {
    LUMEN_ABI_VERSION
}

/// What a status means, as text that is never freed. Any number may be given.
#[unsafe(no_mangle)]
pub extern "C" fn lumen_status_text(status: i32) -> *const c_char {
    let text = match status {
        0 => c"done",
        1 => c"nothing there",
        2 => c"a pointer is null, or a length or value is out of range",
        3 => c"a structure is of a version that this library does not know",
        4 => c"the datagram, or a part of it, was not used",
        5 => c"the client's address is not known yet",
        6 => c"it cannot be sent",
        7 => c"the buffer is too small",
        8 => c"the library failed",
        _ => c"no status of this library",
    };
    text.as_ptr()
}

/// Makes the host's end of a session. `*out` is null unless it returns `LUMEN_OK`.
///
/// # Safety
/// `config` points to a `LumenConfig` of the size that it says; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_host_new(
    config: *const LumenConfig,
    now_us: u64,
    out: *mut *mut LumenHost,
) -> LumenStatus {
    let make = |config: &LumenConfig| {
        let host = HostConfig { position: config.position()?, ..HostConfig::new(config.session()?, config.seed) };
        Ok(LumenHost(Handle::new(Host::new(host, Timestamp::from_micros(now_us)))))
    };
    // SAFETY: passed on.
    unsafe { create(config, out, make) }
}

/// Frees a host; null is fine.
///
/// # Safety
/// `host` is null or was made by `lumen_host_new` and not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_host_free(host: *mut LumenHost) {
    if !host.is_null() {
        // SAFETY: it was made by `Box::into_raw`, and is freed once.
        let host = unsafe { Box::from_raw(host) };
        let _ = catch_unwind(AssertUnwindSafe(|| drop(host)));
    }
}

/// Why the last call with this host failed; empty if none did.
///
/// # Safety
/// `host` is null or a host. The text is valid until the next call with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_host_error(host: *const LumenHost) -> *const c_char {
    // SAFETY: null or valid.
    unsafe { host.as_ref() }.map_or(c"".as_ptr(), |host| host.0.error.as_ptr())
}

/// Takes a datagram from address `path` (any number that names it). It is deciphered in place: its content is gone.
///
/// # Safety
/// `host` is a host; `datagram` points to `len` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_host_receive(
    host: *mut LumenHost,
    path: u64,
    datagram: *mut u8,
    len: usize,
    now_us: u64,
) -> LumenStatus {
    let action = |handle: &mut Handle<Host>| {
        // SAFETY: the caller says so.
        let Some(datagram) = (unsafe { bytes_mut(datagram, len) }) else { return LumenBadArgument };
        let result = handle.machine.receive(PathId(path), datagram, Timestamp::from_micros(now_us));
        handle.done(result, LumenDropped)
    };
    // SAFETY: `LumenHost` is a handle and nothing else.
    unsafe { Handle::call(host_handle(host), action) }
}

/// Makes the datagrams of a frame, which the caller sends at its own pace.
///
/// # Safety
/// `host` is a host; `frame` points to a `LumenFrame` of the size that it says, whose data is readable; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_host_send_frame(
    host: *mut LumenHost,
    frame: *const LumenFrame,
    out: *mut LumenDatagrams,
) -> LumenStatus {
    let action = |handle: &mut Handle<Host>| {
        // SAFETY: the caller says so; the structure is plain numbers and a pointer.
        let frame = match unsafe { sized(frame, FRAME_1_0) } {
            Ok(frame) => frame,
            Err(status) => return status,
        };
        // SAFETY: the caller says so.
        let frame = unsafe { frame.to_send() };
        let Some(frame) = frame.filter(|_| !out.is_null()) else { return LumenBadArgument };
        let datagrams = match handle.machine.send_frame(&frame) {
            Ok(sent) => LumenDatagrams {
                data: sent.arena.as_bytes().as_ptr(),
                stride: sent.arena.stride(),
                count: sent.arena.len(),
                path: sent.path.0,
                frame: sent.packets.frame.0,
                epoch: sent.packets.epoch.0.into(),
                first_packet: sent.packets.first.0,
            },
            Err(crate::lumen1::session::SendError::NoPath) => return LumenNoPath,
            Err(error) => return handle.fail(LumenRefused, &error),
        };
        // SAFETY: not null, and writable.
        unsafe { out.write(datagrams) };
        LumenOk
    };
    // SAFETY: `LumenHost` is a handle and nothing else.
    unsafe { Handle::call(host_handle(host), action) }
}

/// Data shards of a frame of `len` bytes; 0 for null.
///
/// # Safety
/// `host` is null or a host.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_host_data_shards(host: *const LumenHost, len: usize) -> usize {
    // SAFETY: null or valid.
    let host = unsafe { host.as_ref() };
    // A frame of this length is refused later, whatever its shards.
    host.map_or(0, |host| host.0.machine.data_shards(len.min(usize::MAX >> 1)))
}

/// Sends an Opus frame whose first sample, at 48 kHz, is `timestamp`.
///
/// # Safety
/// `host` is a host; `data` points to `len` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_host_send_audio(
    host: *mut LumenHost,
    data: *const u8,
    len: usize,
    timestamp: u32,
) -> LumenStatus {
    let action = |handle: &mut Handle<Host>| {
        // SAFETY: the caller says so.
        let Some(data) = (unsafe { bytes(data, len) }) else { return LumenBadArgument };
        let result = handle.machine.send_audio(data, timestamp);
        handle.done(result, LumenRefused)
    };
    // SAFETY: `LumenHost` is a handle and nothing else.
    unsafe { Handle::call(host_handle(host), action) }
}

/// Sends new content of the clipboard; `format` is one of `LUMEN_CLIPBOARD_*`.
///
/// # Safety
/// `host` is a host; `data` points to `len` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_host_send_clipboard(
    host: *mut LumenHost,
    format: u32,
    data: *const u8,
    len: usize,
) -> LumenStatus {
    let action = |handle: &mut Handle<Host>| {
        // SAFETY: the caller says so.
        let (Some(format), Some(data)) = (format_of(format), unsafe { bytes(data, len) }) else {
            return LumenBadArgument;
        };
        let result = handle.machine.send_clipboard(format, data);
        handle.done(result, LumenRefused)
    };
    // SAFETY: `LumenHost` is a handle and nothing else.
    unsafe { Handle::call(host_handle(host), action) }
}

/// Answers an input device: type and payload of annex B of the protocol.
///
/// # Safety
/// `host` is a host; `data` points to `len` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_host_send_input_answer(
    host: *mut LumenHost,
    kind: u16,
    data: *const u8,
    len: usize,
) -> LumenStatus {
    let action = |handle: &mut Handle<Host>| {
        // SAFETY: the caller says so.
        let Some(data) = (unsafe { bytes(data, len) }) else { return LumenBadArgument };
        let result = handle.machine.send_input_answer(kind, data);
        handle.done(result, LumenRefused)
    };
    // SAFETY: `LumenHost` is a handle and nothing else.
    unsafe { Handle::call(host_handle(host), action) }
}

/// Says to the client that the session is over; `code` is one of section 10 of the protocol.
///
/// # Safety
/// `host` is a host.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_host_close(host: *mut LumenHost, code: u16) -> LumenStatus {
    let action = |handle: &mut Handle<Host>| {
        let result = handle.machine.close(CloseCode::from_wire(code), "");
        handle.done(result, LumenRefused)
    };
    // SAFETY: `LumenHost` is a handle and nothing else.
    unsafe { Handle::call(host_handle(host), action) }
}

/// The next datagram to be sent, other than those of frames: copies it to `buffer`, its length to `len`, and where it
/// goes to `path`. `LUMEN_NOTHING` if there is none; `LUMEN_TOO_SMALL` if it does not fit, and it is kept then.
///
/// # Safety
/// `host` is a host; `buffer` points to `capacity` writable bytes; `len` and `path` are writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_host_poll_transmit(
    host: *mut LumenHost,
    now_us: u64,
    buffer: *mut u8,
    capacity: usize,
    len: *mut usize,
    path: *mut u64,
) -> LumenStatus {
    let action = |handle: &mut Handle<Host>| {
        // SAFETY: the caller says so.
        let out = unsafe { (bytes_mut(buffer, capacity), len.as_mut(), path.as_mut()) };
        let (Some(buffer), Some(len), Some(path)) = out else { return LumenBadArgument };
        let to = match handle.waiting.take() {
            Some((to, datagram)) => {
                handle.datagram = datagram;
                to
            }
            None => match handle.machine.poll_transmit(Timestamp::from_micros(now_us), &mut handle.datagram) {
                Some(to) => to.0,
                None => return LumenNothing,
            },
        };
        handle.transmit(to, Out { buffer, len, path_out: Some(path) })
    };
    // SAFETY: `LumenHost` is a handle and nothing else.
    unsafe { Handle::call(host_handle(host), action) }
}

/// The next event; `LUMEN_NOTHING` if there is none. Set `out->struct_size` before.
///
/// # Safety
/// `host` is a host; `out` points to a `LumenEvent` of the size that it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_host_poll_event(host: *mut LumenHost, out: *mut LumenEvent) -> LumenStatus {
    let action = |handle: &mut Handle<Host>| {
        // SAFETY: the caller says so. An event is taken only if there is room for it.
        if let Err(status) = unsafe { sized_room(out) } {
            return status;
        }
        let event = handle.machine.poll_event();
        let event = event.map(|event| host_event(handle, event));
        // SAFETY: the caller says so.
        unsafe { write_event(out, event) }
    };
    // SAFETY: `LumenHost` is a handle and nothing else.
    unsafe { Handle::call(host_handle(host), action) }
}

/// When `lumen_host_poll_transmit` is due at the latest, in the microseconds of `now_us`; `LUMEN_NEVER` for null too.
///
/// # Safety
/// `host` is null or a host.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_host_deadline(host: *const LumenHost) -> u64 {
    // SAFETY: null or valid.
    let host = unsafe { host.as_ref() };
    host.and_then(|host| host.0.machine.deadline()).map_or(LUMEN_NEVER, Timestamp::as_micros)
}

/// Makes the client's end of a session. `*out` is null unless it returns `LUMEN_OK`.
///
/// # Safety
/// `config` points to a `LumenConfig` of the size that it says; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_client_new(
    config: *const LumenConfig,
    now_us: u64,
    out: *mut *mut LumenClient,
) -> LumenStatus {
    let make = |config: &LumenConfig| {
        let client = ClientConfig { position: config.position()?, ..ClientConfig::new(config.session()?) };
        Ok(LumenClient(Handle::new(Client::new(client, Timestamp::from_micros(now_us)))))
    };
    // SAFETY: passed on.
    unsafe { create(config, out, make) }
}

/// Frees a client; null is fine.
///
/// # Safety
/// `client` is null or was made by `lumen_client_new` and not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_client_free(client: *mut LumenClient) {
    if !client.is_null() {
        // SAFETY: it was made by `Box::into_raw`, and is freed once.
        let client = unsafe { Box::from_raw(client) };
        let _ = catch_unwind(AssertUnwindSafe(|| drop(client)));
    }
}

/// Why the last call with this client failed; empty if none did.
///
/// # Safety
/// `client` is null or a client. The text is valid until the next call with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_client_error(client: *const LumenClient) -> *const c_char {
    // SAFETY: null or valid.
    unsafe { client.as_ref() }.map_or(c"".as_ptr(), |client| client.0.error.as_ptr())
}

/// Takes a datagram from the host. It is deciphered in place: its content is gone.
///
/// # Safety
/// `client` is a client; `datagram` points to `len` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_client_receive(
    client: *mut LumenClient,
    datagram: *mut u8,
    len: usize,
    now_us: u64,
) -> LumenStatus {
    let action = |handle: &mut Handle<Client>| {
        // SAFETY: the caller says so.
        let Some(datagram) = (unsafe { bytes_mut(datagram, len) }) else { return LumenBadArgument };
        let result = handle.machine.receive(datagram, Timestamp::from_micros(now_us));
        handle.done(result, LumenDropped)
    };
    // SAFETY: `LumenClient` is a handle and nothing else.
    unsafe { Handle::call(client_handle(client), action) }
}

/// Sends an input packet of annex A of the protocol.
///
/// # Safety
/// `client` is a client; `data` points to `len` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_client_send_input(client: *mut LumenClient, data: *const u8, len: usize) -> LumenStatus {
    let action = |handle: &mut Handle<Client>| {
        // SAFETY: the caller says so.
        let Some(data) = (unsafe { bytes(data, len) }) else { return LumenBadArgument };
        match InputEvent::parse(data) {
            Ok(event) => {
                let result = handle.machine.send_input(&event);
                handle.done(result, LumenRefused)
            }
            Err(error) => handle.fail(LumenBadArgument, &error),
        }
    };
    // SAFETY: `LumenClient` is a handle and nothing else.
    unsafe { Handle::call(client_handle(client), action) }
}

/// Sends new content of the clipboard; `format` is one of `LUMEN_CLIPBOARD_*`.
///
/// # Safety
/// `client` is a client; `data` points to `len` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_client_send_clipboard(
    client: *mut LumenClient,
    format: u32,
    data: *const u8,
    len: usize,
) -> LumenStatus {
    let action = |handle: &mut Handle<Client>| {
        // SAFETY: the caller says so.
        let (Some(format), Some(data)) = (format_of(format), unsafe { bytes(data, len) }) else {
            return LumenBadArgument;
        };
        let result = handle.machine.send_clipboard(format, data);
        handle.done(result, LumenRefused)
    };
    // SAFETY: `LumenClient` is a handle and nothing else.
    unsafe { Handle::call(client_handle(client), action) }
}

/// Sends an Opus frame of the microphone whose first sample, at 48 kHz, is `timestamp`.
///
/// # Safety
/// `client` is a client; `data` points to `len` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_client_send_microphone(
    client: *mut LumenClient,
    data: *const u8,
    len: usize,
    timestamp: u32,
) -> LumenStatus {
    let action = |handle: &mut Handle<Client>| {
        // SAFETY: the caller says so.
        let Some(data) = (unsafe { bytes(data, len) }) else { return LumenBadArgument };
        let result = handle.machine.send_microphone(data, timestamp);
        handle.done(result, LumenRefused)
    };
    // SAFETY: `LumenClient` is a handle and nothing else.
    unsafe { Handle::call(client_handle(client), action) }
}

/// Asks for a key frame: the decoder lost its way.
///
/// # Safety
/// `client` is a client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_client_request_key_frame(client: *mut LumenClient) -> LumenStatus {
    let action = |handle: &mut Handle<Client>| {
        let result = handle.machine.request_key_frame();
        handle.done(result, LumenRefused)
    };
    // SAFETY: `LumenClient` is a handle and nothing else.
    unsafe { Handle::call(client_handle(client), action) }
}

/// Says to the host that the session is over; `code` is one of section 10 of the protocol.
///
/// # Safety
/// `client` is a client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_client_close(client: *mut LumenClient, code: u16) -> LumenStatus {
    let action = |handle: &mut Handle<Client>| {
        let result = handle.machine.close(CloseCode::from_wire(code), "");
        handle.done(result, LumenRefused)
    };
    // SAFETY: `LumenClient` is a handle and nothing else.
    unsafe { Handle::call(client_handle(client), action) }
}

/// The next datagram to be sent to the host: copies it to `buffer` and its length to `len`. `LUMEN_NOTHING` if there is
/// none; `LUMEN_TOO_SMALL` if it does not fit, and it is kept then.
///
/// # Safety
/// `client` is a client; `buffer` points to `capacity` writable bytes; `len` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_client_poll_transmit(
    client: *mut LumenClient,
    now_us: u64,
    buffer: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> LumenStatus {
    let action = |handle: &mut Handle<Client>| {
        // SAFETY: the caller says so.
        let (Some(buffer), Some(len)) = (unsafe { (bytes_mut(buffer, capacity), len.as_mut()) }) else {
            return LumenBadArgument;
        };
        match handle.waiting.take() {
            Some((_, datagram)) => handle.datagram = datagram,
            None if handle.machine.poll_transmit(Timestamp::from_micros(now_us), &mut handle.datagram) => {}
            None => return LumenNothing,
        }
        handle.transmit(0, Out { buffer, len, path_out: None })
    };
    // SAFETY: `LumenClient` is a handle and nothing else.
    unsafe { Handle::call(client_handle(client), action) }
}

/// The next event; `LUMEN_NOTHING` if there is none. Set `out->struct_size` before.
///
/// # Safety
/// `client` is a client; `out` points to a `LumenEvent` of the size that it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_client_poll_event(client: *mut LumenClient, out: *mut LumenEvent) -> LumenStatus {
    let action = |handle: &mut Handle<Client>| {
        // SAFETY: the caller says so. An event is taken only if there is room for it.
        if let Err(status) = unsafe { sized_room(out) } {
            return status;
        }
        if let Some(frame) = handle.frame.take() {
            handle.machine.recycle(frame);
        }
        let event = handle.machine.poll_event();
        let event = event.map(|event| client_event(handle, event));
        // SAFETY: the caller says so.
        unsafe { write_event(out, event) }
    };
    // SAFETY: `LumenClient` is a handle and nothing else.
    unsafe { Handle::call(client_handle(client), action) }
}

/// When `lumen_client_poll_transmit` is due at the latest, in the microseconds of `now_us`; `LUMEN_NEVER` for null too.
///
/// # Safety
/// `client` is null or a client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lumen_client_deadline(client: *const LumenClient) -> u64 {
    // SAFETY: null or valid.
    let client = unsafe { client.as_ref() };
    client.and_then(|client| client.0.machine.deadline()).map_or(LUMEN_NEVER, Timestamp::as_micros)
}

/// The handle in a host.
fn host_handle(host: *mut LumenHost) -> *mut Handle<Host> {
    // The only field has the address of the structure, null included.
    host.cast()
}

/// The handle in a client.
fn client_handle(client: *mut LumenClient) -> *mut Handle<Client> {
    client.cast()
}

// The casts above need it.
const _: () = assert!(std::mem::offset_of!(LumenHost, 0) == 0 && std::mem::offset_of!(LumenClient, 0) == 0);

//! The C ABI: both ends of a lumen/1 session for other languages. `include/lumen_core.h` is generated from this
//! module.
//!
//! It follows the contract of [`crate::lumen1::session`]: datagrams go in; datagrams, events and the next deadline come
//! out; the caller owns sockets, clocks and random bytes. Every function takes null pointers and bad lengths for what they
//! are, and no panic crosses the border: a handle in which one happened refuses all further calls. Structures begin with
//! their own size, so that both sides may be of different versions. What a handle points to is valid until the next call
//! with that handle; a handle is for one thread at a time.
#![allow(unsafe_code, reason = "the border to C")]

mod handle;

// The C header has what is in these in their order, which blank lines keep.
mod config;

mod frame;

mod event;

mod host;

mod client;

use std::ffi::c_char;

pub use client::*;
pub use config::LumenConfig;
pub use event::{LumenEvent, LumenEventKind, LumenReceipt};
pub use frame::{LumenDatagrams, LumenFrame};
pub use host::*;

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

//! The host's functions.

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::LUMEN_NEVER;
use super::LumenStatus::{self, LumenBadArgument, LumenDropped, LumenNoPath, LumenNothing, LumenOk, LumenRefused};
use super::config::LumenConfig;
use super::event::{LumenEvent, format_of, host_event, sized_room, write_event};
use super::frame::{FRAME_1_0, LumenDatagrams, LumenFrame};
use super::handle::{Handle, Out, bytes, bytes_mut, create, sized};
use crate::lumen1::message::CloseCode;
use crate::lumen1::path::PathId;
use crate::lumen1::session::{Host, HostConfig};
use crate::time::Timestamp;

/// The host's end of a session.
pub struct LumenHost(Handle<Host>);

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

/// The handle in a host.
fn host_handle(host: *mut LumenHost) -> *mut Handle<Host> {
    // The only field has the address of the structure, null included.
    host.cast()
}

// The cast above needs it.
const _: () = assert!(std::mem::offset_of!(LumenHost, 0) == 0);

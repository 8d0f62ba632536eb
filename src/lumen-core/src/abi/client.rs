//! The client's functions.

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::LUMEN_NEVER;
use super::LumenStatus::{self, LumenBadArgument, LumenDropped, LumenNothing, LumenRefused};
use super::config::LumenConfig;
use super::event::{LumenEvent, client_event, format_of, sized_room, write_event};
use super::handle::{Handle, Out, bytes, bytes_mut, create};
use crate::gamestream::input::InputEvent;
use crate::lumen1::message::CloseCode;
use crate::lumen1::session::{Client, ClientConfig};
use crate::time::Timestamp;

/// The client's end of a session.
pub struct LumenClient(Handle<Client>);

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

/// The handle in a client.
fn client_handle(client: *mut LumenClient) -> *mut Handle<Client> {
    client.cast()
}

// The cast above needs it.
const _: () = assert!(std::mem::offset_of!(LumenClient, 0) == 0);

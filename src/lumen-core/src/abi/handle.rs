//! What is behind the pointers of C, and how they are followed.

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::LumenStatus::{self, LumenBadArgument, LumenBadVersion, LumenFailed, LumenOk, LumenTooSmall};
use super::config::{CONFIG_1_0, LumenConfig};
use super::event::LumenReceipt;

/// A machine, and what C was lent of it.
pub(super) struct Handle<T> {
    pub(super) machine: T,
    poisoned: bool,
    pub(super) error: CString,
    /// A datagram that found no room with the caller.
    pub(super) waiting: Option<(u64, Vec<u8>)>,
    pub(super) datagram: Vec<u8>,
    pub(super) bytes: Vec<u8>,
    pub(super) receipts: Vec<LumenReceipt>,
    pub(super) frame: Option<crate::lumen1::Frame>,
}

impl<T> Handle<T> {
    pub(super) fn new(machine: T) -> Self {
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
    pub(super) unsafe fn call(this: *mut Self, action: impl FnOnce(&mut Self) -> LumenStatus) -> LumenStatus {
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

    pub(super) fn fail(&mut self, status: LumenStatus, error: &dyn std::fmt::Display) -> LumenStatus {
        self.error = CString::new(error.to_string().replace('\0', " ")).unwrap_or_default();
        status
    }

    pub(super) fn done<E: std::fmt::Display>(&mut self, result: Result<(), E>, failed: LumenStatus) -> LumenStatus {
        result.map_or_else(|error| self.fail(failed, &error), |()| LumenOk)
    }

    /// Hands out a datagram; keeps it if there is no room for it.
    pub(super) fn transmit(&mut self, path: u64, out: Out<'_>) -> LumenStatus {
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
pub(super) struct Out<'a> {
    pub(super) buffer: &'a mut [u8],
    pub(super) len: &'a mut usize,
    pub(super) path_out: Option<&'a mut u64>,
}

/// The bytes behind a pointer and a length; `None` if they can't be any.
///
/// # Safety
/// `data` is null or points to `len` bytes that nobody writes for `'a`.
pub(super) unsafe fn bytes<'a>(data: *const u8, len: usize) -> Option<&'a [u8]> {
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
pub(super) unsafe fn bytes_mut<'a>(data: *mut u8, len: usize) -> Option<&'a mut [u8]> {
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
pub(super) unsafe fn sized<T: Copy>(from: *const T, least: usize) -> Result<T, LumenStatus> {
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

/// Puts a new handle where the caller wants it.
///
/// # Safety
/// `out` is null or writable; `config` is as for [`sized`].
pub(super) unsafe fn create<T>(
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

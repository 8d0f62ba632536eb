//! The double of `libcuda`: one device, whose context is retained and released.

use core::ffi::{c_char, c_int, c_uint, c_void};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::orders::{self, Fault, record};
use crate::state;

const SUCCESS: c_int = 0;
const INVALID_VALUE: c_int = 1;
const NOT_INITIALIZED: c_int = 3;
const NO_DEVICE: c_int = 100;
const INVALID_DEVICE: c_int = 101;

static INITIALISED: AtomicBool = AtomicBool::new(false);
static RETAINED: AtomicI64 = AtomicI64::new(0);
/// Its address is the context.
static CONTEXT: u64 = 0x6c75_6d65_6e20_6475;

/// Whether this is the context, and retained.
pub(crate) fn is_live(context: *mut c_void) -> bool {
    context.cast_const() == (&raw const CONTEXT).cast() && RETAINED.load(Ordering::SeqCst) > 0
}

thread_local! {
    /// The contexts of this thread, the current one last.
    static CURRENT: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Whether the context is the one of this thread.
pub(crate) fn is_current() -> bool {
    CURRENT.with_borrow(|current| current.last() == Some(&((&raw const CONTEXT) as usize)))
}

fn ready<T>(pointer: *const T) -> Result<(), c_int> {
    if !INITIALISED.load(Ordering::SeqCst) {
        record("violation: CUDA is used before cuInit");
        return Err(NOT_INITIALIZED);
    }
    if pointer.is_null() {
        record("violation: a null pointer for CUDA");
        return Err(INVALID_VALUE);
    }
    Ok(())
}

/// Starts.
#[unsafe(no_mangle)]
extern "C" fn cuInit(flags: c_uint) -> c_int {
    if flags != 0 {
        record("violation: cuInit with flags");
        return INVALID_VALUE;
    }
    if orders::fault() == Some(Fault::NoCuda) {
        return NO_DEVICE;
    }
    INITIALISED.store(true, Ordering::SeqCst);
    SUCCESS
}

/// # Safety
/// The pointer is valid or null.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> c_int {
    ready(count).map_or_else(core::convert::identity, |()| {
        // SAFETY: it is valid, says the caller.
        unsafe { count.write(1) };
        SUCCESS
    })
}

/// # Safety
/// The pointer is valid or null.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGet(device: *mut c_int, number: c_int) -> c_int {
    match ready(device) {
        Err(code) => code,
        Ok(()) if number != 0 => INVALID_DEVICE,
        Ok(()) => {
            // SAFETY: it is valid, says the caller.
            unsafe { device.write(0) };
            SUCCESS
        }
    }
}

/// # Safety
/// The pointer is null or has room for so many bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, room: c_int, device: c_int) -> c_int {
    const NAME: &[u8] = b"test double\0";
    match ready(name) {
        Err(code) => code,
        Ok(()) if device != 0 || usize::try_from(room).is_ok_and(|room| room < NAME.len()) => INVALID_VALUE,
        Ok(()) => {
            // SAFETY: there is room.
            unsafe { name.cast::<u8>().copy_from_nonoverlapping(NAME.as_ptr(), NAME.len()) };
            SUCCESS
        }
    }
}

/// # Safety
/// The pointer is valid or null.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorName(code: c_int, name: *mut *const c_char) -> c_int {
    if name.is_null() {
        return INVALID_VALUE;
    }
    let text = match code {
        SUCCESS => c"CUDA_SUCCESS",
        NO_DEVICE => c"CUDA_ERROR_NO_DEVICE",
        INVALID_DEVICE => c"CUDA_ERROR_INVALID_DEVICE",
        NOT_INITIALIZED => c"CUDA_ERROR_NOT_INITIALIZED",
        _ => c"CUDA_ERROR_INVALID_VALUE",
    };
    // SAFETY: it is valid, says the caller.
    unsafe { name.write(text.as_ptr()) };
    SUCCESS
}

/// # Safety
/// The pointer is valid or null.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut *mut c_void, device: c_int) -> c_int {
    match ready(context) {
        Err(code) => code,
        Ok(()) if device != 0 => INVALID_DEVICE,
        Ok(()) => {
            RETAINED.fetch_add(1, Ordering::SeqCst);
            // SAFETY: it is valid, says the caller.
            unsafe { context.write((&raw const CONTEXT).cast::<c_void>().cast_mut()) };
            SUCCESS
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> c_int {
    if device != 0 {
        return INVALID_DEVICE;
    }
    let left = RETAINED.fetch_sub(1, Ordering::SeqCst) - 1;
    if left < 0 {
        record("violation: the context is released more often than it was retained");
        return INVALID_VALUE;
    }
    if left == 0 && state::open_sessions() > 0 {
        record("violation: the context is released with an encoder in it");
    }
    record(&format!("context released, {left} left"));
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxPushCurrent_v2(context: *mut c_void) -> c_int {
    if !is_live(context) {
        record("violation: a context becomes current that is not retained");
        return INVALID_VALUE;
    }
    CURRENT.with_borrow_mut(|current| current.push(context as usize));
    SUCCESS
}

/// # Safety
/// The pointer is valid or null.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxPopCurrent_v2(context: *mut *mut c_void) -> c_int {
    match (ready(context), CURRENT.with_borrow_mut(Vec::pop)) {
        (Err(code), _) => code,
        (Ok(()), None) => {
            record("violation: a context is taken from a thread that has none");
            INVALID_VALUE
        }
        (Ok(()), Some(popped)) => {
            // SAFETY: it is valid, says the caller.
            unsafe { context.write(popped as *mut c_void) };
            SUCCESS
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The context, retained and this thread's own until it is dropped.
    pub(crate) struct Current;

    impl Current {
        pub(crate) fn new() -> Self {
            let mut context = core::ptr::null_mut();
            assert_eq!(cuInit(0), SUCCESS);
            // SAFETY: the pointer is valid.
            assert_eq!(unsafe { cuDevicePrimaryCtxRetain(&raw mut context, 0) }, SUCCESS);
            assert_eq!(cuCtxPushCurrent_v2(context), SUCCESS);
            Self
        }
    }

    impl Drop for Current {
        fn drop(&mut self) {
            let mut context = core::ptr::null_mut();
            // SAFETY: the pointer is valid.
            assert_eq!(unsafe { cuCtxPopCurrent_v2(&raw mut context) }, SUCCESS);
            assert_eq!(cuDevicePrimaryCtxRelease_v2(0), SUCCESS);
        }
    }

    #[test]
    fn a_context_is_current_in_the_thread_that_made_it_so() {
        assert!(!is_current());
        let current = Current::new();
        assert!(is_current());
        assert!(!std::thread::spawn(is_current).join().expect("no panic"));
        drop(current);
        assert!(!is_current());
    }
}

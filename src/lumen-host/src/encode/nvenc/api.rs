//! libnvidia-encode, loaded at run time. The types are those of NVENC 12.1, which newer drivers answer as well.

use core::ffi::{c_char, c_int, c_void};
use core::mem::transmute;
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sys;

use super::error::{NvencError, status_name};
use crate::gpu::libraries;

/// File name of the library.
pub(super) const LIBRARY: &str = "libnvidia-encode.so.1";

/// The version of the interface that is used here: major, minor.
pub(super) const NEEDED: (u32, u32) = (sys::NVENCAPI_MAJOR_VERSION, sys::NVENCAPI_MINOR_VERSION);

/// Status codes are read as numbers: a newer driver may have more of them than the type knows.
pub(super) type Status = u32;

/// UNSUPPORTED_DEVICE, and that there is no device that encodes.
pub(super) const NO_DEVICE: [Status; 2] = [1, 2];
/// What drivers answer when no more sessions may be opened: OUT_OF_MEMORY or INCOMPATIBLE_CLIENT_KEY.
pub(super) const NO_SESSION: [Status; 2] = [10, 21];

macro_rules! functions {
    ($($name:ident = $field:ident ( $($argument:ty),* );)*) => {
        /// The functions that are used here.
        pub(super) struct Functions { $(pub(super) $name: unsafe extern "C" fn($($argument),*) -> Status,)* }

        impl Functions {
            fn of(list: &sys::NV_ENCODE_API_FUNCTION_LIST) -> Result<Self, NvencError> {
                Ok(Self { $(
                    $name: {
                        let function = list.$field.ok_or(NvencError::Broken("a function is missing"))?;
                        // SAFETY: only the type of the result differs, an enumeration that is a u32.
                        unsafe {
                            transmute::<
                                unsafe extern "C" fn($($argument),*) -> sys::NVENCSTATUS,
                                unsafe extern "C" fn($($argument),*) -> Status,
                            >(function)
                        }
                    },
                )* })
            }
        }
    };
}

functions! {
    open = nvEncOpenEncodeSessionEx(*mut sys::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, *mut *mut c_void);
    guid_count = nvEncGetEncodeGUIDCount(*mut c_void, *mut u32);
    guids = nvEncGetEncodeGUIDs(*mut c_void, *mut sys::GUID, u32, *mut u32);
    caps = nvEncGetEncodeCaps(*mut c_void, sys::GUID, *mut sys::NV_ENC_CAPS_PARAM, *mut c_int);
    preset = nvEncGetEncodePresetConfigEx(
        *mut c_void, sys::GUID, sys::GUID, sys::NV_ENC_TUNING_INFO, *mut sys::NV_ENC_PRESET_CONFIG
    );
    initialize = nvEncInitializeEncoder(*mut c_void, *mut sys::NV_ENC_INITIALIZE_PARAMS);
    reconfigure = nvEncReconfigureEncoder(*mut c_void, *mut sys::NV_ENC_RECONFIGURE_PARAMS);
    create_input = nvEncCreateInputBuffer(*mut c_void, *mut sys::NV_ENC_CREATE_INPUT_BUFFER);
    destroy_input = nvEncDestroyInputBuffer(*mut c_void, *mut c_void);
    lock_input = nvEncLockInputBuffer(*mut c_void, *mut sys::NV_ENC_LOCK_INPUT_BUFFER);
    unlock_input = nvEncUnlockInputBuffer(*mut c_void, *mut c_void);
    create_output = nvEncCreateBitstreamBuffer(*mut c_void, *mut sys::NV_ENC_CREATE_BITSTREAM_BUFFER);
    destroy_output = nvEncDestroyBitstreamBuffer(*mut c_void, *mut c_void);
    encode = nvEncEncodePicture(*mut c_void, *mut sys::NV_ENC_PIC_PARAMS);
    lock_output = nvEncLockBitstream(*mut c_void, *mut sys::NV_ENC_LOCK_BITSTREAM);
    unlock_output = nvEncUnlockBitstream(*mut c_void, *mut c_void);
    invalidate = nvEncInvalidateRefFrames(*mut c_void, u64);
    destroy = nvEncDestroyEncoder(*mut c_void);
}

/// The library.
pub(super) struct Api {
    pub(super) functions: Functions,
    /// Says more about the last error of an encoder.
    last_error: Option<unsafe extern "C" fn(*mut c_void) -> *const c_char>,
    /// The newest version that the driver speaks.
    pub(super) version: (u32, u32),
    // Declared last: the functions above point into it.
    _library: Library,
}

impl Api {
    /// Loads the library; once is enough, and that one is shared.
    ///
    /// # Errors
    /// [`NvencError`] if it is missing or too old. It is looked for again the next time.
    pub(super) fn load() -> Result<Arc<Self>, NvencError> {
        static LOADED: Mutex<Option<Arc<Api>>> = Mutex::new(None);
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(api) = &*loaded {
            return Ok(Arc::clone(api));
        }
        let library = libraries::load(LIBRARY).map_err(|reason| match libraries::nvidia_is_expected() {
            true => NvencError::Missing { reason },
            false => NvencError::Absent,
        })?;
        let version = newest_version(&library)?;
        if version < NEEDED {
            return Err(NvencError::TooOld { has: version });
        }
        let create = symbol::<unsafe extern "C" fn(*mut sys::NV_ENCODE_API_FUNCTION_LIST) -> Status>(
            &library,
            b"NvEncodeAPICreateInstance",
        )?;
        let mut list = sys::NV_ENCODE_API_FUNCTION_LIST {
            version: sys::NV_ENCODE_API_FUNCTION_LIST_VER,
            ..sys::NV_ENCODE_API_FUNCTION_LIST::default()
        };
        // SAFETY: the list is whole and says its version.
        match unsafe { create(&raw mut list) } {
            0 => {}
            status => return Err(call("NvEncodeAPICreateInstance", status)),
        }
        let functions = Functions::of(&list)?;
        let api = Self { functions, last_error: list.nvEncGetLastErrorString, version, _library: library };
        Ok(Arc::clone(loaded.insert(Arc::new(api))))
    }

    /// The error for a status of a call on `encoder`, if it is one.
    pub(super) fn check(&self, encoder: *mut c_void, call: &'static str, status: Status) -> Result<(), NvencError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the encoder is live, or null, which the function answers with null.
        let said = self.last_error.filter(|_| !encoder.is_null()).map(|said| unsafe { said(encoder) });
        let said = said.filter(|said| !said.is_null()).map_or(String::new(), |said| {
            // SAFETY: the driver gave a string that lives until its next call.
            unsafe { core::ffi::CStr::from_ptr(said) }.to_string_lossy().trim_end_matches('.').to_owned()
        });
        Err(NvencError::Call { call, status: status_name(status), said })
    }
}

fn newest_version(library: &Library) -> Result<(u32, u32), NvencError> {
    let newest = symbol::<unsafe extern "C" fn(*mut u32) -> Status>(library, b"NvEncodeAPIGetMaxSupportedVersion")?;
    let mut version = 0;
    // SAFETY: the pointer is valid for the call.
    match unsafe { newest(&raw mut version) } {
        0 => Ok((version >> 4, version & 0xf)),
        status => Err(call("NvEncodeAPIGetMaxSupportedVersion", status)),
    }
}

/// A function by its name.
fn symbol<T: Copy>(library: &Library, name: &[u8]) -> Result<T, NvencError> {
    // SAFETY: the callers name the type that the interface gives the function.
    let found = unsafe { library.get::<T>(name) };
    found.map(|function| *function).map_err(|_| NvencError::Broken("its library lacks an entry point"))
}

fn call(call: &'static str, status: Status) -> NvencError {
    NvencError::Call { call, status: status_name(status), said: String::new() }
}

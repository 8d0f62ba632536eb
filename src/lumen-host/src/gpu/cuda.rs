//! CUDA's driver interface, as far as it is needed: devices and their contexts. Loaded at run time.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;

use super::libraries;

/// File name of the library.
const LIBRARY: &str = "libcuda.so.1";

/// Why CUDA cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// The library is missing.
    #[error(
        "{LIBRARY} cannot be loaded ({reason}); install NVIDIA's driver, in a container with the capability 'compute', \
         or name its folder in {}",
        libraries::DIRECTORY_VARIABLE
    )]
    Missing {
        /// What the dynamic linker said.
        reason: String,
    },
    /// The library lacks a function.
    #[error("{LIBRARY} has no function {0}: the driver is too old")]
    Incomplete(&'static str),
    /// There is no device.
    #[error("CUDA finds no device")]
    NoDevice,
    /// A call failed.
    #[error("CUDA failed: {call}: {reason}")]
    Call {
        /// The function.
        call: &'static str,
        /// What the driver calls the error.
        reason: String,
    },
}

/// Pointer to a context of the driver.
pub type RawContext = *mut c_void;

macro_rules! functions {
    ($($name:ident = $symbol:literal ( $($argument:ty),* );)*) => {
        /// The functions of the library.
        struct Functions { $($name: unsafe extern "C" fn($($argument),*) -> c_int,)* }

        impl Functions {
            fn of(library: &Library) -> Result<Self, CudaError> {
                Ok(Self { $(
                    // SAFETY: the type is the one that the driver's documentation gives the function.
                    $name: *unsafe { library.get($symbol.as_bytes()) }.map_err(|_| CudaError::Incomplete($symbol))?,
                )* })
            }
        }
    };
}

functions! {
    init = "cuInit"(c_uint);
    device_count = "cuDeviceGetCount"(*mut c_int);
    device_get = "cuDeviceGet"(*mut c_int, c_int);
    device_name = "cuDeviceGetName"(*mut c_char, c_int, c_int);
    error_name = "cuGetErrorName"(c_int, *mut *const c_char);
    context_retain = "cuDevicePrimaryCtxRetain"(*mut RawContext, c_int);
    context_release = "cuDevicePrimaryCtxRelease_v2"(c_int);
    context_push = "cuCtxPushCurrent_v2"(RawContext);
    context_pop = "cuCtxPopCurrent_v2"(*mut RawContext);
}

/// The library, loaded and initialised.
pub struct Cuda {
    functions: Functions,
    // Declared last: the functions above point into it.
    library: Library,
}

/// One of the GPUs that CUDA sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// CUDA's handle.
    pub(crate) handle: c_int,
    /// The product's name.
    pub name: String,
}

impl Cuda {
    /// Loads the library; once is enough, and that one is shared.
    ///
    /// # Errors
    /// [`CudaError`] if it is missing or does not start. It is looked for again the next time.
    pub fn load() -> Result<Arc<Self>, CudaError> {
        static LOADED: Mutex<Option<Arc<Cuda>>> = Mutex::new(None);
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cuda) = &*loaded {
            return Ok(Arc::clone(cuda));
        }
        let library = libraries::load(LIBRARY).map_err(|reason| CudaError::Missing { reason })?;
        let cuda = Arc::new(Self { functions: Functions::of(&library)?, library });
        // SAFETY: 0 is the only value that the parameter may have.
        cuda.check("cuInit", unsafe { (cuda.functions.init)(0) })?;
        Ok(Arc::clone(loaded.insert(cuda)))
    }

    /// All devices, in the order of the driver.
    ///
    /// # Errors
    /// [`CudaError`]; [`CudaError::NoDevice`] if there is none.
    pub fn devices(&self) -> Result<Vec<Device>, CudaError> {
        let mut count = 0;
        // SAFETY: the pointer is valid for the call.
        self.check("cuDeviceGetCount", unsafe { (self.functions.device_count)(&raw mut count) })?;
        if count == 0 {
            return Err(CudaError::NoDevice);
        }
        (0..count).map(|number| self.device(number)).collect()
    }

    fn device(&self, number: c_int) -> Result<Device, CudaError> {
        let (mut handle, mut name) = (0, [0u8; 256]);
        // SAFETY: the pointer is valid for the call.
        self.check("cuDeviceGet", unsafe { (self.functions.device_get)(&raw mut handle, number) })?;
        // SAFETY: the driver writes no more than it is told that there is room for, with a zero at the end.
        let code = unsafe { (self.functions.device_name)(name.as_mut_ptr().cast(), name.len() as c_int - 1, handle) };
        self.check("cuDeviceGetName", code)?;
        let name = CStr::from_bytes_until_nul(&name).map(|name| name.to_string_lossy().into_owned());
        Ok(Device { handle, name: name.unwrap_or_default() })
    }

    /// The library, for those who need more of its functions.
    pub(crate) fn library(&self) -> &Library {
        &self.library
    }

    /// The error for what a call returned, if it is one.
    pub(crate) fn check(&self, call: &'static str, code: c_int) -> Result<(), CudaError> {
        if code == 0 {
            return Ok(());
        }
        let mut name = core::ptr::null();
        // SAFETY: the pointer is valid for the call.
        let known = unsafe { (self.functions.error_name)(code, &raw mut name) } == 0 && !name.is_null();
        let reason = if known {
            // SAFETY: the driver gave a string that lives as long as the library.
            unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
        } else {
            format!("error {code}")
        };
        Err(CudaError::Call { call, reason })
    }
}

/// A device's primary context, retained until this is dropped.
pub struct Context {
    cuda: Arc<Cuda>,
    device: Device,
    raw: RawContext,
}

// SAFETY: a context may be used from any thread; this type only holds and releases it.
unsafe impl Send for Context {}
// SAFETY: nothing in it changes once it was made, and the driver's calls may come from any thread.
unsafe impl Sync for Context {}

impl Context {
    /// Retains the context of a device.
    ///
    /// # Errors
    /// [`CudaError::Call`].
    pub fn retain(cuda: &Arc<Cuda>, device: &Device) -> Result<Self, CudaError> {
        let mut raw = core::ptr::null_mut();
        // SAFETY: the pointer is valid for the call, the device one of the driver's.
        let code = unsafe { (cuda.functions.context_retain)(&raw mut raw, device.handle) };
        cuda.check("cuDevicePrimaryCtxRetain", code)?;
        Ok(Self { cuda: Arc::clone(cuda), device: device.clone(), raw })
    }

    /// The driver's pointer, valid as long as this value.
    pub fn raw(&self) -> RawContext {
        self.raw
    }

    /// Makes it this thread's context until what is returned is dropped, in the same thread.
    ///
    /// # Errors
    /// [`CudaError::Call`].
    pub fn enter(&self) -> Result<Current, CudaError> {
        // SAFETY: the context is retained.
        self.cuda.check("cuCtxPushCurrent", unsafe { (self.cuda.functions.context_push)(self.raw) })?;
        Ok(Current { cuda: Arc::clone(&self.cuda), _this_thread: PhantomData })
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was retained once by this value.
        unsafe { (self.cuda.functions.context_release)(self.device.handle) };
    }
}

/// A context is the one of this thread.
pub struct Current {
    cuda: Arc<Cuda>,
    /// It may not go to another thread.
    _this_thread: PhantomData<*mut ()>,
}

impl Drop for Current {
    fn drop(&mut self) {
        let mut before = core::ptr::null_mut();
        // SAFETY: it was pushed by this thread, and whatever was pushed since is popped.
        unsafe { (self.cuda.functions.context_pop)(&raw mut before) };
    }
}

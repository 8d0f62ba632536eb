//! Memory and semaphores of Vulkan as CUDA sees them.

use core::ffi::{c_int, c_uint, c_void};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use crate::gpu::cuda::{Context, Cuda, CudaError, Device};
use crate::gpu::vulkan::{Buffer, Timeline};

use super::ZeroCopyError;

/// A pointer into the memory of a device.
type DevicePointer = u64;
/// A handle of the driver's.
type Handle = *mut c_void;

/// CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD.
const MEMORY_OPAQUE_FD: c_int = 1;
/// CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD.
const SEMAPHORE_TIMELINE_FD: c_int = 9;

/// CUDA_EXTERNAL_MEMORY_HANDLE_DESC.
#[repr(C)]
struct MemoryDescription {
    kind: c_int,
    /// A union: the descriptor is at its beginning.
    handle: [u64; 2],
    size: u64,
    flags: c_uint,
    reserved: [c_uint; 16],
}

/// CUDA_EXTERNAL_MEMORY_BUFFER_DESC.
#[repr(C)]
struct BufferDescription {
    offset: u64,
    size: u64,
    flags: c_uint,
    reserved: [c_uint; 16],
}

/// CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC.
#[repr(C)]
struct SemaphoreDescription {
    kind: c_int,
    /// A union: the descriptor is at its beginning.
    handle: [u64; 2],
    flags: c_uint,
    reserved: [c_uint; 16],
}

/// CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS and CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS, which differ in nothing that is used.
#[repr(C)]
#[derive(Clone, Copy)]
struct SemaphoreValue {
    value: u64,
    other: [u64; 8],
    flags: c_uint,
    reserved: [c_uint; 16],
}

impl SemaphoreValue {
    fn new(value: u64) -> Self {
        Self { value, other: [0; 8], flags: 0, reserved: [0; 16] }
    }
}

macro_rules! functions {
    ($($name:ident = $symbol:literal ( $($argument:ty),* );)*) => {
        struct Functions { $($name: unsafe extern "C" fn($($argument),*) -> c_int,)* }

        impl Functions {
            fn of(cuda: &Cuda) -> Result<Self, CudaError> {
                Ok(Self { $(
                    // SAFETY: the type is the one that the driver's documentation gives the function.
                    $name: *unsafe { cuda.library().get($symbol.as_bytes()) }
                        .map_err(|_| CudaError::Incomplete($symbol))?,
                )* })
            }
        }
    };
}

functions! {
    uuid = "cuDeviceGetUuid"(*mut [u8; 16], c_int);
    memory = "cuMemGetInfo_v2"(*mut usize, *mut usize);
    to_host = "cuMemcpyDtoH_v2"(*mut c_void, DevicePointer, usize);
    fill = "cuMemsetD8Async"(DevicePointer, u8, usize, Handle);
    free = "cuMemFree_v2"(DevicePointer);
    import_memory = "cuImportExternalMemory"(*mut Handle, *const MemoryDescription);
    map_buffer = "cuExternalMemoryGetMappedBuffer"(*mut DevicePointer, Handle, *const BufferDescription);
    destroy_memory = "cuDestroyExternalMemory"(Handle);
    import_semaphore = "cuImportExternalSemaphore"(*mut Handle, *const SemaphoreDescription);
    signal = "cuSignalExternalSemaphoresAsync"(*const Handle, *const SemaphoreValue, c_uint, Handle);
    wait = "cuWaitExternalSemaphoresAsync"(*const Handle, *const SemaphoreValue, c_uint, Handle);
    destroy_semaphore = "cuDestroyExternalSemaphore"(Handle);
    synchronize = "cuCtxSynchronize"();
}

/// CUDA on the device that Vulkan runs on.
pub struct Bridge {
    cuda: Arc<Cuda>,
    functions: Functions,
    context: Context,
}

impl Bridge {
    /// The CUDA device with this identity.
    ///
    /// # Errors
    /// [`CudaError::NoDevice`] if CUDA does not see that device.
    pub fn new(uuid: &[u8; 16]) -> Result<Self, CudaError> {
        let cuda = Cuda::load()?;
        let functions = Functions::of(&cuda)?;
        for device in cuda.devices()? {
            if uuid_of(&cuda, &functions, &device)? == *uuid {
                let context = Context::retain(&cuda, &device)?;
                return Ok(Self { cuda, functions, context });
            }
        }
        Err(CudaError::NoDevice)
    }

    /// The device's name in CUDA.
    pub fn name(&self) -> &str {
        &self.context.device().name
    }

    /// Runs calls in the context.
    fn inside<T>(&self, calls: impl FnOnce(&Functions) -> Result<T, CudaError>) -> Result<T, CudaError> {
        let _current = self.context.enter()?;
        calls(&self.functions)
    }

    /// Free bytes of the device's memory.
    ///
    /// # Errors
    /// [`CudaError::Call`].
    pub fn free_memory(&self) -> Result<u64, CudaError> {
        let (mut free, mut total) = (0, 0);
        self.inside(|functions| {
            // SAFETY: the pointers are valid for the call.
            self.cuda.check("cuMemGetInfo", unsafe { (functions.memory)(&raw mut free, &raw mut total) })
        })?;
        Ok(free as u64)
    }

    /// A buffer of Vulkan's, which must have been made to be handed out.
    ///
    /// # Errors
    /// [`ZeroCopyError`].
    pub fn map(self: &Arc<Self>, buffer: &Buffer) -> Result<Mapped, ZeroCopyError> {
        let mut mapped =
            Mapped { bridge: Arc::clone(self), memory: core::ptr::null_mut(), pointer: 0, size: buffer.size() };
        let descriptor = buffer.export()?;
        let description = MemoryDescription {
            kind: MEMORY_OPAQUE_FD,
            handle: [as_handle(&descriptor), 0],
            size: buffer.allocated(),
            flags: 0,
            reserved: [0; 16],
        };
        let part = BufferDescription { offset: 0, size: buffer.size(), flags: 0, reserved: [0; 16] };
        self.inside(|functions| {
            // SAFETY: the structure is whole; on success the descriptor is CUDA's.
            let code = unsafe { (functions.import_memory)(&raw mut mapped.memory, &raw const description) };
            self.cuda.check("cuImportExternalMemory", code)?;
            let _ = descriptor.into_raw_fd();
            // SAFETY: the memory was imported just now, and is as large.
            let code = unsafe { (functions.map_buffer)(&raw mut mapped.pointer, mapped.memory, &raw const part) };
            self.cuda.check("cuExternalMemoryGetMappedBuffer", code)
        })?;
        Ok(mapped)
    }

    /// A semaphore of Vulkan's.
    ///
    /// # Errors
    /// [`ZeroCopyError`].
    pub fn semaphore(self: &Arc<Self>, timeline: &Timeline) -> Result<Semaphore, ZeroCopyError> {
        let mut semaphore = Semaphore { bridge: Arc::clone(self), raw: core::ptr::null_mut() };
        let descriptor = timeline.export()?;
        let description = SemaphoreDescription {
            kind: SEMAPHORE_TIMELINE_FD,
            handle: [as_handle(&descriptor), 0],
            flags: 0,
            reserved: [0; 16],
        };
        self.inside(|functions| {
            // SAFETY: the structure is whole; on success the descriptor is CUDA's.
            let code = unsafe { (functions.import_semaphore)(&raw mut semaphore.raw, &raw const description) };
            self.cuda.check("cuImportExternalSemaphore", code)?;
            let _ = descriptor.into_raw_fd();
            Ok(())
        })?;
        Ok(semaphore)
    }
}

fn uuid_of(cuda: &Cuda, functions: &Functions, device: &Device) -> Result<[u8; 16], CudaError> {
    let mut uuid = [0; 16];
    // SAFETY: the pointer is valid for the call.
    cuda.check("cuDeviceGetUuid", unsafe { (functions.uuid)(&raw mut uuid, device.handle) })?;
    Ok(uuid)
}

/// A descriptor in the place of a handle: it is the first member of a union, in the machine's byte order.
fn as_handle(descriptor: &OwnedFd) -> u64 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&descriptor.as_raw_fd().to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

/// A buffer of Vulkan's in CUDA.
pub struct Mapped {
    bridge: Arc<Bridge>,
    memory: Handle,
    pointer: DevicePointer,
    size: u64,
}

// SAFETY: the handles are owned by this value; they may be used from any thread.
unsafe impl Send for Mapped {}

impl Mapped {
    /// Its bytes, by way of CUDA.
    ///
    /// # Errors
    /// [`CudaError::Call`].
    pub fn read(&self) -> Result<Vec<u8>, CudaError> {
        let mut bytes = vec![0; self.size as usize];
        self.bridge.inside(|functions| {
            // SAFETY: both are as large.
            let code = unsafe { (functions.to_host)(bytes.as_mut_ptr().cast(), self.pointer, bytes.len()) };
            self.bridge.cuda.check("cuMemcpyDtoH", code)
        })?;
        Ok(bytes)
    }

    /// Has CUDA wait for `semaphore` to reach `from`, fill the buffer with `byte`, and set it to `to`, without waiting for
    /// any of it here.
    ///
    /// # Errors
    /// [`CudaError::Call`].
    pub fn fill_in_turn(&self, semaphore: &Semaphore, from: u64, byte: u8, to: u64) -> Result<(), CudaError> {
        let (wait, signal) = (SemaphoreValue::new(from), SemaphoreValue::new(to));
        let check = |call, code| self.bridge.cuda.check(call, code);
        self.bridge.inside(|functions| {
            // SAFETY: all handles are live; the structures are whole and read before the calls return. The stream is the
            // context's own.
            unsafe {
                let stream = core::ptr::null_mut();
                check(
                    "cuWaitExternalSemaphores",
                    (functions.wait)(&raw const semaphore.raw, &raw const wait, 1, stream),
                )?;
                check("cuMemsetD8Async", (functions.fill)(self.pointer, byte, self.size as usize, stream))?;
                let code = (functions.signal)(&raw const semaphore.raw, &raw const signal, 1, stream);
                check("cuSignalExternalSemaphores", code)
            }
        })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let _ = self.bridge.inside(|functions| {
            // SAFETY: both are owned by this value, and what uses them is waited for; null is left out.
            unsafe {
                (functions.synchronize)();
                if self.pointer != 0 {
                    (functions.free)(self.pointer);
                }
                if !self.memory.is_null() {
                    (functions.destroy_memory)(self.memory);
                }
            }
            Ok(())
        });
    }
}

/// A semaphore of Vulkan's in CUDA.
pub struct Semaphore {
    bridge: Arc<Bridge>,
    raw: Handle,
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        let _ = self.bridge.inside(|functions| {
            // SAFETY: it is owned by this value, and what uses it is waited for; null is left out.
            unsafe {
                (functions.synchronize)();
                if !self.raw.is_null() {
                    (functions.destroy_semaphore)(self.raw);
                }
            }
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_size_and_places_that_the_driver_reads() {
        assert_eq!((size_of::<MemoryDescription>(), core::mem::offset_of!(MemoryDescription, size)), (104, 24));
        assert_eq!((size_of::<BufferDescription>(), core::mem::offset_of!(BufferDescription, flags)), (88, 16));
        assert_eq!((size_of::<SemaphoreDescription>(), core::mem::offset_of!(SemaphoreDescription, flags)), (96, 24));
        assert_eq!((size_of::<SemaphoreValue>(), core::mem::offset_of!(SemaphoreValue, flags)), (144, 72));
    }
}

//! Buffers of the kernel's (dmabufs) that the processor fills: what a compositor would hand out, made here to try how Vulkan
//! takes it. They come from `udmabuf` or from a heap; both are ordinary memory.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create, open};
use rustix::ioctl::{self, Opcode, Setter, Updater, opcode};

/// Makes buffers of memory that programs share.
const UDMABUF: &str = "/dev/udmabuf";
/// Makes buffers of the system's memory.
const HEAP: &str = "/dev/dma_heap/system";

/// Sizes of buffers are multiples of this.
const PAGE: u64 = 4096;

/// `struct udmabuf_create`.
#[repr(C)]
struct Create {
    memory: u32,
    flags: u32,
    offset: u64,
    size: u64,
}

/// `struct dma_heap_allocation_data`.
#[repr(C)]
struct Allocation {
    len: u64,
    fd: u32,
    fd_flags: u32,
    heap_flags: u64,
}

const UDMABUF_CREATE: Opcode = opcode::write::<Create>(b'u', 0x42);
const HEAP_ALLOCATE: Opcode = opcode::read_write::<Allocation>(b'H', 0);
const SYNC: Opcode = opcode::write::<u64>(b'b', 0);

/// Flags of [`SYNC`].
const READ: u64 = 1;
const WRITE: u64 = 2;
const END: u64 = 4;

/// Where a buffer is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `/dev/udmabuf`.
    Shared,
    /// `/dev/dma_heap/system`.
    Heap,
}

impl Source {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Shared, Self::Heap];

    /// The file of its device.
    pub fn path(self) -> &'static Path {
        Path::new(match self {
            Self::Shared => UDMABUF,
            Self::Heap => HEAP,
        })
    }
}

/// A buffer, mapped to be written and read here.
#[derive(Debug)]
pub struct KernelBuffer {
    fd: OwnedFd,
    size: usize,
    mapped: *mut u8,
}

impl KernelBuffer {
    /// A buffer of at least `size` bytes.
    ///
    /// # Errors
    /// If the kernel has no such device, or does not let this user have it.
    pub fn new(source: Source, size: u64) -> io::Result<Self> {
        let size = size.max(1).next_multiple_of(PAGE);
        let device = open(source.path(), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let fd = match source {
            Source::Shared => {
                let memory = memfd_create("lumen-dmabuf", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
                ftruncate(&memory, size)?;
                // The kernel takes only what cannot shrink under it.
                fcntl_add_seals(&memory, SealFlags::SHRINK)?;
                let create = Create {
                    memory: memory.as_raw_fd().cast_unsigned(),
                    // UDMABUF_FLAGS_CLOEXEC
                    flags: 1,
                    offset: 0,
                    size,
                };
                // SAFETY: this request reads the structure of this layout and returns a descriptor.
                let fd = unsafe { libc::ioctl(device.as_raw_fd(), UDMABUF_CREATE as _, &raw const create) };
                if fd < 0 {
                    return Err(io::Error::last_os_error());
                }
                // SAFETY: the kernel gave a new descriptor to its caller.
                unsafe { OwnedFd::from_raw_fd(fd) }
            }
            Source::Heap => {
                let flags = (libc::O_RDWR | libc::O_CLOEXEC).cast_unsigned();
                let mut data = Allocation { len: size, fd: 0, fd_flags: flags, heap_flags: 0 };
                // SAFETY: this request reads and fills the structure of this layout, and leaves a new descriptor in it.
                unsafe {
                    ioctl::ioctl(&device, Updater::<HEAP_ALLOCATE, _>::new(&mut data))?;
                    OwnedFd::from_raw_fd(data.fd.cast_signed())
                }
            }
        };
        let size = usize::try_from(size).map_err(io::Error::other)?;
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping of a buffer of that size, which cannot shrink.
        let mapped = unsafe { libc::mmap(core::ptr::null_mut(), size, access, flags, fd.as_raw_fd(), 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { fd, size, mapped: mapped.cast() })
    }

    /// Lets `change` write into its bytes, and then others read them.
    ///
    /// # Errors
    /// If the kernel does not let it.
    pub fn write(&mut self, change: impl FnOnce(&mut [u8])) -> io::Result<()> {
        self.sync(READ | WRITE)?;
        // SAFETY: it is mapped as a whole until it is dropped; what devices do to it was waited for.
        change(unsafe { core::slice::from_raw_parts_mut(self.mapped, self.size) });
        self.sync(READ | WRITE | END)
    }

    fn sync(&self, flags: u64) -> io::Result<()> {
        // SAFETY: this request reads a number of 64 bits.
        Ok(unsafe { ioctl::ioctl(&self.fd, Setter::<SYNC, u64>::new(flags)) }?)
    }
}

impl AsFd for KernelBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for KernelBuffer {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this size, and nothing refers to it any more.
        unsafe { libc::munmap(self.mapped.cast(), self.size) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_and_requests_are_those_of_the_kernel() {
        assert_eq!((size_of::<Create>(), size_of::<Allocation>()), (24, 24));
        // As <linux/udmabuf.h>, <linux/dma-heap.h> and <linux/dma-buf.h> have them on x86-64 and ARM.
        assert_eq!((UDMABUF_CREATE, HEAP_ALLOCATE, SYNC), (0x4018_7542, 0xc018_4800, 0x4008_6200));
    }
}

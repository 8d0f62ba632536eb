//! Buffers of compositors (dmabufs) in Vulkan. One whose pixels lie line after line is brought in as a buffer, any other as an
//! image that says how its pixels lie; either is copied once, by the GPU, into a buffer that can be handed out.
//!
//! What was brought in is kept for as long as the compositor uses the same buffers: it comes back with each of them every
//! few pictures. The caller sees to it that the compositor is done with a picture before it is copied, and leaves the
//! buffer to it until then.

pub(crate) mod image;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use ash::vk;
use rustix::fs::{SeekFrom, fstat, seek};

use super::ZeroCopyError;
use crate::gpu::vulkan::{Buffer, Recording, Vulkan, VulkanError, failed};
pub use image::{Image, exportable, importable};

/// Bytes of a pixel, of all formats that are known here.
pub const PIXEL: u32 = 4;

/// The largest width and height; beyond it nothing can encode the picture.
const LARGEST: u32 = 16_384;

/// Buffers kept. Compositors have two to sixteen; with more, the one that was not used for the longest time goes.
pub const MOST: usize = 32;

/// How pixels are stored: a code of four letters, as `drm_fourcc.h` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fourcc(pub u32);

impl Fourcc {
    /// Eight bits a colour, blue first.
    pub const XRGB8888: Self = Self::new(*b"XR24");
    /// The same with alpha.
    pub const ARGB8888: Self = Self::new(*b"AR24");
    /// Eight bits a colour, red first.
    pub const XBGR8888: Self = Self::new(*b"XB24");
    /// The same with alpha.
    pub const ABGR8888: Self = Self::new(*b"AB24");
    /// Ten bits a colour, blue in the lowest.
    pub const XRGB2101010: Self = Self::new(*b"XR30");
    /// The same with alpha.
    pub const ARGB2101010: Self = Self::new(*b"AR30");
    /// Ten bits a colour, red in the lowest.
    pub const XBGR2101010: Self = Self::new(*b"XB30");
    /// The same with alpha.
    pub const ABGR2101010: Self = Self::new(*b"AB30");

    const fn new(letters: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(letters))
    }

    /// What Vulkan calls it; `None` for those that are not known here.
    pub fn format(self) -> Option<vk::Format> {
        match self {
            Self::XRGB8888 | Self::ARGB8888 => Some(vk::Format::B8G8R8A8_UNORM),
            Self::XBGR8888 | Self::ABGR8888 => Some(vk::Format::R8G8B8A8_UNORM),
            Self::XRGB2101010 | Self::ARGB2101010 => Some(vk::Format::A2R10G10B10_UNORM_PACK32),
            Self::XBGR2101010 | Self::ABGR2101010 => Some(vk::Format::A2B10G10R10_UNORM_PACK32),
            _ => None,
        }
    }
}

impl fmt::Display for Fourcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_le_bytes().into_iter().try_for_each(|letter| write!(f, "{}", letter.escape_ascii()))
    }
}

/// Where pixels lie in a buffer: a number that the driver gives to each way of tiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Modifier(pub u64);

impl Modifier {
    /// Line after line.
    pub const LINEAR: Self = Self(0);
}

impl fmt::Display for Modifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::LINEAR { f.write_str("LINEAR") } else { write!(f, "{:#018x}", self.0) }
    }
}

/// A picture in a buffer that has one plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    /// How pixels are stored.
    pub format: Fourcc,
    /// Where they lie.
    pub modifier: Modifier,
    /// Pixels of a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Byte at which the picture begins.
    pub offset: u32,
    /// Bytes from one line to the next; what it means in a tiled buffer, the modifier says.
    pub stride: u32,
}

impl Layout {
    /// Bytes of its pixels alone.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * u64::from(PIXEL)
    }

    /// Bytes of a line without what follows it.
    fn line(&self) -> u64 {
        u64::from(self.width) * u64::from(PIXEL)
    }

    /// Whether it is a picture that lies within a buffer of `size` bytes; Vulkan is asked for nothing before that. How
    /// much a tiled picture takes, only the driver knows, which checks it.
    fn check(&self, size: u64) -> Result<(), DmabufError> {
        let Self { format, modifier, width, height, offset, stride } = *self;
        format.format().ok_or(DmabufError::Format(format))?;
        let sizes = 1..=LARGEST;
        if !sizes.contains(&width) || !sizes.contains(&height) {
            return Err(DmabufError::Size { width, height });
        }
        let end = match modifier {
            Modifier::LINEAR if u64::from(stride) < self.line() => {
                return Err(DmabufError::Stride { stride, width });
            }
            Modifier::LINEAR => u64::from(offset) + u64::from(stride) * u64::from(height - 1) + self.line(),
            _ => u64::from(offset) + 1,
        };
        if end > size { Err(DmabufError::TooSmall { end, size }) } else { Ok(()) }
    }

    /// Whether a buffer with this one can be one of those with `other`: compositors make all anew for another size.
    fn goes_with(&self, other: &Self) -> bool {
        let of = |layout: &Self| (layout.format, layout.modifier, layout.width, layout.height);
        of(self) == of(other)
    }
}

/// Why a buffer cannot be brought in.
#[derive(Debug, thiserror::Error)]
pub enum DmabufError {
    /// Its pixels are of a kind that is not known here.
    #[error("pixels of format {0} are not known")]
    Format(Fourcc),
    /// No picture has this size.
    #[error("a picture cannot be {width}x{height}")]
    Size {
        /// Pixels of a line.
        width: u32,
        /// Lines.
        height: u32,
    },
    /// Lines overlap.
    #[error("lines of {width} pixels do not fit in a stride of {stride} bytes")]
    Stride {
        /// Bytes from one line to the next.
        stride: u32,
        /// Pixels of a line.
        width: u32,
    },
    /// It ends before the picture does.
    #[error("the picture ends at byte {end} of a buffer of {size}")]
    TooSmall {
        /// Where the picture ends.
        end: u64,
        /// Bytes of the buffer.
        size: u64,
    },
    /// The pixels do not lie line after line.
    #[error("a buffer of modifier {0} is an image only")]
    Tiled(Modifier),
    /// The driver does not take pictures of this kind.
    #[error("the driver takes no pictures of format {format} and modifier {modifier}")]
    Modifier {
        /// How pixels are stored.
        format: Fourcc,
        /// Where they lie.
        modifier: Modifier,
    },
    /// The kernel says nothing about it.
    #[error("the kernel says nothing of a buffer: {0}")]
    Kernel(#[from] io::Error),
}

/// The same for every descriptor of a buffer, for as long as there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    number: u64,
}

impl Identity {
    /// Of the buffer behind a descriptor.
    ///
    /// # Errors
    /// If it is none.
    pub fn of(buffer: BorrowedFd<'_>) -> io::Result<Self> {
        let stat = fstat(buffer)?;
        Ok(Self { device: stat.st_dev, number: stat.st_ino })
    }
}

/// As what a buffer is brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// A buffer: only where pixels lie line after line, with any stride and any beginning.
    Buffer,
    /// An image.
    Image,
}

impl Way {
    /// The one that suits.
    pub fn of(layout: &Layout) -> Self {
        if layout.modifier == Modifier::LINEAR { Self::Buffer } else { Self::Image }
    }
}

/// The buffers of one compositor.
pub struct Importer {
    vulkan: Arc<Vulkan>,
    /// The one used last is at the end.
    known: Vec<Known>,
    imports: u64,
}

struct Known {
    identity: Identity,
    layout: Layout,
    way: Way,
    picture: Picture,
}

impl Importer {
    /// For a new compositor.
    ///
    /// # Errors
    /// [`VulkanError::Lacks`] if the device takes no such buffers.
    pub fn new(vulkan: &Arc<Vulkan>) -> Result<Self, VulkanError> {
        if !vulkan.info.abilities.dmabuf {
            return Err(vulkan.lacks("VK_EXT_external_memory_dma_buf"));
        }
        Ok(Self { vulkan: Arc::clone(vulkan), known: Vec::new(), imports: 0 })
    }

    /// The picture in a buffer: what is known of it, if it was here before and lies as it did then. Buffers that do not go
    /// with it are forgotten. No copy may be under way.
    ///
    /// # Errors
    /// [`ZeroCopyError`]; what was known is as it was, but for those that do not go with it.
    pub fn bring(&mut self, buffer: BorrowedFd<'_>, layout: &Layout, way: Way) -> Result<&Picture, ZeroCopyError> {
        let identity = Identity::of(buffer).map_err(DmabufError::Kernel)?;
        self.known
            .retain(|known| known.layout.goes_with(layout) && (known.identity != identity || known.layout == *layout));
        let known = match self.known.iter().position(|known| known.identity == identity && known.way == way) {
            Some(place) => self.known.remove(place),
            None => {
                let picture = match way {
                    Way::Buffer => Picture::Buffer(Lines::new(&self.vulkan, buffer, layout)?),
                    Way::Image => Picture::Image(Image::import(&self.vulkan, buffer, layout)?),
                };
                self.imports += 1;
                if self.known.len() >= MOST {
                    self.known.remove(0);
                }
                Known { identity, layout: *layout, way, picture }
            }
        };
        self.known.push(known);
        Ok(&self.known[self.known.len() - 1].picture)
    }

    /// Forgets a buffer that the compositor gave up. No copy may be under way.
    ///
    /// # Errors
    /// If the descriptor is none.
    pub fn forget(&mut self, buffer: BorrowedFd<'_>) -> io::Result<()> {
        let identity = Identity::of(buffer)?;
        self.known.retain(|known| known.identity != identity);
        Ok(())
    }

    /// Buffers that are known.
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// How many buffers were brought in so far.
    pub fn imports(&self) -> u64 {
        self.imports
    }
}

/// A picture of a compositor's on the device.
pub enum Picture {
    /// As a buffer.
    Buffer(Lines),
    /// As an image.
    Image(Image),
}

impl Picture {
    /// Copies it into `target`, line after line without gaps; `target` has room for all its pixels.
    pub fn copy(&self, recording: &Recording<'_>, target: &Buffer) {
        match self {
            Self::Buffer(lines) => lines.copy(recording, target),
            Self::Image(image) => image.copy(recording, target),
        }
    }
}

/// A picture whose lines lie one after another, as a buffer.
pub struct Lines {
    vulkan: Arc<Vulkan>,
    raw: vk::Buffer,
    memory: vk::DeviceMemory,
    layout: Layout,
}

// SAFETY: both handles are owned by this value alone; they may be used from any one thread at a time.
unsafe impl Send for Lines {}

impl Lines {
    fn new(vulkan: &Arc<Vulkan>, buffer: BorrowedFd<'_>, layout: &Layout) -> Result<Self, ZeroCopyError> {
        if layout.modifier != Modifier::LINEAR {
            return Err(DmabufError::Tiled(layout.modifier).into());
        }
        let size = size_of_buffer(buffer)?;
        layout.check(size)?;
        let kind = vk::PhysicalDeviceExternalBufferInfo::default()
            .usage(vk::BufferUsageFlags::TRANSFER_SRC)
            .handle_type(DMABUF);
        let mut found = vk::ExternalBufferProperties::default();
        // SAFETY: the device is one of the instance's; the structures are whole.
        unsafe {
            vulkan.instance().get_physical_device_external_buffer_properties(vulkan.physical, &kind, &mut found);
        }
        let features = found.external_memory_properties.external_memory_features;
        if !features.contains(vk::ExternalMemoryFeatureFlags::IMPORTABLE) {
            return Err(vulkan.lacks("dmabufs as buffers").into());
        }
        let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(DMABUF);
        let create = vk::BufferCreateInfo::default()
            .size(size)
            .usage(vk::BufferUsageFlags::TRANSFER_SRC)
            .push_next(&mut external);
        // SAFETY: the device is live, the structures whole.
        let raw = unsafe { vulkan.device.create_buffer(&create, None) }.map_err(failed("vkCreateBuffer"))?;
        // From here on the value cleans up.
        let mut lines = Self { vulkan: Arc::clone(vulkan), raw, memory: vk::DeviceMemory::null(), layout: *layout };
        // SAFETY: the buffer is live.
        let needs = unsafe { vulkan.device.get_buffer_memory_requirements(raw) };
        let whole = vk::MemoryDedicatedAllocateInfo::default().buffer(raw);
        lines.memory = import(vulkan, buffer, needs, whole)?;
        // SAFETY: both are live, and neither was bound before.
        unsafe { vulkan.device.bind_buffer_memory(raw, lines.memory, 0) }.map_err(failed("vkBindBufferMemory"))?;
        Ok(lines)
    }

    fn copy(&self, recording: &Recording<'_>, target: &Buffer) {
        let (device, commands) = recording.raw();
        let Layout { height, offset, stride, .. } = self.layout;
        let (line, stride) = (self.layout.line(), u64::from(stride));
        let region = |from: u64, to: u64, size: u64| {
            vk::BufferCopy::default().src_offset(u64::from(offset) + from).dst_offset(to).size(size)
        };
        let regions: Vec<_> = if line == stride {
            vec![region(0, 0, line * u64::from(height))]
        } else {
            (0..u64::from(height)).map(|y| region(y * stride, y * line, line)).collect()
        };
        let families = self.vulkan.families;
        let barrier = |from: u32, to: u32| {
            vk::BufferMemoryBarrier::default()
                .src_queue_family_index(from)
                .dst_queue_family_index(to)
                .buffer(self.raw)
                .size(vk::WHOLE_SIZE)
        };
        let take = [barrier(families.others, families.own).dst_access_mask(vk::AccessFlags::TRANSFER_READ)];
        let give = [barrier(families.own, families.others).src_access_mask(vk::AccessFlags::TRANSFER_READ)];
        let (transfer, none) = (vk::PipelineStageFlags::TRANSFER, vk::DependencyFlags::empty());
        let (top, bottom) = (vk::PipelineStageFlags::TOP_OF_PIPE, vk::PipelineStageFlags::BOTTOM_OF_PIPE);
        // SAFETY: it is being recorded; both buffers are live; the regions are within the source, which was checked, and
        // within the target, which the caller sees to.
        unsafe {
            device.cmd_pipeline_barrier(commands, top, transfer, none, &[], &take, &[]);
            device.cmd_copy_buffer(commands, self.raw, target.raw(), &regions);
            device.cmd_pipeline_barrier(commands, transfer, bottom, none, &[], &give, &[]);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // SAFETY: both are owned by this value; no command that uses them is under way. Null is ignored.
        unsafe {
            self.vulkan.device.destroy_buffer(self.raw, None);
            self.vulkan.device.free_memory(self.memory, None);
        }
    }
}

const DMABUF: vk::ExternalMemoryHandleTypeFlags = vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT;

/// Bytes of a buffer.
fn size_of_buffer(buffer: BorrowedFd<'_>) -> Result<u64, DmabufError> {
    Ok(seek(buffer, SeekFrom::End(0)).map_err(io::Error::from)?)
}

/// The memory of a buffer, for one thing that has all of it.
fn import(
    vulkan: &Arc<Vulkan>,
    buffer: BorrowedFd<'_>,
    needs: vk::MemoryRequirements,
    mut whole: vk::MemoryDedicatedAllocateInfo<'_>,
) -> Result<vk::DeviceMemory, ZeroCopyError> {
    let mut found = vk::MemoryFdPropertiesKHR::default();
    // SAFETY: the descriptor is open, the extension there: the device takes dmabufs.
    unsafe { vulkan.memory_fd.get_memory_fd_properties(DMABUF, buffer.as_raw_fd(), &mut found) }
        .map_err(failed("vkGetMemoryFdPropertiesKHR"))?;
    let types = found.memory_type_bits & needs.memory_type_bits;
    let kind = vulkan
        .memory_type(types, vk::MemoryPropertyFlags::empty())
        .ok_or_else(|| vulkan.lacks("memory that a dmabuf could be"))?;
    let own: OwnedFd = buffer.as_fd().try_clone_to_owned().map_err(DmabufError::Kernel)?;
    let mut from = vk::ImportMemoryFdInfoKHR::default().handle_type(DMABUF).fd(own.as_raw_fd());
    let info = vk::MemoryAllocateInfo::default()
        .allocation_size(needs.size)
        .memory_type_index(kind)
        .push_next(&mut from)
        .push_next(&mut whole);
    // SAFETY: the structures are whole; on success the descriptor is Vulkan's.
    let memory = unsafe { vulkan.device.allocate_memory(&info, None) }.map_err(failed("vkAllocateMemory"))?;
    let _ = own.into_raw_fd();
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(width: u32, height: u32, offset: u32, stride: u32) -> Layout {
        Layout { format: Fourcc::XRGB8888, modifier: Modifier::LINEAR, width, height, offset, stride }
    }

    #[test]
    fn a_picture_must_lie_within_its_buffer() {
        // Ten lines of ten pixels, five bytes between them, which the last one need not have.
        let inside = layout(10, 10, 7, 45);
        assert!(inside.check(7 + 9 * 45 + 40).is_ok());
        assert!(matches!(inside.check(7 + 9 * 45 + 39), Err(DmabufError::TooSmall { end: 452, size: 451 })));
        assert!(matches!(layout(10, 10, 0, 39).check(1 << 20), Err(DmabufError::Stride { .. })));
        assert!(matches!(layout(0, 10, 0, 40).check(1 << 20), Err(DmabufError::Size { .. })));
        assert!(matches!(layout(10, 16_385, 0, 40).check(1 << 20), Err(DmabufError::Size { .. })));
        assert!(matches!(layout(16_384, 16_384, u32::MAX, u32::MAX).check(1 << 40), Err(DmabufError::TooSmall { .. })));
        let yuv = Layout { format: Fourcc::new(*b"NV12"), ..inside };
        let error = yuv.check(1 << 20).expect_err("not known");
        assert_eq!(error.to_string(), "pixels of format NV12 are not known");
    }

    #[test]
    fn a_buffer_is_the_same_by_every_descriptor_of_it() {
        let file = |name| rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC).expect("memory");
        let (one, other) = (file("one"), file("other"));
        let again = one.try_clone().expect("a descriptor");
        let of = |fd: &OwnedFd| Identity::of(fd.as_fd()).expect("a file");
        assert_eq!(of(&one), of(&again));
        assert_ne!(of(&one), of(&other));
    }
}

//! Shared memory that a compositor copies pictures into, and how they are taken out. It is read like a file and never
//! mapped: a compositor that shrinks it causes an error, not a crash.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use wayland_client::protocol::wl_buffer::WlBuffer;
use wayland_client::protocol::wl_shm::{Format, WlShm};
use wayland_client::protocol::wl_shm_pool::WlShmPool;
use wayland_client::{Dispatch, QueueHandle};

/// The largest width and height; beyond it nothing can encode the picture.
const LARGEST: u32 = 16_384;

/// What the compositor wants its pictures to be copied into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Pixels per line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Bytes from one line to the next.
    pub stride: u32,
    /// How pixels are stored.
    pub format: Format,
}

/// Order of lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lines {
    /// The first is at the top.
    #[default]
    TopFirst,
    /// The first is at the bottom.
    BottomFirst,
}

/// Order of colours in a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colours {
    Bgrx,
    Rgbx,
}

/// A buffer of the compositor's. Dropping it gives it back.
#[derive(Debug)]
pub struct Buffer {
    layout: Layout,
    colours: Colours,
    memory: OwnedFd,
    pool: WlShmPool,
    buffer: WlBuffer,
}

impl Layout {
    /// Whether its pixels can be read here.
    pub fn is_readable(format: Format) -> bool {
        colours(format).is_some()
    }

    fn size(self) -> Result<u32, String> {
        let Self { width, height, stride, format } = self;
        if width == 0 || height == 0 || width > LARGEST || height > LARGEST || stride < width * 4 {
            return Err(format!("the compositor offers {width}x{height} pixels of format {format:?}, stride {stride}"));
        }
        stride
            .checked_mul(height)
            .filter(|size| i32::try_from(*size).is_ok())
            .ok_or_else(|| format!("a picture of {width}x{height} pixels does not fit in a buffer"))
    }
}

impl Buffer {
    /// A new buffer.
    ///
    /// # Errors
    /// If there is no memory, or pixels of this format cannot be read.
    pub fn new<S>(shm: &WlShm, layout: Layout, queue: &QueueHandle<S>) -> Result<Self, String>
    where
        S: Dispatch<WlShmPool, ()> + Dispatch<WlBuffer, ()> + 'static,
    {
        let colours = colours(layout.format)
            .ok_or_else(|| format!("the compositor offers pictures of format {:?} only", layout.format))?;
        let size = layout.size()?;
        let memory = memfd_create("lumen-capture", MemfdFlags::CLOEXEC)
            .and_then(|memory| ftruncate(&memory, size.into()).map(|()| memory))
            .map_err(|error| format!("no memory for a picture of {size} bytes: {error}"))?;
        // All of these were checked to fit.
        let [size, width, height, stride] =
            [size, layout.width, layout.height, layout.stride].map(|number| number.cast_signed());
        let pool = shm.create_pool(memory.as_fd(), size, queue, ());
        let buffer = pool.create_buffer(0, width, height, stride, layout.format, queue, ());
        Ok(Self { layout, colours, memory, pool, buffer })
    }

    /// For requests.
    pub fn proxy(&self) -> &WlBuffer {
        &self.buffer
    }

    /// What it was made for.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Copies the picture in it to `out`, which has as many bytes, from the top and with blue first.
    ///
    /// # Errors
    /// If the compositor made it smaller.
    pub fn read(&self, lines: Lines, out: &mut [u8]) -> Result<(), String> {
        let stride = self.layout.stride as usize;
        match lines {
            Lines::TopFirst => self.read_at(0, out)?,
            Lines::BottomFirst => {
                for (place, line) in out.chunks_exact_mut(stride).rev().enumerate() {
                    self.read_at(place * stride, line)?;
                }
            }
        }
        if self.colours == Colours::Rgbx {
            out.chunks_exact_mut(4).for_each(|pixel| pixel.swap(0, 2));
        }
        Ok(())
    }

    fn read_at(&self, begin: usize, out: &mut [u8]) -> Result<(), String> {
        let mut done = 0;
        while done < out.len() {
            match rustix::io::pread(&self.memory, &mut out[done..], (begin + done) as u64) {
                Ok(0) => return Err("the compositor cut a picture short".to_owned()),
                Ok(read) => done += read,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(format!("a picture cannot be read: {error}")),
            }
        }
        Ok(())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.buffer.destroy();
        self.pool.destroy();
    }
}

fn colours(format: Format) -> Option<Colours> {
    match format {
        Format::Xrgb8888 | Format::Argb8888 => Some(Colours::Bgrx),
        Format::Xbgr8888 | Format::Abgr8888 => Some(Colours::Rgbx),
        _ => None,
    }
}

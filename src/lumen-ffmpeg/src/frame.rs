//! Owned frames and packets of FFmpeg, and their planes as slices.

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use core::slice;
use std::sync::Arc;

use crate::layout::{read, write};
use crate::{Error, Library, PixelFormat};

/// The planes of a picture to be filled.
pub struct PlanesMut<'a> {
    /// Samples of each plane that the format has; the others are empty. A plane is as long as its lines need, without
    /// the padding after the last line.
    pub planes: [&'a mut [u8]; 3],
    /// Bytes from one line to the next, per plane.
    pub strides: [usize; 3],
}

/// An owned `AVFrame`.
pub(crate) struct RawFrame {
    library: Arc<Library>,
    pointer: NonNull<c_void>,
}

// SAFETY: the frame is owned by this value alone; its buffers are reference counted atomically.
unsafe impl Send for RawFrame {}

impl RawFrame {
    /// An empty frame.
    pub(crate) fn new(library: &Arc<Library>) -> Result<Self, Error> {
        // SAFETY: takes nothing, returns null or a frame.
        let pointer = NonNull::new(unsafe { (library.functions.av_frame_alloc)() });
        let pointer = pointer.ok_or_else(|| no_memory("allocate a frame"))?;
        Ok(Self { library: Arc::clone(library), pointer })
    }

    /// A frame with a buffer for such a picture.
    pub(crate) fn with_buffer(
        library: &Arc<Library>,
        format: PixelFormat,
        width: u32,
        height: u32,
    ) -> Result<Self, Error> {
        let frame = Self::new(library)?;
        let layout = &library.layout;
        let size = |value: u32| c_int::try_from(value).map_err(|_| no_memory("allocate a frame"));
        let (width, height) = (size(width)?, size(height)?);
        // SAFETY: the frame is live and empty, and these are the fields that av_frame_get_buffer reads.
        let code = unsafe {
            write(frame.pointer(), layout.frame_width, width);
            write(frame.pointer(), layout.frame_width + size_of::<c_int>(), height);
            write(frame.pointer(), layout.frame_format, library.formats.number(format));
            (library.functions.av_frame_get_buffer)(frame.pointer(), 0)
        };
        if code < 0 { Err(no_memory("allocate a picture")) } else { Ok(frame) }
    }

    pub(crate) fn pointer(&self) -> *mut c_void {
        self.pointer.as_ptr()
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (usize, usize) {
        let offset = self.library.layout.frame_width;
        // SAFETY: the frame is live and the offsets were checked at load time.
        let (width, height): (c_int, c_int) =
            unsafe { (read(self.pointer(), offset), read(self.pointer(), offset + size_of::<c_int>())) };
        (usize::try_from(width).unwrap_or(0), usize::try_from(height).unwrap_or(0))
    }

    /// The format, if it is one that this crate knows.
    pub(crate) fn format(&self) -> Option<PixelFormat> {
        // SAFETY: the frame is live and the offset was checked at load time.
        self.library.formats.format(unsafe { read(self.pointer(), self.library.layout.frame_format) })
    }

    /// Start and stride of a plane; `None` if it has none or its lines run backwards.
    fn plane(&self, plane: usize) -> Option<(NonNull<u8>, usize)> {
        let layout = &self.library.layout;
        // SAFETY: the frame is live, `plane` is below 3 of the 8 entries, and the offsets were checked at load time.
        let (data, stride): (*mut u8, c_int) = unsafe {
            (
                read(self.pointer(), layout.frame_data + plane * size_of::<*mut u8>()),
                read(self.pointer(), layout.frame_linesize + plane * size_of::<c_int>()),
            )
        };
        Some((NonNull::new(data)?, usize::try_from(stride).ok()?))
    }

    /// Bytes from the first to the end of the last line of a plane, without the padding after it.
    fn plane_bytes(format: PixelFormat, plane: usize, (width, height): (usize, usize), stride: usize) -> Option<usize> {
        let (line, lines) = format.plane_size(plane, width, height);
        (line <= stride && lines > 0).then(|| (lines - 1) * stride + line)
    }

    /// The planes for reading.
    pub(crate) fn planes(&self, format: PixelFormat) -> Option<([&[u8]; 3], [usize; 3])> {
        let mut planes: [&[u8]; 3] = [&[]; 3];
        let mut strides = [0; 3];
        for plane in 0..format.planes() {
            let (data, stride) = self.plane(plane)?;
            let bytes = Self::plane_bytes(format, plane, self.size(), stride)?;
            // SAFETY: FFmpeg's buffers hold stride bytes for each line of the picture's own size, so at least this
            // many; they live as long as the frame keeps its reference, and nobody writes while `self` is borrowed.
            planes[plane] = unsafe { slice::from_raw_parts(data.as_ptr(), bytes) };
            strides[plane] = stride;
        }
        Some((planes, strides))
    }

    /// The planes for writing; copies the buffer first if an encoder still reads it.
    pub(crate) fn planes_mut(&mut self, format: PixelFormat) -> Result<PlanesMut<'_>, Error> {
        // SAFETY: the frame is live and has a buffer.
        if unsafe { (self.library.functions.av_frame_make_writable)(self.pointer()) } < 0 {
            return Err(no_memory("make a picture writable"));
        }
        let mut planes: [&mut [u8]; 3] = [&mut [], &mut [], &mut []];
        let mut strides = [0; 3];
        for plane in 0..format.planes() {
            let found = self.plane(plane).and_then(|(data, stride)| {
                // Whole lines, padding included: what fills planes by whole lines would leave out the last otherwise.
                let (line, lines) = format.plane_size(plane, self.size().0, self.size().1);
                (line <= stride && lines > 0).then_some((data, stride, lines * stride))
            });
            let (data, stride, bytes) = found.ok_or_else(|| no_memory("find a picture's planes"))?;
            // SAFETY: a buffer of av_frame_get_buffer, and the copy that av_frame_make_writable makes with it, holds
            // stride bytes for each line of the picture's size; only this frame refers to it now, its planes do not
            // overlap, and `self` is borrowed mutably as long as the slices live.
            planes[plane] = unsafe { slice::from_raw_parts_mut(data.as_ptr(), bytes) };
            strides[plane] = stride;
        }
        Ok(PlanesMut { planes, strides })
    }

    /// Sets what an encoder reads with each picture.
    pub(crate) fn set_timing(&mut self, pts: i64, pict_type: c_int) {
        let layout = &self.library.layout;
        // SAFETY: the frame is live, owned, and the offsets were checked at load time; callers may set both fields.
        unsafe {
            write(self.pointer(), layout.frame_pts, pts);
            write(self.pointer(), layout.frame_pict_type, pict_type);
        }
    }

    /// Gives the buffers back.
    pub(crate) fn clear(&mut self) {
        // SAFETY: the frame is live; no slice into it can exist while it is borrowed mutably.
        unsafe { (self.library.functions.av_frame_unref)(self.pointer()) };
    }
}

impl Drop for RawFrame {
    fn drop(&mut self) {
        let mut pointer = self.pointer();
        // SAFETY: the frame is owned and not used afterwards.
        unsafe { (self.library.functions.av_frame_free)(&raw mut pointer) };
    }
}

/// An owned `AVPacket`.
pub(crate) struct RawPacket {
    library: Arc<Library>,
    pointer: NonNull<c_void>,
}

// SAFETY: the packet is owned by this value alone; its buffer is reference counted atomically.
unsafe impl Send for RawPacket {}

impl RawPacket {
    /// An empty packet.
    pub(crate) fn new(library: &Arc<Library>) -> Result<Self, Error> {
        // SAFETY: takes nothing, returns null or a packet.
        let pointer = NonNull::new(unsafe { (library.functions.av_packet_alloc)() });
        let pointer = pointer.ok_or_else(|| no_memory("allocate a packet"))?;
        Ok(Self { library: Arc::clone(library), pointer })
    }

    pub(crate) fn pointer(&self) -> *mut c_void {
        self.pointer.as_ptr()
    }

    /// Replaces the contents by a copy of `bytes`, padded as decoders want it.
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.clear();
        let size = c_int::try_from(bytes.len()).map_err(|_| no_memory("hold an access unit"))?;
        // SAFETY: the packet is live and empty.
        if unsafe { (self.library.functions.av_new_packet)(self.pointer(), size) } < 0 {
            return Err(no_memory("hold an access unit"));
        }
        // SAFETY: av_new_packet made a buffer of `size` bytes (and zeroed padding) that nothing else refers to.
        unsafe {
            let data: *mut u8 = read(self.pointer(), self.library.layout.packet_data);
            data.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        Ok(())
    }

    /// The contents.
    pub(crate) fn data(&self) -> &[u8] {
        let layout = &self.library.layout;
        // SAFETY: the packet is live and the offsets were checked at load time.
        let (data, size): (*const u8, c_int) =
            unsafe { (read(self.pointer(), layout.packet_data), read(self.pointer(), layout.packet_size)) };
        match usize::try_from(size) {
            // SAFETY: FFmpeg says that so many bytes are there, and keeps them until the packet is cleared.
            Ok(size) if size > 0 && !data.is_null() => unsafe { slice::from_raw_parts(data, size) },
            _ => &[],
        }
    }

    pub(crate) fn flags(&self) -> c_int {
        // SAFETY: the packet is live and the offset was checked at load time.
        unsafe { read(self.pointer(), self.library.layout.packet_flags) }
    }

    pub(crate) fn pts(&self) -> i64 {
        // SAFETY: the packet is live and the offset was checked at load time.
        unsafe { read(self.pointer(), self.library.layout.packet_pts) }
    }

    /// Gives the contents back.
    pub(crate) fn clear(&mut self) {
        // SAFETY: the packet is live; no slice into it can exist while it is borrowed mutably.
        unsafe { (self.library.functions.av_packet_unref)(self.pointer()) };
    }
}

impl Drop for RawPacket {
    fn drop(&mut self) {
        let mut pointer = self.pointer();
        // SAFETY: the packet is owned and not used afterwards.
        unsafe { (self.library.functions.av_packet_free)(&raw mut pointer) };
    }
}

fn no_memory(action: &'static str) -> Error {
    Error::Call { codec: "FFmpeg".to_owned(), action, reason: "it refused the size or has no memory".to_owned() }
}

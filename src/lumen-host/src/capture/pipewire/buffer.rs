//! A buffer of a PipeWire stream, taken out of its queue and put back when dropped. This is the room in which the raw
//! pointers of PipeWire become slices; nothing else here touches them.

use std::slice;

use pipewire::spa::buffer::DataType;
use pipewire::spa::sys;
use pipewire::stream::Stream;
use pipewire::sys::pw_buffer;

/// What a buffer's pixels lie in.
#[derive(Debug)]
pub enum Memory<'a> {
    /// Memory that this process sees: from the first pixel on, with the bytes from line to line.
    Mapped {
        /// The bytes.
        bytes: &'a [u8],
        /// As the producer gives it; zero if it does not.
        stride: i32,
    },
    /// There is no new picture in it, or one that the producer says is broken.
    Nothing,
    /// Something that was not asked for.
    Unknown(DataType),
}

/// See the module.
pub struct Taken<'s> {
    stream: &'s Stream,
    raw: *mut pw_buffer,
}

impl<'s> Taken<'s> {
    /// The next buffer, if one waits.
    pub fn next(stream: &'s Stream) -> Option<Self> {
        // SAFETY: called on the thread that runs the stream's loop; the pointer is checked, and given back once, on drop.
        let raw = unsafe { stream.dequeue_raw_buffer() };
        (!raw.is_null()).then(|| Self { stream, raw })
    }

    /// The bytes of one kind of metadata.
    pub fn meta(&self, kind: u32) -> Option<&[u8]> {
        // SAFETY: the stream keeps a buffer and its metadata until it is queued again, which takes `self`.
        unsafe {
            let buffer = (*self.raw).buffer.as_ref()?;
            if buffer.metas.is_null() {
                return None;
            }
            let metas = slice::from_raw_parts(buffer.metas, buffer.n_metas as usize);
            let meta = metas.iter().find(|meta| meta.type_ == kind && !meta.data.is_null())?;
            Some(slice::from_raw_parts(meta.data.cast(), meta.size as usize))
        }
    }

    /// The first plane. Packed formats have no other.
    pub fn memory(&self) -> Memory<'_> {
        // SAFETY: as above; `data` points to `maxsize` bytes where the stream mapped the buffer, and the range that the
        // chunk names is cut to those.
        unsafe {
            let Some(buffer) = (*self.raw).buffer.as_ref().filter(|buffer| buffer.n_datas > 0) else {
                return Memory::Nothing;
            };
            let (Some(data), Some(chunk)) = (buffer.datas.as_ref(), (*buffer.datas).chunk.as_ref()) else {
                return Memory::Nothing;
            };
            if chunk.size == 0 || chunk.flags & sys::SPA_CHUNK_FLAG_CORRUPTED as i32 != 0 {
                return Memory::Nothing;
            }
            let kind = DataType::from_raw(data.type_);
            if !matches!(kind, DataType::MemPtr | DataType::MemFd) || data.data.is_null() {
                return Memory::Unknown(kind);
            }
            let all = slice::from_raw_parts(data.data.cast::<u8>(), data.maxsize as usize);
            let start = (chunk.offset as usize).min(all.len());
            let end = start.saturating_add(chunk.size as usize).min(all.len());
            Memory::Mapped { bytes: &all[start..end], stride: chunk.stride }
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        // SAFETY: it came from this stream and goes back once.
        unsafe { self.stream.queue_raw_buffer(self.raw) }
    }
}

//! Where the few fields lie that have no accessor function, per generation of the library, and the test at load time
//! that they really lie there.

use core::ffi::{c_int, c_void};

use crate::ffi::{Functions, NO_PTS};

/// Byte offsets into `AVFrame` and `AVPacket`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// `AVFrame.data`, eight pointers.
    pub(crate) frame_data: usize,
    /// `AVFrame.linesize`, eight ints.
    pub(crate) frame_linesize: usize,
    /// `AVFrame.width`, an int; the height follows.
    pub(crate) frame_width: usize,
    /// `AVFrame.format`, an int.
    pub(crate) frame_format: usize,
    /// `AVFrame.pict_type`, an int.
    pub(crate) frame_pict_type: usize,
    /// `AVFrame.pts`, 64 bits.
    pub(crate) frame_pts: usize,
    /// `AVPacket.pts`, 64 bits.
    pub(crate) packet_pts: usize,
    /// `AVPacket.data`, a pointer.
    pub(crate) packet_data: usize,
    /// `AVPacket.size`, an int.
    pub(crate) packet_size: usize,
    /// `AVPacket.flags`, an int.
    pub(crate) packet_flags: usize,
}

/// The generations that are known: major version of libavcodec, of the libavutil that belongs to it, and the layout.
pub(crate) const KNOWN: [(u32, u32, Layout); 4] =
    [(62, 60, WITHOUT_KEY_FRAME), (61, 59, WITH_KEY_FRAME), (60, 58, WITH_KEY_FRAME), (59, 57, WITH_KEY_FRAME)];

/// libavutil 57 to 59: `int key_frame` stands before `pict_type`.
const WITH_KEY_FRAME: Layout = Layout {
    frame_data: 0,
    frame_linesize: 64,
    frame_width: 104,
    frame_format: 116,
    frame_pict_type: 124,
    frame_pts: 136,
    packet_pts: 8,
    packet_data: 24,
    packet_size: 32,
    packet_flags: 40,
};

/// libavutil 60: `key_frame` is gone; alignment leaves `pts` where it was.
const WITHOUT_KEY_FRAME: Layout = Layout { frame_pict_type: 120, ..WITH_KEY_FRAME };

/// Reads a field.
///
/// # Safety
/// `object` must point to a live FFmpeg object with a `T` at `offset`.
pub(crate) unsafe fn read<T: Copy>(object: *const c_void, offset: usize) -> T {
    // SAFETY: the caller vouches for the object and the offset; FFmpeg aligns its fields.
    unsafe { object.byte_add(offset).cast::<T>().read() }
}

/// Writes a field.
///
/// # Safety
/// `object` must point to a live FFmpeg object with a `T` at `offset` that the caller may change.
pub(crate) unsafe fn write<T: Copy>(object: *mut c_void, offset: usize, value: T) {
    // SAFETY: the caller vouches for the object and the offset; FFmpeg aligns its fields.
    unsafe { object.byte_add(offset).cast::<T>().write(value) };
}

impl Layout {
    /// Checks the layout against what FFmpeg's own functions read and write.
    ///
    /// # Errors
    /// What did not agree.
    pub(crate) fn verify(&self, functions: &Functions) -> Result<(), &'static str> {
        self.verify_frame(functions)?;
        self.verify_packet(functions)
    }

    fn verify_frame(&self, functions: &Functions) -> Result<(), &'static str> {
        const WIDTH: c_int = 64;
        const HEIGHT: c_int = 48;
        // SAFETY: takes nothing, returns null or a frame.
        let mut frame = unsafe { (functions.av_frame_alloc)() };
        // SAFETY: as above.
        let mut copy = unsafe { (functions.av_frame_alloc)() };
        let result = (|| {
            if frame.is_null() || copy.is_null() {
                return Err("no memory for a frame");
            }
            // SAFETY: av_frame_alloc returns at least 400 bytes in every known version, and all offsets are below 200;
            // the values that are written are those that FFmpeg's documentation asks the caller to write there. A
            // string literal with a NUL is a C string.
            unsafe {
                if read::<i64>(frame, self.frame_pts) != NO_PTS || read::<c_int>(frame, self.frame_format) != -1 {
                    return Err("a new frame has neither time stamp nor format where they are expected");
                }
                let format = (functions.av_get_pix_fmt)(c"yuv420p".as_ptr());
                write(frame, self.frame_width, WIDTH);
                write(frame, self.frame_width + size_of::<c_int>(), HEIGHT);
                write(frame, self.frame_format, format);
                write(frame, self.frame_pict_type, 1 as c_int);
                write(frame, self.frame_pts, 0x0123_4567_89ab_i64);
                if (functions.av_frame_get_buffer)(frame, 0) < 0 {
                    return Err("a frame takes no buffer with size and format where they are expected");
                }
                for plane in 0..3usize {
                    let data: *mut u8 = read(frame, self.frame_data + plane * size_of::<*mut u8>());
                    let linesize: c_int = read(frame, self.frame_linesize + plane * size_of::<c_int>());
                    if data.is_null() || linesize < if plane == 0 { WIDTH } else { WIDTH / 2 } {
                        return Err("a frame's planes are not where they are expected");
                    }
                }
                if (functions.av_frame_copy_props)(copy, frame) < 0 {
                    return Err("a frame's properties cannot be copied");
                }
                if read::<c_int>(copy, self.frame_pict_type) != 1
                    || read::<i64>(copy, self.frame_pts) != 0x0123_4567_89ab
                    || read::<c_int>(copy, self.frame_width) != 0
                {
                    return Err("a frame's properties are not where they are expected");
                }
            }
            Ok(())
        })();
        // SAFETY: both are null or frames that nothing else refers to; av_frame_free takes null.
        unsafe {
            (functions.av_frame_free)(&raw mut frame);
            (functions.av_frame_free)(&raw mut copy);
        }
        result
    }

    fn verify_packet(&self, functions: &Functions) -> Result<(), &'static str> {
        const SIZE: c_int = 1234;
        // SAFETY: takes nothing, returns null or a packet.
        let mut packet = unsafe { (functions.av_packet_alloc)() };
        let result = (|| {
            if packet.is_null() {
                return Err("no memory for a packet");
            }
            // SAFETY: av_packet_alloc returns at least 88 bytes in every known version, beyond all offsets.
            unsafe {
                if read::<i64>(packet, self.packet_pts) != NO_PTS {
                    return Err("a new packet has no time stamp where it is expected");
                }
                if (functions.av_new_packet)(packet, SIZE) < 0 {
                    return Err("no memory for a packet's data");
                }
                if read::<c_int>(packet, self.packet_size) != SIZE
                    || read::<*mut u8>(packet, self.packet_data).is_null()
                    || read::<c_int>(packet, self.packet_flags) != 0
                {
                    return Err("a packet's data are not where they are expected");
                }
            }
            Ok(())
        })();
        // SAFETY: null or a packet that nothing else refers to; av_packet_free takes null.
        unsafe { (functions.av_packet_free)(&raw mut packet) };
        result
    }
}

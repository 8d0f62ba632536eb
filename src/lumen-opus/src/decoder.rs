//! The decoder, with concealment for packets that never came.

use core::ffi::c_int;
use core::ptr::{self, NonNull};

use opusic_sys as sys;

use crate::{Layout, OpusError, PacketDuration, SAMPLE_RATE, check};

/// A multistream Opus decoder.
pub struct Decoder {
    state: NonNull<sys::OpusMSDecoder>,
    channels: usize,
    buffer: Vec<f32>,
}

// SAFETY: the state is owned by this value alone and libopus keeps no thread-local data.
unsafe impl Send for Decoder {}

impl Decoder {
    /// Opens a decoder for a layout.
    ///
    /// # Errors
    /// [`OpusError::Library`] if libopus refuses the layout or has no memory.
    pub fn new(layout: &Layout) -> Result<Self, OpusError> {
        let mut error: c_int = 0;
        // SAFETY: the mapping holds one byte per channel, as libopus reads it; `error` is a valid place to write to.
        let state = unsafe {
            sys::opus_multistream_decoder_create(
                SAMPLE_RATE as i32,
                c_int::from(layout.channels()),
                c_int::from(layout.streams()),
                c_int::from(layout.coupled()),
                layout.mapping().as_ptr(),
                &raw mut error,
            )
        };
        check("open a decoder", error)?;
        let state = NonNull::new(state)
            .ok_or(OpusError::Library { action: "open a decoder", reason: "it returned no decoder" })?;
        let channels = usize::from(layout.channels());
        Ok(Self { state, channels, buffer: vec![0.0; PacketDuration::Ms60.samples() * channels] })
    }

    /// Decodes one packet; the samples are interleaved and as many as the packet holds.
    ///
    /// # Errors
    /// [`OpusError::Library`] for bytes that are no Opus packet of this layout, or one longer than `duration`.
    pub fn decode(&mut self, packet: &[u8], duration: PacketDuration) -> Result<&[f32], OpusError> {
        if packet.is_empty() {
            return Err(OpusError::Library { action: "decode a packet", reason: "it is empty" });
        }
        self.run("decode a packet", packet.as_ptr(), packet.len(), duration)
    }

    /// Makes up the sound of a packet that was lost.
    ///
    /// # Errors
    /// [`OpusError::Library`] if libopus fails.
    pub fn conceal(&mut self, duration: PacketDuration) -> Result<&[f32], OpusError> {
        self.run("conceal a packet", ptr::null(), 0, duration)
    }

    fn run(
        &mut self,
        action: &'static str,
        data: *const u8,
        length: usize,
        duration: PacketDuration,
    ) -> Result<&[f32], OpusError> {
        let length = i32::try_from(length).map_err(|_| OpusError::Library { action, reason: "it is too long" })?;
        // SAFETY: the state is live; `data` is null (concealment) or points to `length` bytes; the buffer holds 60 ms
        // of all channels, the longest duration there is, and libopus writes at most the samples it is allowed.
        let samples = unsafe {
            sys::opus_multistream_decode_float(
                self.state.as_ptr(),
                data,
                length,
                self.buffer.as_mut_ptr(),
                duration.samples() as c_int,
                0,
            )
        };
        let samples = check(action, samples)?;
        Ok(&self.buffer[..samples * self.channels])
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the state came from opus_multistream_decoder_create and is not used afterwards.
        unsafe { sys::opus_multistream_decoder_destroy(self.state.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_an_error_and_the_decoder_lives_on() {
        let mut decoder = Decoder::new(&Layout::new(4, 2, &[0, 1, 2, 3, 4, 5]).unwrap()).unwrap();
        let mut refused = 0;
        for length in 0..200usize {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 37 + length * 11) as u8).collect();
            refused += usize::from(decoder.decode(&bytes, PacketDuration::Ms5).is_err());
        }
        assert!(refused > 100);
        assert_eq!(decoder.conceal(PacketDuration::Ms5).unwrap().len(), 240 * 6);
    }
}

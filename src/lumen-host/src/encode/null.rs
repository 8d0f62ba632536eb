//! An encoder that encodes nothing: access units of the right size and shape at no cost, so that what is left of the
//! host's work can be measured alone. Chosen by configuration only.

use super::{AccessUnit, Codec, EncodeError, Encoder, EncoderConfig, FrameIndex, FrameKind, FrameRequest};
use crate::frame::Frame;

/// See the module.
pub struct NullEncoder {
    config: EncoderConfig,
    unit: Vec<u8>,
    started: bool,
}

impl NullEncoder {
    /// An encoder of `config.bitrate_bps / fps` bytes a frame.
    pub fn new(config: &EncoderConfig) -> Self {
        Self { config: config.clone(), unit: Vec::new(), started: false }
    }
}

impl Encoder for NullEncoder {
    fn name(&self) -> &'static str {
        "null"
    }

    fn encode(
        &mut self,
        _frame: &Frame,
        index: FrameIndex,
        request: FrameRequest,
    ) -> Result<Option<AccessUnit<'_>>, EncodeError> {
        let key = !self.started || request != FrameRequest::Normal;
        self.started = true;
        let head: &[u8] = match (self.config.codec, key) {
            (Codec::H264, true) => &[0, 0, 0, 1, 0x67, 0x64, 0, 0, 0, 1, 0x68, 0xee, 0, 0, 0, 1, 0x65],
            (Codec::H264, false) => &[0, 0, 0, 1, 0x61],
            (Codec::Hevc, true) => {
                &[0, 0, 0, 1, 0x40, 1, 0, 0, 0, 1, 0x42, 1, 0, 0, 0, 1, 0x44, 1, 0, 0, 0, 1, 0x26, 1]
            }
            (Codec::Hevc, false) => &[0, 0, 0, 1, 0x02, 1],
            (Codec::Av1, _) => &[0x12, 0],
        };
        let bytes = (self.config.bitrate_bps as f64 / 8.0 / self.config.mode.fps().max(1.0)) as usize;
        self.unit.clear();
        self.unit.extend_from_slice(head);
        // Never zero, so that it holds no start code.
        self.unit.resize(bytes.clamp(head.len() + 1, self.config.max_frame_bytes), (index.0 % 255) as u8 + 1);
        Ok(Some(AccessUnit { data: &self.unit, kind: if key { FrameKind::Idr } else { FrameKind::P } }))
    }

    fn set_bitrate(&mut self, bitrate_bps: u64) -> Result<(), EncodeError> {
        self.config.bitrate_bps = bitrate_bps;
        Ok(())
    }
}

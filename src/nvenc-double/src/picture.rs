//! Real H.264 from NV12 pictures, by OpenH264 at a fixed quantiser.
//!
//! OpenH264 refers to the picture before and to no other. To leave out references, the double encodes all pictures since
//! the last key picture anew, but for the lost ones: the next picture then follows on the last one that was not lost,
//! exactly as a decoder that stopped there needs it.

use openh264::OpenH264API;
use openh264::encoder::{Encoder, EncoderConfig, FrameType, QpRange, RateControlMode, UsageType};
use openh264::formats::YUVSlices;

/// Pictures that are remembered; a loss further back is answered with a key picture.
const MEMORY: usize = 300;

/// An encoder.
pub(crate) struct Codec {
    width: usize,
    height: usize,
    encoder: Encoder,
    /// The pictures since the last key picture that the encoder has in its history: time stamp and planes.
    since_key: Vec<(u64, Vec<u8>)>,
}

impl Codec {
    pub(crate) fn new(width: usize, height: usize) -> Option<Self> {
        Some(Self { width, height, encoder: encoder()?, since_key: Vec::new() })
    }

    /// Encodes an NV12 picture; the bytes, and whether it became a key picture.
    pub(crate) fn encode(&mut self, nv12: &[u8], pitch: usize, stamp: u64, key: bool) -> Option<(Vec<u8>, bool)> {
        let planes = self.planes(nv12, pitch);
        let key = key || self.since_key.is_empty() || self.since_key.len() >= MEMORY;
        if key {
            self.since_key.clear();
            self.encoder.force_intra_frame();
        }
        let coded = one(&mut self.encoder, &planes, self.width, self.height)?;
        self.since_key.push((stamp, planes));
        (coded.1 == key).then_some(coded)
    }

    /// Goes back to the last picture before the first that `is_lost`. Whether there is one.
    pub(crate) fn go_back(&mut self, is_lost: impl Fn(u64) -> bool) -> Option<bool> {
        let kept = self.since_key.iter().position(|(stamp, _)| is_lost(*stamp)).unwrap_or(self.since_key.len());
        self.since_key.truncate(kept);
        self.encoder = encoder()?;
        for (_, planes) in &self.since_key {
            one(&mut self.encoder, planes, self.width, self.height)?;
        }
        Some(kept > 0)
    }

    /// Y, Cb and Cr one after the other.
    fn planes(&self, nv12: &[u8], pitch: usize) -> Vec<u8> {
        let (luma, chroma) = nv12.split_at(pitch * self.height);
        let chroma_lines = || chroma.chunks(pitch).take(self.height / 2).map(|line| &line[..self.width]);
        let mut planes = Vec::with_capacity(self.width * self.height * 3 / 2);
        luma.chunks(pitch).for_each(|line| planes.extend_from_slice(&line[..self.width]));
        chroma_lines().for_each(|line| planes.extend(line.iter().step_by(2)));
        chroma_lines().for_each(|line| planes.extend(line.iter().skip(1).step_by(2)));
        planes
    }
}

fn encoder() -> Option<Encoder> {
    // All that decides by itself is off, so that the same pictures give the same bytes.
    let config = EncoderConfig::new()
        .usage_type(UsageType::CameraVideoRealTime)
        .rate_control_mode(RateControlMode::Off)
        .qp(QpRange::new(26, 26))
        .skip_frames(false)
        .scene_change_detect(false)
        .adaptive_quantization(false)
        .background_detection(false)
        .num_threads(1);
    Encoder::with_api_config(OpenH264API::from_source(), config).ok()
}

fn one(encoder: &mut Encoder, planes: &[u8], width: usize, height: usize) -> Option<(Vec<u8>, bool)> {
    let (luma, chroma) = planes.split_at(width * height);
    let (cb, cr) = chroma.split_at(width * height / 4);
    let coded = encoder.encode(&YUVSlices::new((luma, cb, cr), (width, height), (width, width / 2, width / 2))).ok()?;
    Some((coded.to_vec(), coded.frame_type() == FrameType::IDR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(number: u8) -> Vec<u8> {
        (0..64 * 96u32).map(|at| (at as u8 / 3).wrapping_mul(number + 1)).collect()
    }

    #[test]
    fn after_a_loss_the_next_picture_follows_on_the_last_good_one() {
        let mut lossy = Codec::new(64, 64).expect("it opens");
        let mut clean = Codec::new(64, 64).expect("it opens");
        for number in 0..6 {
            lossy.encode(&picture(number), 64, number.into(), false).expect("it encodes");
        }
        assert_eq!(lossy.go_back(|stamp| stamp >= 3), Some(true));
        for number in 0..3 {
            clean.encode(&picture(number), 64, number.into(), false).expect("it encodes");
        }
        let next = lossy.encode(&picture(9), 64, 9, false).expect("it encodes");
        assert_eq!(next, clean.encode(&picture(9), 64, 9, false).expect("it encodes"));
        assert!(!next.1);
        assert_eq!(lossy.go_back(|_| true), Some(false));
    }
}

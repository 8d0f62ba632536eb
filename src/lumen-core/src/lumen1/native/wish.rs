//! The stream that a client asks for (section 2.1.5), and its place among the wishes of GameStream's clients.

use super::message::MessageError;
use crate::gamestream::http::{BitDepth, Chroma, Codec, Profile};
use crate::gamestream::sdp::{
    AudioQuality, ClientFeatures, ControlProtocol, EncryptionBits, Matrix, QosMarks, Range, ReferenceFrames,
    StreamRequest,
};
use crate::gamestream::video::PacketSize;
use crate::reader::Reader;

/// Sizes of GameStream's packets mean nothing here; its own default stands in their place.
const PACKET_SIZE: u32 = 1392;

/// Bits of the flags.
mod flag {
    pub(super) const TEN_BIT: u16 = 1;
    pub(super) const YUV_444: u16 = 1 << 1;
    pub(super) const FULL_RANGE: u16 = 1 << 2;
    pub(super) const ONE_REFERENCE: u16 = 1 << 3;
    pub(super) const HIGH_QUALITY_SOUND: u16 = 1 << 4;
}

/// What a client wants to see and hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Pixels per line, 1..=8192.
    pub width: u16,
    /// Lines, 2..=8192, even.
    pub height: u16,
    /// Frames per second, 1..=500.
    pub fps: u16,
    /// Refresh rate of the client's display in hundredths of a hertz; 0 if it does not matter.
    pub refresh_x100: u32,
    /// Rate of everything together, in kbit/s; at least 1.
    pub bitrate_kbps: u32,
    /// Codec, depth and chroma.
    pub profile: Profile,
    /// The matrix between RGB and YCbCr.
    pub matrix: Matrix,
    /// Which code values are black and white.
    pub range: Range,
    /// References that the decoder takes.
    pub references: ReferenceFrames,
    /// Slices of a picture, 1..=32.
    pub slices: u8,
    /// Channels of sound: 2, 6 or 8.
    pub channels: u8,
    /// Bitrate class of the sound.
    pub sound: AudioQuality,
    /// Length of an Opus frame in ms: 5 or 10.
    pub sound_ms: u8,
}

/// How the channels of sound lie in the Opus packets, as the multistream decoder wants to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundLayout {
    /// Streams of a packet.
    pub streams: u8,
    /// How many of them have two channels.
    pub coupled: u8,
    /// For each channel the decoded one that it is.
    pub mapping: Vec<u8>,
}

impl Wish {
    /// Appends the wish.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for number in [self.width, self.height, self.fps] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.refresh_x100.to_be_bytes());
        out.extend_from_slice(&self.bitrate_kbps.to_be_bytes());
        let flags = [
            (self.profile.depth() == BitDepth::Ten, flag::TEN_BIT),
            (self.profile.chroma() == Chroma::Yuv444, flag::YUV_444),
            (self.range == Range::Full, flag::FULL_RANGE),
            (self.references == ReferenceFrames::One, flag::ONE_REFERENCE),
            (self.sound == AudioQuality::High, flag::HIGH_QUALITY_SOUND),
        ];
        let flags = flags.into_iter().filter(|(set, _)| *set).fold(0, |flags, (_, bit)| flags | bit);
        out.extend_from_slice(&flags.to_be_bytes());
        let codec = match self.profile.codec() {
            Codec::H264 => 0,
            Codec::Hevc => 1,
            Codec::Av1 => 2,
        };
        let matrix = match self.matrix {
            Matrix::Bt601 => 0,
            Matrix::Bt709 => 1,
            Matrix::Bt2020 => 2,
        };
        out.extend_from_slice(&[codec, matrix, self.slices, self.channels, self.sound_ms]);
    }

    /// Reads a wish.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        let bad = MessageError::BadValue;
        let (width, height, fps) = (reader.u16_be()?, reader.u16_be()?, reader.u16_be()?);
        let (refresh_x100, bitrate_kbps, flags) = (reader.u32_be()?, reader.u32_be()?, reader.u16_be()?);
        let [codec, matrix, slices, channels, sound_ms] = reader.array()?;
        let set = |bit| flags & bit != 0;
        let codec = match codec {
            0 => Codec::H264,
            1 => Codec::Hevc,
            2 => Codec::Av1,
            _ => return Err(bad("codec")),
        };
        let depth = if set(flag::TEN_BIT) { BitDepth::Ten } else { BitDepth::Eight };
        let chroma = if set(flag::YUV_444) { Chroma::Yuv444 } else { Chroma::Yuv420 };
        let check = |good, what| if good { Ok(()) } else { Err(bad(what)) };
        check((1..=8192).contains(&width), "width")?;
        check((2..=8192).contains(&height) && height.is_multiple_of(2), "height")?;
        check((1..=500).contains(&fps), "frames per second")?;
        check(bitrate_kbps > 0, "bitrate")?;
        check((1..=32).contains(&slices), "slices")?;
        check([2, 6, 8].contains(&channels), "channels")?;
        check([5, 10].contains(&sound_ms), "length of sound")?;
        Ok(Self {
            width,
            height,
            fps,
            refresh_x100,
            bitrate_kbps,
            profile: Profile::new(codec, depth, chroma).ok_or(bad("profile"))?,
            matrix: match matrix {
                0 => Matrix::Bt601,
                1 => Matrix::Bt709,
                2 => Matrix::Bt2020,
                _ => return Err(bad("matrix")),
            },
            range: if set(flag::FULL_RANGE) { Range::Full } else { Range::Limited },
            references: if set(flag::ONE_REFERENCE) { ReferenceFrames::One } else { ReferenceFrames::HostDecides },
            slices,
            channels,
            sound: if set(flag::HIGH_QUALITY_SOUND) { AudioQuality::High } else { AudioQuality::Normal },
            sound_ms,
        })
    }

    /// The same wish as a client of GameStream announces it; what that has beyond this is about its own packets.
    pub fn to_request(&self) -> StreamRequest {
        StreamRequest {
            width: self.width.into(),
            height: self.height.into(),
            fps: self.fps.into(),
            client_refresh_rate_x100: Some(self.refresh_x100).filter(|rate| *rate != 0),
            packet_size: PacketSize::new(PACKET_SIZE).expect("a multiple of 16"),
            configured_bitrate_kbps: Some(self.bitrate_kbps),
            maximum_bitrate_kbps: self.bitrate_kbps,
            codec: self.profile.codec(),
            depth: self.profile.depth(),
            chroma: self.profile.chroma(),
            matrix: self.matrix,
            range: self.range,
            slices: self.slices,
            reference_frames: self.references,
            intra_refresh: false,
            minimum_fec_packets: 0,
            channels: self.channels,
            channel_mask: 0,
            audio_quality: self.sound,
            audio_packet_ms: self.sound_ms,
            encryption: EncryptionBits::ALL,
            nv_features: 0,
            features: ClientFeatures::ALL,
            control: ControlProtocol::Encrypted,
            qos: QosMarks { video: true, audio: true },
        }
    }
}

//! Codecs, their profiles, and the bit mask `ServerCodecModeSupport` (protocol part 1, section 2.5).

use serde::{Deserialize, Serialize};

/// Video compression formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// H.264 / AVC.
    H264,
    /// H.265 / HEVC.
    Hevc,
    /// AV1.
    Av1,
}

/// Bits per component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BitDepth {
    /// 8 bits.
    Eight,
    /// 10 bits.
    Ten,
}

/// Chroma subsampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Chroma {
    /// 4:2:0.
    Yuv420,
    /// 4:4:4.
    Yuv444,
}

/// A codec with depth and subsampling. Other combinations have no bit on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Profile {
    /// H.264 High, 8 bits, 4:2:0.
    H264High8,
    /// HEVC Main.
    HevcMain8,
    /// HEVC Main10.
    HevcMain10,
    /// AV1 Main, 8 bits.
    Av1Main8,
    /// AV1 Main, 10 bits.
    Av1Main10,
    /// H.264 High 4:4:4, 8 bits.
    H264High444,
    /// HEVC RExt 4:4:4, 8 bits.
    HevcRext444x8,
    /// HEVC RExt 4:4:4, 10 bits.
    HevcRext444x10,
    /// AV1 High 4:4:4, 8 bits.
    Av1High444x8,
    /// AV1 High 4:4:4, 10 bits.
    Av1High444x10,
}

impl Profile {
    /// All profiles, in the order of their bits.
    pub const ALL: [Self; 10] = [
        Self::H264High8,
        Self::HevcMain8,
        Self::HevcMain10,
        Self::Av1Main8,
        Self::Av1Main10,
        Self::H264High444,
        Self::HevcRext444x8,
        Self::HevcRext444x10,
        Self::Av1High444x8,
        Self::Av1High444x10,
    ];

    /// The profile of a codec with that depth and subsampling, if the protocol has one.
    pub fn new(codec: Codec, depth: BitDepth, chroma: Chroma) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|profile| (profile.codec(), profile.depth(), profile.chroma()) == (codec, depth, chroma))
    }

    /// Bit of the codec mask.
    pub const fn mask_bit(self) -> u32 {
        match self {
            Self::H264High8 => 0x1,
            Self::HevcMain8 => 0x100,
            Self::HevcMain10 => 0x200,
            Self::Av1Main8 => 0x1_0000,
            Self::Av1Main10 => 0x2_0000,
            Self::H264High444 => 0x4_0000,
            Self::HevcRext444x8 => 0x8_0000,
            Self::HevcRext444x10 => 0x10_0000,
            Self::Av1High444x8 => 0x20_0000,
            Self::Av1High444x10 => 0x40_0000,
        }
    }

    /// The client's format number.
    pub const fn format_id(self) -> u32 {
        match self {
            Self::H264High8 => 0x0001,
            Self::HevcMain8 => 0x0100,
            Self::HevcMain10 => 0x0200,
            Self::Av1Main8 => 0x1000,
            Self::Av1Main10 => 0x2000,
            Self::H264High444 => 0x0004,
            Self::HevcRext444x8 => 0x0400,
            Self::HevcRext444x10 => 0x0800,
            Self::Av1High444x8 => 0x4000,
            Self::Av1High444x10 => 0x8000,
        }
    }

    /// The codec.
    pub const fn codec(self) -> Codec {
        match self {
            Self::H264High8 | Self::H264High444 => Codec::H264,
            Self::HevcMain8 | Self::HevcMain10 | Self::HevcRext444x8 | Self::HevcRext444x10 => Codec::Hevc,
            Self::Av1Main8 | Self::Av1Main10 | Self::Av1High444x8 | Self::Av1High444x10 => Codec::Av1,
        }
    }

    /// Bits per component.
    pub const fn depth(self) -> BitDepth {
        match self {
            Self::HevcMain10 | Self::Av1Main10 | Self::HevcRext444x10 | Self::Av1High444x10 => BitDepth::Ten,
            _ => BitDepth::Eight,
        }
    }

    /// Subsampling.
    pub const fn chroma(self) -> Chroma {
        match self {
            Self::H264High444
            | Self::HevcRext444x8
            | Self::HevcRext444x10
            | Self::Av1High444x8
            | Self::Av1High444x10 => Chroma::Yuv444,
            _ => Chroma::Yuv420,
        }
    }
}

/// A set of profiles, as a client lists what it can decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProfileSet(u32);

impl ProfileSet {
    /// The set of the client's format numbers (section 2.5, last column). Unknown bits are dropped.
    pub fn from_format_ids(ids: u32) -> Self {
        Profile::ALL.into_iter().filter(|profile| ids & profile.format_id() != 0).collect()
    }

    /// Whether the profile is in the set.
    pub const fn contains(self, profile: Profile) -> bool {
        self.0 & profile.mask_bit() != 0
    }

    /// The profiles, in the order of their bits in the mask.
    pub fn iter(self) -> impl Iterator<Item = Profile> {
        Profile::ALL.into_iter().filter(move |profile| self.contains(*profile))
    }
}

impl FromIterator<Profile> for ProfileSet {
    fn from_iter<I: IntoIterator<Item = Profile>>(profiles: I) -> Self {
        Self(profiles.into_iter().fold(0, |mask, profile| mask | profile.mask_bit()))
    }
}

/// Why a codec mask cannot be announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecMaskError {
    /// Zero: clients refuse to start.
    #[error("no codec is offered")]
    NoCodec,
    /// Bit 31 is set: clients keep the mask in a signed number.
    #[error("codec mask {0:#x} does not fit 31 bits")]
    OutOfRange(i64),
}

/// `ServerCodecModeSupport`: never zero, bit 31 clear. Unknown bits of a peer are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CodecMask(u32);

impl From<Profile> for CodecMask {
    fn from(only: Profile) -> Self {
        Self(only.mask_bit())
    }
}

impl CodecMask {
    /// The mask of a set of profiles.
    ///
    /// # Errors
    /// [`CodecMaskError::NoCodec`] if the set is empty.
    pub fn from_profiles(profiles: impl IntoIterator<Item = Profile>) -> Result<Self, CodecMaskError> {
        Self::new(i64::from(profiles.into_iter().collect::<ProfileSet>().0))
    }

    /// A mask as it stands in a reply.
    ///
    /// # Errors
    /// [`CodecMaskError`] if no client could use it.
    pub fn new(mask: i64) -> Result<Self, CodecMaskError> {
        match u32::try_from(mask) {
            Ok(0) => Err(CodecMaskError::NoCodec),
            Ok(mask) if mask >> 31 == 0 => Ok(Self(mask)),
            _ => Err(CodecMaskError::OutOfRange(mask)),
        }
    }

    /// The number on the wire.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether the profile is offered.
    pub const fn contains(self, profile: Profile) -> bool {
        self.0 & profile.mask_bit() != 0
    }

    /// The profiles on offer, in the order of their bits.
    pub fn profiles(self) -> impl Iterator<Item = Profile> {
        ProfileSet(self.0).iter()
    }

    /// Whether any profile has 10 bits.
    pub fn has_ten_bit(self) -> bool {
        self.profiles().any(|profile| profile.depth() == BitDepth::Ten)
    }

    /// Whether any profile has full chroma.
    pub fn has_chroma_444(self) -> bool {
        self.profiles().any(|profile| profile.chroma() == Chroma::Yuv444)
    }

    /// Whether Android clients offer HDR: HEVC Main10 or AV1 Main 10-bit.
    pub const fn enables_hdr_on_android(self) -> bool {
        self.contains(Profile::HevcMain10) || self.contains(Profile::Av1Main10)
    }
}

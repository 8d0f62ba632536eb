//! The body of DESCRIBE: what the host can do, as text that clients search (protocol part 1, section 5.5).

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{OpusLayout, SurroundError, SurroundParams, SurroundQuality, c_number};
use crate::gamestream::http::{BitDepth, Chroma, Codec, CodecMask, Profile, ProfileSet};

const FEATURES: &str = "x-ss-general.featureFlags";
const SUPPORTED: &str = "x-ss-general.encryptionSupported";
const REQUESTED: &str = "x-ss-general.encryptionRequested";
const INVALIDATION: &str = "x-nv-video[0].refPicInvalidation";
const HEVC_MARKER: &str = "sprop-parameter-sets=AAAAAU";
const AV1_MARKER: &str = "AV1/90000";
const SURROUND: &str = "a=fmtp:97 surround-params=";

/// Longest body that is read, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Most layouts that are read; hosts send six to eight.
const MAX_LAYOUTS: usize = 64;

/// Why a DESCRIBE body cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DescribeError {
    /// No body at all.
    #[error("the description is empty")]
    EmptyBody,
    /// More than a client would read.
    #[error("the description is too large")]
    TooLarge,
    /// The host requests encryption that it does not support.
    #[error("the host requests encryption that it does not support")]
    RequestedNotSupported,
    /// A surround layout is malformed.
    #[error("a surround layout is malformed")]
    BadSurroundParams,
    /// Host and client have no codec in common.
    #[error("host and client have no codec in common")]
    NoCodec,
}

impl From<SurroundError> for DescribeError {
    fn from(SurroundError::BadSurroundParams: SurroundError) -> Self {
        Self::BadSurroundParams
    }
}

/// What the host accepts beyond the basics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostFeatures(pub u32);

impl HostFeatures {
    /// Pen and touch events.
    pub const PEN_AND_TOUCH: Self = Self(1);
    /// Touch and motion events of controllers.
    pub const CONTROLLER_TOUCH_AND_MOTION: Self = Self(2);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Which streams are, can be or must be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EncryptionBits(pub u32);

impl EncryptionBits {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Version 2 of the control stream's encryption.
    pub const CONTROL_V2: Self = Self(1);
    /// Video.
    pub const VIDEO: Self = Self(2);
    /// Audio.
    pub const AUDIO: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What the user of a client wants encrypted, beyond the control stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientEncryption {
    /// Video.
    pub video: bool,
    /// Audio.
    pub audio: bool,
}

/// The streams that a client encrypts (section 5.5, last table).
pub const fn negotiate_encryption(
    supported: EncryptionBits,
    requested: EncryptionBits,
    wanted: ClientEncryption,
) -> EncryptionBits {
    let mut enabled = EncryptionBits(supported.0 & EncryptionBits::CONTROL_V2.0);
    if (wanted.video && supported.contains(EncryptionBits::VIDEO))
        || (!wanted.video && requested.contains(EncryptionBits::VIDEO))
    {
        enabled = enabled.with(EncryptionBits::VIDEO);
    }
    if (wanted.audio && supported.contains(EncryptionBits::AUDIO))
        || (!wanted.audio && requested.contains(EncryptionBits::AUDIO))
    {
        enabled = enabled.with(EncryptionBits::AUDIO);
    }
    enabled
}

/// What a host describes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DescribeOffer {
    /// What it accepts beyond the basics.
    pub features: HostFeatures,
    /// Streams that can be encrypted.
    pub encryption_supported: EncryptionBits,
    /// Streams that must be encrypted; a subset of the supported ones.
    pub encryption_requested: EncryptionBits,
    /// The encoder can answer the loss of reference frames without a key frame.
    pub reference_invalidation: bool,
    /// HEVC is on offer.
    pub hevc: bool,
    /// AV1 is on offer.
    pub av1: bool,
    /// Opus layouts in the order of their lines: of each channel count the first is for normal quality, the second
    /// for high quality.
    pub surround: Vec<SurroundParams>,
}

impl DescribeOffer {
    /// The layouts of this host, behind the client's own if its launch request brought one (section 4.3).
    pub fn standard_surround(own: Option<SurroundParams>) -> Vec<SurroundParams> {
        use SurroundQuality::{High, Normal};
        own.into_iter()
            .chain(own)
            .chain([
                SurroundParams::announcing(OpusLayout::STEREO, Normal),
                SurroundParams::announcing(OpusLayout::STEREO, High),
                SurroundParams::announcing(OpusLayout::SURROUND_51_NORMAL, Normal),
                SurroundParams::announcing(OpusLayout::SURROUND_51_HIGH, High),
                SurroundParams::announcing(OpusLayout::SURROUND_71_NORMAL, Normal),
                SurroundParams::announcing(OpusLayout::SURROUND_71_HIGH, High),
            ])
            .collect()
    }

    /// The body. Encryption that is requested is also listed as supported: clients would use it unasked otherwise.
    pub fn to_text(&self) -> String {
        let supported = self.encryption_supported.with(self.encryption_requested);
        let mut text = String::with_capacity(512);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "a={FEATURES}:{}", self.features.0);
        let _ = writeln!(text, "a={SUPPORTED}:{}", supported.0);
        let _ = writeln!(text, "a={REQUESTED}:{}", self.encryption_requested.0);
        if self.reference_invalidation {
            let _ = writeln!(text, "a={INVALIDATION}:1");
        }
        if self.hevc {
            let _ = writeln!(text, "{HEVC_MARKER}");
        }
        if self.av1 {
            let _ = writeln!(text, "a=rtpmap:98 {AV1_MARKER}");
        }
        for params in &self.surround {
            let _ = writeln!(text, "{SURROUND}{params}");
        }
        text
    }

    /// Searches a body as clients do.
    ///
    /// # Errors
    /// [`DescribeError`] says what makes it useless.
    pub fn parse(body: &str) -> Result<Self, DescribeError> {
        if body.is_empty() {
            return Err(DescribeError::EmptyBody);
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(DescribeError::TooLarge);
        }
        let supported = EncryptionBits(number_after(body, SUPPORTED));
        let requested = EncryptionBits(number_after(body, REQUESTED));
        if !supported.contains(requested) {
            return Err(DescribeError::RequestedNotSupported);
        }
        let mut surround = Vec::new();
        for (start, prefix) in body.match_indices(SURROUND).take(MAX_LAYOUTS) {
            let rest = &body[start + prefix.len()..];
            let digits = rest.len() - rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
            match SurroundParams::parse(&rest[..digits]) {
                Ok(params) => surround.push(params),
                // Stereo is fixed: clients do not read its lines.
                Err(_) if !rest.starts_with(['6', '8']) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self {
            features: HostFeatures(number_after(body, FEATURES)),
            encryption_supported: supported,
            encryption_requested: requested,
            reference_invalidation: body.contains(INVALIDATION),
            hevc: body.contains(HEVC_MARKER),
            av1: body.contains(AV1_MARKER),
            surround,
        })
    }

    /// The layout that was announced for a channel count and a quality.
    pub fn layout(&self, channels: u8, quality: SurroundQuality) -> Option<OpusLayout> {
        let index = match quality {
            SurroundQuality::Normal => 0,
            SurroundQuality::High => 1,
        };
        let params = self.surround.iter().filter(|params| params.channels() == channels).nth(index)?;
        Some(params.layout(quality))
    }

    /// Whether a codec is on offer. H.264 always is.
    pub const fn offers(&self, codec: Codec) -> bool {
        match codec {
            Codec::H264 => true,
            Codec::Hevc => self.hevc,
            Codec::Av1 => self.av1,
        }
    }
}

/// The number after the first colon that follows `name`; 0 if the name is absent.
fn number_after(body: &str, name: &str) -> u32 {
    body.split_once(name).and_then(|(_, rest)| rest.split_once(':')).map_or(0, |(_, rest)| c_number(rest))
}

/// The profile that a client picks: the codec from the description, the profile from the mask. A codec without a
/// common profile in the mask gets its plainest one.
///
/// # Errors
/// [`DescribeError::NoCodec`] if the client can decode nothing that the host offers.
pub fn choose_profile(offer: &DescribeOffer, mask: CodecMask, client: ProfileSet) -> Result<Profile, DescribeError> {
    let codec = [Codec::Av1, Codec::Hevc, Codec::H264]
        .into_iter()
        .find(|codec| offer.offers(*codec) && client.iter().any(|profile| profile.codec() == *codec))
        .ok_or(DescribeError::NoCodec)?;
    let ranked = [
        (BitDepth::Ten, Chroma::Yuv444),
        (BitDepth::Ten, Chroma::Yuv420),
        (BitDepth::Eight, Chroma::Yuv444),
        (BitDepth::Eight, Chroma::Yuv420),
    ];
    let profiles = || ranked.into_iter().filter_map(|(depth, chroma)| Profile::new(codec, depth, chroma));
    profiles()
        .find(|profile| mask.contains(*profile) && client.contains(*profile))
        .or_else(|| profiles().next_back())
        .ok_or(DescribeError::NoCodec)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requested_encryption_is_always_listed_as_supported() {
        let offer = DescribeOffer { encryption_requested: EncryptionBits::VIDEO, ..Default::default() };
        assert_eq!(DescribeOffer::parse(&offer.to_text()).unwrap().encryption_supported, EncryptionBits::VIDEO);
    }

    #[test]
    fn the_clients_own_layout_comes_first_and_twice() {
        let own = SurroundParams::from_client("642014523").unwrap();
        let offer = DescribeOffer { surround: DescribeOffer::standard_surround(Some(own)), ..Default::default() };
        let read = DescribeOffer::parse(&offer.to_text()).unwrap();
        assert_eq!(read.layout(6, SurroundQuality::High), Some(own.layout(SurroundQuality::High)));
        assert_eq!(read.layout(8, SurroundQuality::High), Some(OpusLayout::SURROUND_71_HIGH));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(features in any::<u32>(), supported in 0u32..8, requested in 0u32..8, flags in any::<[bool; 3]>()) {
            let [reference_invalidation, hevc, av1] = flags;
            let offer = DescribeOffer {
                features: HostFeatures(features),
                encryption_supported: EncryptionBits(supported | requested),
                encryption_requested: EncryptionBits(requested),
                reference_invalidation,
                hevc,
                av1,
                surround: DescribeOffer::standard_surround(None),
            };
            prop_assert_eq!(DescribeOffer::parse(&offer.to_text()).unwrap(), offer);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "(a=x-ss-general\\.featureFlags|:|0x|9{0,20}|a=fmtp:97 surround-params=|[0-9é]){0,20}") {
            let _ = DescribeOffer::parse(&text);
        }
    }
}

//! ANNOUNCE: what the client wants (protocol part 1, section 5.7; part 2, section 4.1).

use std::fmt::Write as _;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Attributes, EncryptionBits, SessionIds, encoder_bitrate};
use crate::gamestream::http::{BitDepth, Chroma, Codec};
use crate::gamestream::video::PacketSize;

mod names {
    //! The attributes that this host reads.
    pub(super) const CLIENT_FEATURES: &str = "x-ml-general.featureFlags";
    pub(super) const ENCRYPTION: &str = "x-ss-general.encryptionEnabled";
    pub(super) const CHROMA: &str = "x-ss-video[0].chromaSamplingType";
    pub(super) const INTRA_REFRESH: &str = "x-ss-video[0].intraRefresh";
    pub(super) const WIDTH: &str = "x-nv-video[0].clientViewportWd";
    pub(super) const HEIGHT: &str = "x-nv-video[0].clientViewportHt";
    pub(super) const FPS: &str = "x-nv-video[0].maxFPS";
    pub(super) const PACKET_SIZE: &str = "x-nv-video[0].packetSize";
    pub(super) const MAXIMUM_BITRATE: &str = "x-nv-vqos[0].bw.maximumBitrateKbps";
    pub(super) const CONFIGURED_BITRATE: &str = "x-ml-video.configuredBitrateKbps";
    pub(super) const VIDEO_QOS: &str = "x-nv-vqos[0].qosTrafficType";
    pub(super) const AUDIO_QOS: &str = "x-nv-aqos.qosTrafficType";
    pub(super) const NV_FEATURES: &str = "x-nv-general.featureFlags";
    pub(super) const CONTROL: &str = "x-nv-general.useReliableUdp";
    pub(super) const MINIMUM_FEC: &str = "x-nv-vqos[0].fec.minRequiredFecPackets";
    pub(super) const SLICES: &str = "x-nv-video[0].videoEncoderSlicesPerFrame";
    pub(super) const CODEC: &str = "x-nv-vqos[0].bitStreamFormat";
    pub(super) const DYNAMIC_RANGE: &str = "x-nv-video[0].dynamicRangeMode";
    pub(super) const REFERENCES: &str = "x-nv-video[0].maxNumReferenceFrames";
    pub(super) const REFRESH_RATE: &str = "x-nv-video[0].clientRefreshRateX100";
    pub(super) const CHANNELS: &str = "x-nv-audio.surround.numChannels";
    pub(super) const CHANNEL_MASK: &str = "x-nv-audio.surround.channelMask";
    pub(super) const AUDIO_QUALITY: &str = "x-nv-audio.surround.AudioQuality";
    pub(super) const PACKET_DURATION: &str = "x-nv-aqos.packetDuration";
    pub(super) const COLOUR: &str = "x-nv-video[0].encoderCscMode";
}

/// Smallest packet size that is taken. Sizes are multiples of 16.
const SMALLEST_PACKET: u32 = 256;

/// Most slices that a picture is cut into; decoders ask for up to four, larger wishes are cut to this.
const MAX_SLICES: u32 = 32;

/// Bit of `x-nv-general.featureFlags` by which a client says that it decrypts audio, whatever was negotiated.
const NV_AUDIO_ENCRYPTION: u32 = 0x20;

/// Why an ANNOUNCE cannot be carried out. All are answered with status 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnnounceError {
    /// A required attribute is absent.
    #[error("attribute {0} is missing")]
    MissingAttribute(&'static str),
    /// An attribute is not a decimal number.
    #[error("attribute {0} is not a number")]
    BadNumber(&'static str),
    /// A number is outside of its range.
    #[error("attribute {0} is out of range")]
    OutOfRange(&'static str),
    /// The client wants a codec that was not offered.
    #[error("codec {0:?} was not offered")]
    CodecNotOffered(Codec),
    /// The body is longer, or has more attributes, than any client sends.
    #[error("the announcement is too large")]
    TooLarge,
    /// The body is not text.
    #[error("the announcement is not text")]
    NotText,
}

/// The matrix between RGB and YCbCr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Matrix {
    /// BT.601.
    Bt601,
    /// BT.709.
    Bt709,
    /// BT.2020, non-constant luminance.
    Bt2020,
}

/// Which code values are black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Range {
    /// 16–235 (in 8 bits).
    Limited,
    /// 0–255 (in 8 bits).
    Full,
}

/// How many reference frames the client's decoder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReferenceFrames {
    /// The host decides; the decoder copes with invalidation.
    HostDecides,
    /// Exactly one.
    One,
}

/// Bitrate class of the sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AudioQuality {
    /// Normal.
    Normal,
    /// High.
    High,
}

/// `x-ml-general.featureFlags`: what the client's core can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClientFeatures(pub u32);

impl ClientFeatures {
    /// What this project's client announces.
    pub const ALL: Self = Self(3);

    /// It reports the FEC status of each frame.
    pub const fn reports_fec_status(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether it uses ping payload and connect data.
    pub const fn session_ids(self) -> SessionIds {
        if self.0 & 2 != 0 { SessionIds::Used } else { SessionIds::NotUsed }
    }
}

/// `x-nv-general.useReliableUdp`: the control protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlProtocol {
    /// 13: every message is encrypted.
    Encrypted,
    /// Another number, of older clients.
    Legacy(u32),
}

/// Which media the client wants marked for the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QosMarks {
    /// Mark video.
    pub video: bool,
    /// Mark audio.
    pub audio: bool,
}

/// Frames per second as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshRate {
    /// Numerator.
    pub numerator: u32,
    /// Denominator; never zero.
    pub denominator: u32,
}

/// The encoder's rate in kbit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EncoderRate(pub u32);

/// What a client wants of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRequest {
    /// Pixels per line, 1..=8192.
    pub width: u32,
    /// Lines, 2..=8192, even.
    pub height: u32,
    /// Frames per second, 1..=500.
    pub fps: u32,
    /// Refresh rate of the client's display × 100, if it said; not always related to `fps`. See
    /// [`StreamRequest::refresh_rate`].
    pub client_refresh_rate_x100: Option<u32>,
    /// Size of video packets, at least 256 and a multiple of 16; already reduced by 32 when video is encrypted.
    pub packet_size: PacketSize,
    /// The user's choice of bitrate for everything, in kbit/s, if the client said.
    pub configured_bitrate_kbps: Option<u32>,
    /// 80 % of it, at most 100000: what counts if there is no configured bitrate. See
    /// [`StreamRequest::encoder_rate`].
    pub maximum_bitrate_kbps: u32,
    /// Codec; one that was offered.
    pub codec: Codec,
    /// Bits per component; 10 bits also mean HDR if the display has it.
    pub depth: BitDepth,
    /// Chroma subsampling.
    pub chroma: Chroma,
    /// RGB → YCbCr matrix.
    pub matrix: Matrix,
    /// Code range.
    pub range: Range,
    /// Slices of a picture, 1..=32.
    pub slices: u8,
    /// Reference frames that the decoder takes.
    pub reference_frames: ReferenceFrames,
    /// The client wants intra refresh instead of key frames.
    pub intra_refresh: bool,
    /// Least parity packets of a frame.
    pub minimum_fec_packets: u8,
    /// Channels of sound: 2, 6 or 8.
    pub channels: u8,
    /// Speaker mask.
    pub channel_mask: u32,
    /// Bitrate class of the sound; see [`StreamRequest::parse`] for where it comes from in stereo.
    pub audio_quality: AudioQuality,
    /// Length of an Opus frame in ms: 5 or 10.
    pub audio_packet_ms: u8,
    /// What the client enabled. For audio see [`StreamRequest::audio_is_encrypted`].
    pub encryption: EncryptionBits,
    /// `x-nv-general.featureFlags`.
    pub nv_features: u32,
    /// What the client's core can do.
    pub features: ClientFeatures,
    /// The control protocol.
    pub control: ControlProtocol,
    /// Which media to mark for the network.
    pub qos: QosMarks,
}

impl StreamRequest {
    /// Reads the body of an ANNOUNCE. `host_header` is the `Host` header of the same request: in stereo it says which
    /// quality is wanted, by being `0.0.0.0` for the lower one. `offered` are the codecs of the description.
    ///
    /// # Errors
    /// [`AnnounceError`] says which attribute is wrong.
    pub fn parse(body: &str, host_header: Option<&str>, offered: &[Codec]) -> Result<Self, AnnounceError> {
        let attributes = Attributes::parse(body)?;
        let required = |name| attributes.number(name)?.ok_or(AnnounceError::MissingAttribute(name));
        let optional = |name, default| Ok::<u32, AnnounceError>(attributes.number(name)?.unwrap_or(default));
        let within = |name, value: u32, low: u32, high: u32| {
            if (low..=high).contains(&value) { Ok(value) } else { Err(AnnounceError::OutOfRange(name)) }
        };
        let width = within(names::WIDTH, required(names::WIDTH)?, 1, 8192)?;
        let height = within(names::HEIGHT, required(names::HEIGHT)?, 2, 8192)?;
        if !height.is_multiple_of(2) {
            return Err(AnnounceError::OutOfRange(names::HEIGHT));
        }
        let fps = within(names::FPS, required(names::FPS)?, 1, 500)?;
        let packet_size = PacketSize::new(required(names::PACKET_SIZE)?)
            .ok()
            .filter(|size| size.get() >= SMALLEST_PACKET && size.get().is_multiple_of(16))
            .ok_or(AnnounceError::OutOfRange(names::PACKET_SIZE))?;
        let channels = match required(names::CHANNELS)? {
            2 => 2,
            6 => 6,
            8 => 8,
            _ => return Err(AnnounceError::OutOfRange(names::CHANNELS)),
        };
        let audio_packet_ms = match optional(names::PACKET_DURATION, 5)? {
            5 => 5,
            10 => 10,
            _ => return Err(AnnounceError::OutOfRange(names::PACKET_DURATION)),
        };
        let codec = match optional(names::CODEC, 0)? {
            0 => Codec::H264,
            1 => Codec::Hevc,
            2 => Codec::Av1,
            _ => return Err(AnnounceError::OutOfRange(names::CODEC)),
        };
        if !offered.contains(&codec) {
            return Err(AnnounceError::CodecNotOffered(codec));
        }
        let wants_high = required(names::AUDIO_QUALITY)? == 1;
        let stereo_high = !host_header.unwrap_or_default().contains("0.0.0.0");
        let high = if channels == 2 { stereo_high } else { wants_high };
        let colour = within(names::COLOUR, optional(names::COLOUR, 0)?, 0, 5)?;
        Ok(Self {
            width,
            height,
            fps,
            client_refresh_rate_x100: attributes.number(names::REFRESH_RATE)?.filter(|rate| *rate != 0),
            packet_size,
            configured_bitrate_kbps: attributes.number(names::CONFIGURED_BITRATE)?.filter(|rate| *rate != 0),
            maximum_bitrate_kbps: required(names::MAXIMUM_BITRATE)?,
            codec,
            depth: if optional(names::DYNAMIC_RANGE, 0)? == 1 { BitDepth::Ten } else { BitDepth::Eight },
            chroma: if optional(names::CHROMA, 0)? == 0 { Chroma::Yuv420 } else { Chroma::Yuv444 },
            matrix: match colour >> 1 {
                0 => Matrix::Bt601,
                1 => Matrix::Bt709,
                _ => Matrix::Bt2020,
            },
            range: if colour & 1 == 1 { Range::Full } else { Range::Limited },
            slices: u8::try_from(optional(names::SLICES, 1)?.clamp(1, MAX_SLICES)).unwrap_or(1),
            reference_frames: match required(names::REFERENCES)? {
                0 => ReferenceFrames::HostDecides,
                _ => ReferenceFrames::One,
            },
            intra_refresh: optional(names::INTRA_REFRESH, 0)? == 1,
            minimum_fec_packets: u8::try_from(optional(names::MINIMUM_FEC, 0)?).unwrap_or(u8::MAX),
            channels,
            channel_mask: required(names::CHANNEL_MASK)?,
            audio_quality: if high { AudioQuality::High } else { AudioQuality::Normal },
            audio_packet_ms,
            encryption: EncryptionBits(optional(names::ENCRYPTION, 0)?),
            nv_features: optional(names::NV_FEATURES, 135)?,
            features: ClientFeatures(optional(names::CLIENT_FEATURES, 0)?),
            control: match optional(names::CONTROL, 1)? {
                13 => ControlProtocol::Encrypted,
                other => ControlProtocol::Legacy(other),
            },
            qos: QosMarks { video: optional(names::VIDEO_QOS, 5)? != 0, audio: optional(names::AUDIO_QOS, 4)? != 0 },
        })
    }

    /// The encoder's rate when `fec_percentage` of parity travels beside it: from the user's choice, or, without one,
    /// the announced maximum as it is.
    pub fn encoder_rate(&self, fec_percentage: u8) -> EncoderRate {
        EncoderRate(match self.configured_bitrate_kbps {
            Some(configured) => encoder_bitrate(configured, fec_percentage, self.channels, self.audio_quality).encoder,
            None => self.maximum_bitrate_kbps,
        })
    }

    /// The rate of the pictures: the client's fractional rate if it is within 1 % of the whole one, else that.
    pub fn refresh_rate(&self) -> RefreshRate {
        match self.client_refresh_rate_x100 {
            Some(rate) if rate.abs_diff(self.fps.saturating_mul(100)) <= self.fps && !rate.is_multiple_of(100) => {
                RefreshRate { numerator: rate, denominator: 100 }
            }
            _ => RefreshRate { numerator: self.fps, denominator: 1 },
        }
    }

    /// Whether version 2 of the control encryption is in use.
    pub const fn control_is_v2(&self) -> bool {
        self.encryption.contains(EncryptionBits::CONTROL_V2)
    }

    /// Whether video packets are encrypted.
    pub const fn video_is_encrypted(&self) -> bool {
        self.encryption.contains(EncryptionBits::VIDEO)
    }

    /// Whether audio packets are encrypted. A client can switch that on alone.
    pub const fn audio_is_encrypted(&self) -> bool {
        self.encryption.contains(EncryptionBits::AUDIO) || self.nv_features & NV_AUDIO_ENCRYPTION != 0
    }

    /// The body that a client sends: `host` is the address that it reaches the host at, `video_port` the port from
    /// the SETUP reply.
    pub fn to_text(&self, host: IpAddr, video_port: u16) -> String {
        let mut text = String::with_capacity(2048);
        let family = if host.is_ipv4() { "IPv4" } else { "IPv6" };
        // Writing to a String cannot fail.
        let _ = write!(text, "v=0\r\no=android 0 14 IN {family} {host}\r\ns=NVIDIA Streaming Client\r\n");
        for (name, value) in self.attributes() {
            let _ = write!(text, "a={name}:{value} \r\n");
        }
        let _ = write!(text, "t=0 0\r\nm=video {video_port}  \r\n");
        text
    }

    /// The attributes in the order of the client's core.
    fn attributes(&self) -> Vec<(&'static str, u32)> {
        let bitrate = self.maximum_bitrate_kbps;
        let control = match self.control {
            ControlProtocol::Encrypted => 13,
            ControlProtocol::Legacy(number) => number,
        };
        let matrix = match self.matrix {
            Matrix::Bt601 => 0,
            Matrix::Bt709 => 2,
            Matrix::Bt2020 => 4,
        };
        let (codec, hevc) = match self.codec {
            Codec::H264 => (0, Some(0)),
            Codec::Hevc => (1, Some(1)),
            Codec::Av1 => (2, None),
        };
        let surround = self.channels > 2;
        let mut list = vec![
            (names::CLIENT_FEATURES, self.features.0),
            (names::ENCRYPTION, self.encryption.0),
            (names::CHROMA, u32::from(self.chroma == Chroma::Yuv444)),
        ];
        list.extend(self.intra_refresh.then_some((names::INTRA_REFRESH, 1)));
        list.extend([
            (names::WIDTH, self.width),
            (names::HEIGHT, self.height),
            (names::FPS, self.fps),
            (names::PACKET_SIZE, self.packet_size.get()),
            ("x-nv-video[0].rateControlMode", 4),
            ("x-nv-video[0].timeoutLengthMs", 7000),
            ("x-nv-video[0].framesWithInvalidRefThreshold", 0),
            ("x-nv-video[0].initialBitrateKbps", bitrate),
            ("x-nv-video[0].initialPeakBitrateKbps", bitrate),
            ("x-nv-vqos[0].bw.minimumBitrateKbps", bitrate),
            (names::MAXIMUM_BITRATE, bitrate),
            (names::CONFIGURED_BITRATE, self.configured_bitrate_kbps.unwrap_or(0)),
            ("x-nv-vqos[0].fec.enable", 1),
            ("x-nv-vqos[0].videoQualityScoreUpdateTime", 5000),
            (names::VIDEO_QOS, if self.qos.video { 5 } else { 0 }),
            (names::AUDIO_QOS, if self.qos.audio { 4 } else { 0 }),
            (names::NV_FEATURES, self.nv_features),
            (names::CONTROL, control),
            (names::MINIMUM_FEC, u32::from(self.minimum_fec_packets)),
            ("x-nv-vqos[0].bllFec.enable", 0),
            ("x-nv-vqos[0].drc.enable", 0),
            ("x-nv-general.enableRecoveryMode", 0),
            (names::SLICES, u32::from(self.slices)),
        ]);
        list.extend(hevc.map(|hevc| ("x-nv-clientSupportHevc", hevc)));
        list.extend([
            (names::CODEC, codec),
            (names::DYNAMIC_RANGE, u32::from(self.depth == BitDepth::Ten)),
            (names::REFERENCES, u32::from(self.reference_frames == ReferenceFrames::One)),
            (names::REFRESH_RATE, self.client_refresh_rate_x100.unwrap_or(0)),
            (names::CHANNELS, u32::from(self.channels)),
            (names::CHANNEL_MASK, self.channel_mask),
            ("x-nv-audio.surround.enable", u32::from(surround)),
            (names::AUDIO_QUALITY, u32::from(surround && self.audio_quality == AudioQuality::High)),
            (names::PACKET_DURATION, u32::from(self.audio_packet_ms)),
            (names::COLOUR, matrix + u32::from(self.range == Range::Full)),
        ]);
        list
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Codec; 3] = [Codec::H264, Codec::Hevc, Codec::Av1];
    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn wanted() -> StreamRequest {
        StreamRequest {
            width: 1280,
            height: 720,
            fps: 60,
            client_refresh_rate_x100: None,
            packet_size: PacketSize::new(1392).unwrap(),
            configured_bitrate_kbps: Some(20_000),
            maximum_bitrate_kbps: 16_000,
            codec: Codec::H264,
            depth: BitDepth::Eight,
            chroma: Chroma::Yuv420,
            matrix: Matrix::Bt709,
            range: Range::Limited,
            slices: 4,
            reference_frames: ReferenceFrames::HostDecides,
            intra_refresh: false,
            minimum_fec_packets: 2,
            channels: 2,
            channel_mask: 3,
            audio_quality: AudioQuality::High,
            audio_packet_ms: 5,
            encryption: EncryptionBits::ALL,
            nv_features: 135,
            features: ClientFeatures::ALL,
            control: ControlProtocol::Encrypted,
            qos: QosMarks { video: true, audio: true },
        }
    }

    #[test]
    fn fractional_rates_count_only_near_the_whole_one() {
        let rate = |x100| StreamRequest { client_refresh_rate_x100: x100, ..wanted() }.refresh_rate();
        assert_eq!(rate(Some(5994)), RefreshRate { numerator: 5994, denominator: 100 });
        assert_eq!(rate(Some(6000)), RefreshRate { numerator: 60, denominator: 1 });
        assert_eq!(rate(Some(12_000)), RefreshRate { numerator: 60, denominator: 1 });
        assert_eq!(rate(None), RefreshRate { numerator: 60, denominator: 1 });
    }

    #[test]
    fn without_a_configured_bitrate_the_maximum_counts() {
        let request = StreamRequest { configured_bitrate_kbps: None, ..wanted() };
        assert_eq!(request.encoder_rate(20), EncoderRate(16_000));
    }

    #[test]
    fn excessive_wishes_are_cut_and_floods_refused() {
        let text = wanted().to_text(ADDRESS, 47998);
        let slices = text.replace("SlicesPerFrame:4", "SlicesPerFrame:4000000000");
        assert_eq!(StreamRequest::parse(&slices, None, &ALL).unwrap().slices, 32);
        let flood: String = (0..1000).map(|number| format!("a=x{number}:1\r\n")).collect();
        assert_eq!(StreamRequest::parse(&flood, None, &ALL), Err(AnnounceError::TooLarge));
        let wide = text.replace("clientViewportWd:1280", "clientViewportWd:99999999999999999999");
        assert_eq!(StreamRequest::parse(&wide, None, &ALL), Err(AnnounceError::OutOfRange(names::WIDTH)));
    }

    #[test]
    fn lines_may_end_in_bare_line_feeds() {
        let text = wanted().to_text(ADDRESS, 47998).replace("\r\n", "\n");
        assert_eq!(StreamRequest::parse(&text, None, &ALL), Ok(wanted()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            width in 1u32..=8192, half in 1u32..=4096, fps in 1u32..=500, refresh in 1u32..=u32::MAX, sixteenths in 16u32..=4091,
            bitrate in any::<u32>(), codec in 0usize..3, flags in any::<[bool; 6]>(), colour in 0usize..3,
            slices in 1u8..=32, fec in any::<u8>(), six in any::<bool>(), mask in any::<u32>(), bits in any::<[u32; 3]>(),
        ) {
            let [ten, full_chroma, full_range, intra_refresh, high, video] = flags;
            let request = StreamRequest {
                width,
                height: half * 2,
                fps,
                client_refresh_rate_x100: Some(refresh),
                packet_size: PacketSize::new(sixteenths * 16).unwrap(),
                maximum_bitrate_kbps: bitrate,
                codec: ALL[codec],
                depth: if ten { BitDepth::Ten } else { BitDepth::Eight },
                chroma: if full_chroma { Chroma::Yuv444 } else { Chroma::Yuv420 },
                matrix: [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020][colour],
                range: if full_range { Range::Full } else { Range::Limited },
                slices,
                intra_refresh,
                minimum_fec_packets: fec,
                channels: if six { 6 } else { 8 },
                channel_mask: mask,
                audio_quality: if high { AudioQuality::High } else { AudioQuality::Normal },
                encryption: EncryptionBits(bits[0]),
                nv_features: bits[1],
                features: ClientFeatures(bits[2]),
                qos: QosMarks { video, audio: !video },
                ..wanted()
            };
            prop_assert_eq!(StreamRequest::parse(&request.to_text(ADDRESS, 1), None, &ALL), Ok(request.clone()));
            let _ = (request.refresh_rate(), request.encoder_rate(fec));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "(a=|x-nv-video\\[0\\]\\.clientViewportWd|:|[0-9]{0,12}| |\r\n|é){0,30}") {
            let _ = StreamRequest::parse(&text, None, &ALL);
        }
    }
}

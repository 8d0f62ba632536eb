//! From what a client announced to what a worker is told: bitrates, layouts, limits. Pure.

use anyhow::{Context, bail};
use lumen_core::crypto::PacketKey;
use lumen_core::gamestream::control::EnvelopeMode;
use lumen_core::gamestream::packetizer::{Oversize, Packetizer, PacketizerConfig};
use lumen_core::gamestream::sdp::{AudioQuality, ControlProtocol, ReferenceFrames, StreamRequest, SurroundQuality};
use lumen_core::lumen1::native::SECRET_LEN;
use lumen_core::lumen1::negotiation::{Answer, Offer};
use lumen_opus::{Layout, PacketDuration};

use crate::audio::opus::{OpusConfig, Quality, Speakers};
use crate::config::{Fec, StreamConfig};
use crate::encode::EncoderConfig;
use crate::frame::Mode;
use crate::link::{AudioParams, Lumen1Spec, StreamKey, StreamSpec, VideoParams};
use crate::net::sockets::Dscp;

use super::launch::{Announced, Launch};

/// What a client and this host agreed on for a stream over lumen/1.
#[derive(Debug, Clone)]
pub struct Lumen1Terms {
    /// What was offered.
    pub offer: Offer,
    /// What the client took.
    pub answer: Answer,
    /// What TLS exported, if they agreed over QUIC; else the key of the launch is the secret.
    pub exported: Option<[u8; SECRET_LEN]>,
}

/// What `launch`'s worker is told about `wish`.
///
/// # Errors
/// If this host cannot stream that.
pub(super) fn announced(
    wish: &StreamRequest,
    lumen1: Option<Lumen1Terms>,
    launch: &Launch,
    config: &StreamConfig,
    audio_complexity: u8,
) -> anyhow::Result<Announced> {
    if !matches!(wish.control, ControlProtocol::Encrypted) {
        bail!("this client's control protocol is older than 7.1.431; update the client");
    }
    let mut video = video(wish, launch.key, config)?;
    let least_bitrate_bps = u64::from(config.min_bitrate_kbps) * 1000;
    let tells = lumen1.is_none() && wish.features.reports_fec_status();
    let adapts = (tells && config.fec == Fec::Adaptive).then_some(least_bitrate_bps);
    let lumen1 = lumen1.map(|Lumen1Terms { offer, answer, exported }| {
        // One code covers a whole frame: what the client takes is the only limit.
        video.encoder.max_frame_bytes = usize::try_from(answer.max_frame).unwrap_or(usize::MAX);
        let secret = exported.map_or_else(|| launch.key.into(), Into::into);
        Lumen1Spec { offer, answer, secret, fec: config.fec, least_bitrate_bps }
    });
    let stream = StreamSpec {
        video,
        audio: AudioParams { complexity: audio_complexity, ..audio(wish, launch, config)? },
        key: launch.key,
        key_id: launch.key_id,
        realtime: config.realtime,
    };
    let mode = if wish.control_is_v2() { EnvelopeMode::V2 } else { EnvelopeMode::Legacy };
    Ok(Announced { stream, lumen1, ids: wish.features.session_ids(), mode, adapts })
}

fn video(wish: &StreamRequest, key: StreamKey, config: &StreamConfig) -> anyhow::Result<VideoParams> {
    let rate = wish.refresh_rate();
    let fec_percentage = config.fec_percentage.get();
    let kbps = wish.encoder_rate(fec_percentage).0.clamp(config.min_bitrate_kbps, config.max_bitrate_kbps);
    let mut params = VideoParams {
        encoder: EncoderConfig {
            codec: wish.codec,
            mode: Mode { width: wish.width, height: wish.height, rate_num: rate.numerator, rate_den: rate.denominator },
            bitrate_bps: u64::from(kbps) * 1000,
            depth: wish.depth,
            chroma: wish.chroma,
            matrix: wish.matrix,
            range: wish.range,
            slices: wish.slices,
            max_reference_frames: match wish.reference_frames {
                ReferenceFrames::HostDecides => 0,
                ReferenceFrames::One => 1,
            },
            max_frame_bytes: 0,
        },
        packet_size: wish.packet_size,
        fec_percentage,
        min_parity: wish.minimum_fec_packets.max(config.min_parity),
        encrypted: wish.video_is_encrypted(),
        pacing: config.pacing,
        dscp: if wish.qos.video && config.dscp { Dscp::On } else { Dscp::Off },
    };
    params.encoder.max_frame_bytes = Packetizer::new(packetizer_config(&params, key)?).max_frame_bytes();
    Ok(params)
}

fn audio(wish: &StreamRequest, launch: &Launch, config: &StreamConfig) -> anyhow::Result<AudioParams> {
    let speakers =
        Speakers::from_channels(wish.channels.into()).with_context(|| format!("{} audio channels", wish.channels))?;
    let (quality, surround) = match wish.audio_quality {
        AudioQuality::Normal => (Quality::Normal, SurroundQuality::Normal),
        AudioQuality::High => (Quality::High, SurroundQuality::High),
    };
    let duration = PacketDuration::from_millis(wish.audio_packet_ms.into())
        .with_context(|| format!("audio packets of {} ms", wish.audio_packet_ms))?;
    let opus = OpusConfig::negotiated(speakers, quality, duration);
    // A layout of the client's own was announced to it for both qualities.
    let own = launch.surround.map(|own| own.layout(surround)).filter(|layout| layout.channels() == wish.channels);
    let layout = match own {
        Some(own) => Layout::new(own.streams(), own.coupled(), own.mapping())?,
        None => opus.layout(),
    };
    Ok(AudioParams {
        channels: wish.channels,
        streams: layout.streams(),
        coupled: layout.coupled(),
        mapping: layout.mapping().to_vec(),
        bitrate_bps: opus.bitrate_bps(),
        packet_duration_ms: wish.audio_packet_ms,
        complexity: 0,
        encrypted: wish.audio_is_encrypted(),
        dscp: if wish.qos.audio && config.dscp { Dscp::On } else { Dscp::Off },
    })
}

/// The packetizer of a video stream; the worker makes it, and its frame limit is known before.
///
/// # Errors
/// If there is no such packet size.
pub(crate) fn packetizer_config(params: &VideoParams, key: StreamKey) -> anyhow::Result<PacketizerConfig> {
    use lumen_core::gamestream::packetizer::{FecPercentage, LossModel, ParityPolicy};
    Ok(PacketizerConfig {
        packet_size: params.packet_size,
        parity: ParityPolicy::for_loss(
            FecPercentage::new(params.fec_percentage),
            params.min_parity,
            LossModel::default(),
        ),
        encryption: params.encrypted.then(|| PacketKey::new(&key.0)),
        oversize: Oversize::Refuse,
    })
}

//! From a launched session to running threads: RTSP, sockets, the control channel, in the order in which clients do
//! it (protocol part 1, section 6.4).

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use lumen_core::crypto::{CbcKey, PacketKey};
use lumen_core::gamestream::audio::{AudioEncryption, AudioReceiverConfig, AudioStart, PacketDuration};
use lumen_core::gamestream::control::EnvelopeMode;
use lumen_core::gamestream::http::{
    AppVersion, BitDepth, Chroma, Codec, CodecMask, LaunchReply, Profile, ProfileSet, SurroundAudioInfo,
};
use lumen_core::gamestream::reassembler::{ReassemblerConfig, ReferenceInvalidation};
use lumen_core::gamestream::rtsp::ClientHandshake;
use lumen_core::gamestream::sdp::{
    AudioQuality, ClientBitrate, ClientEncryption, ClientFeatures, ConnectData, ControlProtocol, DescribeOffer,
    EncryptionBits, Matrix, OpusLayout, QosMarks, Range, ReferenceFrames, SetupReply, StreamKind, StreamRequest,
    SurroundQuality, choose_profile, negotiate_encryption,
};
use lumen_core::gamestream::video::{PacketSize, Sealing, VideoCodec};
use lumen_core::lumen1::negotiation::{self, Answer, Grants, Offer};

use super::audio::AudioSetup;
use super::decoder::{self, DecoderSetup};
use super::listener::Listener;
use super::lumen1::{self, Lumen1Setup};
use super::rtsp::RtspClient;
use super::sockets::{Pings, at_port, connected};
use super::state::Shared;
use super::summary::Facts;
use super::video::VideoSetup;
use super::{Session, audio, control, video as video_threads};
use crate::clock::Clock;
use crate::decode::Decoder;
use crate::error::ClientError;
use crate::loss::Lossy;
use crate::microphone;
use crate::options::{AudioChannels, Encryption, StreamOptions, Transport};
use crate::record::{AudioRecorder, VideoRecorder};
use crate::report::HostReport;

/// `x-nv-general.featureFlags`: the base, input encryption; and audio encryption if that is on.
const NV_FEATURES: u32 = 0x87;
const NV_AUDIO_ENCRYPTION: u32 = 0x20;
/// Parity packets that every frame should have at least, as clients ask for.
const MINIMUM_FEC: u8 = 2;

/// A session that the host has launched.
pub struct Plan {
    /// Started with the attempt to connect.
    pub clock: Clock,
    pub moments: crate::analysis::Moments,
    /// The host, at any port.
    pub host: SocketAddr,
    pub report: HostReport,
    pub app_version: AppVersion,
    pub codecs: CodecMask,
    pub key: [u8; 16],
    pub key_id: i32,
    pub reply: LaunchReply,
    pub decoder: OpeningDecoder,
}

/// A decoder that is being opened beside the negotiation: loading a library takes as long as all of RTSP.
pub struct OpeningDecoder(std::thread::JoinHandle<Result<Decoder, ClientError>>);

impl OpeningDecoder {
    /// Begins to open the decoder for a stream.
    pub fn begin(options: &StreamOptions) -> Result<Self, ClientError> {
        let (codec, choice) = (options.codec, options.decoder);
        let thread = std::thread::Builder::new().name("decoder".into()).spawn(move || Decoder::open(codec, choice));
        thread.map(Self).map_err(|error| ClientError::local("cannot start a thread", error))
    }

    pub(super) fn finish(self) -> Result<Decoder, ClientError> {
        self.0.join().unwrap_or_else(|_| Err(ClientError::local("cannot open the decoder", "it panicked")))
    }
}

/// What RTSP came to.
struct Agreement {
    video: SetupReply,
    control: SetupReply,
    request: StreamRequest,
    profile: Profile,
    invalidation: ReferenceInvalidation,
    /// Where lumen/1 was taken. The sound of GameStream has a thread by then.
    lumen1: Option<(Offer, Answer, Listener)>,
}

/// Negotiates and starts everything.
pub fn connect(plan: Plan, options: &StreamOptions) -> Result<Session, ClientError> {
    let codec = options.codec;
    // What can fail here fails before the host has work with it.
    let recorder = match &options.record {
        Some(path) => Some(VideoRecorder::create(path, codec, options.width, options.height, options.fps)?),
        None => None,
    };
    let shared = Arc::new(Shared::new(plan.clock));
    shared.lock().analysis.moments = plan.moments;
    let mut threads = Threads { shared: Arc::clone(&shared), list: Vec::new() };

    let agreement = negotiate(&plan, options, &shared, &mut threads)?;
    let now = plan.clock.now();
    shared.lock().analysis.moments.negotiated = Some(now);
    let request = &agreement.request;

    let decoder =
        DecoderSetup { codec, decoder: plan.decoder.finish()?, recorder, keep_pictures: options.wants_pictures() };
    let video_loss = Lossy::new(options.loss.video_percent, options.loss.burst, options.loss.seed);
    let same_clock = |socket: &UdpSocket| {
        plan.host.ip().to_canonical().is_loopback()
            || socket.local_addr().is_ok_and(|local| local.ip() == plan.host.ip())
    };
    let mut facts = Facts {
        host: plan.report,
        transport: Transport::GameStream,
        codec: profile_name(agreement.profile),
        fps: options.fps,
        packet_size: request.packet_size.get(),
        channels: request.channels,
        packet_ms: request.audio_packet_ms,
        granted: Grants::NONE,
    };
    if let Some((offer, answer, listener)) = agreement.lumen1 {
        let setup = Lumen1Setup {
            host: at_port(plan.host, offer.port),
            offer,
            answer,
            secret: plan.key.to_vec(),
            decoder,
            listener,
            video_loss,
            audio_loss: audio_loss(options),
            first_frame_timeout: options.first_frame_timeout,
            save_clipboard: options.save_clipboard.clone(),
        };
        let (control, socket, started) = lumen1::start(&shared, setup)?;
        threads.list.extend(started);
        facts.granted = answer.grants;
        if let Some(source) = options.microphone.as_ref().filter(|_| answer.grants.contains(Grants::MICROPHONE)) {
            threads.list.push(microphone::start(&shared, source, control.clone())?);
        }
        warn_of_refusals(options, answer.grants);
        let parts = [(plan.reply.session_url.encrypted, "rtsp"), (true, "lumen/1")];
        facts.host.encrypted = joined(&parts);
        facts.host.same_clock = same_clock(&socket);
        facts.transport = Transport::Lumen1;
        facts.packet_size = answer.datagram.into();
        let threads = threads.release();
        return Ok(Session::new(shared, control, threads, facts, options.clone()));
    }

    warn_of_refusals(options, Grants::NONE);
    let mode = if request.control_is_v2() { EnvelopeMode::V2 } else { EnvelopeMode::Legacy };
    let connect_data = agreement.control.connect_data.unwrap_or(ConnectData(0)).0;
    let control_address = at_port(plan.host, agreement.control.port);
    let (handle, thread) = control::start(&shared, control_address, connect_data, &plan.key, mode)?;
    threads.list.push(thread);

    let socket = connected(at_port(plan.host, agreement.video.port))
        .map_err(|error| ClientError::local("cannot open the video socket", error))?;
    facts.host.same_clock = same_clock(&socket);
    let packet_size = request.packet_size;
    let setup = VideoSetup {
        socket,
        pings: Pings::new(agreement.video.ping_payload),
        reassembler: ReassemblerConfig {
            encryption: request.video_is_encrypted().then(|| PacketKey::new(&plan.key)),
            host_version: plan
                .app_version
                .0
                .first_chunk::<3>()
                .map_or([7, 1, 431], |version| version.map(|number| u32::try_from(number).unwrap_or(0))),
            ..ReassemblerConfig::new(packet_size, video_codec(codec))
        },
        invalidation: agreement.invalidation,
        loss: video_loss,
        first_frame_timeout: options.first_frame_timeout,
    };
    let decoding = decoder::start(&shared, decoder, || {})?;
    threads.list.extend(video_threads::start(&shared, &handle, decoding, setup)?);

    let encrypted = [
        (plan.reply.session_url.encrypted, "rtsp"),
        (true, "control"),
        (request.video_is_encrypted(), "video"),
        (request.audio_is_encrypted(), "audio"),
    ];
    facts.host.encrypted = joined(&encrypted);
    Ok(Session::new(shared, handle, threads.release(), facts, options.clone()))
}

/// What is on, in one line.
fn joined(parts: &[(bool, &str)]) -> String {
    let on: Vec<_> = parts.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    on.join(", ")
}

pub(super) fn audio_loss(options: &StreamOptions) -> Lossy {
    Lossy::new(options.loss.audio_percent, options.loss.burst, options.loss.seed.wrapping_add(1))
}

/// The streams beside picture, sound and input that are wanted.
pub(super) fn wanted_streams(options: &StreamOptions) -> Grants {
    let either = [(options.clipboard, Grants::CLIPBOARD), (options.microphone.is_some(), Grants::MICROPHONE)];
    let wanted = either.into_iter().filter(|(wanted, _)| *wanted);
    wanted.fold(Grants::NONE, |all, (_, stream)| all.with(stream))
}

/// A stream goes on without what it was not granted.
pub(super) fn warn_of_refusals(options: &StreamOptions, granted: Grants) {
    for (stream, name) in [(Grants::CLIPBOARD, "clipboard"), (Grants::MICROPHONE, "microphone")] {
        if wanted_streams(options).contains(stream) && !granted.contains(stream) {
            tracing::warn!("the host does not grant the {name}; it grants it over lumen/1 alone, to clients that may");
        }
    }
}

/// The offer of lumen/1 in a description, if it is wanted.
fn lumen1_offer(description: &str, transport: Transport) -> Result<Option<Offer>, ClientError> {
    let wrong = |error: &dyn std::fmt::Display| ClientError::handshake("RTSP DESCRIBE", error);
    match (transport, Offer::find(description)) {
        (Transport::GameStream, _) => Ok(None),
        // Which never comes by RTSP.
        #[cfg(feature = "quic")]
        (Transport::Quic, _) => Ok(None),
        (Transport::Lumen1, Ok(None)) => Err(wrong(&"the host does not offer lumen/1")),
        (_, Ok(offer)) => Ok(offer),
        (Transport::Lumen1, Err(error)) => Err(wrong(&error)),
        (Transport::Auto, Err(error)) => {
            tracing::warn!(%error, "the offer of lumen/1 is of no use; going on without");
            Ok(None)
        }
    }
}

/// The seven requests; the audio of GameStream starts to ping between them.
fn negotiate(
    plan: &Plan,
    options: &StreamOptions,
    shared: &Arc<Shared>,
    threads: &mut Threads,
) -> Result<Agreement, ClientError> {
    let url = &plan.reply.session_url;
    let quality = if options.wants_high_quality_audio() { AudioQuality::High } else { AudioQuality::Normal };
    let stereo_quality = if options.audio == AudioChannels::Stereo { quality } else { AudioQuality::High };
    let mut handshake = ClientHandshake::new(url, stereo_quality);
    let mut rtsp = RtspClient::new(at_port(plan.host, url.port), url.encrypted.then_some(&plan.key));
    rtsp.ask("RTSP OPTIONS", &handshake.options())?;
    let describe = match options.transport {
        Transport::Auto | Transport::Lumen1 => handshake.describe().with_header(negotiation::REQUEST_HEADER, 1),
        _ => handshake.describe(),
    };
    let description = rtsp.ask("RTSP DESCRIBE", &describe)?;
    let wrong = |error: &dyn std::fmt::Display| ClientError::handshake("RTSP DESCRIBE", error);
    let offer = DescribeOffer::parse(description.body()).map_err(|error| wrong(&error))?;
    let lumen1 = lumen1_offer(description.body(), options.transport)?;
    let profile = choose_profile(&offer, plan.codecs, wanted_profiles(options)?).map_err(|error| wrong(&error))?;
    if profile.codec() != options.codec {
        return Err(wrong(&format!("the host does not offer {}", codec_name(options.codec))));
    }
    let both = options.encryption == Encryption::All;
    let encryption = negotiate_encryption(
        offer.encryption_supported,
        offer.encryption_requested,
        ClientEncryption { video: both, audio: both },
    );
    let channels = options.audio.count();
    let (layout, quality) = opus_layout(&offer, channels, quality)?;

    let reply = rtsp.ask("RTSP SETUP of audio", &handshake.setup(StreamKind::Audio))?;
    let setup =
        |reply, stream| SetupReply::parse(reply, stream).map_err(|error| ClientError::handshake("RTSP SETUP", error));
    let audio_setup = setup(&reply, StreamKind::Audio)?;
    if let Some(session) = audio_setup.session {
        handshake.set_session(session);
    }
    let audio_encrypted = encryption.contains(EncryptionBits::AUDIO);
    let recorder = match &options.record_audio {
        Some(path) => Some(AudioRecorder::create(path, channels)?),
        None => None,
    };
    let listener = Listener::new(shared, &layout, options.audio_packet_ms, recorder)?;
    let lumen1 = match lumen1 {
        Some(offer) => Some((offer, lumen1::answer(&offer, wanted_streams(options)), listener)),
        None => {
            let socket = connected(at_port(plan.host, audio_setup.port))
                .map_err(|error| ClientError::local("cannot open the audio socket", error))?;
            let receiver = AudioReceiverConfig {
                packet_duration: PacketDuration::from_millis(options.audio_packet_ms).unwrap_or(PacketDuration::FIVE),
                encryption: audio_encrypted
                    .then(|| AudioEncryption { key: CbcKey::new(&plan.key), key_id: plan.key_id }),
                // What piles up before playback is of no harm to a client that only listens.
                start: AudioStart::Live(std::time::Duration::ZERO),
            };
            let pings = Pings::new(audio_setup.ping_payload);
            let setup = AudioSetup { socket, pings, receiver, loss: audio_loss(options), listener };
            threads.list.push(audio::start(shared, setup)?);
            None
        }
    };

    let reply = rtsp.ask("RTSP SETUP of video", &handshake.setup(StreamKind::Video))?;
    let video_setup = setup(&reply, StreamKind::Video)?;
    let reply = rtsp.ask("RTSP SETUP of control", &handshake.setup(StreamKind::Control))?;
    let control_setup = setup(&reply, StreamKind::Control)?;
    let invalidation = if options.reference_invalidation && offer.reference_invalidation {
        ReferenceInvalidation::Available
    } else {
        ReferenceInvalidation::Unavailable
    };
    let request = stream_request(options, encryption, profile, quality)?;
    let mut text = request.to_text(plan.host.ip(), video_setup.port);
    if let Some((_, answer, _)) = &lumen1 {
        answer.append_to(&mut text);
    }
    rtsp.ask("RTSP ANNOUNCE", &handshake.announce(&text))?;
    rtsp.ask("RTSP PLAY", &handshake.play())?;
    Ok(Agreement { video: video_setup, control: control_setup, request, profile, invalidation, lumen1 })
}

fn stream_request(
    options: &StreamOptions,
    encryption: EncryptionBits,
    profile: Profile,
    audio_quality: AudioQuality,
) -> Result<StreamRequest, ClientError> {
    let sealing = if encryption.contains(EncryptionBits::VIDEO) { Sealing::Sealed } else { Sealing::Clear };
    let packet_size =
        PacketSize::to_announce(options.packet_size, sealing).map_err(|error| ClientError::Usage(error.to_string()))?;
    let bitrate = ClientBitrate::for_choice(options.bitrate_kbps, false);
    let audio_encrypted = encryption.contains(EncryptionBits::AUDIO);
    Ok(StreamRequest {
        width: options.width,
        height: options.height,
        fps: options.fps,
        client_refresh_rate_x100: Some(options.fps.saturating_mul(100)),
        packet_size,
        configured_bitrate_kbps: Some(bitrate.configured),
        maximum_bitrate_kbps: bitrate.maximum,
        codec: profile.codec(),
        depth: profile.depth(),
        chroma: profile.chroma(),
        matrix: if options.hdr { Matrix::Bt2020 } else { Matrix::Bt709 },
        range: Range::Limited,
        slices: options.slices.max(1),
        reference_frames: ReferenceFrames::HostDecides,
        intra_refresh: false,
        minimum_fec_packets: MINIMUM_FEC,
        channels: options.audio.count(),
        channel_mask: u32::from(surround_info(options.audio).mask),
        audio_quality,
        audio_packet_ms: options.audio_packet_ms,
        encryption,
        nv_features: NV_FEATURES | if audio_encrypted { NV_AUDIO_ENCRYPTION } else { 0 },
        features: ClientFeatures::ALL,
        control: ControlProtocol::Encrypted,
        qos: QosMarks { video: true, audio: true },
    })
}

/// The number by which a launch asks for channels.
pub fn surround_info(channels: AudioChannels) -> SurroundAudioInfo {
    match channels {
        AudioChannels::Stereo => SurroundAudioInfo::STEREO,
        AudioChannels::Surround51 => SurroundAudioInfo::SURROUND_51,
        AudioChannels::Surround71 => SurroundAudioInfo::SURROUND_71,
    }
}

/// The layout of the sound, and the quality that can be had.
fn opus_layout(
    offer: &DescribeOffer,
    channels: u8,
    quality: AudioQuality,
) -> Result<(lumen_opus::Layout, AudioQuality), ClientError> {
    let wrong = |error: &dyn std::fmt::Display| ClientError::handshake("choosing the layout of sound", error);
    let (layout, quality) = if channels == 2 {
        (OpusLayout::STEREO, quality)
    } else {
        let high = offer.layout(channels, SurroundQuality::High).filter(|_| quality == AudioQuality::High);
        match (high, offer.layout(channels, SurroundQuality::Normal)) {
            (Some(high), _) => (high, AudioQuality::High),
            (None, Some(normal)) => (normal, AudioQuality::Normal),
            (None, None) if channels == 6 => (OpusLayout::SURROUND_51_FALLBACK, AudioQuality::Normal),
            (None, None) => return Err(wrong(&format!("the host has no layout of {channels} channels"))),
        }
    };
    let layout = lumen_opus::Layout::new(layout.streams(), layout.coupled(), layout.mapping());
    Ok((layout.map_err(|error| wrong(&error))?, quality))
}

/// What this client says it can decode: the codec it was told to use, and the plainest profile in any case.
pub(super) fn wanted_profiles(options: &StreamOptions) -> Result<ProfileSet, ClientError> {
    let depth = if options.hdr { BitDepth::Ten } else { BitDepth::Eight };
    let chroma = if options.chroma_444 { Chroma::Yuv444 } else { Chroma::Yuv420 };
    let profile = Profile::new(options.codec, depth, chroma)
        .ok_or_else(|| ClientError::Usage(format!("{} has no such depth or chroma", codec_name(options.codec))))?;
    Ok([profile].into_iter().collect())
}

/// `h264`, `hevc` or `av1`.
pub const fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264",
        Codec::Hevc => "hevc",
        Codec::Av1 => "av1",
    }
}

pub(super) const fn profile_name(profile: Profile) -> &'static str {
    match (profile.codec(), profile.depth(), profile.chroma()) {
        (codec, BitDepth::Eight, Chroma::Yuv420) => codec_name(codec),
        (Codec::H264, _, _) => "h264 4:4:4",
        (Codec::Hevc, BitDepth::Ten, Chroma::Yuv420) => "hevc 10 bit",
        (Codec::Hevc, BitDepth::Eight, Chroma::Yuv444) => "hevc 4:4:4",
        (Codec::Hevc, BitDepth::Ten, Chroma::Yuv444) => "hevc 4:4:4 10 bit",
        (Codec::Av1, BitDepth::Ten, Chroma::Yuv420) => "av1 10 bit",
        (Codec::Av1, BitDepth::Eight, Chroma::Yuv444) => "av1 4:4:4",
        (Codec::Av1, BitDepth::Ten, Chroma::Yuv444) => "av1 4:4:4 10 bit",
    }
}

const fn video_codec(codec: Codec) -> VideoCodec {
    match codec {
        Codec::H264 => VideoCodec::H264,
        Codec::Hevc => VideoCodec::Hevc,
        Codec::Av1 => VideoCodec::Av1,
    }
}

/// Threads that run already; told to stop if the rest cannot be started.
pub(super) struct Threads {
    pub(super) shared: Arc<Shared>,
    pub(super) list: Vec<std::thread::JoinHandle<()>>,
}

impl Threads {
    pub(super) fn release(mut self) -> Vec<std::thread::JoinHandle<()>> {
        std::mem::take(&mut self.list)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if !self.list.is_empty() {
            self.shared.stop.store(true, std::sync::atomic::Ordering::Relaxed);
            for thread in self.list.drain(..) {
                let _ = thread.join();
            }
        }
    }
}

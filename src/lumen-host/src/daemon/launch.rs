//! One launch: what `/launch` or `/resume` creates, until the client connects, streams and leaves. A session has at
//! most one; the newest replaces the older.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use lumen_core::gamestream::control::EnvelopeMode;
use lumen_core::gamestream::http::LaunchRequest;
use lumen_core::gamestream::rtsp::RtspCipher;
use lumen_core::gamestream::sdp::{ConnectData, PingPayload, SessionIds, SessionToken, SurroundParams};
use lumen_core::lumen1;
use lumen_core::lumen1::negotiation::Offer;

use serde::{Deserialize, Serialize};

use crate::gamestream::control_server::LaunchId;
use crate::gamestream::media_sockets::{Media, MediaPath};
use crate::link::{Lumen1Spec, StreamKey, StreamSpec};

use super::route::Gate;

/// From the launch's reply until the control channel is up. The protocol asks for 10 s; slow clients get more.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// Without any word from the client.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);
/// From the control connection until the first ping of each medium.
const PING_LIMIT: Duration = Duration::from_secs(10);

/// State of one launch.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) id: LaunchId,
    pub(super) key: StreamKey,
    pub(super) key_id: u32,
    /// Address that launched, without port.
    pub(super) client: IpAddr,
    /// Set if RTSP is encrypted.
    pub(super) cipher: Option<RtspCipher>,
    pub(super) token: SessionToken,
    pub(super) ping_payload: PingPayload,
    pub(super) connect_data: ConnectData,
    /// The client's own Opus layout.
    pub(super) surround: Option<SurroundParams>,
    /// What was offered of lumen/1, if the client asked.
    pub(super) offer: Option<Offer>,
    pub(super) announced: Option<Announced>,
    /// Who may send datagrams of lumen/1 to the worker, if that was agreed on.
    pub(super) gate: Option<Gate>,
    /// Of lumen/1: since the client proved its address.
    pub(super) control: Option<Control>,
    video: MediaState,
    audio: MediaState,
    created: Instant,
}

/// How a launch goes on over RTSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rtsp {
    /// In clear.
    Plain,
    /// Under the key of the launch. One whose key nobody was told goes on without RTSP.
    Encrypted,
}

/// What ANNOUNCE brought.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Announced {
    pub(super) stream: StreamSpec,
    pub(super) lumen1: Option<Lumen1Spec>,
    pub(super) ids: SessionIds,
    pub(super) mode: EnvelopeMode,
    /// Set if parity and rate follow what the client tells of its packets; no rate is below this, in bits per second.
    pub(super) adapts: Option<u64>,
}

/// The control connection.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) client: SocketAddr,
    pub(super) local: Option<IpAddr>,
    pub(super) since: Instant,
    pub(super) last_word: Instant,
}

/// Where one medium goes.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct MediaState {
    /// Where its pings come from.
    pub(super) client: Option<MediaPath>,
    /// The address that the worker sends to.
    pub(super) sending_to: Option<SocketAddr>,
}

/// A launch whose stream runs, on its way from one daemon to the next.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Streaming {
    key: StreamKey,
    key_id: u32,
    client: IpAddr,
    token: SessionToken,
    ping_payload: PingPayload,
    connect_data: ConnectData,
    surround: Option<SurroundParams>,
    announced: Announced,
    control: (SocketAddr, Option<IpAddr>),
    video: MediaState,
    audio: MediaState,
}

/// Why a launch is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The client never connected.
    NeverConnected,
    /// The client fell silent.
    Silent,
    /// The client's media pings never came.
    NoPing,
}

impl Launch {
    pub(super) fn new(id: LaunchId, request: &LaunchRequest, client: IpAddr, rtsp: Rtsp) -> Self {
        let mut entropy = super::random;
        let key = StreamKey(*request.key.as_bytes());
        Self {
            id,
            key,
            key_id: request.key_id.0,
            client: client.to_canonical(),
            cipher: (rtsp == Rtsp::Encrypted).then(|| RtspCipher::host(&key.0)),
            token: SessionToken::generate(&mut entropy),
            ping_payload: PingPayload::generate(&mut entropy),
            connect_data: ConnectData::generate(&mut entropy),
            surround: request.surround_params,
            offer: None,
            announced: None,
            gate: None,
            control: None,
            video: MediaState::default(),
            audio: MediaState::default(),
            created: Instant::now(),
        }
    }

    /// The same launch in the next daemon.
    pub(super) fn resumed(id: LaunchId, from: Streaming) -> Self {
        let Streaming { key, key_id, client, token, ping_payload, connect_data, surround, .. } = from;
        let Streaming { announced, control: (peer, local), video, audio, .. } = from;
        let now = Instant::now();
        Self {
            id,
            key,
            key_id,
            client,
            // RTSP is over once a stream runs.
            cipher: None,
            token,
            ping_payload,
            connect_data,
            surround,
            offer: None,
            gate: Gate::of(&announced),
            announced: Some(announced),
            control: Some(Control { client: peer, local, since: now, last_word: now }),
            video,
            audio,
            created: now,
        }
    }

    /// What the next daemon must know to go on with it; `None` if it does not stream.
    pub(super) fn streaming(&self) -> Option<Streaming> {
        let control = self.control.as_ref()?;
        Some(Streaming {
            key: self.key,
            key_id: self.key_id,
            client: self.client,
            token: self.token.clone(),
            ping_payload: self.ping_payload,
            connect_data: self.connect_data,
            surround: self.surround,
            announced: self.announced.clone()?,
            control: (control.client, control.local),
            video: self.video.clone(),
            audio: self.audio.clone(),
        })
    }

    pub(super) fn media(&mut self, media: Media) -> &mut MediaState {
        match media {
            Media::Video => &mut self.video,
            Media::Audio => &mut self.audio,
        }
    }

    /// Whether a stream runs, or is about to.
    pub(super) fn is_streaming(&self) -> bool {
        self.control.is_some()
    }

    /// Whether it goes over lumen/1, which is the worker's business.
    pub(super) fn is_lumen1(&self) -> bool {
        self.announced.as_ref().is_some_and(|announced| announced.lumen1.is_some())
    }

    /// Whether it is this stream over lumen/1.
    pub(super) fn is_stream(&self, stream: lumen1::header::SessionId) -> bool {
        let lumen1 = self.announced.as_ref().and_then(|announced| announced.lumen1.as_ref());
        lumen1.is_some_and(|lumen1| lumen1.offer.session == stream)
    }

    /// What the clock says about this launch.
    pub(super) fn overdue(&self, now: Instant) -> Option<Overdue> {
        let Some(control) = &self.control else {
            return (now.duration_since(self.created) > CONNECT_LIMIT).then_some(Overdue::NeverConnected);
        };
        if self.is_lumen1() {
            // The worker hears its client, and says when it does not.
            return None;
        }
        if now.duration_since(control.last_word) > SILENCE_LIMIT {
            return Some(Overdue::Silent);
        }
        let waiting = self.video.client.is_none() || self.audio.client.is_none();
        (waiting && now.duration_since(control.since) > PING_LIMIT).then_some(Overdue::NoPing)
    }
}

#[cfg(test)]
impl Streaming {
    /// One with something in every field.
    pub(super) fn sample() -> Self {
        use lumen_core::gamestream::http::{BitDepth, Chroma, Codec};
        use lumen_core::gamestream::sdp::{Matrix, Range};
        use lumen_core::gamestream::video::PacketSize;

        use lumen_core::lumen1::negotiation::{Answer, Grants, Schemes};

        use crate::config::{Fec, Pacing};
        use crate::encode::EncoderConfig;
        use crate::frame::Mode;
        use crate::link::{AudioParams, StreamSpec, VideoParams};
        use crate::net::sockets::Dscp;

        let mut entropy = |buffer: &mut [u8]| buffer.fill(5);
        let encoder = EncoderConfig {
            codec: Codec::Hevc,
            mode: Mode { width: 1920, height: 1080, rate_num: 60_000, rate_den: 1001 },
            bitrate_bps: 20_000_000,
            depth: BitDepth::Ten,
            chroma: Chroma::Yuv444,
            matrix: Matrix::Bt2020,
            range: Range::Full,
            slices: 2,
            max_reference_frames: 1,
            max_frame_bytes: 1000,
        };
        let video = VideoParams {
            encoder,
            packet_size: PacketSize::new(1392).expect("in range"),
            fec_percentage: 20,
            min_parity: 2,
            encrypted: true,
            pacing: Pacing::Off,
            dscp: Dscp::Off,
        };
        let offer = Offer {
            session: lumen1::header::SessionId(0x2A),
            random: [1; 16],
            port: 47_998,
            datagram: 1452,
            schemes: Schemes::ALL,
            grants: Grants::CURSOR,
        };
        let (session, schemes) = (offer.session, offer.schemes);
        let answer =
            Answer { session, random: [2; 16], datagram: 1400, schemes, grants: Grants::NONE, max_frame: 1 << 20 };
        let secret = [8; 32].into();
        let lumen1 = Lumen1Spec { offer, answer, secret, fec: Fec::Adaptive, least_bitrate_bps: 500_000 };
        let audio = AudioParams {
            channels: 6,
            streams: 4,
            coupled: 2,
            mapping: vec![0, 4, 1, 5, 2, 3],
            bitrate_bps: 256_000,
            packet_duration_ms: 5,
            complexity: 10,
            encrypted: true,
            dscp: Dscp::Off,
        };
        let key = StreamKey([3; 16]);
        let stream = StreamSpec { video, audio, key, key_id: 4, realtime: true };
        Self {
            key,
            key_id: 4,
            client: [10, 0, 0, 1].into(),
            token: SessionToken::generate(&mut entropy),
            ping_payload: PingPayload::generate(&mut entropy),
            connect_data: ConnectData(6),
            surround: None,
            announced: Announced {
                stream,
                lumen1: Some(lumen1),
                ids: SessionIds::NotUsed,
                mode: EnvelopeMode::Legacy,
                adapts: None,
            },
            control: (([10, 0, 0, 1], 7).into(), Some([10, 0, 0, 2].into())),
            video: MediaState { client: None, sending_to: Some(([10, 0, 0, 1], 8).into()) },
            audio: MediaState::default(),
        }
    }
}

//! What daemon and worker tell each other. Both are the same binary, but a worker may outlive an upgrade of the
//! daemon: variants are only ever added at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lumen_core::gamestream::control::{FrameFecStatus, HostMessage};
use lumen_core::gamestream::input::InputEvent;
use lumen_core::gamestream::video::{FrameIndex, PacketSize};
use lumen_core::lumen1::header::SessionId as StreamId;
use lumen_core::lumen1::native::SECRET_LEN;
use lumen_core::lumen1::negotiation::{Answer, Offer};
use serde::{Deserialize, Serialize};

use crate::config::{AppConfig, DisplayKind, Fec, Grants, Instance, OnExit, Pacing};
use crate::encode::{EncoderConfig, EncoderPreference};
use crate::frame::Mode;
use crate::net::sockets::Dscp;

use super::Figures;

/// Names a session for as long as its application runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionId(pub u64);

impl SessionId {
    /// A short form for pictures; two sessions of a host rarely share it.
    pub fn mark(self) -> u16 {
        let [a, b, c, d, ..] = self.0.to_le_bytes();
        u16::from_le_bytes([a ^ c, b ^ d])
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The AES-128 key of a stream. Never printed.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamKey(pub [u8; 16]);

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKey(..)")
    }
}

/// The secret of a stream over lumen/1: the key of a launch by GameStream, or what TLS exported. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSecret(Vec<u8>);

impl StreamSecret {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<StreamKey> for StreamSecret {
    fn from(key: StreamKey) -> Self {
        Self(key.0.to_vec())
    }
}

impl From<[u8; SECRET_LEN]> for StreamSecret {
    fn from(exported: [u8; SECRET_LEN]) -> Self {
        Self(exported.to_vec())
    }
}

impl fmt::Debug for StreamSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamSecret(..)")
    }
}

/// The application of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    /// Number in `/applist`.
    pub id: u32,
    /// Title in `/applist`.
    pub title: String,
    /// Where it is shown.
    pub display: DisplayKind,
    /// Whether the compositor is the session's own.
    pub instance: Instance,
    /// Program and arguments; empty for none.
    pub command: Vec<String>,
    /// Variables of program and steps.
    pub environment: BTreeMap<String, String>,
    /// Where the program starts.
    pub directory: Option<PathBuf>,
    /// Steps before it.
    pub before: Vec<Vec<String>>,
    /// Steps after the session.
    pub after: Vec<Vec<String>>,
    /// What follows when it ends by itself.
    pub on_exit: OnExit,
}

impl AppSpec {
    /// The application with the number `id` that `config` describes.
    pub fn new(id: u32, config: &AppConfig) -> Self {
        Self {
            id,
            title: config.name.as_str().to_owned(),
            display: config.display,
            instance: config.instance,
            command: config.command.clone(),
            environment: config.environment.clone(),
            directory: config.directory.clone(),
            before: config.before.clone(),
            after: config.after.clone(),
            on_exit: config.on_exit,
        }
    }
}

/// What a worker is told first; stays the same for the session's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSpec {
    /// Names the session.
    pub id: SessionId,
    /// SHA-256 of the owner's certificate.
    pub owner: [u8; 32],
    /// The owner's name, for logs.
    pub owner_name: String,
    /// What runs in it.
    pub app: AppSpec,
    /// Size and rate that the launch asked for; the display is made with it at once.
    pub mode: Mode,
    /// How long the session outlives its client, and its daemon.
    pub keep_alive: Duration,
    /// Directory of the session, private to this user and empty at first; it is removed with the session.
    pub directory: PathBuf,
    /// Socket on which a daemon takes back its workers.
    pub reunion: PathBuf,
    /// Which encoder to take.
    pub encoder: EncoderPreference,
}

/// Video of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoParams {
    /// For the encoder.
    pub encoder: EncoderConfig,
    /// Payload size that the client announced, after the RTP header.
    pub packet_size: PacketSize,
    /// Parity in per cent of the data packets.
    pub fec_percentage: u8,
    /// Parity packets that the client wants at least.
    pub min_parity: u8,
    /// Packets are sealed.
    pub encrypted: bool,
    /// How a frame's packets are spread over time.
    pub pacing: Pacing,
    /// Packets are marked.
    pub dscp: Dscp,
}

/// Audio of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioParams {
    /// 2, 6 or 8.
    pub channels: u8,
    /// Opus streams.
    pub streams: u8,
    /// Of these, coupled (stereo) ones.
    pub coupled: u8,
    /// Channel of each Opus stream output.
    pub mapping: Vec<u8>,
    /// Opus bitrate.
    pub bitrate_bps: u32,
    /// Opus frame length.
    pub packet_duration_ms: u8,
    /// Effort of the Opus encoder, 0 to 10.
    pub complexity: u8,
    /// Packets are encrypted.
    pub encrypted: bool,
    /// Packets are marked.
    pub dscp: Dscp,
}

/// One stream of a session: from RTSP ANNOUNCE until the client goes away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSpec {
    /// Video.
    pub video: VideoParams,
    /// Audio.
    pub audio: AudioParams,
    /// Key of everything.
    pub key: StreamKey,
    /// `rikeyid` of the launch: start of the audio IV.
    pub key_id: u32,
    /// Sending threads ask for a real-time class.
    pub realtime: bool,
}

/// What makes a stream one over lumen/1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lumen1Spec {
    /// What the host offered.
    pub offer: Offer,
    /// What the client took.
    pub answer: Answer,
    /// What the keys are made of, beside the two.
    pub secret: StreamSecret,
    /// How much parity frames get.
    pub fec: Fec,
    /// The encoder is never told to go below this.
    pub least_bitrate_bps: u64,
}

/// What a client over lumen/1 asked for since it was last told; for statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Key frames.
    pub key_frames: u64,
    /// Frames without lost references.
    pub invalidations: u64,
    /// Input that was not granted.
    pub input_refused: u64,
    /// Packets that it accounted for.
    pub packets: u64,
    /// Of these, those that did not arrive.
    pub missing: u64,
}

/// Daemon to worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// First message.
    Session(Box<SessionSpec>),
    /// A client is about to stream: prepare. Replaces an earlier stream.
    Stream(Box<StreamSpec>),
    /// A connected socket for video comes with this message: send.
    VideoSocket(SocketAddr),
    /// A connected socket for audio comes with this message: send.
    AudioSocket(SocketAddr),
    /// The client did something.
    Input(Box<InputEvent>),
    /// The client needs a key frame.
    RequestIdr,
    /// The client lost these frames.
    Invalidate {
        /// First lost frame.
        first: FrameIndex,
        /// Last lost frame.
        last: FrameIndex,
    },
    /// Packets of one frame that the client missed, and what it was sent: feeds statistics.
    Loss {
        /// Data and parity packets that were sent.
        sent: u32,
        /// Of these, missing.
        missing: u32,
    },
    /// The client is coming back: the session does not end for want of one before it is suspended again.
    Expect,
    /// The client went away: stop sending, keep the display and the application.
    Suspend,
    /// End the session.
    Stop(EndReason),
    /// This daemon ends and another one follows: keep this for it. Nothing that the worker understands.
    Keep(Vec<u8>),
    /// Let go of everything that the client holds down: its right to do so may be gone.
    ReleaseInput,
    /// As [`Stream`](Self::Stream), over lumen/1, by a client that may do this.
    Lumen1(Box<StreamSpec>, Box<Lumen1Spec>, Box<Grants>),
    /// A datagram of lumen/1 from this address, which is the client's. A connected socket for the next ones may come with
    /// this message.
    Lumen1Datagram(SocketAddr, Vec<u8>),
    /// What the client may do has changed.
    Grants(Box<Grants>),
    /// The client of this [`Stream`](Self::Stream) tells how blocks of packets fare: parity and rate follow that. No rate
    /// below this many bits per second.
    Adapt(u64),
    /// How a block fared. Follows an [`Adapt`](Self::Adapt).
    FecStatus(Box<FrameFecStatus>),
}

/// Worker to daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// First message of a worker that looks for its daemon again.
    Reunion(Box<Resumable>),
    /// The display is up.
    Ready,
    /// For the client.
    Feedback(HostMessage),
    /// Once a second while streaming, and when a stream ends.
    Stats(Box<SessionStats>),
    /// The application ended or the session broke; nothing follows.
    Ended(EndReason),
    /// The last daemon's [`ToWorker::Keep`]. Follows a [`Reunion`](Self::Reunion).
    Kept(Vec<u8>),
    /// Process id of a worker that a service manager started. First message.
    Started(u32),
    /// What it has done in its life. With every [`Stats`](Self::Stats).
    Figures(Box<Figures>),
    /// The client of this stream over lumen/1 proved that it is at this address.
    Lumen1At(StreamId, SocketAddr),
    /// This stream over lumen/1 is over, and why; the session is suspended.
    Lumen1Ended(StreamId, String),
    /// With every [`Stats`](Self::Stats) of a stream over lumen/1.
    Asked(Asked),
}

/// What a daemon must know to take a worker back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resumable {
    /// The session.
    pub spec: SessionSpec,
    /// Process id of the worker.
    pub pid: u32,
    /// It streams right now.
    pub streaming: bool,
}

/// Why a session or a stream ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// The client quit the application.
    Quit,
    /// The host is shutting down.
    Shutdown,
    /// The application ended by itself.
    AppEnded,
    /// Nobody came back in time.
    KeepAlive,
    /// An administrator ended it.
    Administrator,
    /// It broke.
    Failed(String),
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quit => f.write_str("the client quit it"),
            Self::Shutdown => f.write_str("the host is shutting down"),
            Self::AppEnded => f.write_str("the application ended"),
            Self::KeepAlive => f.write_str("its client did not come back in time"),
            Self::Administrator => f.write_str("it was ended by an administrator"),
            Self::Failed(reason) => write!(f, "it failed: {reason}"),
        }
    }
}

/// Figures of a session. Counters are totals of the current stream; latencies are of the last few seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionStats {
    /// Name of the video encoder, or empty before the first frame.
    pub encoder: String,
    /// Why a better encoder that should work does not encode, or empty.
    pub encoder_fallback: String,
    /// Frames handed to the network.
    pub frames_sent: u64,
    /// Key frames among them.
    pub key_frames: u64,
    /// Frames that replaced others before they were encoded.
    pub frames_replaced: u64,
    /// Frames dropped because the network was behind.
    pub frames_dropped: u64,
    /// Frames skipped by the encoder to hold its rate.
    pub frames_skipped: u64,
    /// Bytes of the elementary stream.
    pub video_bytes: u64,
    /// Bytes on the wire, protection and headers included.
    pub wire_bytes: u64,
    /// Audio packets sent.
    pub audio_packets: u64,
    /// Presented → last packet given to the kernel, median, microseconds.
    pub latency_p50_us: u32,
    /// The same, 99th percentile.
    pub latency_p99_us: u32,
    /// Encoding alone, median, microseconds.
    pub encode_p50_us: u32,
    /// Packets that the client reported missing, of those it was asked about.
    pub reported_missing: u64,
    /// Packets that those reports covered.
    pub reported_sent: u64,
}

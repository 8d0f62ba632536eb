//! What a user asks of a stream.

use std::path::PathBuf;
use std::time::Duration;

use lumen_core::gamestream::http::Codec;

use crate::decode::DecoderChoice;
use crate::loss::LossOptions;
use crate::microphone::MicrophoneSource;
use crate::report::Expectations;
use crate::script::Script;

/// Which application to stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AppChoice {
    /// The one that runs, else the first of the list.
    #[default]
    Any,
    /// By its title, in any case, or by its number.
    Named(String),
}

/// What to do if an application runs already, or none does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Entry {
    /// As clients do: resume what runs if it is what was asked for, else quit it and launch.
    #[default]
    Auto,
    /// Always `/launch`.
    Launch,
    /// Always `/resume`.
    Resume,
}

/// Channels of sound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AudioChannels {
    /// Two.
    #[default]
    Stereo,
    /// 5.1.
    Surround51,
    /// 7.1.
    Surround71,
}

impl AudioChannels {
    /// How many.
    pub const fn count(self) -> u8 {
        match self {
            Self::Stereo => 2,
            Self::Surround51 => 6,
            Self::Surround71 => 8,
        }
    }
}

/// Which protocol carries picture, sound and input once the host has launched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// lumen/1 if the host offers it, else GameStream.
    Auto,
    /// GameStream.
    #[default]
    GameStream,
    /// lumen/1, or nothing.
    Lumen1,
    /// lumen/1, agreed on over QUIC: without GameStream.
    #[cfg(feature = "quic")]
    Quic,
}

impl Transport {
    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::GameStream => "gamestream",
            Self::Lumen1 => "lumen1",
            #[cfg(feature = "quic")]
            Self::Quic => "quic",
        }
    }
}

/// What the user wants encrypted beyond the control stream. Hosts may demand more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Neither video nor audio.
    None,
    /// Both, if the host can.
    #[default]
    All,
}

/// Everything that a stream is asked for. The default is 1280x720 at 60 frames a second in H.264 with 10 Mbit/s and
/// stereo sound, until it is stopped.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// The application.
    pub app: AppChoice,
    /// Launch or resume.
    pub entry: Entry,
    /// Pixels per line.
    pub width: u32,
    /// Lines; even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// How long to stream, from the first decoded frame on; `None` until it is stopped.
    pub duration: Option<Duration>,
    /// Pictures to decode before the duration can be over; it waits for them for at most a minute.
    pub least_frames: u64,
    /// The codec.
    pub codec: Codec,
    /// 4:4:4 instead of 4:2:0.
    pub chroma_444: bool,
    /// 10 bits, and HDR if the host has it.
    pub hdr: bool,
    /// Rate of everything together in kbit/s.
    pub bitrate_kbps: u32,
    /// Bytes of a video packet, a multiple of 16; 1392 in a LAN.
    pub packet_size: u32,
    /// Channels of sound.
    pub audio: AudioChannels,
    /// Sound of high quality; `None` follows the bitrate as clients do (from 15 Mbit/s on).
    pub high_quality_audio: Option<bool>,
    /// Milliseconds of sound in a packet: 5 or 10.
    pub audio_packet_ms: u8,
    /// The protocol of the stream.
    pub transport: Transport,
    /// Encryption of video and audio, over GameStream; lumen/1 seals everything.
    pub encryption: Encryption,
    /// Ask for reference invalidation after losses where the host offers it, instead of key frames.
    pub reference_invalidation: bool,
    /// Slices of a picture.
    pub slices: u8,
    /// Datagrams to lose on purpose.
    pub loss: LossOptions,
    /// Which decoder.
    pub decoder: DecoderChoice,
    /// Keep a copy of each decoded picture for [`Session::picture`](crate::Session::picture).
    pub keep_pictures: bool,
    /// What to do with keyboard, mouse and so on.
    pub script: Option<Script>,
    /// Share the clipboard of the session, if the host grants it. Over lumen/1 only.
    pub clipboard: bool,
    /// Where to write what is copied in the session: `1.txt`, `2.png` and so on.
    pub save_clipboard: Option<PathBuf>,
    /// What the host hears as this client's microphone, if it grants one. Over lumen/1 only.
    pub microphone: Option<MicrophoneSource>,
    /// Where to write the elementary stream: Annex B of H.264 and HEVC, IVF of AV1.
    pub record: Option<PathBuf>,
    /// Where to write the sound as WAV.
    pub record_audio: Option<PathBuf>,
    /// Where to write the last picture as PNG.
    pub screenshot: Option<PathBuf>,
    /// End the application afterwards.
    pub quit_after: bool,
    /// How long to wait for the first decoded frame.
    pub first_frame_timeout: Duration,
    /// Bounds that the stream must keep.
    pub expect: Expectations,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            app: AppChoice::Any,
            entry: Entry::Auto,
            width: 1280,
            height: 720,
            fps: 60,
            duration: None,
            least_frames: 0,
            codec: Codec::H264,
            chroma_444: false,
            hdr: false,
            bitrate_kbps: 10_000,
            packet_size: 1392,
            audio: AudioChannels::Stereo,
            high_quality_audio: None,
            audio_packet_ms: 5,
            transport: Transport::default(),
            encryption: Encryption::All,
            reference_invalidation: true,
            slices: 4,
            loss: LossOptions::default(),
            decoder: DecoderChoice::Auto,
            keep_pictures: false,
            script: None,
            clipboard: false,
            save_clipboard: None,
            microphone: None,
            record: None,
            record_audio: None,
            screenshot: None,
            quit_after: false,
            first_frame_timeout: Duration::from_secs(10),
            expect: Expectations::default(),
        }
    }
}

impl StreamOptions {
    /// A stream of so many pixels and frames per second for so long, else by default.
    pub fn new(width: u32, height: u32, fps: u32, duration: Duration) -> Self {
        Self { width, height, fps, duration: Some(duration), ..Self::default() }
    }

    pub(crate) fn wants_pictures(&self) -> bool {
        self.keep_pictures || self.screenshot.is_some()
    }

    pub(crate) fn wants_high_quality_audio(&self) -> bool {
        self.high_quality_audio.unwrap_or(self.bitrate_kbps >= 15_000)
    }
}

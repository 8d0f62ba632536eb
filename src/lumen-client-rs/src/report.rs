//! What is said about a stream: as JSON for programs, as text for people.

use std::fmt;
use std::time::Duration;

use lumen_core::gamestream::control::HostMessage;
use serde::{Deserialize, Serialize};

use crate::analysis::{AvOffset, ChannelSound, Distribution, Range};

/// Why a stream ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how", content = "why")]
pub enum Ending {
    /// It goes on.
    Running,
    /// This client ended it, as it was told to.
    Completed,
    /// The host closed it on purpose.
    ClosedByHost,
    /// The host ended it with an error code.
    HostError(String),
    /// The connection broke, or nothing came any more.
    Lost(String),
}

/// Everything about a stream. All times are milliseconds unless their name says otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StreamReport {
    /// How it ended.
    pub ending: Ending,
    /// Who streamed what.
    pub host: HostReport,
    /// `gamestream` or `lumen1`.
    pub transport: String,
    /// How long pictures were shown, in seconds: from the first decoded frame on.
    pub seconds: f64,
    /// Times from the attempt to connect on.
    pub connect: ConnectReport,
    /// Pictures.
    pub video: VideoReport,
    /// Times of frames.
    pub latency: LatencyReport,
    /// Sound.
    pub audio: AudioReport,
    /// How far sound is behind the picture; only with a test card.
    pub av_offset: Option<AvOffset>,
    /// Input and its echo.
    pub input: InputReport,
    /// The clipboard of the session.
    #[serde(default)]
    pub clipboard: ClipboardReport,
    /// The client's microphone.
    #[serde(default)]
    pub microphone: MicrophoneReport,
    /// What the host said on the control channel.
    pub feedback: Vec<FeedbackReport>,
}

/// Who streamed what.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HostReport {
    /// Name of the host.
    pub name: String,
    /// Where it was reached.
    pub address: String,
    /// Its protocol version.
    pub version: String,
    /// The application.
    pub app: String,
    /// `launch` or `resume`.
    pub entry: String,
    /// What was encrypted, such as `rtsp, control, video, audio`.
    pub encrypted: String,
    /// Whether host and client have one wall clock. If not, latencies contain the difference of two.
    pub same_clock: bool,
}

/// Times from the attempt to connect on.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct ConnectReport {
    /// `/serverinfo` was answered.
    pub server_info: Option<f64>,
    /// `/launch` or `/resume` was answered.
    pub launched: Option<f64>,
    /// RTSP was through.
    pub negotiated: Option<f64>,
    /// The control channel was connected.
    pub controlled: Option<f64>,
    /// The first datagram of video.
    pub first_video_datagram: Option<f64>,
    /// The first complete frame.
    pub first_frame_received: Option<f64>,
    /// The first decoded frame.
    pub first_frame_decoded: Option<f64>,
    /// The first datagram of audio.
    pub first_audio_datagram: Option<f64>,
    /// The first decoded sound.
    pub first_sound: Option<f64>,
}

/// Pictures.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct VideoReport {
    /// `h264`, `hevc` or `av1`.
    pub codec: String,
    /// Which decoder.
    pub decoder: String,
    /// Pixels per line of the last picture.
    pub width: usize,
    /// Lines of the last picture.
    pub height: usize,
    /// Frames per second that were asked for.
    pub fps: u32,
    /// Bytes of a packet.
    pub packet_size: u32,
    /// Datagrams that arrived.
    pub datagrams: u64,
    /// Those withheld on purpose.
    pub datagrams_withheld: u64,
    /// Those that no frame needed.
    pub datagrams_surplus: u64,
    /// Those that could not be read.
    pub datagrams_malformed: u64,
    /// Everything that arrived, in kbit/s.
    pub kbps: f64,
    /// Data packets of complete frames.
    pub packets: u64,
    /// Data packets that were rebuilt from parity.
    pub packets_recovered: u64,
    /// Complete frames.
    pub frames_received: u64,
    /// Complete frames of which packets were rebuilt.
    pub frames_recovered: u64,
    /// Which.
    pub recovered_ranges: Vec<Range>,
    /// Frames that did not become complete.
    pub frames_lost: u64,
    /// Which.
    pub lost_ranges: Vec<Range>,
    /// Complete frames that refer to lost ones and were not decoded.
    pub frames_dropped: u64,
    /// Decoded frames.
    pub frames_decoded: u64,
    /// Frames that the decoder did not take.
    pub decode_errors: u64,
    /// Frames that the decoder was too slow for.
    pub decoder_overruns: u64,
    /// Key frames.
    pub key_frames: u64,
    /// Requests for key frames, without the one at the start.
    pub key_frame_requests: u64,
    /// Requests for invalidation of references.
    pub invalidation_requests: u64,
    /// Reports about forward error correction.
    pub fec_reports: u64,
    /// Pictures by their numbers; only with a test card.
    pub card: Option<CardReport>,
}

/// Pictures of a test card by the numbers in them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CardReport {
    /// The session's tag.
    pub session: u16,
    /// First and last number.
    pub numbers: Option<Range>,
    /// Different numbers that were seen.
    pub seen: u64,
    /// Pictures that showed the number of the one before.
    pub repeated: u64,
    /// Numbers that never came, be it that the host skipped them or that they were lost.
    pub missing: u64,
    /// Which.
    pub missing_ranges: Vec<Range>,
    /// Pictures with a number before the newest.
    pub out_of_order: u64,
    /// How often the count began anew.
    pub restarts: u64,
    /// Pictures without a readable strip.
    pub unreadable: u64,
}

/// Times of frames, in milliseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LatencyReport {
    /// Capture to sending, as the host says in each frame.
    pub host: Option<Distribution>,
    /// A frame's first packet to its last.
    pub network_spread: Option<Distribution>,
    /// Complete to decoded.
    pub decode: Option<Distribution>,
    /// Drawing to the first packet; only with a test card, as the two that follow.
    pub drawn_to_first_packet: Option<Distribution>,
    /// Drawing to complete.
    pub drawn_to_received: Option<Distribution>,
    /// Drawing to decoded.
    pub drawn_to_decoded: Option<Distribution>,
    /// One decoded picture to the next.
    pub picture_interval: Option<Distribution>,
}

/// Sound.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AudioReport {
    /// Channels.
    pub channels: u8,
    /// Milliseconds of sound in a packet.
    pub packet_ms: u8,
    /// Datagrams that arrived.
    pub datagrams: u64,
    /// Those withheld on purpose.
    pub datagrams_withheld: u64,
    /// Decoded packets.
    pub packets: u64,
    /// Packets that were rebuilt from parity.
    pub packets_recovered: u64,
    /// Packets that never came; their sound was made up.
    pub packets_lost: u64,
    /// Packets that the decoder did not take.
    pub decode_errors: u64,
    /// How often sound was interrupted.
    pub gaps: u64,
    /// The longest interruption in milliseconds.
    pub longest_gap_ms: u64,
    /// One packet to the next.
    pub packet_interval: Option<Distribution>,
    /// Clicks that were heard.
    pub clicks: u64,
    /// Each channel.
    pub sound: Vec<ChannelSound>,
}

/// Input and its echo.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct InputReport {
    /// Events sent.
    pub sent: u64,
    /// Events that the test card got.
    pub arrived: Option<u16>,
    /// Whether these are exactly the ones that were sent.
    pub complete: Option<bool>,
    /// The pointer at the end.
    pub pointer: Option<(u16, u16)>,
    /// From sending to the decoded picture that shows it.
    pub to_picture: Option<Distribution>,
    /// From the host's receiving to its drawing.
    pub to_drawing: Option<Distribution>,
}

/// The clipboard of the session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClipboardReport {
    /// Whether it was wanted and granted.
    pub granted: bool,
    /// Contents sent.
    pub sent: u64,
    /// What was copied in the session, the last few.
    pub received: Vec<ContentReport>,
}

/// A content of the clipboard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContentReport {
    /// When it came, from the attempt to connect on.
    pub at_ms: f64,
    /// `text` or `png`.
    pub format: String,
    /// How long it is.
    pub bytes: usize,
    /// The text.
    pub text: Option<String>,
}

/// The client's microphone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MicrophoneReport {
    /// Whether it was wanted and granted.
    pub granted: bool,
    /// Packets sent.
    pub packets: u64,
}

/// A message of the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FeedbackReport {
    /// When, from the attempt to connect on.
    pub at_ms: f64,
    /// What.
    pub message: HostMessage,
}

/// Bounds that a stream must keep.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expectations {
    /// No frame lost or dropped, no packet of sound lost.
    pub no_loss: bool,
    /// At most so many numbers of the test card missing: lost on the way, or skipped by the host.
    pub max_missing: Option<u64>,
    /// At most so many frames lost or dropped.
    pub max_lost_frames: Option<u64>,
    /// At least so many frames decoded.
    pub min_frames: Option<u64>,
    /// The first frame decoded within this time from the attempt to connect on.
    pub first_frame: Option<Duration>,
    /// 95 % of all frames decoded within this time after their drawing.
    pub latency_p95: Option<Duration>,
    /// Sound at most so far from the picture, at the median.
    pub av_offset: Option<Duration>,
    /// The test card got exactly the input that was sent.
    pub input_echo: bool,
}

impl Expectations {
    /// Which bounds the stream did not keep, in words; none if it kept all.
    pub fn check(&self, report: &StreamReport) -> Vec<String> {
        let mut broken = Vec::new();
        let mut fail = |failed: bool, what: String| {
            if failed {
                broken.push(what);
            }
        };
        let video = &report.video;
        let lost = video.frames_lost + video.frames_dropped + video.decode_errors + video.decoder_overruns;
        if self.no_loss {
            fail(lost > 0, format!("{lost} frames were lost"));
            fail(report.audio.packets_lost > 0, format!("{} packets of sound were lost", report.audio.packets_lost));
        }
        if let Some(most) = self.max_missing {
            match video.card.as_ref().map(|card| card.missing) {
                Some(missing) => fail(missing > most, format!("{missing} pictures are missing, more than {most}")),
                None => fail(true, "pictures could not be counted".to_owned()),
            }
        }
        if let Some(most) = self.max_lost_frames {
            fail(lost > most, format!("{lost} frames were lost, more than {most}"));
        }
        if let Some(least) = self.min_frames {
            fail(
                video.frames_decoded < least,
                format!("{} frames were decoded, fewer than {least}", video.frames_decoded),
            );
        }
        let millis = |bound: Duration| bound.as_secs_f64() * 1000.0;
        let mut within = |bound: Option<Duration>, value: Option<f64>, what: &str| {
            if let Some(bound) = bound.map(millis) {
                match value {
                    Some(value) => fail(value > bound, format!("{what} is {value:.1} ms, above {bound:.1} ms")),
                    None => fail(true, format!("{what} could not be measured")),
                }
            }
        };
        within(self.first_frame, report.connect.first_frame_decoded, "the time to the first frame");
        within(self.latency_p95, report.latency.drawn_to_decoded.map(|all| all.p95), "latency at 95 %");
        within(self.av_offset, report.av_offset.map(|offset| offset.median_ms.abs()), "the offset of sound");
        if self.input_echo {
            let InputReport { sent, arrived, complete, .. } = &report.input;
            let arrived = arrived.map_or("none that can be seen".to_owned(), |count| count.to_string());
            fail(*complete != Some(true), format!("of {sent} input events {arrived} arrived"));
        }
        broken
    }
}

impl fmt::Display for StreamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, video, audio, input) = (&self.host, &self.video, &self.audio, &self.input);
        let ending = match &self.ending {
            Ending::Running => "running".to_owned(),
            Ending::Completed => "completed".to_owned(),
            Ending::ClosedByHost => "closed by the host".to_owned(),
            Ending::HostError(why) => format!("ended by the host: {why}"),
            Ending::Lost(why) => format!("lost: {why}"),
        };
        writeln!(
            f,
            "{} from {} ({}, {}), {:.1} s, {ending}",
            host.app, host.name, host.address, host.entry, self.seconds
        )?;
        writeln!(f, "transport   {}, encrypted: {}", self.transport, host.encrypted)?;
        let time = |moment: Option<f64>| moment.map_or("-".to_owned(), |ms| format!("{ms:.0}"));
        let connect = &self.connect;
        writeln!(
            f,
            "connect     serverinfo {} · launch {} · rtsp {} · control {} · packet {} · frame {} · decoded {} · sound {} ms",
            time(connect.server_info),
            time(connect.launched),
            time(connect.negotiated),
            time(connect.controlled),
            time(connect.first_video_datagram),
            time(connect.first_frame_received),
            time(connect.first_frame_decoded),
            time(connect.first_sound),
        )?;
        writeln!(
            f,
            "video       {} {}x{} @ {}, {:.0} kbit/s, by {}",
            video.codec, video.width, video.height, video.fps, video.kbps, video.decoder
        )?;
        writeln!(
            f,
            "frames      {} received, {} recovered, {} lost, {} dropped, {} decoded, {} key; {} errors, {} overruns",
            video.frames_received,
            video.frames_recovered,
            video.frames_lost,
            video.frames_dropped,
            video.frames_decoded,
            video.key_frames,
            video.decode_errors,
            video.decoder_overruns,
        )?;
        writeln!(
            f,
            "packets     {} received, {} withheld, {} rebuilt; asked for {} key frames, {} invalidations",
            video.datagrams,
            video.datagrams_withheld,
            video.packets_recovered,
            video.key_frame_requests,
            video.invalidation_requests,
        )?;
        if let Some(card) = &video.card {
            writeln!(
                f,
                "card        session {}, {} numbers seen, {} missing, {} repeated, {} out of order, {} unreadable",
                card.session, card.seen, card.missing, card.repeated, card.out_of_order, card.unreadable,
            )?;
        }
        let latency = &self.latency;
        line(f, "host", latency.host)?;
        line(f, "spread", latency.network_spread)?;
        line(f, "drawn→recv", latency.drawn_to_received)?;
        line(f, "drawn→dec", latency.drawn_to_decoded)?;
        line(f, "decode", latency.decode)?;
        line(f, "interval", latency.picture_interval)?;
        writeln!(
            f,
            "audio       {} channels, {} packets, {} rebuilt, {} lost, {} gaps (longest {} ms), {} clicks",
            audio.channels,
            audio.packets,
            audio.packets_recovered,
            audio.packets_lost,
            audio.gaps,
            audio.longest_gap_ms,
            audio.clicks,
        )?;
        for (index, sound) in audio.sound.iter().enumerate().filter(|(_, sound)| sound.expected_hertz > 0.0) {
            writeln!(
                f,
                "  channel {index} {:.1} Hz (nominal {:.1}), {:.1} dB, windows {} clear {} other {} silent, {} jumps",
                sound.heard_hertz,
                sound.expected_hertz,
                sound.level_db,
                sound.clear_windows,
                sound.other_windows,
                sound.silent_windows,
                sound.jumps,
            )?;
        }
        if let Some(offset) = self.av_offset {
            writeln!(
                f,
                "a/v         sound behind picture by {:.1} ms (median of {}; {:.1} to {:.1}){}",
                offset.median_ms,
                offset.pairs,
                offset.min_ms,
                offset.max_ms,
                offset.drift_ms_per_minute.map_or(String::new(), |drift| format!(", drift {drift:.2} ms/min")),
            )?;
        }
        if input.sent > 0 {
            let arrived = input.arrived.map_or("-".to_owned(), |count| count.to_string());
            let complete = match input.complete {
                Some(true) => "exactly these",
                Some(false) => "not these",
                None => "no card to tell",
            };
            writeln!(f, "input       {} sent, {arrived} arrived, {complete}", input.sent)?;
            line(f, "→picture", input.to_picture)?;
        }
        if self.clipboard.granted {
            writeln!(f, "clipboard   {} sent, {} received", self.clipboard.sent, self.clipboard.received.len())?;
        }
        if self.microphone.granted {
            writeln!(f, "microphone  {} packets sent", self.microphone.packets)?;
        }
        if !self.feedback.is_empty() {
            writeln!(f, "feedback    {} messages", self.feedback.len())?;
        }
        if !host.same_clock {
            writeln!(f, "note        host and client have different clocks: latencies contain their difference")?;
        }
        Ok(())
    }
}

/// A line of a distribution, if there is one.
fn line(f: &mut fmt::Formatter<'_>, name: &str, all: Option<Distribution>) -> fmt::Result {
    let Some(all) = all else { return Ok(()) };
    writeln!(f, "{name:<11} p50 {:.2} · p95 {:.2} · p99 {:.2} · max {:.2} ms", all.p50, all.p95, all.p99, all.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> StreamReport {
        StreamReport {
            ending: Ending::Completed,
            transport: "gamestream".into(),
            host: HostReport::default(),
            seconds: 1.0,
            connect: ConnectReport { first_frame_decoded: Some(500.0), ..ConnectReport::default() },
            video: VideoReport { frames_decoded: 60, ..VideoReport::default() },
            latency: LatencyReport::default(),
            audio: AudioReport::default(),
            av_offset: None,
            input: InputReport::default(),
            clipboard: ClipboardReport::default(),
            microphone: MicrophoneReport::default(),
            feedback: Vec::new(),
        }
    }

    #[test]
    fn a_clean_stream_keeps_its_bounds() {
        let expect = Expectations {
            no_loss: true,
            min_frames: Some(60),
            first_frame: Some(Duration::from_secs(1)),
            ..Expectations::default()
        };
        assert!(expect.check(&report()).is_empty());
    }

    #[test]
    fn each_broken_bound_is_named() {
        let expect = Expectations {
            no_loss: true,
            max_missing: Some(0),
            max_lost_frames: Some(0),
            min_frames: Some(61),
            first_frame: Some(Duration::from_millis(100)),
            latency_p95: Some(Duration::from_millis(10)),
            av_offset: Some(Duration::from_millis(10)),
            input_echo: true,
        };
        let mut bad = report();
        bad.video.frames_lost = 2;
        bad.audio.packets_lost = 1;
        assert_eq!(expect.check(&bad).len(), 9);
    }

    #[test]
    fn reports_survive_json() {
        let text = serde_json::to_string(&report()).unwrap();
        let back: StreamReport = serde_json::from_str(&text).unwrap();
        assert_eq!(back.ending, Ending::Completed);
        assert!(back.to_string().contains("60 decoded"));
    }
}

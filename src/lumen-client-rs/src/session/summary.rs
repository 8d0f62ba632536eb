//! The state of a session as a report.

use std::sync::atomic::Ordering;

use lumen_core::lumen1::message::ClipboardFormat;
use lumen_core::lumen1::negotiation::Grants;
use lumen_core::time::Timestamp;

use super::state::Shared;
use crate::options::Transport;
use crate::report::{
    AudioReport, CardReport, ClipboardReport, ConnectReport, ContentReport, FeedbackReport, HostReport, InputReport,
    LatencyReport, MicrophoneReport, StreamReport, VideoReport,
};

/// What was agreed at the start and does not change.
#[derive(Debug, Clone)]
pub struct Facts {
    pub host: HostReport,
    pub transport: Transport,
    pub codec: &'static str,
    pub fps: u32,
    pub packet_size: u32,
    pub channels: u8,
    pub packet_ms: u8,
    pub granted: Grants,
}

/// Everything that is known so far.
pub fn report(shared: &Shared, facts: &Facts) -> StreamReport {
    let now = shared.clock.now();
    let state = shared.lock();
    let analysis = &state.analysis;
    let (moments, counters) = (&analysis.moments, &analysis.video);
    let millis = |at: Timestamp| at.as_micros() as f64 / 1000.0;
    let seconds = moments.first_frame_decoded.map_or(0.0, |first| now.saturating_since(first).as_secs_f64());
    let (width, height) = analysis.picture_size.unwrap_or_default();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (video, audio) = (&shared.video_datagrams, &shared.audio_datagrams);
    let streamed = moments.first_video_datagram.map_or(0.0, |first| now.saturating_since(first).as_secs_f64());
    let numbers = &analysis.numbers;
    let card = analysis.strip.map(|strip| CardReport {
        session: strip.session,
        numbers: numbers.range(),
        seen: numbers.seen,
        repeated: numbers.repeated,
        missing: numbers.missing,
        missing_ranges: numbers.missing_ranges.clone(),
        out_of_order: numbers.out_of_order,
        restarts: numbers.restarts,
        unreadable: analysis.unreadable,
    });
    StreamReport {
        ending: state.ending.clone(),
        host: facts.host.clone(),
        transport: facts.transport.name().to_owned(),
        seconds,
        connect: ConnectReport {
            server_info: moments.server_info.map(millis),
            launched: moments.launched.map(millis),
            negotiated: moments.negotiated.map(millis),
            controlled: moments.controlled.map(millis),
            first_video_datagram: moments.first_video_datagram.map(millis),
            first_frame_received: moments.first_frame_received.map(millis),
            first_frame_decoded: moments.first_frame_decoded.map(millis),
            first_audio_datagram: moments.first_audio_datagram.map(millis),
            first_sound: moments.first_sound.map(millis),
        },
        video: VideoReport {
            codec: facts.codec.to_owned(),
            decoder: state.decoder.clone(),
            width,
            height,
            fps: facts.fps,
            packet_size: facts.packet_size,
            datagrams: count(&video.received),
            datagrams_withheld: count(&video.withheld),
            datagrams_surplus: count(&video.surplus),
            datagrams_malformed: count(&video.malformed),
            kbps: if streamed > 0.0 { count(&video.bytes) as f64 * 8.0 / 1000.0 / streamed } else { 0.0 },
            packets: counters.data_packets,
            packets_recovered: counters.recovered_packets,
            frames_received: counters.frames,
            frames_recovered: counters.recovered_frames,
            recovered_ranges: counters.recovered_ranges.clone(),
            frames_lost: counters.lost_frames,
            lost_ranges: counters.lost_ranges.clone(),
            frames_dropped: counters.dropped_frames,
            frames_decoded: counters.decoded_frames,
            decode_errors: counters.decode_errors,
            decoder_overruns: counters.overruns,
            key_frames: counters.key_frames,
            key_frame_requests: counters.key_frame_requests,
            invalidation_requests: counters.invalidation_requests,
            fec_reports: counters.fec_reports,
            card,
        },
        latency: LatencyReport {
            host: analysis.host_latency.distribution(),
            network_spread: analysis.network_spread.distribution(),
            decode: analysis.decode_time.distribution(),
            drawn_to_first_packet: analysis.drawn_to_first_packet.distribution(),
            drawn_to_received: analysis.drawn_to_received.distribution(),
            drawn_to_decoded: analysis.drawn_to_decoded.distribution(),
            picture_interval: analysis.picture_interval.distribution(),
        },
        audio: AudioReport {
            channels: facts.channels,
            packet_ms: facts.packet_ms,
            datagrams: count(&audio.received),
            datagrams_withheld: count(&audio.withheld),
            packets: state.audio.packets,
            packets_recovered: state.audio.recovered,
            packets_lost: state.audio.lost,
            decode_errors: state.audio.decode_errors,
            gaps: state.audio.gaps,
            longest_gap_ms: state.audio.longest_gap,
            packet_interval: state.audio.interval.distribution(),
            clicks: analysis.sound.clicks_heard,
            sound: analysis.sound.channels(),
        },
        av_offset: analysis.sync.offset(),
        input: InputReport {
            sent: analysis.input.sent,
            arrived: analysis.input.arrived(),
            complete: analysis.input.is_complete(),
            pointer: analysis.strip.and_then(|strip| strip.pointer),
            to_picture: analysis.input.to_picture.distribution(),
            to_drawing: analysis.input.to_drawing.distribution(),
        },
        clipboard: ClipboardReport {
            granted: facts.granted.contains(Grants::CLIPBOARD),
            sent: count(&shared.clipboard_sent),
            received: state.clipboard.iter().map(|(at, format, bytes)| content(millis(*at), *format, bytes)).collect(),
        },
        microphone: MicrophoneReport {
            granted: facts.granted.contains(Grants::MICROPHONE),
            packets: count(&shared.microphone_packets),
        },
        feedback: state
            .feedback
            .iter()
            .map(|(at, message)| FeedbackReport { at_ms: millis(*at), message: *message })
            .collect(),
    }
}

fn content(at_ms: f64, format: ClipboardFormat, bytes: &[u8]) -> ContentReport {
    let text = (format == ClipboardFormat::Text).then(|| String::from_utf8_lossy(bytes).into_owned());
    let format = match format {
        ClipboardFormat::Text => "text",
        ClipboardFormat::Png => "png",
    };
    ContentReport { at_ms, format: format.to_owned(), bytes: bytes.len(), text }
}

//! What the pictures, packets and sounds of a stream say about it: frames by number, latency, sound, the offset
//! between the two, and whether input arrived. Only values go in and come out; who receives and decodes is the
//! session's business.

mod input;
mod numbers;
mod samples;
mod sound;
mod sync;

pub use input::InputEcho;
pub use numbers::PictureNumbers;
pub use samples::{Distribution, Samples};
pub use sound::{ChannelSound, Sound};
pub use sync::{AvOffset, AvSync};

use std::time::Duration;

use lumen_core::strip::StripContent;
use lumen_core::time::Timestamp;

/// Ranges of lost frames that are listed; more are only counted.
const MAX_RANGES: usize = 500;

/// Frames from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Range {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
}

/// When things happened first, on the session's clock, which starts with the attempt to connect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moments {
    /// `/serverinfo` was answered.
    pub server_info: Option<Timestamp>,
    /// `/launch` or `/resume` was answered.
    pub launched: Option<Timestamp>,
    /// RTSP was through.
    pub negotiated: Option<Timestamp>,
    /// The control channel was connected.
    pub controlled: Option<Timestamp>,
    /// The first datagram of video.
    pub first_video_datagram: Option<Timestamp>,
    /// The first complete frame.
    pub first_frame_received: Option<Timestamp>,
    /// The first decoded picture.
    pub first_frame_decoded: Option<Timestamp>,
    /// The first datagram of audio.
    pub first_audio_datagram: Option<Timestamp>,
    /// The first decoded sound.
    pub first_sound: Option<Timestamp>,
}

/// What became of the frames.
#[derive(Debug, Clone, Default)]
pub struct VideoCounters {
    /// Data packets of complete frames.
    pub data_packets: u64,
    /// Those of them that were rebuilt.
    pub recovered_packets: u64,
    /// Complete frames.
    pub frames: u64,
    /// Complete frames of which packets were rebuilt.
    pub recovered_frames: u64,
    /// Complete frames that a decoder can start with.
    pub key_frames: u64,
    /// Frames that did not become complete.
    pub lost_frames: u64,
    /// Complete frames that refer to lost ones.
    pub dropped_frames: u64,
    /// Decoded frames.
    pub decoded_frames: u64,
    /// Frames that the decoder did not take.
    pub decode_errors: u64,
    /// Frames that the decoder was too slow for.
    pub overruns: u64,
    /// Requests for key frames.
    pub key_frame_requests: u64,
    /// Requests for invalidation of references.
    pub invalidation_requests: u64,
    /// Reports about forward error correction.
    pub fec_reports: u64,
    /// Which frames were lost, the first so many ranges.
    pub lost_ranges: Vec<Range>,
    /// Which frames had packets rebuilt, the first so many ranges.
    pub recovered_ranges: Vec<Range>,
}

/// When a picture passed its stations.
#[derive(Debug, Clone, Copy)]
pub struct PictureTimes {
    /// The frame's first packet arrived.
    pub first_packet: Timestamp,
    /// The frame was complete.
    pub received: Timestamp,
    /// The picture was decoded.
    pub decoded: Timestamp,
    /// The wall clock when it was decoded, in microseconds since 1970.
    pub decoded_unix_micros: i64,
}

/// What is known of a complete frame, whichever protocol brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameFacts {
    /// Its number.
    pub number: u32,
    /// Whether a decoder can start with it.
    pub key_frame: bool,
    /// Data packets.
    pub data_packets: u16,
    /// Those of them that were rebuilt.
    pub recovered_packets: u16,
    /// Capture to sending, if the host says.
    pub host_latency: Option<Duration>,
    /// When its first packet arrived.
    pub first_packet_at: Timestamp,
    /// When the packet arrived that made it complete.
    pub received_at: Timestamp,
}

/// Everything that is known about a stream so far.
#[derive(Debug, Default)]
pub struct Analysis {
    /// When what happened first.
    pub moments: Moments,
    /// Frames.
    pub video: VideoCounters,
    /// Pictures by the numbers in their strips.
    pub numbers: PictureNumbers,
    /// Pictures of which the strip could not be read.
    pub unreadable: u64,
    /// The newest strip.
    pub strip: Option<StripContent>,
    /// What hosts say about their own latency, in microseconds.
    pub host_latency: Samples,
    /// From a frame's first packet to its last.
    pub network_spread: Samples,
    /// From complete to decoded.
    pub decode_time: Samples,
    /// From drawing to the first packet.
    pub drawn_to_first_packet: Samples,
    /// From drawing to complete.
    pub drawn_to_received: Samples,
    /// From drawing to decoded.
    pub drawn_to_decoded: Samples,
    /// Between two decoded pictures.
    pub picture_interval: Samples,
    last_decoded: Option<Timestamp>,
    /// Sound.
    pub sound: Sound,
    /// Flash against click.
    pub sync: AvSync,
    /// Input and its echo.
    pub input: InputEcho,
    /// Size of the newest picture.
    pub picture_size: Option<(usize, usize)>,
}

impl Analysis {
    /// A frame is complete.
    pub fn frame_received(&mut self, frame: &FrameFacts) {
        self.moments.first_frame_received.get_or_insert(frame.received_at);
        let video = &mut self.video;
        video.frames += 1;
        video.data_packets += u64::from(frame.data_packets);
        video.recovered_packets += u64::from(frame.recovered_packets);
        if frame.recovered_packets > 0 {
            video.recovered_frames += 1;
            extend(&mut video.recovered_ranges, frame.number, frame.number);
        }
        video.key_frames += u64::from(frame.key_frame);
        if let Some(latency) = frame.host_latency {
            self.host_latency.add(latency.as_micros() as i64);
        }
        self.network_spread.add(micros_between(frame.first_packet_at, frame.received_at));
    }

    /// Frames will not come.
    pub fn frames_lost(&mut self, first: u32, last: u32) {
        self.video.lost_frames += u64::from(last.wrapping_sub(first)) + 1;
        extend(&mut self.video.lost_ranges, first, last);
    }

    /// A picture of so many pixels was decoded; `strip` is what could be read in it.
    pub fn picture_decoded(&mut self, times: PictureTimes, size: (usize, usize), strip: Option<StripContent>) {
        self.moments.first_frame_decoded.get_or_insert(times.decoded);
        self.video.decoded_frames += 1;
        self.picture_size = Some(size);
        self.decode_time.add(micros_between(times.received, times.decoded));
        if let Some(last) = self.last_decoded.replace(times.decoded) {
            self.picture_interval.add(micros_between(last, times.decoded));
        }
        let Some(strip) = strip else {
            self.unreadable += 1;
            return;
        };
        self.numbers.add(strip.frame);
        let age = times.decoded_unix_micros - strip.unix_micros as i64;
        self.drawn_to_decoded.add(age);
        self.drawn_to_received.add(age - micros_between(times.received, times.decoded));
        self.drawn_to_first_packet.add(age - micros_between(times.first_packet, times.decoded));
        if strip.flash {
            self.sync.flash(strip.unix_micros, times.decoded);
        }
        self.input.seen(&strip, times.decoded);
        self.sound.set_session(strip.session);
        self.strip = Some(strip);
    }

    /// A packet of sound was decoded, or made up for a lost one.
    pub fn sound_decoded(&mut self, samples: &[f32], at: Timestamp) {
        self.moments.first_sound.get_or_insert(at);
        self.sound.add(samples, at);
        while let Some(click) = self.sound.poll_click() {
            self.sync.click(click);
        }
    }
}

/// Adds frames to a list; those that follow the last range become part of it.
fn extend(ranges: &mut Vec<Range>, first: u32, last: u32) {
    if let Some(range) = ranges.last_mut().filter(|range| range.last.wrapping_add(1) == first) {
        range.last = last;
    } else if ranges.len() < MAX_RANGES {
        ranges.push(Range { first, last });
    }
}

/// Microseconds from `earlier` to `later`; negative if they are not.
fn micros_between(earlier: Timestamp, later: Timestamp) -> i64 {
    later.as_micros() as i64 - earlier.as_micros() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ranges_become_one_and_the_list_is_bounded() {
        let mut ranges = Vec::new();
        extend(&mut ranges, 3, 4);
        extend(&mut ranges, 5, 5);
        assert_eq!(ranges, [Range { first: 3, last: 5 }]);
        (10..5000).step_by(2).for_each(|number| extend(&mut ranges, number, number));
        assert_eq!(ranges.len(), MAX_RANGES);
    }
}

//! Sound in both directions (section 7): packets of Opus frames, each with copies of the frames before it, so that a
//! lost packet costs nothing as long as one of the next ones arrives.

use std::collections::VecDeque;

use crate::reader::{Reader, Short};
use crate::replay::ReplayWindow;

/// Bytes before the first frame of a packet.
pub const AUDIO_HEADER_LEN: usize = 10;

/// Most frames of a packet: the newest and copies.
pub const MAX_FRAMES: usize = 8;

/// Longest Opus frame, in bytes (RFC 6716, section 3.2.1).
pub const MAX_FRAME_LEN: usize = 1275;

/// Frames that a receiver remembers.
const WINDOW: usize = 1024;

/// What is the same for all frames of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioHeader {
    /// Number of the newest frame; the copies count down from it. Wraps.
    pub sequence: u32,
    /// Time of the first sample of the newest frame, in samples of 48 kHz. Wraps.
    pub timestamp: u32,
    /// Length of each frame in units of 0.5 ms: 5 to 120 for Opus.
    pub half_millis: u8,
}

/// Why the payload of an audio datagram is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// Fewer bytes than headers and frames need.
    #[error("an audio payload is cut short")]
    Truncated,
    /// No frame, or more than [`MAX_FRAMES`].
    #[error("an audio payload of {0} frames cannot be; 1 to 8 can")]
    FrameCount(u8),
    /// A frame longer than Opus has them.
    #[error("an Opus frame of {0} bytes cannot be; 1275 is the most")]
    FrameLength(u16),
}

impl From<Short> for AudioError {
    fn from(Short: Short) -> Self {
        Self::Truncated
    }
}

/// A parsed payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioPacket<'a> {
    /// Its header.
    pub header: AudioHeader,
    frames: [&'a [u8]; MAX_FRAMES],
    count: usize,
}

impl<'a> AudioPacket<'a> {
    /// Reads a payload. Bytes after the last frame are ignored.
    ///
    /// # Errors
    /// [`AudioError`].
    pub fn parse(payload: &'a [u8]) -> Result<Self, AudioError> {
        let mut reader = Reader::new(payload);
        let sequence = reader.u32_be()?;
        let timestamp = reader.u32_be()?;
        let half_millis = reader.u8()?;
        let count = reader.u8()?;
        let mut packet = Self {
            header: AudioHeader { sequence, timestamp, half_millis },
            frames: [&[]; MAX_FRAMES],
            count: count.into(),
        };
        if !(1..=MAX_FRAMES).contains(&packet.count) {
            return Err(AudioError::FrameCount(count));
        }
        for frame in &mut packet.frames[..packet.count] {
            let len = reader.u16_be()?;
            if usize::from(len) > MAX_FRAME_LEN {
                return Err(AudioError::FrameLength(len));
            }
            *frame = reader.take(len.into())?;
        }
        Ok(packet)
    }

    /// Number, time and bytes of each frame, the oldest first.
    pub fn frames(&self) -> impl Iterator<Item = AudioFrame<'a>> {
        let header = self.header;
        let samples = u32::from(header.half_millis) * 24;
        self.frames[..self.count].iter().enumerate().rev().map(move |(age, data)| AudioFrame {
            sequence: header.sequence.wrapping_sub(age as u32),
            timestamp: header.timestamp.wrapping_sub(age as u32 * samples),
            data,
        })
    }
}

/// One Opus frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioFrame<'a> {
    /// Its number.
    pub sequence: u32,
    /// Its first sample.
    pub timestamp: u32,
    /// Opus; empty for silence that was not encoded.
    pub data: &'a [u8],
}

/// Writes audio payloads: remembers the frames that later packets repeat.
#[derive(Debug)]
pub struct AudioSender {
    copies: usize,
    room: usize,
    half_millis: u8,
    next: u32,
    recent: VecDeque<Vec<u8>>,
}

impl AudioSender {
    /// One that repeats the last `copies` frames, at most 7, in payloads of at most `room` bytes, for frames of
    /// `half_millis` × 0.5 ms.
    pub fn new(copies: usize, room: usize, half_millis: u8) -> Self {
        Self { copies: copies.min(MAX_FRAMES - 1), room, half_millis, next: 0, recent: VecDeque::new() }
    }

    /// Replaces the number of copies, from the next packet on.
    pub fn set_copies(&mut self, copies: usize) {
        self.copies = copies.min(MAX_FRAMES - 1);
    }

    /// Appends the payload of the next frame to `out`; copies that find no room are left out.
    ///
    /// # Errors
    /// [`AudioError::FrameLength`].
    pub fn write(&mut self, frame: &[u8], timestamp: u32, out: &mut Vec<u8>) -> Result<(), AudioError> {
        if frame.len() > MAX_FRAME_LEN {
            return Err(AudioError::FrameLength(u16::try_from(frame.len()).unwrap_or(u16::MAX)));
        }
        let start = out.len();
        out.extend_from_slice(&self.next.to_be_bytes());
        out.extend_from_slice(&timestamp.to_be_bytes());
        out.extend_from_slice(&[self.half_millis, 1]);
        let mut put = |frame: &[u8]| {
            out.extend_from_slice(&(frame.len() as u16).to_be_bytes());
            out.extend_from_slice(frame);
            out.len() - start
        };
        let mut len = put(frame);
        let mut count = 1;
        for copy in self.recent.iter().take(self.copies) {
            if len + 2 + copy.len() > self.room {
                break;
            }
            len = put(copy);
            count += 1;
        }
        out[start + AUDIO_HEADER_LEN - 1] = count;
        self.next = self.next.wrapping_add(1);
        let mut kept = if self.recent.len() >= MAX_FRAMES { self.recent.pop_back() } else { None }.unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(frame);
        self.recent.push_front(kept);
        Ok(())
    }
}

/// Reads audio payloads: gives each frame out once, whichever packet it came in.
#[derive(Debug)]
pub struct AudioReceiver {
    seen: ReplayWindow<Box<[u64]>>,
    /// The newest frame, counted without wrapping; the first one is 2³², so that frames before it have a number too.
    newest: Option<(u32, u64)>,
}

impl Default for AudioReceiver {
    fn default() -> Self {
        Self { seen: ReplayWindow::of_size(WINDOW), newest: None }
    }
}

impl AudioReceiver {
    /// Hands the new frames of a payload to `deliver`, the oldest first. A frame that was overtaken comes after younger
    /// ones: order is for the player's buffer to restore.
    ///
    /// # Errors
    /// [`AudioError`].
    pub fn receive(&mut self, payload: &[u8], mut deliver: impl FnMut(AudioFrame<'_>)) -> Result<(), AudioError> {
        for frame in AudioPacket::parse(payload)?.frames() {
            let (newest, count) = *self.newest.get_or_insert((frame.sequence, 1 << 32));
            let ahead = frame.sequence.wrapping_sub(newest) as i32;
            let Some(number) = count.checked_add_signed(ahead.into()) else { continue };
            if self.seen.is_fresh(number) {
                self.seen.mark(number);
                if ahead > 0 {
                    self.newest = Some((frame.sequence, number));
                }
                deliver(frame);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_frame_comes_once_if_no_more_packets_in_a_row_are_lost_than_there_are_copies() {
        let mut sender = AudioSender::new(2, 1000, 10);
        let mut receiver = AudioReceiver::default();
        let mut got = Vec::new();
        for number in 0..100u8 {
            let mut payload = Vec::new();
            sender.write(&[number; 60], u32::from(number) * 240, &mut payload).expect("short");
            if number % 3 == 2 || number == 0 {
                receiver
                    .receive(&payload, |frame| {
                        assert_eq!(frame.timestamp, frame.sequence * 240);
                        got.push((frame.sequence, frame.data[0]));
                    })
                    .expect("well formed");
                receiver.receive(&payload, |_| panic!("a duplicate")).expect("well formed");
            }
        }
        assert!(got.iter().copied().eq((0..99).map(|number| (number, number as u8))), "{got:?}");
    }

    #[test]
    fn copies_give_way_when_there_is_no_room() {
        let mut sender = AudioSender::new(7, AUDIO_HEADER_LEN + 2 * 102, 10);
        let mut payload = Vec::new();
        for number in 0..5 {
            payload.clear();
            sender.write(&[number; 100], 0, &mut payload).expect("short");
        }
        assert_eq!(payload.len(), AUDIO_HEADER_LEN + 204);
        assert_eq!(AudioPacket::parse(&payload).expect("well formed").frames().count(), 2);
        assert_eq!(sender.write(&[0; 1276], 0, &mut payload), Err(AudioError::FrameLength(1276)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(payloads: Vec<Vec<u8>>) {
            let mut receiver = AudioReceiver::default();
            for payload in payloads {
                let _ = receiver.receive(&payload, |_| {});
            }
        }

        #[test]
        fn numbers_wrap(start: u32) {
            let mut sender = AudioSender::new(1, 1000, 10);
            sender.next = start;
            let mut receiver = AudioReceiver::default();
            let mut got = 0;
            for _ in 0..20 {
                let mut payload = Vec::new();
                sender.write(b"x", 0, &mut payload).expect("short");
                receiver.receive(&payload, |_| got += 1).expect("well formed");
            }
            prop_assert_eq!(got, 20);
        }
    }
}

//! A Matroska file of one video and one sound track (RFC 9559; EBML is RFC 8794). Clusters are written whole, so a
//! recording that is cut off plays up to its last cluster; the index and the duration are added at the end.

use std::io::{self, Seek, SeekFrom, Write};
use std::time::Duration;

use crate::encode::{Codec, EncoderConfig};

/// Nanoseconds of a tick.
const TICK: u64 = 1_000_000;
/// Longest cluster; a time within one has 16 bits.
const LONGEST_CLUSTER: u64 = 4_000;
/// Sound that is decoded before the first that is heard after a jump, as RFC 7845 recommends for Opus.
const SEEK_PRE_ROLL: u64 = 80_000_000;
/// Room for the list of the file's parts.
const SEEK_HEAD: usize = 96;

const VIDEO_TRACK: u64 = 1;
const AUDIO_TRACK: u64 = 2;

/// Which track a block belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Track {
    /// Pictures.
    Video {
        /// A decoder can start with this one.
        key: bool,
    },
    /// Sound.
    Audio,
}

/// A file that is being written.
pub(super) struct Matroska<W> {
    out: W,
    /// Where the content of the segment begins; positions count from there.
    segment: u64,
    info: u64,
    tracks: u64,
    duration: u64,
    cues: Vec<Cue>,
    cluster: Vec<Block>,
    last_picture: Option<u64>,
    end: u64,
}

struct Block {
    at: u64,
    track: Track,
    data: Vec<u8>,
}

struct Cue {
    at: u64,
    cluster: u64,
}

impl<W: Write + Seek> Matroska<W> {
    /// Nothing is written before [`Matroska::begin`].
    pub(super) fn new(out: W) -> Self {
        let (cues, cluster) = (Vec::new(), Vec::new());
        Self { out, segment: 0, info: 0, tracks: 0, duration: 0, cues, cluster, last_picture: None, end: 0 }
    }

    /// Writes all that stands before the first picture.
    pub(super) fn begin(&mut self, config: &EncoderConfig, private: &[u8]) -> io::Result<()> {
        let header = [
            number(0x4286, 1),
            number(0x42F7, 1),
            number(0x42F2, 4),
            number(0x42F3, 8),
            element(0x4282, b"matroska"),
            number(0x4287, 4),
            number(0x4285, 2),
        ];
        self.out.write_all(&element(0x1A45_DFA3, &header.concat()))?;
        // Of unknown length until the end.
        self.out.write_all(&[0x18, 0x53, 0x80, 0x67, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])?;
        self.segment = self.out.stream_position()?;
        self.out.write_all(&void(SEEK_HEAD))?;

        self.info = self.position()?;
        let program = format!("lumen {}", env!("CARGO_PKG_VERSION"));
        let before =
            [number(0x2A_D7B1, TICK), element(0x4D80, program.as_bytes()), element(0x5741, program.as_bytes())]
                .concat();
        // The duration stands last, so that its place is known: the last eight bytes of the element.
        let info = element(0x1549_A966, &[before, float(0x4489, 0.0)].concat());
        self.out.write_all(&info)?;
        self.duration = self.out.stream_position()? - 8;

        self.tracks = self.position()?;
        let tracks = [video_entry(config, private), audio_entry()].concat();
        self.out.write_all(&element(0x1654_AE6B, &tracks))
    }

    /// Takes one picture or packet of sound that belongs `at` after the beginning.
    pub(super) fn block(&mut self, track: Track, at: Duration, data: Vec<u8>) -> io::Result<()> {
        let mut at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        if track != Track::Audio {
            // Two pictures within a tick are still one after the other.
            at = self.last_picture.map_or(at, |last| at.max(last + 1));
            self.last_picture = Some(at);
        }
        let begins = self.cluster.first().map_or(at, |first| first.at);
        if track == (Track::Video { key: true }) || at.saturating_sub(begins) > LONGEST_CLUSTER {
            self.write_cluster()?;
        }
        self.end = self.end.max(at);
        self.cluster.push(Block { at, track, data });
        Ok(())
    }

    /// Writes what is left, the index and the duration.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.write_cluster()?;
        let cues = self.position()?;
        let points: Vec<u8> = self.cues.iter().flat_map(Cue::to_bytes).collect();
        self.out.write_all(&element(0x1C53_BB6B, &points))?;
        let end = self.out.stream_position()?;

        let seek = |id: u32, position: u64| {
            let id = element(0x53AB, &id.to_be_bytes());
            element(0x4DBB, &[id, number(0x53AC, position)].concat())
        };
        let parts = [seek(0x1549_A966, self.info), seek(0x1654_AE6B, self.tracks), seek(0x1C53_BB6B, cues)].concat();
        let mut head = element(0x114D_9B74, &parts);
        head.extend(void(SEEK_HEAD - head.len()));
        self.out.seek(SeekFrom::Start(self.segment))?;
        self.out.write_all(&head)?;
        self.out.seek(SeekFrom::Start(self.duration))?;
        self.out.write_all(&(self.end as f64).to_be_bytes())?;
        self.out.seek(SeekFrom::Start(self.segment - 8))?;
        self.out.write_all(&((end - self.segment) | 1 << 56).to_be_bytes())?;
        self.out.seek(SeekFrom::Start(end))?;
        self.out.flush()
    }

    fn position(&mut self) -> io::Result<u64> {
        Ok(self.out.stream_position()? - self.segment)
    }

    /// Blocks in order of time; those of one time in the order in which they came.
    fn write_cluster(&mut self) -> io::Result<()> {
        let mut blocks = std::mem::take(&mut self.cluster);
        blocks.sort_by_key(|block| block.at);
        let Some(begin) = blocks.first().map(|first| first.at) else { return Ok(()) };
        let key = blocks.iter().find(|block| block.track == (Track::Video { key: true }));
        if let Some(key) = key {
            let cluster = self.position()?;
            self.cues.push(Cue { at: key.at, cluster });
        }
        let mut content = number(0xE7, begin);
        for block in blocks {
            let (number, flags) = match block.track {
                Track::Video { key } => (VIDEO_TRACK, if key { 0x80 } else { 0 }),
                // Each packet of sound stands for itself.
                Track::Audio => (AUDIO_TRACK, 0x80),
            };
            let within = i16::try_from(block.at - begin).unwrap_or(i16::MAX).to_be_bytes();
            let head = [0x80 | number as u8, within[0], within[1], flags];
            content.extend(element(0xA3, &[&head[..], &block.data].concat()));
        }
        self.out.write_all(&element(0x1F43_B675, &content))
    }
}

impl Cue {
    fn to_bytes(&self) -> Vec<u8> {
        let positions = element(0xB7, &[number(0xF7, VIDEO_TRACK), number(0xF1, self.cluster)].concat());
        element(0xBB, &[number(0xB3, self.at), positions].concat())
    }
}

fn video_entry(config: &EncoderConfig, private: &[u8]) -> Vec<u8> {
    let codec: &[u8] = match config.codec {
        Codec::H264 => b"V_MPEG4/ISO/AVC",
        Codec::Hevc => b"V_MPEGH/ISO/HEVC",
        Codec::Av1 => b"V_AV1",
    };
    let colour = config.colour();
    let colours = [
        number(0x55B1, colour.matrix.into()),
        number(0x55BA, colour.transfer.into()),
        number(0x55BB, colour.primaries.into()),
    ];
    let video = [
        number(0xB0, config.mode.width.into()),
        number(0xBA, config.mode.height.into()),
        element(0x55B0, &colours.concat()),
    ];
    let entry = [
        number(0xD7, VIDEO_TRACK),
        number(0x73C5, VIDEO_TRACK),
        number(0x83, 1),
        number(0x9C, 0),
        element(0x22_B59C, b"und"),
        element(0x86, codec),
        element(0x63A2, private),
        element(0xE0, &video.concat()),
    ];
    element(0xAE, &entry.concat())
}

fn audio_entry() -> Vec<u8> {
    // RFC 7845, section 5.1: version 1, two channels, nothing to skip, 48 kHz, no gain, mapping family 0.
    let private = [&b"OpusHead"[..], &[1, 2, 0, 0, 0x80, 0xBB, 0, 0, 0, 0, 0]].concat();
    let audio = [float(0xB5, 48_000.0), number(0x9F, 2)];
    let entry = [
        number(0xD7, AUDIO_TRACK),
        number(0x73C5, AUDIO_TRACK),
        number(0x83, 2),
        number(0x9C, 0),
        element(0x22_B59C, b"und"),
        element(0x86, b"A_OPUS"),
        element(0x63A2, &private),
        number(0x56AA, 0),
        number(0x56BB, SEEK_PRE_ROLL),
        element(0xE1, &audio.concat()),
    ];
    element(0xAE, &entry.concat())
}

/// An element: its id, its length, its content.
fn element(id: u32, content: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    out.extend(length(content.len()));
    out.extend_from_slice(content);
    out
}

/// An element that holds a number.
fn number(id: u32, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let begin = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
    element(id, &bytes[begin..])
}

fn float(id: u32, value: f64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// An element of exactly so many bytes that means nothing; at least 2, at most 128.
fn void(bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    if let [id, length, ..] = out.as_mut_slice() {
        *id = 0xEC;
        *length = 0x80 | (bytes as u8).saturating_sub(2);
    }
    out
}

/// A length: as many bytes as needed, its first bit set says how many.
fn length(value: usize) -> Vec<u8> {
    let value = value as u64;
    // All ones are kept for lengths that are not known.
    let bytes = (1..8).find(|bytes| value < (1 << (7 * bytes)) - 1).unwrap_or(8);
    let marked = value | 1 << (7 * bytes);
    marked.to_be_bytes()[8 - bytes..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        assert_eq!(length(0), [0x80]);
        assert_eq!(length(126), [0xFE]);
        assert_eq!(length(127), [0x40, 127]);
        assert_eq!(length(16_383), [0x20, 0x3F, 0xFF]);
    }

    #[test]
    fn elements_and_gaps_are_laid_out_as_ebml_says() {
        assert_eq!(number(0x4286, 1), [0x42, 0x86, 0x81, 1]);
        assert_eq!(number(0xD7, 0), [0xD7, 0x81, 0]);
        assert_eq!(number(0x2A_D7B1, 1_000_000), [0x2A, 0xD7, 0xB1, 0x83, 0x0F, 0x42, 0x40]);
        assert_eq!(void(5), [0xEC, 0x83, 0, 0, 0]);
        assert_eq!(void(SEEK_HEAD).len(), SEEK_HEAD);
    }
}

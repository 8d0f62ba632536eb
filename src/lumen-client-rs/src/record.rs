//! What is streamed, as files: the elementary stream as it came, and the sound as WAV.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lumen_core::gamestream::http::Codec;

use crate::error::ClientError;

/// Writes the elementary stream: Annex B as it is, AV1 in IVF.
pub struct VideoRecorder {
    file: BufWriter<File>,
    path: PathBuf,
    ivf: bool,
    frames: u32,
}

impl VideoRecorder {
    /// Begins a file.
    pub fn create(path: &Path, codec: Codec, width: u32, height: u32, fps: u32) -> Result<Self, ClientError> {
        let mut recorder = Self { file: create(path)?, path: path.to_owned(), ivf: codec == Codec::Av1, frames: 0 };
        if recorder.ivf {
            let mut header = Vec::with_capacity(32);
            header.extend_from_slice(b"DKIF\0\0\x20\0AV01");
            header.extend_from_slice(&(width as u16).to_le_bytes());
            header.extend_from_slice(&(height as u16).to_le_bytes());
            header.extend_from_slice(&fps.to_le_bytes());
            header.extend_from_slice(&1u32.to_le_bytes());
            header.extend_from_slice(&[0; 8]);
            recorder.file.write_all(&header).map_err(|error| recorder.error(error))?;
        }
        Ok(recorder)
    }

    /// Adds a frame. Zeros behind Annex B are packet padding.
    pub fn write(&mut self, frame: &[u8]) -> Result<(), ClientError> {
        let written = if self.ivf {
            let mut header = Vec::with_capacity(12);
            header.extend_from_slice(&(frame.len() as u32).to_le_bytes());
            header.extend_from_slice(&u64::from(self.frames).to_le_bytes());
            self.file.write_all(&header).and_then(|()| self.file.write_all(frame))
        } else {
            self.file.write_all(without_padding(frame))
        };
        self.frames += 1;
        written.map_err(|error| self.error(error))
    }

    /// Completes the file.
    pub fn finish(mut self) -> Result<(), ClientError> {
        let finished = self.file.flush().and_then(|()| {
            if self.ivf {
                self.file.seek(SeekFrom::Start(24))?;
                self.file.write_all(&self.frames.to_le_bytes())?;
            }
            self.file.flush()
        });
        finished.map_err(|error| self.error(error))
    }

    fn error(&self, source: io::Error) -> ClientError {
        ClientError::File { action: "write", path: self.path.clone(), source }
    }
}

/// A frame of Annex B without the zeros that fill its last packet. NAL units never end in zeros.
pub fn without_padding(frame: &[u8]) -> &[u8] {
    let end = frame.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &frame[..end]
}

/// Writes sound as WAV of 16 bits.
pub struct AudioRecorder {
    file: BufWriter<File>,
    path: PathBuf,
    bytes: u32,
}

const WAV_HEADER: u32 = 44;

impl AudioRecorder {
    /// Begins a file.
    pub fn create(path: &Path, channels: u8) -> Result<Self, ClientError> {
        let mut recorder = Self { file: create(path)?, path: path.to_owned(), bytes: 0 };
        let channels = u16::from(channels);
        let mut header = Vec::with_capacity(WAV_HEADER as usize);
        header.extend_from_slice(b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0");
        header.extend_from_slice(&channels.to_le_bytes());
        header.extend_from_slice(&48_000u32.to_le_bytes());
        header.extend_from_slice(&(48_000 * 2 * u32::from(channels)).to_le_bytes());
        header.extend_from_slice(&(2 * channels).to_le_bytes());
        header.extend_from_slice(b"\x10\0data\0\0\0\0");
        recorder.file.write_all(&header).map_err(|error| recorder.error(error))?;
        Ok(recorder)
    }

    /// Adds interleaved samples.
    pub fn write(&mut self, samples: &[f32]) -> Result<(), ClientError> {
        for sample in samples {
            let sample = (sample * 32_767.0) as i16;
            self.file.write_all(&sample.to_le_bytes()).map_err(|error| self.error(error))?;
        }
        self.bytes = self.bytes.saturating_add(samples.len() as u32 * 2);
        Ok(())
    }

    /// Completes the file.
    pub fn finish(mut self) -> Result<(), ClientError> {
        let finished = (|| {
            self.file.seek(SeekFrom::Start(4))?;
            self.file.write_all(&self.bytes.saturating_add(WAV_HEADER - 8).to_le_bytes())?;
            self.file.seek(SeekFrom::Start(40))?;
            self.file.write_all(&self.bytes.to_le_bytes())?;
            self.file.flush()
        })();
        finished.map_err(|error| self.error(error))
    }

    fn error(&self, source: io::Error) -> ClientError {
        ClientError::File { action: "write", path: self.path.clone(), source }
    }
}

fn create(path: &Path) -> Result<BufWriter<File>, ClientError> {
    let file = File::create(path).map_err(|source| ClientError::File { action: "write", path: path.into(), source })?;
    Ok(BufWriter::new(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_of_the_last_packet_is_not_recorded() {
        assert_eq!(without_padding(&[0, 0, 1, 0x65, 7, 0, 0, 0]), [0, 0, 1, 0x65, 7]);
        assert_eq!(without_padding(&[0, 0]), [0u8; 0]);
    }

    #[test]
    fn wav_files_say_their_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.wav");
        let mut recorder = AudioRecorder::create(&path, 2).unwrap();
        recorder.write(&[0.0, 1.0, -1.0, 0.5]).unwrap();
        recorder.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 52);
        assert_eq!(bytes[4..8], 44u32.to_le_bytes());
        assert_eq!(bytes[40..44], 8u32.to_le_bytes());
    }

    #[test]
    fn ivf_files_count_their_frames() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.ivf");
        let mut recorder = VideoRecorder::create(&path, Codec::Av1, 640, 360, 60).unwrap();
        recorder.write(&[1, 2, 3]).unwrap();
        recorder.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 32 + 12 + 3);
        assert_eq!(bytes[24..28], 1u32.to_le_bytes());
    }
}

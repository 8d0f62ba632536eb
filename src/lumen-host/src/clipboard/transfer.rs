//! Contents on their way through pipes. Nothing here waits: programs may read and write as slowly as they like, until
//! their time is over.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};

use super::{Content, MOST};

/// So long a program may take to hand its content over, or to take one.
const LIMIT: Duration = Duration::from_secs(5);
/// Bytes that are moved at a time.
const STEP: usize = 64 << 10;

/// Why a program's content was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// Longer than a content may be.
    #[error("it is longer than {MOST} bytes")]
    TooLong,
    /// The program took too long.
    #[error("its program did not hand it over in {} s", LIMIT.as_secs())]
    TooSlow,
    /// What the kernel said.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A content that a program hands over.
#[derive(Debug)]
pub struct Reading {
    pipe: File,
    bytes: Vec<u8>,
    until: Instant,
}

impl Reading {
    /// Begins; the program writes into the other end.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn begin(now: Instant) -> Result<(Self, OwnedFd), TransferError> {
        let (reader, writer) = std::io::pipe()?;
        let pipe = File::from(OwnedFd::from(reader));
        do_not_wait(pipe.as_fd())?;
        Ok((Self { pipe, bytes: Vec::new(), until: now + LIMIT }, writer.into()))
    }

    /// Takes what is there; `Some` once all of it came, or it is given up.
    pub fn step(&mut self, now: Instant) -> Option<Result<Vec<u8>, TransferError>> {
        let mut part = vec![0; STEP];
        loop {
            match self.pipe.read(&mut part) {
                Ok(0) => return Some(Ok(std::mem::take(&mut self.bytes))),
                Ok(count) => self.bytes.extend_from_slice(&part[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return (now >= self.until).then_some(Err(TransferError::TooSlow));
                }
                Err(error) => return Some(Err(error.into())),
            }
            if self.bytes.len() > MOST {
                return Some(Err(TransferError::TooLong));
            }
        }
    }

    /// When it is given up.
    pub fn until(&self) -> Instant {
        self.until
    }
}

impl AsFd for Reading {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// A content that a program takes.
#[derive(Debug)]
pub struct Writing {
    pipe: File,
    content: Content,
    written: usize,
    until: Instant,
}

impl Writing {
    /// Begins to write into what a program passed for it.
    ///
    /// # Errors
    /// If that is neither a pipe nor a socket: a write to anything else could wait.
    pub fn begin(pipe: OwnedFd, content: Content, now: Instant) -> std::io::Result<Self> {
        let kind = FileType::from_raw_mode(fstat(&pipe)?.st_mode);
        if !matches!(kind, FileType::Fifo | FileType::Socket) {
            return Err(std::io::Error::new(ErrorKind::InvalidInput, "it is no pipe"));
        }
        do_not_wait(pipe.as_fd())?;
        Ok(Self { pipe: pipe.into(), content, written: 0, until: now + LIMIT })
    }

    /// Writes what the program takes; false once it has all, or it is given up.
    pub fn step(&mut self, now: Instant) -> bool {
        loop {
            let left = &self.content.bytes()[self.written..];
            if left.is_empty() {
                return false;
            }
            match self.pipe.write(&left[..left.len().min(STEP)]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return now < self.until,
                // It does not want the rest.
                Err(_) => return false,
            }
        }
    }

    /// When it is given up.
    pub fn until(&self) -> Instant {
        self.until
    }
}

impl AsFd for Writing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

fn do_not_wait(descriptor: BorrowedFd<'_>) -> std::io::Result<()> {
    fcntl_setfl(descriptor, fcntl_getfl(descriptor)? | OFlags::NONBLOCK)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use lumen_core::lumen1::message::ClipboardFormat;

    use super::*;

    #[test]
    fn what_a_program_writes_is_taken_whole() {
        let now = Instant::now();
        let (mut reading, writer) = Reading::begin(now).expect("a pipe");
        let mut writer = File::from(writer);
        for part in ["one ", "two"] {
            writer.write_all(part.as_bytes()).expect("it is read");
            assert!(reading.step(now).is_none());
        }
        drop(writer);
        assert_eq!(reading.step(now).expect("the end").expect("no error"), b"one two");
    }

    #[test]
    fn a_program_that_writes_nothing_or_without_end_is_given_up() {
        let now = Instant::now();
        let (mut reading, writer) = Reading::begin(now).expect("a pipe");
        assert!(reading.step(now + LIMIT - Duration::from_millis(1)).is_none());
        assert!(matches!(reading.step(now + LIMIT), Some(Err(TransferError::TooSlow))));
        drop(writer);

        let (mut reading, writer) = Reading::begin(now).expect("a pipe");
        do_not_wait(writer.as_fd()).expect("a pipe");
        let mut writer = File::from(writer);
        let given_up = std::iter::repeat_with(|| {
            let _ = writer.write(&[b'a'; STEP]);
            reading.step(now)
        });
        assert!(matches!(given_up.flatten().next(), Some(Err(TransferError::TooLong))));
    }

    #[test]
    fn a_program_takes_a_content_at_its_own_pace_or_not_at_all() {
        let now = Instant::now();
        let content = Content::new(ClipboardFormat::Text, vec![b'x'; 3 * STEP]).expect("text");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut writing = Writing::begin(writer.into(), content.clone(), now).expect("a pipe");
        let mut reader = Some(reader);
        let mut taken = 0;
        while writing.step(now) {
            taken += reader.as_mut().expect("not closed").read(&mut vec![0; STEP]).expect("there is something");
        }
        drop(writing);
        let mut rest = Vec::new();
        reader.take().expect("not closed").read_to_end(&mut rest).expect("the rest");
        assert_eq!(taken + rest.len(), 3 * STEP);

        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut writing = Writing::begin(writer.into(), content.clone(), now).expect("a pipe");
        assert!(writing.step(now) && !writing.step(now + LIMIT));
        drop(reader);
        assert!(!writing.step(now), "nobody reads any more");

        let file = tempfile::tempfile().expect("a file");
        assert!(Writing::begin(file.into(), content, now).is_err());
    }
}

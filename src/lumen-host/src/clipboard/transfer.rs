//! Contents on their way through pipes. Nothing here waits: programs may read and write as slowly as they like, until
//! their time is over.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use lumen_core::lumen1::message::ClipboardFormat;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};

use super::{Content, MOST};

/// So long a program may take to hand its content over, or to take one.
const LIMIT: Duration = Duration::from_secs(5);
/// Programs that may take a content at the same time; the oldest goes for one more.
const MOST_WRITINGS: usize = 16;
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
    /// Begins; the program writes into the other end of `pipe`.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn begin(pipe: OwnedFd, now: Instant) -> std::io::Result<Self> {
        do_not_wait(pipe.as_fd())?;
        Ok(Self { pipe: pipe.into(), bytes: Vec::new(), until: now + LIMIT })
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
}

impl AsFd for Writing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// What the client copied, for one program.
#[derive(Debug)]
pub struct Outgoing {
    /// Where the program reads.
    pub pipe: OwnedFd,
    /// What it gets.
    pub content: Content,
    /// Names it among [`Transfers::finished`].
    pub name: u32,
}

/// What is on its way.
#[derive(Debug, Default)]
pub struct Transfers {
    reading: Option<(Reading, ClipboardFormat)>,
    writings: Vec<(Writing, u32)>,
    /// Names of contents that were taken, or given up.
    pub finished: Vec<u32>,
    /// What passed last, whichever way. It does not pass again: programs that look after the clipboard take over what others
    /// copied.
    passed: Option<Content>,
}

impl Transfers {
    /// When something must be given up.
    pub fn until(&self) -> Option<Instant> {
        let reading = self.reading.iter().map(|(reading, _)| reading.until);
        reading.chain(self.writings.iter().map(|(writing, _)| writing.until)).min()
    }

    /// What to wait for.
    pub fn waits(&self) -> impl Iterator<Item = PollFd<'_>> {
        let reading = self.reading.iter().map(|(reading, _)| PollFd::new(reading, PollFlags::IN));
        reading.chain(self.writings.iter().map(|(writing, _)| PollFd::new(writing, PollFlags::OUT)))
    }

    /// The client copied this.
    pub fn passed(&mut self, content: &Content) {
        self.passed = Some(content.clone());
    }

    /// Something else is on the clipboard: what was being read is of no use any more.
    pub fn forget(&mut self) {
        self.reading = None;
    }

    /// A program writes its content into the other end of `pipe`.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn take_from(&mut self, pipe: OwnedFd, format: ClipboardFormat, now: Instant) -> std::io::Result<()> {
        self.reading = Some((Reading::begin(pipe, now)?, format));
        Ok(())
    }

    /// A program wants what the client copied.
    pub fn give(&mut self, Outgoing { pipe, content, name }: Outgoing, now: Instant) {
        match Writing::begin(pipe, content, now) {
            Ok(writing) => {
                if self.writings.len() == MOST_WRITINGS {
                    self.finished.push(self.writings.remove(0).1);
                }
                self.writings.push((writing, name));
            }
            Err(error) => {
                tracing::debug!(%error, "a program does not get what the client copied");
                self.finished.push(name);
            }
        }
    }

    /// Moves what can be moved; a content of a program's that is complete and new.
    pub fn step(&mut self, now: Instant) -> Option<Content> {
        let finished = &mut self.finished;
        self.writings.retain_mut(|(writing, name)| {
            let goes_on = writing.step(now);
            if !goes_on {
                finished.push(*name);
            }
            goes_on
        });
        let (reading, format) = self.reading.as_mut()?;
        let (read, format) = (reading.step(now)?, *format);
        self.reading = None;
        let bytes = read
            .inspect_err(|error| match error {
                TransferError::TooLong => {
                    tracing::warn!(most = MOST, "what was copied in the session is too long to be sent to its client");
                }
                error => tracing::warn!(%error, "what was copied in the session is not sent"),
            })
            .ok()?;
        let content = Content::new(format, bytes).or_else(|| {
            tracing::debug!(?format, "what was copied in the session is not what its program said");
            None
        })?;
        if self.passed.as_ref() == Some(&content) || content.bytes().is_empty() {
            return None;
        }
        self.passed = Some(content.clone());
        Some(content)
    }
}

fn do_not_wait(descriptor: BorrowedFd<'_>) -> std::io::Result<()> {
    fcntl_setfl(descriptor, fcntl_getfl(descriptor)? | OFlags::NONBLOCK)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(now: Instant) -> (Reading, OwnedFd) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        (Reading::begin(reader.into(), now).expect("a pipe"), writer.into())
    }

    #[test]
    fn what_a_program_writes_is_taken_whole() {
        let now = Instant::now();
        let (mut reading, writer) = begin(now);
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
        let (mut reading, writer) = begin(now);
        assert!(reading.step(now + LIMIT - Duration::from_millis(1)).is_none());
        assert!(matches!(reading.step(now + LIMIT), Some(Err(TransferError::TooSlow))));
        drop(writer);

        let (mut reading, writer) = begin(now);
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

    #[test]
    fn what_passed_last_does_not_pass_again() {
        let now = Instant::now();
        let mut transfers = Transfers::default();
        let mut copy = |text: &str| {
            let (reading, pipe) = begin(now);
            rustix::io::write(&pipe, text.as_bytes()).expect("written");
            drop(pipe);
            transfers.reading = Some((reading, ClipboardFormat::Text));
            transfers.step(now).map(|content| content.bytes().to_vec())
        };
        assert_eq!(copy("a"), Some(b"a".to_vec()));
        assert_eq!(copy("a"), None);
        assert_eq!(copy(""), None);
        assert_eq!(copy("b"), Some(b"b".to_vec()));
        assert_eq!(copy("a"), Some(b"a".to_vec()));
    }
}

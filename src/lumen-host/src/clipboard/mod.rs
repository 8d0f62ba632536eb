//! The clipboard of a session, shared with its client: what programs copy goes to the client, what the client copies can
//! be pasted there. One thread of its own talks to the compositor (data control, in its `ext` form or that of wlroots).
//! Whatever programs do with their clipboard, nobody else waits for them.
//!
//! Text and PNG images of at most [`MOST`] bytes pass. What a password manager marks as secret stays where it is, and so
//! does what is selected without being copied. What came from the client is not sent back to it.

mod selection;
mod transfer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

use lumen_core::lumen1::message::ClipboardFormat;

use crate::net::wake::Waker;

/// Most bytes of a content: what a message of lumen/1 holds.
pub const MOST: usize = 8 << 20;

/// What every PNG image begins with.
const PNG: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// Where a clipboard is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipboardPlace {
    /// Wayland socket of the compositor.
    pub socket: PathBuf,
    /// Whose clipboard: every seat has one. None for the only seat.
    pub seat: Option<String>,
}

/// What is on a clipboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    format: ClipboardFormat,
    bytes: Arc<[u8]>,
}

impl Content {
    /// `bytes`, if they are what `format` says, and not too many. Lines of a text end in LF then.
    pub fn new(format: ClipboardFormat, bytes: Vec<u8>) -> Option<Self> {
        let bytes = match format {
            ClipboardFormat::Text => String::from_utf8(bytes).ok()?.replace("\r\n", "\n").into_bytes(),
            ClipboardFormat::Png => Some(bytes).filter(|bytes| bytes.starts_with(&PNG))?,
        };
        (bytes.len() <= MOST).then(|| Self { format, bytes: bytes.into() })
    }

    /// What it is.
    pub fn format(&self) -> ClipboardFormat {
        self.format
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A clipboard that is shared. Dropping it ends that: what the client copied is gone from the session then.
#[derive(Debug)]
pub struct Clipboard {
    contents: Sender<Content>,
    wake: Waker,
    stop: Arc<AtomicBool>,
}

impl Clipboard {
    /// Begins to share the clipboard in `place`; `told` hears what programs copy, and what they had copied before.
    ///
    /// # Errors
    /// If there are no descriptors or threads left. What the compositor has against it is logged.
    pub fn start(place: ClipboardPlace, told: impl Fn(Content) + Send + 'static) -> std::io::Result<Self> {
        let (contents, orders) = channel();
        let (wake, stop) = (Waker::new()?, Arc::new(AtomicBool::new(false)));
        let (woken, stopped, span) = (wake.clone(), Arc::clone(&stop), tracing::Span::current());
        std::thread::Builder::new().name("clipboard".into()).spawn(move || {
            let _entered = span.enter();
            let told: Box<dyn Fn(Content)> = Box::new(told);
            if let Err(error) = selection::serve(&place, &orders, &woken, &stopped, &*told) {
                tracing::warn!(%error, "the clipboard is not shared");
            }
        })?;
        Ok(Self { contents, wake, stop })
    }

    /// The client copied this.
    pub fn set(&self, content: Content) {
        // A thread that has ended has said why.
        let _ = self.contents.send(content);
        self.wake.wake();
    }
}

impl Drop for Clipboard {
    /// Not waited for: the thread may be waiting for a compositor that is slow to answer.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.wake.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_what_it_is_said_to_be_passes() {
        let text = |bytes: &[u8]| Content::new(ClipboardFormat::Text, bytes.to_vec());
        assert_eq!(text("a\r\nü\n".as_bytes()).expect("text").bytes(), "a\nü\n".as_bytes());
        assert_eq!(text(b"\xff"), None);
        assert!(text(&vec![b'a'; MOST]).is_some() && text(&vec![b'a'; MOST + 1]).is_none());
        let png = |bytes: &[u8]| Content::new(ClipboardFormat::Png, bytes.to_vec());
        assert!(png(b"\x89PNG\r\n\x1a\nrest").is_some());
        assert_eq!(png(b"GIF89a"), None);
    }
}

//! The clipboard of a session, shared with its client: what programs copy goes to the client, what the client copies can
//! be pasted there. One thread of its own talks to the compositor: by data control, in its `ext` form or that of wlroots, or in Mutter's way.
//! Whatever programs do with their clipboard, nobody else waits for them.
//!
//! Text and PNG images of at most [`MOST`] bytes pass. What a password manager marks as secret stays where it is, and so
//! does what is selected without being copied. What came from the client is not sent back to it.

#[cfg(feature = "pipewire")]
mod mutter;
mod selection;
mod transfer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use lumen_core::lumen1::message::ClipboardFormat;

#[cfg(feature = "pipewire")]
use crate::input::mutter::SharedTarget;
use crate::net::wake::Waker;

/// Most bytes of a content: what a message of lumen/1 holds.
pub const MOST: usize = 8 << 20;

/// What every PNG image begins with.
const PNG: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// A type that marks what comes from the client.
const OURS: &str = "application/x-lumen-client";
/// What password managers mark with.
const SECRET: &str = "x-kde-passwordManagerHint";
/// Types of text, the best first.
const TEXT: [&str; 5] = ["text/plain;charset=utf-8", "UTF8_STRING", "text/plain", "STRING", "TEXT"];
/// The type of images.
const IMAGE: &str = "image/png";

/// What of an offer is taken: its type, and what it is.
fn choose(types: &[String]) -> Option<(&'static str, ClipboardFormat)> {
    let has = |wanted: &str| types.iter().any(|offered| offered == wanted);
    if has(OURS) || has(SECRET) {
        return None;
    }
    let text = TEXT.into_iter().find(|wanted| has(wanted)).map(|wanted| (wanted, ClipboardFormat::Text));
    text.or_else(|| has(IMAGE).then_some((IMAGE, ClipboardFormat::Png)))
}

/// Where a clipboard is.
#[derive(Debug, Clone)]
pub enum ClipboardPlace {
    /// With a compositor that has data control.
    Wayland {
        /// Its socket.
        socket: PathBuf,
        /// Whose clipboard: every seat has one. None for the only seat.
        seat: Option<String>,
    },
    /// With Mutter.
    #[cfg(feature = "pipewire")]
    Mutter(SharedTarget),
}

impl ClipboardPlace {
    fn serve(
        &self,
        orders: &Receiver<Content>,
        wake: &Waker,
        stop: &AtomicBool,
        told: &dyn Fn(Content),
    ) -> Result<(), String> {
        match self {
            Self::Wayland { socket, seat } => {
                selection::serve(socket, seat.as_deref(), orders, wake, stop, told).map_err(|error| error.to_string())
            }
            #[cfg(feature = "pipewire")]
            Self::Mutter(target) => mutter::serve(target, orders, wake, stop, told),
        }
    }
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
            if let Err(error) = place.serve(&orders, &woken, &stopped, &told) {
                tracing::warn!(error, "the clipboard is not shared");
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

    fn chosen(types: &[&str]) -> Option<(&'static str, ClipboardFormat)> {
        choose(&types.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn text_comes_before_images_and_what_is_the_clients_or_secret_is_left() {
        assert_eq!(chosen(&["image/png", "TEXT", "UTF8_STRING"]), Some(("UTF8_STRING", ClipboardFormat::Text)));
        assert_eq!(chosen(&["text/html", "image/png"]), Some(("image/png", ClipboardFormat::Png)));
        assert_eq!(chosen(&["text/html", "image/jpeg"]), None);
        assert_eq!(chosen(&["text/plain", OURS]), None);
        assert_eq!(chosen(&["text/plain", SECRET]), None);
    }
}

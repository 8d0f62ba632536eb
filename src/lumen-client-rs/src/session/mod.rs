//! A running stream: native threads (control, video, decoder, audio; over lumen/1 one for the network, decoder, audio)
//! around one state that they report to, and the handle by which a program looks at it and sends input.

mod audio;
mod connect;
pub(crate) mod control;
mod decoder;
mod listener;
mod lumen1;
#[cfg(feature = "quic")]
mod native;
mod rtsp;
mod sockets;
pub(crate) mod state;
mod summary;
mod video;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lumen_core::gamestream::control::{ClientMessage, HostMessage};
use lumen_core::gamestream::input::InputEvent;
use lumen_core::strip::StripContent;

pub(crate) use connect::{OpeningDecoder, Plan, connect, surround_info};
use control::ControlHandle;
#[cfg(feature = "quic")]
pub(crate) use native::{NativePlan, start as start_natively};
use state::Shared;
use summary::Facts;

use lumen_core::lumen1::message::ClipboardFormat;

use crate::analysis::Analysis;
use crate::error::ClientError;
#[cfg(feature = "quic")]
use crate::native::HostLink;
use crate::options::StreamOptions;
use crate::picture::Picture;
use crate::report::{Ending, StreamReport};

/// How long a session waits for its last input to show up in a picture.
const ECHO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long past its duration a stream waits for its pictures.
const FRAMES_TIMEOUT: Duration = Duration::from_secs(60);
/// How often an interrupt is looked for.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(100);

/// A running stream. Dropping it ends the stream without ceremony; [`Session::stop`] says goodbye and reports.
pub struct Session {
    shared: Arc<Shared>,
    control: ControlHandle,
    threads: Vec<JoinHandle<()>>,
    facts: Facts,
    options: StreamOptions,
    /// The connection that agreed on it, if that was QUIC.
    #[cfg(feature = "quic")]
    link: Option<Arc<HostLink>>,
}

impl Session {
    fn new(
        shared: Arc<Shared>,
        control: ControlHandle,
        threads: Vec<JoinHandle<()>>,
        facts: Facts,
        options: StreamOptions,
    ) -> Self {
        Self {
            shared,
            control,
            threads,
            facts,
            options,
            #[cfg(feature = "quic")]
            link: None,
        }
    }

    /// Sends input.
    pub fn send(&self, event: InputEvent) {
        let now = self.shared.clock.now();
        self.shared.lock().analysis.input.sent(&event, now);
        self.control.send(ClientMessage::Input(event));
    }

    /// Sends any message of the control channel.
    pub fn send_message(&self, message: ClientMessage) {
        self.control.send(message);
    }

    /// Puts content on the clipboard of the session. Does nothing over GameStream, or without the grant.
    pub fn copy(&self, format: ClipboardFormat, bytes: Vec<u8>) {
        self.control.clipboard(format, bytes);
    }

    /// What was copied in the session so far, the newest last; old contents are dropped.
    pub fn copied(&self) -> Vec<(ClipboardFormat, Vec<u8>)> {
        self.shared.lock().clipboard.iter().map(|(_, format, bytes)| (*format, bytes.clone())).collect()
    }

    /// Goes on from another local address, as after a change of the network. Does nothing over GameStream.
    pub fn change_address(&self) {
        self.control.change_address();
        #[cfg(feature = "quic")]
        if let Some(link) = &self.link {
            link.change_address();
        }
    }

    /// How the stream ended, or that it runs.
    pub fn ending(&self) -> Ending {
        self.shared.lock().ending.clone()
    }

    /// What is known so far, as a report.
    pub fn report(&self) -> StreamReport {
        summary::report(&self.shared, &self.facts)
    }

    /// The newest strip of the test card.
    pub fn strip(&self) -> Option<StripContent> {
        self.shared.lock().analysis.strip
    }

    /// What the host said on the control channel so far.
    pub fn feedback(&self) -> Vec<HostMessage> {
        self.shared.lock().feedback.iter().map(|(_, message)| *message).collect()
    }

    /// A copy of the newest picture; only with [`StreamOptions::keep_pictures`].
    pub fn picture(&self) -> Option<Picture> {
        self.shared.lock().picture.clone()
    }

    /// Waits until `condition` holds; asks again after every picture, message and sound. False if it did not hold in
    /// time, or the stream ended before.
    pub fn wait_for(&self, timeout: Duration, mut condition: impl FnMut(&Analysis) -> bool) -> bool {
        self.shared.wait(Instant::now() + timeout, |state| {
            condition(&state.analysis).then_some(true).or((state.ending != Ending::Running).then_some(false))
        }) == Some(true)
    }

    /// Waits for the first decoded picture.
    ///
    /// # Errors
    /// [`ClientError::NoPicture`] if there is none in time.
    pub fn wait_for_picture(&self, timeout: Duration) -> Result<(), ClientError> {
        if self.wait_for(timeout, |analysis| analysis.moments.first_frame_decoded.is_some()) {
            return Ok(());
        }
        let datagrams = self.shared.video_datagrams.received.load(Ordering::Relaxed);
        let state = self.shared.lock();
        let video = &state.analysis.video;
        let happened = format!(
            "{datagrams} datagrams arrived, {} frames became complete, {} were lost, {} did not decode",
            video.frames, video.lost_frames, video.decode_errors
        );
        Err(ClientError::NoPicture(match &state.ending {
            Ending::Running => format!("waited {:.1} s; {happened}", timeout.as_secs_f64()),
            Ending::Lost(why) | Ending::HostError(why) => format!("{why}; {happened}"),
            Ending::ClosedByHost | Ending::Completed => format!("the host closed the stream; {happened}"),
        }))
    }

    /// Carries out the script of its options, then waits until their duration is over and their number of pictures was
    /// decoded. Both count from the first decoded picture, which must have come. Ends early with the stream, or when
    /// `interrupt` becomes true.
    pub fn run(&self, interrupt: &AtomicBool) {
        let begin = self.shared.lock().analysis.moments.first_frame_decoded.unwrap_or(self.shared.clock.now());
        let begin = self.shared.clock.instant(begin);
        let end = self.options.duration.map(|duration| begin + duration);
        let mut steps = self.options.script.as_ref().map_or(&[][..], |script| &script.steps).iter();
        let mut next = steps.next();
        let mut copies = self.options.script.as_ref().map_or(&[][..], |script| &script.copies).iter().peekable();
        let over = |now: Instant| {
            end.is_some_and(|end| now >= end)
                && (end.is_some_and(|end| now >= end + FRAMES_TIMEOUT)
                    || self.shared.lock().analysis.video.decoded_frames >= self.options.least_frames)
        };
        loop {
            let now = Instant::now();
            if interrupt.load(Ordering::Relaxed) || over(now) || self.ending() != Ending::Running {
                return;
            }
            if let Some(step) = next.filter(|step| begin + step.at <= now) {
                self.send(step.event.clone());
                next = steps.next();
                continue;
            }
            if let Some(copy) = copies.next_if(|copy| begin + copy.at <= now) {
                self.copy(copy.format, copy.bytes.clone());
                continue;
            }
            let copy = copies.peek().map(|copy| copy.at);
            let due = next.map(|step| step.at).into_iter().chain(copy).min().map(|at| begin + at);
            let end = end.filter(|end| *end > now);
            let until = [Some(now + INTERRUPT_INTERVAL), due, end].into_iter().flatten().min().unwrap_or(now);
            self.shared.wait(until, |state| (state.ending != Ending::Running).then_some(()));
        }
    }

    /// Ends the stream, writes what was asked for and reports.
    ///
    /// # Errors
    /// [`ClientError::File`] if a recording or the screenshot could not be written.
    pub fn stop(mut self) -> Result<StreamReport, ClientError> {
        self.wait_for_echo();
        let picture = self.shared.lock().picture.clone();
        self.shared.end(Ending::Completed);
        self.halt();
        if let Some(error) = self.shared.lock().error.take() {
            return Err(error);
        }
        if let (Some(path), Some(picture)) = (&self.options.screenshot, picture) {
            picture.write_png(path)?;
        }
        Ok(self.report())
    }

    /// Ends the stream without a word, as a client does that lost its power or its network, and reports.
    pub fn vanish(mut self) -> StreamReport {
        self.control.vanish();
        self.shared.end(Ending::Completed);
        self.halt();
        self.report()
    }

    /// Gives input that was just sent the time to come back.
    fn wait_for_echo(&self) {
        let sent = self.shared.lock().analysis.input.sent;
        if sent > 0 {
            self.wait_for(ECHO_TIMEOUT, |analysis| analysis.input.is_complete() != Some(false));
        }
    }

    fn halt(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.control.disconnect();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.halt();
    }
}

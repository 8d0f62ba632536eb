//! Video over GameStream: a thread receives datagrams and makes frames of them.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;

use lumen_core::gamestream::control::{ClientMessage, FrameRange};
use lumen_core::gamestream::reassembler::{
    DropReason, LossResponse, Reassembler, ReassemblerConfig, RecoveryRequest, ReferenceInvalidation, Verdict,
    VideoEvent, VideoFrame,
};
use lumen_core::time::Timestamp;

use super::control::ControlHandle;
use super::decoder::{Decoding, Encoded, FromDecoder};
use super::sockets::{Pings, receive};
use super::state::Shared;
use crate::error::ClientError;
use crate::loss::Lossy;
use crate::report::Ending;

/// Longest wait for a datagram, so that the end is seen.
const MAX_WAIT: Duration = Duration::from_millis(50);
/// More than any datagram of a stream.
const BUFFER: usize = 65_536;

/// What video needs to know.
pub struct VideoSetup {
    pub socket: UdpSocket,
    pub pings: Pings,
    pub reassembler: ReassemblerConfig,
    pub invalidation: ReferenceInvalidation,
    pub loss: Lossy,
    pub first_frame_timeout: Duration,
}

/// Starts the thread.
pub fn start(
    shared: &Arc<Shared>,
    control: &ControlHandle,
    decoding: Decoding<VideoFrame>,
    setup: VideoSetup,
) -> Result<[JoinHandle<()>; 2], ClientError> {
    let receiving = Receiving {
        shared: Arc::clone(shared),
        control: control.clone(),
        socket: setup.socket,
        pings: setup.pings,
        reassembler: Reassembler::new(setup.reassembler),
        response: LossResponse::new(setup.invalidation),
        invalidation: setup.invalidation,
        loss: setup.loss,
        frames: decoding.frames,
        from_decoder: decoding.answers,
        begun: shared.clock.now(),
        first_frame_timeout: setup.first_frame_timeout,
    };
    let local = |error| ClientError::local("cannot start a thread", error);
    let receiver = std::thread::Builder::new().name("video".into()).spawn(move || receiving.run()).map_err(local)?;
    Ok([receiver, decoding.thread])
}

struct Receiving {
    shared: Arc<Shared>,
    control: ControlHandle,
    socket: UdpSocket,
    pings: Pings,
    reassembler: Reassembler,
    response: LossResponse,
    invalidation: ReferenceInvalidation,
    loss: Lossy,
    frames: SyncSender<VideoFrame>,
    from_decoder: Receiver<FromDecoder<VideoFrame>>,
    begun: Timestamp,
    first_frame_timeout: Duration,
}

impl Receiving {
    fn run(mut self) {
        let mut buffer = vec![0; BUFFER];
        let mut picture_seen = false;
        while !self.shared.stopping() {
            let now = self.shared.clock.now();
            let wait = self.pings.send_if_due(&self.socket, now).min(MAX_WAIT);
            match receive(&self.socket, &mut buffer, wait) {
                Ok(Some(length)) => self.datagram(&mut buffer[..length]),
                Ok(None) => {}
                Err(error) => return self.shared.fail(ClientError::local("cannot receive video", error)),
            }
            while let Ok(answer) = self.from_decoder.try_recv() {
                match answer {
                    FromDecoder::KeyFrameDecoded => {
                        picture_seen = true;
                        self.response.key_frame_decoded();
                    }
                    FromDecoder::Failed => self.response.decoder_failed(),
                    FromDecoder::Spent(frame) => self.reassembler.recycle(frame.data),
                }
            }
            self.ask();
            // A host may be silent while nothing moves; the control channel tells whether it is still there. Before
            // the first picture silence is a failure, once the caller's patience for it is over.
            let now = self.shared.clock.now();
            let impatient = !picture_seen && now.saturating_since(self.begun) >= self.first_frame_timeout;
            if impatient && let Err(stalled) = self.reassembler.check_alive(self.begun, now) {
                return self.shared.end(Ending::Lost(stalled.to_string()));
            }
        }
    }

    fn datagram(&mut self, datagram: &mut [u8]) {
        let now = self.shared.clock.now();
        let counters = &self.shared.video_datagrams;
        if counters.received.load(Ordering::Relaxed) == 0 {
            self.shared.lock().analysis.moments.first_video_datagram = Some(now);
        }
        counters.arrived(datagram.len());
        if self.loss.takes() {
            counters.withheld.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match self.reassembler.receive(datagram, now) {
            Ok(()) => {}
            Err(
                DropReason::OldFrame(_)
                | DropReason::OldBlock
                | DropReason::Duplicate
                | DropReason::EarlierBlockIncomplete,
            ) => {
                counters.surplus.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                counters.malformed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, "a video datagram was dropped");
            }
        }
        while let Some(event) = self.reassembler.poll() {
            match event {
                VideoEvent::Frame(frame) => self.frame(frame),
                VideoEvent::Lost { first, last, cause } => {
                    tracing::debug!(first = first.0, last = last.0, %cause, "frames lost");
                    self.shared.lock().analysis.frames_lost(first.0, last.0);
                    self.response.lost(first, last);
                }
                VideoEvent::FecStatus(status) => {
                    self.shared.lock().analysis.video.fec_reports += 1;
                    self.control.send(ClientMessage::FecStatus(status));
                }
            }
        }
    }

    fn frame(&mut self, frame: VideoFrame) {
        if frame.long_term_reference && self.invalidation == ReferenceInvalidation::Available {
            self.control.send(ClientMessage::LtrAck { frame: frame.index });
        }
        let verdict = self.response.completed(&frame);
        let mut state = self.shared.lock();
        state.analysis.frame_received(&frame.facts());
        match verdict {
            Verdict::Drop => {
                state.analysis.video.dropped_frames += 1;
                drop(state);
                self.reassembler.recycle(frame.data);
            }
            Verdict::Decode => {
                drop(state);
                match self.frames.try_send(frame) {
                    Ok(()) => {}
                    Err(TrySendError::Full(frame) | TrySendError::Disconnected(frame)) => {
                        self.shared.lock().analysis.video.overruns += 1;
                        self.response.decoder_failed();
                        self.reassembler.recycle(frame.data);
                    }
                }
            }
        }
    }

    /// Asks the host for what losses demand.
    fn ask(&mut self) {
        while let Some(request) = self.response.poll() {
            let message = match request {
                RecoveryRequest::KeyFrame => {
                    self.shared.lock().analysis.video.key_frame_requests += 1;
                    ClientMessage::RequestIdr
                }
                RecoveryRequest::InvalidateReferences { first, last } => {
                    self.shared.lock().analysis.video.invalidation_requests += 1;
                    FrameRange::new(first, last).map_or(ClientMessage::RequestIdr, ClientMessage::InvalidateReferences)
                }
            };
            self.control.send(message);
        }
    }
}

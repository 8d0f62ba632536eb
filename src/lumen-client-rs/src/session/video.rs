//! Video: one thread receives datagrams and makes frames of them, another decodes.

use std::collections::VecDeque;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;

use lumen_core::gamestream::control::{ClientMessage, FrameRange};
use lumen_core::gamestream::http::Codec;
use lumen_core::gamestream::reassembler::{
    DropReason, LossResponse, Reassembler, ReassemblerConfig, RecoveryRequest, ReferenceInvalidation, Verdict,
    VideoEvent, VideoFrame,
};
use lumen_core::time::Timestamp;

use super::control::ControlHandle;
use super::sockets::{Pings, receive};
use super::state::Shared;
use crate::analysis::PictureTimes;
use crate::decode::Decoder;
use crate::error::ClientError;
use crate::loss::Lossy;
use crate::record::{VideoRecorder, without_padding};
use crate::report::Ending;

/// Frames that may wait for the decoder: two seconds at 60 a second.
const MAX_WAITING: usize = 120;
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
    pub codec: Codec,
    pub decoder: Decoder,
    pub recorder: Option<VideoRecorder>,
    pub keep_pictures: bool,
    pub first_frame_timeout: Duration,
}

/// What the decoder says to the receiver.
enum FromDecoder {
    KeyFrameDecoded,
    Failed,
    Buffer(Vec<u8>),
}

/// Starts both threads.
pub fn start(
    shared: &Arc<Shared>,
    control: &ControlHandle,
    setup: VideoSetup,
) -> Result<[JoinHandle<()>; 2], ClientError> {
    let (frames, to_decode) = mpsc::sync_channel(MAX_WAITING);
    let (answers, from_decoder) = mpsc::channel();
    shared.lock().decoder = setup.decoder.name().to_owned();
    let decoding = Decoding {
        shared: Arc::clone(shared),
        frames: to_decode,
        answers,
        decoder: setup.decoder,
        codec: setup.codec,
        recorder: setup.recorder,
        keep_pictures: setup.keep_pictures,
        spare: None,
    };
    let receiving = Receiving {
        shared: Arc::clone(shared),
        control: control.clone(),
        socket: setup.socket,
        pings: setup.pings,
        reassembler: Reassembler::new(setup.reassembler),
        response: LossResponse::new(setup.invalidation),
        invalidation: setup.invalidation,
        loss: setup.loss,
        frames,
        from_decoder,
        begun: shared.clock.now(),
        first_frame_timeout: setup.first_frame_timeout,
    };
    let local = |error| ClientError::local("cannot start a thread", error);
    let decoder = std::thread::Builder::new().name("decoder".into()).spawn(move || decoding.run()).map_err(local)?;
    let receiver = std::thread::Builder::new().name("video".into()).spawn(move || receiving.run()).map_err(local)?;
    Ok([receiver, decoder])
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
    from_decoder: Receiver<FromDecoder>,
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
                    FromDecoder::Buffer(buffer) => self.reassembler.recycle(buffer),
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
                    self.shared.lock().analysis.frames_lost(first, last);
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
        state.analysis.frame_received(&frame);
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

struct Decoding {
    shared: Arc<Shared>,
    frames: Receiver<VideoFrame>,
    answers: Sender<FromDecoder>,
    decoder: Decoder,
    codec: Codec,
    recorder: Option<VideoRecorder>,
    keep_pictures: bool,
    spare: Option<crate::picture::Picture>,
}

impl Decoding {
    /// Ends when the receiving thread does.
    fn run(mut self) {
        // Frames whose picture has not come out yet: decoders hand out in order.
        let mut waiting = VecDeque::new();
        while let Ok(frame) = self.frames.recv() {
            if self.shared.stopping() {
                continue;
            }
            if let Some(recorder) = &mut self.recorder
                && let Err(error) = recorder.write(&frame.data)
            {
                return self.shared.fail(error);
            }
            waiting.push_back((frame.first_packet_at, frame.received_at, frame.key_frame));
            let data = match self.codec {
                Codec::H264 | Codec::Hevc => without_padding(&frame.data),
                Codec::Av1 => &frame.data,
            };
            let (shared, answers) = (&self.shared, &self.answers);
            let (keep, spare) = (self.keep_pictures, &mut self.spare);
            let decoded = self.decoder.decode(data, |picture| {
                let decoded = shared.clock.now();
                let strip = picture.strip().ok();
                if keep {
                    picture.copy_to(spare);
                }
                let Some((first_packet, received, key_frame)) = waiting.pop_front() else { return };
                let times = PictureTimes {
                    first_packet,
                    received,
                    decoded,
                    decoded_unix_micros: shared.clock.unix_micros(decoded),
                };
                let mut state = shared.lock();
                state.analysis.picture_decoded(times, (picture.width, picture.height), strip);
                if keep {
                    std::mem::swap(&mut state.picture, spare);
                }
                drop(state);
                shared.changed();
                if key_frame {
                    let _ = answers.send(FromDecoder::KeyFrameDecoded);
                }
            });
            if let Err(error) = decoded {
                tracing::debug!(error, frame = frame.index.0, "a frame could not be decoded");
                waiting.clear();
                self.shared.lock().analysis.video.decode_errors += 1;
                let _ = self.answers.send(FromDecoder::Failed);
            }
            let _ = self.answers.send(FromDecoder::Buffer(frame.data));
        }
        if let Some(recorder) = self.recorder.take()
            && let Err(error) = recorder.finish()
        {
            self.shared.fail(error);
        }
    }
}

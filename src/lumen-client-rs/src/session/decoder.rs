//! Complete frames to pictures, in a thread of its own, whichever protocol brought them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::JoinHandle;

use lumen_core::gamestream::http::Codec;
use lumen_core::gamestream::reassembler::VideoFrame;
use lumen_core::lumen1::{self, video::FrameKind};

use super::state::Shared;
use crate::analysis::{FrameFacts, PictureTimes};
use crate::decode::Decoder;
use crate::error::ClientError;
use crate::record::{VideoRecorder, without_padding};

/// Frames that may wait for the decoder: two seconds at 60 a second.
const MAX_WAITING: usize = 120;

/// A complete frame.
pub trait Encoded: Send + 'static {
    /// The encoder's output; H.264 and HEVC may end in zeros.
    fn data(&self) -> &[u8];
    /// What is known of it.
    fn facts(&self) -> FrameFacts;
}

impl Encoded for VideoFrame {
    fn data(&self) -> &[u8] {
        &self.data
    }

    fn facts(&self) -> FrameFacts {
        FrameFacts {
            number: self.index.0,
            key_frame: self.key_frame,
            data_packets: self.data_packets,
            recovered_packets: self.recovered_packets,
            host_latency: (self.host_latency.0 != 0).then(|| self.host_latency.as_duration()),
            first_packet_at: self.first_packet_at,
            received_at: self.received_at,
        }
    }
}

impl Encoded for lumen1::Frame {
    fn data(&self) -> &[u8] {
        self.data()
    }

    fn facts(&self) -> FrameFacts {
        FrameFacts {
            number: self.number.0,
            key_frame: self.flags.kind == FrameKind::Idr,
            data_packets: self.status.data,
            recovered_packets: self.restored,
            host_latency: Some(self.header.host_latency),
            first_packet_at: self.first_packet_at,
            received_at: self.complete_at,
        }
    }
}

/// What the decoder needs.
pub struct DecoderSetup {
    pub codec: Codec,
    pub decoder: Decoder,
    pub recorder: Option<VideoRecorder>,
    pub keep_pictures: bool,
}

/// What the decoder says to the receiver.
pub enum FromDecoder<F> {
    KeyFrameDecoded,
    Failed,
    /// It is done with a frame, whose memory may be used again.
    Spent(F),
}

/// The receiver's side of a decoder.
pub struct Decoding<F> {
    pub frames: SyncSender<F>,
    pub answers: Receiver<FromDecoder<F>>,
    pub thread: JoinHandle<()>,
}

/// Starts the thread; it ends when nobody sends frames any more. `wake` is called after each answer.
pub fn start<F: Encoded>(
    shared: &Arc<Shared>,
    setup: DecoderSetup,
    wake: impl Fn() + Send + 'static,
) -> Result<Decoding<F>, ClientError> {
    let (frames, to_decode) = mpsc::sync_channel(MAX_WAITING);
    let (answers, from_decoder) = mpsc::channel();
    shared.lock().decoder = setup.decoder.name().to_owned();
    let decoding = DecoderThread {
        shared: Arc::clone(shared),
        frames: to_decode,
        answers,
        setup,
        wake: Box::new(wake),
        spare: None,
    };
    let thread = std::thread::Builder::new().name("decoder".into()).spawn(move || decoding.run());
    let thread = thread.map_err(|error| ClientError::local("cannot start a thread", error))?;
    Ok(Decoding { frames, answers: from_decoder, thread })
}

struct DecoderThread<F> {
    shared: Arc<Shared>,
    frames: Receiver<F>,
    answers: Sender<FromDecoder<F>>,
    setup: DecoderSetup,
    wake: Box<dyn Fn() + Send>,
    spare: Option<crate::picture::Picture>,
}

impl<F: Encoded> DecoderThread<F> {
    fn run(mut self) {
        // Frames whose picture has not come out yet: decoders hand out in order.
        let mut waiting = VecDeque::new();
        while let Ok(frame) = self.frames.recv() {
            if self.shared.stopping() {
                continue;
            }
            if let Some(recorder) = &mut self.setup.recorder
                && let Err(error) = recorder.write(frame.data())
            {
                return self.shared.fail(error);
            }
            let facts = frame.facts();
            waiting.push_back(facts);
            let data = match self.setup.codec {
                Codec::H264 | Codec::Hevc => without_padding(frame.data()),
                Codec::Av1 => frame.data(),
            };
            let (shared, answers) = (&self.shared, &self.answers);
            let (keep, spare) = (self.setup.keep_pictures, &mut self.spare);
            let decoded = self.setup.decoder.decode(data, |picture| {
                let decoded = shared.clock.now();
                let strip = picture.strip().ok();
                if keep {
                    picture.copy_to(spare);
                }
                let Some(facts) = waiting.pop_front() else { return };
                let times = PictureTimes {
                    first_packet: facts.first_packet_at,
                    received: facts.received_at,
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
                if facts.key_frame {
                    let _ = answers.send(FromDecoder::KeyFrameDecoded);
                }
            });
            if let Err(error) = decoded {
                tracing::debug!(error, frame = facts.number, "a frame could not be decoded");
                waiting.clear();
                self.shared.lock().analysis.video.decode_errors += 1;
                let _ = self.answers.send(FromDecoder::Failed);
            }
            let _ = self.answers.send(FromDecoder::Spent(frame));
            (self.wake)();
        }
        if let Some(recorder) = self.setup.recorder.take()
            && let Err(error) = recorder.finish()
        {
            self.shared.fail(error);
        }
    }
}

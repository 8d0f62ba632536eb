//! From a connection by QUIC to a running stream over lumen/1: launch, offer, answer, threads. And another mode, while it
//! runs.

use std::sync::Arc;

use lumen_core::gamestream::sdp::{AudioQuality, ClientBitrate, Matrix, Range, ReferenceFrames};
use lumen_core::lumen1::native::{Reply, Request, Verb, Wish};
use lumen_core::lumen1::negotiation::Grants;

use super::connect::{Threads, audio_loss, profile_name, wanted_profiles, wanted_streams, warn_of_refusals};
use super::decoder::DecoderSetup;
use super::listener::Listener;
use super::lumen1::{self, Lumen1Setup};
use super::sockets::at_port;
use super::state::Shared;
use super::summary::Facts;
use super::{OpeningDecoder, Session};
use crate::analysis::Moments;
use crate::clock::Clock;
use crate::error::ClientError;
use crate::loss::Lossy;
use crate::microphone;
use crate::native::HostLink;
use crate::options::{StreamOptions, Transport};
use crate::record::{AudioRecorder, VideoRecorder};
use crate::report::{Ending, HostReport, StreamReport};

/// A stream that a connected host shall begin.
pub struct NativePlan {
    /// Started with the attempt to connect.
    pub clock: Clock,
    pub moments: Moments,
    pub report: HostReport,
    pub link: Arc<HostLink>,
    pub verb: Verb,
    pub app: u32,
    pub decoder: OpeningDecoder,
}

/// Launches, agrees and starts everything.
pub fn start(plan: NativePlan, options: &StreamOptions) -> Result<Session, ClientError> {
    let NativePlan { clock, moments, mut report, link, verb, app, decoder } = plan;
    let wish = wish(options)?;
    // What can fail here fails before the host has work with it.
    let recorder = match &options.record {
        Some(path) => Some(VideoRecorder::create(path, options.codec, options.width, options.height, options.fps)?),
        None => None,
    };
    let sound_recorder = match &options.record_audio {
        Some(path) => Some(AudioRecorder::create(path, wish.channels)?),
        None => None,
    };
    let wrong = |step, error: &dyn std::fmt::Display| ClientError::handshake(step, error);
    let Reply::Offer(offer) = link.launch(&Request::Launch { verb, app, wish })? else {
        return Err(wrong("launching", &"the host answers something else"));
    };
    let launched = clock.now();
    let answer = lumen1::answer(&offer, wanted_streams(options));
    let Reply::Taken(layout) = link.take(&Request::Take(answer))? else {
        return Err(wrong("agreeing on lumen/1", &"the host answers something else"));
    };
    let shared = Arc::new(Shared::new(clock));
    let negotiated = clock.now();
    shared.lock().analysis.moments = Moments { launched: Some(launched), negotiated: Some(negotiated), ..moments };
    let layout = lumen_opus::Layout::new(layout.streams, layout.coupled, &layout.mapping)
        .map_err(|error| wrong("choosing the layout of sound", &error))?;
    let listener = Listener::new(&shared, &layout, options.audio_packet_ms, sound_recorder)?;
    let decoder = DecoderSetup {
        codec: options.codec,
        decoder: decoder.finish()?,
        recorder,
        keep_pictures: options.wants_pictures(),
    };
    let setup = Lumen1Setup {
        host: at_port(link.host(), offer.port),
        offer,
        answer,
        secret: link.secret().to_vec(),
        decoder,
        listener,
        video_loss: Lossy::new(options.loss.video_percent, options.loss.burst, options.loss.seed),
        audio_loss: audio_loss(options),
        first_frame_timeout: options.first_frame_timeout,
        save_clipboard: options.save_clipboard.clone(),
    };
    let mut threads = Threads { shared: Arc::clone(&shared), list: Vec::new() };
    let (control, socket, started) = lumen1::start(&shared, setup)?;
    threads.list.extend(started);
    if let Some(source) = options.microphone.as_ref().filter(|_| answer.grants.contains(Grants::MICROPHONE)) {
        threads.list.push(microphone::start(&shared, source, control.clone())?);
    }
    warn_of_refusals(options, answer.grants);
    report.entry = match verb {
        Verb::Launch => "launch".to_owned(),
        Verb::Resume => "resume".to_owned(),
    };
    report.encrypted = "quic, lumen/1".to_owned();
    report.same_clock = link.host().ip().to_canonical().is_loopback()
        || socket.local_addr().is_ok_and(|local| local.ip() == link.host().ip());
    let facts = Facts {
        host: report,
        transport: Transport::Lumen1,
        codec: profile_name(wish.profile),
        fps: options.fps,
        packet_size: answer.datagram.into(),
        channels: wish.channels,
        packet_ms: wish.sound_ms,
        granted: answer.grants,
    };
    let mut session = Session::new(shared, control, threads.release(), facts, options.clone());
    session.link = Some(link);
    Ok(session)
}

impl Session {
    /// The connection by which the stream was agreed on, if that was QUIC.
    pub fn link(&self) -> Option<&HostLink> {
        self.link.as_deref()
    }

    /// Goes on with the same application in another mode: the host ends this stream and begins the next, in which all is as
    /// `options` say. Returns what became of this one, too.
    ///
    /// # Errors
    /// [`ClientError::Usage`] of a stream that was not agreed on over QUIC; else as a stream that is resumed.
    pub fn change_mode(mut self, options: &StreamOptions) -> Result<(StreamReport, Self), ClientError> {
        let Some(link) = self.link.clone() else {
            return Err(ClientError::Usage("only a stream over QUIC can change its mode".into()));
        };
        let clock = Clock::start();
        let decoder = OpeningDecoder::begin(options)?;
        // How the host ends this one is no news.
        self.shared.end(Ending::Completed);
        let report = self.facts.host.clone();
        let plan = NativePlan { clock, moments: Moments::default(), report, link, verb: Verb::Resume, app: 0, decoder };
        let next = start(plan, options)?;
        self.control.vanish();
        self.halt();
        Ok((self.report(), next))
    }
}

fn wish(options: &StreamOptions) -> Result<Wish, ClientError> {
    let number = |number: u32| u16::try_from(number).map_err(|_| ClientError::Usage(format!("{number} is too much")));
    let profile = wanted_profiles(options)?.iter().next();
    let quality = if options.wants_high_quality_audio() { AudioQuality::High } else { AudioQuality::Normal };
    Ok(Wish {
        width: number(options.width)?,
        height: number(options.height)?,
        fps: number(options.fps)?,
        refresh_x100: options.fps.saturating_mul(100),
        bitrate_kbps: ClientBitrate::for_choice(options.bitrate_kbps, false).configured,
        profile: profile.ok_or_else(|| ClientError::Usage("there is no such format".into()))?,
        matrix: if options.hdr { Matrix::Bt2020 } else { Matrix::Bt709 },
        range: Range::Limited,
        references: ReferenceFrames::HostDecides,
        slices: options.slices.clamp(1, 32),
        channels: options.audio.count(),
        sound: quality,
        sound_ms: options.audio_packet_ms,
    })
}

//! What clients ask over QUIC: the same launches as over HTTP and RTSP, in fewer steps.

use std::net::IpAddr;

use lumen_core::gamestream::http::{
    GamepadBitmap, LaunchMode, LaunchRequest, LaunchVerb, RemoteInputKey, RemoteInputKeyId, SurroundAudioInfo,
};
use lumen_core::gamestream::sdp::StreamRequest;
use lumen_core::lumen1::native::{Figures, SoundLayout, Verb};
use lumen_core::lumen1::negotiation::Offer;

use crate::daemon::launch::Rtsp;
use crate::daemon::negotiate::Lumen1Terms;
use crate::gamestream::control_server::LaunchId;
use crate::gamestream::http_server::{ClientIdentity, RefusedReason};

use super::Engine;

impl Engine {
    /// Launches or resumes, and offers a stream over lumen/1. It may take as long as an application takes to start.
    ///
    /// # Errors
    /// [`RefusedReason`], which the user gets to read.
    pub fn launch_natively(
        &self,
        owner: &ClientIdentity,
        verb: Verb,
        app: u32,
        wish: &StreamRequest,
        client: IpAddr,
    ) -> Result<(LaunchId, Offer), RefusedReason> {
        if !self.config.stream.lumen1 {
            return Err(RefusedReason::Failed("This host does not offer lumen/1".to_owned()));
        }
        // Nobody is told this key: RTSP does not reach the launch.
        let mut key = [0; 16];
        crate::daemon::random(&mut key);
        let request = LaunchRequest {
            verb: match verb {
                Verb::Launch => LaunchVerb::Launch,
                Verb::Resume => LaunchVerb::Resume,
            },
            app,
            mode: LaunchMode { width: wish.width, height: wish.height, fps: wish.fps },
            key: RemoteInputKey::new(key),
            key_id: RemoteInputKeyId(0),
            hdr: false,
            optimise: false,
            play_on_host: Some(false),
            audio: SurroundAudioInfo::STEREO,
            gamepads: GamepadBitmap(0),
            persist_gamepads: false,
            core_version: 1,
            continuous_audio: false,
            surround_params: None,
        };
        let launch = self.launch_session(owner, &request, client, Rtsp::Encrypted)?;
        // It may have been replaced in this very moment.
        let offer = self.offer_lumen1(launch).ok_or(RefusedReason::NothingRunning)?;
        Ok((launch, offer))
    }

    /// The client took what it was offered: the worker prepares the stream. How its sound lies; `None` if the launch is
    /// gone.
    ///
    /// # Errors
    /// If this host cannot stream that.
    pub fn take_natively(
        &self,
        launch: LaunchId,
        wish: &StreamRequest,
        terms: Lumen1Terms,
    ) -> anyhow::Result<Option<SoundLayout>> {
        if !self.announce(launch, wish, Some(terms))? {
            return Ok(None);
        }
        let layout = self.with_launch(launch, |launch| {
            let audio = &launch.announced.as_ref()?.stream.audio;
            Some(SoundLayout { streams: audio.streams, coupled: audio.coupled, mapping: audio.mapping.clone() })
        });
        Ok(layout.flatten())
    }

    /// What the session of a client came to; `None` if it has none.
    pub fn figures_of(&self, owner: &ClientIdentity) -> Option<Figures> {
        let mut state = self.lock();
        let session = state.of_owner(owner.fingerprint.as_bytes())?;
        let announced = session.launch.as_ref().and_then(|launch| launch.announced.as_ref());
        let bitrate = announced.map_or(0, |announced| announced.stream.video.encoder.bitrate_bps / 1000);
        let stats = &session.stats;
        Some(Figures {
            width: u16::try_from(session.mode.width).unwrap_or(u16::MAX),
            height: u16::try_from(session.mode.height).unwrap_or(u16::MAX),
            sent: stats.frames_sent,
            dropped: stats.frames_dropped,
            skipped: stats.frames_replaced + stats.frames_skipped,
            bitrate_kbps: u32::try_from(bitrate).unwrap_or(u32::MAX),
            encoder: stats.encoder.clone(),
        })
    }
}

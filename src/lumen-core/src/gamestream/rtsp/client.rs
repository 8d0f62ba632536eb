//! The requests of a handshake as the client's core writes them (protocol part 1, sections 5.1 and 5.4).

use super::{Method, Request};
use crate::gamestream::http::SessionUrl;
use crate::gamestream::sdp::{AudioQuality, SessionToken, StreamKind};

const EPOCH: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

/// Writes the seven requests in turn: OPTIONS, DESCRIBE, SETUP of audio, video and control, ANNOUNCE, PLAY.
#[derive(Debug, Clone)]
pub struct ClientHandshake {
    target: String,
    host: String,
    session: Option<SessionToken>,
    cseq: u32,
}

impl ClientHandshake {
    /// A handshake at a session URL. Low quality in stereo is asked for by an address of zeros in place of the host's.
    pub fn new(url: &SessionUrl, stereo_quality: AudioQuality) -> Self {
        match stereo_quality {
            AudioQuality::High => Self { target: url.to_string(), host: url.host.clone(), session: None, cseq: 0 },
            AudioQuality::Normal => {
                let host = "0.0.0.0".to_owned();
                Self { target: format!("rtsp://{host}:{}", url.port), host, session: None, cseq: 0 }
            }
        }
    }

    /// Remembers the session of the first SETUP reply; it stands in all later requests.
    pub fn set_session(&mut self, session: SessionToken) {
        self.session = Some(session);
    }

    /// OPTIONS.
    pub fn options(&mut self) -> Request {
        let target = self.target.clone();
        self.request(Method::Options, &target)
    }

    /// DESCRIBE.
    pub fn describe(&mut self) -> Request {
        let target = self.target.clone();
        self.request(Method::Describe, &target)
            .with_header("Accept", "application/sdp")
            .with_header("If-Modified-Since", EPOCH)
    }

    /// SETUP of one stream.
    pub fn setup(&mut self, stream: StreamKind) -> Request {
        self.request(Method::Setup, stream.target())
            .with_header("Transport", "unicast;X-GS-ClientPort=50000-50001")
            .with_header("If-Modified-Since", EPOCH)
    }

    /// ANNOUNCE with its body.
    pub fn announce(&mut self, body: &str) -> Request {
        self.request(Method::Announce, StreamKind::Control.target())
            .with_header("Content-type", "application/sdp")
            .with_body(body)
    }

    /// PLAY.
    pub fn play(&mut self) -> Request {
        self.request(Method::Play, "/")
    }

    fn request(&mut self, method: Method, target: &str) -> Request {
        self.cseq += 1;
        let request = Request::new(method, target)
            .with_header("CSeq", self.cseq)
            .with_header("X-GS-ClientVersion", 14)
            .with_header("Host", &self.host);
        match &self.session {
            Some(session) => request.with_header("Session", session),
            None => request,
        }
    }
}

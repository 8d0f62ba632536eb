//! RTSP: one request a connection (protocol part 1, section 5). Reads a request to its end, asks the engine, answers,
//! half-closes, drains, closes. Connections that say nothing are clients that probe the port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lumen_core::gamestream::http::Codec;
use lumen_core::gamestream::rtsp::{
    MessageDecoder, Method, Request, RequestError, Response, SealedRecord, WireMessage,
};
use lumen_core::gamestream::sdp::{DescribeOffer, EncryptionBits, HostFeatures, StreamRequest};
use lumen_core::lumen1::negotiation::{self, Answer, NegotiationError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::control_server::LaunchId;
use crate::config::Encryption;
use crate::daemon::{Engine, Lumen1Terms};

/// From the first byte of a request to its last.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// For the client to close after the reply.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// Connections at the same time.
const MAX_CONNECTIONS: usize = 64;

/// What this host can do, as DESCRIBE tells it.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Formats that can be encoded now, H.264 first.
    pub codecs: Vec<Codec>,
    /// The encoders can leave out lost references.
    pub reference_invalidation: bool,
    /// Whether streams are encrypted.
    pub encryption: Encryption,
}

/// Serves RTSP on `listener` until the task is dropped.
pub async fn serve(listener: TcpListener, engine: Arc<Engine>, offer: Arc<Offer>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    tracing::debug!(%client, "too many RTSP connections; this one is closed");
                    continue;
                };
                let (engine, offer) = (Arc::clone(&engine), Arc::clone(&offer));
                tokio::spawn(async move {
                    let connection = Connection { engine, offer, client };
                    if let Err(error) = connection.serve(stream).await {
                        tracing::debug!(%client, %error, "RTSP connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "accepting an RTSP connection failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

struct Connection {
    engine: Arc<Engine>,
    offer: Arc<Offer>,
    client: SocketAddr,
}

impl Connection {
    async fn serve(self, mut stream: TcpStream) -> std::io::Result<()> {
        let message = match timeout(REQUEST_LIMIT, read(&mut stream)).await {
            Ok(message) => message?,
            Err(_) => return Ok(()),
        };
        let Some(message) = message else { return Ok(()) };
        let Some(reply) = self.answer(message) else { return Ok(()) };
        stream.write_all(&reply).await?;
        // The client parses when it sees the end; closing with unread bytes would reset the connection instead.
        stream.shutdown().await?;
        let mut sink = [0; 1024];
        let drained = async { while matches!(stream.read(&mut sink).await, Ok(n) if n > 0) {} };
        let _ = timeout(DRAIN_LIMIT, drained).await;
        Ok(())
    }

    /// The bytes of the reply; `None` closes in silence, as the protocol asks for what is nobody's.
    fn answer(&self, message: WireMessage) -> Option<Vec<u8>> {
        match message {
            WireMessage::Sealed(record) => self.answer_sealed(&record),
            WireMessage::Plain(request) => self.answer_plain(request),
        }
    }

    fn answer_sealed(&self, record: &SealedRecord) -> Option<Vec<u8>> {
        match self.engine.open_rtsp(self.client.ip(), record) {
            Ok((launch, text)) => {
                let response = match Request::parse(&text) {
                    Ok(request) => self.respond(launch, &request),
                    Err(error) => error.to_response(),
                };
                self.engine.seal_rtsp(launch, &response.to_bytes())
            }
            Err(error) => {
                tracing::debug!(client = %self.client, %error, "sealed RTSP request of no launch");
                None
            }
        }
    }

    fn answer_plain(&self, request: Result<Request, RequestError>) -> Option<Vec<u8>> {
        let request = match request {
            Ok(request) => request,
            Err(error) => return Some(error.to_response().to_bytes()),
        };
        let token = request.header("Session").map(|value| value.split(';').next().unwrap_or(value).trim());
        let launch = self.engine.plain_rtsp(self.client.ip(), token)?;
        Some(self.respond(launch, &request).to_bytes())
    }

    fn respond(&self, launch: LaunchId, request: &Request) -> Response {
        let cseq = request.cseq();
        let response = match &request.method {
            Method::Options => Response::ok(cseq).with_header("Public", "OPTIONS, DESCRIBE, SETUP, ANNOUNCE, PLAY"),
            Method::Describe => self.describe(launch, request),
            Method::Setup => match request.stream_kind() {
                Some(stream) => match self.engine.setup(launch, stream) {
                    Some(reply) => reply.to_response(cseq),
                    None => gone(cseq),
                },
                None => Response::error(404, "Not Found", cseq),
            },
            Method::Announce => self.announce(launch, request),
            Method::Play => Response::ok(cseq),
        };
        tracing::debug!(client = %self.client, launch = launch.0, method = ?request.method, code = response.code(), "RTSP");
        response
    }

    fn describe(&self, launch: LaunchId, request: &Request) -> Response {
        let cseq = request.cseq();
        let Some(surround) = self.engine.surround(launch) else { return gone(cseq) };
        let (supported, requested) = match self.offer.encryption {
            Encryption::Never => (EncryptionBits::CONTROL_V2, EncryptionBits::CONTROL_V2),
            Encryption::Opportunistic => (EncryptionBits::ALL, EncryptionBits::CONTROL_V2),
            Encryption::Required => (EncryptionBits::ALL, EncryptionBits::ALL),
        };
        let offer = DescribeOffer {
            features: HostFeatures::PEN_AND_TOUCH.with(HostFeatures::CONTROLLER_TOUCH_AND_MOTION),
            encryption_supported: supported,
            encryption_requested: requested,
            reference_invalidation: self.offer.reference_invalidation,
            hevc: self.offer.codecs.contains(&Codec::Hevc),
            av1: self.offer.codecs.contains(&Codec::Av1),
            surround: DescribeOffer::standard_surround(surround),
        };
        let mut text = offer.to_text();
        if negotiation::is_requested(request.header(negotiation::REQUEST_HEADER))
            && let Some(lumen1) = self.engine.offer_lumen1(launch)
        {
            lumen1.append_to(&mut text);
        }
        Response::ok(cseq).with_header("Content-Type", "application/sdp").with_body(&text)
    }

    fn announce(&self, launch: LaunchId, request: &Request) -> Response {
        let cseq = request.cseq();
        let Some(body) = request.body_text() else { return Response::error(400, "Bad Request", cseq) };
        let wish = match StreamRequest::parse(body, request.host(), &self.offer.codecs) {
            Ok(wish) => wish,
            Err(error) => {
                tracing::info!(client = %self.client, %error, "ANNOUNCE refused");
                return Response::error(400, "Bad Request", cseq);
            }
        };
        let offered = self.engine.offered(launch);
        let terms = |offer, answer| Lumen1Terms { offer, answer, exported: None };
        let answered =
            offered.map(|offer| Ok(Answer::find(body, &offer)?.map(|answer| terms(offer, answer)))).transpose();
        let lumen1 = match answered {
            Ok(lumen1) => lumen1.flatten(),
            Err(error) => {
                let error: NegotiationError = error;
                tracing::info!(client = %self.client, %error, "ANNOUNCE refused");
                return Response::error(400, "Bad Request", cseq);
            }
        };
        // Nothing of lumen/1 is sent in clear.
        let encrypted = lumen1.is_some() || (wish.video_is_encrypted() && wish.audio_is_encrypted());
        if self.offer.encryption == Encryption::Required && !encrypted {
            tracing::info!(client = %self.client, "ANNOUNCE refused: this host demands encryption");
            return Response::error(403, "Forbidden", cseq);
        }
        match self.engine.announce(launch, &wish, lumen1) {
            Ok(true) => Response::ok(cseq),
            Ok(false) => gone(cseq),
            Err(error) => {
                tracing::warn!(client = %self.client, "ANNOUNCE refused: {error:#}");
                Response::error(400, "Bad Request", cseq)
            }
        }
    }
}

fn gone(cseq: Option<u32>) -> Response {
    Response::error(454, "Session Not Found", cseq)
}

/// Reads one message; `None` if the client closed without a word or sent nonsense that deserves none.
async fn read(stream: &mut TcpStream) -> std::io::Result<Option<WireMessage>> {
    let mut decoder = MessageDecoder::new();
    let mut buffer = [0; 2048];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(None);
        }
        match decoder.push(&buffer[..n]) {
            Ok(Some(message)) => return Ok(Some(message)),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "unreadable RTSP request");
                return Ok(None);
            }
        }
    }
}

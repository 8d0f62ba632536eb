//! `/launch`, `/resume` and `/cancel` (protocol part 1, sections 4.3 to 4.5).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Query, QueryError, QueryWriter, ReplyError, hex, unhex};
use crate::gamestream::sdp::SurroundParams;
use crate::gamestream::xml::{Reply, ReplyWriter, decimal};

/// RTSP port of a session URL without one.
const DEFAULT_RTSP_PORT: u16 = 48010;

/// Clients keep the session URL in a buffer of 256 bytes.
const MAX_SESSION_URL: usize = 255;

/// Which of the two requests it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LaunchVerb {
    /// `/launch`: start an application and stream it.
    Launch,
    /// `/resume`: stream the application that runs.
    Resume,
}

impl LaunchVerb {
    /// The element of the reply that says whether it was done.
    pub const fn result_element(self) -> &'static str {
        match self {
            Self::Launch => "gamesession",
            Self::Resume => "resume",
        }
    }

    /// The path of the request.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Launch => "/launch",
            Self::Resume => "/resume",
        }
    }
}

/// Why a launch request cannot be read. The names are those of the error classes of the test vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// The query itself cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A required parameter is absent.
    #[error("parameter {0} is missing")]
    MissingParameter(&'static str),
    /// The key is not hexadecimal.
    #[error("parameter {0} is not hexadecimal")]
    BadHex(&'static str),
    /// The key is not 16 bytes long.
    #[error("parameter {0} has the wrong length")]
    BadLength(&'static str),
    /// A parameter is not a number of its range.
    #[error("parameter {0} is not a number")]
    BadNumber(&'static str),
    /// `mode` is not width x height x rate.
    #[error("parameter mode is not WIDTHxHEIGHTxFPS")]
    BadMode,
}

/// The AES-128 key of a stream (`rikey`). It is not shown in debug output.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteInputKey([u8; 16]);

impl RemoteInputKey {
    /// A key.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for RemoteInputKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RemoteInputKey(…)")
    }
}

/// The number that came with the key (`rikeyid`), reduced to 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteInputKeyId(pub u32);

impl RemoteInputKeyId {
    /// The IV that belongs to it: the number in big-endian order, then 12 zeros (section 4.4).
    pub const fn iv(self) -> LaunchIv {
        let [a, b, c, d] = self.0.to_be_bytes();
        LaunchIv([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }
}

impl FromStr for RemoteInputKeyId {
    type Err = LaunchError;

    fn from_str(text: &str) -> Result<Self, LaunchError> {
        let number = decimal(text).ok_or(LaunchError::BadNumber("rikeyid"))?;
        // Clients print a signed number; only its low 32 bits count.
        let [_, _, _, _, a, b, c, d] = number.to_be_bytes();
        Ok(Self(u32::from_be_bytes([a, b, c, d])))
    }
}

/// The 16-byte IV of a launch, used by audio and by legacy input encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaunchIv(pub [u8; 16]);

/// `mode`: what the user chose. The RTSP ANNOUNCE repeats and overrides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchMode {
    /// Pixels per line, at least 1.
    pub width: u32,
    /// Lines, at least 1.
    pub height: u32,
    /// Frames per second; may be 0.
    pub fps: u32,
}

impl FromStr for LaunchMode {
    type Err = LaunchError;

    fn from_str(text: &str) -> Result<Self, LaunchError> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u32>().ok().filter(|_| digits).ok_or(LaunchError::BadMode)
        };
        let size = |text: &str| if text.starts_with('0') { Err(LaunchError::BadMode) } else { number(text) };
        let mut parts = text.split('x');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(width), Some(height), Some(fps), None) => {
                Ok(Self { width: size(width)?, height: size(height)?, fps: number(fps)? })
            }
            _ => Err(LaunchError::BadMode),
        }
    }
}

impl fmt::Display for LaunchMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}x{}x{}", self.width, self.height, self.fps)
    }
}

/// `surroundAudioInfo`: channel mask × 65536 + channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurroundAudioInfo {
    /// Number of channels.
    pub channels: u16,
    /// Speaker mask.
    pub mask: u16,
}

impl SurroundAudioInfo {
    /// Two channels, front left and right.
    pub const STEREO: Self = Self { channels: 2, mask: 3 };
    /// 5.1.
    pub const SURROUND_51: Self = Self { channels: 6, mask: 0x3f };
    /// 7.1.
    pub const SURROUND_71: Self = Self { channels: 8, mask: 0x63f };

    /// Reads the number on the wire.
    pub const fn from_wire(value: u32) -> Self {
        let [a, b, c, d] = value.to_be_bytes();
        Self { channels: u16::from_be_bytes([c, d]), mask: u16::from_be_bytes([a, b]) }
    }

    /// The number on the wire.
    pub const fn to_wire(self) -> u32 {
        (self.mask as u32) << 16 | self.channels as u32
    }
}

/// Gamepads that are attached at the start: bit n is number n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GamepadBitmap(pub u32);

/// The parameters of `/launch` and `/resume`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchRequest {
    /// Which of the two.
    pub verb: LaunchVerb,
    /// Application to start, as the client wrote it: it may name nothing that exists.
    pub app: u32,
    /// What the user chose.
    pub mode: LaunchMode,
    /// Key of the stream.
    pub key: RemoteInputKey,
    /// Number that came with the key.
    pub key_id: RemoteInputKeyId,
    /// The client wants 10 bits and HDR.
    pub hdr: bool,
    /// The host may change settings of the game and of the display.
    pub optimise: bool,
    /// Whether sound is to play on the host, too. `None` only on `/resume`: keep what was chosen at launch.
    pub play_on_host: Option<bool>,
    /// Channels that the client will ask for.
    pub audio: SurroundAudioInfo,
    /// Gamepads at the start.
    pub gamepads: GamepadBitmap,
    /// Virtual gamepads stay when the client disconnects.
    pub persist_gamepads: bool,
    /// Protocol level of the client's core; 0 if it did not say.
    pub core_version: u32,
    /// Sound is sent also during silence.
    pub continuous_audio: bool,
    /// The client's own Opus layout, if it sent a valid one.
    pub surround_params: Option<SurroundParams>,
}

impl LaunchRequest {
    /// Reads the query of a request. Unknown parameters are ignored.
    ///
    /// # Errors
    /// [`LaunchError`] says which parameter is wrong.
    pub fn parse(verb: LaunchVerb, query: &str) -> Result<Self, LaunchError> {
        let query = Query::parse(query)?;
        let required = |name| query.get(name).ok_or(LaunchError::MissingParameter(name));
        let number = |name| match query.get(name) {
            None => Ok(None),
            Some(text) => match decimal(text).and_then(|number| u32::try_from(number).ok()) {
                Some(number) => Ok(Some(number)),
                None => Err(LaunchError::BadNumber(name)),
            },
        };
        let flag = |name| query.get(name) == Some("1");
        let (_, mode) = (required("appid")?, required("mode")?);
        let (key, key_id) = (required("rikey")?, required("rikeyid")?);
        let play_on_host = query.get("localAudioPlayMode").map(|value| value == "1");
        if verb == LaunchVerb::Launch && play_on_host.is_none() {
            return Err(LaunchError::MissingParameter("localAudioPlayMode"));
        }
        let key = unhex(key).ok_or(LaunchError::BadHex("rikey"))?;
        let key = <[u8; 16]>::try_from(key).map_err(|_| LaunchError::BadLength("rikey"))?;
        Ok(Self {
            verb,
            app: number("appid")?.unwrap_or(0),
            mode: mode.parse()?,
            key: RemoteInputKey(key),
            key_id: key_id.parse()?,
            hdr: flag("hdrMode"),
            optimise: flag("sops"),
            play_on_host,
            audio: number("surroundAudioInfo")?.map_or(SurroundAudioInfo::STEREO, SurroundAudioInfo::from_wire),
            gamepads: GamepadBitmap(number("remoteControllersBitmap")?.unwrap_or(0)),
            persist_gamepads: flag("gcpersist"),
            core_version: number("corever")?.unwrap_or(0),
            continuous_audio: flag("continuousAudio"),
            surround_params: query.get("surroundParams").and_then(|text| SurroundParams::from_client(text).ok()),
        })
    }

    /// Whether the client understands `rtspenc://`.
    pub const fn understands_encrypted_rtsp(&self) -> bool {
        self.core_version >= 1
    }

    /// The query of this request, without `uniqueid` and `uuid`.
    pub fn to_query(&self) -> String {
        let mut query = QueryWriter::new()
            .with("appid", self.app)
            .with("mode", self.mode)
            .with("additionalStates", 1)
            .with("sops", u8::from(self.optimise))
            .with("rikey", hex(self.key.as_bytes()))
            .with("rikeyid", self.key_id.0.cast_signed());
        if self.hdr {
            query = query
                .with("hdrMode", 1)
                .with("clientHdrCapVersion", 0)
                .with("clientHdrCapSupportedFlagsInUint32", 0)
                .with("clientHdrCapMetaDataId", "NV_STATIC_METADATA_TYPE_1")
                .with("clientHdrCapDisplayData", "0x0x0x0x0x0x0x0x0x0x0");
        }
        if let Some(play) = self.play_on_host {
            query = query.with("localAudioPlayMode", u8::from(play));
        }
        query = query
            .with("surroundAudioInfo", self.audio.to_wire())
            .with("remoteControllersBitmap", self.gamepads.0)
            .with("gcmap", self.gamepads.0)
            .with("gcpersist", u8::from(self.persist_gamepads));
        if self.core_version > 0 {
            query = query.with("corever", self.core_version);
        }
        if let Some(params) = &self.surround_params {
            query = query.with("surroundParams", params);
        }
        if self.continuous_audio {
            query = query.with("continuousAudio", 1);
        }
        query.finish()
    }
}

/// Where the RTSP of a session is, and whether it is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionUrl {
    /// Host name or address; IPv6 in brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Scheme `rtspenc` instead of `rtsp`.
    pub encrypted: bool,
}

impl SessionUrl {
    /// The URL for a client that reached the host at `local`.
    pub fn new(local: IpAddr, port: u16, encrypted: bool) -> Self {
        let host = match local.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        Self { host, port, encrypted }
    }
}

impl fmt::Display for SessionUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "rtspenc" } else { "rtsp" };
        write!(formatter, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl FromStr for SessionUrl {
    type Err = ReplyError;

    fn from_str(text: &str) -> Result<Self, ReplyError> {
        if text.len() > MAX_SESSION_URL {
            return Err(ReplyError::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(ReplyError::BadScheme)?;
        let encrypted = match scheme {
            "rtsp" => false,
            "rtspenc" => true,
            _ => return Err(ReplyError::BadScheme),
        };
        if rest.is_empty() || rest.chars().any(|character| character.is_control() || character == ' ') {
            return Err(ReplyError::BadScheme);
        }
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match rest.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && digits(port) => Ok(Self {
                host: host.to_owned(),
                port: port.parse().map_err(|_| ReplyError::OutOfRange("sessionUrl0"))?,
                encrypted,
            }),
            _ => Ok(Self { host: rest.to_owned(), port: DEFAULT_RTSP_PORT, encrypted }),
        }
    }
}

/// A successful answer to `/launch` or `/resume`. It may only be sent when the RTSP listener is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchReply {
    /// Which request it answers.
    pub verb: LaunchVerb,
    /// Where to go on.
    pub session_url: SessionUrl,
}

impl LaunchReply {
    /// The reply's body.
    pub fn to_xml(&self) -> String {
        ReplyWriter::ok().element("sessionUrl0", &self.session_url).element(self.verb.result_element(), 1).finish()
    }

    /// Reads the answer to a request.
    ///
    /// # Errors
    /// [`ReplyError`] says why the host refused, or what is wrong with its reply.
    pub fn parse(verb: LaunchVerb, xml: &str) -> Result<Self, ReplyError> {
        let reply = Reply::parse(xml)?;
        done(&reply, verb.result_element())?;
        Ok(Self { verb, session_url: reply.required("sessionUrl0")?.parse()? })
    }
}

/// The answer to `/cancel`. It may only be sent when nothing runs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelReply;

impl CancelReply {
    /// The reply's body.
    pub fn to_xml(self) -> String {
        ReplyWriter::ok().element("cancel", 1).finish()
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// [`ReplyError`] says why the host refused, or what is wrong with its reply.
    pub fn parse(xml: &str) -> Result<Self, ReplyError> {
        done(&Reply::parse(xml)?, "cancel").map(|()| Self)
    }
}

fn done(reply: &Reply<'_>, element: &'static str) -> Result<(), ReplyError> {
    match reply.text(element).as_deref() {
        None | Some("") => Err(ReplyError::EmptyElement(element)),
        Some("0") => Err(ReplyError::Refused),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_key_never_shows_in_debug_output() {
        assert_eq!(format!("{:?}", RemoteInputKey::new([7; 16])), "RemoteInputKey(…)");
    }

    #[test]
    fn session_urls_unmap_and_bracket_addresses() {
        let url = |address: &str| SessionUrl::new(address.parse().unwrap(), 48010, true).to_string();
        assert_eq!(url("::ffff:10.0.0.1"), "rtspenc://10.0.0.1:48010");
        assert_eq!(url("fe80::1"), "rtspenc://[fe80::1]:48010");
    }

    prop_compose! {
        fn requests()(
            resume in any::<bool>(), app in any::<u32>(), width in 1u32..9000, height in 1u32..9000, fps in 0u32..500,
            key in any::<[u8; 16]>(), key_id in any::<u32>(), flags in any::<[bool; 5]>(), play in any::<Option<bool>>(),
            audio in any::<u32>(), gamepads in any::<u32>(), core_version in 0u32..3,
        ) -> LaunchRequest {
            let [hdr, optimise, persist_gamepads, continuous_audio, params] = flags;
            LaunchRequest {
                verb: if resume { LaunchVerb::Resume } else { LaunchVerb::Launch },
                app,
                mode: LaunchMode { width, height, fps },
                key: RemoteInputKey(key),
                key_id: RemoteInputKeyId(key_id),
                hdr,
                optimise,
                play_on_host: if resume { play } else { Some(play.unwrap_or_default()) },
                audio: SurroundAudioInfo::from_wire(audio),
                gamepads: GamepadBitmap(gamepads),
                persist_gamepads,
                core_version,
                continuous_audio,
                surround_params: params.then(|| SurroundParams::from_client("642014523").unwrap()),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(request in requests()) {
            prop_assert_eq!(LaunchRequest::parse(request.verb, &request.to_query()).unwrap(), request);
        }

        #[test]
        fn arbitrary_queries_never_panic(query in "((appid|mode|rikey|rikeyid|localAudioPlayMode|surroundParams)=[-0-9a-fx%]{0,40}&){0,8}") {
            let _ = LaunchRequest::parse(LaunchVerb::Launch, &query);
            let _ = query.parse::<SessionUrl>();
        }
    }
}

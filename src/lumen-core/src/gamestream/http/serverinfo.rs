//! `/serverinfo` (protocol part 1, section 2.3): what a host tells about itself, to strangers and to paired clients.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::{AppId, AppVersion, Channel, Codec, CodecMask, CodecMaskError, Ports, ReplyError};
use crate::gamestream::xml::{Reply, ReplyWriter, child_text};

/// The `GfeVersion` that clients neither think too old nor block as too new.
pub const GFE_VERSION: &str = "3.23.0.74";

/// `MaxLumaPixelsHEVC` of a host that encodes HEVC.
const HEVC_LUMA_PIXELS: i64 = 1_869_449_984;

/// A hardware address, for wake-on-LAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = ReplyError;

    fn from_str(text: &str) -> Result<Self, ReplyError> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(ReplyError::BadHex("mac"))?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| ReplyError::BadHex("mac"))?;
        }
        if parts.next().is_some() { Err(ReplyError::BadHex("mac")) } else { Ok(Self(octets)) }
    }
}

/// Whether an application runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostState {
    /// Nothing runs.
    Free,
    /// An application runs, or a launch is pending. A peer may be busy without saying with what.
    Busy(Option<AppId>),
}

/// A mode for clients that only ask for listed ones (section 7, trap 39).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisplayMode {
    /// Pixels per line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Frames per second.
    pub refresh_rate: u32,
}

/// The facts in a reply to `/serverinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// Name for the user.
    pub hostname: String,
    /// Protocol version; [`AppVersion::ANNOUNCED`] for this host.
    pub app_version: AppVersion,
    /// Stable identifier of the host, the key of every client's list; not empty.
    pub unique_id: String,
    /// HTTPS port.
    pub https_port: u16,
    /// HTTP port as seen from outside, if known.
    pub external_port: Option<u16>,
    /// Address outside, if known.
    pub external_ip: Option<Ipv4Addr>,
    /// Address that the request reached, if it is an IPv4 address; see [`advertised_address`].
    pub local_ip: Option<Ipv4Addr>,
    /// Hardware address for wake-on-LAN. Never told over plain HTTP.
    pub mac: Option<MacAddress>,
    /// Profiles that the host can encode now.
    pub codecs: CodecMask,
    /// Whether HEVC may be used at all; some clients look here only.
    pub hevc: bool,
    /// Whether the asking client's certificate is pinned. Never claimed over plain HTTP, never believed from it.
    pub paired: bool,
    /// Whether an application runs.
    pub state: HostState,
    /// Modes to list.
    pub display_modes: Vec<DisplayMode>,
}

/// The address to tell a client that reached the host at `local`: IPv4, also if mapped into IPv6; nothing for real
/// IPv6, since clients would store it in place of the IPv4 address.
pub fn advertised_address(local: IpAddr) -> Option<Ipv4Addr> {
    match local.to_canonical() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

impl ServerInfo {
    /// The reply to send over `channel`. Over plain HTTP the pairing state and the hardware address are withheld.
    pub fn to_xml(&self, channel: Channel) -> String {
        let secure = channel == Channel::Https;
        let mac = self.mac.filter(|_| secure).unwrap_or(MacAddress([0; 6]));
        let mut writer = ReplyWriter::ok()
            .element("hostname", &self.hostname)
            .element("appversion", self.app_version)
            .element("GfeVersion", GFE_VERSION)
            .element("uniqueid", &self.unique_id)
            .element("HttpsPort", self.https_port);
        if let Some(port) = self.external_port {
            writer = writer.element("ExternalPort", port);
        }
        if let Some(address) = self.external_ip {
            writer = writer.element("ExternalIP", address);
        }
        writer = writer
            .element("MaxLumaPixelsHEVC", if self.hevc { HEVC_LUMA_PIXELS } else { 0 })
            .element("mac", mac)
            .element("LocalIP", self.local_ip.unwrap_or(Ipv4Addr::LOCALHOST))
            .element("ServerCodecModeSupport", self.codecs.bits());
        if !self.display_modes.is_empty() {
            writer = writer.group("SupportedDisplayMode", |mut writer| {
                for mode in &self.display_modes {
                    writer = writer.group("DisplayMode", |writer| {
                        writer
                            .element("Width", mode.width)
                            .element("Height", mode.height)
                            .element("RefreshRate", mode.refresh_rate)
                    });
                }
                writer
            });
        }
        let (game, state) = match self.state {
            HostState::Free => (0, "SUNSHINE_SERVER_FREE"),
            HostState::Busy(app) => (app.map_or(0, AppId::get), "SUNSHINE_SERVER_BUSY"),
        };
        writer
            .element("PairStatus", u8::from(self.paired && secure))
            .element("currentgame", game)
            .element("state", state)
            .finish()
    }

    /// Reads a reply that came over `channel`.
    ///
    /// # Errors
    /// [`ReplyError`] says what is wrong with the reply, or which error the host reports in it.
    pub fn parse(xml: &str, channel: Channel) -> Result<Self, ReplyError> {
        let reply = Reply::parse(xml)?;
        reply.refuse_whitespace()?;
        reply.refuse_duplicates()?;
        for name in ["appversion", "uniqueid", "PairStatus", "currentgame", "state"] {
            reply.text(name).ok_or(ReplyError::MissingElement(name))?;
        }
        let version = reply.required("appversion")?;
        let unique_id = reply.required("uniqueid")?;
        let pair_status = reply.required("PairStatus")?;
        reply.required("currentgame")?;
        let state = reply.required("state")?;
        let mac = match reply.text("mac") {
            Some(text) if text.is_empty() => return Err(ReplyError::EmptyElement("mac")),
            // An address in another form is only useless for waking the host.
            Some(text) => text.parse().ok().filter(|mac| *mac != MacAddress([0; 6])),
            None => None,
        };
        if state.contains("MJOLNIR") {
            return Err(ReplyError::NvidiaState);
        }
        let codecs = CodecMask::new(reply.number("ServerCodecModeSupport")?).map_err(|error| match error {
            CodecMaskError::NoCodec => ReplyError::NoCodec,
            CodecMaskError::OutOfRange(_) => ReplyError::OutOfRange("ServerCodecModeSupport"),
        })?;
        let local_ip = address(&reply, "LocalIP")?.filter(|address| *address != Ipv4Addr::LOCALHOST);
        let current_game = reply.number("currentgame")?;
        let state = if state.ends_with("_SERVER_BUSY") {
            let id = u32::try_from(current_game).map_err(|_| ReplyError::OutOfRange("currentgame"))?;
            HostState::Busy(if id == 0 { None } else { Some(AppId::new(id)?) })
        } else {
            HostState::Free
        };
        let hostname = reply.text("hostname").filter(|name| !name.is_empty());
        Ok(Self {
            hostname: hostname.unwrap_or_else(|| "UNKNOWN".to_owned()),
            app_version: version.parse()?,
            unique_id,
            https_port: match port(&reply, "HttpsPort")? {
                Some(port) => port,
                None => Ports::DEFAULT_BASE - 5,
            },
            external_port: port(&reply, "ExternalPort")?,
            external_ip: reply.text("ExternalIP").and_then(|text| text.parse().ok()),
            local_ip,
            mac,
            codecs,
            hevc: codecs.profiles().any(|profile| profile.codec() == Codec::Hevc)
                && reply.number("MaxLumaPixelsHEVC")? != 0,
            paired: channel == Channel::Https && pair_status == "1",
            state,
            display_modes: display_modes(&reply),
        })
    }
}

fn address(reply: &Reply<'_>, name: &'static str) -> Result<Option<Ipv4Addr>, ReplyError> {
    reply.text(name).map(|text| text.parse().map_err(|_| ReplyError::BadAddress(name))).transpose()
}

fn port(reply: &Reply<'_>, name: &'static str) -> Result<Option<u16>, ReplyError> {
    match reply.number(name)? {
        0 => Ok(None),
        number => u16::try_from(number).map(Some).map_err(|_| ReplyError::OutOfRange(name)),
    }
}

/// The listed modes; an unreadable one is left out, nothing depends on it.
fn display_modes(reply: &Reply<'_>) -> Vec<DisplayMode> {
    reply
        .elements()
        .filter(|element| element.tag_name().name() == "SupportedDisplayMode")
        .flat_map(|list| list.children())
        .filter(|element| element.tag_name().name() == "DisplayMode")
        .filter_map(|element| {
            let number = |name| child_text(element, name)?.parse().ok();
            Some(DisplayMode {
                width: number("Width")?,
                height: number("Height")?,
                refresh_rate: number("RefreshRate")?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gamestream::http::Profile;

    fn info() -> ServerInfo {
        ServerInfo {
            hostname: "Büro & <Spiel>".into(),
            app_version: AppVersion::ANNOUNCED,
            unique_id: "8f0c6f6e-7c1b-4a57-9c39-1f3a2f0f5b11".into(),
            https_port: 47984,
            external_port: Some(47989),
            external_ip: None,
            local_ip: Some(Ipv4Addr::new(192, 168, 1, 10)),
            mac: Some(MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56])),
            codecs: CodecMask::from_profiles([Profile::H264High8, Profile::HevcMain8]).unwrap(),
            hevc: true,
            paired: true,
            state: HostState::Busy(Some(AppId::new(7).unwrap())),
            display_modes: vec![DisplayMode { width: 1280, height: 720, refresh_rate: 60 }],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(ServerInfo::parse(&info().to_xml(Channel::Https), Channel::Https).unwrap(), info());
    }

    #[test]
    fn plain_http_withholds_pairing_state_and_hardware_address() {
        let text = info().to_xml(Channel::Http);
        assert!(text.contains("<PairStatus>0</PairStatus>") && text.contains("<mac>00:00:00:00:00:00</mac>"));
        let forged = info().to_xml(Channel::Https);
        assert!(!ServerInfo::parse(&forged, Channel::Http).unwrap().paired);
    }

    #[test]
    fn ipv6_is_never_advertised_as_the_local_address() {
        assert_eq!(advertised_address("fe80::1".parse().unwrap()), None);
        assert_eq!(advertised_address("::ffff:10.0.0.1".parse().unwrap()), Some(Ipv4Addr::new(10, 0, 0, 1)));
    }

    proptest! {
        #[test]
        fn arbitrary_values_never_panic(name in "(HttpsPort|currentgame|state|mac|LocalIP|ServerCodecModeSupport|appversion)", value in "[-0-9a-zA-Z_.:]{0,24}") {
            let text = info().to_xml(Channel::Https);
            let start = text.find(&format!("<{name}>")).unwrap() + name.len() + 2;
            let end = text.find(&format!("</{name}>")).unwrap();
            let _ = ServerInfo::parse(&format!("{}{value}{}", &text[..start], &text[end..]), Channel::Https);
        }
    }
}

//! The client: one identity, and what it does with hosts.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicBool;
#[cfg(feature = "quic")]
use std::sync::atomic::Ordering;
use std::time::Duration;

use lumen_core::gamestream::http::{
    App, AppId, AppList, CancelReply, Channel, Codec, GamepadBitmap, HostState, LaunchMode, LaunchReply, LaunchRequest,
    LaunchVerb, Profile, RemoteInputKey, RemoteInputKeyId, ServerInfo,
};
use lumen_core::gamestream::pairing::{Certificate, Pin};

use crate::address::HostAddress;
use crate::analysis::Moments;
use crate::clock::{Clock, entropy};
use crate::error::ClientError;
use crate::http::{HttpClient, LAUNCH_TIMEOUT, REPLY_TIMEOUT};
use crate::identity::{IdentityStore, PinnedHost};
#[cfg(feature = "quic")]
use crate::options::Transport;
use crate::options::{AppChoice, Entry, StreamOptions};
use crate::pair::pair;
use crate::report::{Ending, HostReport, StreamReport};
use crate::session::{OpeningDecoder, Plan, Session, connect, surround_info};

/// Protocol level of a core that understands encrypted RTSP.
const CORE_VERSION: u32 = 1;

/// A client with an identity of its own.
pub struct Client {
    store: IdentityStore,
    http: HttpClient,
}

/// What a host says about itself.
#[derive(Debug, Clone)]
pub struct HostInfo {
    /// Address that answered, at its HTTP port.
    pub address: SocketAddr,
    /// Its answer; over HTTPS if this client is paired with it.
    pub info: ServerInfo,
    /// Its certificate, if this client is paired with it.
    pub pinned: Option<Certificate>,
}

impl HostInfo {
    /// Where the host's HTTPS is.
    pub fn secure(&self) -> SocketAddr {
        let mut address = self.address;
        address.set_port(self.info.https_port);
        address
    }
}

impl Client {
    /// The client whose identity is in `directory`; makes one if there is none.
    ///
    /// # Errors
    /// [`ClientError::File`] or [`ClientError::Local`].
    pub fn new(directory: &Path) -> Result<Self, ClientError> {
        let store = IdentityStore::open(directory)?;
        let http = HttpClient::new(store.identity(), store.unique_id().as_str())?;
        Ok(Self { store, http })
    }

    /// The client's files.
    pub const fn store(&self) -> &IdentityStore {
        &self.store
    }

    /// Asks a host what it is, over HTTPS if this client is paired with it.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Handshake`], [`ClientError::OtherCertificate`].
    pub fn info(&self, host: &HostAddress) -> Result<HostInfo, ClientError> {
        let mut last = None;
        for address in host.resolve()? {
            match self.info_at(address) {
                Err(error @ ClientError::Unreachable { .. }) => last = Some(error),
                result => return result,
            }
        }
        Err(last.unwrap_or_else(|| ClientError::Unreachable {
            address: host.to_string(),
            reason: "the name has no address".into(),
        }))
    }

    fn info_at(&self, address: SocketAddr) -> Result<HostInfo, ClientError> {
        let name = address.to_string();
        let parse = |xml: &str, channel| {
            ServerInfo::parse(xml, channel).map_err(|error| ClientError::from_reply("say what it is", &name, error))
        };
        let plain = parse(&self.http.get(address, "/serverinfo", "", REPLY_TIMEOUT)?, Channel::Http)?;
        let Some(pinned) = self.store.pinned(&plain.unique_id)? else {
            return Ok(HostInfo { address, info: plain, pinned: None });
        };
        let mut secure = address;
        secure.set_port(plain.https_port);
        let reply = self.http.get_pinned(secure, &pinned, "/serverinfo", "", REPLY_TIMEOUT)?;
        match parse(&reply, Channel::Https) {
            Ok(info) => Ok(HostInfo { address, info, pinned: Some(pinned) }),
            // The host has forgotten this client; what it said in the open is still true.
            Err(ClientError::NotPaired { .. }) => Ok(HostInfo { address, info: plain, pinned: Some(pinned) }),
            Err(error) => Err(error),
        }
    }

    /// Pairs with a host. `show` gets the PIN that the user types at the host: `pin`, or else a random one. Waits for
    /// the user for about five minutes.
    ///
    /// # Errors
    /// [`ClientError::Pairing`] if the host refuses or was given another PIN.
    pub fn pair(
        &self,
        host: &HostAddress,
        pin: Option<&str>,
        show: impl FnOnce(&str),
    ) -> Result<HostInfo, ClientError> {
        let pin: Pin = match pin {
            Some(digits) => digits.parse().map_err(|_| ClientError::Usage("a PIN has exactly four digits".into()))?,
            None => Pin::generate(&mut entropy),
        };
        let mut found = self.info(host)?;
        show(&pin.reveal());
        let certificate = pair(&self.http, &self.store, found.address, found.secure(), &pin)?;
        self.store.pin(PinnedHost {
            unique_id: found.info.unique_id.clone(),
            name: found.info.hostname.clone(),
            address: host.to_string(),
            certificate: certificate.to_pem().map_err(|error| ClientError::local("cannot store the host", error))?,
        })?;
        found.pinned = Some(certificate);
        Ok(found)
    }

    /// Forgets a host; says whether it was known. The host keeps this client's certificate until its own user
    /// removes it.
    ///
    /// # Errors
    /// [`ClientError::File`] if the list of hosts cannot be written, or the host cannot be asked for its identifier.
    pub fn unpair(&self, host: &HostAddress) -> Result<bool, ClientError> {
        let known = self.store.hosts()?.into_iter().find(|known| known.address == host.to_string());
        match known {
            Some(known) => self.store.forget(&known.unique_id),
            None => self.store.forget(&self.info(host)?.info.unique_id),
        }
    }

    /// The applications of a host.
    ///
    /// # Errors
    /// [`ClientError::NotPaired`] among others.
    pub fn apps(&self, host: &HostAddress) -> Result<Vec<App>, ClientError> {
        self.apps_of(&self.paired(host)?)
    }

    fn apps_of(&self, found: &HostInfo) -> Result<Vec<App>, ClientError> {
        let reply = self.secure_get(found, "/applist", "", REPLY_TIMEOUT)?;
        let list = AppList::parse(&reply)
            .map_err(|error| ClientError::from_reply("list its applications", &found.address.to_string(), error))?;
        Ok(list.apps().to_vec())
    }

    /// Ends the application that runs at a host, and all its streams.
    ///
    /// # Errors
    /// [`ClientError::Refused`] among others.
    pub fn quit(&self, host: &HostAddress) -> Result<(), ClientError> {
        self.cancel(&self.paired(host)?)
    }

    fn cancel(&self, found: &HostInfo) -> Result<(), ClientError> {
        let reply = self.secure_get(found, "/cancel", "", REPLY_TIMEOUT * 2)?;
        CancelReply::parse(&reply)
            .map(drop)
            .map_err(|error| ClientError::from_reply("end the application", &found.address.to_string(), error))
    }

    /// Starts a stream and leaves it running.
    ///
    /// # Errors
    /// [`ClientError`] says which step failed.
    pub fn connect(&self, host: &HostAddress, options: &StreamOptions) -> Result<Session, ClientError> {
        check(options)?;
        #[cfg(feature = "quic")]
        if options.transport == Transport::Quic {
            return self.connect_natively(host, options);
        }
        let clock = Clock::start();
        let decoder = OpeningDecoder::begin(options)?;
        let found = self.paired(host)?;
        let mut moments = Moments { server_info: Some(clock.now()), ..Moments::default() };
        self.check_host(&found, options)?;
        let (app, title) = self.choose_app(&found, &options.app)?;
        let (mut key, mut key_id) = ([0; 16], [0; 4]);
        entropy(&mut key);
        entropy(&mut key_id);
        let key_id = u32::from_be_bytes(key_id);
        let verb = self.choose_entry(&found, options.entry, app)?;
        let request = LaunchRequest {
            verb,
            app: app.get(),
            mode: LaunchMode { width: options.width, height: options.height, fps: options.fps },
            key: RemoteInputKey::new(key),
            key_id: RemoteInputKeyId(key_id),
            hdr: options.hdr,
            optimise: false,
            play_on_host: Some(false),
            audio: surround_info(options.audio),
            gamepads: GamepadBitmap(0),
            persist_gamepads: false,
            core_version: CORE_VERSION,
            continuous_audio: false,
            surround_params: None,
        };
        let reply = self.secure_get(&found, verb.path(), &request.to_query(), LAUNCH_TIMEOUT)?;
        let reply = LaunchReply::parse(verb, &reply)
            .map_err(|error| ClientError::from_reply("start the application", &found.address.to_string(), error))?;
        moments.launched = Some(clock.now());
        let plan = Plan {
            clock,
            moments,
            host: found.address,
            report: HostReport {
                name: found.info.hostname.clone(),
                address: found.address.to_string(),
                version: found.info.app_version.to_string(),
                app: title,
                entry: verb.path().trim_start_matches('/').to_owned(),
                ..HostReport::default()
            },
            app_version: found.info.app_version,
            codecs: found.info.codecs,
            key,
            key_id: key_id.cast_signed(),
            reply,
            decoder,
        };
        connect(plan, options)
    }

    /// Streams as `options` say, from the first picture to the end of the duration, and reports.
    ///
    /// # Errors
    /// [`ClientError`] if no picture came. How a stream ended after its first picture stands in the report; see
    /// [`Client::judge`].
    pub fn stream(&self, host: &HostAddress, options: &StreamOptions) -> Result<StreamReport, ClientError> {
        self.stream_until(host, options, &AtomicBool::new(false))
    }

    /// [`Client::stream`] that ends early when `interrupt` becomes true.
    ///
    /// # Errors
    /// As [`Client::stream`].
    pub fn stream_until(
        &self,
        host: &HostAddress,
        options: &StreamOptions,
        interrupt: &AtomicBool,
    ) -> Result<StreamReport, ClientError> {
        let session = self.connect(host, options)?;
        session.wait_for_picture(options.first_frame_timeout)?;
        session.run(interrupt);
        self.stop(session, host, options)
    }

    /// [`Client::stream_until`], which then goes on in other modes, for as long in each: pixels per line, lines and frames
    /// per second. The stream must be one over QUIC. There is a report of each mode.
    ///
    /// # Errors
    /// As [`Client::stream`].
    #[cfg(feature = "quic")]
    pub fn stream_in_modes(
        &self,
        host: &HostAddress,
        options: &StreamOptions,
        modes: &[(u32, u32, u32)],
        interrupt: &AtomicBool,
    ) -> Result<Vec<StreamReport>, ClientError> {
        if !modes.is_empty() && options.transport != Transport::Quic {
            return Err(ClientError::Usage("the mode of a stream changes only over QUIC".into()));
        }
        let next = |(width, height, fps)| StreamOptions { width, height, fps, script: None, ..options.clone() };
        let modes: Vec<_> = modes.iter().copied().map(next).collect();
        modes.iter().try_for_each(check)?;
        let (mut session, mut reports) = (self.connect(host, options)?, Vec::new());
        session.wait_for_picture(options.first_frame_timeout)?;
        session.run(interrupt);
        for options in modes {
            if interrupt.load(Ordering::Relaxed) {
                break;
            }
            let (report, changed) = session.change_mode(&options)?;
            reports.push(report);
            session = changed;
            session.wait_for_picture(options.first_frame_timeout)?;
            session.run(interrupt);
        }
        reports.push(self.stop(session, host, options)?);
        Ok(reports)
    }

    fn stop(&self, session: Session, host: &HostAddress, options: &StreamOptions) -> Result<StreamReport, ClientError> {
        let report = session.stop()?;
        if options.quit_after {
            #[cfg(feature = "quic")]
            if options.transport == Transport::Quic {
                self.link(host)?.quit()?;
                return Ok(report);
            }
            self.quit(host)?;
        }
        Ok(report)
    }

    /// Whether a stream ended as it should and kept the bounds that its options state.
    ///
    /// # Errors
    /// [`ClientError::StreamLost`] or [`ClientError::BelowBounds`].
    pub fn judge(report: &StreamReport, options: &StreamOptions) -> Result<(), ClientError> {
        match &report.ending {
            Ending::Lost(why) => return Err(ClientError::StreamLost(why.clone())),
            Ending::HostError(why) => return Err(ClientError::StreamLost(format!("the host ended it: {why}"))),
            Ending::ClosedByHost if options.duration.is_some() => {
                return Err(ClientError::StreamLost("the host closed it early".into()));
            }
            Ending::ClosedByHost | Ending::Completed | Ending::Running => {}
        }
        let broken = options.expect.check(report);
        if broken.is_empty() { Ok(()) } else { Err(ClientError::BelowBounds(broken.join("; "))) }
    }

    /// A host that knows this client, and that this client knows.
    fn paired(&self, host: &HostAddress) -> Result<HostInfo, ClientError> {
        let found = self.info(host)?;
        let reason = match (&found.pinned, found.info.paired) {
            (None, _) => "this client does not know the host's certificate",
            (Some(_), false) => "the host does not know this client's certificate",
            (Some(_), true) => return Ok(found),
        };
        Err(ClientError::NotPaired { host: host.to_string(), reason })
    }

    fn secure_get(&self, found: &HostInfo, path: &str, query: &str, timeout: Duration) -> Result<String, ClientError> {
        let Some(pinned) = &found.pinned else {
            let reason = "this client does not know the host's certificate";
            return Err(ClientError::NotPaired { host: found.address.to_string(), reason });
        };
        self.http.get_pinned(found.secure(), pinned, path, query, timeout)
    }

    /// What can be known to fail before anything is launched.
    fn check_host(&self, found: &HostInfo, options: &StreamOptions) -> Result<(), ClientError> {
        if !found.info.app_version.has_encrypted_control() {
            let reason = format!("the host speaks version {}, which is too old", found.info.app_version);
            return Err(ClientError::Handshake { step: "choosing the protocol", reason });
        }
        let offered = |codec: Codec| found.info.codecs.profiles().any(|profile: Profile| profile.codec() == codec);
        if !offered(options.codec) {
            let reason = format!("it has no encoder for {:?}", options.codec);
            return Err(ClientError::Refused { action: "stream", reason });
        }
        Ok(())
    }

    fn choose_app(&self, found: &HostInfo, choice: &AppChoice) -> Result<(AppId, String), ClientError> {
        let running = match found.info.state {
            HostState::Busy(app) => app,
            HostState::Free => None,
        };
        choose_app(&self.apps_of(found)?, running, choice)
    }

    /// Launch or resume; ends another application first, as clients do.
    fn choose_entry(&self, found: &HostInfo, entry: Entry, app: AppId) -> Result<LaunchVerb, ClientError> {
        match (entry, found.info.state) {
            (Entry::Launch, _) | (Entry::Auto, HostState::Free) => Ok(LaunchVerb::Launch),
            (Entry::Resume, _) => Ok(LaunchVerb::Resume),
            (Entry::Auto, HostState::Busy(running)) if running == Some(app) => Ok(LaunchVerb::Resume),
            (Entry::Auto, HostState::Busy(_)) => {
                self.cancel(found)?;
                Ok(LaunchVerb::Launch)
            }
        }
    }
}

/// Number and title of the application that is to be streamed.
pub(crate) fn choose_app(
    apps: &[App],
    running: Option<AppId>,
    choice: &AppChoice,
) -> Result<(AppId, String), ClientError> {
    let chosen = match choice {
        AppChoice::Any => running.and_then(|id| apps.iter().find(|app| app.id == id)).or(apps.first()),
        AppChoice::Named(name) => apps
            .iter()
            .find(|app| app.title.to_lowercase() == name.to_lowercase())
            .or_else(|| apps.iter().find(|app| name.parse() == Ok(app.id.get()))),
    };
    match (chosen, choice) {
        (Some(app), _) => Ok((app.id, app.title.clone())),
        (None, AppChoice::Any) => {
            Err(ClientError::Refused { action: "stream", reason: "it lists no application".into() })
        }
        (None, AppChoice::Named(name)) => {
            let titles: Vec<_> = apps.iter().map(|app| format!("{:?}", app.title)).collect();
            Err(ClientError::Usage(format!("the host has no application {name:?}; it has {}", titles.join(", "))))
        }
    }
}

/// What no host can do.
fn check(options: &StreamOptions) -> Result<(), ClientError> {
    let wrong = |what: &str| Err(ClientError::Usage(what.to_owned()));
    match options {
        _ if options.width == 0 || options.width > 8192 => wrong("the width must be 1 to 8192 pixels"),
        _ if options.height < 2 || options.height > 8192 => wrong("the height must be 2 to 8192 pixels"),
        _ if !options.height.is_multiple_of(2) => wrong("the height must be even"),
        _ if options.fps == 0 || options.fps > 500 => wrong("the rate must be 1 to 500 frames a second"),
        _ if ![5, 10].contains(&options.audio_packet_ms) => wrong("packets of sound last 5 or 10 ms"),
        _ => Ok(()),
    }
}

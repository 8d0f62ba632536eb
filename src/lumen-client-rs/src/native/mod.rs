//! lumen/1 without GameStream (section 2.1 of its document): pairing, the applications of a host, and streams, over QUIC.
//! The streams themselves go their own way ([`Session`]), and go on when this connection ends.

mod connection;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lumen_core::gamestream::http::{App, AppId, CodecMask, Ports};
use lumen_core::gamestream::pairing::{Certificate, Pin};
use lumen_core::lumen1::native::pairing::{Binding, ClientPairing};
use lumen_core::lumen1::native::{Figures, REVISION, Refusal, Reply, Request, SECRET_LEN, Verb};

use crate::address::HostAddress;
use crate::analysis::Moments;
use crate::client::{Client, choose_app};
use crate::clock::{Clock, entropy};
use crate::error::ClientError;
use crate::identity::PinnedHost;
use crate::options::{Entry, StreamOptions};
use crate::report::HostReport;
use crate::session::{NativePlan, OpeningDecoder, Session, start_natively};
use connection::Connection;

/// How long a host may take for a reply.
const REPLY: Duration = Duration::from_secs(10);
/// For a launch, which waits for an application.
const LAUNCH: Duration = Duration::from_secs(120);
/// For somebody to type the PIN. Hosts give up after five minutes.
const PIN: Duration = Duration::from_secs(5 * 60 + 10);

/// What a host said about itself.
#[derive(Debug, Clone)]
struct Welcome {
    paired: bool,
    codecs: CodecMask,
    running: Option<AppId>,
    id: String,
    name: String,
}

/// A connection to a host by QUIC. Everything that it is asked waits for the answer; several threads take turns.
pub struct HostLink {
    connection: Connection,
    welcome: Welcome,
    host: SocketAddr,
}

impl HostLink {
    fn connect(client: &Client, host: &HostAddress, trusted: &tls::Trusted) -> Result<Self, ClientError> {
        let port = Ports::from_base(host.port()).map_err(|error| ClientError::Usage(error.to_string()))?.https;
        let mut last = None;
        for mut address in host.resolve()? {
            address.set_port(port);
            match Connection::open(address, client.store().identity(), trusted) {
                Ok(connection) => {
                    let welcome = welcome(&connection)?;
                    return Ok(Self { connection, welcome, host: address });
                }
                Err(error @ ClientError::Unreachable { .. }) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| ClientError::Unreachable {
            address: host.to_string(),
            reason: "the name has no address".into(),
        }))
    }

    /// What the host's user calls it.
    pub fn name(&self) -> &str {
        &self.welcome.name
    }

    /// Asks anything, as the protocol has it. What is refused comes back as a reply.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] if the connection has ended, or there is no reply in time.
    pub fn ask(&self, request: &Request) -> Result<Reply, ClientError> {
        self.connection.ask(request, REPLY)
    }

    /// The applications of the host.
    ///
    /// # Errors
    /// [`ClientError::Refused`] among others.
    pub fn apps(&self) -> Result<Vec<App>, ClientError> {
        let mut all = Vec::new();
        loop {
            let request = Request::Apps { first: u16::try_from(all.len()).unwrap_or(u16::MAX) };
            let Reply::Apps { total, apps } = self.wanted("list its applications", &request, REPLY)? else {
                return Err(unexpected("the list of applications"));
            };
            let more = !apps.is_empty();
            all.extend(apps);
            if all.len() >= usize::from(total) || !more {
                break;
            }
        }
        // A number that GameStream would not have names nothing that can be started.
        let known = |app: lumen_core::lumen1::native::App| {
            Some(App { title: app.title, id: AppId::new(app.id).ok()?, hdr: app.hdr, collector: false })
        };
        Ok(all.into_iter().filter_map(known).collect())
    }

    /// Ends the client's application, and its stream.
    ///
    /// # Errors
    /// [`ClientError::Refused`] among others.
    pub fn quit(&self) -> Result<(), ClientError> {
        match self.wanted("end the application", &Request::Quit, REPLY * 2)? {
            Reply::Quit => Ok(()),
            _ => Err(unexpected("the end of the application")),
        }
    }

    /// What the client's session came to until now.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if nothing runs, among others.
    pub fn figures(&self) -> Result<Figures, ClientError> {
        match self.wanted("say how the stream does", &Request::Figures, REPLY)? {
            Reply::Figures(figures) => Ok(figures),
            _ => Err(unexpected("the numbers of the stream")),
        }
    }

    /// Goes on from another local port, and so from another address if the network changed.
    pub fn change_address(&self) {
        self.connection.change_address();
    }

    pub(crate) fn launch(&self, request: &Request) -> Result<Reply, ClientError> {
        self.wanted("start the application", request, LAUNCH)
    }

    pub(crate) fn take(&self, request: &Request) -> Result<Reply, ClientError> {
        self.wanted("stream", request, REPLY)
    }

    /// What the keys of streams are made of, beside offer and answer.
    pub fn secret(&self) -> [u8; SECRET_LEN] {
        self.connection.exported().secret
    }

    /// The host, at the port of QUIC.
    pub(crate) fn host(&self) -> SocketAddr {
        self.host
    }

    /// A reply that is no refusal.
    fn wanted(&self, action: &'static str, request: &Request, limit: Duration) -> Result<Reply, ClientError> {
        match self.connection.ask(request, limit)? {
            Reply::Refused { refusal: Refusal::NotPaired, .. } => Err(ClientError::NotPaired {
                host: self.host.to_string(),
                reason: "the host does not know this client's certificate",
            }),
            Reply::Refused { text, .. } => Err(ClientError::Refused { action, reason: text }),
            reply => Ok(reply),
        }
    }
}

impl Client {
    /// Connects to a host by QUIC that this client is paired with.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::NotPaired`] or [`ClientError::OtherCertificate`].
    pub fn link(&self, host: &HostAddress) -> Result<HostLink, ClientError> {
        let known = self.store().hosts()?;
        let of = |host: &PinnedHost| Certificate::from_pem(&host.certificate).ok();
        // The one that was here, or else any that this client knows: hosts move.
        let here: Vec<_> = known.iter().filter(|known| known.address == host.to_string()).filter_map(of).collect();
        let pinned = if here.is_empty() { known.iter().filter_map(of).collect() } else { here };
        if pinned.is_empty() {
            let reason = "this client does not know the host's certificate";
            return Err(ClientError::NotPaired { host: host.to_string(), reason });
        }
        let link = HostLink::connect(self, host, &tls::Trusted::Only(pinned))?;
        if !link.welcome.paired {
            let reason = "the host does not know this client's certificate";
            return Err(ClientError::NotPaired { host: host.to_string(), reason });
        }
        Ok(link)
    }

    /// Connects to any host, of which nothing is known but that it has the key of the certificate that it shows. Such a
    /// connection is good for pairing.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] among others.
    pub fn link_to_stranger(&self, host: &HostAddress) -> Result<HostLink, ClientError> {
        HostLink::connect(self, host, &tls::Trusted::Anyone)
    }

    /// Pairs with a host over QUIC. `show` gets the PIN that the user types at the host: `pin`, or else a random one. Waits
    /// for the user for about five minutes. Returns the host's name and the certificate that is pinned now.
    ///
    /// # Errors
    /// [`ClientError::NativePairing`] if the host refuses or was given another PIN.
    pub fn pair_natively(
        &self,
        host: &HostAddress,
        pin: Option<&str>,
        show: impl FnOnce(&str),
    ) -> Result<(String, Certificate), ClientError> {
        let pin: Pin = match pin {
            Some(digits) => digits.parse().map_err(|_| ClientError::Usage("a PIN has exactly four digits".into()))?,
            None => Pin::generate(&mut entropy),
        };
        let link = self.link_to_stranger(host)?;
        show(&pin.reveal());
        let exported = link.connection.exported();
        let certificate = exported.certificate.clone();
        let binding = Binding {
            client: *self.store().identity().certificate().fingerprint().as_bytes(),
            host: *certificate.fingerprint().as_bytes(),
            exported: exported.pairing,
        };
        let failed = |error: &dyn std::fmt::Display| ClientError::NativePairing(error.to_string());
        let run = ClientPairing::new(&pin.reveal(), binding, &mut entropy);
        let request = Request::Pair { element: run.element(), name: device_name() };
        let run = match link.connection.ask(&request, PIN)? {
            Reply::Pair { element } => run.answer(&element).map_err(|error| failed(&error))?,
            Reply::Refused { text, .. } => return Err(failed(&text)),
            _ => return Err(unexpected("pairing")),
        };
        match link.connection.ask(&Request::Confirm { proof: run.proof() }, REPLY)? {
            Reply::Paired { proof } => run.check(&proof).map_err(|error| failed(&error))?,
            Reply::Refused { text, .. } => return Err(failed(&text)),
            _ => return Err(unexpected("pairing")),
        }
        let Welcome { id, name, .. } = link.welcome;
        self.store().pin(PinnedHost {
            unique_id: id,
            name: name.clone(),
            address: host.to_string(),
            certificate: certificate.to_pem().map_err(|error| ClientError::local("cannot store the host", error))?,
        })?;
        Ok((name, certificate))
    }

    /// Starts a stream that was agreed on over QUIC, and leaves it running.
    pub(crate) fn connect_natively(&self, host: &HostAddress, options: &StreamOptions) -> Result<Session, ClientError> {
        let clock = Clock::start();
        let decoder = OpeningDecoder::begin(options)?;
        let link = self.link(host)?;
        if !link.welcome.codecs.profiles().any(|profile| profile.codec() == options.codec) {
            let reason = format!("it has no encoder for {:?}", options.codec);
            return Err(ClientError::Refused { action: "stream", reason });
        }
        let moments = Moments { server_info: Some(clock.now()), ..Moments::default() };
        let (app, title) = choose_app(&link.apps()?, link.welcome.running, &options.app)?;
        let verb = match (options.entry, link.welcome.running) {
            (Entry::Launch, _) | (Entry::Auto, None) => Verb::Launch,
            (Entry::Resume, _) => Verb::Resume,
            (Entry::Auto, Some(running)) if running == app => Verb::Resume,
            (Entry::Auto, Some(_)) => {
                link.quit()?;
                Verb::Launch
            }
        };
        let report = HostReport {
            name: link.welcome.name.clone(),
            address: link.host.to_string(),
            version: format!("lumen/1 revision {REVISION}"),
            app: title,
            ..HostReport::default()
        };
        let plan = NativePlan { clock, moments, report, link: Arc::new(link), verb, app: app.get(), decoder };
        start_natively(plan, options)
    }
}

fn welcome(connection: &Connection) -> Result<Welcome, ClientError> {
    match connection.ask(&Request::Hello { revision: REVISION }, REPLY)? {
        Reply::Welcome { paired, codecs, running, id, name, .. } => {
            Ok(Welcome { paired, codecs, running: AppId::new(running).ok(), id, name })
        }
        Reply::Refused { text, .. } => Err(ClientError::Refused { action: "say who it is", reason: text }),
        _ => Err(unexpected("asking who the host is")),
    }
}

fn unexpected(step: &'static str) -> ClientError {
    ClientError::handshake(step, "the host answers something else")
}

/// What this machine is called.
fn device_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

//! A host as its users start it, and clients that are paired with it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lumen_client::report::{Ending, StreamReport};
use lumen_client::script::Script;
use lumen_client::{Client, ClientError, HostAddress, Session, StreamOptions};
use lumen_core::gamestream::http::Ports;
use lumen_core::gamestream::pairing::Certificate;
use lumen_host::admin::{AdminClient, EnterPin, PairingResult, SessionInfo, Status};
use lumen_host::gamestream::pairing_server::PendingAttempt;
use rustix::process::{Pid, Signal};

/// Bounds every wait. Nothing takes nearly as long on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Streams take turns: whoever holds this may stream.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether to run everything instead of a selection.
pub fn full() -> bool {
    std::env::var("LUMEN_TEST_FULL").is_ok_and(|value| value == "yes")
}

/// Waits until `look` finds something.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what}: it did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A small stream of 30 pictures a second.
pub fn small() -> StreamOptions {
    let mut options = StreamOptions::new(640, 360, 30, Duration::from_secs(2));
    options.bitrate_kbps = 3000;
    options.least_frames = 10;
    options.first_frame_timeout = PATIENCE;
    options
}

/// Something of every device, over a second and a half.
pub fn script(width: u32, height: u32) -> Script {
    let text = "
        at 0.1s key A tap
        key LEFTSHIFT down
        wait 100ms pointer 100 50
        button left click
        move 7 -3
        scroll 2
        key LEFTSHIFT up
        at 0.5s text \"grüße\"
        touch 1 down 20 30 0.5
        touch 1 move 60 40
        touch 1 up 60 40
        pen hover 100 60
        pen down 110 70 0.7 tilt 30 rotation 90 primary
        pen up 110 70
        at 0.9s pad 0 arrive playstation
        pad 0 button a down
        pad 0 stick left 0.5 -0.5
        pad 0 trigger right 1.0
        pad 0 touch 1 down 0.2 0.3
        pad 0 motion gyro 10 20 30
        pad 0 battery 80
        wait 100ms pad 0 touch 1 up 0.2 0.3
        pad 0 button a up
        pad 0 leave
    ";
    Script::parse(text, width, height).expect("a script")
}

/// A running `lumen serve` with a state of its own.
pub struct Host {
    directory: tempfile::TempDir,
    base: u16,
    child: Option<Child>,
}

impl Host {
    /// A host with the default configuration.
    pub fn start() -> Self {
        Self::with("")
    }

    /// A host with more configuration: TOML, top-level keys first.
    pub fn with(more: &str) -> Self {
        let mut host = Self::prepared(more);
        host.serve();
        host
    }

    /// A host that does not run yet.
    pub fn prepared(more: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("lumen-sessions").tempdir().expect("a directory");
        let base = free_base();
        let config = format!("name = \"under test\"\nport = {base}\nmdns = false\n{more}\n");
        fs::write(directory.path().join("lumen.toml"), config).expect("written");
        Self { directory, base, child: None }
    }

    /// A host with more configuration, whose metrics can be read.
    pub fn metered(more: &str) -> Self {
        let mut host = Self::prepared(more);
        let config = fs::read_to_string(host.path("lumen.toml")).expect("readable");
        let listen = format!("metrics.listen = \"127.0.0.1:{}\"", host.metrics_port());
        fs::write(host.path("lumen.toml"), format!("{config}\n{listen}\n")).expect("written");
        host.serve();
        host
    }

    fn metrics_port(&self) -> u16 {
        self.ports().http + 3
    }

    /// The value of one sample of its metrics.
    pub fn sample(&self, name: &str) -> f64 {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.metrics_port())).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("an answer");
        let line = page.lines().find(|line| line.rsplit_once(' ').is_some_and(|(found, _)| found == name));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_else(|| panic!("no {name} in {page}"))
    }

    /// The command that starts it.
    pub fn command(&self) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_lumen").as_ref())
    }

    fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LUMEN_") {
                command.env_remove(name);
            }
        }
        command
            .env("LUMEN_CONFIG", self.path("lumen.toml"))
            .env("LUMEN_STATE_DIR", self.path("state"))
            .env("LUMEN_RUNTIME_DIR", self.path("run"))
            .stdin(Stdio::null());
        command
    }

    /// A file or directory of this host.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts it, or starts it again, and waits until it answers.
    pub fn serve(&mut self) {
        let command = self.command();
        self.serve_by(command);
    }

    /// Starts it with a command of the caller's, to which `serve` is added.
    pub fn serve_by(&mut self, command: Command) {
        self.begin_to_serve_by(command);
        self.answers();
    }

    /// The same, without waiting for it.
    pub fn begin_to_serve_by(&mut self, mut command: Command) {
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log file");
        let child = command.arg("serve").stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
        self.child = Some(child);
    }

    /// Waits until it answers.
    pub fn answers(&mut self) {
        let pid = self.pid();
        eventually("the host answers", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("a child"));
            assert!(ended.is_none(), "the host ended: {}", self.log());
            self.admin().get::<Status>("/v1/status").ok().filter(|status| status.pid == pid)
        });
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn ports(&self) -> Ports {
        Ports::from_base(self.base).expect("in range")
    }

    pub fn address(&self) -> HostAddress {
        HostAddress::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.base)
    }

    pub fn address_v6(&self) -> HostAddress {
        HostAddress::new(IpAddr::V6(Ipv6Addr::LOCALHOST), self.base)
    }

    pub fn admin(&self) -> AdminClient {
        AdminClient::new(self.path("run").join("admin.sock"))
    }

    /// What `lumen status --json` prints.
    pub fn status(&self) -> Status {
        let output = self.command().args(["status", "--json"]).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.admin().get::<Status>("/v1/status").expect("the host answers").sessions
    }

    /// The session of a client, by the name that it was paired with.
    pub fn session_of(&self, client: &str) -> Option<SessionInfo> {
        self.sessions().into_iter().find(|session| session.client == client)
    }

    /// Process of that session's worker.
    pub fn worker_of(&self, client: &str) -> u32 {
        self.session_of(client).and_then(|session| session.worker_pid).expect("it has a worker")
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// A new client that the operator has let in under `name`.
    pub fn client(&self, name: &str) -> Client {
        let client = self.stranger(name);
        self.let_in(&client, name, "4711").unwrap_or_else(|error| panic!("{name}: {error}\n{}", self.log()));
        client
    }

    /// A new client that nobody knows.
    pub fn stranger(&self, name: &str) -> Client {
        Client::new(&self.path("clients").join(name)).expect("an identity")
    }

    /// Pairs: the client shows 4711, the operator types `typed`.
    pub fn let_in(&self, client: &Client, name: &str, typed: &str) -> Result<(), String> {
        self.let_in_by(client, name, typed, || client.pair(&self.address(), Some("4711"), |_| {}).map(drop))
    }

    /// Pairs as the caller does it: the client shows 4711, the operator types `typed`.
    pub fn let_in_by(
        &self,
        client: &Client,
        name: &str,
        typed: &str,
        pair: impl FnOnce() -> Result<(), ClientError> + Send,
    ) -> Result<(), String> {
        let fingerprint = client.store().identity().certificate().fingerprint();
        std::thread::scope(|scope| {
            let pairing = scope.spawn(pair);
            let waiting = eventually("the client waits for its PIN", || {
                let pending: Vec<PendingAttempt> = self.admin().get("/v1/pairing").ok()?;
                let own = pending.into_iter().find(|attempt| attempt.fingerprint == fingerprint);
                assert!(
                    own.is_some() || !pairing.is_finished(),
                    "pairing ended before its PIN: {:?}\n{}",
                    self.admin().get::<Status>("/v1/status"),
                    self.log()
                );
                own
            });
            let pin = EnterPin {
                pin: typed.to_owned(),
                id: Some(waiting.id),
                name: Some(name.to_owned()),
                ..EnterPin::default()
            };
            let said = self.admin().post::<PairingResult>("/v1/pairing", &pin).map_err(|error| error.to_string())?;
            match (pairing.join().expect("no panic"), said) {
                (Ok(_), PairingResult::Paired { .. }) => Ok(()),
                (Err(error), PairingResult::Failed { reason }) => Err(format!("{error}; the operator reads: {reason}")),
                (client, operator) => panic!("they disagree: {client:?} and {operator:?}"),
            }
        })
    }

    /// The host's certificate, from its state.
    pub fn certificate(&self) -> Certificate {
        let text = fs::read_to_string(self.path("state").join("identity.pem")).expect("an identity");
        let begin = text.find("-----BEGIN CERTIFICATE").expect("a certificate");
        Certificate::from_pem(&text[begin..]).expect("a certificate")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("ours");
        child.wait().expect("ours");
    }

    /// SIGTERM; how it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        self.end_by(Signal::TERM)
    }

    /// Any signal that ends it; how it ended.
    pub fn end_by(&mut self, by: Signal) -> ExitStatus {
        signal(self.pid(), by);
        let status = eventually("the host ends", || self.child.as_mut().expect("it runs").try_wait().expect("a child"));
        self.child = None;
        status
    }

    /// The workers of this host that live, whoever's children they are.
    pub fn workers(&self) -> Vec<u32> {
        let own = format!("LUMEN_RUNTIME_DIR={}", self.path("run").display());
        let processes = fs::read_dir("/proc").expect("a process list").filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let read = |name: &str| fs::read(format!("/proc/{pid}/{name}"));
            // An exited process that nobody has waited for has neither.
            let role = read("cmdline").ok()?.split(|byte| *byte == 0).nth(1)? == b"session";
            let ours = read("environ").ok()?.split(|byte| *byte == 0).any(|variable| variable == own.as_bytes());
            (role && ours).then_some(pid)
        });
        processes.collect()
    }

    /// Waits until no worker is left.
    pub fn is_deserted(&self) {
        eventually("all workers end", || self.workers().is_empty().then_some(()));
    }

    /// Open descriptors of the daemon.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("ours").count()
    }

    /// Memory of the daemon in kB: resident, not shared with files.
    pub fn memory_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("ours");
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("a number");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the host ---\n{}", self.log());
        }
        if self.child.is_some() {
            self.kill();
        }
        for pid in self.workers() {
            signal(pid, Signal::KILL);
        }
    }
}

/// Signals a process that a test knows to be its own.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
    // It may have ended just now.
    let _ = rustix::process::kill_process(pid, signal);
}

/// A base port whose ports are all free, below those that the system gives to clients.
fn free_base() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 250).expect("small") * 80;
    for _ in 0..250 {
        let base = 10_000 + (offset + NEXT.fetch_add(40, Ordering::Relaxed)) % 20_000;
        let ports = Ports::from_base(base).expect("in range");
        let tcp = |port| TcpListener::bind(("::", port)).is_ok();
        let udp = |port| UdpSocket::bind(("::", port)).is_ok();
        if [ports.http, ports.https, ports.rtsp].into_iter().all(tcp)
            && [ports.video, ports.audio, ports.control, ports.https].into_iter().all(udp)
        {
            return base;
        }
    }
    panic!("no free ports");
}

/// Starts a stream and waits for its first picture.
pub fn begin(client: &Client, host: &HostAddress, options: &StreamOptions) -> Session {
    let session = client.connect(host, options).unwrap_or_else(|error| panic!("no stream: {error}"));
    session.wait_for_picture(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    session
}

/// Waits until so many more pictures were decoded.
pub fn watch(session: &Session, pictures: u64) {
    let before = session.report().video.frames_decoded;
    let seen = session.wait_for(PATIENCE, |analysis| analysis.video.decoded_frames >= before + pictures);
    assert!(seen, "pictures stopped: {:?}\n{}", session.ending(), session.report());
}

/// Waits for the end of a stream.
pub fn ending(session: &Session) -> Ending {
    session.wait_for(PATIENCE, |_| false);
    session.ending()
}

/// Nothing was lost or broken on the way, in picture and sound.
pub fn assert_whole(report: &StreamReport) {
    assert_nothing_lost(report);
    assert_eq!(report.video.card.as_ref().map(|card| card.unreadable), Some(0), "{report}");
}

/// As [`assert_whole`], but pictures may look different from what was drawn: that is between the encoder and its
/// quality, and the decoder had no complaint.
pub fn assert_nothing_lost(report: &StreamReport) {
    let video = &report.video;
    let broken = [
        video.frames_lost,
        video.frames_dropped,
        video.decode_errors,
        video.decoder_overruns,
        video.datagrams_malformed,
        report.audio.packets_lost,
        report.audio.decode_errors,
    ];
    assert_eq!(broken, [0; 7], "{report}");
    let card = video.card.as_ref().unwrap_or_else(|| panic!("no test card: {report}"));
    assert_eq!((card.out_of_order, card.restarts), (0, 0), "{report}");
    assert_eq!(card.seen + card.repeated + card.unreadable, video.frames_decoded, "{report}");
}

/// Every picture of the display came to the client, but for those that the host says it did not encode: on a machine
/// without enough processors the newest picture takes the place of those before it. For a stream that has just been
/// stopped, of a session that is still there.
pub fn assert_accounted(host: &Host, client: &str, report: &StreamReport) {
    let card = report.video.card.as_ref().expect("a card");
    // A number that could not be read counts as missing as well.
    let missing = card.missing.saturating_sub(card.unreadable);
    eventually(&format!("the host accounts for {missing} pictures: {report}"), || {
        let session = host.session_of(client).expect("it is suspended");
        let sent = session.frames_sent >= report.video.frames_received;
        (sent && session.frames_dropped == 0 && session.frames_skipped >= missing).then_some(())
    });
}

/// The session's own tone is in every channel.
pub fn assert_tone(report: &StreamReport) {
    assert_eq!(report.audio.sound.len(), usize::from(report.audio.channels));
    for (place, sound) in report.audio.sound.iter().enumerate() {
        assert!(sound.clear_windows > 4 * (sound.other_windows + sound.silent_windows), "channel {place}: {report}");
        assert!((sound.heard_hertz - sound.expected_hertz).abs() < 1.0, "channel {place}: {report}");
    }
}

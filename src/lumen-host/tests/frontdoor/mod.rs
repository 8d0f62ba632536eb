//! What the front door's tests share: a host with fake sessions, and a small client of its own.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod client;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lumen_core::gamestream::http::{AppId, CodecMask, LaunchReply, LaunchRequest, Ports, Profile, SessionUrl};
use lumen_host::admin::{
    AdminClient, AdminServer, AdminState, NoSuchSession, SessionDirectory, SessionId, SessionInfo, Tally,
};
use lumen_host::apps::Surroundings;
use lumen_host::config::{BasePort, Config, HostName};
use lumen_host::gamestream::catalogue::AppCatalogue;
use lumen_host::gamestream::http_server::{ClientIdentity, HttpServer, LaunchService, RefusedReason, Shared};
use lumen_host::gamestream::pairing_server::PairingServer;
use lumen_host::store::{Fingerprint, Store};
use tokio::sync::oneshot;

/// Sessions that only exist as a note.
#[derive(Default)]
pub struct FakeSessions {
    pub running: Mutex<HashMap<Fingerprint, AppId>>,
    pub removed: Mutex<Vec<String>>,
    pub regranted: Mutex<Vec<String>>,
    pub tally: Mutex<Tally>,
    /// Launches that have begun.
    pub begun: AtomicUsize,
    /// No launch ends while somebody has this.
    pub held: Mutex<()>,
}

impl FakeSessions {
    fn url(request: &LaunchRequest, local: SocketAddr) -> LaunchReply {
        let session_url = SessionUrl::new(local.ip(), 48010, request.understands_encrypted_rtsp());
        LaunchReply { verb: request.verb, session_url }
    }
}

impl LaunchService for FakeSessions {
    fn codec_mask(&self) -> CodecMask {
        CodecMask::from_profiles([Profile::ALL[0]]).expect("one profile")
    }

    fn launch(
        &self,
        client: &ClientIdentity,
        request: LaunchRequest,
        local: SocketAddr,
        _: SocketAddr,
    ) -> Result<LaunchReply, RefusedReason> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        drop(self.held.lock().expect("unpoisoned"));
        let mut running = self.running.lock().expect("unpoisoned");
        if running.contains_key(&client.fingerprint) {
            return Err(RefusedReason::Busy);
        }
        running.insert(client.fingerprint, AppId::new(request.app).expect("the server checked it"));
        Ok(Self::url(&request, local))
    }

    fn resume(
        &self,
        client: &ClientIdentity,
        request: LaunchRequest,
        local: SocketAddr,
        _: SocketAddr,
    ) -> Result<LaunchReply, RefusedReason> {
        match self.running_app(client) {
            Some(_) => Ok(Self::url(&request, local)),
            None => Err(RefusedReason::NothingRunning),
        }
    }

    fn cancel(&self, client: &ClientIdentity) -> Result<(), RefusedReason> {
        self.running.lock().expect("unpoisoned").remove(&client.fingerprint);
        Ok(())
    }

    fn running_app(&self, client: &ClientIdentity) -> Option<AppId> {
        self.running.lock().expect("unpoisoned").get(&client.fingerprint).copied()
    }

    fn client_removed(&self, client: &ClientIdentity) {
        self.removed.lock().expect("unpoisoned").push(client.name.clone());
    }

    fn grants_changed(&self, client: &ClientIdentity) {
        self.regranted.lock().expect("unpoisoned").push(client.name.clone());
    }
}

impl SessionDirectory for FakeSessions {
    fn sessions(&self) -> Vec<SessionInfo> {
        Vec::new()
    }

    fn stop(&self, id: SessionId) -> Result<(), NoSuchSession> {
        Err(NoSuchSession(id))
    }

    fn encoders(&self) -> Vec<String> {
        vec!["fake (H.264)".to_owned()]
    }

    fn tally(&self) -> Tally {
        self.tally.lock().expect("unpoisoned").clone()
    }
}

/// A host that runs until it is dropped.
pub struct TestHost {
    pub config: Arc<Config>,
    pub sessions: Arc<FakeSessions>,
    pub store: Arc<Store>,
    pub ports: Ports,
    pub admin_tcp: Option<SocketAddr>,
    pub web: Option<SocketAddr>,
    pub metrics: Option<SocketAddr>,
    directory: tempfile::TempDir,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestHost {
    /// A host with the default configuration, on free ports.
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// A host whose configuration `change` has changed.
    pub fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = Config {
            name: HostName::try_from("den & pc".to_owned()).expect("a name"),
            port: free_base(),
            state_dir: directory.path().join("state"),
            runtime_dir: directory.path().join("run"),
            mdns: false,
            ..Config::default()
        };
        change(&mut config);
        let config = Arc::new(config);
        let store = Arc::new(Store::open(&config).expect("a state directory"));
        let ports = Ports::from_base(config.port.get()).expect("a valid base");
        let sessions = Arc::new(FakeSessions::default());
        // What is installed on this machine is not this host's.
        let surroundings = Surroundings { data_home: directory.path().join("data"), ..Surroundings::default() };
        let apps = Arc::new(AppCatalogue::with_discovery(&config, &store, surroundings).expect("applications"));
        let pairing = Arc::new(PairingServer::new(Arc::clone(store.identity())));

        let (shutdown, stopped) = oneshot::channel::<()>();
        let (ready, wait) = std::sync::mpsc::channel();
        let shared = Shared {
            config: Arc::clone(&config),
            ports,
            store: Arc::clone(&store),
            apps: Arc::clone(&apps),
            pairing: Arc::clone(&pairing),
            launch: Arc::clone(&sessions) as _,
        };
        let admin = AdminState {
            config: Arc::clone(&config),
            store: Arc::clone(&store),
            apps,
            pairing,
            sessions: Arc::clone(&sessions) as _,
            launch: Arc::clone(&sessions) as _,
            examine: Arc::new(|| Ok(serde_json::json!({ "version": "0", "status": "ok", "findings": [] }))),
            started: Instant::now(),
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let http = HttpServer::bind(shared).expect("free ports");
                let admin = AdminServer::bind(admin).expect("a free socket");
                ready
                    .send([admin.tcp_address(), admin.web_address(), admin.metrics_address()])
                    .expect("the test waits");
                let (stop, stopping) = tokio::sync::watch::channel(());
                let until = |mut stopping: tokio::sync::watch::Receiver<()>| async move {
                    let _ = stopping.changed().await;
                };
                let http = http.run(until(stopping.clone()));
                let admin = admin.run(until(stopping));
                let _ = tokio::join!(http, admin, async move {
                    let _ = stopped.await;
                    drop(stop);
                });
            });
        });
        let [admin_tcp, web, metrics] = wait.recv().expect("the host starts");
        Self {
            config,
            sessions,
            store,
            ports,
            admin_tcp,
            web,
            metrics,
            directory,
            shutdown: Some(shutdown),
            thread: Some(thread),
        }
    }

    /// HTTP over IPv4.
    pub fn http(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::from([127, 0, 0, 1]), self.ports.http)
    }

    /// HTTPS over IPv4.
    pub fn https(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::from([127, 0, 0, 1]), self.ports.https)
    }

    pub fn admin(&self) -> AdminClient {
        AdminClient::new(self.config.admin_socket())
    }

    pub fn admin_stream(&self) -> UnixStream {
        UnixStream::connect(self.config.admin_socket()).expect("the admin socket")
    }

    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Stops the host and starts it again on the same state.
    pub fn stop(&mut self) {
        drop(self.shutdown.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a clean end");
        }
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A base port whose TCP ports are free. Test programs that run at the same time start at different places.
pub fn free_base() -> BasePort {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 300).expect("small") * 100;
    for _ in 0..200 {
        let base = 20_000 + (offset + NEXT.fetch_add(40, Ordering::Relaxed)) % 30_000;
        let free = |port| TcpListener::bind(("::", port)).is_ok();
        if free(base) && free(base - 5) && free(base + 21) {
            return BasePort::new(base).expect("in range");
        }
    }
    panic!("no free ports");
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < until, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

//! Starting and stopping the daemon.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use lumen_core::gamestream::http::{Codec, CodecMask, Ports, Profile};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::admin::{AdminServer, AdminState, Examination};
use crate::apps::Surroundings;
use crate::config::Config;
use crate::display::desktop::clean_up_abandoned;
use crate::encode::{EncoderInfo, EncoderPreference};
use crate::gamestream::catalogue::AppCatalogue;
use crate::gamestream::http_server::{HttpServer, Shared};
use crate::gamestream::media_sockets::{self, MediaSockets};
use crate::gamestream::pairing_server::PairingServer;
use crate::gamestream::rtsp_server::{self, Offer};
use crate::gamestream::{control_server, listen, mdns};
use crate::link::{FromWorker, Link};
#[cfg(feature = "quic")]
use crate::native::{self, NativeServer};
use crate::net::sockets::{Dscp, Sharing, bind_udp};
use crate::notify::Notifier;
use crate::store::Store;

use super::engine::{Encoders, Engine, EngineConfig};

/// How often the engine looks for what is overdue.
const TICK: Duration = Duration::from_millis(250);

/// Runs the daemon until SIGTERM or SIGINT, which end all sessions as well, or until SIGUSR2, which leaves them to the
/// next daemon: their programs and streams go on, and clients whose connection that daemon can read notice nothing.
///
/// # Errors
/// If a port, the state directory or anything else that it cannot do without is missing; the message says what to
/// do.
pub fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(Arc::new(config)))
}

/// What becomes of the sessions when the daemon ends.
#[derive(Debug, Clone, Copy)]
enum Sessions {
    End,
    Stay,
}

/// The signals that end the daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    restart: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            restart: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Sessions {
        tokio::select! {
            _ = self.terminate.recv() => Sessions::End,
            _ = self.interrupt.recv() => Sessions::End,
            _ = self.restart.recv() => Sessions::Stay,
        }
    }
}

async fn serve(config: Arc<Config>) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut signals = Signals::new()?;
    let ports = Ports::from_base(config.port.get())?;
    let store = Arc::new(Store::open(&config)?);
    let apps = Arc::new(AppCatalogue::with_discovery(&config, &store, Surroundings::of_process())?);
    let offered = apps.entries().len();
    let encoder = config.encoder.preference();
    let mut probe = probe(encoder)?;

    // The exclusive ports first: they tell whether another host runs here.
    let mut rtsp_listeners = Vec::new();
    for address in &config.bind {
        rtsp_listeners.push(tokio::net::TcpListener::from_std(listen::tcp(*address, ports.rtsp, "RTSP")?)?);
    }
    let mut control_sockets = Vec::new();
    for address in &config.bind {
        control_sockets.push(bind_udp("control", *address, ports.control, Sharing::Exclusive)?);
    }
    let sockets = Arc::new(MediaSockets::bind(&config.bind, ports)?);
    let reunion = config.runtime_dir.join("workers.sock");
    let engine = Engine::new(
        EngineConfig {
            ports,
            encoder,
            audio_complexity: config.audio.complexity,
            sessions: config.runtime_dir.join("sessions"),
            reunion: reunion.clone(),
            apps: Arc::clone(&apps),
            store: Arc::clone(&store),
            stream: config.stream.clone(),
            log: config.log.clone(),
        },
        Arc::clone(&sockets),
    );
    let dscp = if config.stream.dscp { Dscp::On } else { Dscp::Off };
    let peers = usize::from(config.stream.max_sessions) * 2 + 8;
    let (control, control_thread) = control_server::start(control_sockets, dscp, peers, Arc::clone(&engine) as _)?;
    engine.set_control(control.clone());
    let (media_stopped, stop_media) = std::io::pipe()?;
    let media_thread = media_sockets::start(sockets, media_stopped.into(), Arc::clone(&engine) as _)?;

    let pairing = Arc::new(PairingServer::new(Arc::clone(store.identity())));
    let http = HttpServer::bind(Shared {
        config: Arc::clone(&config),
        ports,
        store: Arc::clone(&store),
        apps: Arc::clone(&apps),
        pairing: Arc::clone(&pairing),
        launch: Arc::clone(&engine) as _,
    })?;
    #[cfg(feature = "quic")]
    let native = if config.quic {
        let (config, store, apps) = (Arc::clone(&config), Arc::clone(&store), Arc::clone(&apps));
        let (pairing, engine) = (Arc::clone(&pairing), Arc::clone(&engine));
        Some(NativeServer::bind(native::Shared { config, store, apps, pairing, engine }, ports.https)?)
    } else {
        None
    };
    let admin = AdminServer::bind(AdminState {
        config: Arc::clone(&config),
        store: Arc::clone(&store),
        apps,
        pairing,
        sessions: Arc::clone(&engine) as _,
        launch: Arc::clone(&engine) as _,
        examine: examination(&config)?,
        started,
    })?;
    let abandoned = config.runtime_dir.join("sessions");
    // A desktop that hangs may take its time.
    std::thread::Builder::new().name("clean-up".into()).spawn(move || clean_up_abandoned(&abandoned))?;
    receive_workers(&reunion, Arc::clone(&engine)).with_context(|| format!("listening on {}", reunion.display()))?;
    // Sessions of an earlier daemon go on from here, with their controls and media. All other requests wait in the
    // queues of their sockets until it is known what can be encoded, which takes seconds on some machines.
    let mut tick = tokio::time::interval(TICK);
    let found = loop {
        tokio::select! {
            found = &mut probe => break Ok(found.context("asking which encoders work")??),
            _ = tick.tick() => engine.tick(),
            sessions = signals.next() => break Err(sessions),
        }
    };
    let (shutdown, stopped) = watch::channel(());
    let (mut servers, mut rtsp) = (JoinSet::new(), JoinSet::new());
    let sessions = match found {
        Err(sessions) => sessions,
        Ok(found) => {
            engine.set_encoders(Encoders {
                codecs: mask(&found)?,
                names: found.iter().map(ToString::to_string).collect(),
            });
            let offer = offer(&config, &found);
            for listener in rtsp_listeners {
                rtsp.spawn(rtsp_server::serve(listener, Arc::clone(&engine), Arc::clone(&offer)));
            }
            servers.spawn(http.run(told(&stopped)));
            servers.spawn(admin.run(told(&stopped)));
            #[cfg(feature = "quic")]
            if let Some(native) = native {
                servers.spawn(native.run(told(&stopped)));
            }
            let _announcement = if config.mdns {
                mdns::Announcement::start(&config.name, store.host_id(), ports.http, &config.bind)
                    .inspect_err(
                        |error| tracing::warn!(%error, "not announced by mDNS; clients must add this host by address"),
                    )
                    .ok()
            } else {
                None
            };
            tracing::info!(port = ports.http, apps = offered, "lumen is ready");
            let notifier = Notifier::ready(&format!("listening on port {}", ports.http));
            let sessions = loop {
                tokio::select! {
                    _ = tick.tick() => {
                        engine.tick();
                        notifier.alive(&engine.summary());
                    }
                    sessions = signals.next() => break sessions,
                }
            };
            notifier.stopping();
            sessions
        }
    };
    tracing::info!(?sessions, "shutting down");
    match sessions {
        Sessions::End => {
            engine.shut_down();
            control.shutdown();
        }
        Sessions::Stay => engine.leave(),
    }
    let _ = tokio::task::spawn_blocking(move || control_thread.join()).await;
    let _ = shutdown.send(());
    rtsp.shutdown().await;
    while servers.join_next().await.is_some() {}
    drop(stop_media);
    let _ = media_thread.join();
    if matches!(sessions, Sessions::End) {
        let _ = tokio::task::spawn_blocking(move || engine.wait_for_ends()).await;
    }
    let _ = std::fs::remove_file(&reunion);
    Ok(())
}

/// Ends when the daemon does.
fn told(stopped: &watch::Receiver<()>) -> impl Future<Output = ()> + Send + use<> {
    let mut stopped = stopped.clone();
    async move {
        let _ = stopped.changed().await;
    }
}

/// Asks which encoders work. On a thread that a daemon which ends meanwhile does not wait for.
fn probe(preference: EncoderPreference) -> std::io::Result<oneshot::Receiver<anyhow::Result<Vec<EncoderInfo>>>> {
    let (answer, answered) = oneshot::channel();
    std::thread::Builder::new().name("probe".into()).spawn(move || {
        // Nobody listens any more in a daemon that ends.
        let _ = answer.send(super::worker::probe_encoders(preference));
    })?;
    Ok(answered)
}

/// The doctor, for one caller at a time. It reads the configuration that is in force from a file of its own: it runs
/// elsewhere, where the flags and perhaps the variables of this daemon are not known.
fn examination(config: &Config) -> anyhow::Result<Examination> {
    let file = config.runtime_dir.join("in-force.toml");
    let text = toml::to_string(config).context("writing down the configuration")?;
    let turn = Mutex::new(());
    Ok(Arc::new(move || {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        std::fs::write(&file, &text).with_context(|| format!("writing {}", file.display()))?;
        super::worker::examine(&file)
    }))
}

/// Takes back workers that outlived an earlier daemon.
fn receive_workers(path: &std::path::Path, engine: Arc<Engine>) -> anyhow::Result<()> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with};
    use std::os::unix::fs::PermissionsExt;

    let _ = std::fs::remove_file(path);
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listen(&socket, 16)?;
    std::thread::Builder::new().name("reunion".into()).spawn(move || {
        loop {
            let Ok(fd) = accept_with(&socket, SocketFlags::CLOEXEC) else {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            let link = Link::from(fd);
            match link.receive::<FromWorker>(Some(Duration::from_secs(2))) {
                Ok(Some((FromWorker::Reunion(resumable), _))) => engine.adopt(link, *resumable),
                other => tracing::warn!(?other, "a worker came back without saying who it is"),
            }
        }
    })?;
    Ok(())
}

/// What clients are told that this host encodes: only what an encoder here really opened.
fn mask(found: &[EncoderInfo]) -> anyhow::Result<CodecMask> {
    let profiles = found.iter().filter_map(|encoder| Profile::new(encoder.codec, encoder.depth, encoder.chroma));
    CodecMask::from_profiles(profiles).context("no video encoder works on this machine; see `lumen doctor`")
}

fn offer(config: &Config, found: &[EncoderInfo]) -> Arc<Offer> {
    let codecs = [Codec::H264, Codec::Hevc, Codec::Av1];
    Arc::new(Offer {
        codecs: codecs.into_iter().filter(|codec| found.iter().any(|encoder| encoder.codec == *codec)).collect(),
        // Every encoder answers an invalidation: by leaving the references out, or with a key frame.
        reference_invalidation: true,
        encryption: config.stream.encryption,
    })
}

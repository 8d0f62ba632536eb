//! Whatever strangers, mistakes and full disks do: each gets a clear answer, and a running stream loses nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::time::Duration;

use lumen_client::report::Ending;
use lumen_client::{Client, ClientError, Session};
use lumen_core::enet::{self, PeerAddress};
use lumen_core::gamestream::control::ClientMessage;
use lumen_core::time::Timestamp;
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::X509;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::harness::{
    Host, assert_accounted, assert_tone, assert_whole, begin, eventually, script, small, turn, watch,
};

/// SplitMix64: bytes that are the same in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = 1 + self.next() as usize % most;
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Something real, cut off or with a few bytes changed.
    fn spoil(&mut self, mut good: Vec<u8>) -> Vec<u8> {
        if self.next().is_multiple_of(2) {
            good.truncate(self.next() as usize % good.len().max(1));
        } else {
            for _ in 0..1 + self.next() % 4 {
                let at = self.next() as usize % good.len().max(1);
                good[at] = self.next() as u8;
            }
        }
        good
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A stream that must come through whole, whatever happens in `meanwhile`.
fn undisturbed(host: &Host, meanwhile: impl FnOnce()) {
    let client = host.client("undisturbed");
    let session: Session = begin(&client, &host.address(), &small());
    let (pid, worker) = (host.pid(), host.worker_of("undisturbed"));
    meanwhile();
    // Input still arrives, and pictures come.
    for step in script(640, 360).steps {
        session.send(step.event);
    }
    watch(&session, 15);
    assert_eq!((host.pid(), host.worker_of("undisturbed")), (pid, worker));
    let report = session.stop().expect("a report");
    assert_eq!(report.ending, Ending::Completed, "{report}");
    assert_whole(&report);
    assert_accounted(host, "undisturbed", &report);
    assert_tone(&report);
    assert_eq!(report.input.complete, Some(true), "{report}");
    assert!(!host.log().contains("panicked"), "{}", host.log());
}

/// Sends bytes, closes its side, and reads whatever comes until the host closes too.
fn talk(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(at(port)).expect("the port is open");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let mut answer = Vec::new();
    // The host may have had enough before all is sent.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn nonsense_on_every_port_disturbs_nobody() {
    let _turn = turn();
    let host = Host::start();
    let ports = host.ports();
    undisturbed(&host, || {
        let mut noise = Noise(1);
        let requests: [&[u8]; 6] = [
            b"GET /serverinfo?uniqueid=1&uuid=2 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /pair?uniqueid=1&devicename=roth&updateState=1&phrase=getservercert&salt=00&clientcert=00 HTTP/1.1\r\n\r\n",
            b"OPTIONS rtsp://127.0.0.1:48010 RTSP/1.0\r\nCSeq: 1\r\nX-GS-ClientVersion: 14\r\n\r\n",
            b"ANNOUNCE streamid=control/13/0 RTSP/1.0\r\nCSeq: 6\r\nContent-length: 99999999\r\n\r\nv=0\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"\x80\x00\x00\x20\x00\x00\x00\x01aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb",
        ];
        for port in [ports.http, ports.https, ports.rtsp] {
            for round in 0..30 {
                let bytes = match round % 3 {
                    0 => noise.bytes(600),
                    1 => noise.spoil(requests[round % requests.len()].to_vec()),
                    _ => requests[round % requests.len()].to_vec(),
                };
                talk(port, &bytes);
            }
            // One that goes on and on, and one that says nothing.
            talk(port, &vec![b'A'; 300_000]);
            drop(TcpStream::connect(at(port)).expect("the port is open"));
        }
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        for port in [ports.video, ports.audio, ports.control] {
            for round in 0..400 {
                let bytes = match round % 4 {
                    0 => b"PING".to_vec(),
                    1 => noise.spoil(b"0123456789abcdef\x00\x00\x00\x01".to_vec()),
                    _ => noise.bytes(1400),
                };
                socket.send_to(&bytes, at(port)).expect("sent");
            }
            socket.send_to(&[], at(port)).expect("sent");
        }
    });
}

/// Connections that look right to ENet, from somebody who does not know what only the client was told.
#[test]
fn strangers_on_the_control_port_disturb_nobody() {
    let _turn = turn();
    let host = Host::start();
    let control = at(host.ports().control);
    undisturbed(&host, || {
        let mut noise = Noise(2);
        for round in 0..20u32 {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            socket.connect(control).expect("loopback");
            socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket");
            let entropy = move |buffer: &mut [u8]| buffer.fill(round as u8);
            let mut stranger = enet::Host::new(enet::HostConfig::client(), entropy);
            let peer = PeerAddress::new(control);
            stranger.connect(peer, ClientMessage::CHANNELS, noise.next() as u32).expect("a place");
            let mut buffer = [0; 2048];
            for step in 0..10u64 {
                let now = Timestamp::from_millis(step * 20);
                while let Some(transmit) = stranger.poll_transmit(now) {
                    socket.send(&transmit.bytes).expect("sent");
                    // And the same once more, spoilt.
                    let _ = socket.send(&noise.spoil(transmit.bytes.to_vec()));
                }
                while let Ok(length) = socket.recv(&mut buffer) {
                    let _ = stranger.receive(peer, &buffer[..length], now);
                }
                while stranger.poll_event().is_some() {}
            }
        }
    });
    assert_eq!(host.sessions().len(), 1);
}

/// GET over TLS with a client's certificate, or without one.
fn secure_get(host: &Host, path: &str, client: Option<&Client>) -> String {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).expect("TLS");
    builder.set_verify(SslVerifyMode::NONE);
    if let Some(client) = client {
        let identity = client.store().identity();
        let key = PKey::private_key_from_pem(identity.key_pem().expect("a key").as_bytes()).expect("a key");
        builder.set_private_key(&key).expect("a key");
        builder.set_certificate(&X509::from_der(identity.certificate().der()).expect("a certificate")).expect("fits");
    }
    let stream = TcpStream::connect(at(host.ports().https)).expect("the port is open");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let configuration = builder.build().configure().expect("TLS").verify_hostname(false);
    get(configuration.connect("host", stream).expect("a handshake"), path)
}

fn get(mut stream: impl Read + Write, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: host\r\n\r\n").expect("sent");
    let mut answer = String::new();
    // Hosts close without a farewell of TLS.
    let _ = stream.read_to_string(&mut answer);
    answer
}

const ENDPOINTS: [&str; 5] = [
    "/applist?uniqueid=1&uuid=2",
    "/appasset?uniqueid=1&uuid=2&appid=1&AssetType=2&AssetIdx=0",
    "/launch?uniqueid=1&uuid=2&appid=1&mode=640x360x30&additionalStates=1&sops=0&rikey=00112233445566778899aabbccddeeff&rikeyid=1&localAudioPlayMode=0&surroundAudioInfo=196610",
    "/resume?uniqueid=1&uuid=2&rikey=00112233445566778899aabbccddeeff&rikeyid=1&surroundAudioInfo=196610",
    "/cancel?uniqueid=1&uuid=2",
];

#[test]
fn unpaired_clients_reach_nothing() {
    let _turn = turn();
    let host = Host::start();
    let stranger = host.stranger("stranger");
    undisturbed(&host, || {
        for endpoint in ENDPOINTS {
            let plain = TcpStream::connect(at(host.ports().http)).expect("the port is open");
            let answers =
                [get(plain, endpoint), secure_get(&host, endpoint, Some(&stranger)), secure_get(&host, endpoint, None)];
            for answer in answers {
                assert!(answer.contains("status_code=\"401\""), "{endpoint}: {answer}");
            }
        }
        let refused = stranger.connect(&host.address(), &small());
        assert!(matches!(refused, Err(ClientError::NotPaired { .. })), "{:?}", refused.map(drop));
        assert_eq!(host.sessions().len(), 1);
    });
}

#[test]
fn pairing_beside_a_stream_disturbs_nobody() {
    let _turn = turn();
    let host = Host::start();
    undisturbed(&host, || {
        let (wrong, right) = (host.stranger("wrong"), host.stranger("right"));
        // At the same time, each with its own PIN.
        std::thread::scope(|scope| {
            let host = &host;
            let wrong = scope.spawn(move || host.let_in(&wrong, "wrong", "9999"));
            let right = scope.spawn(move || host.let_in(&right, "right", "4711"));
            let refused = wrong.join().expect("no panic").expect_err("the PIN was wrong");
            assert!(refused.contains("PIN"), "{refused}");
            right.join().expect("no panic").expect("the PIN was right");
        });
        let listed = host.command().args(["clients", "list"]).output().expect("it runs");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(listed.contains("right") && !listed.contains("wrong"), "{listed}");
    });
}

fn failure(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(1), "{text}");
    text
}

#[test]
fn a_second_host_is_told_what_is_in_its_way() {
    let _turn = turn();
    let host = Host::start();
    let other = Host::prepared("");
    undisturbed(&host, || {
        let base = host.ports().http.to_string();
        let text = failure(other.command().args(["serve", "--port", &base]));
        let last = text.lines().last().expect("a message");
        let named = [host.ports().http, host.ports().https, host.ports().rtsp, host.ports().control]
            .iter()
            .any(|port| last.contains(&port.to_string()));
        let service = ["HTTP", "HTTPS", "RTSP", "control"].iter().any(|service| last.contains(service));
        assert!(named && service && last.contains("in use") && last.contains("`port`"), "{last}");
        // The same directories: it is told whose they are.
        let text = failure(host.command().arg("serve"));
        assert!(text.contains("in use by another lumen"), "{text}");
    });
}

#[test]
fn a_state_directory_that_cannot_be_written_is_explained() {
    let _turn = turn();
    let host = Host::start();
    let other = Host::prepared("");
    undisturbed(&host, || {
        let open = |path: &std::path::Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
        let state = other.path("state");
        fs::create_dir(&state).expect("ours");
        open(&other.path(""));
        open(&state);
        let program = other.path("lumen");
        fs::copy(env!("CARGO_BIN_EXE_lumen"), &program).expect("copied");
        let mut command = other.command();
        let mut wrapped = Command::new(program);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        command = wrapped;
        // Nothing is read-only for root.
        if rustix::process::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        } else {
            fs::set_permissions(&state, fs::Permissions::from_mode(0o555)).expect("ours");
        }
        let text = failure(command.arg("serve"));
        open(&state);
        assert!(text.contains("read-only for this user") && text.contains("make it writable"), "{text}");
    });
}

/// No file of the daemon can grow any more, its log included: what a full disk is like, without filling one.
#[test]
fn a_full_disk_refuses_what_must_be_stored_and_nothing_else() {
    let _turn = turn();
    let mut host = Host::prepared("");
    // What would be a signal on this machine is an error on a full disk.
    let mut command = host.command();
    let mut wrapped = Command::new("sh");
    wrapped.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_lumen")]);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped.stdin(std::process::Stdio::null());
    command = wrapped;
    host.serve_by(command);
    let pid = i32::try_from(host.pid()).ok().and_then(Pid::from_raw);
    let late = host.stranger("late");
    undisturbed(&host, || {
        let limit = |bytes| prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None });
        limit(Some(0)).expect("ours");
        let refused = host.let_in(&late, "late", "4711").expect_err("it cannot be stored");
        println!("{refused}");
        assert!(refused.contains("state directory") || refused.contains("cannot"), "{refused}");
        assert!(!late.info(&host.address()).expect("it answers").info.paired);
        // Streams need no disk.
        let known = host.stranger("undisturbed");
        assert!(known.info(&host.address()).expect("it answers").info.paired);
        limit(None).expect("ours");
        host.let_in(&late, "late", "4711").unwrap_or_else(|error| panic!("there is room again: {error}"));
        eventually("it is paired", || late.info(&host.address()).expect("it answers").info.paired.then_some(()));
    });
}

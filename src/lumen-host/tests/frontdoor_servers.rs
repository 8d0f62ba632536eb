//! HTTP, HTTPS and the management interface over real sockets, with fake sessions behind them.

mod frontdoor;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use frontdoor::client::{TestClient, connect, exchange, is_compact_xml, raw};
use frontdoor::{TestHost, eventually, free_base};
use lumen_core::gamestream::http::{Channel, HostState, ServerInfo};
use lumen_host::admin::{AdminClientError, Status};
use lumen_host::config::{AppConfig, ClientConfig, Config, DisplayKind, HostName};
use lumen_host::gamestream::listen;
use lumen_host::store::{Client, Store};
use openssl::ssl::SslVersion;

const LAUNCH: &str =
    "mode=1280x720x60&rikey=000102030405060708090a0b0c0d0e0f&rikeyid=-5&localAudioPlayMode=0&corever=1";
const PROTECTED: [&str; 5] = ["/applist", "/appasset", "/launch", "/resume", "/cancel"];

fn declared(name: &str, client: &TestClient) -> ClientConfig {
    ClientConfig {
        name: HostName::try_from(name.to_owned()).expect("a name"),
        certificate: None,
        fingerprint: Some(client.certificate().fingerprint()),
        input: None,
        apps: None,
        clipboard: None,
        microphone: None,
    }
}

fn host_of(clients: &[&TestClient]) -> TestHost {
    TestHost::start_with(|config| {
        config.clients = clients.iter().enumerate().map(|(n, client)| declared(&format!("c{n}"), client)).collect();
    })
}

#[test]
fn server_information_is_what_clients_expect() {
    let client = TestClient::new("abc");
    let host = host_of(&[&client]);
    let plain = client.http(&host, "/serverinfo", "");
    let info = ServerInfo::parse(&plain.text(), Channel::Http).expect("readable");
    assert_eq!((info.hostname.as_str(), info.unique_id.as_str()), ("den & pc", host.store.host_id()));
    assert_eq!((info.https_port, info.paired, info.state), (host.ports.https, false, HostState::Free));
    assert_eq!(plain.element("mac").as_deref(), Some("00:00:00:00:00:00"));
    assert_eq!(plain.element("LocalIP").as_deref(), Some("127.0.0.1"));
    let secure = client.https(&host, "/serverinfo", "");
    assert!(ServerInfo::parse(&secure.text(), Channel::Https).expect("readable").paired);
    assert!(is_compact_xml(&plain.text()) && is_compact_xml(&secure.text()));
}

#[test]
fn an_application_that_is_not_granted_does_not_exist_for_the_client() {
    let (free, bound) = (TestClient::new("a"), TestClient::new("b"));
    let host = TestHost::start_with(|config| {
        let title = HostName::try_from("Test card".to_owned()).expect("a title");
        config.clients =
            vec![declared("free", &free), ClientConfig { apps: Some(vec![title]), ..declared("bound", &bound) }];
    });
    let titles = |client: &TestClient| client.https(&host, "/applist", "").text().matches("<AppTitle>").count();
    assert_eq!((titles(&free), titles(&bound)), (2, 1));
    let list = free.https(&host, "/applist", "").text();
    let ids: Vec<&str> = list.split("<ID>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
    let launch = |client: &TestClient, id: &str| client.https(&host, "/launch", &format!("appid={id}&{LAUNCH}")).code();
    let art = |client: &TestClient, id: &str| client.https(&host, "/appasset", &format!("appid={id}")).status;
    assert_eq!((art(&free, ids[1]), art(&bound, ids[0]), art(&bound, ids[1])), (200, 200, 404));
    assert_eq!(launch(&bound, ids[1]), 400);
    assert_eq!((launch(&bound, ids[0]), launch(&free, ids[1])), (200, 200));
}

#[test]
fn both_address_families_and_both_tls_versions_are_served() {
    let client = TestClient::new("abc");
    let host = host_of(&[&client]);
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), host.ports.http);
    let answer = exchange(connect(v6, None).expect("IPv6"), "/serverinfo?uniqueid=1").expect("an answer");
    assert_eq!(answer.element("LocalIP").as_deref(), Some("127.0.0.1"), "no IPv6 address may stand there");
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        assert_eq!(client.secure(&host, "/applist", Some(version), true).expect("an answer").code(), 200);
    }
    assert!(client.secure(&host, "/applist", Some(SslVersion::TLS1_1), true).is_err());
}

#[test]
fn replies_close_their_connection_and_say_their_length() {
    let client = TestClient::new("abc");
    let host = host_of(&[&client]);
    let ask = |bytes: &[u8]| raw(connect(host.http(), None).expect("connects"), bytes);
    let answer = ask(b"GET /serverinfo HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n").expect("an answer");
    let head = answer.head.to_lowercase();
    assert!(head.contains("connection: close") && head.contains("content-type: application/xml"), "{head}");
    assert!(head.contains(&format!("content-length: {}", answer.body.len())), "{head}");

    let unknown = client.http(&host, "/no-such-path", "");
    assert_eq!((unknown.status, unknown.code()), (404, 404));
    let post =
        ask(b"POST /actions/clipboard HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello").expect("an answer");
    assert_eq!((post.status, post.code()), (404, 404));
    assert_eq!(ask(b"GET /serverinfo HTTP/1.0\r\n\r\n").expect("an answer").code(), 200);

    let long = |length: usize| format!("GET /serverinfo?a={} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(length));
    assert_eq!(ask(long(15_000).as_bytes()).expect("an answer").code(), 200);
    assert_eq!(ask(long(18_000).as_bytes()).expect("an answer").code(), 414);
    assert!(ask(long(100_000).as_bytes()).is_refused_with(431));
}

trait Refused {
    fn is_refused_with(&self, status: u16) -> bool;
}

impl Refused for std::io::Result<frontdoor::client::Answer> {
    /// A server that stops reading may reset the connection before its answer is read.
    fn is_refused_with(&self, status: u16) -> bool {
        self.as_ref().map_or(true, |answer| answer.status == status)
    }
}

#[test]
fn strangers_get_root_401_on_every_path() {
    let (pinned, stranger, expired) = (TestClient::new("a"), TestClient::new("b"), TestClient::expired("c"));
    let host = host_of(&[&pinned]);
    for path in PROTECTED.into_iter().chain(["/serverinfo", "/pair", "/unpair", "/nothing"]) {
        for client in [&stranger, &expired] {
            let answer = client.https(&host, path, "appid=1");
            assert_eq!((answer.status, answer.code()), (200, 401), "{path}");
        }
        let answer = stranger.secure(&host, path, None, false).expect("no certificate is no reason to hang up");
        assert_eq!((answer.status, answer.code()), (200, 401), "{path} without certificate");
    }
    for path in PROTECTED {
        let answer = pinned.http(&host, path, "appid=1");
        assert_eq!((answer.status, answer.code()), (200, 401), "{path} over HTTP");
    }
    assert_eq!(pinned.https(&host, "/applist", "").code(), 200);
}

#[test]
fn a_pinned_client_is_known_by_its_certificate_alone() {
    let expired = TestClient::expired("a");
    let host = host_of(&[&expired]);
    assert_eq!(expired.https(&host, "/serverinfo", "").element("PairStatus").as_deref(), Some("1"));
    let mut impostor = TestClient::new("a");
    impostor.unique_id.clone_from(&expired.unique_id);
    assert_eq!(impostor.https(&host, "/serverinfo", "").code(), 401);
    assert_eq!(impostor.http(&host, "/serverinfo", "").element("PairStatus").as_deref(), Some("0"));
}

#[test]
fn applications_have_titles_numbers_and_pictures() {
    let client = TestClient::new("a");
    let app = |name: &str, id| {
        let name = HostName::try_from(name.to_owned()).expect("a name");
        AppConfig { id, ..AppConfig::new(name, DisplayKind::Testcard) }
    };
    let host = TestHost::start_with(|config| {
        config.clients = vec![declared("c", &client)];
        config.apps = vec![app("Card <1>", None), app("Fixed", Some(7))];
    });
    let list = client.https(&host, "/applist", "");
    assert!(is_compact_xml(&list.text()));
    assert!(list.text().contains("Card &lt;1&gt;") && list.text().contains("<ID>7</ID>"), "{}", list.text());
    let picture = client.https(&host, "/appasset", "appid=7&AssetType=2&AssetIdx=0");
    assert!(picture.head.to_lowercase().contains("content-type: image/png"));
    assert!(picture.body.starts_with(b"\x89PNG"));
    assert_eq!(client.https(&host, "/appasset", "appid=99").status, 404);
    assert_eq!(client.https(&host, "/appasset", "appid=x").status, 404);
}

#[test]
fn what_is_installed_meanwhile_is_on_the_next_list() {
    let client = TestClient::new("a");
    let host = TestHost::start_with(|config| {
        config.clients = vec![declared("c", &client)];
        config.discovery.desktop_entries = true;
    });
    let picture = |id: &str| client.https(&host, "/appasset", &format!("appid={id}&AssetType=2&AssetIdx=0")).body;
    let list = || client.https(&host, "/applist", "");
    let drawn = picture(&list().element("ID").expect("the test card"));
    assert!(!list().text().contains("Chess"));
    let applications = host.directory().join("data/applications");
    std::fs::create_dir_all(&applications).expect("made");
    let icon = host.directory().join("chess.png");
    std::fs::write(&icon, &drawn).expect("written");
    let text = format!("[Desktop Entry]\nType=Application\nName=Chess\nExec=true\nIcon={}\n", icon.display());
    std::fs::write(applications.join("broken.desktop"), [0xFF; 100]).expect("written");
    std::fs::write(applications.join("chess.desktop"), text).expect("written");
    eventually("the list has it", || list().text().contains("<AppTitle>Chess</AppTitle>"));
    let list = list().text();
    let id = list.split("<App>").find(|app| app.contains("Chess")).and_then(|app| app.split("<ID>").nth(1));
    let found = picture(id.and_then(|rest| rest.split('<').next()).expect("a number"));
    assert!(found.starts_with(b"\x89PNG") && found != drawn);
}

#[test]
fn each_client_is_busy_with_its_own_application_only() {
    let (a, b) = (TestClient::new("a"), TestClient::new("b"));
    let host = host_of(&[&a, &b]);
    let app = a.https(&host, "/applist", "").element("ID").expect("one application");
    let launch = format!("appid={app}&{LAUNCH}");

    let resumed = a.https(&host, "/resume", &launch);
    assert_eq!((resumed.code(), resumed.element("resume").as_deref()), (503, Some("0")));
    let launched = a.https(&host, "/launch", &launch);
    assert_eq!(launched.element("gamesession").as_deref(), Some("1"));
    assert_eq!(launched.element("sessionUrl0").as_deref(), Some("rtspenc://127.0.0.1:48010"));
    assert_eq!(a.https(&host, "/serverinfo", "").element("currentgame"), Some(app.clone()));
    assert_eq!(a.https(&host, "/serverinfo", "").element("state").as_deref(), Some("SUNSHINE_SERVER_BUSY"));
    assert_eq!(b.https(&host, "/serverinfo", "").element("state").as_deref(), Some("SUNSHINE_SERVER_FREE"));
    assert_eq!(a.http(&host, "/serverinfo", "").element("state").as_deref(), Some("SUNSHINE_SERVER_FREE"));

    let again = a.https(&host, "/launch", &launch);
    assert_eq!((again.code(), again.element("gamesession").as_deref()), (400, Some("0")));
    assert_eq!(b.https(&host, "/launch", &launch).code(), 200, "another client may launch meanwhile");
    assert_eq!(a.https(&host, "/resume", &launch).element("resume").as_deref(), Some("1"));
    assert_eq!(a.https(&host, "/cancel", "").element("cancel").as_deref(), Some("1"));
    assert_eq!(a.https(&host, "/serverinfo", "").element("currentgame").as_deref(), Some("0"));
    assert_eq!(b.https(&host, "/serverinfo", "").element("currentgame"), Some(app));
    assert_eq!(a.https(&host, "/cancel", "").element("cancel").as_deref(), Some("1"), "nothing to cancel is success");
}

#[test]
fn launches_that_make_no_sense_are_refused() {
    let client = TestClient::new("a");
    let host = host_of(&[&client]);
    let app = client.https(&host, "/applist", "").element("ID").expect("one application");
    for query in [
        String::new(),
        format!("appid={app}"),
        format!("appid={app}&mode=1280x720x60&rikeyid=1&localAudioPlayMode=0"),
        format!("appid=2147483646&{LAUNCH}"),
        format!("appid={app}&{}", LAUNCH.replace("1280x720x60", "big")),
        format!("appid={app}&{}", LAUNCH.replace("0001", "zz")),
    ] {
        let answer = client.https(&host, "/launch", &query);
        assert_eq!((answer.status, answer.code()), (200, 400), "{query}");
        assert_eq!(answer.element("gamesession").as_deref(), Some("0"), "{query}");
    }
    assert!(host.sessions.running.lock().expect("unpoisoned").is_empty());
}

#[test]
fn a_slow_launch_delays_nobody_else() {
    let (a, b) = (TestClient::new("a"), TestClient::new("b"));
    let host = Arc::new(host_of(&[&a, &b]));
    let held = host.sessions.held.lock().expect("unpoisoned");
    let app = a.https(&host, "/applist", "").element("ID").expect("one application");
    let launching = std::thread::spawn({
        let host = Arc::clone(&host);
        move || a.https(&host, "/launch", &format!("appid={app}&{LAUNCH}")).code()
    });
    eventually("the launch", || host.sessions.begun.load(Ordering::SeqCst) == 1);
    for _ in 0..20 {
        assert_eq!(b.https(&host, "/serverinfo", "").code(), 200);
    }
    assert!(!launching.is_finished());
    drop(held);
    assert_eq!(launching.join().expect("no panic"), 200);
}

#[test]
fn noise_on_every_port_disturbs_no_client() {
    let client = TestClient::new("a");
    let host = host_of(&[&client]);
    let mut seed = 0x1234_5678_u32;
    let mut noise = |length: usize| -> Vec<u8> {
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        (0..length).map(|_| next()).collect()
    };
    let mut samples: Vec<Vec<u8>> = [0, 1, 5, 64, 512, 5000, 70_000].into_iter().map(&mut noise).collect();
    samples.extend([
        b"GET".to_vec(),
        b"\r\n\r\n".to_vec(),
        b"GET /serverinfo HTTP/9.9\r\n\r\n".to_vec(),
        b"POST /pair HTTP/1.1\r\nContent-Length: 99999\r\n\r\nshort".to_vec(),
        b"GET /pair?clientcert=%zz&salt=%&uniqueid=1 HTTP/1.1\r\n\r\n".to_vec(),
        [b"GET / HTTP/1.1\r\n".to_vec(), b"X: y\r\n".repeat(5000), b"\r\n".to_vec()].concat(),
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), noise(200)].concat(),
    ]);
    // Held open for the whole test, so that a server that waits for one of them would be seen.
    let mut open: Vec<TcpStream> = Vec::new();
    for sample in &samples {
        for port in [host.http(), host.https()] {
            let mut stream = connect(port, Some(IpAddr::from([127, 0, 0, 9]))).expect("connects");
            // The host may have hung up by now.
            let _ = stream.write_all(sample);
            open.push(stream);
        }
        let mut admin = host.admin_stream();
        let _ = admin.write_all(sample);
        // A server that served them one after another would wait ten seconds for each; the client gives up after twenty.
        assert_eq!(client.https(&host, "/serverinfo", "").code(), 200);
    }
    host.admin().get::<Status>("/v1/status").expect("the admin socket is well");
}

#[test]
fn one_address_cannot_take_all_connections() {
    let client = TestClient::new("a");
    let host = host_of(&[&client]);
    let greedy = Some(IpAddr::from([127, 0, 0, 9]));
    let open: Vec<_> = (0..200).map(|_| connect(host.https(), greedy).expect("the kernel takes it")).collect();
    assert_eq!(client.https(&host, "/serverinfo", "").code(), 200);
    let hung_up = open.iter().filter(|stream| {
        stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a limit");
        matches!((&**stream).read(&mut [0; 1]), Ok(0))
    });
    assert!(hung_up.count() >= 150, "connections beyond the limit are closed");
}

#[test]
fn a_taken_port_is_named_with_its_service_and_a_remedy() {
    let base = free_base();
    let _holder = TcpListener::bind(("::", base.get())).expect("free");
    let error = listen::tcp(IpAddr::V6(Ipv6Addr::UNSPECIFIED), base.get(), "HTTP").expect_err("taken").to_string();
    assert!(error.contains(&format!("HTTP port {base}/tcp")) && error.contains("--port"), "{error}");
}

#[test]
fn removed_clients_are_strangers_again() {
    let client = TestClient::new("a");
    let host = TestHost::start();
    let pem = client.identity.certificate_pem();
    host.store.pin("Sofa", pem, std::time::SystemTime::now()).expect("pinned");
    assert_eq!(client.https(&host, "/serverinfo", "").code(), 200);
    let fingerprint = client.certificate().fingerprint();
    let renamed: Client = host
        .admin()
        .patch(&format!("/v1/clients/{fingerprint}"), &lumen_host::admin::Rename { name: "Couch".to_owned() })
        .expect("renamed");
    assert_eq!(renamed.name, "Couch");
    host.admin().delete::<Client>(&format!("/v1/clients/{fingerprint}")).expect("removed");
    assert_eq!(client.https(&host, "/serverinfo", "").code(), 401);
    assert_eq!(*host.sessions.removed.lock().expect("unpoisoned"), ["Couch"]);
}

#[test]
fn declared_clients_cannot_be_changed_at_run_time() {
    let client = TestClient::new("a");
    let host = host_of(&[&client]);
    let target = format!("/v1/clients/{}", client.certificate().fingerprint());
    let error = host.admin().delete::<Client>(&target).expect_err("declared");
    assert!(matches!(&error, AdminClientError::Refused { status: 409, .. }), "{error}");
    assert!(error.to_string().contains("declared in the configuration"), "{error}");
    assert_eq!(client.https(&host, "/serverinfo", "").code(), 200);
}

#[test]
fn visits_are_noted() {
    let client = TestClient::new("a");
    let host = host_of(&[&client]);
    assert_eq!(host.store.clients()[0].last_seen, None);
    client.https(&host, "/serverinfo", "");
    eventually("a note of the visit", || host.store.clients()[0].last_seen.is_some());
}

#[test]
fn the_admin_socket_is_private_and_goes_with_the_host() {
    let mut host = TestHost::start();
    let path = host.config.admin_socket();
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let status: Status = host.admin().get("/v1/status").expect("a status");
    assert_eq!((status.name.as_str(), status.port, status.clients), ("den & pc", host.ports.http, 0));
    assert_eq!((status.apps.len(), status.encoders.len()), (2, 1));
    let missing = host.admin().post_empty("/v1/sessions/7/stop").expect_err("no such session");
    assert_eq!(missing.to_string(), "there is no session 7");
    let nothing = host.admin().get::<Status>("/v2").expect_err("nothing there");
    assert!(matches!(nothing, AdminClientError::Refused { status: 404, .. }));
    host.stop();
    assert!(!path.exists());
    assert!(matches!(host.admin().get::<Status>("/v1/status"), Err(AdminClientError::NotRunning { .. })));
}

#[test]
fn the_admin_port_wants_its_token() {
    let host = TestHost::start_with(|config: &mut Config| config.admin.listen = Some(([127, 0, 0, 1], 0).into()));
    let address = host.admin_tcp.expect("a listener");
    let token = std::fs::read_to_string(host.config.admin_token_file()).expect("made at start");
    let ask = |header: &str| {
        let request = format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n");
        raw(connect(address, None).expect("connects"), request.as_bytes()).expect("an answer").status
    };
    assert_eq!(ask(""), 401);
    assert_eq!(ask("Authorization: Bearer wrong\r\n"), 401);
    assert_eq!(ask(&format!("Authorization: Bearer {}\r\n", token.trim())), 200);
}

#[test]
fn one_state_directory_serves_one_host() {
    let host = TestHost::start();
    let error = Store::open(&host.config).expect_err("in use").to_string();
    assert!(error.contains("in use by another lumen"), "{error}");
}

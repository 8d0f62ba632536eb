//! The web console and the metrics over real HTTP: what they do, and all that they refuse.

mod frontdoor;

use std::collections::HashMap;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use frontdoor::client::{Answer, TestClient, connect, raw};
use frontdoor::{TestHost, eventually};
use lumen_client::{Client, HostAddress};
use lumen_host::admin::{PairingResult, Tally};
use lumen_host::config::{ClientConfig, Config, HostName};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use serde_json::{Value, json};

const TOKEN: &str = "a token of more than sixteen characters";

/// A host with a console whose token is [`TOKEN`].
fn host_with(change: impl FnOnce(&mut Config)) -> TestHost {
    TestHost::start_with(|config| {
        let file = config.state_dir.with_file_name("token");
        std::fs::write(&file, TOKEN).expect("written");
        config.web.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.web.token_file = Some(file);
        change(config);
    })
}

fn host() -> TestHost {
    host_with(|_| {})
}

/// Who asks, and how.
#[derive(Clone)]
struct Browser {
    at: SocketAddr,
    source: Option<IpAddr>,
    headers: Vec<(String, String)>,
}

impl Browser {
    fn of(host: &TestHost) -> Self {
        let at = host.web.expect("a console");
        Self { at, source: None, headers: vec![("Host".to_owned(), at.to_string())] }
    }

    /// The same with another header, or with another value for one.
    fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.without(name);
        other.headers.push((name.to_owned(), value.to_owned()));
        other
    }

    fn without(&self, name: &str) -> Self {
        let headers = self.headers.iter().filter(|(known, _)| known != name).cloned().collect();
        Self { headers, ..self.clone() }
    }

    /// As the console's own page asks.
    fn on_page(&self) -> Self {
        self.with("Origin", &format!("http://{}", self.at)).with("Sec-Fetch-Site", "same-origin")
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            text += "Content-Type: application/json\r\n";
        }
        let text = format!("{text}\r\n{body}");
        raw(connect(self.at, self.source).expect("connects"), text.as_bytes()).expect("an answer")
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    /// Logs in as the page does.
    fn logged_in(&self) -> Self {
        let page = self.on_page();
        let answer = page.ask("POST", "/login", &json!({ "token": TOKEN }).to_string());
        assert_eq!(answer.status, 204, "{}", answer.text());
        let cookie = header(&answer, "set-cookie").expect("a cookie");
        page.with("Cookie", cookie.split(';').next().expect("its value"))
    }
}

fn header(answer: &Answer, name: &str) -> Option<String> {
    let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
}

#[test]
fn without_an_address_there_is_neither_console_nor_metrics() {
    let host = TestHost::start();
    assert_eq!((host.web, host.metrics), (None, None));
}

#[test]
fn a_client_pairs_through_the_console() {
    let host = host();
    let browser = Browser::of(&host).logged_in();
    let directory = tempfile::tempdir().expect("a directory");
    let client = Client::new(&directory.path().join("client")).expect("an identity");
    let address = HostAddress::new(IpAddr::from([127, 0, 0, 1]), host.config.port.get());
    std::thread::scope(|scope| {
        let pairing = scope.spawn(|| client.pair(&address, Some("4711"), |_| {}));
        eventually("the client waits", || {
            browser.json("/v1/status")["pairing"].as_array().is_some_and(|waiting| waiting.len() == 1)
        });
        let id = browser.json("/v1/pairing")[0]["id"].clone();
        let entry = json!({ "pin": "4711", "id": id, "name": "Sofa" });
        let answer = browser.ask("POST", "/v1/pairing", &entry.to_string());
        let result: PairingResult = serde_json::from_slice(&answer.body).expect("a result");
        assert!(matches!(&result, PairingResult::Paired { client } if client.name == "Sofa"), "{result:?}");
        pairing.join().expect("no panic").expect("paired");
    });
    assert!(client.info(&address).expect("it answers").info.paired);

    let clients = browser.json("/v1/clients");
    assert_eq!((&clients[0]["name"], &clients[0]["origin"]), (&json!("Sofa"), &json!("paired")));
    let path = format!("/v1/clients/{}", clients[0]["fingerprint"].as_str().expect("text"));
    assert_eq!(browser.ask("PATCH", &path, r#"{"name":"Couch"}"#).status, 200);
    assert_eq!(browser.ask("PUT", &format!("{path}/grants"), r#"{"input":["pointer"]}"#).status, 200);
    let changed = &browser.json("/v1/clients")[0];
    assert_eq!((&changed["name"], &changed["may"]["input"]), (&json!("Couch"), &json!(["pointer"])));
    assert_eq!(browser.ask("DELETE", &path, "").status, 200);
    assert!(!client.info(&address).expect("it answers").info.paired);
    assert_eq!(browser.json("/v1/doctor")["status"], "ok");
}

#[test]
fn what_is_declared_is_shown_and_not_changed() {
    let client = TestClient::new("a");
    let host = host_with(|config| {
        config.clients = vec![ClientConfig {
            name: HostName::try_from("TV".to_owned()).expect("a name"),
            certificate: None,
            fingerprint: Some(client.certificate().fingerprint()),
            input: Some(Vec::new()),
            apps: None,
            clipboard: None,
            microphone: None,
        }];
    });
    let browser = Browser::of(&host).logged_in();
    let before = browser.json("/v1/clients");
    assert_eq!((&before[0]["origin"], &before[0]["may"]["input"]), (&json!("declared"), &json!([])));
    let path = format!("/v1/clients/{}", client.certificate().fingerprint());
    for (method, path, body) in [
        ("PATCH", path.clone(), r#"{"name":"mine"}"#),
        ("DELETE", path.clone(), ""),
        ("PUT", format!("{path}/grants"), r#"{"input":["keyboard"]}"#),
    ] {
        let answer = browser.ask(method, &path, body);
        assert_eq!(answer.status, 409, "{}", answer.text());
        assert!(answer.text().contains("declared in the configuration"), "{}", answer.text());
    }
    assert_eq!(browser.json("/v1/clients")[0]["may"], before[0]["may"]);
}

#[test]
fn everything_but_the_page_needs_the_token_or_a_login() {
    let host = host();
    let stranger = Browser::of(&host);
    for path in ["/", "/console.js", "/console.css"] {
        let answer = stranger.get(path);
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("://"), "{path} names another place: nothing is fetched from elsewhere");
    }
    let document = lumen_host::admin::openapi();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys().map(|method| method.to_uppercase()) {
            if path == "/login" {
                continue;
            }
            let path = path.replace("{client}", &"0".repeat(64)).replace("{id}", "1");
            assert_eq!(stranger.on_page().ask(&method, &path, "{}").status, 401, "{method} {path}");
            // What is described is there.
            let known = stranger.with("Authorization", &format!("Bearer {TOKEN}")).ask(&method, &path, "{}");
            let text = known.text();
            assert!(!text.contains("nothing at this path") && known.status != 405, "{method} {path}: {text}");
            asked += 1;
        }
    }
    assert_eq!(asked, 9);
    for wrong in ["", "Bearer ", "Basic YTpi", "Bearer wrong", &format!("Bearer {TOKEN}x"), TOKEN] {
        assert_eq!(stranger.with("Authorization", wrong).get("/v1/status").status, 401, "{wrong}");
    }
    for wrong in ["lumen_console=", "lumen_console=0", "other=1; lumen_console", "lumen_console=; lumen_console=1"] {
        assert_eq!(stranger.with("Cookie", wrong).get("/v1/status").status, 401, "{wrong}");
    }
}

#[test]
fn a_login_is_a_cookie_that_no_script_and_no_other_site_can_use() {
    let host = host();
    let page = Browser::of(&host).on_page();
    let answer = page.ask("POST", "/login", &json!({ "token": TOKEN }).to_string());
    let cookie = header(&answer, "set-cookie").expect("a cookie");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let wrong = page.ask("POST", "/login", r#"{"token":"guessed"}"#);
    assert_eq!((wrong.status, header(&wrong, "set-cookie")), (401, None));

    let browser = page.with("Cookie", cookie.split(';').next().expect("its value"));
    assert_eq!(browser.get("/v1/status").status, 200);
    // A page of another site, also one of the same machine under another port.
    let stop = |browser: &Browser| browser.ask("POST", "/v1/sessions/1/stop", "").status;
    assert_eq!(stop(&browser), 404, "there is no such session, and the request was taken");
    assert_eq!(stop(&browser.without("Origin").without("Sec-Fetch-Site")), 403);
    for origin in
        ["http://evil.example", "null", "", "http://127.0.0.1:1", &format!("http://{}.evil.example", browser.at)]
    {
        assert_eq!(stop(&browser.with("Origin", origin)), 403, "{origin}");
    }
    assert_eq!(stop(&browser.with("Sec-Fetch-Site", "cross-site")), 403);
    assert_eq!(stop(&browser.with("Sec-Fetch-Site", "same-site")), 403);
    let login = json!({ "token": TOKEN }).to_string();
    assert_eq!(browser.with("Origin", "http://evil.example").ask("POST", "/login", &login).status, 403);

    assert_eq!(browser.with("Origin", "http://evil.example").ask("DELETE", "/login", "").status, 403);
    assert_eq!(browser.get("/v1/status").status, 200, "that logged nobody out");
    assert_eq!(browser.ask("DELETE", "/login", "").status, 204);
    assert_eq!(browser.get("/v1/status").status, 401);
}

#[test]
fn a_name_of_somebody_else_is_refused_on_every_path() {
    let host = host_with(|config| config.web.names = vec!["den.example".to_owned()]);
    let known = Browser::of(&host).with("Authorization", &format!("Bearer {TOKEN}"));
    for name in ["localhost", "127.0.0.1", "[::1]:47990", "den.example", "DEN.example:443"] {
        assert_eq!(known.with("Host", name).get("/v1/status").status, 200, "{name}");
    }
    for name in ["evil.example", "127.0.0.1.evil.example", "", "den.example.evil.example"] {
        for path in ["/", "/v1/status", "/login", "/nothing"] {
            let answer = known.with("Host", name).get(path);
            assert!(matches!(answer.status, 400 | 421), "{name:?} {path}: {}", answer.status);
        }
    }
    assert_eq!(known.without("Host").get("/").status, 421);
}

#[test]
fn every_answer_forbids_what_a_page_of_another_site_could_do_with_it() {
    let host = host();
    let browser = Browser::of(&host);
    let answers = [
        browser.get("/"),
        browser.get("/console.js"),
        browser.get("/nothing"),
        browser.get("/v1/status"),
        browser.with("Host", "evil.example").get("/"),
        browser.with("Authorization", &format!("Bearer {TOKEN}")).get("/v1/status"),
        browser.ask("OPTIONS", "/v1/status", ""),
    ];
    for answer in &answers {
        let is = |name: &str, value: &str| assert_eq!(header(answer, name).as_deref(), Some(value), "{}", answer.head);
        is("x-content-type-options", "nosniff");
        is("x-frame-options", "DENY");
        is("referrer-policy", "no-referrer");
        is("cache-control", "no-store");
        is("cross-origin-resource-policy", "same-origin");
        let policy = header(answer, "content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header(answer, "access-control-allow-origin"), None);
    }
}

#[test]
fn an_address_that_guesses_tokens_has_to_wait_and_others_do_not() {
    let host = host();
    let guesser = Browser::of(&host).on_page();
    let statuses: Vec<u16> = (0..15)
        .map(|number| guesser.ask("POST", "/login", &json!({ "token": number.to_string() }).to_string()).status)
        .collect();
    assert_eq!((statuses[0], statuses[14]), (401, 429), "{statuses:?}");
    let refused = guesser.with("Authorization", &format!("Bearer {TOKEN}")).get("/v1/status");
    assert_eq!(refused.status, 429, "the right token is not looked at either");
    let after: u64 = header(&refused, "retry-after").and_then(|after| after.parse().ok()).expect("a time");
    assert!((1..=61).contains(&after));
    let other = Browser { source: Some(IpAddr::from([127, 0, 0, 2])), ..guesser };
    assert_eq!(other.with("Authorization", &format!("Bearer {TOKEN}")).get("/v1/status").status, 200);
}

/// Whatever comes, the host answers with a refusal or closes the connection, and serves the next one.
#[test]
fn bad_input_is_refused_and_harms_nobody() {
    let host = host();
    let browser = Browser::of(&host).with("Authorization", &format!("Bearer {TOKEN}"));
    let long = "x".repeat(20_000);
    let deep = "[".repeat(8000);
    let bodies = [
        "",
        "{",
        "null",
        "[]",
        "7",
        "{\"pin\":7}",
        "{\"pin\":\"\"}",
        "{\"pin\":\"12345\"}",
        "{\"pin\":\"abcd\"}",
        "{\"pin\":\"1234\",\"x\":1}",
        "{\"pin\":\"1234\",\"id\":-1}",
        "{\"pin\":\"1234\",\"id\":1e99}",
        "{\"pin\":\"1234\",\"address\":\"nowhere\"}",
        "{\"pin\":\"\\u0000\\u0000\\u0000\\u0000\"}",
        "{\"pin\":\"1234\"}{}",
        &deep,
        "\u{feff}{}",
        "{\"name\":\"\"}",
        "{\"name\":\"\\n\"}",
        "{\"input\":[\"eyes\"]}",
        "{\"input\":\"keyboard\"}",
        "{\"apps\":[\"\"]}",
        "{\"token\":[]}",
    ];
    let client = format!("/v1/clients/{}", "0".repeat(64));
    let targets = [
        ("POST", "/v1/pairing"),
        ("PATCH", client.as_str()),
        ("PUT", &format!("{client}/grants")),
        ("PATCH", "/v1/clients/.."),
        ("PATCH", "/v1/clients/%00"),
        ("DELETE", "/v1/clients/zz"),
        ("POST", "/v1/sessions/x/stop"),
        ("POST", "/v1/sessions/99999999999999999999/stop"),
        ("POST", "/login"),
        ("GET", "/../etc/passwd"),
        ("GET", "/%2e%2e/x"),
        ("TRACE", "/"),
        ("BREW", "/v1/status"),
        ("PUT", "/v1/status"),
        ("POST", "/"),
    ];
    for (method, path) in targets {
        for body in bodies {
            let status = browser.on_page().ask(method, path, body).status;
            assert!((400..500).contains(&status), "{method} {path} {body:.40}: {status}");
        }
    }
    assert_eq!(browser.ask("POST", "/v1/pairing", &format!("{{\"pin\":\"{long}\"}}")).status, 413);
    let lines = [
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "GET /\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}".repeat(50),
        format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "A: b\r\n".repeat(100)),
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(),
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(),
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n".to_owned(),
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n".to_owned(),
    ];
    for line in &lines {
        let mut stream = connect(browser.at, None).expect("connects");
        let sent = stream.write_all(line.as_bytes()).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        if let (Ok(()), Ok(answer)) = (sent, raw(stream, b"")) {
            assert!((400..510).contains(&answer.status) && answer.status != 500, "{line:.60}: {}", answer.head);
        }
    }
    // Connections that say nothing do not keep others out.
    let silent: Vec<_> = (0..40).map(|_| connect(browser.at, None).expect("connects")).collect();
    assert_eq!(browser.get("/v1/status").status, 200);
    drop(silent);
}

#[test]
fn beyond_this_machine_the_console_speaks_https_with_the_certificate_of_the_host() {
    let host = host_with(|config| config.web.listen = Some(SocketAddr::from(([0, 0, 0, 0], 0))));
    let at = SocketAddr::from(([127, 0, 0, 1], host.web.expect("a console").port()));
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: {at}\r\nOrigin: https://{at}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
        json!({ "token": TOKEN }).to_string().len(),
        json!({ "token": TOKEN })
    );
    assert!(raw(connect(at, None).expect("connects"), request.as_bytes()).is_err(), "it answered in clear text");
    let mut builder = SslConnector::builder(SslMethod::tls_client()).expect("TLS");
    builder.set_verify(SslVerifyMode::NONE);
    let mut configuration = builder.build().configure().expect("TLS");
    configuration.set_verify_hostname(false);
    let mut stream = configuration.connect("host", connect(at, None).expect("connects")).expect("TLS");
    let shown =
        stream.ssl().peer_certificate().and_then(|certificate| certificate.to_der().ok()).expect("a certificate");
    assert_eq!(shown, host.store.identity().certificate().der());
    let answer = raw(&mut stream, request.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert!(header(&answer, "set-cookie").is_some_and(|cookie| cookie.contains("; Secure")));
}

/// The samples of a page that is well formed: each family has its help and its type before its samples, none is there
/// twice, counters end in `_total`, and buckets grow up to the count.
fn samples(page: &str) -> HashMap<String, f64> {
    let (mut kinds, mut found) = (HashMap::new(), HashMap::new());
    let mut family = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(!help.is_empty() && !kinds.contains_key(name), "{line}");
            name.clone_into(&mut family);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(name, family, "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            kinds.insert(name.to_owned(), kind.to_owned());
        } else {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            let bare = name.split('{').next().expect("a name");
            let suffixes: &[&str] = if kinds[&family] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.iter().any(|suffix| bare == format!("{family}{suffix}")), "{line} is not of {family}");
            assert!(found.insert(name.to_owned(), value.parse().expect("a number")).is_none(), "{line} twice");
        }
    }
    assert!(page.ends_with('\n'));
    found
}

fn with_metrics(host: &TestHost) -> Browser {
    let at = host.metrics.expect("metrics");
    Browser { at, source: None, headers: vec![("Host".to_owned(), at.to_string())] }
}

#[test]
fn metrics_are_a_page_that_prometheus_reads() {
    let host = TestHost::start_with(|config| config.metrics.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0))));
    let scraper = with_metrics(&host);
    let client = TestClient::new("a");
    let pairing = client.pair(&host, "4217");
    eventually("the client waits", || samples(&scraper.get("/metrics").text())["lumen_pairing_waiting"] == 1.0);
    let entry = lumen_host::admin::EnterPin { pin: "4217".to_owned(), ..Default::default() };
    host.admin().post::<PairingResult>("/v1/pairing", &entry).expect("taken");
    pairing.join().expect("no panic").expect("paired");
    let pairing = TestClient::new("b").pair(&host, "1111");
    eventually("another waits", || samples(&scraper.get("/metrics").text())["lumen_pairing_waiting"] == 1.0);
    let wrong = lumen_host::admin::EnterPin { pin: "2222".to_owned(), ..Default::default() };
    host.admin().post::<PairingResult>("/v1/pairing", &wrong).expect("taken");
    assert!(pairing.join().expect("no panic").is_err());
    *host.sessions.tally.lock().expect("unpoisoned") =
        Tally { sessions_started: 3, packets_reported: 10, packets_missing: 4, ..Tally::default() };

    let answer = scraper.get("/metrics");
    assert_eq!(header(&answer, "content-type").as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
    let found = samples(&answer.text());
    for (name, value) in [
        ("lumen_clients{origin=\"paired\"}", 1.0),
        ("lumen_clients{origin=\"declared\"}", 0.0),
        ("lumen_pairing_waiting", 0.0),
        ("lumen_pairings_total{result=\"paired\"}", 1.0),
        ("lumen_sessions{state=\"streaming\"}", 0.0),
        ("lumen_sessions_started_total", 3.0),
        ("lumen_client_reported_packets_total{result=\"received\"}", 6.0),
        ("lumen_client_reported_packets_total{result=\"missing\"}", 4.0),
        ("lumen_encode_latency_seconds_bucket{le=\"+Inf\"}", 0.0),
        (concat!("lumen_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name}");
    }
    assert!(found["lumen_pairings_total{result=\"refused\"}"] >= 1.0);
    assert!(found["process_start_time_seconds"] > 1.6e9);
    assert_eq!(scraper.get("/").status, 404);
    // A page of another site that has its own name lead here reads nothing.
    assert_eq!(scraper.with("Host", "evil.example").get("/metrics").status, 421);
}

#[test]
fn metrics_with_a_token_are_for_whoever_has_it() {
    let host = TestHost::start_with(|config| {
        let file = config.state_dir.with_file_name("token");
        std::fs::write(&file, TOKEN).expect("written");
        config.metrics.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.metrics.token_file = Some(file);
    });
    let scraper = with_metrics(&host);
    assert_eq!(scraper.get("/metrics").status, 401);
    assert_eq!(scraper.with("Authorization", "Bearer x").get("/metrics").status, 401);
    let known = scraper.with("Authorization", &format!("Bearer {TOKEN}"));
    assert_eq!(known.with("Host", "den.lan:9464").get("/metrics").status, 200);
    for _ in 0..10 {
        scraper.get("/metrics");
    }
    assert_eq!(known.get("/metrics").status, 429);
}

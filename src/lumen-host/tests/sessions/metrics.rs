//! What a stream leaves in the metrics, and what the daemon says about itself.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use crate::harness::{Host, PATIENCE, assert_whole, eventually, small, turn};

/// The value of one sample.
fn sample(port: u16, name: &str) -> f64 {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("an answer");
    let line = page.lines().find(|line| line.rsplit_once(' ').is_some_and(|(found, _)| found == name));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_else(|| panic!("no {name} in {page}"))
}

#[test]
fn streams_are_counted_and_stay_counted_when_they_are_over() {
    let _turn = turn();
    let mut host = Host::prepared("");
    let port = host.ports().http + 3;
    let file = host.path("lumen.toml");
    let config = fs::read_to_string(&file).expect("readable");
    fs::write(&file, format!("{config}\nmetrics.listen = \"127.0.0.1:{port}\"\n")).expect("written");
    host.serve();
    let client = host.client("sofa");
    let mut received = 0;
    for _ in 0..2 {
        let report = client.stream(&host.address(), &small()).expect("a stream");
        assert_whole(&report);
        received += report.video.frames_received;
    }
    // The same session twice; then it ends.
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
    let sent = eventually("what the worker did is known", || {
        let sent = sample(port, "lumen_frames_sent_total");
        (sent >= received as f64).then_some(sent)
    });
    assert_eq!(sample(port, "lumen_encode_latency_seconds_count"), sent);
    assert_eq!(sample(port, "lumen_host_latency_seconds_count"), sent);
    assert!(sample(port, "lumen_encode_latency_seconds_sum") > 0.0);
    assert!(sample(port, "lumen_frames_encoded_total") >= sent);
    assert!(sample(port, "lumen_key_frames_total") >= 2.0);
    assert!(sample(port, "lumen_video_sent_packets_total{kind=\"data\"}") >= sent);
    assert!(sample(port, "lumen_video_sent_packets_total{kind=\"parity\"}") >= sent);
    assert!(sample(port, "lumen_video_sent_bytes_total") > 100.0 * sent);
    assert!(sample(port, "lumen_audio_sent_packets_total") > 20.0);
    assert_eq!(sample(port, "lumen_sessions_started_total"), 1.0);
    assert_eq!(sample(port, "lumen_sessions_ended_total{reason=\"quit\"}"), 1.0);
    assert_eq!(sample(port, "lumen_worker_crashes_total"), 0.0);
    assert_eq!(sample(port, "lumen_sessions{state=\"streaming\"}"), 0.0);
}

#[test]
fn the_daemon_has_itself_examined() {
    let host = Host::start();
    let report: serde_json::Value = host.admin().get("/v1/doctor").expect("a report");
    let findings = report["findings"].as_array().expect("findings");
    let of = |check: &str| findings.iter().find(|finding| finding["check"] == check).expect("it is there");
    let text = of("host")["finding"].as_str().expect("text");
    assert!(text.contains(&format!("running as process {}", host.pid())), "{text}");
    assert_eq!((&of("configuration")["status"], &of("ports")["status"]), (&"ok".into(), &"ok".into()), "{report}");
}

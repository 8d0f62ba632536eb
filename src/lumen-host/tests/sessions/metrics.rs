//! What a stream leaves in the metrics, and what the daemon says about itself.

use crate::harness::{Host, assert_whole, eventually, small, turn};

#[test]
fn streams_are_counted_and_stay_counted_when_they_are_over() {
    let _turn = turn();
    let host = Host::metered("");
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
        let sent = host.sample("lumen_frames_sent_total");
        (sent >= received as f64).then_some(sent)
    });
    assert_eq!(host.sample("lumen_encode_latency_seconds_count"), sent);
    assert_eq!(host.sample("lumen_host_latency_seconds_count"), sent);
    assert!(host.sample("lumen_encode_latency_seconds_sum") > 0.0);
    assert!(host.sample("lumen_frames_encoded_total") >= sent);
    assert!(host.sample("lumen_key_frames_total") >= 2.0);
    assert!(host.sample("lumen_video_sent_packets_total{kind=\"data\"}") >= sent);
    assert!(host.sample("lumen_video_sent_packets_total{kind=\"parity\"}") >= sent);
    assert!(host.sample("lumen_video_sent_bytes_total") > 100.0 * sent);
    assert!(host.sample("lumen_audio_sent_packets_total") > 20.0);
    assert_eq!(host.sample("lumen_sessions_started_total"), 1.0);
    assert_eq!(host.sample("lumen_sessions_ended_total{reason=\"quit\"}"), 1.0);
    assert_eq!(host.sample("lumen_worker_crashes_total"), 0.0);
    assert_eq!(host.sample("lumen_sessions{state=\"streaming\"}"), 0.0);
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

//! Whole streams.

use std::time::Duration;

use lumen_client::StreamOptions;
use lumen_client::loss::LossOptions;

use crate::bed::{Bed, encoded};
use crate::harness::{assert_accounted, assert_whole, begin, small, turn, watch};

#[test]
fn a_stream_through_nvenc_is_whole() {
    let _turn = turn();
    let bed = Bed::new();
    let host = bed.host(None);
    let encoders = host.status().encoders;
    assert!(encoders.contains(&"nvenc (H.264, 8 bit, 4:2:0)".to_owned()), "{encoders:?}");
    assert!(!encoders.iter().any(|encoder| encoder.starts_with("nvenc (HEVC")), "the double has H.264 only");
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &small());
    watch(&stream, 30);
    let session = encoded(&host, "sofa");
    assert_eq!((session.encoder.as_deref(), session.encoder_fallback), (Some("nvenc"), None));
    let report = stream.stop().expect("a report");
    assert_whole(&report);
    assert_accounted(&host, "sofa", &report);
    assert_eq!(report.video.key_frames, 1, "{report}");
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
    bed.assert_obeyed();
    bed.assert_balanced();
    assert_eq!(bed.count("initialised 640x360 at "), 1, "{:?}", bed.record());
}

/// The client asks not to refer to what it lost, and gets a picture that follows on what it has: a decoder that was
/// given a picture which refers to a lost one would complain.
#[test]
fn a_loss_is_answered_without_a_key_frame() {
    let _turn = turn();
    let bed = Bed::new();
    let host = bed.host(None);
    let client = host.client("sofa");
    let loss = LossOptions { video_percent: 8.0, burst: 12, seed: 5, ..LossOptions::default() };
    let options =
        StreamOptions { duration: Some(Duration::from_secs(4)), least_frames: 60, quit_after: true, loss, ..small() };
    let report = client.stream(&host.address(), &options).expect("a stream");
    let video = &report.video;
    assert!(video.frames_lost > 0 && video.invalidation_requests > 0, "the loss is meant to be too much: {report}");
    assert_eq!(video.decode_errors, 0, "{report}");
    assert_eq!(video.card.as_ref().map(|card| card.unreadable), Some(0), "{report}");
    assert!(bed.count("gave up picture") > 0, "{:?}", bed.record());
    // Each repair by an invalidation is a key frame less than there were losses.
    let losses = video.lost_ranges.len() as u64;
    assert!(video.key_frames < 1 + losses, "{losses} losses: {report}");
    let last = video.lost_ranges.last().expect("a loss").last;
    assert!(video.frames_decoded > 0 && last > 0, "{report}");
    host.is_deserted();
    bed.assert_obeyed();
}

/// A driver allows a number of sessions; the next one is encoded in another way, and says why.
#[test]
fn past_the_limit_of_sessions_another_encoder_takes_over() {
    let _turn = turn();
    let bed = Bed::new();
    bed.limit_sessions(1);
    let host = bed.host(None);
    let (sofa, desk) = (host.client("sofa"), host.client("desk"));
    let first = begin(&sofa, &host.address(), &small());
    let second = begin(&desk, &host.address(), &small());
    watch(&first, 5);
    watch(&second, 5);
    let of = |name: &str| encoded(&host, name);
    assert_eq!(of("sofa").encoder.as_deref(), Some("nvenc"));
    assert_ne!(of("desk").encoder.as_deref(), Some("nvenc"));
    let reason = of("desk").encoder_fallback.expect("a reason");
    assert!(reason.starts_with("nvenc: ") && reason.contains("opens no more encoders (OUT_OF_MEMORY)"), "{reason}");
    let said = host.command().arg("status").output().expect("it runs");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("a better encoder does not work: nvenc: "), "{said}");
    assert!(host.log().contains("opens no more encoders"), "{}", host.log());
    for stream in [first, second] {
        assert_whole(&stream.stop().expect("a report"));
    }
    sofa.quit(&host.address()).expect("it ends");
    desk.quit(&host.address()).expect("it ends");
    host.is_deserted();
    // What was given back is free again.
    let again = begin(&desk, &host.address(), &small());
    watch(&again, 5);
    assert_eq!(of("desk").encoder.as_deref(), Some("nvenc"));
    again.stop().expect("a report");
    bed.assert_obeyed();
}

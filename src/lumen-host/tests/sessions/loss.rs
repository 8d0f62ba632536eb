//! Streams over a network that loses packets, by a seeded rule.

use std::time::Duration;

use lumen_client::StreamOptions;
use lumen_client::loss::LossOptions;
use lumen_client::report::StreamReport;

use crate::harness::{Host, full, small, turn};

fn lossy(host: &Host, options: &StreamOptions) -> StreamReport {
    let client = host.client("sofa");
    let report = client.stream(&host.address(), options).expect("a stream");
    println!("{report}");
    // No damaged picture is taken for a good one.
    assert_eq!(report.video.decode_errors, 0, "{report}");
    assert_eq!(report.video.card.as_ref().map(|card| card.unreadable), Some(0), "{report}");
    assert!(report.video.datagrams_withheld > 0);
    report
}

#[test]
fn few_frames_are_lost_at_five_per_cent() {
    let _turn = turn();
    let host = Host::start();
    let seconds = if full() { 120 } else { 6 };
    let loss = LossOptions { video_percent: 5.0, audio_percent: 5.0, ..LossOptions::default() };
    let duration = Some(Duration::from_secs(seconds));
    let options = StreamOptions { duration, least_frames: 100, fps: 60, loss, ..small() };
    let report = lossy(&host, &options);
    let video = &report.video;
    assert!(video.packets_recovered > 0, "{report}");
    assert!(video.frames_lost * 100 <= video.frames_received, "{report}");
}

/// So much is lost that parity does not help: frames go missing, the client asks, and the host answers.
#[test]
fn lost_frames_are_asked_for_and_the_picture_comes_back() {
    let _turn = turn();
    let host = Host::start();
    for reference_invalidation in [true, false] {
        let loss = LossOptions { video_percent: 15.0, burst: 12, seed: 5, ..LossOptions::default() };
        let options = StreamOptions {
            duration: Some(Duration::from_secs(4)),
            least_frames: 60,
            reference_invalidation,
            quit_after: true,
            loss,
            ..small()
        };
        let report = lossy(&host, &options);
        let video = &report.video;
        assert!(video.frames_lost > 0, "the loss is meant to be too much: {report}");
        assert!(video.key_frame_requests + video.invalidation_requests > 0, "{report}");
        if !reference_invalidation {
            assert_eq!(video.invalidation_requests, 0);
            assert!(video.key_frames > 1, "{report}");
        }
        // Not only the frames before the first loss.
        let last = video.lost_ranges.first().expect("a loss").first;
        assert!(video.frames_decoded > u64::from(last), "{report}");
    }
}

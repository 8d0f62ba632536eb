//! Streams over a network that loses packets, by a seeded rule.

use std::time::Duration;

use lumen_client::StreamOptions;
use lumen_client::loss::LossOptions;
use lumen_client::report::StreamReport;

use crate::harness::{Host, begin, eventually, full, small, turn};

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

/// Packets of data and of parity that a host has sent.
#[derive(Clone, Copy)]
struct Packets {
    data: f64,
    parity: f64,
}

impl Packets {
    fn of(host: &Host) -> Self {
        let sent = |kind: &str| host.sample(&format!("lumen_video_sent_packets_total{{kind=\"{kind}\"}}"));
        Self { data: sent("data"), parity: sent("parity") }
    }

    /// Parity per packet of data, once so many of these were sent since then, and when that was.
    fn share_of_next(self, host: &Host, data: f64) -> (f64, Self) {
        let now = eventually("more is sent", || Some(Self::of(host)).filter(|now| now.data - self.data >= data));
        ((now.parity - self.parity) / (now.data - self.data), now)
    }
}

/// The share of parity of a stream that has gone on for a while.
fn settled_share(host: &Host, loss: LossOptions) -> f64 {
    let client = host.client("sofa");
    // Small packets, so that there are enough of them.
    let options = StreamOptions {
        bitrate_kbps: 20_000,
        packet_size: 304,
        duration: None,
        loss,
        width: 1280,
        height: 720,
        fps: 60,
        ..small()
    };
    let before = Packets::of(host);
    let stream = begin(&client, &host.address(), &options);
    let (_, then) = before.share_of_next(host, 3000.0);
    let (share, _) = then.share_of_next(host, 800.0);
    let report = stream.stop().expect("a report");
    println!("{share:.3} {report}");
    assert_eq!(report.video.decode_errors, 0, "{report}");
    client.quit(&host.address()).expect("it ends");
    share
}

#[test]
fn parity_follows_what_a_client_tells_of_its_losses_unless_it_is_fixed() {
    let _turn = turn();
    let fixed = settled_share(&Host::metered("stream.fec = \"fixed\""), LossOptions::default());
    let host = Host::metered("");
    let clean = settled_share(&host, LossOptions::default());
    let bursts = LossOptions { video_percent: 8.0, burst: 2, seed: 3, ..LossOptions::default() };
    let lossy = settled_share(&host, bursts);
    println!("fixed {fixed:.3}, clean {clean:.3}, lossy {lossy:.3}");
    assert!(clean < 0.7 * fixed, "nothing is lost: {clean} of {fixed}");
    assert!(lossy > 1.3 * clean, "much is lost: {lossy}, without loss {clean}");
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

//! What every stream must be: whole, with its own tone, and with exactly the input that was sent.

use std::net::IpAddr;

use lumen_client::options::{AudioChannels, Encryption};
use lumen_client::report::Ending;
use lumen_client::{Client, HostAddress, StreamOptions};
use lumen_core::gamestream::http::Codec;

use crate::harness::{Host, assert_accounted, assert_nothing_lost, assert_tone, assert_whole, script, small, turn};

/// What is varied.
#[derive(Debug, Clone, Copy)]
struct Variant {
    codec: Codec,
    encryption: Encryption,
    packet_size: u32,
    audio: AudioChannels,
    packet_ms: u8,
    v6: bool,
}

const PLAIN: Variant = Variant {
    codec: Codec::H264,
    encryption: Encryption::All,
    packet_size: 1392,
    audio: AudioChannels::Stereo,
    packet_ms: 5,
    v6: false,
};

fn stream(host: &Host, client: &Client, encoder: &str, variant: Variant) {
    let mut options = StreamOptions {
        codec: variant.codec,
        encryption: variant.encryption,
        packet_size: variant.packet_size,
        audio: variant.audio,
        audio_packet_ms: variant.packet_ms,
        ..small()
    };
    options.script = Some(script(options.width, options.height));
    let address: HostAddress = if variant.v6 { host.address_v6() } else { host.address() };
    let report = client.stream(&address, &options).unwrap_or_else(|error| panic!("{variant:?}: {error}"));
    assert_eq!(report.ending, Ending::Completed, "{variant:?}: {report}");
    if variant.codec == Codec::Av1 {
        // libaom at its fastest leaves a changed block as it was in about one of a thousand pictures.
        assert_nothing_lost(&report);
        let unreadable = report.video.card.as_ref().map_or(u64::MAX, |card| card.unreadable);
        assert!(unreadable * 20 <= report.video.frames_decoded, "{variant:?}: {report}");
    } else {
        assert_whole(&report);
    }
    assert_accounted(host, "sofa", &report);
    assert_tone(&report);
    assert!(report.video.frames_decoded >= 5, "{variant:?}: {report}");
    assert_eq!((report.video.width, report.video.height), (640, 360));
    assert_eq!(report.audio.channels, variant.audio.count());
    assert!(report.input.sent > 20, "{report}");
    assert_eq!(report.input.complete, Some(true), "{variant:?}: {report}");
    let sealed = report.host.encrypted.contains("video") && report.host.encrypted.contains("audio");
    assert_eq!(sealed, variant.encryption == Encryption::All, "{}", report.host.encrypted);
    let connected: IpAddr = report.host.address.parse::<std::net::SocketAddr>().expect("an address").ip();
    assert_eq!(connected.is_ipv6(), variant.v6);
    // The encoder that was meant is the one that worked.
    assert!(host.log().contains(&format!("encoder=\"{encoder}\"")), "{encoder} was not used: {}", host.log());
    client.quit(&address).expect("it ends");
    host.is_deserted();
}

/// A host that must be able to encode a format; CI installs FFmpeg, so a machine without it is a mistake, not an excuse.
fn host_with(encoder: &str, more: &str) -> Host {
    let host = Host::with(more);
    let encoders = host.status().encoders;
    assert!(
        encoders.iter().any(|found| found.starts_with(encoder)),
        "{encoder} does not work on this machine: install FFmpeg's libraries (`scripts/test` does); found {encoders:?}"
    );
    host
}

#[test]
fn h264_by_x264() {
    let _turn = turn();
    let host = host_with("x264", "");
    let client = host.client("sofa");
    stream(&host, &client, "x264", PLAIN);
    let other = Variant {
        encryption: Encryption::None,
        packet_size: 1024,
        audio: AudioChannels::Surround51,
        v6: true,
        ..PLAIN
    };
    stream(&host, &client, "x264", other);
}

#[test]
fn h264_by_the_built_in_encoder() {
    let _turn = turn();
    let host = host_with("openh264", "encoder.only = \"openh264\"");
    let client = host.client("sofa");
    stream(&host, &client, "openh264", Variant { packet_size: 1024, packet_ms: 10, ..PLAIN });
    stream(
        &host,
        &client,
        "openh264",
        Variant { encryption: Encryption::None, audio: AudioChannels::Surround71, v6: true, ..PLAIN },
    );
}

#[test]
fn hevc() {
    let _turn = turn();
    let host = host_with("x265", "");
    let client = host.client("sofa");
    let variant = Variant { codec: Codec::Hevc, audio: AudioChannels::Surround71, packet_size: 1024, ..PLAIN };
    stream(&host, &client, "x265", variant);
}

#[test]
fn av1() {
    let _turn = turn();
    let host = Host::start();
    let encoders = host.status().encoders;
    let av1 = ["svt-av1", "aom-av1"].into_iter().find(|name| encoders.iter().any(|found| found.starts_with(name)));
    let av1 = av1.unwrap_or_else(|| {
        panic!("no AV1 encoder works on this machine: install FFmpeg's libraries; found {encoders:?}")
    });
    let client = host.client("sofa");
    let variant = Variant { codec: Codec::Av1, encryption: Encryption::None, v6: true, ..PLAIN };
    stream(&host, &client, av1, variant);
}

/// Everything with everything.
#[test]
#[ignore = "twelve minutes; scripts/test --full runs it"]
fn every_combination() {
    let _turn = turn();
    let host = host_with("x264", "");
    let client = host.client("sofa");
    for (codec, encoder) in [(Codec::H264, "x264"), (Codec::Hevc, "x265"), (Codec::Av1, "")] {
        for encryption in [Encryption::All, Encryption::None] {
            for packet_size in [1024, 1392] {
                for audio in [AudioChannels::Stereo, AudioChannels::Surround51, AudioChannels::Surround71] {
                    for (packet_ms, v6) in [(5, false), (10, false), (5, true), (10, true)] {
                        stream(
                            &host,
                            &client,
                            encoder,
                            Variant { codec, encryption, packet_size, audio, packet_ms, v6 },
                        );
                    }
                }
            }
        }
    }
}

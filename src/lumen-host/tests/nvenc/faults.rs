//! Faults that the double plays, and what the host promises for each.

use lumen_host::doctor::Health;

use crate::bed::{Bed, encoded};
use crate::harness::{assert_nothing_lost, begin, eventually, small, turn, watch};

/// What `lumen doctor` says about NVENC.
fn doctor(bed: &Bed, fault: &str) -> (Health, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lumen"));
    bed.apply(&mut command, Some(fault));
    command
        .env("LUMEN_STATE_DIR", directory.path())
        .env("LUMEN_RUNTIME_DIR", directory.path())
        .args(["doctor", "--json"]);
    let output = command.output().expect("it runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = report["findings"].as_array().expect("a list");
    let finding = findings.iter().find(|finding| finding["check"] == "NVENC").expect("the check");
    let status = if finding["status"] == "warn" { Health::Warn } else { Health::Ok };
    (status, finding["finding"].as_str().expect("text").to_owned())
}

#[test]
fn what_stands_against_nvenc_is_said_by_name() {
    let faults = [
        ("old-driver", "the driver's NVENC is version 11.1, and 12.1 is needed: update NVIDIA's driver"),
        ("invalid-version", "NvEncodeAPICreateInstance: INVALID_VERSION"),
        ("unsupported-device", "test double has no video encoder (UNSUPPORTED_DEVICE)"),
        ("no-cuda", "CUDA failed: cuInit: CUDA_ERROR_NO_DEVICE"),
        ("no-memory", "nvEncCreateBitstreamBuffer: OUT_OF_MEMORY"),
    ];
    for (fault, said) in faults {
        let bed = Bed::new();
        let (status, finding) = doctor(&bed, fault);
        assert!(status == Health::Warn && finding.contains(said), "{fault}: {status:?} {finding}");
        assert_eq!(bed.count("violation"), 0, "{fault}: {:?}", bed.record());
        bed.assert_balanced();
    }
}

#[test]
fn a_driver_whose_library_is_missing_is_named_with_what_mends_it() {
    let bed = Bed::new();
    std::fs::remove_file(bed.path("libnvidia-encode.so.1")).expect("ours");
    let (status, finding) = doctor(&bed, "unsupported-device");
    let whole = finding.contains("libnvidia-encode.so.1 cannot be loaded") && finding.contains("libnvidia-encode1");
    assert!(status == Health::Warn && whole, "{status:?} {finding}");
}

#[test]
fn a_gpu_without_an_encoder_leaves_the_stream_to_the_next_one() {
    let _turn = turn();
    let bed = Bed::new();
    let host = bed.host(Some("unsupported-device"));
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &small());
    watch(&stream, 10);
    let session = encoded(&host, "sofa");
    assert_ne!(session.encoder.as_deref(), Some("nvenc"));
    assert_eq!(
        session.encoder_fallback.as_deref(),
        Some("nvenc: test double has no video encoder (UNSUPPORTED_DEVICE)")
    );
    assert_nothing_lost(&stream.stop().expect("a report"));
}

/// Streams while the double plays `fault` at its twentieth picture. What encodes in the end, and the client's report.
fn broken(fault: &str) -> (String, Option<String>, lumen_client::report::StreamReport) {
    let bed = Bed::new();
    let host = bed.host(Some(fault));
    let client = host.client("sofa");
    let stream = begin(&client, &host.address(), &small());
    watch(&stream, 60);
    let session = eventually("the session says what encodes", || {
        host.session_of("sofa").filter(|session| session.frames_sent >= 60 && session.encoder.is_some())
    });
    let report = stream.stop().expect("a report");
    assert_nothing_lost(&report);
    assert!(host.log().contains("the encoder broke; opening one anew"), "{}", host.log());
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
    bed.assert_obeyed();
    bed.assert_balanced();
    (session.encoder.expect("a name"), session.encoder_fallback, report)
}

#[test]
fn memory_that_runs_out_once_costs_one_key_frame() {
    let _turn = turn();
    let (encoder, fallback, report) = broken("out-of-memory@20");
    assert_eq!((encoder.as_str(), fallback), ("nvenc", None));
    assert_eq!(report.video.key_frames, 2, "{report}");
}

#[test]
fn a_device_that_is_lost_leaves_the_stream_to_the_next_encoder() {
    let _turn = turn();
    let (encoder, fallback, report) = broken("device-lost@20");
    let fallback = fallback.expect("a reason");
    assert!(encoder != "nvenc" && fallback.contains("nvEncOpenEncodeSessionEx: DEVICE_NOT_EXIST"), "{fallback}");
    assert_eq!(report.video.key_frames, 2, "{report}");
}

#[test]
fn an_encoder_that_opens_but_never_encodes_again_is_left_alone() {
    let _turn = turn();
    let (encoder, fallback, report) = broken("never-again@20");
    assert!(encoder != "nvenc", "{encoder}");
    assert_eq!(fallback.as_deref(), Some("nvenc: it broke again and again during this stream"));
    assert_eq!(report.video.key_frames, 2, "{report}");
}

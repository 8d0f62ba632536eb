//! Starts and stops.

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use lumen_host::encode::{
    BitDepth, Chroma, Codec, EncoderConfig, EncoderName, EncoderPreference, FrameIndex, FrameKind, FrameRequest,
    Matrix, Range, open,
};
use lumen_host::frame::{CpuImage, Frame, Mode, PixelFormat, Timeline};

use crate::bed::{Bed, encoded};
use crate::harness::{begin, full, small, turn, watch};

/// Open descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("ours").count()
}

/// A hundred encoders, one after the other, in a process that `a_hundred_encoders_leave_nothing_behind` starts: where
/// the driver lies is read from the environment.
#[test]
#[ignore = "run by a_hundred_encoders_leave_nothing_behind, in a process of its own"]
fn cycles_in_this_process() {
    let mode = Mode::new(320, 192, 60);
    let config = EncoderConfig {
        codec: Codec::H264,
        mode,
        bitrate_bps: 2_000_000,
        depth: BitDepth::Eight,
        chroma: Chroma::Yuv420,
        matrix: Matrix::Bt709,
        range: Range::Limited,
        slices: 1,
        max_reference_frames: 0,
        max_frame_bytes: usize::MAX,
    };
    let preference = EncoderPreference { encoder: Some(EncoderName::Nvenc), ..EncoderPreference::default() };
    let image = CpuImage {
        width: mode.width,
        height: mode.height,
        stride: mode.width as usize * 4,
        format: PixelFormat::Bgrx,
        data: vec![0x55; (mode.width * mode.height * 4) as usize],
    };
    let frame = Frame { image: Arc::new(image), serial: 1, timeline: Timeline::starting(Instant::now()) };
    let mut before = 0;
    for cycle in 0..100 {
        let mut encoder = open(&config, preference).expect("it opens");
        for (index, request, kind) in [
            (1, FrameRequest::Normal, FrameKind::Idr),
            (2, FrameRequest::Normal, FrameKind::P),
            (3, FrameRequest::Idr, FrameKind::Idr),
            (4, FrameRequest::Normal, FrameKind::P),
            (5, lost(4, 4), FrameKind::AfterInvalidation),
            (6, lost(1, 5), FrameKind::Idr),
        ] {
            if index == 4 {
                encoder.set_bitrate(1_000_000).expect("it takes it");
            }
            let unit = encoder.encode(&frame, FrameIndex(index), request).expect("it encodes").expect("a picture");
            assert_eq!(unit.kind, kind, "picture {index}");
            assert_eq!(unit.data[..3], [0, 0, 0]);
        }
        drop(encoder);
        if cycle == 0 {
            before = descriptors();
        }
    }
    assert_eq!(descriptors(), before);
}

fn lost(first: u32, last: u32) -> FrameRequest {
    FrameRequest::Invalidate { first: FrameIndex(first), last: FrameIndex(last) }
}

#[test]
fn a_hundred_encoders_leave_nothing_behind() {
    let bed = Bed::new();
    let mut command = Command::new(std::env::current_exe().expect("a program"));
    bed.apply(&mut command, None);
    let output = command.args(["--ignored", "--exact", "cycles::cycles_in_this_process"]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    bed.assert_obeyed();
    bed.assert_balanced();
    assert_eq!(bed.count("closed after 6 pictures, 0 open"), 100);
    assert_eq!(bed.count("context released, 0 left"), 100);
    assert_eq!(bed.count("reconfigured to 1000000 bit/s"), 100);
    assert_eq!(bed.count("gave up picture"), 100);
}

/// The host itself, as a player uses it: with `--full` a hundred times.
#[test]
fn sessions_that_start_and_stop_leave_nothing_behind() {
    let _turn = turn();
    let bed = Bed::new();
    let host = bed.host(None);
    let client = host.client("sofa");
    let mut settled = None;
    for cycle in 0..if full() { 100 } else { 6 } {
        let stream = begin(&client, &host.address(), &small());
        watch(&stream, 3);
        assert_eq!(encoded(&host, "sofa").encoder.as_deref(), Some("nvenc"));
        stream.stop().expect("a report");
        client.quit(&host.address()).expect("it ends");
        host.is_deserted();
        crate::harness::eventually("connections close", || match settled {
            Some(settled) => (host.descriptors() <= settled).then_some(()),
            None => {
                let before = host.descriptors();
                std::thread::sleep(std::time::Duration::from_millis(300));
                if cycle == 1 && host.descriptors() == before {
                    settled = Some(before);
                }
                (cycle == 0 || settled.is_some()).then_some(())
            }
        });
    }
    bed.assert_obeyed();
    bed.assert_balanced();
}

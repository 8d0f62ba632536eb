//! `lumen record` and `lumen bench display` as people type them. What is recorded is judged by FFmpeg, which knows
//! nothing of lumen.
#![allow(missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let run = directory.path().join("run");
        let text = format!("runtime_dir = {run:?}\nlog.filter = \"warn\"\n{config}");
        std::fs::write(directory.path().join("lumen.toml"), text).expect("written");
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn lumen(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lumen"));
        command.arg("--config").arg(self.path("lumen.toml")).args(arguments).current_dir(self.directory.path());
        command.output().expect("lumen runs")
    }

    /// Records into `out.mkv` and says what lumen says.
    fn record(&self, arguments: &[&str]) -> Value {
        let fixed = ["record", "--json", "--output", "out.mkv", "--duration", "2500ms", "--bitrate", "2M"];
        let output = self.lumen(&[&fixed[..], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

/// Runs a tool of FFmpeg, which must have no complaint.
fn ffmpeg(tool: &str, arguments: &[&str], file: &Path) -> Vec<u8> {
    let (before, after) = arguments.split_at(arguments.iter().position(|one| *one == "FILE").expect("a place"));
    let output = Command::new(tool).args(before).arg(file).args(&after[1..]).output();
    let output = output.unwrap_or_else(|error| panic!("{tool}: {error}; scripts/test installs FFmpeg"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{tool} complains: {said}");
    output.stdout
}

/// The recording decodes without a complaint, has as many pictures and packets as lumen says, and lasts as long.
fn assert_plays(file: &Path, codec: &str, size: (u64, u64), summary: &Value) {
    let probe = ["-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json", "FILE"];
    let found: Value = serde_json::from_slice(&ffmpeg("ffprobe", &probe, file)).expect("JSON");
    let (video, audio) = (&found["streams"][0], &found["streams"][1]);
    assert_eq!((video["codec_name"].as_str(), audio["codec_name"].as_str()), (Some(codec), Some("opus")));
    assert_eq!((video["width"].as_u64(), video["height"].as_u64()), (Some(size.0), Some(size.1)));
    assert_eq!(
        (&video["pix_fmt"], &video["color_space"], &video["color_range"]),
        (&"yuv420p".into(), &"bt709".into(), &"tv".into())
    );
    assert_eq!((&audio["sample_rate"], &audio["channels"]), (&"48000".into(), &2.into()));
    let counted = |stream: &Value| stream["nb_read_frames"].as_str().and_then(|count| count.parse::<u64>().ok());
    assert_eq!(counted(video), summary["frames"].as_u64(), "{summary}");
    assert_eq!(counted(audio), summary["audio_packets"].as_u64(), "{summary}");
    let seconds: f64 = found["format"]["duration"].as_str().and_then(|text| text.parse().ok()).expect("a duration");
    assert!((seconds - 2.5).abs() < 0.5, "{seconds} s");

    ffmpeg(
        "ffmpeg",
        &["-v", "error", "-xerror", "-i", "FILE", "-vsync", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"],
        file,
    );
    // The index leads to the second key frame.
    let seek = [
        "-v",
        "error",
        "-xerror",
        "-ss",
        "2.2",
        "-i",
        "FILE",
        "-vsync",
        "passthrough",
        "-enc_time_base",
        "-1",
        "-frames:v",
        "1",
        "-f",
        "null",
        "-",
    ];
    ffmpeg("ffmpeg", &seek, file);
    let (withheld, rebuilt) = (summary["withheld"].as_u64(), summary["rebuilt"].as_u64());
    let (withheld, rebuilt) = (withheld.expect("a number"), rebuilt.expect("a number"));
    // The last block of the sound may have no parity yet.
    assert!(withheld >= 20 && withheld - rebuilt <= 1, "{summary}");
    assert!(summary["key_frames"].as_u64() >= Some(2), "{summary}");
}

#[test]
fn the_test_card_becomes_a_file_that_plays() {
    let place = Place::new("");
    for (codec, only) in [("h264", "openh264"), ("h264", "x264"), ("hevc", "x265"), ("av1", "")] {
        // The built-in encoder is there without FFmpeg.
        let config = if only.is_empty() { String::new() } else { format!("encoder.only = \"{only}\"\n") };
        let place = Place::new(&config);
        let summary = place.record(&["--codec", codec, "--mode", "640x360@30"]);
        if !only.is_empty() {
            assert_eq!(summary["encoder"], only);
        }
        assert_plays(&place.path("out.mkv"), codec, (640, 360), &summary);
        // Nothing of the session stays.
        let sessions = std::fs::read_dir(place.path("run/sessions")).map_or(0, Iterator::count);
        assert_eq!(sessions, 0);
    }
    drop(place);
}

#[test]
fn a_declared_application_is_recorded_by_its_title() {
    let app = "[[apps]]\nname = \"Moving\"\ndisplay = \"testcard-motion\"\nbefore = [[\"touch\", \"/dev/null\"]]\n";
    let place = Place::new(app);
    let summary = place.record(&["--app", "moving", "--mode", "322x182@24"]);
    assert!(summary["frames"].as_u64() > Some(5), "{summary}");
    let output = place.lumen(&["record", "--app", "Movin", "--output", "none.mkv"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("the nearest is \"Moving\""), "{said}");
    assert!(!place.path("none.mkv").exists());
}

#[test]
fn an_interrupted_recording_is_whole() {
    let place = Place::new("");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lumen"));
    command.arg("--config").arg(place.path("lumen.toml")).current_dir(place.directory.path());
    command.args(["record", "--output", "out.mkv", "--duration", "10min", "--mode", "320x180@30"]);
    let mut child = command.spawn().expect("lumen runs");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(40);
    // The first cluster is written when the second begins.
    while std::fs::metadata(place.path("out.mkv")).map_or(0, |file| file.len()) < 8192 {
        assert!(std::time::Instant::now() < until, "nothing is written");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("ours");
    assert!(child.wait().expect("ours").success());
    let decode =
        ["-v", "error", "-xerror", "-i", "FILE", "-vsync", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"];
    ffmpeg("ffmpeg", &decode, &place.path("out.mkv"));
}

#[test]
fn a_program_that_is_not_there_leaves_no_file() {
    let place = Place::new("");
    let output =
        place.lumen(&["record", "--display", "wlroots", "--output", "out.mkv", "--", "no-such-program-anywhere"]);
    assert!(!output.status.success());
    assert!(!place.path("out.mkv").exists());
    assert_eq!(std::fs::read_dir(place.path("run/sessions")).map_or(0, Iterator::count), 0);
}

#[test]
fn pacing_of_the_test_card_is_measured() {
    let place = Place::new("");
    let arguments = ["bench", "display", "--mode", "320x180@50", "--duration", "1s"];
    let output = place.lumen(&[&arguments[..], &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let number = |key: &str| report[key].as_u64().expect("a number");
    assert_eq!((&report["display"], number("width"), number("height")), (&"testcard".into(), 320, 180));
    // Each picture of the card differs; each turn is shown or counted as replaced.
    let seconds = report["seconds"].as_f64().expect("a number");
    let turns = (seconds * 50.0).round() as u64;
    let accounted = number("pictures") + number("replaced") - 1;
    assert!(number("repeated") == 0 && accounted.abs_diff(turns) <= 2, "{report}");
    let intervals = &report["interval_ms"];
    let at = |key: &str| intervals[key].as_f64().expect("a number");
    assert!(at("p50") > 0.0 && at("p50") <= at("p95") && at("p95") <= at("p99") && at("p99") <= at("max"), "{report}");
    let table = place.lumen(&arguments);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("P50") && table.contains("presented to captured"), "{table}");
}

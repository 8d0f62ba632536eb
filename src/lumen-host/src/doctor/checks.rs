//! Configuration, directories, encoders.

use std::path::Path;

use rustix::fs::Access;

use super::Finding;
use crate::admin::{AdminClient, AdminClientError, Status};
use crate::config::{self, Config, Overrides, Sources};
use crate::encode::{Codec, EncoderInfo, EncoderName};

/// The configuration in force; the defaults, if it is wrong.
pub(super) fn config(sources: &Sources) -> (Config, Finding) {
    match config::load(sources) {
        Ok(loaded) => {
            let from = loaded.origin();
            (loaded.config, Finding::ok("configuration", from))
        }
        Err(error) => {
            let finding =
                Finding::fail("configuration", error.to_string(), "correct it; `lumen config check` checks it");
            let flags = Overrides::default();
            let bare = config::load(&Sources { file: None, environment: Vec::new(), flags });
            (bare.map(|loaded| loaded.config).unwrap_or_default(), finding)
        }
    }
}

pub(super) fn state_directory(config: &Config) -> Finding {
    let directory = &config.state_dir;
    match writable(directory) {
        Ok(()) => Finding::ok("state directory", directory.display().to_string()),
        Err(error) => Finding::fail(
            "state directory",
            format!("{} is not writable: {error}", directory.display()),
            "make it writable for the user of the host, or set state_dir",
        ),
    }
}

pub(super) fn admin_socket(config: &Config) -> Finding {
    let path = config.admin_socket();
    match AdminClient::new(path.clone()).get::<Status>("/v1/status") {
        Ok(status) => Finding::ok("host", format!("lumen {} is running as process {}", status.version, status.pid)),
        Err(AdminClientError::NotRunning { .. }) => match writable(&config.runtime_dir) {
            Ok(()) => Finding::ok("host", "not running; `lumen serve` starts it"),
            Err(error) => Finding::fail(
                "host",
                format!("not running, and {} is not writable: {error}", config.runtime_dir.display()),
                "make it writable for the user of the host, or set runtime_dir",
            ),
        },
        Err(AdminClientError::Forbidden { .. }) => Finding::warn(
            "host",
            format!("running under another user ({})", path.display()),
            "run this as that user, or as root",
        ),
        Err(error) => Finding::fail("host", error.to_string(), "restart the host; its log says more"),
    }
}

/// Whether the directory, or where it would be made, can be written.
fn writable(directory: &Path) -> Result<(), rustix::io::Errno> {
    let existing = directory.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    rustix::fs::access(existing, Access::WRITE_OK | Access::EXEC_OK)
}

/// What can be encoded here: each encoder was opened once.
pub(super) fn encoders(found: &anyhow::Result<Vec<EncoderInfo>>) -> [Finding; 2] {
    let of = |codec: Codec| found.iter().flatten().filter(move |info| info.codec == codec);
    let formats =
        [Codec::H264, Codec::Hevc, Codec::Av1].into_iter().filter(|codec| of(*codec).next().is_some()).count();
    let list: Vec<_> = found.iter().flatten().map(ToString::to_string).collect();
    let broken = found.as_ref().err().map(|error| {
        Finding::fail(
            "video encoders",
            format!("looking for them failed: {error:#}"),
            "one of FFmpeg's libraries may be broken: reinstall them, or remove them and do with H.264",
        )
    });
    let video = match formats {
        0 => Finding::fail("video encoders", "none works", "install FFmpeg's libraries, with libx264"),
        1 => Finding::warn(
            "video encoders",
            list.join(", "),
            "install FFmpeg's libraries with libx265 and SVT-AV1, for HEVC, AV1 and 10 bits",
        ),
        _ => Finding::ok("video encoders", list.join(", ")),
    };
    let ffmpeg = match lumen_ffmpeg::Library::load() {
        Ok(library) => Finding::ok("FFmpeg", format!("libavcodec {}", library.version())),
        Err(error) => Finding::warn(
            "FFmpeg",
            error.to_string(),
            "install FFmpeg's shared libraries (Debian: apt install ffmpeg); without them, H.264 only",
        ),
    };
    [broken.unwrap_or(video), ffmpeg]
}

/// Whether the encoder of an NVIDIA GPU is used, and why not.
pub(super) fn nvenc(found: &anyhow::Result<Vec<EncoderInfo>>) -> Finding {
    const CHECK: &str = "NVENC";
    let infos = || found.iter().flatten();
    if let Some(info) = infos().find(|info| info.name == EncoderName::Nvenc) {
        return Finding::ok(CHECK, info.note.clone());
    }
    match infos().flat_map(|info| &info.passed_over).find(|other| other.name == EncoderName::Nvenc) {
        Some(other) if !other.expected => Finding::warn(
            CHECK,
            format!("not used: {}", other.reason),
            "what mends it stands in the reason; without it, pictures are encoded by the processor",
        ),
        Some(other) => Finding::ok(CHECK, format!("not used: {}", other.reason)),
        None => Finding::ok(CHECK, "not looked for"),
    }
}

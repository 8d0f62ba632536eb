//! A host that finds the double where it looks for NVIDIA's driver.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Host, eventually};
use lumen_host::admin::SessionInfo;

/// A folder with the double under the names of the driver's libraries, and its record.
pub struct Bed {
    directory: tempfile::TempDir,
}

impl Bed {
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("lumen-nvenc").tempdir().expect("a directory");
        for name in ["libcuda.so.1", "libnvidia-encode.so.1"] {
            symlink(double(), directory.path().join(name)).expect("a link");
        }
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Lets a command find the double, and tells the double which fault to play, if any.
    pub fn apply(&self, command: &mut Command, fault: Option<&str>) {
        command
            .env("LUMEN_NVIDIA_DIR", self.directory.path())
            .env(lumen_nvenc_double::RECORD_VARIABLE, self.path("record"))
            .env_remove(lumen_nvenc_double::FAULT_VARIABLE)
            .env_remove(lumen_nvenc_double::SLOTS_VARIABLE);
        if let Some(fault) = fault {
            command.env(lumen_nvenc_double::FAULT_VARIABLE, fault);
        }
        if self.path("slots").exists() {
            command.env(lumen_nvenc_double::SLOTS_VARIABLE, self.path("slots"));
        }
    }

    /// Allows so many sessions at once, in all processes together.
    pub fn limit_sessions(&self, count: usize) {
        fs::create_dir(self.path("slots")).expect("a directory");
        for number in 0..count {
            fs::write(self.path("slots").join(number.to_string()), "").expect("written");
        }
    }

    /// A host in this bed.
    pub fn host(&self, fault: Option<&str>) -> Host {
        let mut host = Host::prepared("");
        let mut command = host.command();
        self.apply(&mut command, fault);
        host.serve_by(command);
        host
    }

    /// What the double wrote down, without the number of the process.
    pub fn record(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("record")).unwrap_or_default();
        text.lines().map(|line| line.split_once(' ').map_or("", |(_, line)| line).to_owned()).collect()
    }

    /// How many lines begin with `text`.
    pub fn count(&self, text: &str) -> usize {
        self.record().iter().filter(|line| line.starts_with(text)).count()
    }

    /// No rule was broken.
    pub fn assert_obeyed(&self) {
        let record = self.record();
        let broken: Vec<_> = record.iter().filter(|line| line.starts_with("violation")).collect();
        assert!(broken.is_empty(), "{broken:?}\n{}", record.join("\n"));
        assert!(self.count("opened") > 0, "the double was used");
    }

    /// What was opened is closed again: every encoder, every context.
    pub fn assert_balanced(&self) {
        assert_eq!(self.count("opened"), self.count("closed"), "{:?}", self.record());
    }
}

/// The client's session, once the host knows what encodes it: workers say so once a second.
pub fn encoded(host: &Host, client: &str) -> SessionInfo {
    eventually("the session says what encodes", || host.session_of(client).filter(|session| session.encoder.is_some()))
}

/// The double's shared library: cargo builds it beside the tests, as it is a dependency of theirs.
fn double() -> PathBuf {
    let tests = std::env::current_exe().expect("a program");
    let library = tests.parent().map(|directory| directory.join("liblumen_nvenc_double.so"));
    library.filter(|path| Path::exists(path)).expect("cargo has built liblumen_nvenc_double.so beside this test")
}

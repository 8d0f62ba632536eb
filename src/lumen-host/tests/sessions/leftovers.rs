//! What sessions could leave behind, counted: processes, sockets, files, scopes, and in servers that they share with
//! others PipeWire's nodes, sway's outputs and seats. Taken before and after, it must be the same.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Host, eventually};

/// Where to look, besides the host itself.
#[derive(Debug, Default, Clone)]
pub struct Around {
    /// Command socket of a sway that sessions share.
    pub sway: Option<PathBuf>,
    /// Directory of a PipeWire that sessions share.
    pub pipewire: Option<PathBuf>,
}

/// One line for everything that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory(BTreeSet<String>);

impl Inventory {
    /// Everything that belongs to sessions of `host` now.
    pub fn of(host: &Host, around: &Around) -> Self {
        let mut all = BTreeSet::new();
        processes(host, &mut all);
        let sessions = host.path("run/sessions");
        files(&sessions, &mut all);
        let sockets = fs::read_to_string("/proc/net/unix").expect("a list of sockets");
        let bound = sockets.lines().filter_map(|line| line.split_whitespace().nth(7));
        all.extend(bound.filter(|path| Path::new(path).starts_with(&sessions)).map(|path| format!("bound {path}")));
        scopes(Path::new("/sys/fs/cgroup"), 6, &mut all);
        if let Some(sway) = &around.sway {
            outputs_and_seats(sway, &mut all);
        }
        if let Some(pipewire) = &around.pipewire {
            nodes(pipewire, &mut all);
        }
        Self(all)
    }

    /// Waits until there is what there was, and nothing else.
    pub fn is_all_that_is_left(&self, host: &Host, around: &Around) {
        let mut last = BTreeSet::new();
        let mut look = || {
            last = Self::of(host, around).0;
            (last == self.0).then_some(())
        };
        let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
        while look().is_none() {
            if std::time::Instant::now() > deadline {
                let (more, less): (Vec<_>, Vec<_>) =
                    (last.difference(&self.0).collect(), self.0.difference(&last).collect());
                panic!("left behind: {more:#?}, missing: {less:#?}\n{}", host.log());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// How many things of a session there are, beyond `before`.
    pub fn beyond(&self, before: &Self) -> usize {
        self.0.difference(&before.0).count()
    }
}

/// The processes whose names are these, of all sessions of a host.
pub fn process_named(host: &Host, name: &str) -> Vec<u32> {
    let mut all = BTreeSet::new();
    processes(host, &mut all);
    let with_name = all.iter().filter_map(|line| line.strip_suffix(&format!(" {name}")));
    with_name.filter_map(|line| line.strip_prefix("process ")?.parse().ok()).collect()
}

/// Waits for the only process of this name.
pub fn only_process(host: &Host, name: &str) -> u32 {
    eventually(&format!("one {name} runs"), || match process_named(host, name)[..] {
        [pid] => Some(pid),
        _ => None,
    })
}

/// Sessions inherit from the daemon where it has its files.
fn processes(host: &Host, all: &mut BTreeSet<String>) {
    let own = format!("LUMEN_RUNTIME_DIR={}", host.path("run").display());
    for entry in fs::read_dir("/proc").expect("a process list").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let is_serve = read("cmdline").split(|byte| *byte == 0).any(|word| word == b"serve");
        if !is_serve && read("environ").split(|byte| *byte == 0).any(|variable| variable == own.as_bytes()) {
            all.insert(format!("process {pid} {}", String::from_utf8_lossy(&read("comm")).trim()));
        }
    }
}

fn files(directory: &Path, all: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let kind = entry.file_type().expect("a type");
        let what = if kind.is_socket() { "socket" } else { "file" };
        all.insert(format!("{what} {}", entry.path().display()));
        if kind.is_dir() {
            files(&entry.path(), all);
        }
    }
}

fn scopes(directory: &Path, depth: usize, all: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if depth == 0 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("lumen-") && name.ends_with("-app.scope") {
            all.insert(format!("scope {name}"));
        }
        scopes(&entry.path(), depth - 1, all);
    }
}

fn outputs_and_seats(socket: &Path, all: &mut BTreeSet<String>) {
    let stream = UnixStream::connect(socket).expect("sway listens");
    let mut sway = swayipc::Connection::from(stream);
    for output in sway.get_outputs().expect("sway answers") {
        let shows = output.current_workspace.unwrap_or_default();
        // sway 1.7 cannot remove one: it is kept, tiny, for the next session.
        if !shows.starts_with("lumen parked") {
            all.insert(format!("output {} with {shows}", output.name));
        }
    }
    for seat in sway.get_seats().expect("sway answers").into_iter().filter(|seat| !seat.devices.is_empty()) {
        all.insert(format!("seat {} with {} devices", seat.name, seat.devices.len()));
    }
}

fn nodes(directory: &Path, all: &mut BTreeSet<String>) {
    let output = Command::new("pw-dump").env("PIPEWIRE_RUNTIME_DIR", directory).output();
    let output = output.expect("pw-dump is not installed: `scripts/test host` installs it");
    let dump: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let mut names: Vec<_> = dump
        .as_array()
        .into_iter()
        .flatten()
        .filter(|object| object["type"] == "PipeWire:Interface:Node")
        .map(|object| object["info"]["props"]["node.name"].as_str().unwrap_or_default())
        // The session manager makes it whenever there is no other sink.
        .filter(|name| *name != "auto_null")
        .collect();
    names.sort_unstable();
    for same in names.chunk_by(|a, b| a == b) {
        all.insert(format!("{} nodes {}", same.len(), same[0]));
    }
}

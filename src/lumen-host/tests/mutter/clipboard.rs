//! The clipboard of a session on Mutter and its client: what `wl-copy` copies reaches the client, and what the client copies
//! is pasted by `wl-paste`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lumen_client::options::Transport;
use lumen_client::{Session, StreamOptions};
use lumen_core::lumen1::message::ClipboardFormat::{self, Png, Text};

use crate::bed::{PATIENCE, become_ordinary, eventually, need};
use crate::harness::{Host, begin, small, turn};
use crate::streams::socket;

/// A program at the session's Mutter. It opens a window that nobody sees, for the attention that a clipboard needs there.
fn program(socket: &Path, name: &str, kind: ClipboardFormat) -> Command {
    let mut command = Command::new(name);
    command.env("XDG_RUNTIME_DIR", socket.parent().expect("a directory")).env("WAYLAND_DISPLAY", socket);
    command.args(["--type", if kind == Png { "image/png" } else { "text/plain" }]);
    command
}

fn copy(socket: &Path, kind: ClipboardFormat, bytes: &[u8]) -> Program {
    let mut command = program(socket, "wl-copy", kind);
    let mut child = command.arg("--foreground").stdin(Stdio::piped()).spawn().expect("wl-copy starts");
    child.stdin.take().expect("a pipe").write_all(bytes).expect("wl-copy reads");
    Program(child)
}

fn pastes(socket: &Path, kind: ClipboardFormat, bytes: &[u8]) {
    eventually("a program pastes it", || {
        let output = program(socket, "wl-paste", kind).arg("--no-newline").output().expect("wl-paste starts");
        (output.status.success() && output.stdout == bytes).then_some(())
    });
}

fn arrives(stream: &Session, kind: ClipboardFormat, bytes: &[u8]) -> usize {
    eventually("it reaches the client", || {
        stream.copied().iter().rposition(|(format, copied)| (*format, &copied[..]) == (kind, bytes))
    })
}

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn text_and_images_pass_both_ways_and_nothing_comes_back() {
    let _turn = turn();
    become_ordinary();
    for program in ["mutter", "dbus-daemon", "pipewire", "wireplumber", "wl-copy", "wl-paste"] {
        need(program);
    }
    let mut host = Host::prepared(
        "grants.clipboard = true\n\
         [[apps]]\nname = \"Desktop\"\ndisplay = \"mutter\"\ncommand = [\"sleep\", \"infinity\"]\n",
    );
    let home = host.path("home");
    fs::create_dir(&home).expect("a directory");
    let mut serve = host.command();
    serve.env("HOME", &home);
    host.serve_by(serve);
    let client = host.client("ann");
    let options =
        StreamOptions { transport: Transport::Lumen1, clipboard: true, first_frame_timeout: PATIENCE, ..small() };
    let stream = begin(&client, &host.address(), &options);
    let socket = socket(&host);

    let there = copy(&socket, Text, "from there: grüße\n".as_bytes());
    assert_eq!(arrives(&stream, Text, "from there: grüße\n".as_bytes()), 0);
    stream.copy(Text, "von hier: grüße\n".into());
    pastes(&socket, Text, "von hier: grüße\n".as_bytes());
    drop(there);
    let image: Vec<u8> = b"\x89PNG\r\n\x1a\n".iter().copied().chain((0..600_000).map(|at| (at % 251) as u8)).collect();
    stream.copy(Png, image.clone());
    pastes(&socket, Png, &image);
    let other: Vec<u8> = image.iter().copied().chain([1, 2, 3]).collect();
    let _there = copy(&socket, Png, &other);
    // Nothing of the client's came back meanwhile.
    assert_eq!(arrives(&stream, Png, &other), 1);
    let report = stream.stop().expect("a report");
    assert_eq!((report.clipboard.granted, report.clipboard.received.len()), (true, 2), "{report}");
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
}

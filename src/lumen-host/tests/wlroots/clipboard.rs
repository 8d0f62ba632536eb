//! The clipboard of a session and its client, on a real sway: what `wl-copy` copies reaches the client, and what the client
//! copies is pasted by `wl-paste`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lumen_client::options::Transport;
use lumen_client::script::Script;
use lumen_client::{Session, StreamOptions};
use lumen_core::lumen1::message::ClipboardFormat::{self, Png, Text};
use lumen_host::clipboard::MOST;
use rustix::process::Signal;

use crate::bed::{PATIENCE, become_ordinary, eventually, need};
use crate::harness::{Host, begin, signal, small, turn};

/// A host with a sway on which nothing runs.
fn host(config: &str) -> Host {
    become_ordinary();
    for program in ["sway", "wl-copy", "wl-paste"] {
        need(program);
    }
    let app = "[[apps]]\nname = \"Desk\"\ndisplay = \"wlroots\"\ncommand = [\"sleep\", \"infinity\"]\n";
    let mut host = Host::prepared(&format!("{config}\n{app}"));
    let home = host.path("home");
    fs::create_dir(&home).expect("a directory");
    let mut serve = host.command();
    serve.env("HOME", &home).env("XDG_RUNTIME_DIR", &home).env("LC_ALL", "C.UTF-8");
    host.serve_by(serve);
    host
}

fn sharing() -> StreamOptions {
    StreamOptions { transport: Transport::Lumen1, clipboard: true, first_frame_timeout: PATIENCE, ..small() }
}

/// The desktop of the only session.
struct Desk(PathBuf);

impl Desk {
    fn of(host: &Host) -> Self {
        fn search(directory: &Path) -> Option<PathBuf> {
            let entries: Vec<PathBuf> = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
            if entries.iter().any(|path| path.ends_with("wayland-1")) {
                return Some(directory.to_owned());
            }
            entries.iter().filter(|path| path.is_dir()).find_map(|path| search(path))
        }
        Self(eventually("the session has a sway", || search(&host.path("run"))))
    }

    fn command(&self, program: &str, kind: ClipboardFormat) -> Command {
        let mut command = Command::new(program);
        command.env("XDG_RUNTIME_DIR", &self.0).env("WAYLAND_DISPLAY", "wayland-1");
        command.args(["--type", if kind == Png { "image/png" } else { "text/plain" }]);
        command
    }

    /// A program copies; it hands its content over for as long as it runs.
    fn copy(&self, kind: ClipboardFormat, bytes: &[u8]) -> Program {
        let mut command = self.command("wl-copy", kind);
        let mut child = command.arg("--foreground").stdin(Stdio::piped()).spawn().expect("wl-copy starts");
        child.stdin.take().expect("a pipe").write_all(bytes).expect("wl-copy reads");
        Program(child)
    }

    /// What a program pastes; nothing if there is nothing.
    fn paste(&self, kind: ClipboardFormat) -> Option<Vec<u8>> {
        let output = self.command("wl-paste", kind).arg("--no-newline").output().expect("wl-paste starts");
        output.status.success().then_some(output.stdout)
    }

    fn pastes(&self, kind: ClipboardFormat, bytes: &[u8]) {
        eventually("a program pastes it", || (self.paste(kind).as_deref() == Some(bytes)).then_some(()));
    }
}

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for content of the session. What came before it.
fn arrives(stream: &Session, kind: ClipboardFormat, bytes: &[u8]) -> usize {
    eventually("it reaches the client", || {
        stream.copied().iter().rposition(|(format, copied)| (*format, &copied[..]) == (kind, bytes))
    })
}

fn grant(host: &Host, arguments: &[&str]) {
    let output = host.command().args(["clients", "grant"]).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Bytes that are a PNG image as far as anybody looks.
fn image(length: usize) -> Vec<u8> {
    b"\x89PNG\r\n\x1a\n".iter().copied().chain((0..length).map(|at| (at * 31 % 251) as u8)).collect()
}

#[test]
fn text_and_images_pass_both_ways_and_nothing_comes_back() {
    let _turn = turn();
    let host = host("grants.clipboard = true");
    let client = host.client("ann");
    let stream = begin(&client, &host.address(), &sharing());
    let desk = Desk::of(&host);

    stream.copy(Text, "von hier: grüße\n".into());
    desk.pastes(Text, "von hier: grüße\n".as_bytes());
    let from_there = desk.copy(Text, "from there: grüße\n".as_bytes());
    assert_eq!(arrives(&stream, Text, "from there: grüße\n".as_bytes()), 0);
    drop(from_there);

    let picture = image(700_000);
    stream.copy(Png, picture.clone());
    desk.pastes(Png, &picture);
    let other = image(900_000);
    let from_there = desk.copy(Png, &other);
    assert_eq!(arrives(&stream, Png, &other), 1);
    drop(from_there);

    // As long as it may be, and longer.
    let long = vec![b'x'; MOST];
    stream.copy(Text, long.clone());
    desk.pastes(Text, &long);
    let too_long = desk.copy(Text, &vec![b'y'; MOST + 1]);
    eventually("the host says why", || host.log().contains("too long to be sent").then_some(()));
    drop(too_long);
    stream.copy(Text, vec![b'z'; MOST + 1]);
    let _after = desk.copy(Text, b"short again");
    // Nothing else came: neither what was too long nor what the client copied itself.
    assert_eq!(arrives(&stream, Text, b"short again"), 2);
    let report = stream.stop().expect("a report");
    assert_eq!((report.clipboard.granted, report.clipboard.received.len()), (true, 3), "{report}");
    assert_eq!(report.clipboard.received[0].text.as_deref(), Some("from there: grüße\n"));
    assert_eq!(report.video.decode_errors, 0, "{report}");
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
}

#[test]
fn a_script_copies_and_contents_are_saved() {
    let _turn = turn();
    let host = host("grants.clipboard = true");
    let client = host.client("ann");
    let first = begin(&client, &host.address(), &sharing());
    let desk = Desk::of(&host);
    // What was copied before a stream reaches it.
    let _program = desk.copy(Text, b"before");
    arrives(&first, Text, b"before");
    first.stop().expect("a report");
    let saved = host.path("saved");
    fs::create_dir(&saved).expect("a directory");
    let options = StreamOptions {
        script: Some(Script::parse("at 0.5s copy \"by script\"", 640, 360).expect("a script")),
        save_clipboard: Some(saved.clone()),
        ..sharing()
    };
    let report = client.stream(&host.address(), &options).expect("a stream");
    assert_eq!((report.clipboard.sent, report.clipboard.received.len()), (1, 1), "{report}");
    assert_eq!(fs::read(saved.join("1.txt")).expect("it was saved"), b"before");
    // It was the client's, and went with it.
    eventually("nothing is left of it", || desk.paste(Text).is_none().then_some(()));
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
}

#[test]
fn without_the_grant_nothing_passes_and_one_that_is_withdrawn_ends_it() {
    let _turn = turn();
    let host = host("");
    let client = host.client("ann");
    let stream = begin(&client, &host.address(), &sharing());
    let desk = Desk::of(&host);
    let program = desk.copy(Text, b"mine alone");
    desk.pastes(Text, b"mine alone");
    stream.copy(Text, b"not granted".to_vec());
    let report = stream.stop().expect("a report");
    assert_eq!((report.clipboard.granted, report.clipboard.sent), (false, 0), "{report}");
    assert_eq!((report.clipboard.received.len(), desk.paste(Text).as_deref()), (0, Some(&b"mine alone"[..])));

    grant(&host, &["ann", "--clipboard", "on"]);
    let stream = begin(&client, &host.address(), &sharing());
    arrives(&stream, Text, b"mine alone");
    drop(program);
    stream.copy(Text, b"granted".to_vec());
    desk.pastes(Text, b"granted");
    grant(&host, &["ann", "--clipboard", "off"]);
    eventually("the client's content is gone", || desk.paste(Text).is_none().then_some(()));
    let program = desk.copy(Text, b"mine again");
    desk.pastes(Text, b"mine again");
    stream.copy(Text, b"too late".to_vec());
    eventually("it is on its way", || (stream.report().clipboard.sent == 2).then_some(()));
    assert_eq!(desk.paste(Text).as_deref(), Some(&b"mine again"[..]));
    assert_eq!(stream.copied().len(), 1);
    drop(program);
    grant(&host, &["ann", "--clipboard", "on"]);
    stream.copy(Text, b"granted again".to_vec());
    desk.pastes(Text, b"granted again");
    stream.stop().expect("a report");
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
}

/// What it copied is asked for when the stream begins.
#[test]
fn a_program_that_does_not_hand_over_what_it_copied_holds_nothing_up() {
    let _turn = turn();
    let host = host("grants.clipboard = true");
    let client = host.client("ann");
    let first = begin(&client, &host.address(), &sharing());
    let desk = Desk::of(&host);
    let program = desk.copy(Text, b"before");
    arrives(&first, Text, b"before");
    first.stop().expect("a report");
    signal(program.0.id(), Signal::STOP);
    let stream = begin(&client, &host.address(), &sharing());
    eventually("it is given up", || host.log().contains("did not hand it over").then_some(()));
    stream.copy(Text, b"of the client".to_vec());
    desk.pastes(Text, b"of the client");
    signal(program.0.id(), Signal::CONT);
    let _other = desk.copy(Text, b"of another");
    assert_eq!(arrives(&stream, Text, b"of another"), 0);
    stream.stop().expect("a report");
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
}

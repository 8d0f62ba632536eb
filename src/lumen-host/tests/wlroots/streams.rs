//! The whole way: `lumen serve`, a session on a sway of its own, the network, the reference client's decoder.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lumen_client::StreamOptions;
use lumen_client::picture::Picture;
use lumen_core::gamestream::input::{InputEvent, KeyEvent, Modifiers, PressState, Text, VirtualKey};
use lumen_host::display::process::of_session;

use crate::bed::{become_ordinary, eventually, luma_psnr, need, read_ppm};
use crate::harness::{Host, begin, turn};
use crate::pictures::SCENE;

/// Luma of a decoded picture against the screenshot, in dB, at 20 Mbit/s. A still screen is encoded once or twice only.
const ENOUGH: f64 = 30.0;

/// A host with one application on a sway of its own.
fn host(script: &str) -> Host {
    become_ordinary();
    for program in ["sway", "grim", "foot"] {
        need(program);
    }
    let command = ["foot", "-o", "cursor.blink=no", "sh", "-c", script].map(|part| format!("{part:?}")).join(", ");
    let mut host = Host::prepared(&format!(
        "[[apps]]\nname = \"Terminal\"\ndisplay = \"wlroots\"\ncommand = [{command}]\non_exit = \"end\"\n"
    ));
    let home = host.path("home");
    fs::create_dir(&home).expect("a directory");
    let mut serve = host.command();
    serve.env("HOME", &home).env("LC_ALL", "C.UTF-8");
    host.serve_by(serve);
    host
}

/// The directory of the only session.
fn session_directory(host: &Host) -> PathBuf {
    fn search(directory: &Path) -> Option<PathBuf> {
        let entries: Vec<PathBuf> = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
        if entries.iter().any(|path| path.ends_with("sway.sock")) {
            return Some(directory.to_owned());
        }
        entries.iter().filter(|path| path.is_dir()).find_map(|path| search(path))
    }
    eventually("the session has a sway", || search(&host.path("run")))
}

fn screenshot(directory: &Path, file: &Path) -> (u32, u32, Vec<u8>) {
    let status = Command::new("grim")
        .args(["-c", "-t", "ppm"])
        .arg(file)
        .env("XDG_RUNTIME_DIR", directory)
        .env("WAYLAND_DISPLAY", "wayland-1")
        .status()
        .expect("grim starts");
    assert!(status.success(), "grim: {status}");
    read_ppm(file)
}

fn options(width: u32, height: u32, fps: u32) -> StreamOptions {
    StreamOptions {
        bitrate_kbps: 20_000,
        keep_pictures: true,
        first_frame_timeout: crate::bed::PATIENCE,
        ..StreamOptions::new(width, height, fps, Duration::from_secs(2))
    }
}

#[test]
fn a_real_terminal_reaches_the_client_at_three_modes() {
    let _turn = turn();
    let host = host(SCENE);
    let client = host.client("sofa");
    let mut session_name = None;
    // The session stays, with its terminal, and its display follows the client.
    for (width, height, fps) in [(1280, 720, 60), (1920, 1080, 30), (1366, 768, 50)] {
        let session = begin(&client, &host.address(), &options(width, height, fps));
        let directory = session_directory(&host);
        session_name.get_or_insert_with(|| directory.clone());
        assert_eq!(session_name.as_ref(), Some(&directory), "another session");
        let decibels = eventually("the decoded picture equals the screenshot", || {
            let shot = screenshot(&directory, &host.path("shot.ppm"));
            let picture = session.picture()?;
            let decibels = luma_psnr(&Picture::to_rgb(&picture), &shot)?;
            (decibels > ENOUGH).then_some(decibels)
        });
        println!("{width}x{height}@{fps}: {decibels:.1} dB of luma");
        let report = session.stop().expect("a report");
        assert_eq!((report.video.width as u32, report.video.height as u32), (width, height));
        assert_eq!((report.video.frames_lost, report.video.decode_errors), (0, 0), "{report}");
    }
    let id = host.session_of("sofa").expect("it is suspended").id;
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
    eventually("nothing is left", || of_session(&id.to_string()).is_empty().then_some(()));
    assert!(!session_name.expect("a session").exists());
}

#[test]
fn what_the_client_types_reaches_the_terminal_byte_for_byte() {
    let _turn = turn();
    let host = host("stty raw -echo; touch \"$HOME/ready\"; exec cat > \"$HOME/typed\"");
    let client = host.client("sofa");
    let session = begin(&client, &host.address(), &options(640, 360, 30));
    eventually("the terminal listens", || host.path("home/ready").exists().then_some(()));
    // It may start its shell before its window.
    let stream = UnixStream::connect(session_directory(&host).join("sway.sock")).expect("sway listens");
    let mut sway = swayipc::Connection::from(stream);
    eventually("the terminal has the keyboard", || {
        let tree = sway.get_tree().expect("sway answers");
        tree.find_focused(|node| node.focused)?.app_id.filter(|program| program == "foot")
    });
    for (state, code) in
        [(PressState::Down, 0xA0), (PressState::Down, b'L'), (PressState::Up, b'L'), (PressState::Up, 0xA0)]
    {
        session.send(InputEvent::Key(KeyEvent::new(state, VirtualKey(code), Modifiers::EMPTY)));
    }
    for code in [b'U', b'M', b'E', b'N', 0x0D] {
        for state in [PressState::Down, PressState::Up] {
            session.send(InputEvent::Key(KeyEvent::new(state, VirtualKey(code), Modifiers::EMPTY)));
        }
    }
    for part in ["grüße", " € ", "🦀"] {
        session.send(InputEvent::Text(Text::try_from(part.to_owned()).expect("short")));
    }
    let wanted = "Lumen\rgrüße € 🦀";
    let typed = || fs::read(host.path("home/typed")).unwrap_or_default();
    eventually("all of it arrives", || (typed().len() >= wanted.len()).then_some(()));
    assert_eq!(String::from_utf8_lossy(&typed()), wanted);
    session.stop().expect("a report");
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
}

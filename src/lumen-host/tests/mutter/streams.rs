//! The whole way: `lumen serve`, a session on a Mutter of its own, the network, the reference client's decoder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lumen_client::StreamOptions;
use lumen_host::display::process::{find_program, of_session};

use crate::bed::{PATIENCE, become_ordinary, eventually};
use crate::harness::{Host, begin, turn};
use crate::painter::{Decoded, Judge, Painter};

/// Luma of a decoded picture against what the program drew, in dB, at 20 Mbit/s.
const ENOUGH: f64 = 30.0;

/// Pictures that are compared at each mode.
const PICTURES: usize = 3;

/// The Wayland socket of the only session's Mutter.
pub fn socket(host: &Host) -> PathBuf {
    fn search(directory: &Path) -> Option<PathBuf> {
        let entries: Vec<PathBuf> = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
        let found = entries.iter().find(|path| path.ends_with("wayland-lumen")).cloned();
        found.or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| search(path)))
    }
    eventually("the session has a Mutter", || search(&host.path("run")))
}

#[test]
fn a_program_on_mutter_reaches_the_client_at_three_modes() {
    let _turn = turn();
    become_ordinary();
    for program in ["mutter", "dbus-daemon", "pipewire", "wireplumber"] {
        assert!(find_program(program).is_some(), "{program} is not installed: `scripts/test host` installs it");
    }
    let mut host = Host::prepared(
        "[[apps]]\nname = \"Desktop\"\ndisplay = \"mutter\"\ncommand = [\"sleep\", \"infinity\"]\non_exit = \"end\"\n",
    );
    let home = host.path("home");
    fs::create_dir(&home).expect("a directory");
    let mut serve = host.command();
    serve.env("HOME", &home);
    host.serve_by(serve);
    let client = host.client("sofa");
    let mut painter = None;
    let mut last = 0;
    // The session stays, with its program, and its display follows the client.
    for (width, height, fps) in [(1280, 720, 60), (1920, 1080, 30), (1366, 768, 50)] {
        let options = StreamOptions {
            bitrate_kbps: 20_000,
            keep_pictures: true,
            first_frame_timeout: PATIENCE,
            ..StreamOptions::new(width, height, fps, Duration::from_secs(2))
        };
        let session = begin(&client, &host.address(), &options);
        painter.get_or_insert_with(|| Painter::start(&socket(&host), None));
        let size = (width as usize, height as usize);
        let mut judge = Judge::default();
        for _ in 0..PICTURES {
            let Decoded { number, likeness } = eventually("a further decoded picture as it was drawn", || {
                judge.look_at(&session.picture()?).filter(|seen| seen.number > last && seen.likeness > ENOUGH)
            });
            println!("{width}x{height}@{fps}: decoded picture {number}: {likeness:.1} dB of luma");
            last = number;
        }
        let report = session.stop().expect("a report");
        assert_eq!((report.video.width, report.video.height), size);
        assert_eq!((report.video.frames_lost, report.video.decode_errors), (0, 0), "{report}");
    }
    drop(painter);
    let id = host.session_of("sofa").expect("it is suspended").id;
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
    eventually("nothing is left", || of_session(&id.to_string()).is_empty().then_some(()));
}

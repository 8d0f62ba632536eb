//! The whole way: `lumen serve`, a session on a KWin of its own, the network, the reference client's decoder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lumen_client::StreamOptions;
use lumen_client::picture::Picture;
use lumen_host::display::process::of_session;

use crate::bed::{PATIENCE, wait_for};
use crate::harness::Host;
use crate::painter::{Painter, drawn, read_number};

/// Luma of a decoded picture against what was drawn, in dB, at 20 Mbit/s.
const ENOUGH: f64 = 30.0;

/// The Wayland socket of the only session's KWin.
fn socket(host: &Host) -> PathBuf {
    fn search(directory: &Path) -> Option<PathBuf> {
        let entries: Vec<PathBuf> = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
        let found = entries.iter().find(|path| path.ends_with("wayland-lumen")).cloned();
        found.or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| search(path)))
    }
    search(&host.path("run")).expect("the session has a KWin")
}

/// Number and likeness of a decoded picture: red, green, blue.
fn compare(rgb: &[u8], width: usize, height: usize) -> Option<(u32, f64)> {
    (rgb.len() == width * height * 3).then_some(())?;
    let number = read_number(|x, y| rgb[(y * width + x) * 3 + 1])?;
    let luma =
        |red: u8, green: u8, blue: u8| 0.2126 * f64::from(red) + 0.7152 * f64::from(green) + 0.0722 * f64::from(blue);
    let drawn = drawn(width, height, number);
    let error: f64 = rgb
        .chunks(3)
        .zip(drawn.chunks(4))
        .map(|(seen, drawn)| (luma(seen[0], seen[1], seen[2]) - luma(drawn[2], drawn[1], drawn[0])).powi(2))
        .sum();
    Some((number, 10.0 * (255.0 * 255.0 / (error / (width * height) as f64)).log10()))
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn a_program_on_kwin_reaches_the_client_through_the_whole_protocol() {
    const SIZE: (usize, usize) = (1280, 720);
    let host = Host::with(
        "[[apps]]\nname = \"Desktop\"\ndisplay = \"kwin\"\ncommand = [\"sleep\", \"infinity\"]\non_exit = \"end\"\n",
    );
    let client = host.client("sofa");
    let options = StreamOptions {
        bitrate_kbps: 20_000,
        keep_pictures: true,
        first_frame_timeout: PATIENCE,
        ..StreamOptions::new(1280, 720, 30, Duration::from_secs(2))
    };
    // KWin may take longer to come up here than a client waits for its first packet, which is ten seconds. The session
    // stays, and its client comes back to it.
    let mut session = None;
    wait_for("the first picture", || {
        let begun = client.connect(&host.address(), &options).unwrap_or_else(|error| panic!("no stream: {error}"));
        let came = begun.wait_for_picture(options.first_frame_timeout);
        match came {
            Ok(()) => session = Some(begun),
            Err(error) => {
                println!("{error}");
                let _ = begun.stop();
            }
        }
        session.is_some()
    });
    let session = session.expect("waited for");
    let painter = Painter::start(&socket(&host), None);
    let mut seen = Vec::new();
    wait_for("three decoded pictures as they were drawn", || {
        let picture = session.picture().map(|picture| Picture::to_rgb(&picture));
        if let Some((number, decibels)) = picture.and_then(|picture| compare(&picture, SIZE.0, SIZE.1))
            && decibels > ENOUGH
            && seen.last().is_none_or(|(last, _)| *last < number)
        {
            println!("decoded picture {number}: {decibels:.1} dB of luma");
            seen.push((number, decibels));
        }
        seen.len() == 3
    });
    drop(painter);
    let report = session.stop().expect("a report");
    println!("{report}");
    assert_eq!((report.video.frames_lost, report.video.decode_errors), (0, 0), "{report}");
    let id = host.session_of("sofa").expect("it is suspended").id;
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
    wait_for("all processes to end", || of_session(&id.to_string()).is_empty());
}

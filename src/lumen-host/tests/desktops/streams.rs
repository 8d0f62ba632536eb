//! The whole way: `lumen serve`, a session on a compositor of its own, the network, the reference client's decoder.

use std::time::Duration;

use lumen_client::options::AppChoice;
use lumen_client::report::Ending;
use lumen_client::{Client, Session, StreamOptions};
use lumen_host::display::process::of_session;

use crate::bed::{PATIENCE, wait_for};
use crate::harness::Host;
use crate::painter::{Decoded, Judge, Painter};
use crate::x11;

/// Luma of a decoded picture against what was drawn, in dB, at 20 Mbit/s.
const ENOUGH: f64 = 30.0;

/// From one picture of the program in gamescope to the next: where processors emulate processors that stand for a GPU,
/// gamescope needs half a minute for one at 1280x720.
const SELDOM: Duration = Duration::from_secs(5);

/// Configuration of an application: its title is its display.
pub fn app(display: &str, command: &[String]) -> String {
    let command: Vec<String> = command.iter().map(|word| format!("{word:?}")).collect();
    format!(
        "[[apps]]\nname = \"{display}\"\ndisplay = \"{display}\"\ncommand = [{}]\non_exit = \"end\"\n",
        command.join(", ")
    )
}

/// A stream of the application on `display`, with its first picture there. A compositor may take longer to come up here
/// than a client waits for its first packet, which is ten seconds. The session stays, and its client comes back to it.
pub fn enter(host: &Host, client: &Client, display: &str, (width, height, fps): (u32, u32, u32)) -> Session {
    let options = StreamOptions {
        app: AppChoice::Named(display.to_owned()),
        bitrate_kbps: 20_000,
        keep_pictures: true,
        first_frame_timeout: PATIENCE,
        ..StreamOptions::new(width, height, fps, Duration::from_secs(2))
    };
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
    session.expect("waited for")
}

/// Ends the application of a client that was paired as `name`, and sees that nothing is left of it.
pub fn leave(host: &Host, client: &Client, name: &str) {
    let id = host.session_of(name).expect("it is suspended").id;
    client.quit(&host.address()).expect("it ends");
    wait_for("the session to end", || host.session_of(name).is_none());
    wait_for("all processes to end", || of_session(&id.to_string()).is_empty());
}

/// What a program draws on `display` reaches the client as it was drawn: so many pictures, each later than the one
/// before.
fn reaches_the_client(display: &str, program: &[String], pictures: usize, mode: (u32, u32, u32)) {
    let host = Host::with(&app(display, program));
    let client = host.client("sofa");
    let mut session = enter(&host, &client, display, mode);
    let mut judge = Judge::default();
    let mut seen: Vec<Decoded> = Vec::new();
    wait_for("decoded pictures as they were drawn", || {
        // In a machine that stands still for seconds, somebody takes the other for gone.
        if session.ending() != Ending::Running {
            println!("{display}: comes back after {:?}", session.ending());
            session = enter(&host, &client, display, mode);
        }
        let decoded = session.picture().and_then(|picture| judge.look_at(&picture));
        if let Some(decoded) = decoded
            && decoded.likeness > ENOUGH
            && seen.last().is_none_or(|last| last.number < decoded.number)
        {
            println!("{display} {}x{}@{}: {decoded:?}", mode.0, mode.1, mode.2);
            seen.push(decoded);
        }
        std::thread::sleep(Duration::from_millis(500));
        seen.len() == pictures
    });
    let report = session.stop().expect("a report");
    println!("{report}");
    assert_eq!((report.video.width as u32, report.video.height as u32), (mode.0, mode.1));
    assert_eq!((report.video.frames_lost, report.video.decode_errors), (0, 0), "{report}");
    leave(&host, &client, "sofa");
    host.is_deserted();
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn a_program_on_kwin_reaches_the_client_at_1280x720_and_60_hz() {
    reaches_the_client("kwin", &Painter::command(), 3, (1280, 720, 60));
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn a_program_on_kwin_reaches_the_client_at_1920x1080_and_30_hz() {
    reaches_the_client("kwin", &Painter::command(), 3, (1920, 1080, 30));
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn a_program_on_kwin_reaches_the_client_at_1366x768_and_50_hz() {
    reaches_the_client("kwin", &Painter::command(), 3, (1366, 768, 50));
}

#[test]
#[ignore = "needs gamescope 3.16 and a GPU: run by vm-tests/desktops"]
fn a_program_in_gamescope_reaches_the_client_at_1280x720_and_60_hz() {
    reaches_the_client("gamescope", &x11::command(SELDOM), 2, (1280, 720, 60));
}

#[test]
#[ignore = "needs gamescope 3.16 and a GPU: run by vm-tests/desktops"]
fn a_program_in_gamescope_reaches_the_client_at_1920x1080_and_30_hz() {
    reaches_the_client("gamescope", &x11::command(SELDOM), 2, (1920, 1080, 30));
}

#[test]
#[ignore = "needs gamescope 3.16 and a GPU: run by vm-tests/desktops"]
fn a_program_in_gamescope_reaches_the_client_at_1366x768_and_50_hz() {
    reaches_the_client("gamescope", &x11::command(SELDOM), 2, (1366, 768, 50));
}

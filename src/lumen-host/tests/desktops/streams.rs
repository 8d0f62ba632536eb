//! The whole way: `lumen serve`, a session on a compositor of its own, the network, the reference client's decoder.

use std::time::Duration;

use lumen_client::options::AppChoice;
use lumen_client::picture::Picture;
use lumen_client::{Client, Session, StreamOptions};
use lumen_host::display::process::of_session;

use crate::bed::{PATIENCE, wait_for};
use crate::harness::Host;
use crate::painter::{Painter, Scene, compare};

/// Luma of a decoded picture against what was drawn, in dB, at 20 Mbit/s.
const ENOUGH: f64 = 30.0;

/// Configuration of an application: its title is its display.
fn app(display: &str, command: &[String]) -> String {
    let command: Vec<String> = command.iter().map(|word| format!("{word:?}")).collect();
    format!(
        "[[apps]]\nname = \"{display}\"\ndisplay = \"{display}\"\ncommand = [{}]\non_exit = \"end\"\n",
        command.join(", ")
    )
}

/// A stream of the application on `display`, with its first picture there. A compositor may take longer to come up here
/// than a client waits for its first packet, which is ten seconds. The session stays, and its client comes back to it.
fn enter(host: &Host, client: &Client, display: &str, (width, height, fps): (u32, u32, u32)) -> Session {
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
fn leave(host: &Host, client: &Client, name: &str) {
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
    let session = enter(&host, &client, display, mode);
    let size = (mode.0 as usize, mode.1 as usize);
    let scene = Scene::new(size.0, size.1);
    let mut seen = Vec::new();
    let mut likeness = None;
    wait_for("decoded pictures as they were drawn", || {
        let picture = session.picture().map(|picture| Picture::to_rgb(&picture));
        let compared = picture.and_then(|picture| compare(&picture, &scene, size));
        if likeness != compared {
            likeness = compared;
            println!("{display} {}x{}@{}: decoded picture, dB of luma: {likeness:?}", mode.0, mode.1, mode.2);
        }
        if let Some((number, decibels)) = compared
            && decibels > ENOUGH
            && seen.last().is_none_or(|last| *last < number)
        {
            seen.push(number);
        }
        seen.len() == pictures
    });
    let report = session.stop().expect("a report");
    println!("{report}");
    assert_eq!((report.video.width, report.video.height), size);
    assert_eq!((report.video.frames_lost, report.video.decode_errors), (0, 0), "{report}");
    leave(&host, &client, "sofa");
    host.is_deserted();
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn a_program_on_kwin_reaches_the_client_through_the_whole_protocol() {
    reaches_the_client("kwin", &Painter::command(), 3, (1280, 720, 60));
}

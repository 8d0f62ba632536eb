//! What happens to a session on a real sway when something breaks. Each fault is injected for real, has its own answer,
//! and leaves nothing behind.

use std::fs;
use std::path::Path;

use lumen_client::options::Entry;
use lumen_client::report::Ending;
use lumen_client::{Session, StreamOptions};
use lumen_host::admin::SessionState;
use lumen_host::frame::Mode;
use rustix::process::Signal;

use crate::bed::{Bed, eventually};
use crate::harness::{begin, ending, signal, turn, watch};
use crate::leftovers::{Inventory, only_process, process_named};
use crate::stage::{Scenery, Stage, seen};

const MODE: (u32, u32, u32) = (640, 360, 30);

fn own() -> Stage {
    Stage::set(Scenery { desktop: None, shared_sound: false, config: "" })
}

fn shared() -> Stage {
    Stage::set(Scenery { desktop: Some(Bed::own(Mode::new(800, 600, 30))), shared_sound: true, config: "" })
}

fn is_told(session: &Session) {
    let told = ending(session);
    assert!(matches!(told, Ending::HostError(_)), "the client was told: {told:?}");
}

fn resumes(stage: &Stage, name: &str, app: &str, mode: (u32, u32, u32)) -> StreamOptions {
    StreamOptions { entry: Entry::Resume, ..stage.options(name, app, mode) }
}

/// How many things a session has that could stay behind.
fn things(stage: &Stage) -> usize {
    Inventory::of(&stage.host, &stage.around).beyond(&stage.before)
}

#[test]
fn a_compositor_that_crashes_ends_its_session_alone() {
    let _turn = turn();
    let stage = own();
    let (ann, bob) = (stage.host.client("ann"), stage.host.client("bob"));
    let hit = stage.enter(&ann, "ann", "Own", MODE);
    let sway = only_process(&stage.host, "sway");
    let beside = stage.enter(&bob, "bob", "Own", MODE);
    assert!(things(&stage) > 10);
    signal(sway, Signal::KILL);
    is_told(&hit);
    drop(hit);
    eventually("its session is gone", || stage.host.session_of("ann").is_none().then_some(()));
    assert_eq!((beside.ending(), seen(&beside)), (Ending::Running, Some("bob")));
    stage.wake(&beside, "bob");
    drop(beside);
    bob.quit(&stage.host.address()).expect("it ends");
    stage.is_as_before();
}

#[test]
fn an_application_that_crashes_ends_its_session_in_order() {
    let _turn = turn();
    let stage = own();
    let client = stage.host.client("ann");
    let session = stage.enter(&client, "ann", "Own", MODE);
    signal(only_process(&stage.host, "foot"), Signal::KILL);
    assert_eq!(ending(&session), Ending::ClosedByHost);
    drop(session);
    stage.is_as_before();
}

#[test]
fn a_pipewire_that_is_killed_takes_the_sound_for_a_moment_and_nothing_else() {
    let _turn = turn();
    let stage = own();
    let client = stage.host.client("ann");
    let session = stage.enter(&client, "ann", "Own", MODE);
    stage.hears_its_tone("ann");
    let (program, pipewire) = (stage.program_of("ann"), only_process(&stage.host, "pipewire"));
    signal(pipewire, Signal::KILL);
    eventually("another one runs", || {
        process_named(&stage.host, "pipewire").first().filter(|pid| **pid != pipewire).map(drop)
    });
    stage.wake(&session, "ann");
    assert_eq!(session.ending(), Ending::Running);
    stage.hears_its_tone("ann");
    assert_eq!((seen(&session), stage.program_of("ann")), (Some("ann"), program));
    drop(session);
    client.quit(&stage.host.address()).expect("it ends");
    stage.is_as_before();
}

#[test]
fn a_client_that_vanishes_comes_back_to_its_program_at_another_size() {
    let _turn = turn();
    for (stage, app) in [(own(), "Own"), (shared(), "Shared")] {
        let client = stage.host.client("ann");
        let session = stage.enter(&client, "ann", app, MODE);
        stage.wake(&session, "ann");
        let (program, worker) = (stage.program_of("ann"), stage.host.worker_of("ann"));
        session.vanish();
        eventually("the session is suspended", || {
            (stage.host.session_of("ann")?.state == SessionState::Suspended).then_some(())
        });
        let back = begin(&client, &stage.host.address(), &resumes(&stage, "ann", app, (800, 600, 20)));
        eventually("its screen is back", || (seen(&back) == Some("ann")).then_some(()));
        stage.wake(&back, "ann");
        assert!(Path::new(&format!("/proc/{program}")).exists(), "its program was ended");
        assert_eq!((stage.program_of("ann"), stage.host.worker_of("ann")), (program, worker));
        let report = back.stop().expect("a report");
        assert_eq!((report.video.width, report.video.height), (800, 600));
        client.quit(&stage.host.address()).expect("it ends");
        stage.is_as_before();
    }
}

/// `kill -9`, and the orderly way, by which the programs stay too.
#[test]
fn a_daemon_that_is_started_again_finds_session_and_program() {
    let _turn = turn();
    for (mut stage, app, orderly) in [(own(), "Own", true), (shared(), "Shared", false)] {
        let client = stage.host.client("ann");
        let session = stage.enter(&client, "ann", app, MODE);
        let (program, worker) = (stage.program_of("ann"), stage.host.worker_of("ann"));
        if orderly {
            assert!(stage.host.end_by(Signal::USR2).success(), "{}", stage.host.log());
        } else {
            stage.host.kill();
        }
        watch(&session, 1);
        assert_eq!(stage.host.workers(), [worker]);
        let command = stage.command();
        stage.host.serve_by(command);
        let back = eventually("the session is taken back", || stage.host.session_of("ann"));
        assert_eq!(back.worker_pid, Some(worker));
        if orderly {
            // Not only the display goes on, but the stream, and with input.
            stage.wake(&session, "ann");
            assert_eq!(session.ending(), Ending::Running);
        }
        session.vanish();
        let resumed = begin(&client, &stage.host.address(), &resumes(&stage, "ann", app, MODE));
        eventually("its screen is back", || (seen(&resumed) == Some("ann")).then_some(()));
        stage.wake(&resumed, "ann");
        assert_eq!((stage.program_of("ann"), stage.host.worker_of("ann")), (program, worker));
        drop(resumed);
        client.quit(&stage.host.address()).expect("it ends");
        stage.is_as_before();
    }
}

#[test]
fn a_daemon_puts_away_what_was_left_when_everything_was_killed() {
    let _turn = turn();
    for (mut stage, app) in [(own(), "Own"), (shared(), "Shared")] {
        let client = stage.host.client("ann");
        let session = stage.enter(&client, "ann", app, MODE);
        let worker = stage.host.worker_of("ann");
        stage.host.kill();
        signal(worker, Signal::KILL);
        drop(session);
        eventually("the worker is gone", || stage.host.workers().is_empty().then_some(()));
        assert!(things(&stage) > 3, "its programs run on");
        let command = stage.command();
        stage.host.serve_by(command);
        stage.is_as_before();
    }
}

#[test]
fn a_worker_that_is_killed_leaves_nothing_on_the_machine_or_on_the_desktop() {
    let _turn = turn();
    for (stage, app) in [(own(), "Own"), (shared(), "Shared")] {
        let client = stage.host.client("ann");
        let session = stage.enter(&client, "ann", app, MODE);
        signal(stage.host.worker_of("ann"), Signal::KILL);
        is_told(&session);
        drop(session);
        stage.is_as_before();
        // At once there is room for the next one.
        drop(stage.enter(&client, "ann", app, MODE));
        client.quit(&stage.host.address()).expect("it ends");
        stage.is_as_before();
    }
}

/// The state directory is a file system of a few hundred kilobytes that only the host sees.
#[test]
fn a_full_disk_stops_pairing_with_a_clear_word_and_no_stream() {
    let _turn = turn();
    let mut stage = Stage::prepared(Scenery { desktop: None, shared_sound: false, config: "" });
    let state = stage.host.path("state");
    fs::create_dir_all(&state).expect("a directory");
    let inner = stage.command();
    let mut command = std::process::Command::new("unshare");
    let script = format!(
        "mount -t tmpfs -o size=512k,mode=700 none '{}' && \
         exec unshare --user --map-user=65534 --map-group=65534 \"$0\" \"$@\"",
        state.display()
    );
    command.args(["--map-root-user", "--mount", "sh", "-c", &script]).arg(inner.get_program());
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("LUMEN_")));
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    stage.host.serve_by(command);
    let client = stage.host.client("ann");
    let session = stage.enter(&client, "ann", "Own", MODE);
    let inside = Path::new("/proc")
        .join(stage.host.pid().to_string())
        .join("root")
        .join(state.strip_prefix("/").expect("absolute"));
    let filler = inside.join("filler");
    fs::write(&filler, vec![0; 1 << 20]).expect_err("the disk is full");
    let late = stage.host.stranger("late");
    let refused = stage.host.let_in(&late, "late", "4711").expect_err("it cannot be kept");
    assert!(refused.contains("the disk is full"), "{refused}");
    // The stream does not notice.
    stage.wake(&session, "ann");
    assert_eq!((session.ending(), seen(&session)), (Ending::Running, Some("ann")));
    drop(session);
    drop(begin(&client, &stage.host.address(), &resumes(&stage, "ann", "Own", MODE)));
    fs::remove_file(&filler).expect("ours");
    stage.host.let_in(&late, "late", "4711").expect("there is room again");
    client.quit(&stage.host.address()).expect("it ends");
    stage.is_as_before();
}

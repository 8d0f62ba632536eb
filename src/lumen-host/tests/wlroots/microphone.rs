//! The client's microphone in its session: a program there records what the client says, as long as it may.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lumen_client::microphone::MicrophoneSource;
use lumen_client::options::Transport;
use lumen_client::{Session, StreamOptions};
use lumen_host::mediaserver::MediaServer;

use crate::bed::{PATIENCE, become_ordinary, eventually, need};
use crate::harness::{Host, begin, small, turn};
use crate::tones::loudness;

const PIPEWIRE: &str = "pw-record --rate 48000 --channels 1 --format s16";
const PULSE: &str = "parec --raw --rate=48000 --channels=1 --format=s16le --latency-msec=50 >";

const SAY: [(&str, f32); 2] = [("ann", 440.0), ("bob", 620.0)];

/// A host whose only application records into a file of its client's.
fn host(config: &str, record: &str, pipewire: Option<&Path>) -> Host {
    become_ordinary();
    for program in ["sway", "pipewire", "wireplumber", "pw-record", "pw-dump"] {
        need(program);
    }
    let script = format!("exec {record} $HOME/$LUMEN_CLIENT_NAME.wav");
    let mut host = Host::prepared(&format!(
        "{config}\n[[apps]]\nname = \"Recorder\"\ndisplay = \"wlroots\"\ncommand = [\"sh\", \"-c\", {script:?}]\n"
    ));
    let home = host.path("home");
    fs::create_dir(&home).expect("a directory");
    let mut serve = host.command();
    for name in ["PIPEWIRE_RUNTIME_DIR", "SWAYSOCK", "WAYLAND_DISPLAY", "DISPLAY"] {
        serve.env_remove(name);
    }
    serve.env("HOME", &home).env("XDG_RUNTIME_DIR", &home).env("LC_ALL", "C.UTF-8");
    serve.envs(pipewire.map(|directory| ("PIPEWIRE_RUNTIME_DIR", directory)));
    host.serve_by(serve);
    host
}

fn speaking(hertz: f32) -> StreamOptions {
    let microphone = Some(MicrophoneSource::Tone(hertz));
    StreamOptions { transport: Transport::Lumen1, microphone, first_frame_timeout: PATIENCE, ..small() }
}

/// The half second that was recorded last, by twentieths of a second.
fn recorded(host: &Host, name: &str) -> Vec<Vec<f32>> {
    let bytes = fs::read(host.path("home").join(format!("{name}.wav"))).unwrap_or_default();
    let samples = bytes.get(44..).unwrap_or_default().chunks_exact(2);
    let samples: Vec<f32> = samples.map(|two| f32::from(i16::from_le_bytes([two[0], two[1]])) / 32_768.0).collect();
    samples[samples.len().saturating_sub(24_000)..].chunks_exact(2400).map(<[f32]>::to_vec).collect()
}

/// Waits until a tone fills most of the last half second; a busy machine leaves gaps.
fn hears(host: &Host, name: &str, hertz: f32) {
    eventually(&format!("{name}'s program hears {hertz} Hz"), || {
        let parts = recorded(host, name);
        let clear = parts.iter().filter(|part| loudness(part, 1, 0, hertz.into()) > 0.25).count();
        (parts.len() == 10 && clear >= 5).then_some(())
    });
}

fn hears_nothing(host: &Host, name: &str) {
    eventually(&format!("{name}'s program hears nothing"), || {
        let parts = recorded(host, name);
        (parts.len() == 10 && parts.iter().flatten().all(|sample| sample.abs() < 1e-3)).then_some(())
    });
}

/// Descriptions of the microphones in the PipeWire whose socket is in `directory`.
fn microphones(directory: &Path) -> Vec<String> {
    let mut dump = Command::new("pw-dump");
    dump.env("PIPEWIRE_RUNTIME_DIR", directory).env("XDG_RUNTIME_DIR", directory);
    let output = dump.output().expect("pw-dump runs");
    let objects: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let properties = objects.as_array().expect("a list").iter().map(|object| &object["info"]["props"]);
    let sources = properties.filter(|properties| properties["media.class"] == "Audio/Source");
    sources.map(|properties| properties["node.description"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The directory of the PipeWire that the only session has for itself.
fn own_pipewire(host: &Host) -> PathBuf {
    fn search(directory: &Path) -> Option<PathBuf> {
        let entries: Vec<PathBuf> = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
        if entries.iter().any(|path| path.ends_with("pipewire-0")) {
            return Some(directory.to_owned());
        }
        entries.iter().filter(|path| path.is_dir()).find_map(|path| search(path))
    }
    eventually("the session has a PipeWire", || search(&host.path("run")))
}

fn grant(host: &Host, arguments: &[&str]) {
    let output = host.command().args(["clients", "grant"]).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn stop(session: Session) -> lumen_client::StreamReport {
    session.stop().expect("a report")
}

/// In a PipeWire of the session's own it is what programs record from that ask for nothing.
#[test]
fn a_program_hears_its_client_for_as_long_as_it_may() {
    let _turn = turn();
    let host = host("grants.microphone = true", PIPEWIRE, None);
    let client = host.client("ann");
    let stream = begin(&client, &host.address(), &speaking(440.0));
    hears(&host, "ann", 440.0);
    assert_eq!(microphones(&own_pipewire(&host)), ["Microphone of ann"]);
    grant(&host, &["ann", "--microphone", "off"]);
    hears_nothing(&host, "ann");
    grant(&host, &["ann", "--microphone", "on"]);
    hears(&host, "ann", 440.0);
    let report = stop(stream);
    assert!(report.microphone.granted && report.microphone.packets > 50, "{report}");
    // The client is away; the program goes on to record, from the same source.
    hears_nothing(&host, "ann");
    let back = begin(&client, &host.address(), &speaking(620.0));
    hears(&host, "ann", 620.0);
    stop(back);
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
}

#[test]
fn without_the_grant_there_is_no_microphone() {
    let _turn = turn();
    let host = host("", PIPEWIRE, None);
    let client = host.client("ann");
    let stream = begin(&client, &host.address(), &speaking(440.0));
    let pipewire = own_pipewire(&host);
    // Granted now, it is offered with the next stream.
    grant(&host, &["ann", "--microphone", "on"]);
    let report = stop(stream);
    assert_eq!(microphones(&pipewire), [""; 0]);
    assert_eq!((report.microphone.granted, report.microphone.packets), (false, 0), "{report}");
    let stream = begin(&client, &host.address(), &speaking(440.0));
    hears(&host, "ann", 440.0);
    assert_eq!(microphones(&pipewire), ["Microphone of ann"]);
    stop(stream);
    // Over GameStream there is nothing to be granted.
    let options = StreamOptions { transport: Transport::GameStream, ..speaking(440.0) };
    let report = stop(begin(&client, &host.address(), &options));
    assert_eq!((report.microphone.granted, report.microphone.packets), (false, 0), "{report}");
    hears_nothing(&host, "ann");
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
}

/// Two sessions in one PipeWire, the user's: each program is sent to the microphone of its own client.
#[test]
fn sessions_do_not_hear_each_others_clients() {
    let _turn = turn();
    become_ordinary();
    ["pipewire-pulse", "parec"].into_iter().for_each(need);
    let directory = tempfile::Builder::new().prefix("lm").tempdir().expect("a directory");
    let server = MediaServer::start(&format!("user-{}", std::process::id()), directory.path());
    let server = server.unwrap_or_else(|error| panic!("{error}"));
    let host = host("grants.microphone = true", PULSE, Some(directory.path()));
    let clients = SAY.map(|(name, _)| host.client(name));
    let streams = [0, 1].map(|at| begin(&clients[at], &host.address(), &speaking(SAY[at].1)));
    for (at, (name, own)) in SAY.into_iter().enumerate() {
        hears(&host, name, own);
        let (_, other) = SAY[1 - at];
        for part in recorded(&host, name) {
            let crossed = loudness(&part, 1, 0, other.into());
            assert!(crossed < 0.05, "{name}'s program hears {crossed} of the other's {other} Hz");
        }
    }
    let mut there = microphones(directory.path());
    there.sort();
    assert_eq!(there, ["Microphone of ann", "Microphone of bob"]);
    streams.into_iter().for_each(|stream| drop(stop(stream)));
    clients.iter().for_each(|client| client.quit(&host.address()).expect("it ends"));
    host.is_deserted();
    assert_eq!(microphones(directory.path()), [""; 0]);
    drop(server);
}

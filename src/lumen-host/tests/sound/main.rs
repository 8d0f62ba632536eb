//! The sound of sessions through a real PipeWire of their own: programs play tones by the session's variables, and
//! what the session's source yields is measured. Needs `pipewire`, `wireplumber` and `pw-play` (package pipewire-bin).

#![cfg(feature = "pipewire")]

mod tones;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lumen_host::audio::sink::SessionSound;
use lumen_host::audio::{AudioSource, SAMPLE_RATE};
use lumen_host::display::process::{Process, find_program, of_session};
use lumen_host::mediaserver::MediaServer;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use tones::{loudness, write_wav};

/// A bound for whatever must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// One packet of sound.
const PACKET: Duration = Duration::from_millis(5);

/// A private directory whose sockets have short names.
fn directory() -> TempDir {
    for program in ["pipewire", "wireplumber", "pw-play"] {
        assert!(
            find_program(program).is_some(),
            "{program} is missing: install pipewire, pipewire-bin and wireplumber"
        );
    }
    tempfile::Builder::new().prefix("ls").tempdir_in("/tmp").unwrap()
}

/// A session name that no other test of this run has.
fn name(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

/// Plays `file` by the variables of the session, again and again would be too kind: once.
fn play(server: &MediaServer, sound: &SessionSound, session: &str, file: &Path, map: Option<&str>) -> Process {
    let mut command = Command::new("pw-play");
    command.args(map.map(|map| format!("--channel-map={map}"))).arg(file).stdout(Stdio::null());
    command.envs(server.environment()).envs(sound.environment());
    Process::spawn(command, session).unwrap()
}

/// Listens at the pace of a session, half a second.
fn listen(source: &mut dyn AudioSource) -> Vec<f32> {
    let channels = usize::from(source.channels());
    let mut heard = Vec::new();
    let mut packet = vec![0.0; SAMPLE_RATE as usize / 200 * channels];
    let mut tick = Instant::now();
    for _ in 0..100 {
        source.read(tick, &mut packet);
        heard.extend_from_slice(&packet);
        tick += PACKET;
        std::thread::sleep(tick.saturating_duration_since(Instant::now()));
    }
    heard
}

/// Listens until `wanted` is so.
fn listen_until(source: &mut dyn AudioSource, what: &str, wanted: impl Fn(&[f32]) -> bool) -> Vec<f32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let heard = listen(source);
        if wanted(&heard) {
            return heard;
        }
        assert!(Instant::now() < deadline, "in vain listened for: {what}");
    }
}

#[test]
fn each_session_hears_its_own_programs_only() {
    let directory = directory();
    let (first, second) = (name("a"), name("b"));
    let server = MediaServer::start(&first, directory.path()).unwrap();
    let mut sounds = [&first, &second].map(|session| SessionSound::open(session, server.remote(), 2).unwrap());
    let mut sources = sounds.each_mut().map(|sound| sound.source(2).unwrap());
    let files = [440.0, 660.0].map(|hertz| {
        let file = directory.path().join(format!("{hertz}.wav"));
        write_wav(&file, &[hertz, hertz], 60);
        file
    });
    let players = [0, 1].map(|at| play(&server, &sounds[at], [&first, &second][at], &files[at], None));
    for (source, (own, other)) in sources.iter_mut().zip([(440.0, 660.0), (660.0, 440.0)]) {
        // A busy machine leaves gaps: what counts is a stretch without.
        let heard = listen_until(&mut **source, "its own tone", |heard| {
            (0..2).all(|channel| loudness(heard, 2, channel, own) > 0.2)
        });
        let (own, other) = (loudness(&heard, 2, 1, own), loudness(&heard, 2, 1, other));
        // A session that heard the other's would hear it as loud as its own.
        assert!(other < own / 10.0, "own tone {own}, the other session's {other}");
    }
    drop(players);
    drop(sources);
    drop(sounds);
    drop(server);
    assert_eq!(of_session(&first), [], "nothing of the server is left");
}

#[test]
fn surround_sound_keeps_its_channels() {
    let directory = directory();
    let session = name("c");
    let server = MediaServer::start(&session, directory.path()).unwrap();
    let mut sound = SessionSound::open(&session, server.remote(), 2).unwrap();
    let tones = [300.0, 400.0, 500.0, 60.0, 700.0, 800.0];
    let file = directory.path().join("surround.wav");
    write_wav(&file, &tones, 60);
    let mut source = sound.source(6).unwrap();
    assert_eq!(source.channels(), 6);
    let _player = play(&server, &sound, &session, &file, Some("FL,FR,FC,LFE,RL,RR"));
    let heard = listen_until(&mut *source, "all channels", |heard| {
        tones.into_iter().enumerate().all(|(channel, tone)| loudness(heard, 6, channel, tone) > 0.15)
    });
    for channel in 0..6 {
        for (at, tone) in tones.into_iter().enumerate() {
            let found = loudness(&heard, 6, channel, tone);
            assert_eq!(found > 0.1, at == channel, "channel {channel} has {found} of the tone of channel {at}");
        }
    }
}

#[test]
fn sound_survives_a_pipewire_that_is_killed() {
    let directory = directory();
    let session = name("d");
    let server = MediaServer::start(&session, directory.path()).unwrap();
    let mut sound = SessionSound::open(&session, server.remote(), 2).unwrap();
    let mut source = sound.source(2).unwrap();
    let file = directory.path().join("tone.wav");
    write_wav(&file, &[440.0, 440.0], 120);
    let before = play(&server, &sound, &session, &file, None);
    listen_until(&mut *source, "the tone", |heard| loudness(heard, 2, 0, 440.0) > 0.2);
    let killed = server.process_id().unwrap();
    kill_process(Pid::from_raw(killed.cast_signed()).unwrap(), Signal::KILL).unwrap();
    listen_until(&mut *source, "silence", |heard| heard.iter().all(|sample| *sample == 0.0));
    drop(before);
    let deadline = Instant::now() + PATIENCE;
    let mut after = None;
    loop {
        let restarted = server.process_id().is_some_and(|id| id != killed) && server.remote().is_reachable();
        if restarted && after.as_mut().is_none_or(|player: &mut Process| player.poll().is_some()) {
            after = Some(play(&server, &sound, &session, &file, None));
        }
        if loudness(&listen(&mut *source), 2, 0, 440.0) > 0.2 {
            break;
        }
        assert!(Instant::now() < deadline, "no sound came back");
    }
}

#[test]
fn a_session_in_which_nothing_plays_is_silent() {
    let directory = directory();
    let session = name("e");
    let server = MediaServer::start(&session, directory.path()).unwrap();
    let mut sound = SessionSound::open(&session, server.remote(), 8).unwrap();
    let mut source = sound.source(8).unwrap();
    assert!(listen(&mut *source).iter().all(|sample| *sample == 0.0));
}

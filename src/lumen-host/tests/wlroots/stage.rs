//! `lumen serve` with a program that can be told from every other: each client's terminal has a colour and a tone of
//! its own, and writes down what is typed into it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lumen_client::options::AppChoice;
use lumen_client::{Client, Session, StreamOptions};
use lumen_core::gamestream::input::{InputEvent, Text};
use lumen_host::mediaserver::MediaServer;

use crate::bed::{Bed, PATIENCE, become_ordinary, eventually, need};
use crate::harness::{Host, begin};
use crate::leftovers::{Around, Inventory};
use crate::tones::{loudness, write_wav};

/// Clients, with the colour of their screens and the pitch of their sound.
pub const PEOPLE: [(&str, [u8; 3], f64); 4] = [
    ("ann", [0xC0, 0x10, 0x10], 440.0),
    ("bob", [0x10, 0xA0, 0x10], 570.0),
    ("cid", [0x20, 0x20, 0xD0], 730.0),
    ("dot", [0xB0, 0xA0, 0x10], 930.0),
];

/// What each terminal runs.
const PROGRAM: &str = "\
    me=\"$HOME/$LUMEN_CLIENT_NAME\"; \
    printf '\\033[?25l\\033]11;#%s\\033\\\\\\033[2J' \"$(cat \"$me.colour\")\"; \
    (while :; do pw-play \"$me.wav\"; sleep 0.3; done) >/dev/null 2>&1 & \
    stty raw -echo; echo $$ >\"$me.new\"; mv \"$me.new\" \"$me.pid\"; exec cat >\"$me.typed\"";

/// See the module.
pub struct Stage {
    // Dropped in this order.
    pub host: Host,
    pub around: Around,
    pub before: Inventory,
    _sound: Option<(MediaServer, tempfile::TempDir)>,
    _desktop: Option<Bed>,
}

/// Where sessions may run.
pub struct Scenery {
    /// There is a sway that runs already, and lumen may know it.
    pub desktop: Option<Bed>,
    /// There is a PipeWire of the user's; otherwise every session has its own.
    pub shared_sound: bool,
    /// More configuration: top-level keys.
    pub config: &'static str,
}

impl Stage {
    /// A host with the applications "Own" (a sway of its own), "Shared" (an output of the running one), "Mutter" (one of
    /// its own), "Mutter shared" (a monitor of the running one) and "Card".
    pub fn set(scenery: Scenery) -> Self {
        let mut stage = Self::prepared(scenery);
        let command = stage.command();
        stage.host.serve_by(command);
        stage.before = Inventory::of(&stage.host, &stage.around);
        stage
    }

    /// The same with a host that does not run yet.
    pub fn prepared(Scenery { desktop, shared_sound, config }: Scenery) -> Self {
        become_ordinary();
        for program in ["sway", "foot", "pipewire", "wireplumber", "pw-play", "pw-dump"] {
            need(program);
        }
        // sway has its tiles; Mutter opens a window on the monitor that the pointer is on, unless it is fullscreen.
        let command = ["foot", "--maximized", "-o", "cursor.blink=no", "sh", "-c", PROGRAM];
        let command = command.map(|part| format!("{part:?}")).join(", ");
        // Another compositor is another line here, and its name in a list of those who call `do_not_cross`.
        let apps: String = [
            ("Own", "wlroots", "own"),
            ("Shared", "wlroots", "running"),
            ("Mutter", "mutter", "own"),
            ("Mutter shared", "mutter", "running"),
        ]
        .map(|(name, display, instance)| {
            format!(
                "[[apps]]\nname = \"{name}\"\ndisplay = \"{display}\"\ninstance = \"{instance}\"\n\
                     command = [{command}]\n"
            )
        })
        .concat();
        let card = "[[apps]]\nname = \"Card\"\ndisplay = \"testcard\"\n";
        let host = Host::prepared(&format!("{config}\n{apps}{card}"));
        let home = host.path("home");
        fs::create_dir(&home).expect("a directory");
        for (name, [r, g, b], hertz) in PEOPLE {
            fs::write(home.join(format!("{name}.colour")), format!("{r:02x}{g:02x}{b:02x}")).expect("written");
            write_wav(&home.join(format!("{name}.wav")), &[hertz, hertz], 60);
        }
        let sound = shared_sound.then(|| {
            let directory = tempfile::Builder::new().prefix("lp").tempdir().expect("a directory");
            let server = MediaServer::start(&format!("user-{}", std::process::id()), directory.path());
            (server.unwrap_or_else(|error| panic!("{error}")), directory)
        });
        let around = Around {
            sway: desktop.as_ref().map(|desktop| desktop.path("sway.sock")),
            pipewire: sound.as_ref().map(|(_, directory)| directory.path().to_owned()),
        };
        let before = Inventory::of(&host, &around);
        Self { host, around, before, _sound: sound, _desktop: desktop }
    }

    /// What starts the host.
    pub fn command(&self) -> std::process::Command {
        let mut command = self.host.command();
        command.env("HOME", self.host.path("home")).env("LC_ALL", "C.UTF-8");
        // Not those that this test may run in.
        for name in ["XDG_RUNTIME_DIR", "PIPEWIRE_RUNTIME_DIR", "SWAYSOCK", "WAYLAND_DISPLAY", "DISPLAY"] {
            command.env_remove(name);
        }
        command.env("XDG_RUNTIME_DIR", self.host.path("home"));
        // Libraries that find no bus start one where X11 is, and that outlives its program.
        command.env("DBUS_SESSION_BUS_ADDRESS", "disabled:");
        command.envs(self._desktop.iter().flat_map(|desktop| desktop.compositor.environment()));
        command.envs(self.around.pipewire.iter().map(|directory| ("PIPEWIRE_RUNTIME_DIR", directory)));
        command
    }

    /// A file of a client's program.
    pub fn file(&self, name: &str, kind: &str) -> PathBuf {
        self.host.path("home").join(format!("{name}.{kind}"))
    }

    /// What was typed into a client's terminal.
    pub fn typed(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.file(name, "typed")).unwrap_or_default()).into_owned()
    }

    /// Process id of the shell that became the program in a client's terminal.
    pub fn program_of(&self, name: &str) -> u32 {
        let read = || fs::read_to_string(self.file(name, "pid")).ok()?.trim().parse().ok();
        eventually("the program runs", read)
    }

    /// A stream to the application `app`, with its sound written down.
    pub fn options(&self, name: &str, app: &str, (width, height, fps): (u32, u32, u32)) -> StreamOptions {
        StreamOptions {
            app: AppChoice::Named(app.to_owned()),
            bitrate_kbps: 3000,
            keep_pictures: true,
            first_frame_timeout: PATIENCE,
            record_audio: Some(self.file(name, "heard")),
            ..StreamOptions::new(width, height, fps, Duration::from_secs(2))
        }
    }

    /// Begins a stream of `name`, and waits until its own screen is seen.
    pub fn enter(&self, client: &Client, name: &str, app: &str, mode: (u32, u32, u32)) -> Session {
        let session = begin(client, &self.host.address(), &self.options(name, app, mode));
        if app != "Card" {
            eventually("its own colour is seen", || (seen(&session) == Some(name)).then_some(()));
            self.program_of(name);
        }
        session
    }

    /// Types until the terminal of `name` listens.
    pub fn wake(&self, session: &Session, name: &str) {
        let before = self.typed(name).len();
        eventually("typing arrives", || {
            type_text(session, ".");
            (self.typed(name).len() > before).then_some(())
        });
    }

    /// The second of sound of `name` that came last.
    pub fn heard(&self, name: &str) -> Vec<f32> {
        let bytes = fs::read(self.file(name, "heard")).unwrap_or_default();
        let samples = bytes.get(44..).unwrap_or_default().chunks_exact(2);
        let samples: Vec<f32> = samples.map(|two| f32::from(i16::from_le_bytes([two[0], two[1]])) / 32_768.0).collect();
        samples[samples.len().saturating_sub(96_000) / 2 * 2..].to_vec()
    }

    /// Waits until the tone of `name` is heard in its stream, in a second of sound that is all new. Where the machine
    /// is too busy for sound without gaps, every gap shifts what comes after it: parts of a second are listened to.
    pub fn hears_its_tone(&self, name: &str) {
        let length = || fs::metadata(self.file(name, "heard")).map_or(0, |file| file.len());
        let before = length();
        let (_, _, hertz) = PEOPLE.into_iter().find(|(known, ..)| *known == name).expect("one of them");
        let until = Instant::now() + PATIENCE;
        loop {
            let heard = self.heard(name);
            let clear = parts_with(&heard, 0, hertz);
            let new = length() - before;
            if heard.len() == 96_000 && new >= 200_000 && clear >= 5 {
                let whole = loudness(&heard, 2, 0, hertz);
                println!("{name} hears its tone in {clear} of 20 parts, {whole:.2} in all");
                return;
            }
            let late = Instant::now() >= until;
            assert!(!late, "{name} hears its tone in {clear} of 20 parts of a second, of {new} new bytes");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Nothing is left of any session.
    pub fn is_as_before(&self) {
        self.before.is_all_that_is_left(&self.host, &self.around);
    }
}

/// In how many of the twenty parts of a second of sound a tone is heard.
pub fn parts_with(heard: &[f32], channel: usize, hertz: f64) -> usize {
    heard.chunks_exact(2 * 2400).filter(|part| loudness(part, 2, channel, hertz) > 0.2).count()
}

/// Sends text.
pub fn type_text(session: &Session, text: &str) {
    session.send(InputEvent::Text(Text::try_from(text.to_owned()).expect("short")));
}

/// Whose colour the newest picture has in most of its places; `None` for nobody's.
pub fn seen(session: &Session) -> Option<&'static str> {
    let (width, height) = {
        let video = session.report().video;
        (video.width, video.height)
    };
    let picture = session.picture()?.to_rgb();
    if picture.len() != width * height * 3 || picture.is_empty() {
        return None;
    }
    let mut counts = [0; PEOPLE.len()];
    for place in 0..25 {
        let (x, y) = (width * (place % 5 * 2 + 1) / 10, height * (place / 5 * 2 + 1) / 10);
        let pixel = &picture[(y * width + x) * 3..][..3];
        for (count, (_, colour, _)) in counts.iter_mut().zip(PEOPLE) {
            *count += i32::from(pixel.iter().zip(colour).all(|(seen, wanted)| seen.abs_diff(wanted) < 40));
        }
    }
    PEOPLE.iter().zip(counts).find(|(_, count)| *count > 15).map(|((name, ..), _)| *name)
}

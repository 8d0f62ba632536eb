//! The painter's pictures by an X program, which is what runs in gamescope: one request a picture, so that none is ever
//! seen half drawn. Just as much of X11 as that takes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::painter::Scene;

/// Set where the program is to run: milliseconds from one picture to the next, beside the time that drawing takes.
const PAUSE: &str = "LUMEN_TEST_X_PAINTER";

/// Opcodes and replies of the core protocol.
const REPLY: u8 = 1;
const CREATE_WINDOW: u8 = 1;
const MAP_WINDOW: u8 = 8;
const GET_INPUT_FOCUS: u8 = 43;
const CREATE_GC: u8 = 55;
const PUT_IMAGE: u8 = 72;
const QUERY_EXTENSION: u8 = 98;
const BIG_REQUESTS: &str = "BIG-REQUESTS";

/// Format and depth of the pictures.
const Z_PIXMAP: u8 = 2;
const DEPTH: u8 = 24;

/// The command that starts it as a session's own program, with a pause after each picture.
pub fn command(pause: Duration) -> [String; 3] {
    let program = std::env::current_exe().expect("a program");
    let script = format!("{PAUSE}={} exec {} --ignored --exact x11::program", pause.as_millis(), program.display());
    ["sh".to_owned(), "-c".to_owned(), script]
}

#[test]
#[ignore = "the program of other tests"]
fn program() {
    // Among the tests there is nobody to show anything to.
    let Ok(pause) = std::env::var(PAUSE) else { return };
    let pause = Duration::from_millis(pause.parse().expect("milliseconds"));
    let mut server = Server::connect();
    let (window, context) = (server.base, server.base + 1);
    let (width, height) = server.size;
    // Nowhere special, no border, a class and a visual like its parent's, no attributes.
    server.send(
        CREATE_WINDOW,
        0,
        &[words(&[window, server.root]), shorts(&[0, 0, width, height, 0, 1]), words(&[0, 0])].concat(),
    );
    server.send(CREATE_GC, 0, &words(&[context, window, 0]));
    server.send(MAP_WINDOW, 0, &words(&[window]));
    let scene = Scene::new(width.into(), height.into());
    for number in 1.. {
        let place = [words(&[window, context]), shorts(&[width, height, 0, 0]), vec![0, DEPTH, 0, 0]].concat();
        server.send_big(PUT_IMAGE, Z_PIXMAP, &[place, scene.picture(number)].concat());
        // Until it has been drawn.
        server.send(GET_INPUT_FOCUS, 0, &[]);
        server.reply();
        std::thread::sleep(pause);
    }
}

struct Server {
    stream: UnixStream,
    /// First of the identifiers that are ours.
    base: u32,
    root: u32,
    /// Of the only screen.
    size: (u16, u16),
}

impl Server {
    fn connect() -> Self {
        let display = std::env::var("DISPLAY").expect("a display");
        let number = display.trim_start_matches(':').split('.').next().expect("a number");
        let mut stream = UnixStream::connect(format!("/tmp/.X11-unix/X{number}")).expect("it listens");
        // Least byte first, version 11.0, nothing to say about who we are.
        stream.write_all(&[vec![b'l', 0], shorts(&[11, 0, 0, 0, 0])].concat()).expect("it listens");
        let mut head = [0; 8];
        stream.read_exact(&mut head).expect("an answer");
        let mut setup = vec![0; usize::from(short(&head, 6)) * 4];
        stream.read_exact(&mut setup).expect("an answer");
        assert_eq!(head[0], REPLY, "refused: {}", String::from_utf8_lossy(&setup));
        let vendor = usize::from(short(&setup, 16)).next_multiple_of(4);
        let screen = 32 + vendor + usize::from(setup[21]) * 8;
        let size = (short(&setup, screen + 20), short(&setup, screen + 22));
        let mut server = Self { stream, base: word(&setup, 4), root: word(&setup, screen), size };
        let length = u16::try_from(BIG_REQUESTS.len()).expect("short");
        server.send(QUERY_EXTENSION, 0, &[&shorts(&[length, 0]), BIG_REQUESTS.as_bytes()].concat());
        let answer = server.reply();
        assert_eq!(answer[8], 1, "no {BIG_REQUESTS}");
        server.send(answer[9], 0, &[]);
        server.reply();
        server
    }

    /// A request whose second byte is `detail`.
    fn send(&mut self, opcode: u8, detail: u8, body: &[u8]) {
        let length = u16::try_from(1 + body.len() / 4).expect("small");
        self.stream.write_all(&[&[opcode, detail][..], &shorts(&[length]), body].concat()).expect("it listens");
    }

    /// The same of any length.
    fn send_big(&mut self, opcode: u8, detail: u8, body: &[u8]) {
        let length = u32::try_from(2 + body.len() / 4).expect("small");
        self.stream.write_all(&[&[opcode, detail, 0, 0][..], &words(&[length]), body].concat()).expect("it listens");
    }

    /// The next reply. All that are asked for have no more than the least length.
    fn reply(&mut self) -> [u8; 32] {
        loop {
            let mut message = [0; 32];
            self.stream.read_exact(&mut message).expect("an answer");
            match message[0] {
                REPLY => return message,
                0 => panic!("the X server refuses: {message:?}"),
                _ => {}
            }
        }
    }
}

fn shorts(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(short(bytes, at)) | u32::from(short(bytes, at + 2)) << 16
}

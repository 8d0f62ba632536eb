//! A display that says that it takes no input: its session types by devices of the kernel.

use std::collections::BTreeMap;
use std::time::Duration;

use evdev::KeyCode;
use lumen_core::gamestream::input::{ControllerKind, InputEvent, KeyEvent, Modifiers, PressState, VirtualKey};
use lumen_host::capture::Capture;
use lumen_host::config::{DisplayKind, Instance, OnExit};
use lumen_host::display::compositor::Compositor;
use lumen_host::display::desktop::Desktop;
use lumen_host::display::{DisplayError, VirtualDisplay};
use lumen_host::encode::EncoderPreference;
use lumen_host::frame::Mode;
use lumen_host::input::InputSink;
use lumen_host::link::{AppSpec, SessionId, SessionSpec};

use crate::harness::{appears, arrival, holds, vanishes};

/// A desktop to look at.
struct Window(Mode);

impl Compositor for Window {
    fn name(&self) -> &'static str {
        "window"
    }

    fn mode(&self) -> Mode {
        self.0
    }

    fn environment(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn set_mode(&mut self, mode: Mode) -> Result<(), DisplayError> {
        self.0 = mode;
        Ok(())
    }

    fn capture(&mut self) -> Result<Box<dyn Capture>, DisplayError> {
        Err(DisplayError::Unavailable { backend: "window", reason: "there is nothing to see".to_owned() })
    }

    fn input(&mut self) -> Result<Box<dyn InputSink>, DisplayError> {
        Err(DisplayError::NoInput { backend: "window", reason: "it is one to look at".to_owned() })
    }

    fn gone(&mut self) -> Option<String> {
        None
    }
}

fn spec() -> SessionSpec {
    let app = AppSpec {
        id: 1,
        title: "a desktop".to_owned(),
        display: DisplayKind::Portal,
        instance: Instance::Running,
        command: Vec::new(),
        environment: BTreeMap::new(),
        directory: None,
        before: Vec::new(),
        after: Vec::new(),
        on_exit: OnExit::Stay,
    };
    SessionSpec {
        id: SessionId(60),
        owner: [7; 32],
        owner_name: "sofa".to_owned(),
        app,
        mode: Mode::new(1280, 720, 60),
        keep_alive: Duration::ZERO,
        directory: "/nonexistent".into(),
        reunion: "/nonexistent".into(),
        encoder: EncoderPreference::default(),
    }
}

#[test]
#[ignore = "needs /dev/uinput: run by vm-tests/run"]
fn a_display_without_input_gets_devices_of_the_kernel_for_its_session() {
    let spec = spec();
    let mut desktop = Desktop::with_compositor(&spec, Vec::new(), Box::new(Window(spec.mode))).expect("it opens");
    let mut input = desktop.input().expect("there is some");
    let keyboard = appears("Keyboard (lumen-60/keyboard)");
    input.handle(&InputEvent::Key(KeyEvent::new(PressState::Down, VirtualKey(b'A'), Modifiers::EMPTY)));
    holds(&keyboard, &[KeyCode::KEY_A]);
    // Gamepads are there as ever.
    input.handle(&arrival(0, ControllerKind::Xbox));
    appears("Xbox 360 pad (lumen-60/pad0)");
    // Another mode has other devices, and what was held is let go of with the old ones.
    desktop.set_mode(Mode::new(800, 600, 60)).expect("any is possible");
    drop(input);
    vanishes("Keyboard (lumen-60/keyboard)");
    let input = desktop.input().expect("there is some");
    holds(&appears("Keyboard (lumen-60/keyboard)"), &[]);
    appears("Xbox 360 pad (lumen-60/pad0)");
    drop((input, desktop));
    vanishes("Keyboard (lumen-60/keyboard)");
}

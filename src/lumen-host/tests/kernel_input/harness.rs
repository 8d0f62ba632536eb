//! A client's events on one side, the nodes of the kernel on the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use evdev::{AbsoluteAxisCode, Device, InputEvent as Event, KeyCode};
use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::{
    Buttons, Capabilities, ControllerArrival, ControllerIndex, ControllerKind, ControllerMask, ControllerState,
    InputEvent,
};
use lumen_host::frame::Mode;
use lumen_host::input::InputSink;
use lumen_host::input::kernel::KernelInput;

/// How long the kernel may take for anything; an emulated machine on a busy one is slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `look` finds something.
pub fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    assert_eq!(std::env::var("LUMEN_VM").as_deref(), Ok("1"), "only in the virtual machine: run vm-tests/run");
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The gamepads of a session.
pub fn pads(session: &str) -> KernelInput {
    log();
    KernelInput::pads(session).unwrap()
}

/// All devices of a session on a display of 1280 x 720.
pub fn everything(session: &str) -> KernelInput {
    log();
    KernelInput::everything(session, Mode::new(1280, 720, 60)).unwrap()
}

/// What the log says is a part of a test's output.
fn log() {
    // Another test may have done it.
    let _ = tracing_subscriber::fmt().with_test_writer().try_init();
}

/// Controller `number`.
pub fn index(number: u8) -> ControllerIndex {
    ControllerIndex::new(number).unwrap()
}

/// A client says that it has a controller.
pub fn arrival(number: u8, kind: ControllerKind) -> InputEvent {
    let (capabilities, buttons) = (Capabilities::ALL, Buttons::ALL);
    InputEvent::ControllerArrival(ControllerArrival { controller: index(number), kind, capabilities, buttons })
}

/// The state of a controller that is there.
pub fn state(number: u8, change: impl FnOnce(&mut ControllerState)) -> InputEvent {
    let mut state = ControllerState { mask: ControllerMask(0xFFFF), ..ControllerState::idle(index(number)) };
    change(&mut state);
    InputEvent::Controller(state)
}

/// The event node whose name is as `fits` says.
pub fn node(fits: impl Fn(&str) -> bool) -> Option<Device> {
    let named = |path: &PathBuf| {
        let event = path.file_name()?.to_str()?.to_owned();
        let name = fs::read_to_string(format!("/sys/class/input/{event}/device/name")).ok()?;
        (event.starts_with("event") && fits(name.trim_end())).then_some(())
    };
    let mut nodes = fs::read_dir("/dev/input").ok()?.flatten().map(|entry| entry.path());
    let path = nodes.find(|path| named(path).is_some())?;
    let device = Device::open(path).ok()?;
    device.set_nonblocking(true).ok()?;
    Some(device)
}

/// Waits for the event node with this name.
pub fn appears(name: &str) -> Device {
    wait(name, || node(|found| found == name))
}

/// Waits until no event node has this name.
pub fn vanishes(name: &str) {
    wait(&format!("the end of {name}"), || node(|found| found == name).is_none().then_some(()));
}

/// Position of an axis.
pub fn axis(device: &Device, axis: AbsoluteAxisCode) -> i32 {
    device.get_abs_state().unwrap()[usize::from(axis.0)].value
}

/// Waits until axes have these positions.
pub fn axes(device: &Device, expected: &[(AbsoluteAxisCode, i32)]) {
    let mut seen = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        seen = expected.iter().map(|(code, _)| (*code, axis(device, *code))).collect();
        if seen == expected {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(seen, expected, "axes of {:?}", device.name());
}

/// Keys that are down.
pub fn held(device: &Device) -> Vec<KeyCode> {
    device.get_key_state().unwrap().iter().collect()
}

/// Waits until exactly these keys are down.
pub fn holds(device: &Device, expected: &[KeyCode]) {
    wait(&format!("keys {expected:?}"), || (held(device) == expected).then_some(()));
}

/// All events until `last` came, without reports of their ends.
pub fn events_until(device: &mut Device, last: (u16, u16, i32)) -> Vec<(u16, u16, i32)> {
    let mut seen = Vec::new();
    wait(&format!("event {last:?} after {seen:?}"), || {
        let plain = |event: Event| (event.event_type().0, event.code(), event.value());
        seen.extend(device.fetch_events().ok()?.map(plain).filter(|event| event.0 != 0));
        seen.contains(&last).then_some(())
    });
    seen
}

/// The next message for the client that is as `fits` says; others are dropped.
pub fn message(input: &mut KernelInput, what: &str, fits: impl Fn(&HostMessage) -> bool) -> HostMessage {
    wait(what, || std::iter::from_fn(|| input.poll_feedback()).find(&fits))
}

/// The one folder in `path` whose name ends so.
pub fn folder(path: impl AsRef<Path>, ending: &str) -> Option<PathBuf> {
    let mut entries = fs::read_dir(path).ok()?.flatten().map(|entry| entry.path());
    entries.find(|entry| entry.to_string_lossy().ends_with(ending))
}

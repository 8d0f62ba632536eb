//! The udev rule that the host ships, under a real udev: who may open what.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::OnceLock;

use lumen_core::gamestream::input::ControllerKind;
use lumen_host::input::InputSink;

use crate::harness::{appears, arrival, everything, folder, pads, wait};

const RULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/share/60-lumen.rules");

/// Number of group `lumen` in the machine.
const GROUP: u32 = 4711;

/// One udev for all tests; it ends with the machine.
static UDEV: OnceLock<Child> = OnceLock::new();

fn udev() {
    UDEV.get_or_init(|| {
        fs::create_dir_all("/run/udev/rules.d").unwrap();
        fs::copy(RULE, "/run/udev/rules.d/60-lumen.rules").unwrap();
        // The file system is that of the outer machine, read only: this one has its own table of groups.
        let groups = fs::read_to_string("/etc/group").unwrap();
        fs::write("/run/group", format!("{groups}lumen:x:{GROUP}:\n")).unwrap();
        run("mount", &["--bind", "/run/group", "/etc/group"]);
        let daemon = Command::new("/lib/systemd/systemd-udevd").spawn().expect("systemd-udevd (package udev)");
        wait("udev", || Path::new("/run/udev/control").exists().then_some(()));
        run("udevadm", &["trigger", "--action=add", "--subsystem-match=misc"]);
        daemon
    });
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

fn belongs_to_the_group(node: &str) {
    wait(&format!("{node} to be of group lumen"), || {
        let metadata = fs::metadata(node).ok()?;
        (metadata.gid() == GROUP && metadata.mode() & 0o777 == 0o660).then_some(())
    });
}

/// Path of the event node with this name.
fn event_node(name: &str) -> String {
    appears(name);
    let mut nodes = fs::read_dir("/sys/class/input").unwrap().flatten().map(|entry| entry.path());
    let named = |path: &Path| fs::read_to_string(path.join("device/name")).is_ok_and(|found| found.trim_end() == name);
    let found = nodes.find(|path| path.to_string_lossy().contains("/event") && named(path));
    format!("/dev/input/{}", found.unwrap().file_name().unwrap().to_string_lossy())
}

/// What udev knows of a character device.
fn known(node: &str) -> String {
    let device = fs::metadata(node).unwrap().rdev();
    let number = format!("c{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    fs::read_to_string(format!("/run/udev/data/{number}")).unwrap_or_default()
}

#[test]
#[ignore = "needs /dev/uhid and udev: run by vm-tests/run"]
fn group_lumen_may_make_devices_and_read_gamepads_and_nothing_else() {
    udev();
    belongs_to_the_group("/dev/uinput");
    belongs_to_the_group("/dev/uhid");
    let mut input = pads("40");
    input.handle(&arrival(0, ControllerKind::Xbox));
    input.handle(&arrival(1, ControllerKind::PlayStation));
    belongs_to_the_group(&event_node("Xbox 360 pad (lumen-40/pad0)"));
    for part in ["", " Motion Sensors", " Touchpad"] {
        belongs_to_the_group(&event_node(&format!("DualSense (lumen-40/pad1){part}")));
    }
    let raw = folder("/sys/class/hidraw", "").expect("a raw HID node");
    belongs_to_the_group(&format!("/dev/{}", raw.file_name().unwrap().to_string_lossy()));

    let touchpad = event_node("DualSense (lumen-40/pad1) Touchpad");
    wait("udev's word on the touchpad", || known(&touchpad).contains("E:LIBINPUT_IGNORE_DEVICE=1").then_some(()));
    let pad = event_node("DualSense (lumen-40/pad1)");
    assert!(known(&pad).contains("G:uaccess") && !known(&pad).contains("LIBINPUT_IGNORE"), "{}", known(&pad));

    // Keyboards are nobody's business, not even the session's own.
    let _input = everything("41");
    let keyboard = event_node("Keyboard (lumen-41/keyboard)");
    wait("udev's word on the keyboard", || known(&keyboard).contains("E:ID_INPUT_KEYBOARD=1").then_some(()));
    assert_ne!(fs::metadata(&keyboard).unwrap().gid(), GROUP);
}

#[test]
#[ignore = "needs /dev/uinput and udev: run by vm-tests/run"]
fn every_device_is_taken_for_what_it_is() {
    udev();
    let mut input = everything("42");
    input.handle(&arrival(0, ControllerKind::Nintendo));
    for (name, class) in [
        ("Keyboard (lumen-42/keyboard)", "KEYBOARD"),
        ("Mouse (lumen-42/mouse)", "MOUSE"),
        ("Absolute pointer (lumen-42/pointer)", "MOUSE"),
        ("Touchscreen (lumen-42/touch)", "TOUCHSCREEN"),
        ("Pen (lumen-42/pen)", "TABLET"),
        ("Switch Pro pad (lumen-42/pad0)", "JOYSTICK"),
    ] {
        let node = event_node(name);
        wait(&format!("{name} as {class}"), || known(&node).contains(&format!("E:ID_INPUT_{class}=1")).then_some(()));
    }
}

//! Outputs of a KWin that runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use lumen_host::config::Instance;
use lumen_host::display::compositor::CompositorSpec;
use lumen_host::display::kwin;
use lumen_host::display::process::Process;
use lumen_host::frame::Mode;
use lumen_host::mediaserver::MediaServer;

use crate::bed::{Bed, next_where, wait_for};
use crate::painter::{Painter, has_mode, outputs, shows};

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn two_outputs_of_one_kwin_have_their_own_modes_and_pictures_and_go_with_their_sessions() {
    let desktop = Bed::own(kwin::start, Mode::new(1280, 720, 60));
    assert_eq!(outputs(&desktop.socket()).len(), 1);
    let modes = [("sofa", Mode::new(1024, 600, 60)), ("kitchen", Mode::new(1366, 768, 50))];
    let mut further = modes.map(|(identity, mode)| {
        let compositor = desktop.further(kwin::start, identity, mode);
        let all = outputs(&desktop.socket());
        println!("with {identity}: {all:?}");
        let output = all.iter().find(|output| output.name.contains(identity)).expect("a new output");
        has_mode(output, mode);
        let name = output.name.clone();
        (compositor, name, mode)
    });
    let painters = further.each_ref().map(|(_, name, _)| Painter::start(&desktop.socket(), Some(name)));
    for (compositor, name, mode) in &mut further {
        let mut capture = compositor.capture().expect("it is there");
        println!("{name}");
        next_where(&mut *capture, "the program of this output", |image| shows(image, *mode, 0));
    }
    drop(painters);
    for (left, (compositor, name, _)) in further.into_iter().enumerate() {
        drop(compositor);
        wait_for("the output to go", || {
            let all = outputs(&desktop.socket());
            all.len() == 2 - left && all.iter().all(|output| output.name != name)
        });
    }
    desktop.ends();
}

/// The desktop file that lumen has, for this program.
fn install_desktop_file(data: &Path) {
    let program = std::env::current_exe().expect("a program");
    let shipped = include_str!("../../share/lumen.desktop");
    let ours = shipped.replace("/usr/bin/lumen", &program.display().to_string());
    assert_ne!(ours, shipped);
    fs::create_dir_all(data.join("applications")).expect("a directory");
    fs::write(data.join("applications/lumen.desktop"), ours).expect("written");
}

/// What Plasma brings with it: without a menu, KDE knows no applications.
fn install_menu(configuration: &Path) {
    fs::create_dir_all(configuration.join("menus")).expect("a directory");
    let menu = "<Menu><Name>Applications</Name><DefaultAppDirs/><Include><All/></Include></Menu>";
    fs::write(configuration.join("menus/applications.menu"), menu).expect("written");
}

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn kwin_gives_its_protocols_to_the_program_that_the_desktop_file_names_and_to_no_other() {
    let directory = tempfile::Builder::new().prefix("ld").tempdir_in("/tmp").expect("a directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let session = format!("plasma-{}", std::process::id());
    let server = MediaServer::start(&session, directory.path()).unwrap_or_else(|error| panic!("{error}"));
    let mut environment = vec![("XDG_RUNTIME_DIR".to_owned(), directory.path().display().to_string())];
    environment.extend(server.environment());
    install_desktop_file(&directory.path().join("data"));
    install_menu(&directory.path().join("config"));
    let mut command = Command::new("kwin_wayland");
    command
        .args(["--virtual", "--no-lockscreen", "--socket", "wayland-plasma"])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .env("XDG_DATA_DIRS", format!("{}:/usr/share", at("data")))
        .env("XDG_CONFIG_DIRS", at("config"))
        .env("XDG_CACHE_HOME", at("cache"))
        .env("HOME", directory.path());
    let _kwin = Process::spawn(command, &session).expect("it starts");
    let socket = directory.path().join("wayland-plasma");
    let offered = || {
        let mut program = Command::new("wayland-info");
        let output = program.env("XDG_RUNTIME_DIR", directory.path()).env("WAYLAND_DISPLAY", &socket).output();
        String::from_utf8_lossy(&output.expect("wayland-info is installed").stdout).into_owned()
    };
    wait_for("KWin to answer", || socket.exists() && offered().contains("wl_output"));
    let offered = offered();
    assert!(!offered.contains("zkde_screencast") && !offered.contains("fake_input"), "to everybody: {offered}");

    environment.push(("WAYLAND_DISPLAY".to_owned(), socket.display().to_string()));
    let mode = Mode::new(1024, 600, 60);
    let mut output = kwin::start(&CompositorSpec {
        session: format!("{session}-sofa"),
        mode,
        instance: Instance::Running,
        directory: directory.path().join("sofa"),
        identity: "sofa".to_owned(),
        command: Vec::new(),
        command_environment: Vec::new(),
        environment,
    })
    .unwrap_or_else(|error| panic!("{error}"));
    let mut capture = output.capture().expect("it is there");
    next_where(&mut *capture, "the new output", |image| (image.width, image.height) == (mode.width, mode.height));
    drop(output.input().unwrap_or_else(|error| panic!("{error}")));
}

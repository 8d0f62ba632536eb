//! The `lumen` program: what people type, and what a crash or a hostile disk leaves behind.

mod frontdoor;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use frontdoor::TestHost;
use frontdoor::client::TestClient;
use lumen_host::config::Config;
use lumen_host::store::Store;

fn lumen() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lumen"));
    command.env_clear().stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (bool, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.success(), text(stdout), text(stderr))
}

fn on(directory: &Path) -> [String; 4] {
    let path = |name: &str| directory.join(name).display().to_string();
    ["--state-dir".to_owned(), path("state"), "--runtime-dir".to_owned(), path("run")]
}

#[test]
fn a_wrong_configuration_is_explained() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("lumen.toml");
    fs::write(&file, "[stream]\nfec_precentage = 10\n").expect("written");
    let (ok, _, error) = run(lumen().arg("config").arg("check").arg("--config").arg(&file));
    assert!(!ok);
    assert_eq!(
        error,
        format!(
            "lumen: {}:2: unknown key `stream.fec_precentage`; did you mean `stream.fec_percentage`?\n",
            file.display()
        )
    );
    fs::write(&file, "[stream]\nfec_percentage = 10\n").expect("written");
    let (ok, out, _) = run(lumen().arg("config").arg("check").env("LUMEN_CONFIG", &file));
    assert!(ok && out.contains("is right"), "{out}");
}

#[test]
fn what_is_shown_can_be_read_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let (ok, shown, error) = run(lumen().args(["config", "show", "--port", "50000", "--name", "den"]));
    assert!(ok, "{error}");
    let file = directory.path().join("lumen.toml");
    fs::write(&file, &shown).expect("written");
    let (ok, again, error) = run(lumen().args(["config", "show", "--config"]).arg(&file));
    assert!(ok, "{error}");
    assert_eq!(shown, again);
    assert!(shown.contains("port = 50000") && shown.contains("name = \"den\""), "{shown}");
}

#[test]
fn generated_texts_are_complete() {
    let (_, schema, _) = run(lumen().args(["config", "schema"]));
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    assert_eq!(schema["properties"]["stream"]["$ref"], "#/$defs/StreamConfig");
    let (_, help, _) = run(lumen().arg("--help"));
    for command in ["serve", "pair", "clients", "status", "doctor", "config", "completions", "man"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is missing: {help}");
    }
    assert!(!help.contains("session "));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (ok, script, _) = run(lumen().args(["completions", shell]));
        assert!(ok && script.contains("pair"), "{shell}");
    }
    let (ok, page, _) = run(lumen().arg("man"));
    assert!(ok && page.contains(".SH LUMEN PAIR"));
}

#[test]
fn the_doctor_prints_json() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, out, _) = run(lumen()
        .args(["doctor", "--json"])
        .env("LUMEN_STATE_DIR", directory.path())
        .env("LUMEN_RUNTIME_DIR", directory.path())
        .env("LUMEN_PORT", frontdoor::free_base().to_string()));
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let findings = report["findings"].as_array().expect("a list");
    for check in ["configuration", "state directory", "ports", "discovery", "UDP segmentation", "real-time class"] {
        assert!(findings.iter().any(|finding| finding["check"] == check), "{check} is missing");
    }
}

#[test]
fn without_a_host_commands_say_so() {
    let directory = tempfile::tempdir().expect("a directory");
    for command in ["status", "pair"] {
        let (ok, _, error) = run(lumen().arg(command).args(on(directory.path())));
        assert!(!ok && error.contains("lumen is not running here"), "{command}: {error}");
    }
}

#[test]
fn a_running_host_is_managed() {
    let host = TestHost::start();
    let at = on(&host.directory());
    let (ok, out, error) = run(lumen().arg("status").args(&at));
    assert!(ok, "{error}");
    assert!(out.contains("Sessions  none") && out.contains("Encoders  fake (H.264)"), "{out}");

    let client = TestClient::new("0123456789ABCDEF");
    let mut pair = lumen().args(["pair", "4217", "--client", "Sofa"]).args(&at).stdout(Stdio::piped()).spawn();
    // The PIN may come before the client does.
    std::thread::sleep(Duration::from_millis(300));
    client.pair(&host, "4217").join().expect("no panic").expect("paired");
    let output = pair.as_mut().map(|child| child.wait().expect("it ends")).expect("it started");
    assert!(output.success());

    let (_, out, _) = run(lumen().args(["clients", "list"]).args(&at));
    assert!(out.contains("Sofa") && out.contains("paired just now"), "{out}");
    let (ok, ..) = run(lumen().args(["clients", "rename", "Sofa", "Couch"]).args(&at));
    assert!(ok);
    let (ok, out, error) =
        run(lumen().args(["clients", "grant", "Couch", "--input", "gamepad,pointer", "--app", "Test card"]).args(&at));
    assert!(ok, "{error}");
    assert_eq!(out, "Couch may: pointer, gamepad; only Test card.\n");
    assert_eq!(*host.sessions.regranted.lock().expect("unpoisoned"), ["Couch"]);
    let (_, out, _) = run(lumen().args(["clients", "grant", "Couch", "--input", "none"]).args(&at));
    assert_eq!(out, "Couch may: watch; only Test card.\n");
    let streams = |clipboard, microphone| {
        let asked = ["clients", "grant", "Couch", "--clipboard", clipboard, "--microphone", microphone];
        run(lumen().args(asked).args(&at)).1
    };
    assert_eq!(streams("on", "on"), "Couch may: watch, clipboard, microphone; only Test card.\n");
    assert_eq!(streams("off", "on"), "Couch may: watch, microphone; only Test card.\n");
    let (ok, _, error) = run(lumen().args(["clients", "grant", "Couch", "--input", "none,keyboard"]).args(&at));
    assert!(!ok && error.contains("stand alone"), "{error}");
    let (ok, _, error) = run(lumen().args(["clients", "grant", "Couch"]).args(&at));
    assert!(!ok && error.contains("--input"), "{error}");
    let (_, out, _) = run(lumen().args(["clients", "grant", "Couch", "--default"]).args(&at));
    assert_eq!(out, "Couch may: all input.\n");
    let (ok, _, error) = run(lumen().args(["clients", "remove", "Sofa"]).args(&at));
    assert!(!ok && error.contains("no client \"Sofa\""), "{error}");
    let digits = &client.certificate().fingerprint().to_string()[..8];
    let (ok, out, _) = run(lumen().args(["clients", "remove", digits]).args(&at));
    assert!(ok && out.starts_with("Removed: Couch."), "{out}");
    assert_eq!(client.https(&host, "/serverinfo", "").code(), 401);
}

#[test]
fn a_wrong_pin_makes_the_command_fail() {
    let host = TestHost::start();
    let client = TestClient::new("a");
    let pairing = client.pair(&host, "1111");
    let (ok, _, error) = run(lumen().args(["pair", "2222"]).args(on(&host.directory())));
    assert!(!ok && error.contains("not paired"), "{error}");
    assert!(pairing.join().expect("no panic").is_err());
    let (ok, _, error) = run(lumen().args(["pair", "22x2"]).args(on(&host.directory())));
    assert!(!ok && error.contains("a PIN is four digits"), "{error}");
    let (ok, _, error) = run(lumen().args(["pair", "2222", "--timeout", "0"]).args(on(&host.directory())));
    assert!(!ok && error.contains("no client began to pair"), "{error}");
}

#[test]
fn clients_can_be_managed_while_the_host_is_stopped() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = Config { state_dir: directory.path().join("state"), ..Config::default() };
    let client = TestClient::new("a");
    let store = Store::open(&config).expect("a state directory");
    store.pin("Sofa", client.identity.certificate_pem(), std::time::SystemTime::now()).expect("pinned");
    let (ok, _, error) = run(lumen().args(["clients", "list"]).args(on(directory.path())));
    assert!(!ok && error.contains("in use by another lumen"), "{error}");
    drop(store);
    let (ok, out, error) = run(lumen().args(["clients", "list", "--json"]).args(on(directory.path())));
    assert!(ok, "{error}");
    assert!(out.contains("\"name\": \"Sofa\""), "{out}");
}

/// Starts for the first time in a fresh directory, again and again, is killed at another moment each time, and must
/// come up afterwards with an identity that is whole.
#[test]
fn a_first_start_killed_at_any_moment_leaves_a_state_that_starts() {
    let mut killed = 0;
    for round in 0..30u64 {
        let directory = tempfile::tempdir().expect("a directory");
        let mut child = lumen()
            .args(["clients", "list"])
            .args(on(directory.path()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        std::thread::sleep(Duration::from_millis(round * round % 37 * 8 + round));
        killed += u32::from(child.try_wait().expect("a child").is_none());
        child.kill().expect("a child");
        child.wait().expect("a child");
        let config = Config { state_dir: directory.path().join("state"), ..Config::default() };
        let store = Store::open(&config).unwrap_or_else(|error| panic!("round {round}: {error}"));
        let fingerprint = store.identity().certificate().fingerprint();
        drop(store);
        let store = Store::open(&config).expect("it opens again");
        assert_eq!(store.identity().certificate().fingerprint(), fingerprint);
        let left: Vec<_> = fs::read_dir(&config.state_dir)
            .expect("readable")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".new"))
            .collect();
        assert!(left.is_empty(), "round {round} leaves {left:?}");
    }
    assert!(killed >= 5, "only {killed} rounds were quick enough to kill anything");
}

/// A state directory that nobody may write: as root, nothing is read-only, so this runs as nobody.
#[test]
fn a_read_only_state_directory_is_explained() {
    let directory = tempfile::Builder::new().prefix("lumen").tempdir_in("/tmp").expect("a directory");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(directory.path(), open.clone()).expect("ours");
    let state = directory.path().join("state");
    fs::create_dir(&state).expect("ours");
    let program = reachable(directory.path());
    let mut command = Command::new(program);
    command.env_clear().args(["clients", "list"]).args(on(directory.path()));
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    } else {
        fs::set_permissions(&state, fs::Permissions::from_mode(0o555)).expect("ours");
    }
    let (ok, _, error) = run(&mut command);
    fs::set_permissions(&state, open).expect("ours");
    assert!(!ok && error.contains("it is read-only for this user; make it writable"), "{error}");
}

/// A copy of the program that another user can execute.
fn reachable(directory: &Path) -> PathBuf {
    let program = directory.join("lumen");
    fs::copy(env!("CARGO_BIN_EXE_lumen"), &program).expect("copied");
    program
}

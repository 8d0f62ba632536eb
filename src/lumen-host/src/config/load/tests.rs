use std::io::Write;

use super::*;
use crate::config::{DisplayKind, Encryption};

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("to write it");
    file
}

fn sources(file: &tempfile::NamedTempFile) -> Sources {
    Sources { file: Some(file.path().to_owned()), ..Sources::default() }
}

fn error(text: &str) -> String {
    let file = file(text);
    let message = load(&sources(&file)).expect_err("an error").to_string();
    message.replace(&file.path().display().to_string(), "lumen.toml")
}

#[test]
fn later_layers_win() {
    let file = file("port = 50000\nname = \"file\"\n[stream]\nkeep_alive = 7\nmax_sessions = 3\n");
    let mut sources = sources(&file);
    let config = load(&sources).expect("the file").config;
    assert_eq!((config.port.get(), config.name.as_str(), config.stream.keep_alive), (50_000, "file", 7));

    sources.environment = vec![
        ("LUMEN_NAME".to_owned(), "env".to_owned()),
        ("LUMEN_STREAM__KEEP_ALIVE".to_owned(), "8".to_owned()),
        ("LUMEN_STREAM__ENCRYPTION".to_owned(), "required".to_owned()),
        ("LUMEN_CONFIG".to_owned(), "ignored".to_owned()),
        ("PATH".to_owned(), "/bin".to_owned()),
    ];
    let config = load(&sources).expect("the environment").config;
    assert_eq!((config.name.as_str(), config.stream.keep_alive, config.stream.max_sessions), ("env", 8, 3));
    assert_eq!(config.stream.encryption, Encryption::Required);

    sources.flags = Overrides { name: Some("flag".to_owned()), port: Some(50_100), ..Overrides::default() };
    let config = load(&sources).expect("the flags").config;
    assert_eq!((config.port.get(), config.name.as_str(), config.stream.keep_alive), (50_100, "flag", 8));
}

#[test]
fn an_unknown_key_is_named_with_line_and_neighbour() {
    assert_eq!(
        error("port = 50000\n\n[stream]\nfec_percent = 10\n"),
        "lumen.toml:4: unknown key `stream.fec_percent`; did you mean `stream.fec_percentage`?"
    );
    assert_eq!(
        error("[[apps]]\nname = \"a\"\n\n[[apps]]\nname = \"b\"\ndispaly = \"testcard\"\n"),
        "lumen.toml:6: unknown key `apps.dispaly`; did you mean `apps.display`?"
    );
    assert!(error("[straem]\n").contains("did you mean `stream`?"));
}

#[test]
fn an_unknown_variable_is_named() {
    let sources = Sources {
        file: Some(file("").path().to_owned()),
        environment: vec![("LUMEN_STREAM__FEC_PERCENT".to_owned(), "1".to_owned())],
        ..Sources::default()
    };
    let empty = file("");
    let sources = Sources { file: Some(empty.path().to_owned()), ..sources };
    let message = load(&sources).expect_err("an error").to_string();
    assert_eq!(
        message,
        "environment variable LUMEN_STREAM__FEC_PERCENT: unknown key `stream.fec_percent`; did you mean `stream.fec_percentage`?"
    );
}

#[test]
fn a_wrong_value_is_named_with_its_place() {
    assert!(error("\nport = 80\n").starts_with("lumen.toml:2: `port`: "), "{}", error("\nport = 80\n"));
    assert!(
        error("[stream]\nmax_sessions = 0\n")
            .starts_with("lumen.toml:2: `stream.max_sessions`: 0 is out of range; write")
    );
    assert!(error("[stream]\nencryption = \"often\"\n").starts_with("lumen.toml:2: `stream.encryption`: "));
    assert!(error("[admin]\nlisten = \"192.0.2.1:80\"\n").contains("loopback"));

    let empty = file("");
    let mut sources = sources(&empty);
    sources.environment = vec![("LUMEN_PORT".to_owned(), "80".to_owned())];
    let message = load(&sources).expect_err("an error").to_string();
    assert!(message.starts_with("environment variable LUMEN_PORT: `port`: "), "{message}");
    sources.environment.clear();
    sources.flags.port = Some(80);
    let message = load(&sources).expect_err("an error").to_string();
    assert!(message.starts_with("command line: `port`: "), "{message}");
}

#[test]
fn broken_toml_is_named_with_its_line() {
    assert!(error("port = 50000\nname = \n").starts_with("lumen.toml:2: not valid TOML: "));
}

#[test]
fn a_named_file_must_exist() {
    let sources = Sources { file: Some("/nonexistent/lumen.toml".into()), ..Sources::default() };
    let message = load(&sources).expect_err("an error").to_string();
    assert!(message.starts_with("cannot read configuration file /nonexistent/lumen.toml: "), "{message}");
}

#[test]
fn apps_and_clients_are_declared() {
    let fingerprint = "ab".repeat(32);
    let file = file(&format!(
        "[[apps]]\nname = \"Card\"\nid = 7\ndisplay = \"testcard\"\n[[apps]]\nname = \"Motion\"\n\
         display = \"testcard-motion\"\n[[clients]]\nname = \"tv\"\nfingerprint = \"{fingerprint}\"\n"
    ));
    let config = load(&sources(&file)).expect("valid").config;
    assert_eq!((config.apps[0].id, config.apps[0].display), (Some(7), DisplayKind::Testcard));
    assert_eq!(config.apps[1].display, DisplayKind::TestcardMotion);
    let identity = config.clients[0].identity().expect("an identity");
    assert_eq!(identity.fingerprint().to_string(), fingerprint);
}

#[test]
fn contradicting_declarations_are_refused() {
    assert!(error("[[apps]]\nname = \"a\"\n[[apps]]\nname = \"a\"\n").contains("twice"));
    assert!(error("[[apps]]\nname = \"a\"\nid = 0\n").contains("0 is out of range"));
    assert!(error("[[clients]]\nname = \"tv\"\n").contains("give either"));
    assert!(error("[[clients]]\nname = \"tv\"\nfingerprint = \"xy\"\n").contains("fingerprint"));
    assert!(error("[[clients]]\nname = \"tv\"\ncertificate = \"missing.pem\"\n").contains("cannot read"));
}

//! A corpus of wrong configurations: `lumen config check` refuses each with the message that stands in its first line,
//! which names line, key and remedy.
//!
//! `LUMEN_BLESS=1` writes what is said today into those lines; read them before they are kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-config");
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory).expect("the corpus").map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What is said about a file, with `lumen.toml` for its path.
fn said(file: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lumen"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LUMEN_") {
            command.env_remove(name);
        }
    }
    let output = command.arg("--config").arg(file).args(["config", "check"]).output().expect("it runs");
    let errors = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success(), "{} is taken as right", file.display());
    assert!(!errors.contains("panicked"), "{}: {errors}", file.display());
    let directory = format!("{}/", file.parent().expect("a directory").display());
    errors.trim_end().replace(&file.display().to_string(), "lumen.toml").replace(&directory, "").replace('\n', " | ")
}

#[test]
fn every_wrong_configuration_is_refused_with_place_and_remedy() {
    let files = files();
    assert!(files.len() >= 50, "only {} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        let (first, rest) = text.split_once('\n').expect("a line");
        let said = format!("# {}", said(&file));
        if first == said {
            continue;
        }
        if std::env::var_os("LUMEN_BLESS").is_some() {
            let body = if first.starts_with("# ") { rest } else { &text };
            fs::write(&file, format!("{said}\n{body}")).expect("written");
        } else {
            wrong.push(format!("{}\n  now:  {said}\n  then: {first}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

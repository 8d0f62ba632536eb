//! The reference pages of the book are what the code says. `LUMEN_BLESS=1 cargo test -p lumen-host --test reference`
//! writes them again.
#![allow(missing_docs)]

mod api;
mod commands;
mod configuration;

use std::path::Path;
use std::process::Command;

#[test]
fn configuration_page_is_printed_from_the_schema() {
    verify("configuration.md", &configuration::page());
}

#[test]
fn commands_page_is_printed_from_the_command_lines() {
    verify("commands.md", &commands::page(&[lumen_host::cli::command(), lumen_client::cli::command()]));
}

#[test]
fn interface_page_and_document_are_printed_from_the_types() {
    let document = lumen_host::admin::openapi();
    verify("api.md", &api::page(&document));
    verify("openapi.json", &(serde_json::to_string_pretty(&document).expect("JSON") + "\n"));
}

#[test]
fn completions_and_manual_name_every_command() {
    let printed = [
        ["completions", "bash"].as_slice(),
        &["completions", "elvish"],
        &["completions", "fish"],
        &["completions", "powershell"],
        &["completions", "zsh"],
        &["man"],
    ];
    for arguments in printed {
        let output = Command::new(env!("CARGO_BIN_EXE_lumen")).args(arguments).output().expect("lumen runs");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{arguments:?}");
        for command in lumen_host::cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            for name in [command].into_iter().chain(command.get_subcommands()).map(clap::Command::get_name) {
                let said = text.contains(name) || text.contains(&name.to_uppercase());
                assert!(said, "{arguments:?} do not mention {name}");
            }
        }
    }
}

/// Compares a page of the book with what it should be, or writes it.
fn verify(name: &str, text: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference").join(name);
    if std::env::var_os("LUMEN_BLESS").is_some() {
        std::fs::write(&page, text).expect("page can be written");
    }
    let found = std::fs::read_to_string(&page).expect("page exists");
    assert!(found == text, "{name} is out of date; run with LUMEN_BLESS=1 to print it again");
}

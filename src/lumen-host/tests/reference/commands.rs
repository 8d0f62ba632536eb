//! The page of all commands, from their definitions.

use std::collections::HashSet;
use std::fmt::Write as _;

use clap::{Arg, Command};

const INTRODUCTION: &str = "\
# Command line

Printed from the programs' own definitions; do not edit. `--help` says the same, and `lumen man` prints a manual page.
Options of a program, and of a command that has commands of its own, hold for what is below them as well.
";

/// The page of these programs.
pub fn page(programs: &[Command]) -> String {
    let mut page = INTRODUCTION.to_owned();
    for program in programs {
        let mut program = program.clone();
        program.build();
        section(&mut page, &program, program.get_name(), 2, &HashSet::new());
    }
    page
}

fn section(page: &mut String, command: &Command, path: &str, level: usize, inherited: &HashSet<String>) {
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string().replace("Usage: ", "");
    write(page, format_args!("\n{} {path}\n\n{}.\n\n", "#".repeat(level), about.trim_end_matches('.')));
    write(page, format_args!("```text\n{}\n```\n", usage.trim()));

    let own = |argument: &&Arg| {
        let name = argument.get_id().as_str();
        !argument.is_hide_set() && !matches!(name, "help" | "version") && !inherited.contains(name)
    };
    let arguments: Vec<_> = command.get_arguments().filter(own).collect();
    let mut headings: Vec<Option<&str>> = vec![None];
    for argument in &arguments {
        if !headings.contains(&argument.get_help_heading()) {
            headings.push(argument.get_help_heading());
        }
    }
    for heading in headings {
        let rows: Vec<_> =
            arguments.iter().filter(|argument| argument.get_help_heading() == heading).map(|row| cells(row)).collect();
        if !rows.is_empty() {
            let title = heading.unwrap_or("Argument");
            write(page, format_args!("\n| {title} | Meaning |\n|---|---|\n{}", rows.concat()));
        }
    }
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        write(page, format_args!("\n```text\n{}\n```\n", after.to_string().trim()));
    }

    let mut inherited = inherited.clone();
    inherited.extend(arguments.iter().filter(|argument| argument.is_global_set()).map(|a| a.get_id().to_string()));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
        section(page, inner, &format!("{path} {}", inner.get_name()), (level + 1).min(4), &inherited);
    }
}

/// The row of an argument.
fn cells(argument: &Arg) -> String {
    let values: Vec<_> =
        argument.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>")).collect();
    let takes_values = argument.get_action().takes_values();
    let mut names = Vec::new();
    names.extend(argument.get_short().map(|short| format!("-{short}")));
    names.extend(argument.get_long().map(|long| format!("--{long}")));
    names.extend(argument.get_visible_aliases().unwrap_or_default().iter().map(|alias| format!("--{alias}")));
    let mut name = names.join(", ");
    if takes_values {
        let values = if values.is_empty() { format!("<{}>", argument.get_id()) } else { values.join(" ") };
        name = format!("{name} {values}");
    }

    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut meaning = format!("{}.", help.trim_end_matches('.'));
    if takes_values {
        let possible: Vec<_> =
            argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        if !possible.is_empty() {
            write(&mut meaning, format_args!(" One of {}.", possible.join(", ")));
        }
        let defaults: Vec<_> =
            argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
        if !defaults.is_empty() {
            write(&mut meaning, format_args!(" Default {}.", defaults.join(", ")));
        }
    }
    format!("| `{}` | {} |\n", name.trim(), meaning.replace('|', "\\|").replace('\n', " "))
}

fn write(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("memory takes it");
}

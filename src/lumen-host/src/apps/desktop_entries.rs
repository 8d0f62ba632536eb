//! Programs of the desktop's menu: the desktop entries in the data directories.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::desktop_entry::DesktopEntry;
use super::findings::broken;
use super::{Art, Discovered, Findings, Source, Surroundings, icons};

/// Most directories below one `applications`.
const MOST_DIRECTORIES: usize = 200;

/// Terminals, with what stands before a program that is to run in one; the first that is there is taken.
const TERMINALS: [&[&str]; 7] = [
    &["xdg-terminal-exec"],
    &["foot"],
    &["kitty"],
    &["alacritty", "-e"],
    &["konsole", "-e"],
    &["gnome-terminal", "--wait", "--"],
    &["xterm", "-e"],
];

/// Arguments of entries that other sources bring themselves.
const OTHERS: [(&str, Source); 3] =
    [("steam://rungameid/", Source::Steam), ("lutris:rungame", Source::Lutris), ("heroic://launch", Source::Heroic)];

pub(super) fn find(surroundings: &Surroundings, findings: &mut Findings) {
    let mut seen = HashSet::new();
    let directories: Vec<PathBuf> = surroundings.data().map(|data| data.join("applications")).collect();
    for directory in directories {
        let mut files = Vec::new();
        collect(&directory, &directory, &mut HashSet::new(), findings, &mut files);
        for (id, file) in files {
            // An entry hides those of the same name in less important directories, even if it is itself not shown.
            if seen.insert(id.clone()) {
                entry(&id, &file, surroundings, findings);
            }
        }
    }
}

/// All entries below a directory with the names by which the specification knows them.
fn collect(
    base: &Path,
    directory: &Path,
    visited: &mut HashSet<PathBuf>,
    findings: &mut Findings,
    files: &mut Vec<(String, PathBuf)>,
) {
    // What is not there yet may come.
    findings.watch(directory);
    // Links may lead back to where they are.
    if visited.len() >= MOST_DIRECTORIES || !directory.canonicalize().is_ok_and(|real| visited.insert(real)) {
        return;
    }
    for path in findings.list(directory) {
        if path.is_dir() {
            collect(base, &path, visited, findings, files);
        } else if path.extension().is_some_and(|kind| kind == "desktop")
            && let Some(below) = path.strip_prefix(base).ok().and_then(Path::to_str)
        {
            files.push((below.replace('/', "-"), path));
        }
    }
}

fn entry(id: &str, file: &Path, surroundings: &Surroundings, findings: &mut Findings) {
    let Some(text) = findings.read(file) else { return };
    let entry = match DesktopEntry::parse(&text) {
        Ok(entry) => entry,
        Err(error) => return broken(file, &error.to_string()),
    };
    if entry.text("Type").as_deref() != Some("Application") || !is_shown(&entry, surroundings) {
        return;
    }
    let Some(name) = entry.localized("Name", &surroundings.languages) else {
        return broken(file, "it has no Name");
    };
    let mut command = match entry.command(&name, &file.to_string_lossy()) {
        Ok(command) => command,
        Err(error) => return broken(file, &error.to_string()),
    };
    let known = |argument: &String| {
        let other = OTHERS.iter().find(|(prefix, _)| argument.starts_with(prefix));
        other.is_some_and(|(_, source)| findings.apps().iter().any(|app| app.source == *source))
    };
    if command.iter().any(known) {
        return;
    }
    if entry.is("Terminal") {
        let Some(terminal) = TERMINALS.into_iter().find(|terminal| surroundings.has_program(terminal[0])) else {
            tracing::debug!(file = %file.display(), "it needs a terminal, and none is installed");
            return;
        };
        command.splice(0..0, terminal.iter().map(|part| (*part).to_owned()));
    }
    let icon = entry.text("Icon").and_then(|icon| icons::find(&icon, surroundings));
    findings.add(Discovered {
        key: format!("menu:{id}"),
        source: Source::Menu,
        title: name,
        command,
        directory: entry.text("Path").map(PathBuf::from).filter(|path| path.is_dir()),
        art: icon.map(Art::Icon),
    });
}

fn is_shown(entry: &DesktopEntry, surroundings: &Surroundings) -> bool {
    let listed = |key: &str| {
        let list = entry.list(key);
        list.map(|list| list.iter().any(|desktop| surroundings.desktops.iter().any(|own| own == desktop)))
    };
    !entry.is("NoDisplay")
        && !entry.is("Hidden")
        && listed("OnlyShowIn").unwrap_or(true)
        && !listed("NotShowIn").unwrap_or(false)
        && entry.text("TryExec").is_none_or(|program| surroundings.has_program(&program))
}

//! Games of Steam: the libraries that `libraryfolders.vdf` names, and in each an `appmanifest_ID.acf` for every game.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::findings::{broken, entries};
use super::vdf::{Table, Value};
use super::{Art, Discovered, Findings, Source, Surroundings};

/// Bit of `StateFlags`: installed to the end.
const INSTALLED: u32 = 4;

/// What Steam installs for games, and is none.
const TOOLS: [&str; 4] = ["Proton ", "Steam Linux Runtime", "Steamworks Common", "Steamworks Shared"];

/// An installation of Steam: where its data may be, and the command that starts it.
const INSTALLATIONS: [(&str, &[&str]); 4] = [
    (".steam/steam", &["steam"]),
    (".local/share/Steam", &["steam"]),
    (".var/app/com.valvesoftware.Steam/.local/share/Steam", &["flatpak", "run", "com.valvesoftware.Steam"]),
    ("snap/steam/common/.local/share/Steam", &["snap", "run", "steam"]),
];

pub(super) fn find(surroundings: &Surroundings, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (place, command) in INSTALLATIONS {
        let root = surroundings.home.join(place);
        findings.watch(&root);
        // The first two are often one.
        let Ok(root) = root.canonicalize() else { continue };
        if !seen.insert(root.clone()) {
            continue;
        }
        if !command.first().is_some_and(|program| surroundings.has_program(program)) {
            tracing::debug!(root = %root.display(), "the program of this installation of Steam is not there");
            continue;
        }
        for library in libraries(&root, findings) {
            for file in findings.list(&library.join("steamapps")) {
                let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if name.starts_with("appmanifest_") && name.ends_with(".acf") {
                    manifest(&file, &root, command, findings);
                }
            }
        }
    }
}

/// Directories that hold a `steamapps`.
fn libraries(root: &Path, findings: &mut Findings) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::from([root.to_owned()]);
    let file = root.join("steamapps/libraryfolders.vdf");
    let Some(text) = findings.read(&file) else { return found };
    match Table::parse(&text) {
        Ok(table) => {
            for (_, library) in table.table("libraryfolders").into_iter().flat_map(Table::entries) {
                let path = match library {
                    Value::Table(library) => library.text("path"),
                    // Older files have the path alone, beside other texts.
                    Value::Text(path) => Some(path.as_str()),
                };
                let path = path.map(Path::new).filter(|path| path.is_absolute());
                found.extend(path.and_then(|path| path.canonicalize().ok()));
            }
        }
        Err(error) => broken(&file, &error.to_string()),
    }
    found
}

fn manifest(file: &Path, root: &Path, command: &[&str], findings: &mut Findings) {
    let Some(text) = findings.read(file) else { return };
    let table = match Table::parse(&text) {
        Ok(table) => table,
        Err(error) => return broken(file, &error.to_string()),
    };
    let state = table.table("AppState");
    let text = |key: &str| state.and_then(|state| state.text(key));
    let id = text("appid").and_then(|id| id.parse::<u32>().ok());
    let (Some(id), Some(name)) = (id, text("name")) else {
        return broken(file, "it has no appid or no name");
    };
    let flags: u32 = text("StateFlags").and_then(|flags| flags.parse().ok()).unwrap_or_default();
    if flags & INSTALLED == 0 || TOOLS.iter().any(|tool| name.starts_with(tool)) {
        return;
    }
    let arguments = ["-silent".to_owned(), format!("steam://rungameid/{id}")];
    findings.add(Discovered {
        key: format!("steam:{id}"),
        source: Source::Steam,
        title: name.to_owned(),
        command: command.iter().map(|part| (*part).to_owned()).chain(arguments).collect(),
        directory: None,
        art: art(root, id).map(Art::Poster),
    });
}

/// The portrait that the user chose, else that of Steam's library.
fn art(root: &Path, id: u32) -> Option<PathBuf> {
    let users = entries(&root.join("userdata"));
    let chosen =
        users.iter().flat_map(|user| ["png", "jpg"].map(|kind| user.join(format!("config/grid/{id}p.{kind}"))));
    let cache = root.join("appcache/librarycache");
    let own = cache.join(id.to_string());
    // Newer versions keep the pictures of a game in a directory of its own, some of them one level deeper.
    let deeper = entries(&own).into_iter().filter(|path| path.is_dir());
    let directories: Vec<_> = std::iter::once(own.clone()).chain(deeper).collect();
    let kept = directories
        .iter()
        .flat_map(|directory| ["library_600x900.jpg", "library_capsule.jpg"].map(|name| directory.join(name)));
    chosen.chain([cache.join(format!("{id}_library_600x900.jpg"))]).chain(kept).find(|path| path.is_file())
}

//! Games of Heroic: JSON files with the libraries of the stores that it knows.

use std::path::Path;

use serde_json::Value;

use super::findings::broken;
use super::{Art, Discovered, Findings, Source, Surroundings};

/// Files below Heroic's configuration, the list in each, and the name of the runner.
const LIBRARIES: [(&str, &str, &str); 4] = [
    ("store_cache/legendary_library.json", "library", "legendary"),
    ("store_cache/gog_library.json", "games", "gog"),
    ("store_cache/nile_library.json", "library", "nile"),
    ("sideload_apps/library.json", "games", "sideload"),
];

pub(super) fn find(surroundings: &Surroundings, findings: &mut Findings) {
    const FLATPAK: &str = "com.heroicgameslauncher.hgl";
    let installations: [(_, &[&str]); 2] = [
        (surroundings.config_home.join("heroic"), &["heroic"]),
        (surroundings.home.join(".var/app").join(FLATPAK).join("config/heroic"), &["flatpak", "run", FLATPAK]),
    ];
    for (root, command) in installations {
        if !command.first().is_some_and(|program| surroundings.has_program(program)) {
            continue;
        }
        for (file, list, runner) in LIBRARIES {
            let file = root.join(file);
            let Some(text) = findings.read(&file) else { continue };
            match serde_json::from_str::<Value>(&text) {
                Ok(library) => {
                    for game in library[list].as_array().into_iter().flatten() {
                        findings.apps_of(game, &root, runner, command);
                    }
                }
                Err(error) => broken(&file, &error.to_string()),
            }
        }
    }
}

impl Findings {
    fn apps_of(&mut self, game: &Value, root: &Path, runner: &str, command: &[&str]) {
        let (Some(id), Some(title)) = (game["app_name"].as_str(), game["title"].as_str()) else { return };
        let word = !id.is_empty() && id.bytes().all(|one| one.is_ascii_alphanumeric() || b"-_.".contains(&one));
        let add_on = game["install"]["is_dlc"].as_bool() == Some(true);
        if game["is_installed"].as_bool() != Some(true) || !word || add_on {
            return;
        }
        // Pictures are kept under the digest of their address.
        let art = ["art_square", "art_cover"].into_iter().find_map(|key| {
            let address = game[key].as_str().filter(|address| address.starts_with("http"))?;
            let name: String =
                openssl::sha::sha256(address.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            Some(root.join("images-cache").join(name)).filter(|path| path.is_file())
        });
        let arguments = ["--no-gui".to_owned(), format!("heroic://launch/{runner}/{id}")];
        self.add(Discovered {
            key: format!("heroic:{runner}:{id}"),
            source: Source::Heroic,
            title: title.to_owned(),
            command: command.iter().map(|part| (*part).to_owned()).chain(arguments).collect(),
            directory: None,
            art: art.map(Art::Poster),
        });
    }
}

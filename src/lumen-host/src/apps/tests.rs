//! Small copies of what the programs write, and what becomes of them when they are broken.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

/// A home directory with programs in `bin`.
struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new(programs: &[&str]) -> Self {
        let home = Self { directory: tempfile::tempdir().expect("a directory") };
        for program in programs {
            home.write(&format!("bin/{program}"), "#!/bin/sh\n");
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(home.path(&format!("bin/{program}")), mode).expect("ours");
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            home: self.path(""),
            data_home: self.path("data"),
            config_home: self.path("config"),
            cache_home: self.path("cache"),
            data_dirs: vec![self.path("usr")],
            path: vec![self.path("bin")],
            languages: vec!["de_AT".to_owned(), "de".to_owned()],
            desktops: vec!["sway".to_owned()],
        }
    }

    fn find(&self, config: DiscoveryConfig) -> Vec<Discovered> {
        discover(&config, &self.surroundings()).into_parts().0
    }
}

fn menu() -> DiscoveryConfig {
    DiscoveryConfig { desktop_entries: true, ..DiscoveryConfig::off() }
}

fn titles(apps: &[Discovered]) -> Vec<&str> {
    apps.iter().map(|app| app.title.as_str()).collect()
}

fn entry(more: &str) -> String {
    format!("[Desktop Entry]\nType=Application\nExec=game %U\n{more}\n")
}

#[test]
fn entries_of_the_menu_are_taken_as_the_specification_says() {
    let home = Home::new(&["game", "foot"]);
    let applications = [
        ("chess", entry("Name=Chess\nName[de]=Schach\nIcon=chess\nPath=/")),
        ("term", entry("Name=Term\nTerminal=true")),
        ("no-display", entry("Name=A\nNoDisplay=true")),
        ("hidden", entry("Name=B\nHidden=true")),
        ("try", entry("Name=C\nTryExec=not-there")),
        ("try-there", entry("Name=D\nTryExec=game")),
        ("only-gnome", entry("Name=E\nOnlyShowIn=GNOME;")),
        ("only-sway", entry("Name=F\nOnlyShowIn=GNOME;sway;")),
        ("not-sway", entry("Name=G\nNotShowIn=sway;")),
        ("link", "[Desktop Entry]\nType=Link\nName=H\nURL=x".to_owned()),
        ("sub/dir", entry("Name=I")),
        ("no-name", entry("")),
        ("no-exec", "[Desktop Entry]\nType=Application\nName=J".to_owned()),
        ("no-entry", "\0\u{7f}nothing".to_owned()),
    ];
    for (name, text) in &applications {
        home.write(&format!("usr/applications/{name}.desktop"), text);
    }
    home.write("usr/applications/latin.desktop", b"[Desktop Entry]\nType=Application\nName=K\xE4\nExec=game");
    home.write("usr/icons/hicolor/48x48/apps/chess.png", "small");
    home.write("data/icons/hicolor/256x256/apps/chess.png", "large");
    let apps = home.find(menu());
    assert_eq!(titles(&apps), ["D", "F", "I", "Schach", "Term"]);
    let chess = &apps[3];
    assert_eq!((chess.key.as_str(), chess.command.as_slice()), ("menu:chess.desktop", &["game".to_owned()][..]));
    assert_eq!(chess.directory, Some(PathBuf::from("/")));
    assert_eq!(chess.art, Some(Art::Icon(home.path("data/icons/hicolor/256x256/apps/chess.png"))));
    assert_eq!(apps[2].key, "menu:sub-dir.desktop");
    assert_eq!(apps[4].command, ["foot", "game"]);
}

#[test]
fn an_entry_of_the_user_hides_that_of_the_system() {
    let home = Home::new(&["game"]);
    home.write("usr/applications/a.desktop", entry("Name=System's"));
    home.write("usr/applications/b.desktop", entry("Name=Other"));
    home.write("data/applications/a.desktop", entry("Name=Own"));
    home.write("data/applications/b.desktop", entry("Name=Other\nHidden=true"));
    assert_eq!(titles(&home.find(menu())), ["Own"]);
}

#[test]
fn a_pipe_a_loop_and_a_flood_neither_stop_nor_delay() {
    let home = Home::new(&["game"]);
    home.write("data/applications/good.desktop", entry("Name=Good"));
    let pipe = home.path("data/applications/pipe.desktop");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
    std::os::unix::fs::symlink(home.path("data/applications"), home.path("data/applications/loop")).expect("a link");
    assert_eq!(titles(&home.find(menu())), ["Good"]);
    for number in 0..MOST + 100 {
        home.write(&format!("usr/applications/{number}.desktop"), entry(&format!("Name=N {number}")));
    }
    assert_eq!(home.find(menu()).len(), MOST);
}

const FOLDERS: &str = "\"libraryfolders\"\n{\n\t\"0\"\n\t{\n\t\t\"path\"\t\t\"@1\"\n\t}\n\t\"1\"\n\t{\n\t\t\"path\"\t\t\"@2\"\n\t\t\"apps\" { \"7\" \"1\" }\n\t}\n}\n";

fn manifest(id: u32, name: &str, flags: u32) -> String {
    format!(
        "\"AppState\"\n{{\n\t\"appid\"\t\t\"{id}\"\n\t\"name\"\t\t\"{name}\"\n\t\"StateFlags\"\t\t\"{flags}\"\n}}\n"
    )
}

fn steam_home() -> Home {
    let home = Home::new(&["steam"]);
    let root = ".local/share/Steam";
    fs::create_dir_all(home.path("second/steamapps")).expect("made");
    let path = |name: &str| home.path(name).to_str().expect("text").to_owned();
    let folders = FOLDERS.replace("@1", &path(root)).replace("@2", &path("second"));
    home.write(&format!("{root}/steamapps/libraryfolders.vdf"), folders);
    home.write(&format!("{root}/steamapps/appmanifest_440.acf"), manifest(440, "Fortress\u{2122} 2", 4));
    home.write(&format!("{root}/steamapps/appmanifest_5.acf"), manifest(5, "Half Loaded", 1026));
    home.write(&format!("{root}/steamapps/appmanifest_6.acf"), manifest(6, "Proton 9.0", 4));
    home.write(&format!("{root}/steamapps/appmanifest_8.acf"), "\"AppState\" {");
    home.write("second/steamapps/appmanifest_7.acf", manifest(7, "Seven", 6));
    home.write(&format!("{root}/appcache/librarycache/440_library_600x900.jpg"), "x");
    home.write(&format!("{root}/appcache/librarycache/7/0a1b/library_600x900.jpg"), "x");
    fs::create_dir_all(home.path(".steam")).expect("made");
    std::os::unix::fs::symlink(home.path(root), home.path(".steam/steam")).expect("a link");
    home
}

#[test]
fn installed_games_of_all_steam_libraries_are_found_once() {
    let home = steam_home();
    let steam = DiscoveryConfig { steam: true, ..DiscoveryConfig::off() };
    let apps = home.find(steam.clone());
    assert_eq!(titles(&apps), ["Fortress\u{2122} 2", "Seven"]);
    assert_eq!(apps[0].command, ["steam", "-silent", "steam://rungameid/440"]);
    let art = |app: &Discovered| match &app.art {
        Some(Art::Poster(path)) => path.file_name().and_then(|name| name.to_str()).map(str::to_owned),
        _ => None,
    };
    assert_eq!(art(&apps[0]).as_deref(), Some("440_library_600x900.jpg"));
    assert_eq!(art(&apps[1]).as_deref(), Some("library_600x900.jpg"));
    home.write(".local/share/Steam/userdata/99/config/grid/440p.png", "x");
    assert_eq!(art(&home.find(steam.clone())[0]).as_deref(), Some("440p.png"));
    let hidden = DiscoveryConfig { hidden: vec!["Seven".to_owned()], ..steam.clone() };
    assert_eq!(home.find(hidden).len(), 1);
    home.write(".local/share/Steam/steamapps/libraryfolders.vdf", "\"libraryfolders\" { \"0\"");
    assert_eq!(titles(&home.find(steam.clone())), ["Fortress\u{2122} 2"]);
    fs::remove_file(home.path("bin/steam")).expect("removed");
    assert_eq!(home.find(steam), []);
}

#[test]
fn the_menus_own_entry_of_a_game_is_left_out() {
    let home = steam_home();
    let shortcut = "[Desktop Entry]\nType=Application\nName=Fortress\nExec=steam steam://rungameid/440\n";
    home.write("data/applications/Fortress.desktop", shortcut);
    assert_eq!(home.find(menu()).len(), 1);
    let both = DiscoveryConfig { steam: true, ..menu() };
    assert_eq!(home.find(both).iter().filter(|app| app.source == Source::Menu).count(), 0);
}

#[test]
fn installed_games_of_lutris_are_found() {
    let home = Home::new(&["lutris"]);
    fs::create_dir_all(home.path("data/lutris/coverart")).expect("made");
    let database = rusqlite::Connection::open(home.path("data/lutris/pga.db")).expect("a database");
    database
        .execute_batch(
            "CREATE TABLE games (id INTEGER PRIMARY KEY, name TEXT, slug TEXT, runner TEXT, installed INTEGER);
             INSERT INTO games (name, slug, installed) VALUES ('Quest', 'quest', 1), ('Gone', 'gone', 0),
                 (NULL, 'nameless', 1), ('Evil', '../../x', 1), ('Blob', x'ff00', 1);",
        )
        .expect("made");
    home.write("data/lutris/coverart/quest.jpg", "x");
    let lutris = DiscoveryConfig { lutris: true, ..DiscoveryConfig::off() };
    // One row that is no text at all spoils the reading, which is said and survived.
    assert_eq!(home.find(lutris.clone()), []);
    database.execute("DELETE FROM games WHERE name = 'Blob'", []).expect("removed");
    let apps = home.find(lutris.clone());
    assert_eq!(titles(&apps), ["Quest"]);
    assert_eq!(apps[0].command, ["lutris", "lutris:rungame/quest"]);
    assert_eq!(apps[0].art, Some(Art::Poster(home.path("data/lutris/coverart/quest.jpg"))));
    drop(database);
    home.write("data/lutris/pga.db", "no database at all, but long enough to be looked at as if it were one");
    assert_eq!(home.find(lutris), []);
}

#[test]
fn installed_games_of_heroic_are_found() {
    let home = Home::new(&["heroic"]);
    let cover = "https://example.org/cover.jpg";
    let library = serde_json::json!({"library": [
        {"app_name": "Epic1", "title": "Epic", "is_installed": true, "art_square": cover},
        {"app_name": "Epic2", "title": "Absent", "is_installed": false},
        {"app_name": "Epic3", "title": "Extra", "is_installed": true, "install": {"is_dlc": true}},
        {"app_name": "a/b?c", "title": "Evil", "is_installed": true},
        {"title": 7}, null
    ]});
    home.write("config/heroic/store_cache/legendary_library.json", library.to_string());
    let gog = serde_json::json!({"games": [{"app_name": "1207658924", "title": "Old", "is_installed": true}]});
    home.write("config/heroic/store_cache/gog_library.json", gog.to_string());
    home.write("config/heroic/store_cache/nile_library.json", "{\"library\": [");
    home.write("config/heroic/sideload_apps/library.json", "[]");
    let digest: String = openssl::sha::sha256(cover.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    home.write(&format!("config/heroic/images-cache/{digest}"), "x");
    let apps = home.find(DiscoveryConfig { heroic: true, ..DiscoveryConfig::off() });
    assert_eq!(titles(&apps), ["Epic", "Old"]);
    assert_eq!(apps[0].command, ["heroic", "--no-gui", "heroic://launch/legendary/Epic1"]);
    assert_eq!(apps[1].command[2], "heroic://launch/gog/1207658924");
    assert!(matches!(&apps[0].art, Some(Art::Poster(path)) if path.ends_with(&digest)));
}

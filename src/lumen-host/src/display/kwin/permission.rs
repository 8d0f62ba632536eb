//! Whether the KWin of a Plasma session would give this program its protocols: it looks for a desktop file whose command
//! is the file that the calling process runs from, and which names them. It cannot see that file of a process that has
//! file capabilities. This room asks nobody and changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The line of a desktop file that names the protocols.
const LINE: &str = "X-KDE-Wayland-Interfaces";

/// What lumen needs of KWin.
const WANTED: [&str; 2] = ["zkde_screencast_unstable_v1", "org_kde_kwin_fake_input"];

/// The desktop file by which KWin knows this program.
///
/// # Errors
/// What is missing, and what would mend it.
pub fn permission() -> Result<PathBuf, String> {
    let program = std::env::current_exe()
        .and_then(fs::canonicalize)
        .map_err(|error| format!("where is this program: {error}"))?;
    if has_capabilities(&program) {
        return Err(format!(
            "{} has file capabilities, and KWin gives its protocols to no such program: take them away (setcap -r)",
            program.display()
        ));
    }
    entries(&data_directories()).find(|file| names(file, &program)).ok_or_else(|| {
        format!(
            "no desktop file names {} and KWin's protocols: install lumen.desktop into /usr/share/applications, with \
             Exec={} serve",
            program.display(),
            program.display()
        )
    })
}

fn has_capabilities(program: &Path) -> bool {
    let mut value = [0; 64];
    match rustix::fs::getxattr(program, "security.capability", &mut value) {
        Ok(_) | Err(Errno::RANGE) => true,
        Err(_) => false,
    }
}

/// Where desktop files are, by the XDG base directories.
fn data_directories() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/share")));
    let system = variable("XDG_DATA_DIRS").unwrap_or_else(|| "/usr/local/share:/usr/share".into());
    home.into_iter().chain(std::env::split_paths(&system)).collect()
}

fn entries(directories: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    let files = directories.iter().filter_map(|directory| fs::read_dir(directory.join("applications")).ok());
    files.flatten().flatten().map(|entry| entry.path()).filter(|file| file.extension().is_some_and(|e| e == "desktop"))
}

/// Whether a desktop file gives `program` all that is wanted.
fn names(file: &Path, program: &Path) -> bool {
    let Ok(text) = fs::read_to_string(file) else { return false };
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.split_once('=').filter(|(name, _)| name.trim() == key))
            .map(|(_, value)| value)
    };
    // The variants of desktop files separate lists by either.
    let given: Vec<&str> = value(LINE).unwrap_or_default().split([',', ';']).map(str::trim).collect();
    let command = value("Exec").and_then(|command| command.split_whitespace().next()).unwrap_or_default();
    WANTED.iter().all(|wanted| given.contains(wanted))
        && fs::canonicalize(command.trim_matches('"')).is_ok_and(|command| command == program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_desktop_file_counts_only_for_the_program_that_it_starts() {
        let directory = tempfile::tempdir().unwrap();
        let applications = directory.path().join("applications");
        fs::create_dir(&applications).unwrap();
        let program = directory.path().join("lumen");
        fs::write(&program, "").unwrap();
        let program = fs::canonicalize(program).unwrap();
        let shipped = include_str!("../../../share/lumen.desktop");
        let search = || entries(&[directory.path().to_owned()]).any(|file| names(&file, &program));
        fs::write(applications.join("lumen.desktop"), shipped).unwrap();
        assert!(!search(), "another program");
        let ours = shipped.replace("/usr/bin/lumen", &program.display().to_string());
        fs::write(applications.join("lumen.desktop"), &ours).unwrap();
        assert!(search());
        fs::write(applications.join("lumen.desktop"), ours.replace(",org_kde_kwin_fake_input", "")).unwrap();
        assert!(!search(), "pictures without input");
    }
}

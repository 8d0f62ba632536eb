//! A further output of a sway that runs.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use swayipc::Output;

use crate::display::compositor::{CompositorSpec, PATIENCE};
use crate::frame::Mode;
use crate::wayland::connect_to;

use super::Place;
use super::ipc::Ipc;

/// How often a wait looks again.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How the workspace of an output begins that waits for another session.
const PARKED: &str = "lumen parked";
/// What such an output shows.
const PARKING_MODE: Mode = Mode::new(64, 64, 1);

/// An output in somebody else's sway. Dropping it unplugs it, or parks it
/// where sway cannot do that.
#[derive(Debug)]
pub struct Guest {
    ipc: PathBuf,
    output: String,
}

/// The sway that runs, by `SWAYSOCK` and `WAYLAND_DISPLAY` of `environment` or of this process, or by its sockets in
/// `XDG_RUNTIME_DIR`.
///
/// # Errors
/// What is missing.
pub fn find(environment: &[(String, String)]) -> Result<Place, String> {
    let variable = |name: &str| {
        let given = environment.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        given.or_else(|| std::env::var(name).ok()).filter(|value| !value.is_empty())
    };
    // The session's own directory, which `environment` names, is not the desktop's.
    let directory = std::env::var_os("XDG_RUNTIME_DIR")
        .map_or_else(|| format!("/run/user/{}", rustix::process::getuid().as_raw()).into(), PathBuf::from);
    let sockets = |accept: fn(&str) -> bool| -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&directory) else { return Vec::new() };
        let mut found: Vec<PathBuf> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_str().is_some_and(accept))
            .map(|entry| entry.path())
            .collect();
        found.sort();
        found
    };
    let candidates = variable("SWAYSOCK").map_or_else(
        || sockets(|name| name.starts_with("sway-ipc.") && name.ends_with(".sock")),
        |socket| vec![socket.into()],
    );
    let (ipc, owner) =
        candidates.into_iter().find_map(|socket| owner(&socket).map(|pid| (socket, pid))).ok_or_else(|| {
            format!("no sway runs here: neither SWAYSOCK nor a socket in {} leads to one", directory.display())
        })?;
    // The same process owns both sockets.
    let beside = ipc.parent().unwrap_or(&directory);
    let is_owned = |socket: &PathBuf| self::owner(socket) == Some(owner);
    let named = variable("WAYLAND_DISPLAY").map(|name| directory.join(name)).filter(is_owned);
    // An X server belongs to the desktop that is named beside it.
    let x11 = named.as_ref().and_then(|_| variable("DISPLAY"));
    let near = (0..32).map(|number| beside.join(format!("wayland-{number}")));
    let wayland = named
        .into_iter()
        .chain(near)
        .chain(sockets(|name| name.starts_with("wayland-") && !name.ends_with(".lock")))
        .find(is_owned)
        .ok_or_else(|| format!("the sway behind {} has no Wayland socket beside it", ipc.display()))?;
    Ok(Place { ipc, wayland, x11 })
}

impl Guest {
    /// Adds an output with a workspace, which gets the attention, so that the next program appears there.
    ///
    /// # Errors
    /// If sway does not do it.
    pub fn arrive(place: &Place, spec: &CompositorSpec) -> Result<Self, String> {
        let mut ipc = Ipc::open(&place.ipc)?;
        let guest = {
            // Two sessions that arrive at once would take each other's output for their own.
            let _turn = turn(&place.ipc)?;
            let guest = Self { ipc: place.ipc.clone(), output: free_output(&mut ipc)? };
            ipc.set_mode(&guest.output, spec.mode)?;
            guest
        };
        let output = &guest.output;
        let workspace = workspace_name(&spec.identity);
        ipc.run(&format!("focus output {output}"))?;
        ipc.run(&format!("workspace \"{workspace}\""))?;
        if ipc.output_of_workspace(&workspace)?.as_ref() != Some(output) {
            ipc.run(&format!("move workspace to output {output}"))?;
        }
        Ok(guest)
    }

    /// Its name.
    pub fn output(&self) -> &str {
        &self.output
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let removed = Ipc::open(&self.ipc).and_then(|mut ipc| {
            ipc.run(&format!("output {} unplug", self.output)).or_else(|_| park(&mut ipc, &self.output))
        });
        if let Err(error) = removed {
            tracing::warn!(output = self.output, %error, "the output stays behind");
        }
    }
}

/// Makes an output as small as can be and marks it for the next session: sway 1.7 can neither unplug nor disable one
/// that has no screen.
fn park(ipc: &mut Ipc, output: &str) -> Result<(), String> {
    let workspace = ipc.workspace_on(output)?.ok_or_else(|| format!("{output} shows no workspace"))?;
    let workspace = workspace.replace('\\', "\\\\").replace('"', "\\\"");
    ipc.run(&format!("rename workspace \"{workspace}\" to \"{PARKED} {output}\""))?;
    ipc.set_mode(output, PARKING_MODE)
}

/// An output that nobody uses: one that an earlier session parked, or a new one.
fn free_output(ipc: &mut Ipc) -> Result<String, String> {
    let before = ipc.outputs()?;
    let is_parked =
        |output: &&Output| output.current_workspace.as_ref().is_some_and(|workspace| workspace.starts_with(PARKED));
    if let Some(parked) = before.iter().find(is_parked) {
        return Ok(parked.name.clone());
    }
    ipc.run("create_output")?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let is_new = |name: &String| before.iter().all(|output| output.name != *name);
        match ipc.outputs()?.into_iter().map(|output| output.name).find(is_new) {
            Some(name) => return Ok(name),
            None if Instant::now() >= deadline => return Err("sway made no output".to_owned()),
            None => std::thread::sleep(POLL_INTERVAL),
        }
    }
}

/// Held by whoever adds an output to the sway behind `ipc`.
fn turn(ipc: &Path) -> Result<File, String> {
    let path = ipc.with_extension("lumen-lock");
    let failed = |error: std::io::Error| format!("cannot lock {}: {error}", path.display());
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if Instant::now() >= deadline {
            return Err(failed(error.into()));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(file)
}

/// The process that listens at a socket.
fn owner(socket: &Path) -> Option<i32> {
    let stream: UnixStream = connect_to(socket).ok()?;
    rustix::net::sockopt::socket_peercred(&stream).ok().map(|peer| peer.pid.as_raw_nonzero().get())
}

/// The name of the workspace of a client and an application, without anything that sway's commands give a meaning.
fn workspace_name(identity: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.') { c } else { '_' };
    format!("lumen {}", identity.chars().map(plain).collect::<String>().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_workspaces_carry_no_commands() {
        assert_eq!(workspace_name("Sofa-Küche 2"), "lumen Sofa-Küche 2");
        assert_eq!(workspace_name("a\"; exec rm, $x"), "lumen a__ exec rm_ _x");
    }

    #[test]
    fn without_a_sway_the_reason_is_named() {
        let nowhere = vec![("SWAYSOCK".to_owned(), "/nonexistent/sway.sock".to_owned())];
        assert!(find(&nowhere).unwrap_err().contains("SWAYSOCK"));
    }
}

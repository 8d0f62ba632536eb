//! A further output of a sway that runs.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use swayipc::Output;

use crate::display::compositor::{CompositorSpec, PATIENCE};
use crate::frame::Mode;
use crate::input::wayland::{Escort, WaylandInput};
use crate::wayland::connect_to;

use super::Place;
use super::ipc::Ipc;
use super::seat::Seat;
use super::usher::{Usher, Ward};

/// How often a wait looks again.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How the workspace of an output begins that waits for another session.
const PARKED: &str = "lumen parked";
/// What such an output shows.
const PARKING_MODE: Mode = Mode::new(64, 64, 1);

/// File in the session's directory that says which output of which sway it has, for whoever must clean up after it.
const RECORD: &str = "sway-output";

/// An output in somebody else's sway, with a seat. Dropping it unplugs the output, or parks it
/// where sway cannot do that, and leaves the seat empty.
#[derive(Debug)]
pub struct Guest {
    // Dropped before the output goes.
    usher: Option<Usher>,
    seat: String,
    escort: Escort,
    place: GuestPlace,
}

/// The output alone.
#[derive(Debug)]
struct GuestPlace {
    ipc: PathBuf,
    output: String,
    record: PathBuf,
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
    /// Adds an output with a workspace, and a seat that looks at it. The desktop's own seat stays where it is.
    ///
    /// # Errors
    /// If sway does not do it.
    pub fn arrive(place: &Place, spec: &CompositorSpec) -> Result<Self, String> {
        let mut ipc = Ipc::open(&place.ipc)?;
        // Two sessions that arrive at once would take each other's output and seat for their own.
        let _turn = turn(&place.ipc)?;
        let output = free_output(&mut ipc)?;
        let at = GuestPlace { ipc: place.ipc.clone(), output, record: spec.directory.join(RECORD) };
        at.write_record()?;
        ipc.set_mode(&at.output, spec.mode)?;
        let mut seat = Seat::take(&mut ipc, place)?;
        seat.bind(&mut ipc, &at.output)?;
        let workspace = workspace_name(&spec.identity);
        settle(&mut ipc, &mut seat, &at.output, &workspace)?;
        let (name, escort) = (seat.name().to_owned(), seat.escort());
        let ward = Ward { session: spec.session.clone(), output: at.output.clone(), workspace };
        Ok(Self { usher: Some(Usher::begin(place, ward, seat)?), seat: name, escort, place: at })
    }

    /// Name of its output.
    pub fn output(&self) -> &str {
        &self.place.output
    }

    /// The keys that keep its seat at its output.
    pub fn escort(&self) -> Escort {
        self.escort.clone()
    }

    /// These are the devices of its seat.
    pub fn keep(&self, input: WaylandInput) {
        if let Some(usher) = &self.usher {
            usher.keep(input);
        }
    }

    /// Name of its seat.
    pub fn seat(&self) -> &str {
        &self.seat
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.usher = None;
    }
}

impl GuestPlace {
    fn write_record(&self) -> Result<(), String> {
        let text = format!("{}\n{}\n", self.ipc.display(), self.output);
        fs::write(&self.record, text).map_err(|error| format!("cannot write {}: {error}", self.record.display()))
    }
}

impl Drop for GuestPlace {
    fn drop(&mut self) {
        let removed = Ipc::open(&self.ipc).and_then(|mut ipc| {
            ipc.run(&format!("output {} unplug", self.output)).or_else(|_| park(&mut ipc, &self.output))
        });
        if let Err(error) = removed {
            tracing::warn!(output = self.output, %error, "the output stays behind");
        }
        let _ = fs::remove_file(&self.record);
    }
}

/// Removes the output of a session whose worker died before it could: by the record in the session's directory.
pub fn clean_up(directory: &Path) {
    let record = directory.join(RECORD);
    let Ok(text) = fs::read_to_string(&record) else { return };
    if let [ipc, output] = text.lines().collect::<Vec<_>>()[..] {
        tracing::info!(output, "removing the output that the session left behind");
        drop(GuestPlace { ipc: ipc.into(), output: output.to_owned(), record });
    }
}

/// Puts the session's workspace on its output, and nothing else there.
fn settle(ipc: &mut Ipc, seat: &mut Seat, output: &str, workspace: &str) -> Result<(), String> {
    if ipc.output_of_workspace(workspace)?.is_none() {
        // The one that sway made for the new output, or that of the parked one.
        let shown = ipc.workspace_on(output)?.ok_or_else(|| format!("{output} shows no workspace"))?;
        return ipc.run(&format!("rename workspace {} to \"{workspace}\"", quoted(&shown)));
    }
    // It was left behind with windows on it: by the same client and application.
    seat.run(ipc, &format!("workspace --no-auto-back-and-forth \"{workspace}\""))?;
    seat.run(ipc, &format!("move workspace to output {output}"))?;
    match ipc.output_of_workspace(workspace)? {
        Some(shows) if shows == output => Ok(()),
        shows => Err(format!("the workspace \"{workspace}\" was asked to {output} and is on {shows:?}")),
    }
}

fn quoted(workspace: &str) -> String {
    format!("\"{}\"", workspace.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Makes an output as small as can be and marks it for the next session: sway 1.7 can neither unplug nor disable one
/// that has no screen.
fn park(ipc: &mut Ipc, output: &str) -> Result<(), String> {
    let workspace = ipc.workspace_on(output)?.ok_or_else(|| format!("{output} shows no workspace"))?;
    ipc.run(&format!("rename workspace {} to \"{PARKED} {output}\"", quoted(&workspace)))?;
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
    let plain: String = identity.chars().map(plain).collect();
    // sway joins the words of a command by single spaces.
    format!("lumen {}", plain.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_workspaces_carry_no_commands() {
        assert_eq!(workspace_name("Sofa-Küche 2"), "lumen Sofa-Küche 2");
        assert_eq!(workspace_name("a\"; exec rm, $x"), "lumen a__ exec rm_ _x");
        assert_eq!(workspace_name(" a  b "), "lumen a b");
    }

    #[test]
    fn without_a_sway_the_reason_is_named() {
        let nowhere = vec![("SWAYSOCK".to_owned(), "/nonexistent/sway.sock".to_owned())];
        assert!(find(&nowhere).unwrap_err().contains("SWAYSOCK"));
    }
}

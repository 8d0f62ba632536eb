//! sway's commands over its socket, with a deadline for every answer.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;

use swayipc::{Connection, EventStream, EventType, Node, Output, Seat};

use crate::display::compositor::PATIENCE;
use crate::frame::Mode;
use crate::wayland::connect_to;

/// A connection, for a few commands: after an answer that came too late it is of no use any more.
#[derive(Debug)]
pub struct Ipc {
    connection: Connection,
    stream: UnixStream,
}

impl Ipc {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn open(socket: &Path) -> Result<Self, String> {
        let stream = connect_to(socket).map_err(|error| error.to_string())?;
        let prepare = || {
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))
        };
        prepare().map_err(|error: std::io::Error| error.to_string())?;
        let copy = stream.try_clone().map_err(|error| error.to_string())?;
        Ok(Self { connection: Connection::from(copy), stream })
    }

    /// Events about windows, workspaces and binding modes, for as long as it takes. Shutting the other half down ends them.
    ///
    /// # Errors
    /// If sway does not answer.
    pub fn events(self) -> Result<(EventStream, UnixStream), String> {
        let kinds = [EventType::Window, EventType::Workspace, EventType::Mode];
        let events = self.connection.subscribe(kinds).map_err(|error| explain("subscribe", &error))?;
        self.stream.set_read_timeout(None).map_err(|error| error.to_string())?;
        Ok((events, self.stream))
    }

    /// Runs one command.
    ///
    /// # Errors
    /// What sway said against it, or that it did not answer.
    pub fn run(&mut self, command: &str) -> Result<(), String> {
        let outcomes = self.connection.run_command(command).map_err(|error| explain(command, &error))?;
        outcomes.into_iter().find_map(Result::err).map_or(Ok(()), |error| Err(explain(command, &error)))
    }

    /// All outputs.
    ///
    /// # Errors
    /// If sway does not answer.
    pub fn outputs(&mut self) -> Result<Vec<Output>, String> {
        self.connection.get_outputs().map_err(|error| explain("get_outputs", &error))
    }

    /// All seats.
    ///
    /// # Errors
    /// If sway does not answer.
    pub fn seats(&mut self) -> Result<Vec<Seat>, String> {
        self.connection.get_seats().map_err(|error| explain("get_seats", &error))
    }

    /// Everything that is shown.
    ///
    /// # Errors
    /// If sway does not answer.
    pub fn tree(&mut self) -> Result<Node, String> {
        self.connection.get_tree().map_err(|error| explain("get_tree", &error))
    }

    /// The name of the output that shows a workspace.
    ///
    /// # Errors
    /// If sway does not answer.
    pub fn output_of_workspace(&mut self, name: &str) -> Result<Option<String>, String> {
        let workspaces = self.connection.get_workspaces().map_err(|error| explain("get_workspaces", &error))?;
        Ok(workspaces.into_iter().find(|workspace| workspace.name == name).map(|workspace| workspace.output))
    }

    /// The workspace that an output shows.
    ///
    /// # Errors
    /// If sway does not answer.
    pub fn workspace_on(&mut self, output: &str) -> Result<Option<String>, String> {
        Ok(self.outputs()?.into_iter().find(|known| known.name == output).and_then(|known| known.current_workspace))
    }

    /// Gives an output exactly this size and rate.
    ///
    /// # Errors
    /// If it shows something else afterwards.
    pub fn set_mode(&mut self, output: &str, mode: Mode) -> Result<(), String> {
        let wanted = millihertz(mode);
        let Mode { width, height, .. } = mode;
        self.run(&format!(
            "output {output} enable resolution --custom {width}x{height}@{}.{:03}Hz",
            wanted / 1000,
            wanted % 1000
        ))?;
        let now = self.outputs()?.into_iter().find(|candidate| candidate.name == output);
        let shown = now.and_then(|output| output.current_mode).map(|mode| (mode.width, mode.height, mode.refresh));
        match shown {
            // The rate goes through a float on its way.
            Some((w, h, rate))
                if (w.cast_unsigned(), h.cast_unsigned()) == (width, height) && (rate - wanted).abs() <= 1 =>
            {
                Ok(())
            }
            shown => Err(format!("sway was asked for {width}x{height} at {wanted} mHz and shows {shown:?}")),
        }
    }
}

/// Whether sway has closed this connection, on which nothing was ever asked.
pub fn is_closed(mut watch: &UnixStream) -> bool {
    match watch.read(&mut [0; 64]) {
        Ok(read) => read == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

fn millihertz(mode: Mode) -> i32 {
    let rate = (u64::from(mode.rate_num) * 1000 + u64::from(mode.rate_den) / 2) / u64::from(mode.rate_den.max(1));
    i32::try_from(rate).unwrap_or(i32::MAX)
}

fn explain(command: &str, error: &swayipc::Error) -> String {
    match error {
        swayipc::Error::Io(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            format!("sway did not answer '{command}' within {} s", PATIENCE.as_secs())
        }
        error => format!("sway refused '{command}': {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractional_rates_are_exact_to_a_millihertz() {
        let rate = |rate_num, rate_den| millihertz(Mode { width: 1, height: 1, rate_num, rate_den });
        assert_eq!(rate(60, 1), 60_000);
        assert_eq!(rate(60_000, 1001), 59_940);
        assert_eq!(rate(120_000, 1001), 119_880);
    }
}

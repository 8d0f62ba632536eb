//! Tables and JSON for people and programs.

use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// The output, for what this command prints and for nothing else: from now on, what the programs of a session print
/// goes where errors go.
pub(super) fn only_ours() -> io::Result<File> {
    let ours = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(ours.into())
}

/// Writes JSON, indented, with a line end.
pub(super) fn json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// Writes rows in columns under a heading.
pub(super) fn table<const N: usize>(out: &mut impl Write, heading: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
    let mut widths = heading.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut line = |cells: [&str; N]| {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", padded.join("  ").trim_end())
    };
    line(heading)?;
    rows.iter().try_for_each(|row| line(row.each_ref().map(String::as_str)))
}

/// How long ago a time (in seconds since 1970) was.
pub(super) fn ago(seconds: Option<u64>) -> String {
    let Some(then) = seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)) else {
        return "never".to_owned();
    };
    match SystemTime::now().duration_since(then) {
        Ok(passed) if passed.as_secs() >= 60 => format!("{} ago", span(passed.as_secs())),
        _ => "just now".to_owned(),
    }
}

/// A number of seconds in the largest unit that fits, or two.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let mut out = Vec::new();
        let rows = [["a".to_owned(), "x".to_owned()], ["longer".to_owned(), "yy".to_owned()]];
        table(&mut out, ["NAME", "B"], &rows).expect("memory takes it");
        assert_eq!(String::from_utf8_lossy(&out), "NAME    B\na       x\nlonger  yy\n");
    }

    #[test]
    fn spans_use_fitting_units() {
        assert_eq!([span(5), span(61), span(3661), span(90_000)], ["5 s", "1 min", "1 h 1 min", "1 d 1 h"]);
        assert_eq!(ago(None), "never");
    }
}

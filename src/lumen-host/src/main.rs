//! The `lumen` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    lumen_host::cli::main()
}

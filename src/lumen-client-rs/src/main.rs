//! The `lumen-client` binary: the library's parts as commands, text or JSON out, an exit code that says what failed.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}

//! The `lumen-client` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    lumen_client::cli::main()
}

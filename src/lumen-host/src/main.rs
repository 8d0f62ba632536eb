//! The `lumen` binary.
fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    match std::env::args().nth(1).as_deref() {
        Some("session") => lumen_host::session::run_worker(std::io::stdin().as_fd().try_clone_to_owned()?),
        _ => {
            let loaded = lumen_host::config::load(&lumen_host::config::Sources::of_process(None, Default::default()))?;
            lumen_host::daemon::run(loaded.config)
        }
    }
}
use std::os::fd::AsFd;

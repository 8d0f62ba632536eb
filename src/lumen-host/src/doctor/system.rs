//! Scheduling, processors, service manager.

use std::env;
use std::fs;
use std::thread;

use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::config::Config;

/// Capability number of CAP_SYS_NICE.
const CAP_SYS_NICE: u32 = 23;

pub(super) fn realtime(config: &Config) -> Finding {
    const CHECK: &str = "real-time class";
    if !config.stream.realtime {
        return Finding::ok(CHECK, "switched off");
    }
    let capable = effective_capabilities().is_some_and(|set| set >> CAP_SYS_NICE & 1 == 1);
    let limit = getrlimit(Resource::Rtprio).current.unwrap_or(u64::MAX);
    if capable || limit > 0 {
        Finding::ok(CHECK, "sending threads may use it")
    } else {
        Finding::warn(
            CHECK,
            "not permitted; packets are less evenly spaced when the machine is busy",
            "give the service CAP_SYS_NICE, or LimitRTPRIO=10",
        )
    }
}

fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

pub(super) fn processors() -> Finding {
    const CHECK: &str = "processors";
    let count = thread::available_parallelism().map_or(1, usize::from);
    if count >= 2 {
        Finding::ok(CHECK, format!("{count}"))
    } else {
        Finding::warn(CHECK, "one; encoding in software will be slow", "give the machine at least two")
    }
}

pub(super) fn service_manager() -> Finding {
    const CHECK: &str = "service manager";
    if env::var_os("NOTIFY_SOCKET").is_some() {
        let watchdog = if env::var_os("WATCHDOG_USEC").is_some() { ", with watchdog" } else { "" };
        return Finding::ok(CHECK, format!("readiness is reported{watchdog}"));
    }
    match sd_notify::booted() {
        Ok(true) => Finding::ok(CHECK, "systemd; a unit with Type=notify learns when the host is ready"),
        _ => Finding::ok(CHECK, "none; the host runs all the same"),
    }
}

//! Scheduling, processors, service manager, the kernel's input devices.

use std::env;
use std::fs;
use std::thread;

use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::config::Config;
use crate::input::kernel::{KernelInputError, Node};

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

/// Whether gamepads can be made. Without them a host does all the rest.
pub(super) fn gamepads() -> Finding {
    gamepad_finding(Node::ALL.map(|node| node.open().map(drop)))
}

fn gamepad_finding([uinput, uhid]: [Result<(), KernelInputError>; 2]) -> Finding {
    const CHECK: &str = "gamepads";
    match (uinput, uhid) {
        (Ok(()), Ok(())) => Finding::ok(CHECK, "all kinds: /dev/uinput and /dev/uhid can be opened"),
        (Ok(()), Err(error)) => {
            Finding::warn(CHECK, format!("none with motion, touchpad or light: {error}"), error.remedy())
        }
        (Err(error), Ok(())) => Finding::warn(CHECK, format!("PlayStation pads only: {error}"), error.remedy()),
        (Err(error), Err(also)) => {
            let remedy = match (error.remedy(), also.remedy()) {
                (one, other) if one == other => one,
                (one, other) => format!("{one}; {other}"),
            };
            Finding::warn(CHECK, format!("none: {error}; {also}"), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Health;

    #[test]
    fn gamepads_need_both_nodes_and_the_remedy_is_said_once() {
        let denied = |node| Err(KernelInputError::Denied(node));
        let finding = gamepad_finding([denied(Node::Uinput), denied(Node::Uhid)]);
        assert_eq!(
            finding.finding,
            "none: cannot open /dev/uinput: permission denied; cannot open /dev/uhid: permission denied"
        );
        assert_eq!(finding.remedy.unwrap().matches("60-lumen.rules").count(), 1);
        let finding = gamepad_finding([Ok(()), Err(KernelInputError::Missing(Node::Uhid))]);
        assert_eq!(finding.remedy.as_deref(), Some("load the kernel module: modprobe uhid"));
        assert_eq!(gamepad_finding([Ok(()), Ok(())]).status, Health::Ok);
    }
}

//! The mode of a KWin's output, by KWin's protocol for the settings of screens. KWin makes modes of timings as a cable
//! would have them, in steps of a quarter of a megahertz: several near the wanted rate are asked for, and the nearest of
//! those that KWin makes is taken. Its sizes are multiples of 8 pixels, but for 1366.

use std::path::Path;
use std::time::Instant;

use wayland_client::{Connection, Dispatch, Proxy, QueueHandle, event_created_child};

use crate::frame::Mode;
use crate::wayland::kde::output_device::kde_output_device_mode_v2::{
    self as device_mode, KdeOutputDeviceModeV2 as DeviceMode,
};
use crate::wayland::kde::output_device::kde_output_device_registry_v2::{
    self as registry, KdeOutputDeviceRegistryV2 as Registry,
};
use crate::wayland::kde::output_device::kde_output_device_v2::{self as device, KdeOutputDeviceV2 as Device};
use crate::wayland::kde::output_management::kde_mode_list_v2::{self as mode_list, KdeModeListV2 as ModeList};
use crate::wayland::kde::output_management::kde_output_configuration_v2::{
    self as configuration, KdeOutputConfigurationV2 as Configuration, REQ_SET_CUSTOM_MODES_SINCE,
};
use crate::wayland::kde::output_management::kde_output_management_v2::{
    self as management, KdeOutputManagementV2 as Management,
};
use crate::wayland::{Desk, Link, LinkError, wayland_state};

/// Rates that are asked for, in mHz beside the wanted one: a step is some 100 mHz at 1920x1080 and 340 at 1024x600.
const BESIDE: [i32; 9] = [0, 60, 120, 180, 240, 300, 360, -60, -120];

/// Sets the mode of the newest output whose name is or ends with `name`. Returns once KWin has done so; gives its rate, in mHz.
///
/// # Errors
/// If KWin has no such output, cannot make the mode, or does not answer before `deadline`.
pub fn set_mode(socket: &Path, name: &str, mode: Mode, deadline: Instant) -> Result<u32, LinkError> {
    let mut outputs = Outputs::open(socket, deadline)?;
    let device = outputs.device(name)?;
    let wanted = wanted_rate(mode);
    let have = |outputs: &Outputs| outputs.state.nearest(&device, mode, wanted);
    let in_force = outputs.state.known(&device).and_then(|known| known.current.clone());
    // Modes that KWin was given for another client stay in its settings.
    match have(&outputs) {
        Some(known) if known.rate == wanted && in_force.as_ref() == Some(&known.proxy) => return Ok(known.rate),
        Some(known) if known.rate == wanted => {}
        _ => outputs.make_modes(&device, mode, wanted, deadline)?,
    }
    let made = have(&outputs).ok_or_else(|| {
        LinkError::Missing(format!("KWin cannot make a mode of {}x{} for its output", mode.width, mode.height))
    })?;
    let change = outputs.management.create_configuration(&outputs.link.handle(), ());
    change.mode(&device, &made.proxy);
    outputs.apply(&change, deadline)?;
    Ok(made.rate)
}

/// In mHz.
fn wanted_rate(mode: Mode) -> u32 {
    (mode.fps() * 1000.0).round() as u32
}

/// A connection that knows KWin's outputs.
struct Outputs {
    link: Link<State>,
    state: State,
    management: Management,
}

#[derive(Default)]
struct State {
    desk: Desk,
    outputs: Vec<Known>,
    answer: Option<Answer>,
    reason: Option<String>,
}

/// An output.
struct Known {
    device: Device,
    name: String,
    modes: Vec<KnownMode>,
    current: Option<DeviceMode>,
}

/// A mode of an output.
#[derive(Clone)]
struct KnownMode {
    proxy: DeviceMode,
    width: u32,
    height: u32,
    /// In mHz.
    rate: u32,
}

enum Answer {
    Applied,
    Failed,
}

wayland_state!(State);

impl Outputs {
    fn open(socket: &Path, deadline: Instant) -> Result<Self, LinkError> {
        let mut state = State::default();
        let mut link = Link::open(socket, &mut state, deadline)?;
        let missing = |what: &str| LinkError::Missing(format!("KWin does not offer {what}"));
        let _registry: Registry = link
            .bind(&mut state, registry::EVT_OUTPUT_SINCE)
            .filter(|registry: &Registry| registry.version() >= registry::EVT_OUTPUT_SINCE)
            .ok_or_else(|| missing("its outputs (kde_output_device_registry_v2)"))?;
        let management: Management = link
            .bind(&mut state, REQ_SET_CUSTOM_MODES_SINCE)
            .filter(|management: &Management| management.version() >= REQ_SET_CUSTOM_MODES_SINCE)
            .ok_or_else(|| missing("modes of ours (kde_output_management_v2)"))?;
        // Outputs, then what they are.
        link.roundtrip(&mut state, deadline)?;
        link.roundtrip(&mut state, deadline)?;
        Ok(Self { link, state, management })
    }

    fn device(&self, name: &str) -> Result<Device, LinkError> {
        let named = |known: &&Known| known.name.ends_with(name);
        let found = self.state.outputs.iter().rfind(named).map(|known| known.device.clone());
        found.ok_or_else(|| LinkError::Missing(format!("KWin has no output {name}")))
    }

    /// Has KWin make modes of this size, in the place of those that it was given before.
    fn make_modes(&mut self, device: &Device, mode: Mode, wanted: u32, deadline: Instant) -> Result<(), LinkError> {
        let handle = self.link.handle();
        let list = self.management.create_mode_list(&handle, ());
        list.set_resolution(mode.width, mode.height);
        for reduced in [0, 1] {
            list.set_reduced_blanking(reduced);
            for beside in BESIDE {
                list.set_refresh_rate(wanted.saturating_add_signed(beside).max(1));
                list.add_mode();
            }
        }
        let change = self.management.create_configuration(&handle, ());
        change.set_custom_modes(device, &list);
        let applied = self.apply(&change, deadline);
        list.destroy();
        applied
    }

    fn apply(&mut self, change: &Configuration, deadline: Instant) -> Result<(), LinkError> {
        self.state.answer = None;
        change.apply();
        let answer = loop {
            if let Some(answer) = self.state.answer.take() {
                break answer;
            }
            if Instant::now() >= deadline {
                return Err(LinkError::Silent);
            }
            self.link.pump(&mut self.state, deadline, None)?;
        };
        change.destroy();
        // What has changed is told after that.
        self.link.roundtrip(&mut self.state, deadline)?;
        match answer {
            Answer::Applied => Ok(()),
            Answer::Failed => {
                let reason = self.state.reason.take().unwrap_or_else(|| "without a reason".to_owned());
                Err(LinkError::Missing(format!("KWin refuses the mode: {reason}")))
            }
        }
    }
}

impl State {
    fn known(&self, device: &Device) -> Option<&Known> {
        self.outputs.iter().find(|known| known.device == *device)
    }

    fn known_mut(&mut self, device: &Device) -> Option<&mut Known> {
        self.outputs.iter_mut().find(|known| known.device == *device)
    }

    fn mode_mut(&mut self, mode: &DeviceMode) -> Option<&mut KnownMode> {
        self.outputs.iter_mut().flat_map(|known| &mut known.modes).find(|known| known.proxy == *mode)
    }

    /// Of the modes of this size, the one with the rate that is nearest.
    fn nearest(&self, device: &Device, mode: Mode, rate: u32) -> Option<KnownMode> {
        let modes = self.known(device)?.modes.iter();
        let fitting = modes.filter(|known| (known.width, known.height) == (mode.width, mode.height));
        fitting.min_by_key(|known| known.rate.abs_diff(rate)).cloned()
    }
}

impl Dispatch<Registry, ()> for State {
    fn event(state: &mut Self, _: &Registry, event: registry::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        if let registry::Event::Output { output: device } = event {
            state.outputs.push(Known { device, name: String::new(), modes: Vec::new(), current: None });
        }
    }

    event_created_child!(Self, Registry, [registry::EVT_OUTPUT_OPCODE => (Device, ())]);
}

impl Dispatch<Device, ()> for State {
    fn event(state: &mut Self, device: &Device, event: device::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        let Some(known) = state.known_mut(device) else { return };
        match event {
            device::Event::Name { name } => known.name = name,
            device::Event::Mode { mode } => known.modes.push(KnownMode { proxy: mode, width: 0, height: 0, rate: 0 }),
            device::Event::CurrentMode { mode } => known.current = Some(mode),
            device::Event::Removed => state.outputs.retain(|known| known.device != *device),
            _ => {}
        }
    }

    event_created_child!(Self, Device, [device::EVT_MODE_OPCODE => (DeviceMode, ())]);
}

impl Dispatch<DeviceMode, ()> for State {
    fn event(
        state: &mut Self,
        mode: &DeviceMode,
        event: device_mode::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let device_mode::Event::Removed = event {
            state.outputs.iter_mut().for_each(|known| known.modes.retain(|known| known.proxy != *mode));
            return;
        }
        let Some(known) = state.mode_mut(mode) else { return };
        match event {
            device_mode::Event::Size { width, height } => {
                (known.width, known.height) = (width.unsigned_abs(), height.unsigned_abs());
            }
            device_mode::Event::Refresh { refresh } => known.rate = refresh.unsigned_abs(),
            _ => {}
        }
    }
}

impl Dispatch<Configuration, ()> for State {
    fn event(
        state: &mut Self,
        _: &Configuration,
        event: configuration::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            configuration::Event::Applied => state.answer = Some(Answer::Applied),
            configuration::Event::Failed => state.answer = Some(Answer::Failed),
            configuration::Event::FailureReason { reason } => state.reason = Some(reason),
        }
    }
}

impl Dispatch<Management, ()> for State {
    fn event(_: &mut Self, _: &Management, _: management::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {}
}

impl Dispatch<ModeList, ()> for State {
    fn event(_: &mut Self, _: &ModeList, _: mode_list::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {}
}

//! Input by libei's protocol (EI): gamescope, Mutter and KWin each have a socket that takes it. Pure Rust, by `reis`.
//!
//! The compositor decides which devices there are and when they may be used; what comes while there is none is
//! dropped, so [`EiSink::open`] waits until keyboard and pointer are ready. A thread of its own talks to the compositor, and
//! answers it also while the client does nothing; whoever hands over input never waits for it.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::{
    AbsolutePosition, InputEvent, KeyEvent, MouseButton, PointerEvent, PointerId, PressState, RelativeMotion, Scroll,
    ScrollAxis, TouchEvent,
};
use reis::PendingRequestResult;
use reis::ei::{self, button::ButtonState, handshake::ContextType, keyboard::KeyState};
use reis::enumflags2::BitFlags;
use reis::event::{Device, DeviceCapability, EiEvent, EiEventConverter};
use reis::handshake::EiHandshaker;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

use super::InputSink;
use super::us_layout::{self, Keyboard};

/// How long the socket is waited for before the deadline is looked at.
const SLICE: Duration = Duration::from_millis(20);

/// How long positions are waited for once there is a keyboard and a pointer: compositors make devices one after the
/// other, and may have none that takes positions.
const POSITIONS_PATIENCE: Duration = Duration::from_secs(1);

/// Why there is no input.
#[derive(Debug, thiserror::Error)]
pub enum EiError {
    /// The socket broke.
    #[error("the compositor's input socket: {0}")]
    Socket(#[from] io::Error),
    /// The other end does not speak the protocol as we know it.
    #[error("the compositor's input socket speaks otherwise than expected: {0}")]
    Protocol(String),
    /// It lets nobody in, or offers no devices.
    #[error("the compositor offered neither keyboard nor pointer within {} s", .0.as_secs())]
    NoDevices(Duration),
}

/// Size of what the pointer moves on, in the compositor's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surface {
    /// Pixels from the left edge of its region; for outputs beside others.
    pub x: u32,
    /// Pixels from the top edge.
    pub y: u32,
    /// Pixels per line.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

/// Which of keyboard and pointer a compositor lets in. Input waits for those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// Both of them.
    Both,
    /// The keyboard alone.
    Keyboard,
    /// The pointer alone.
    Pointer,
}

/// Where input goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What the pointer moves on, as long as the compositor says nothing better.
    pub surface: Surface,
    /// What the compositor calls the pictures that positions are on. It says itself where on its desktop a region of that
    /// name is, and takes no positions beside it.
    pub mapping: Option<String>,
    /// What is waited for.
    pub granted: Granted,
    /// What text is typed by, where it cannot be sent.
    pub keyboard: Keyboard,
}

impl From<Surface> for Place {
    fn from(surface: Surface) -> Self {
        Self { surface, mapping: None, granted: Granted::Both, keyboard: Keyboard::Us }
    }
}

/// Input of one session. Dropping it releases what is held.
#[derive(Debug)]
pub struct EiSink {
    orders: Sender<Order>,
    /// Rings when there are orders; the thread ends when it is closed.
    bell: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Event(InputEvent),
    ReleaseAll,
    Surface(Surface),
}

impl EiSink {
    /// Takes up the connection `socket` and waits until keyboard and pointer can be used.
    ///
    /// # Errors
    /// [`EiError`]; a compositor that is silent for `patience` is one.
    pub fn open(socket: UnixStream, place: impl Into<Place>, patience: Duration) -> Result<Self, EiError> {
        let place = place.into();
        let (orders, received) = mpsc::channel();
        let (ready, opened) = mpsc::channel();
        let (listener, bell) = std::io::pipe()?;
        let run = move || match Emulator::open(socket, place, patience) {
            Ok(emulator) => {
                let _ = ready.send(Ok(()));
                if let Err(error) = emulator.run(&listener, &received) {
                    tracing::warn!(%error, "no input reaches the compositor any more");
                }
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("ei-input".into()).spawn(run)?;
        opened.recv().unwrap_or_else(|_| Err(EiError::Protocol("its thread broke".to_owned())))?;
        Ok(Self { orders, bell: Some(bell), thread: Some(thread) })
    }

    /// The pointer moves on another surface from now on.
    pub fn set_surface(&mut self, surface: Surface) {
        self.order(Order::Surface(surface));
    }

    fn order(&mut self, order: Order) {
        // The thread has said why, if it is gone.
        if self.orders.send(order).is_ok() {
            let _ = self.bell.as_mut().map(|bell| bell.write(&[0]));
        }
    }
}

impl Drop for EiSink {
    fn drop(&mut self) {
        self.bell = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The end that talks to the compositor.
struct Emulator {
    context: ei::Context,
    converter: EiEventConverter,
    place: Place,
    devices: Vec<Device>,
    sequence: u32,
    keys: BTreeSet<u16>,
    buttons: HashSet<MouseButton>,
    touches: BTreeSet<u32>,
}

impl Emulator {
    fn open(socket: UnixStream, place: Place, patience: Duration) -> Result<Self, EiError> {
        let deadline = Instant::now() + patience;
        let context = ei::Context::new(socket)?;
        let mut handshaker = EiHandshaker::new("lumen", ContextType::Sender);
        let response = 'shaken: loop {
            while let Some(event) = next(&context)? {
                let answer = handshaker.handle_event(event).map_err(|error| EiError::Protocol(error.to_string()))?;
                if let Some(response) = answer {
                    break 'shaken response;
                }
            }
            flush(&context)?;
            wait(&context, deadline, patience)?;
        };
        let mut emulator = Self {
            converter: EiEventConverter::new(&context, response),
            context,
            place,
            devices: Vec::new(),
            sequence: 0,
            keys: BTreeSet::new(),
            buttons: HashSet::new(),
            touches: BTreeSet::new(),
        };
        let mut positions_until = None;
        loop {
            emulator.pump()?;
            let able = |capability| emulator.device(capability).is_some();
            let keyboard = || able(DeviceCapability::Keyboard);
            let pointer = || able(DeviceCapability::PointerAbsolute) || able(DeviceCapability::Pointer);
            let ready = match emulator.place.granted {
                Granted::Both => keyboard() && pointer(),
                Granted::Keyboard => keyboard(),
                Granted::Pointer => pointer(),
            };
            let complete = able(DeviceCapability::PointerAbsolute) || emulator.place.granted == Granted::Keyboard;
            let now = Instant::now();
            if ready {
                let until = *positions_until.get_or_insert(deadline.min(now + POSITIONS_PATIENCE));
                if complete || now >= until {
                    return Ok(emulator);
                }
            }
            wait(&emulator.context, deadline, patience)?;
        }
    }

    /// Follows orders until nobody can give any.
    fn run(mut self, bell: &PipeReader, orders: &Receiver<Order>) -> Result<(), EiError> {
        loop {
            let mut fds = [PollFd::new(&self.context, PollFlags::IN), PollFd::new(bell, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(EiError::Socket(errno.into())),
            }
            if !fds[1].revents().is_empty() {
                let mut rings = [0; 64];
                if (&mut &*bell).read(&mut rings)? == 0 {
                    self.release_all();
                    return flush(&self.context);
                }
            }
            self.pump()?;
            for order in orders.try_iter() {
                match order {
                    Order::Event(event) => self.follow(&event),
                    Order::ReleaseAll => self.release_all(),
                    Order::Surface(surface) => self.place.surface = surface,
                }
            }
            flush(&self.context)?;
        }
    }

    fn follow(&mut self, event: &InputEvent) {
        match event {
            InputEvent::Key(key) => self.key_event(key),
            InputEvent::Text(text) => self.text(text.delivered()),
            InputEvent::MouseRelative(motion) => self.move_by(*motion),
            InputEvent::MouseAbsolute(position) => self.move_to(*position),
            InputEvent::MouseButton(event) => self.button(event.button, event.state),
            InputEvent::Scroll(scroll) => self.scroll(*scroll),
            InputEvent::Touch(touch) => self.touch(touch),
            // EI has no pens; a finger is what comes nearest.
            InputEvent::Pen(pen) => self.touch(&TouchEvent {
                event: pen.event,
                pointer: PEN,
                x: pen.x,
                y: pen.y,
                pressure_or_distance: pen.pressure_or_distance,
                rotation: pen.rotation,
                contact_major: pen.contact_major,
                contact_minor: pen.contact_minor,
            }),
            InputEvent::HapticsEnable(_)
            | InputEvent::Controller(_)
            | InputEvent::ControllerArrival(_)
            | InputEvent::ControllerTouch(_)
            | InputEvent::ControllerMotion(_)
            | InputEvent::ControllerBattery(_) => {}
        }
    }

    fn release_all(&mut self) {
        for key in self.keys.clone() {
            self.key(key, PressState::Up);
        }
        for button in self.buttons.clone() {
            self.button(button, PressState::Up);
        }
        self.lift_all();
    }

    /// Hears what the compositor has to say.
    fn pump(&mut self) -> Result<(), EiError> {
        while let Some(event) = next(&self.context)? {
            self.converter.handle_event(event).map_err(|error| EiError::Protocol(error.to_string()))?;
            while let Some(event) = self.converter.next_event() {
                self.heed(event)?;
            }
        }
        flush(&self.context)
    }

    fn heed(&mut self, event: EiEvent) -> Result<(), EiError> {
        match event {
            EiEvent::SeatAdded(added) => added.seat.bind_capabilities(BitFlags::all()),
            EiEvent::DeviceResumed(resumed) => {
                self.sequence += 1;
                resumed.device.device().start_emulating(self.converter.connection().serial(), self.sequence);
                self.devices.retain(|device| *device != resumed.device);
                self.devices.push(resumed.device);
            }
            EiEvent::DevicePaused(paused) => self.devices.retain(|device| *device != paused.device),
            EiEvent::DeviceRemoved(removed) => self.devices.retain(|device| *device != removed.device),
            EiEvent::Disconnected(gone) => {
                let reason = gone.explanation.unwrap_or_else(|| "without a reason".to_owned());
                return Err(EiError::Protocol(format!("it was closed: {reason}")));
            }
            _ => {}
        }
        Ok(())
    }

    /// The device that has been ready for longest among those that can do this.
    fn device(&self, capability: DeviceCapability) -> Option<&Device> {
        self.devices.iter().find(|device| device.has_capability(capability))
    }

    /// Does something with an interface of a device, as one frame of input. Nothing if there is no such device now.
    fn emulate<T: ei::Interface>(&self, capability: DeviceCapability, act: impl FnOnce(&T)) {
        if let Some(device) = self.device(capability) {
            self.emulate_on(device, act);
        }
    }

    /// As [`Self::emulate`], for positions: on the device that has them, and with the surface that they are on.
    fn emulate_at<T: ei::Interface>(&self, capability: DeviceCapability, act: impl FnOnce(&T, Surface)) {
        let mapping = self.place.mapping.as_deref();
        let named = self.devices.iter().filter(|device| device.has_capability(capability)).find_map(|device| {
            let region =
                device.regions().iter().find(|region| mapping.is_some() && region.mapping_id.as_deref() == mapping)?;
            let (x, y, width, height) = (region.x, region.y, region.width, region.height);
            Some((device, Surface { x, y, width, height }))
        });
        let found = named.or_else(|| Some((self.device(capability)?, self.place.surface)));
        if let Some((device, surface)) = found {
            self.emulate_on(device, |interface| act(interface, surface));
        }
    }

    fn emulate_on<T: ei::Interface>(&self, device: &Device, act: impl FnOnce(&T)) {
        let Some(interface) = device.interface::<T>() else { return };
        act(&interface);
        device.device().frame(self.converter.connection().serial(), now_micros());
    }

    fn key(&mut self, code: u16, state: PressState) {
        let changed = match state {
            PressState::Down => self.keys.insert(code),
            PressState::Up => self.keys.remove(&code),
        };
        if changed {
            let state = match state {
                PressState::Down => KeyState::Press,
                PressState::Up => KeyState::Released,
            };
            self.emulate(DeviceCapability::Keyboard, |keyboard: &ei::Keyboard| keyboard.key(code.into(), state));
        }
    }

    fn key_event(&mut self, event: &KeyEvent) {
        if let Some(key) = event.evdev() {
            self.key(key.0, event.state);
        }
    }

    fn button(&mut self, button: MouseButton, state: PressState) {
        let changed = match state {
            PressState::Down => self.buttons.insert(button),
            PressState::Up => self.buttons.remove(&button),
        };
        if changed {
            let state = match state {
                PressState::Down => ButtonState::Press,
                PressState::Up => ButtonState::Released,
            };
            let (_, code) = button.evdev();
            self.emulate(DeviceCapability::Button, |device: &ei::Button| device.button(code.into(), state));
        }
    }

    fn move_by(&self, motion: RelativeMotion) {
        self.emulate(DeviceCapability::Pointer, |pointer: &ei::Pointer| {
            pointer.motion_relative(motion.dx.into(), motion.dy.into());
        });
    }

    fn move_to(&self, position: AbsolutePosition) {
        let [x, y] = position.normalised();
        self.emulate_at(DeviceCapability::PointerAbsolute, |pointer: &ei::PointerAbsolute, surface| {
            let Surface { x: left, y: top, width, height } = surface;
            // The last pixel, not the edge behind it, is the farthest that a pointer can go. A pixel is meant, and a
            // hair's breadth to the left of it is another one.
            let x = f64::from(left) + (x * f64::from(width.saturating_sub(1))).round();
            let y = f64::from(top) + (y * f64::from(height.saturating_sub(1))).round();
            pointer.motion_absolute(x as f32, y as f32);
        });
    }

    fn scroll(&self, scroll: Scroll) {
        // EI counts 120 for a notch as well, but downwards.
        let amount = i32::from(scroll.amount);
        let (x, y) = match scroll.axis {
            ScrollAxis::Vertical => (0, -amount),
            ScrollAxis::Horizontal => (amount, 0),
        };
        self.emulate(DeviceCapability::Scroll, |device: &ei::Scroll| device.scroll_discrete(x, y));
    }

    fn touch(&mut self, touch: &TouchEvent) {
        let PointerId(id) = touch.pointer;
        match touch.event {
            PointerEvent::Down | PointerEvent::Move => {
                let new = self.touches.insert(id);
                self.emulate_at(DeviceCapability::Touch, |screen: &ei::Touchscreen, surface| {
                    // What is on the edge behind the last pixel would be on another screen, or nowhere.
                    let along = |part: f32, extent: u32| (part * extent as f32).min(extent.saturating_sub(1) as f32);
                    let x = surface.x as f32 + along(touch.x.get(), surface.width);
                    let y = surface.y as f32 + along(touch.y.get(), surface.height);
                    if new { screen.down(id, x, y) } else { screen.motion(id, x, y) }
                });
            }
            PointerEvent::Up | PointerEvent::Cancel => {
                if self.touches.remove(&id) {
                    self.emulate_at(DeviceCapability::Touch, |screen: &ei::Touchscreen, _| screen.up(id));
                }
            }
            PointerEvent::CancelAll => self.lift_all(),
            PointerEvent::Hover | PointerEvent::HoverLeave | PointerEvent::ButtonOnly => {}
        }
    }

    fn lift_all(&mut self) {
        for id in std::mem::take(&mut self.touches) {
            self.emulate_at(DeviceCapability::Touch, |screen: &ei::Touchscreen, _| screen.up(id));
        }
    }

    fn text(&mut self, characters: impl Iterator<Item = char>) {
        if self.device(DeviceCapability::Text).is_some() {
            let text: String = characters.collect();
            self.emulate(DeviceCapability::Text, |device: &ei::Text| device.utf8(&text));
            return;
        }
        // Compositors before libei 1.6 take keys only.
        let (keyboard, held) = (self.place.keyboard, self.keys.clone());
        us_layout::type_text(characters, keyboard, &held, |key, state| self.key(key, state));
    }
}

impl InputSink for EiSink {
    fn handle(&mut self, event: &InputEvent) {
        self.order(Order::Event(event.clone()));
    }

    fn release_all(&mut self) {
        self.order(Order::ReleaseAll);
    }

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        None
    }
}

/// The contact that a pen makes; clients count their fingers from 0.
const PEN: PointerId = PointerId(u32::MAX);

/// What arrived, if anything.
fn next(context: &ei::Context) -> Result<Option<ei::Event>, EiError> {
    let mut read = false;
    loop {
        match context.pending_event() {
            Some(PendingRequestResult::Request(event)) => return Ok(Some(event)),
            Some(PendingRequestResult::ParseError(error)) => return Err(EiError::Protocol(error.to_string())),
            // An event for something that we gave up already.
            Some(PendingRequestResult::InvalidObject(_)) => {}
            None if read => return Ok(None),
            None => match context.read() {
                Ok(0) => return Ok(None),
                Ok(_) => read = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            },
        }
    }
}

/// A compositor that reads slowly keeps what is left until the next call.
fn flush(context: &ei::Context) -> Result<(), EiError> {
    match context.flush() {
        Ok(()) | Err(rustix::io::Errno::AGAIN) => Ok(()),
        Err(errno) => Err(EiError::Socket(errno.into())),
    }
}

/// Waits for the socket, or fails once `deadline` has passed.
fn wait(context: &ei::Context, deadline: Instant, patience: Duration) -> Result<(), EiError> {
    if Instant::now() >= deadline {
        return Err(EiError::NoDevices(patience));
    }
    let slice = Timespec::try_from(SLICE).unwrap_or_default();
    match poll(&mut [PollFd::new(context, PollFlags::IN)], Some(&slice)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(EiError::Socket(errno.into())),
    }
}

/// The clock of EI's timestamps.
fn now_micros() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000
}

#[cfg(test)]
mod tests;

//! A seat for one session in a sway that others use as well: a pointer and a keyboard focus of its own, so that two
//! people can type into two windows of one desktop at the same time.
//!
//! sway makes a seat when it is first named, and no version of it ever removes one. So seats are numbered and the first
//! without devices is taken: what a session leaves behind is an empty seat, for the next one. Making a seat, or reading
//! its configuration again, makes sway 1.7 deal all virtual devices out anew, to the desktop's own seat: therefore
//! several seats are made at once, before any has devices, and whoever has lost its devices makes them
//! [again](Seat::renew).
//!
//! sway runs the commands that come over its socket for its own seat. Those for another seat are bound to a key that no
//! keyboard has but one of ours on that seat, which is then pressed. Two more such keys are bound as long as the session
//! lasts, and pressed around whatever the client does to a window: the first leads the seat back to its output. Because
//! sway opens new windows where the seat is that ran the last command, the second runs an empty one for its own seat.

use std::time::Instant;

use wayland_client::delegate_noop;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1;

use crate::display::compositor::PATIENCE;
use crate::input::wayland::{Escort, SingleKey, number_name};
use crate::wayland::{Desk, Link, LinkError, wayland_state};

use super::ipc::Ipc;
use super::{Place, SEAT};

/// How the names of our seats begin; a number follows.
const PREFIX: &str = "lumen-";
/// The first of the symbols that keys are bound by, among the last that xkb knows, which mean nothing.
const FIRST_SYMBOL: u32 = 0x1FFF_0000;
/// So many for each seat.
const SYMBOLS: u32 = 3;
/// More seats than sessions that a host can have.
const SEATS: std::ops::Range<u32> = 1..1000;
/// So many seats are made at first.
const AT_FIRST: usize = 8;

/// See the module. Dropping it leaves the seat without devices.
#[derive(Debug)]
pub struct Seat {
    name: String,
    number: u32,
    link: Link<State>,
    state: State,
    command: SingleKey,
    /// The last key of the escort.
    after: SingleKey,
}

#[derive(Debug, Default)]
struct State {
    desk: Desk,
}

wayland_state!(State);
delegate_noop!(State: ZwpVirtualKeyboardManagerV1);
delegate_noop!(State: ZwpVirtualKeyboardV1);

impl Seat {
    /// Takes the first seat that nobody uses. Two who do this at once would take the same: the caller sees to it.
    ///
    /// # Errors
    /// If sway does not do it.
    pub fn take(ipc: &mut Ipc, place: &Place) -> Result<Self, String> {
        let known = ipc.seats()?;
        let named = |number: &u32| known.iter().find(|seat| seat.name == name(*number));
        let is_free = |number: &u32| named(number).is_some_and(|seat| seat.devices.is_empty());
        let number = match SEATS.clone().find(is_free) {
            Some(free) => free,
            None => {
                let new = SEATS.clone().filter(|number| named(number).is_none());
                let is_first = !known.iter().any(|seat| seat.name.starts_with(PREFIX));
                if is_first && known.len() == 1 {
                    // As sway has it by itself where there are devices: those of nobody are the desktop's.
                    ipc.run(&format!("seat {} fallback true", known[0].name))?;
                }
                let new: Vec<u32> = new.take(if is_first { AT_FIRST } else { 1 }).collect();
                for number in &new {
                    // Any setting makes it; this one says nothing new.
                    ipc.run(&format!("seat {} hide_cursor 0", name(*number)))?;
                }
                *new.first().ok_or("sway has no seat left for another session")?
            }
        };
        Self::connect(number, place).map_err(|error| error.to_string())
    }

    /// Makes its devices again, which sway has given to another seat.
    ///
    /// # Errors
    /// If sway does not answer.
    pub fn renew(&mut self, place: &Place) -> Result<(), String> {
        *self = Self::connect(self.number, place).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn connect(number: u32, place: &Place) -> Result<Self, LinkError> {
        let name = name(number);
        let deadline = Instant::now() + PATIENCE;
        let mut state = State::default();
        let mut link = Link::open(&place.wayland, &mut state, deadline)?;
        let keyboards = link.bind::<ZwpVirtualKeyboardManagerV1>(&mut state, 1).ok_or_else(|| {
            LinkError::Missing("the compositor does not offer zwp_virtual_keyboard_manager_v1".into())
        })?;
        let keyboard = keyboards.create_virtual_keyboard(&state.desk.seat(&name)?, &link.handle(), ());
        let others = keyboards.create_virtual_keyboard(&state.desk.seat(SEAT)?, &link.handle(), ());
        let [symbol, _, after] = symbols(number);
        let made = SingleKey::new(keyboard, symbol).and_then(|command| Ok((command, SingleKey::new(others, after)?)));
        let (command, after) =
            made.map_err(|error| LinkError::Missing(format!("a keyboard cannot be made: {error}")))?;
        link.roundtrip(&mut state, deadline)?;
        Ok(Self { name, number, link, state, command, after })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The keys that keep it at its output, once they are [bound](Self::bind).
    pub fn escort(&self) -> Escort {
        let [_, before, after] = symbols(self.number);
        Escort { before, after, after_seat: SEAT.to_owned() }
    }

    /// Binds those keys, until sway reads its configuration again, and in its present binding mode alone.
    ///
    /// # Errors
    /// If sway does not do it.
    pub fn bind(&self, ipc: &mut Ipc, output: &str) -> Result<(), String> {
        let Escort { before, after, .. } = self.escort();
        for (symbol, command) in [(before, format!("focus output {output}")), (after, "nop lumen".to_owned())] {
            ipc.run(&format!("bindsym --no-warn --locked --inhibited {} {command}", number_name(symbol)))?;
        }
        Ok(())
    }

    /// Undoes that.
    pub fn unbind(&self, ipc: &mut Ipc) {
        let Escort { before, after, .. } = self.escort();
        for symbol in [before, after] {
            // After a reload there is nothing to undo.
            let _ = ipc.run(&format!("unbindsym --locked --inhibited {}", number_name(symbol)));
        }
    }

    /// Runs a command as if this seat's user had bound it to a key, which must be [so](Self::bind) with the others. What
    /// sway says to it is in its own log alone.
    ///
    /// # Errors
    /// If sway does not answer.
    pub fn run(&mut self, ipc: &mut Ipc, command: &str) -> Result<(), String> {
        let [symbol, ..] = symbols(self.number);
        let symbol = number_name(symbol);
        ipc.run(&format!("bindsym --no-warn --locked --inhibited {symbol} {command}"))?;
        self.command.tap(0);
        // In the same go: no window may open where this seat is.
        self.after.tap(0);
        // With this answer both have run.
        let pressed = self.link.roundtrip(&mut self.state, Instant::now() + PATIENCE);
        ipc.run(&format!("unbindsym --locked --inhibited {symbol}"))?;
        pressed.map_err(|error| error.to_string())
    }
}

/// For a command of the moment, and for the keys of the escort.
fn symbols(number: u32) -> [u32; SYMBOLS as usize] {
    std::array::from_fn(|place| FIRST_SYMBOL + number * SYMBOLS + place as u32)
}

fn name(number: u32) -> String {
    format!("{PREFIX}{number}")
}

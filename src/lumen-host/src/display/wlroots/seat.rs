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
//! keyboard has but one of ours on that seat (a symbol of Unicode's private area), which is then pressed.

use std::os::fd::AsFd;
use std::time::Instant;

use wayland_client::delegate_noop;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1;

use crate::display::compositor::PATIENCE;
use crate::input::wayland::{DOWN, UP, XKB_V1, of_characters};
use crate::wayland::{Desk, Link, LinkError, shared_file, wayland_state};

use super::Place;
use super::ipc::Ipc;

/// How the names of our seats begin; a number follows.
const PREFIX: &str = "lumen-";
/// The first of the symbols that keys are bound by; one for every seat.
const FIRST_SYMBOL: u32 = 0xF_0000;
/// More seats than sessions that a host can have.
const SEATS: std::ops::Range<u32> = 1..1000;
/// So many seats are made at first.
const AT_FIRST: usize = 8;
/// The only key of the keyboard that runs commands.
const KEY: u32 = 1;

/// See the module. Dropping it leaves the seat without devices.
#[derive(Debug)]
pub struct Seat {
    name: String,
    symbol: char,
    link: Link<State>,
    state: State,
    keyboard: ZwpVirtualKeyboardV1,
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
        let symbol = char::from_u32(FIRST_SYMBOL + number).ok_or("there is no such symbol")?;
        Self::connect(name(number), symbol, place).map_err(|error| error.to_string())
    }

    /// Makes its devices again, which sway has given to another seat.
    ///
    /// # Errors
    /// If sway does not answer.
    pub fn renew(&mut self, place: &Place) -> Result<(), String> {
        *self = Self::connect(self.name.clone(), self.symbol, place).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn connect(name: String, symbol: char, place: &Place) -> Result<Self, LinkError> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = State::default();
        let mut link = Link::open(&place.wayland, &mut state, deadline)?;
        let keyboards = link.bind::<ZwpVirtualKeyboardManagerV1>(&mut state, 1).ok_or_else(|| {
            LinkError::Missing("the compositor does not offer zwp_virtual_keyboard_manager_v1".into())
        })?;
        let keyboard = keyboards.create_virtual_keyboard(&state.desk.seat(&name)?, &link.handle(), ());
        let mut keymap = of_characters(&[symbol]).into_bytes();
        keymap.push(0);
        let file = shared_file("lumen-keymap", &keymap)
            .map_err(|error| LinkError::Missing(format!("a keyboard cannot be made: {error}")))?;
        // Far below 4 GiB.
        keyboard.keymap(XKB_V1, file.as_fd(), keymap.len() as u32);
        keyboard.modifiers(0, 0, 0, 0);
        link.roundtrip(&mut state, deadline)?;
        Ok(Self { name, symbol, link, state, keyboard })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a command as if this seat's user had bound it to a key. What sway says to it is in its own log alone.
    ///
    /// # Errors
    /// If sway does not answer.
    pub fn run(&mut self, ipc: &mut Ipc, command: &str) -> Result<(), String> {
        let symbol = format!("U{:04X}", u32::from(self.symbol));
        ipc.run(&format!("bindsym --no-warn --locked --inhibited {symbol} {command}"))?;
        self.keyboard.key(0, KEY, DOWN);
        self.keyboard.key(0, KEY, UP);
        // With this answer it has run.
        let pressed = self.link.roundtrip(&mut self.state, Instant::now() + PATIENCE);
        ipc.run(&format!("unbindsym --locked --inhibited {symbol}"))?;
        pressed.map_err(|error| error.to_string())
    }
}

fn name(number: u32) -> String {
    format!("{PREFIX}{number}")
}

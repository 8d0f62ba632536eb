//! A keyboard with a single key that no other keyboard has: what a compositor has bound to its symbol runs when it is
//! pressed, for the seat of this keyboard. No program ever sees a character of it.

use std::io;
use std::os::fd::AsFd;

use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1;

use super::keyboard::{DOWN, UP, XKB_V1};
use super::keymap::of_number;
use crate::wayland::shared_file;

/// Keys that a compositor has bound, to be pressed around whatever a client does to a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escort {
    /// Symbol of the one before, on the seat of the client's devices: it leads that seat to its output.
    pub before: u32,
    /// Symbol of the one after. It does nothing, but as the last one it makes its seat the one that sway gives new
    /// windows to.
    pub after: u32,
    /// The seat of that one.
    pub after_seat: String,
}

/// The only key.
const KEY: u32 = 1;

/// See the module.
#[derive(Debug)]
pub struct SingleKey(ZwpVirtualKeyboardV1);

impl SingleKey {
    /// Gives the device its keymap: one key, with the symbol of this number in xkb.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn new(device: ZwpVirtualKeyboardV1, symbol: u32) -> io::Result<Self> {
        let mut keymap = of_number(symbol).into_bytes();
        keymap.push(0);
        let file = shared_file("lumen-keymap", &keymap)?;
        // Far below 4 GiB.
        device.keymap(XKB_V1, file.as_fd(), keymap.len() as u32);
        device.modifiers(0, 0, 0, 0);
        Ok(Self(device))
    }

    /// Presses and releases it.
    pub fn tap(&self, now: u32) {
        self.0.key(now, KEY, DOWN);
        self.0.key(now, KEY, UP);
    }
}

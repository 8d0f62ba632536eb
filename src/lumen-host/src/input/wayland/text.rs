//! Characters instead of keys: a keyboard of its own whose keymap has whatever the client types, so that the layout of
//! the other one does not matter and never changes.

use std::io;
use std::os::fd::AsFd;

use lumen_core::gamestream::input::Text;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1;

use super::keyboard::{DOWN, UP, XKB_V1};
use super::keymap::of_characters;
use crate::wayland::shared_file;

/// Keys that a keymap can have: clients know codes up to 255, of which xkb leaves the first 8 alone.
const MAX_KEYS: usize = 240;

/// See the module.
#[derive(Debug)]
pub struct TextKeyboard {
    device: ZwpVirtualKeyboardV1,
    characters: Vec<char>,
}

impl TextKeyboard {
    /// A keyboard with the characters of ASCII to begin with.
    ///
    /// # Errors
    /// If there is no memory for a keymap.
    pub fn new(device: ZwpVirtualKeyboardV1) -> io::Result<Self> {
        let characters = ['\n', '\t'].into_iter().chain(' '..='~').collect();
        let keyboard = Self { device, characters };
        keyboard.upload()?;
        Ok(keyboard)
    }

    /// Types a text at time `now`.
    ///
    /// # Errors
    /// If there is no memory for a keymap.
    pub fn type_text(&mut self, now: u32, text: &Text) -> io::Result<()> {
        let mut typed = Vec::with_capacity(Text::MAX_BYTES);
        for character in text.delivered() {
            match character {
                // One line end, however it is written.
                '\n' if typed.last() == Some(&'\r') => {}
                character => typed.push(character),
            }
        }
        typed.iter_mut().filter(|character| **character == '\r').for_each(|end| *end = '\n');
        let new: Vec<char> = typed.iter().copied().filter(|character| !self.characters.contains(character)).collect();
        if !new.is_empty() {
            self.learn(new)?;
        }
        for character in typed {
            // Every character has a key by now, and there are few keys.
            let Some(place) = self.characters.iter().position(|known| *known == character) else { continue };
            let code = place as u32 + 1;
            self.device.key(now, code, DOWN);
            self.device.key(now, code, UP);
        }
        Ok(())
    }

    fn learn(&mut self, new: Vec<char>) -> io::Result<()> {
        if self.characters.len() + new.len() > MAX_KEYS {
            self.characters.truncate(2 + ('~' as usize - ' ' as usize + 1));
        }
        for character in new {
            if !self.characters.contains(&character) {
                self.characters.push(character);
            }
        }
        self.upload()
    }

    fn upload(&self) -> io::Result<()> {
        let mut keymap = of_characters(&self.characters).into_bytes();
        keymap.push(0);
        let file = shared_file("lumen-keymap", &keymap)?;
        // Far below 4 GiB.
        self.device.keymap(XKB_V1, file.as_fd(), keymap.len() as u32);
        self.device.modifiers(0, 0, 0, 0);
        Ok(())
    }
}

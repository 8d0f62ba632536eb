//! Key packets and what they mean on a keyboard of position codes (protocol part 3, sections 3.3 and 3.5).

use super::keys;
use super::number::{PressState, bit_set};
use crate::reader::{Reader, Short};

/// A Windows virtual key. Clients send the code that the key at this *position* has on a US keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct VirtualKey(pub u8);

/// A Linux key code, `KEY_*` of `input-event-codes.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct EvdevKey(pub u16);

/// The key code field as sent: a virtual key in the low byte, to which stock clients add 0x8000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct KeyCode(pub u16);

impl KeyCode {
    /// The virtual key.
    pub const fn virtual_key(self) -> VirtualKey {
        VirtualKey(self.0 as u8)
    }
}

impl From<VirtualKey> for KeyCode {
    /// The code as a stock client sends it.
    fn from(key: VirtualKey) -> Self {
        Self(0x8000 | key.0 as u16)
    }
}

/// How the client came to its virtual key (flag bit 0, NON_NORMALIZED).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum KeyOrigin {
    /// From the key's position, through a US layout.
    UsPosition,
    /// From the client's own layout, or one of the two Japanese keys that share a virtual key with another one.
    ClientLayout,
}

bit_set! {
    /// Modifier keys that the client held when a key packet was made.
    Modifiers(u8) {
        /// Either shift.
        SHIFT = 1, "shift";
        /// Either control.
        CTRL = 2, "ctrl";
        /// Either alt.
        ALT = 4, "alt";
        /// Either Windows or command key.
        META = 8, "meta";
    }
}

/// A key went down or up. Clients do not send repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct KeyEvent {
    /// Down or up.
    pub state: PressState,
    /// Which key.
    pub code: KeyCode,
    /// How the client came to the code.
    pub origin: KeyOrigin,
    /// Modifiers at the client; a missing one never releases a key that is held.
    pub modifiers: Modifiers,
}

impl KeyEvent {
    /// A key of a US keyboard as stock clients send it.
    pub fn new(state: PressState, key: VirtualKey, modifiers: Modifiers) -> Self {
        Self { state, code: key.into(), origin: KeyOrigin::UsPosition, modifiers }
    }

    /// The virtual key.
    pub const fn virtual_key(self) -> VirtualKey {
        self.code.virtual_key()
    }

    /// Virtual keys 0x00 and 0xFF, which some mobile clients send and which mean nothing.
    pub const fn is_ignored(self) -> bool {
        matches!(self.virtual_key().0, 0x00 | 0xFF)
    }

    /// The Linux key at this position, or `None` for keys to be ignored. Remember it with the press: the release
    /// must use the same code.
    pub const fn evdev(self) -> Option<EvdevKey> {
        keys::evdev(self.virtual_key(), self.origin)
    }

    pub(super) fn read(state: PressState, body: &mut Reader<'_>) -> Result<Self, Short> {
        let flags = body.u8()?;
        let code = KeyCode(body.u16_le()?);
        let modifiers = Modifiers::from_bits(body.u8()?);
        let _reserved = body.u16_le()?;
        let origin = if flags & NON_NORMALIZED == 0 { KeyOrigin::UsPosition } else { KeyOrigin::ClientLayout };
        Ok(Self { state, code, origin, modifiers })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(match self.origin {
            KeyOrigin::UsPosition => 0,
            KeyOrigin::ClientLayout => NON_NORMALIZED,
        });
        out.extend_from_slice(&self.code.0.to_le_bytes());
        out.push(self.modifiers.bits());
        out.extend_from_slice(&[0; 2]);
    }
}

const NON_NORMALIZED: u8 = 1;

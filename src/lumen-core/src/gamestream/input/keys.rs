//! The table of virtual keys (protocol part 3, section 3.5): which Linux key sits where a Windows virtual key sits
//! on a US keyboard. Codes are those of the kernel's public `input-event-codes.h`.

use super::keyboard::{EvdevKey, KeyOrigin, VirtualKey};

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRow {
    /// The virtual key.
    pub virtual_key: VirtualKey,
    /// Its name.
    pub name: &'static str,
    /// Name of the Linux key.
    pub linux: &'static str,
    /// The Linux key.
    pub evdev: EvdevKey,
    /// Whether the stock desktop client sends it.
    pub stock: SentByStock,
}

/// Whether the stock desktop client sends a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentByStock {
    /// It does.
    Sent,
    /// Only other clients do.
    NotSent,
}

/// The Linux key of a virtual key, or `None` for virtual keys to be ignored. Two Japanese keys share their virtual
/// key with another one and are told apart by [`KeyOrigin::ClientLayout`].
pub const fn evdev(key: VirtualKey, origin: KeyOrigin) -> Option<EvdevKey> {
    match (key.0, origin) {
        (0xDC, KeyOrigin::ClientLayout) => Some(KEY_YEN),
        (0xE2, KeyOrigin::ClientLayout) => Some(KEY_RO),
        (position, _) => match BY_VIRTUAL_KEY[position as usize] {
            0 => None,
            code => Some(EvdevKey(code)),
        },
    }
}

const KEY_YEN: EvdevKey = EvdevKey(124);
const KEY_RO: EvdevKey = EvdevKey(89);

/// Linux codes by virtual key; 0 (`KEY_RESERVED`) where there is none.
const BY_VIRTUAL_KEY: [u16; 256] = {
    let mut codes = [0; 256];
    let mut row = 0;
    while row < KEYS.len() {
        codes[KEYS[row].virtual_key.0 as usize] = KEYS[row].evdev.0;
        row += 1;
    }
    codes
};

use SentByStock::{NotSent, Sent};

const fn key(code: u8, name: &'static str, linux: &'static str, evdev: u16, stock: SentByStock) -> KeyRow {
    KeyRow { virtual_key: VirtualKey(code), name, linux, evdev: EvdevKey(evdev), stock }
}

/// Every known virtual key, by number.
pub const KEYS: &[KeyRow] = &[
    key(0x03, "CANCEL (Ctrl-Break)", "KEY_BREAK", 411, NotSent),
    key(0x08, "BACK", "KEY_BACKSPACE", 14, Sent),
    key(0x09, "TAB", "KEY_TAB", 15, Sent),
    key(0x0C, "CLEAR", "KEY_CLEAR", 355, Sent),
    key(0x0D, "RETURN (also keypad Enter)", "KEY_ENTER", 28, Sent),
    key(0x10, "SHIFT", "KEY_LEFTSHIFT", 42, NotSent),
    key(0x11, "CONTROL", "KEY_LEFTCTRL", 29, NotSent),
    key(0x12, "MENU (Alt)", "KEY_LEFTALT", 56, NotSent),
    key(0x13, "PAUSE", "KEY_PAUSE", 119, Sent),
    key(0x14, "CAPITAL", "KEY_CAPSLOCK", 58, Sent),
    key(0x15, "KANA / HANGUL", "KEY_HANGEUL", 122, NotSent),
    key(0x16, "IME_ON", "KEY_HANGEUL", 122, NotSent),
    key(0x17, "JUNJA", "KEY_HANJA", 123, NotSent),
    key(0x19, "HANJA / KANJI", "KEY_HANJA", 123, NotSent),
    key(0x1A, "IME_OFF", "KEY_MUHENKAN", 94, NotSent),
    key(0x1B, "ESCAPE", "KEY_ESC", 1, Sent),
    key(0x1C, "CONVERT", "KEY_HENKAN", 92, Sent),
    key(0x1D, "NONCONVERT", "KEY_MUHENKAN", 94, Sent),
    key(0x1F, "MODECHANGE", "KEY_MODE", 373, NotSent),
    key(0x20, "SPACE", "KEY_SPACE", 57, Sent),
    key(0x21, "PRIOR", "KEY_PAGEUP", 104, Sent),
    key(0x22, "NEXT", "KEY_PAGEDOWN", 109, Sent),
    key(0x23, "END", "KEY_END", 107, Sent),
    key(0x24, "HOME", "KEY_HOME", 102, Sent),
    key(0x25, "LEFT", "KEY_LEFT", 105, Sent),
    key(0x26, "UP", "KEY_UP", 103, Sent),
    key(0x27, "RIGHT", "KEY_RIGHT", 106, Sent),
    key(0x28, "DOWN", "KEY_DOWN", 108, Sent),
    key(0x29, "SELECT", "KEY_SELECT", 353, Sent),
    key(0x2A, "PRINT", "KEY_PRINT", 210, NotSent),
    key(0x2B, "EXECUTE", "KEY_OPEN", 134, Sent),
    key(0x2C, "SNAPSHOT", "KEY_SYSRQ", 99, Sent),
    key(0x2D, "INSERT", "KEY_INSERT", 110, Sent),
    key(0x2E, "DELETE", "KEY_DELETE", 111, Sent),
    key(0x2F, "HELP", "KEY_HELP", 138, Sent),
    key(0x30, "0", "KEY_0", 11, Sent),
    key(0x31, "1", "KEY_1", 2, Sent),
    key(0x32, "2", "KEY_2", 3, Sent),
    key(0x33, "3", "KEY_3", 4, Sent),
    key(0x34, "4", "KEY_4", 5, Sent),
    key(0x35, "5", "KEY_5", 6, Sent),
    key(0x36, "6", "KEY_6", 7, Sent),
    key(0x37, "7", "KEY_7", 8, Sent),
    key(0x38, "8", "KEY_8", 9, Sent),
    key(0x39, "9", "KEY_9", 10, Sent),
    key(0x41, "A", "KEY_A", 30, Sent),
    key(0x42, "B", "KEY_B", 48, Sent),
    key(0x43, "C", "KEY_C", 46, Sent),
    key(0x44, "D", "KEY_D", 32, Sent),
    key(0x45, "E", "KEY_E", 18, Sent),
    key(0x46, "F", "KEY_F", 33, Sent),
    key(0x47, "G", "KEY_G", 34, Sent),
    key(0x48, "H", "KEY_H", 35, Sent),
    key(0x49, "I", "KEY_I", 23, Sent),
    key(0x4A, "J", "KEY_J", 36, Sent),
    key(0x4B, "K", "KEY_K", 37, Sent),
    key(0x4C, "L", "KEY_L", 38, Sent),
    key(0x4D, "M", "KEY_M", 50, Sent),
    key(0x4E, "N", "KEY_N", 49, Sent),
    key(0x4F, "O", "KEY_O", 24, Sent),
    key(0x50, "P", "KEY_P", 25, Sent),
    key(0x51, "Q", "KEY_Q", 16, Sent),
    key(0x52, "R", "KEY_R", 19, Sent),
    key(0x53, "S", "KEY_S", 31, Sent),
    key(0x54, "T", "KEY_T", 20, Sent),
    key(0x55, "U", "KEY_U", 22, Sent),
    key(0x56, "V", "KEY_V", 47, Sent),
    key(0x57, "W", "KEY_W", 17, Sent),
    key(0x58, "X", "KEY_X", 45, Sent),
    key(0x59, "Y", "KEY_Y", 21, Sent),
    key(0x5A, "Z", "KEY_Z", 44, Sent),
    key(0x5B, "LWIN", "KEY_LEFTMETA", 125, Sent),
    key(0x5C, "RWIN", "KEY_RIGHTMETA", 126, Sent),
    key(0x5D, "APPS", "KEY_COMPOSE", 127, Sent),
    key(0x5F, "SLEEP", "KEY_SLEEP", 142, NotSent),
    key(0x60, "NUMPAD0", "KEY_KP0", 82, Sent),
    key(0x61, "NUMPAD1", "KEY_KP1", 79, Sent),
    key(0x62, "NUMPAD2", "KEY_KP2", 80, Sent),
    key(0x63, "NUMPAD3", "KEY_KP3", 81, Sent),
    key(0x64, "NUMPAD4", "KEY_KP4", 75, Sent),
    key(0x65, "NUMPAD5", "KEY_KP5", 76, Sent),
    key(0x66, "NUMPAD6", "KEY_KP6", 77, Sent),
    key(0x67, "NUMPAD7", "KEY_KP7", 71, Sent),
    key(0x68, "NUMPAD8", "KEY_KP8", 72, Sent),
    key(0x69, "NUMPAD9", "KEY_KP9", 73, Sent),
    key(0x6A, "MULTIPLY", "KEY_KPASTERISK", 55, Sent),
    key(0x6B, "ADD", "KEY_KPPLUS", 78, Sent),
    key(0x6C, "SEPARATOR", "KEY_KPCOMMA", 121, Sent),
    key(0x6D, "SUBTRACT", "KEY_KPMINUS", 74, Sent),
    key(0x6E, "DECIMAL", "KEY_KPDOT", 83, Sent),
    key(0x6F, "DIVIDE", "KEY_KPSLASH", 98, Sent),
    key(0x70, "F1", "KEY_F1", 59, Sent),
    key(0x71, "F2", "KEY_F2", 60, Sent),
    key(0x72, "F3", "KEY_F3", 61, Sent),
    key(0x73, "F4", "KEY_F4", 62, Sent),
    key(0x74, "F5", "KEY_F5", 63, Sent),
    key(0x75, "F6", "KEY_F6", 64, Sent),
    key(0x76, "F7", "KEY_F7", 65, Sent),
    key(0x77, "F8", "KEY_F8", 66, Sent),
    key(0x78, "F9", "KEY_F9", 67, Sent),
    key(0x79, "F10", "KEY_F10", 68, Sent),
    key(0x7A, "F11", "KEY_F11", 87, Sent),
    key(0x7B, "F12", "KEY_F12", 88, Sent),
    key(0x7C, "F13", "KEY_F13", 183, Sent),
    key(0x7D, "F14", "KEY_F14", 184, Sent),
    key(0x7E, "F15", "KEY_F15", 185, Sent),
    key(0x7F, "F16", "KEY_F16", 186, Sent),
    key(0x80, "F17", "KEY_F17", 187, Sent),
    key(0x81, "F18", "KEY_F18", 188, Sent),
    key(0x82, "F19", "KEY_F19", 189, Sent),
    key(0x83, "F20", "KEY_F20", 190, Sent),
    key(0x84, "F21", "KEY_F21", 191, Sent),
    key(0x85, "F22", "KEY_F22", 192, Sent),
    key(0x86, "F23", "KEY_F23", 193, Sent),
    key(0x87, "F24", "KEY_F24", 194, Sent),
    key(0x90, "NUMLOCK", "KEY_NUMLOCK", 69, Sent),
    key(0x91, "SCROLL", "KEY_SCROLLLOCK", 70, Sent),
    key(0x92, "OEM_NEC_EQUAL", "KEY_KPEQUAL", 117, NotSent),
    key(0xA0, "LSHIFT", "KEY_LEFTSHIFT", 42, Sent),
    key(0xA1, "RSHIFT", "KEY_RIGHTSHIFT", 54, Sent),
    key(0xA2, "LCONTROL", "KEY_LEFTCTRL", 29, Sent),
    key(0xA3, "RCONTROL", "KEY_RIGHTCTRL", 97, Sent),
    key(0xA4, "LMENU", "KEY_LEFTALT", 56, Sent),
    key(0xA5, "RMENU (AltGr)", "KEY_RIGHTALT", 100, Sent),
    key(0xA6, "BROWSER_BACK", "KEY_BACK", 158, Sent),
    key(0xA7, "BROWSER_FORWARD", "KEY_FORWARD", 159, Sent),
    key(0xA8, "BROWSER_REFRESH", "KEY_REFRESH", 173, Sent),
    key(0xA9, "BROWSER_STOP", "KEY_STOP", 128, Sent),
    key(0xAA, "BROWSER_SEARCH", "KEY_SEARCH", 217, Sent),
    key(0xAB, "BROWSER_FAVORITES", "KEY_BOOKMARKS", 156, Sent),
    key(0xAC, "BROWSER_HOME", "KEY_HOMEPAGE", 172, Sent),
    key(0xAD, "VOLUME_MUTE", "KEY_MUTE", 113, NotSent),
    key(0xAE, "VOLUME_DOWN", "KEY_VOLUMEDOWN", 114, NotSent),
    key(0xAF, "VOLUME_UP", "KEY_VOLUMEUP", 115, NotSent),
    key(0xB0, "MEDIA_NEXT", "KEY_NEXTSONG", 163, NotSent),
    key(0xB1, "MEDIA_PREV", "KEY_PREVIOUSSONG", 165, NotSent),
    key(0xB2, "MEDIA_STOP", "KEY_STOPCD", 166, NotSent),
    key(0xB3, "MEDIA_PLAY_PAUSE", "KEY_PLAYPAUSE", 164, NotSent),
    key(0xB4, "LAUNCH_MAIL", "KEY_MAIL", 155, NotSent),
    key(0xB5, "LAUNCH_MEDIA", "KEY_MEDIA", 226, NotSent),
    key(0xB6, "LAUNCH_APP1", "KEY_COMPUTER", 157, NotSent),
    key(0xB7, "LAUNCH_APP2", "KEY_CALC", 140, NotSent),
    key(0xBA, "OEM_1 ;", "KEY_SEMICOLON", 39, Sent),
    key(0xBB, "OEM_PLUS =", "KEY_EQUAL", 13, Sent),
    key(0xBC, "OEM_COMMA", "KEY_COMMA", 51, Sent),
    key(0xBD, "OEM_MINUS", "KEY_MINUS", 12, Sent),
    key(0xBE, "OEM_PERIOD", "KEY_DOT", 52, Sent),
    key(0xBF, "OEM_2 /", "KEY_SLASH", 53, Sent),
    key(0xC0, "OEM_3 `", "KEY_GRAVE", 41, Sent),
    key(0xC1, "ABNT_C1", "KEY_RO", 89, NotSent),
    key(0xC2, "ABNT_C2", "KEY_KPCOMMA", 121, NotSent),
    key(0xDB, "OEM_4 [", "KEY_LEFTBRACE", 26, Sent),
    key(0xDC, "OEM_5 \\", "KEY_BACKSLASH", 43, Sent),
    key(0xDD, "OEM_6 ]", "KEY_RIGHTBRACE", 27, Sent),
    key(0xDE, "OEM_7 '", "KEY_APOSTROPHE", 40, Sent),
    key(0xE2, "OEM_102 (ISO <>)", "KEY_102ND", 86, Sent),
    key(0xFA, "PLAY", "KEY_PLAY", 207, NotSent),
];

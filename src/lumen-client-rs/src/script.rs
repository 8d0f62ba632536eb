//! Input from a file: what to do with keyboard, mouse, touch, pen and gamepads, and when.
//!
//! One action a line, words between blanks, `#` begins a comment. Times count from the first decoded picture.
//!
//! ```text
//! at 1.0s                          what follows happens then
//! wait 200ms                       and what follows this, so much later
//! at 2s key A down                 both may stand in front of an action
//!
//! key NAME down|up|tap             A, 7, F5, SPACE, LEFTSHIFT, 0x41 (Windows virtual key)
//! text "hello"                     as UTF-8
//! pointer X Y                      to a pixel of the picture
//! move DX DY                       by device counts
//! button left|middle|right|x1|x2 down|up|click
//! scroll NOTCHES                   up is positive; hscroll: right is positive
//! touch ID down|move|up|hover|leave|cancel X Y [PRESSURE]
//! pen down|move|up|hover|leave X Y [PRESSURE] [tilt DEGREES] [rotation DEGREES] [eraser] [primary] [secondary]
//! pad N arrive xbox|playstation|nintendo|steam
//! pad N button NAME down|up|tap    up down left right start back lb rb guide a b x y touchpad misc …
//! pad N stick left|right X Y       -1.0 to 1.0; up is positive
//! pad N trigger left|right V       0.0 to 1.0
//! pad N touch ID down|move|up X Y  parts of the touchpad, 0.0 to 1.0
//! pad N motion accel|gyro X Y Z    m/s² or degrees a second
//! pad N battery PERCENT
//! pad N leave
//! copy "hello"                     on the clipboard of the session, where that is shared
//! copy-png FILE
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use lumen_core::gamestream::input::{
    AbsolutePosition, BatteryState, Buttons, Capabilities, ChargePercent, ControllerArrival, ControllerBattery,
    ControllerIndex, ControllerKind, ControllerMask, ControllerMotion, ControllerState, ControllerTouch, Fraction,
    InputEvent, KeyEvent, Modifiers, MotionKind, MouseButton, MouseButtonEvent, PenButtons, PenEvent, PenTool,
    PointerEvent, PointerId, PressState, ReferenceExtent, RelativeMotion, Rotation, Scroll, ScrollAxis, Stick, Text,
    Tilt, TouchEvent, TouchpadIndex, VirtualKey, keys,
};
use lumen_core::lumen1::message::ClipboardFormat;

/// How long a tap or click is held.
const TAP: Duration = Duration::from_millis(30);

/// A line that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the input script: {reason}")]
pub struct ScriptError {
    /// Which, from 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

/// What happens when.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Time from the first decoded picture.
    pub at: Duration,
    /// What happens.
    pub event: InputEvent,
}

/// What goes on the clipboard when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Time from the first decoded picture.
    pub at: Duration,
    /// What it is.
    pub format: ClipboardFormat,
    /// The content.
    pub bytes: Vec<u8>,
}

/// A whole script, in order of time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Script {
    /// What happens when.
    pub steps: Vec<Step>,
    /// What goes on the clipboard when.
    pub copies: Vec<Copy>,
}

impl Script {
    /// Reads a script for a picture of `width` by `height` pixels.
    ///
    /// # Errors
    /// [`ScriptError`] for the first line that means nothing.
    pub fn parse(text: &str, width: u32, height: u32) -> Result<Self, ScriptError> {
        let mut parser = Parser {
            size: (width.max(2), height.max(2)),
            now: Duration::ZERO,
            modifiers: Modifiers::EMPTY,
            pads: BTreeMap::new(),
            steps: Vec::new(),
            copies: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            let error = |reason| ScriptError { line: index + 1, reason };
            let words = split(line).map_err(error)?;
            parser.line(&words.iter().map(String::as_str).collect::<Vec<_>>()).map_err(error)?;
        }
        // A tap ends after what may follow it.
        parser.steps.sort_by_key(|step| step.at);
        parser.copies.sort_by_key(|copy| copy.at);
        Ok(Self { steps: parser.steps, copies: parser.copies })
    }

    /// When the last event happens.
    pub fn end(&self) -> Duration {
        let copy = self.copies.last().map_or(Duration::ZERO, |copy| copy.at);
        self.steps.last().map_or(Duration::ZERO, |step| step.at).max(copy)
    }
}

struct Parser {
    size: (u32, u32),
    now: Duration,
    modifiers: Modifiers,
    pads: BTreeMap<u8, ControllerState>,
    steps: Vec<Step>,
    copies: Vec<Copy>,
}

type Parsed<T> = Result<T, String>;

impl Parser {
    fn line(&mut self, words: &[&str]) -> Parsed<()> {
        match words {
            [] => Ok(()),
            ["at", time, rest @ ..] => {
                self.now = duration(time)?;
                self.line(rest)
            }
            ["wait", time, rest @ ..] => {
                self.now += duration(time)?;
                self.line(rest)
            }
            ["key", name, what] => {
                let key = key(name)?;
                for (state, after) in presses(what)? {
                    self.key(key, state, after);
                }
                Ok(())
            }
            ["text", text] => {
                // Characters must not be cut in two between packets.
                let mut piece = String::new();
                for character in text.chars() {
                    if piece.len() + character.len_utf8() > Text::MAX_BYTES {
                        self.text(std::mem::take(&mut piece))?;
                    }
                    piece.push(character);
                }
                self.text(piece)
            }
            ["copy", text] => {
                self.copy(ClipboardFormat::Text, text.as_bytes().to_vec());
                Ok(())
            }
            ["copy-png", path] => {
                let bytes = std::fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))?;
                self.copy(ClipboardFormat::Png, bytes);
                Ok(())
            }
            ["pointer", x, y] => {
                let extent = |size: u32| ReferenceExtent::try_from(i16::try_from(size - 1).unwrap_or(i16::MAX));
                let (width, height) = self.size;
                let wrong = |_| "the picture is too small".to_owned();
                let position = AbsolutePosition {
                    x: number(x)?,
                    y: number(y)?,
                    reference_width: extent(width).map_err(wrong)?,
                    reference_height: extent(height).map_err(wrong)?,
                };
                self.push(InputEvent::MouseAbsolute(position))
            }
            ["move", dx, dy] => {
                self.push(InputEvent::MouseRelative(RelativeMotion { dx: number(dx)?, dy: number(dy)? }))
            }
            ["button", name, what] => {
                let names = [("left", 1), ("middle", 2), ("right", 3), ("x1", 4), ("x2", 5)];
                let button =
                    names.iter().find(|(known, _)| known == name).and_then(|(_, n)| MouseButton::from_number(*n));
                let button = button.ok_or_else(|| format!("there is no mouse button {name}"))?;
                for (state, after) in presses(what)? {
                    self.push_after(after, InputEvent::MouseButton(MouseButtonEvent { state, button }));
                }
                Ok(())
            }
            ["scroll", notches] => self.scroll(ScrollAxis::Vertical, notches),
            ["hscroll", notches] => self.scroll(ScrollAxis::Horizontal, notches),
            ["touch", id, what, x, y, rest @ ..] => {
                let touch = TouchEvent {
                    event: pointer_event(what)?,
                    pointer: PointerId(number(id)?),
                    x: self.part(x, self.size.0)?,
                    y: self.part(y, self.size.1)?,
                    pressure_or_distance: rest.first().map_or(Ok(Fraction::ZERO), |word| fraction(word))?,
                    rotation: None,
                    contact_major: Fraction::ZERO,
                    contact_minor: Fraction::ZERO,
                };
                self.push(InputEvent::Touch(touch))
            }
            ["pen", what, x, y, rest @ ..] => self.pen(what, x, y, rest),
            ["pad", number_word, rest @ ..] => {
                let index: u8 = number(number_word)?;
                let index = ControllerIndex::new(index).ok_or("gamepads are numbered 0 to 15")?;
                self.pad(index, rest)
            }
            _ => Err(format!("cannot understand {:?}", words.join(" "))),
        }
    }

    fn copy(&mut self, format: ClipboardFormat, bytes: Vec<u8>) {
        self.copies.push(Copy { at: self.now, format, bytes });
    }

    fn pad(&mut self, index: ControllerIndex, words: &[&str]) -> Parsed<()> {
        match words {
            ["arrive", kind] => {
                let kind = match *kind {
                    "xbox" => ControllerKind::Xbox,
                    "playstation" => ControllerKind::PlayStation,
                    "nintendo" => ControllerKind::Nintendo,
                    "steam" => ControllerKind::Steam,
                    other => return Err(format!("there is no gamepad of kind {other}")),
                };
                let capabilities = match kind {
                    ControllerKind::PlayStation => Capabilities::ALL,
                    _ => Capabilities::RUMBLE,
                };
                let arrival = ControllerArrival { controller: index, kind, capabilities, buttons: Buttons::ALL };
                self.push(InputEvent::ControllerArrival(arrival))?;
                self.state(index, |_| {}, Duration::ZERO)
            }
            ["button", name, what] => {
                let wanted = name.to_lowercase();
                let button = Buttons::NAMED.iter().find(|(_, known)| *known == wanted).map(|(button, _)| *button);
                let button = button.ok_or_else(|| format!("gamepads have no button {name}"))?;
                for (press, after) in presses(what)? {
                    let change = |state: &mut ControllerState| {
                        let bits = state.buttons.bits();
                        state.buttons = Buttons::from_bits(match press {
                            PressState::Down => bits | button.bits(),
                            PressState::Up => bits & !button.bits(),
                        });
                    };
                    self.state(index, change, after)?;
                }
                Ok(())
            }
            ["stick", side, x, y] => {
                let axis = |word: &str| -> Parsed<i16> { Ok((real(word)?.clamp(-1.0, 1.0) * 32_767.0) as i16) };
                let stick = Stick { x: axis(x)?, y: axis(y)? };
                let left = is_left(side)?;
                let change = |state: &mut ControllerState| {
                    *(if left { &mut state.left_stick } else { &mut state.right_stick }) = stick;
                };
                self.state(index, change, Duration::ZERO)
            }
            ["trigger", side, value] => {
                let value = (real(value)?.clamp(0.0, 1.0) * 255.0) as u8;
                let left = is_left(side)?;
                let change = |state: &mut ControllerState| {
                    *(if left { &mut state.left_trigger } else { &mut state.right_trigger }) = value;
                };
                self.state(index, change, Duration::ZERO)
            }
            ["touch", id, what, x, y] => self.push(InputEvent::ControllerTouch(ControllerTouch {
                controller: index,
                event: pointer_event(what)?,
                touchpad: TouchpadIndex(0),
                pointer: PointerId(number(id)?),
                x: fraction(x)?,
                y: fraction(y)?,
                pressure: Fraction::ONE,
            })),
            ["motion", kind, x, y, z] => {
                let kind = match *kind {
                    "accel" => MotionKind::Accelerometer,
                    "gyro" => MotionKind::Gyro,
                    other => return Err(format!("there is no motion sensor {other}")),
                };
                let values = [real(x)? as f32, real(y)? as f32, real(z)? as f32];
                let motion = ControllerMotion::new(index, kind, values).map_err(|error| error.to_string())?;
                self.push(InputEvent::ControllerMotion(motion))
            }
            ["battery", percent] => self.push(InputEvent::ControllerBattery(ControllerBattery {
                controller: index,
                state: BatteryState::Discharging,
                charge: ChargePercent::from_wire(number(percent)?),
            })),
            ["leave"] => {
                let mut state = self.pads.remove(&index.get()).unwrap_or(ControllerState::idle(index));
                state = ControllerState { mask: self.mask(), buttons: Buttons::EMPTY, ..state };
                self.push(InputEvent::Controller(state))
            }
            _ => Err(format!("cannot understand {:?} of a gamepad", words.join(" "))),
        }
    }

    fn pen(&mut self, what: &str, x: &str, y: &str, words: &[&str]) -> Parsed<()> {
        let mut pen = PenEvent {
            event: pointer_event(what)?,
            tool: PenTool::Pen,
            buttons: PenButtons::EMPTY,
            x: self.part(x, self.size.0)?,
            y: self.part(y, self.size.1)?,
            pressure_or_distance: Fraction::ZERO,
            rotation: None,
            tilt: None,
            contact_major: Fraction::ZERO,
            contact_minor: Fraction::ZERO,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "eraser" => pen.tool = PenTool::Eraser,
                "primary" => pen.buttons = pen.buttons.union(PenButtons::PRIMARY),
                "secondary" => pen.buttons = pen.buttons.union(PenButtons::SECONDARY),
                "tilt" => pen.tilt = Tilt::from_wire(number(words.next().unwrap_or(&""))?),
                "rotation" => pen.rotation = Rotation::from_wire(number(words.next().unwrap_or(&""))?),
                pressure => pen.pressure_or_distance = fraction(pressure)?,
            }
        }
        self.push(InputEvent::Pen(pen))
    }

    fn key(&mut self, key: VirtualKey, state: PressState, after: Duration) {
        let held = match key.0 {
            0x10 | 0xA0 | 0xA1 => Modifiers::SHIFT,
            0x11 | 0xA2 | 0xA3 => Modifiers::CTRL,
            0x12 | 0xA4 | 0xA5 => Modifiers::ALT,
            0x5B | 0x5C => Modifiers::META,
            _ => Modifiers::EMPTY,
        };
        self.modifiers = match state {
            PressState::Down => self.modifiers.union(held),
            PressState::Up => Modifiers::from_bits(self.modifiers.bits() & !held.bits()),
        };
        self.push_after(after, InputEvent::Key(KeyEvent::new(state, key, self.modifiers)));
    }

    fn text(&mut self, piece: String) -> Parsed<()> {
        let text = Text::try_from(piece).map_err(|error| error.to_string())?;
        self.push(InputEvent::Text(text))
    }

    fn scroll(&mut self, axis: ScrollAxis, notches: &str) -> Parsed<()> {
        let amount = (real(notches)? * 120.0).clamp(-32_768.0, 32_767.0) as i16;
        self.push(InputEvent::Scroll(Scroll { axis, amount }))
    }

    /// Changes a gamepad and sends its whole state.
    fn state(&mut self, index: ControllerIndex, change: impl Fn(&mut ControllerState), after: Duration) -> Parsed<()> {
        change(self.pads.entry(index.get()).or_insert(ControllerState::idle(index)));
        let mask = self.mask();
        let state = ControllerState { mask, ..self.pads[&index.get()] };
        self.push_after(after, InputEvent::Controller(state));
        Ok(())
    }

    fn mask(&self) -> ControllerMask {
        ControllerMask(self.pads.keys().fold(0, |mask, index| mask | 1 << index))
    }

    fn part(&self, word: &str, size: u32) -> Parsed<Fraction> {
        Fraction::try_from((real(word)? / f64::from(size)) as f32).map_err(|error| error.to_string())
    }

    fn push(&mut self, event: InputEvent) -> Parsed<()> {
        self.push_after(Duration::ZERO, event);
        Ok(())
    }

    fn push_after(&mut self, after: Duration, event: InputEvent) {
        self.steps.push(Step { at: self.now + after, event });
    }
}

/// The words of a line; what stands in quotes is one.
fn split(line: &str) -> Parsed<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut word = String::new();
            let mut characters = quoted.char_indices();
            let end = loop {
                match characters.next() {
                    Some((at, '"')) => break at + 1,
                    Some((_, '\\')) => match characters.next() {
                        Some((_, 'n')) => word.push('\n'),
                        Some((_, 't')) => word.push('\t'),
                        Some((_, other)) => word.push(other),
                        None => return Err("a quote is not closed".into()),
                    },
                    Some((_, character)) => word.push(character),
                    None => return Err("a quote is not closed".into()),
                }
            };
            words.push(word);
            rest = quoted[end..].trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
    }
    Ok(words)
}

/// A time such as `1.5s`, `200ms`, `2m` or `3` (seconds).
pub fn duration(word: &str) -> Result<Duration, String> {
    let (digits, unit) = match word.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => word.split_at(at),
        None => (word, "s"),
    };
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("{word} is no time; write 1.5s or 200ms")),
    };
    let seconds = digits.parse::<f64>().map_err(|_| format!("{word} is no time; write 1.5s or 200ms"))? * factor;
    if (0.0..1e9).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("{word} is no time that can be waited for"))
    }
}

fn number<T: std::str::FromStr>(word: &str) -> Parsed<T> {
    word.parse().map_err(|_| format!("{word:?} is no number that fits here"))
}

fn real(word: &str) -> Parsed<f64> {
    word.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| format!("{word:?} is no number"))
}

fn fraction(word: &str) -> Parsed<Fraction> {
    Fraction::try_from(real(word)? as f32).map_err(|error| error.to_string())
}

fn is_left(side: &str) -> Parsed<bool> {
    match side {
        "left" => Ok(true),
        "right" => Ok(false),
        other => Err(format!("{other} is neither left nor right")),
    }
}

/// What happens and how much later.
fn presses(what: &str) -> Parsed<Vec<(PressState, Duration)>> {
    match what {
        "down" => Ok(vec![(PressState::Down, Duration::ZERO)]),
        "up" => Ok(vec![(PressState::Up, Duration::ZERO)]),
        "tap" | "click" => Ok(vec![(PressState::Down, Duration::ZERO), (PressState::Up, TAP)]),
        other => Err(format!("{other} is none of down, up and tap")),
    }
}

fn pointer_event(word: &str) -> Parsed<PointerEvent> {
    Ok(match word {
        "hover" => PointerEvent::Hover,
        "down" => PointerEvent::Down,
        "up" => PointerEvent::Up,
        "move" => PointerEvent::Move,
        "cancel" => PointerEvent::Cancel,
        "leave" => PointerEvent::HoverLeave,
        other => return Err(format!("{other} is none of down, move, up, hover, leave and cancel")),
    })
}

fn key(name: &str) -> Parsed<VirtualKey> {
    let upper = name.to_uppercase();
    if let Some(digits) = upper.strip_prefix("0X") {
        return u8::from_str_radix(digits, 16).map(VirtualKey).map_err(|_| format!("{name} is no virtual key"));
    }
    let matches = |row: &&keys::KeyRow| {
        let first = row.name.split([' ', '/']).next().unwrap_or(row.name);
        first == upper || row.linux.strip_prefix("KEY_") == Some(&upper)
    };
    // Two virtual keys may stand for one Linux key: take the one that clients send.
    let found = keys::KEYS.iter().filter(matches).min_by_key(|row| row.stock != keys::SentByStock::Sent);
    found.map(|row| row.virtual_key).ok_or_else(|| format!("there is no key {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<(u64, InputEvent)> {
        let script = Script::parse(text, 1280, 720).unwrap();
        script.steps.into_iter().map(|step| (step.at.as_millis() as u64, step.event)).collect()
    }

    #[test]
    fn times_are_absolute_or_relative_and_taps_end_later() {
        let steps = steps("at 1.0s key A tap # comment\nwait 10ms key B down\n\nat 2s\ntext \"a \\\"b\\\" #\"\n");
        assert_eq!(steps.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1000, 1010, 1030, 2000]);
        assert!(
            matches!(&steps[2].1, InputEvent::Key(key) if key.state == PressState::Up && key.virtual_key().0 == 0x41)
        );
        assert!(matches!(&steps[3].1, InputEvent::Text(text) if text.as_str() == "a \"b\" #"));
    }

    #[test]
    fn modifiers_go_with_the_keys_that_follow() {
        let steps = steps("key LEFTSHIFT down\nkey A down\nkey LEFTSHIFT up\nkey A up");
        let modifiers: Vec<u8> = steps
            .iter()
            .map(|(_, event)| match event {
                InputEvent::Key(key) => key.modifiers.bits(),
                _ => 99,
            })
            .collect();
        assert_eq!(modifiers, [1, 1, 0, 0]);
    }

    #[test]
    fn a_gamepad_sends_its_whole_state() {
        let steps = steps(
            "pad 1 arrive playstation\npad 1 button a down\npad 1 stick left 1 -1\npad 0 trigger right 0.5\npad 1 leave",
        );
        let states: Vec<ControllerState> = steps
            .iter()
            .filter_map(|(_, event)| match event {
                InputEvent::Controller(state) => Some(*state),
                _ => None,
            })
            .collect();
        assert_eq!(states.len(), 5);
        assert!(states[2].buttons.contains(Buttons::A));
        assert_eq!((states[2].left_stick.x, states[2].left_stick.y), (32_767, -32_767));
        assert_eq!((states[3].right_trigger, states[3].mask.0), (127, 3));
        assert!(!states[4].is_present());
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let steps = steps(&format!("text \"{}\"", "ü".repeat(40)));
        let lengths: Vec<usize> = steps
            .iter()
            .map(|(_, event)| match event {
                InputEvent::Text(text) => text.as_str().len(),
                _ => 0,
            })
            .collect();
        assert_eq!(lengths, [32, 32, 16]);
    }

    #[test]
    fn pointer_touch_pen_and_wheels_are_understood() {
        let steps = steps(
            "pointer 640 360\nmove -3 4\nbutton right click\nscroll -1\nhscroll 0.5\ntouch 3 down 64 72 0.5\n\
             pen hover 10 10 0.2 tilt 30 rotation 90 eraser primary\npad 0 motion gyro 1 2 3\npad 0 battery 50\n\
             pad 0 touch 0 down 0.1 0.2",
        );
        assert_eq!(steps.len(), 11);
    }

    #[test]
    fn what_is_copied_has_its_time_and_its_format() {
        let image = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&image, b"png").expect("written");
        let text = format!("at 2s copy-png {}\nat 1s copy \"two words\"", image.path().display());
        let script = Script::parse(&text, 640, 480).expect("a script");
        let copy =
            |seconds, format, bytes: &[u8]| Copy { at: Duration::from_secs(seconds), format, bytes: bytes.into() };
        assert_eq!(
            script.copies,
            [copy(1, ClipboardFormat::Text, b"two words"), copy(2, ClipboardFormat::Png, b"png")]
        );
        assert_eq!((script.steps.len(), script.end()), (0, Duration::from_secs(2)));
        assert!(Script::parse("copy-png /nowhere/at/all", 640, 480).is_err());
    }

    #[test]
    fn the_line_that_is_wrong_is_named() {
        for (text, line) in [
            ("jump", 1),
            ("\nkey NOSUCHKEY down", 2),
            ("key A sideways", 1),
            ("at soon", 1),
            ("pad 16 leave", 1),
            ("text \"open", 1),
            ("pointer 1 99999999", 1),
        ] {
            assert_eq!(Script::parse(text, 640, 480).unwrap_err().line, line, "{text}");
        }
    }
}

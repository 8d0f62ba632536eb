//! What a client may do: `[grants]` says it for every client, a client's own entry for that one. Who asks about a grant
//! gets a plain answer here; nothing else in the host knows what kinds of input there are.

use std::fmt;

use lumen_core::gamestream::input::InputEvent;
use lumen_core::lumen1::negotiation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HostName;

/// Stands for every application.
const EVERY: &str = "*";

/// Devices whose input a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// Keys and text.
    Keyboard,
    /// Mouse, wheel, touch and pen.
    Pointer,
    /// Gamepads with all that is in them.
    Gamepad,
}

impl InputKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Keyboard, Self::Pointer, Self::Gamepad];

    /// Which device an event is from.
    pub const fn of(event: &InputEvent) -> Self {
        match event {
            InputEvent::Key(_) | InputEvent::Text(_) => Self::Keyboard,
            InputEvent::MouseRelative(_)
            | InputEvent::MouseAbsolute(_)
            | InputEvent::MouseButton(_)
            | InputEvent::Scroll(_)
            | InputEvent::Touch(_)
            | InputEvent::Pen(_) => Self::Pointer,
            InputEvent::HapticsEnable(_)
            | InputEvent::Controller(_)
            | InputEvent::ControllerArrival(_)
            | InputEvent::ControllerTouch(_)
            | InputEvent::ControllerMotion(_)
            | InputEvent::ControllerBattery(_) => Self::Gamepad,
        }
    }

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keyboard => "keyboard",
            Self::Pointer => "pointer",
            Self::Gamepad => "gamepad",
        }
    }
}

/// `[grants]`: what a client may do of which nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Devices whose input is taken from it. An empty list makes clients that only watch.
    #[schemars(example = ["gamepad"])]
    pub input: Vec<InputKind>,
    /// Titles of the applications that it may start, as clients show them; `*` stands for all. It sees no others.
    #[schemars(example = ["Steam"])]
    pub apps: Vec<HostName>,
    // A worker may be older than its daemon, and reads what it knows of this: new fields come last.
    /// Whether it shares the session's clipboard, both ways. Over lumen/1 only.
    #[schemars(example = &true)]
    pub clipboard: bool,
    /// Whether its microphone is heard in its session. Over lumen/1 only.
    #[schemars(example = &true)]
    pub microphone: bool,
}

impl Default for Grants {
    fn default() -> Self {
        let apps = HostName::try_from(EVERY.to_owned()).into_iter().collect();
        Self { input: InputKind::ALL.to_vec(), apps, clipboard: false, microphone: false }
    }
}

impl Grants {
    /// For a client that nobody knows.
    pub const fn nothing() -> Self {
        Self { input: Vec::new(), apps: Vec::new(), clipboard: false, microphone: false }
    }

    /// Whether input like this is taken.
    pub fn allow_input(&self, event: &InputEvent) -> bool {
        self.input.contains(&InputKind::of(event))
    }

    /// Whether the application of this title may be seen and started.
    pub fn allow_app(&self, title: &str) -> bool {
        self.apps.iter().any(|app| app.as_str() == EVERY || app.as_str() == title)
    }

    /// The streams of lumen/1 that may be used.
    pub fn streams(&self) -> negotiation::Grants {
        let either =
            [(self.clipboard, negotiation::Grants::CLIPBOARD), (self.microphone, negotiation::Grants::MICROPHONE)];
        let granted = either.into_iter().filter(|(granted, _)| *granted);
        granted.fold(negotiation::Grants::NONE, |all, (_, stream)| all.with(stream))
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = InputKind::ALL.into_iter().filter(|kind| self.input.contains(kind)).collect();
        match kinds.len() {
            0 => f.write_str("watch")?,
            3 => f.write_str("all input")?,
            _ => f.write_str(&kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", "))?,
        }
        for (granted, name) in [(self.clipboard, "clipboard"), (self.microphone, "microphone")] {
            if granted {
                write!(f, ", {name}")?;
            }
        }
        if self.apps.iter().any(|app| app.as_str() == EVERY) {
            return Ok(());
        }
        let titles: Vec<_> = self.apps.iter().map(HostName::as_str).collect();
        if titles.is_empty() { f.write_str("; no apps") } else { write!(f, "; only {}", titles.join(", ")) }
    }
}

/// What is said about one client; what is not, follows from [`Grants`] of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OwnGrants {
    /// Devices whose input is taken from it.
    pub input: Option<Vec<InputKind>>,
    /// Titles of the applications that it may start; `*` stands for all.
    pub apps: Option<Vec<HostName>>,
    /// Whether it shares the session's clipboard.
    pub clipboard: Option<bool>,
    /// Whether its microphone is heard in its session.
    pub microphone: Option<bool>,
}

impl OwnGrants {
    /// What is in force where `default` is for all others.
    pub fn over(&self, default: &Grants) -> Grants {
        Grants {
            input: self.input.clone().unwrap_or_else(|| default.input.clone()),
            apps: self.apps.clone().unwrap_or_else(|| default.apps.clone()),
            clipboard: self.clipboard.unwrap_or(default.clipboard),
            microphone: self.microphone.unwrap_or(default.microphone),
        }
    }
}

#[cfg(test)]
mod tests {
    use lumen_core::gamestream::input::{HapticsEnable, Scroll, ScrollAxis, Text};

    use super::*;

    fn title(title: &str) -> HostName {
        HostName::try_from(title.to_owned()).expect("a title")
    }

    #[test]
    fn by_default_everything_is_allowed_and_to_strangers_nothing() {
        let all = Grants::default();
        assert!(all.allow_app("Steam") && all.allow_input(&InputEvent::HapticsEnable(HapticsEnable(1))));
        assert_eq!(all.to_string(), "all input");
        let none = Grants::nothing();
        assert!(!none.allow_app("Steam") && !none.allow_input(&InputEvent::HapticsEnable(HapticsEnable(1))));
        assert_eq!(none.to_string(), "watch; no apps");
    }

    #[test]
    fn each_event_belongs_to_one_kind_of_device() {
        let grants = Grants { input: vec![InputKind::Pointer], apps: vec![title("A")], ..Grants::nothing() };
        let text = InputEvent::Text(Text::try_from("a".to_owned()).expect("short"));
        assert!(!grants.allow_input(&text));
        assert!(grants.allow_input(&InputEvent::Scroll(Scroll { axis: ScrollAxis::Vertical, amount: 120 })));
        assert!(grants.allow_app("A") && !grants.allow_app("B") && !grants.allow_app("*"));
        assert_eq!(grants.to_string(), "pointer; only A");
    }

    #[test]
    fn what_a_client_has_of_its_own_comes_before_the_default() {
        let default = Grants { apps: vec![title("A")], clipboard: true, ..Grants::nothing() };
        let own = OwnGrants { input: Some(vec![InputKind::Gamepad]), microphone: Some(true), ..OwnGrants::default() };
        let may = own.over(&default);
        assert_eq!(may, Grants { input: vec![InputKind::Gamepad], microphone: true, ..default.clone() });
        assert_eq!(may.to_string(), "gamepad, clipboard, microphone; only A");
        let own = OwnGrants { clipboard: Some(false), ..OwnGrants::default() };
        assert_eq!(own.over(&default), Grants { clipboard: false, ..default.clone() });
        assert_eq!(OwnGrants::default().over(&default), default);
    }

    #[test]
    fn streams_are_granted_one_by_one() {
        let grants = |clipboard, microphone| Grants { clipboard, microphone, ..Grants::default() }.streams();
        assert_eq!(grants(false, false), negotiation::Grants::NONE);
        assert_eq!(grants(true, false), negotiation::Grants::CLIPBOARD);
        assert_eq!(grants(false, true), negotiation::Grants::MICROPHONE);
        assert_eq!(grants(true, true), negotiation::Grants::CLIPBOARD.with(negotiation::Grants::MICROPHONE));
    }

    /// Between a daemon and a worker that is older, which must still read who may type.
    #[test]
    fn a_worker_that_knows_fewer_grants_reads_those_that_it_knows() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Older {
            input: Vec<InputKind>,
            apps: Vec<HostName>,
        }
        let grants = Grants { clipboard: true, ..Grants::default() };
        let bytes = postcard::to_stdvec(&grants).expect("it can be written");
        let older = Older { input: grants.input.clone(), apps: grants.apps.clone() };
        assert_eq!(postcard::from_bytes::<Older>(&bytes), Ok(older));
    }
}

//! Several sessions on one Mutter: its one pointer and its one keyboard focus are used in turn. Who has the turn leads
//! both to its own monitor first, if another session had them last: the pointer to where this session left it, the
//! keyboard by a click with Super held, which Mutter takes for itself and shows to no program. Who is done, or is
//! waited for, lets go of all keys and gives the turn away; Shift, Control and the like are pressed again with the next
//! turn.
//!
//! The turn is a lock on a file that all sessions of a user know; it goes with its process. A session that does not
//! get it in time goes on without.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use lumen_core::gamestream::input::{EvdevKey, PressState};
use rustix::fs::{FlockOperation, flock};

use crate::capture::mailbox::Size;

use super::{Action, SharedTarget, deliver, settle};

/// Whose turn it is; who had it last is written in it.
const TURN: &str = "lumen-mutter-turn";
/// Locked by whoever waits for the turn.
const QUEUE: &str = "lumen-mutter-queue";

/// How long input waits for the turn: a session that hangs has failed by then, and going on without the turn would type
/// into the windows of whoever has it.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a display waits for it, which types nothing.
const DISPLAY_PATIENCE: Duration = Duration::from_secs(2);
/// How long input waits after it did not come, until it does: one session that hangs does not hold up the others.
const NO_PATIENCE: Duration = Duration::from_millis(100);
/// How often it is looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// How long a session that has more to do keeps its turn from others: a turn for each character would cost each a click.
const SHARE: Duration = Duration::from_millis(200);
/// How soon somebody who waits is noticed while keys are held.
const NOTICE: Duration = Duration::from_millis(10);
/// How long a click may take to lead the keyboard: Mutter 50 loses keys before that, Mutter 43 takes none of it.
const LEADING: Duration = Duration::from_millis(100);
/// On a busy machine it takes longer: so many times what Mutter needs for an answer, which says nothing of its windows.
const ANSWERS: u32 = 8;
/// Nobody waits longer than this for a click.
const MOST_LEADING: Duration = Duration::from_secs(2);

const LEFT_SUPER: EvdevKey = EvdevKey(125);
const LEFT_BUTTON: u16 = 0x110;
/// Keys that change what others do: Control, Shift, Alt and Super, left and right.
const MODIFIERS: [u16; 8] = [29, 97, 42, 54, 56, 100, 125, 126];

/// How a session takes its turn.
#[derive(Debug, Clone)]
pub struct Turn {
    directory: PathBuf,
    session: String,
}

/// What was had last, and by whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Last {
    pointer: String,
    keyboard: String,
}

/// The turn, until dropped.
#[derive(Debug)]
struct Taken {
    file: Option<File>,
    last: Last,
    /// When it could be used.
    since: Instant,
}

impl Turn {
    /// Of `session`, among all whose runtime directory is `directory`.
    pub fn new(directory: impl Into<PathBuf>, session: &str) -> Self {
        Self { directory: directory.into(), session: session.to_owned() }
    }

    /// Waits for the turn, at most so long.
    fn take(&self, patience: Duration) -> Taken {
        let until = Instant::now() + patience;
        // Who waits first gets it first.
        let queue = lock(&self.directory.join(QUEUE), until);
        let file = lock(&self.directory.join(TURN), until);
        drop(queue);
        if let Err(error) = &file {
            tracing::debug!(%error, "the turn does not come");
        }
        let mut text = String::new();
        let mut file = file.ok();
        if let Some(file) = &mut file {
            let _ = file.read_to_string(&mut text);
        }
        let (pointer, keyboard) = text.split_once('\n').unwrap_or_default();
        Taken { file, last: Last { pointer: pointer.to_owned(), keyboard: keyboard.to_owned() }, since: Instant::now() }
    }

    /// Whether another session waits.
    fn is_wanted(&self) -> bool {
        let queue = File::options().write(true).open(self.directory.join(QUEUE));
        queue.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_err())
    }

    /// Has the pointer at a position of the monitor that `target` names, so that windows open there, and the keyboard
    /// nowhere: those windows take it.
    pub fn begin(&self, target: &SharedTarget, (x, y): (f64, f64)) {
        let mut taken = self.take(DISPLAY_PATIENCE);
        deliver(target, Action::MoveTo(x, y));
        settle(target);
        taken.note(Last { pointer: self.session.clone(), keyboard: String::new() });
    }

    /// Does something that moves no focus while nobody else has the turn.
    pub fn hold<T>(&self, act: impl FnOnce() -> T) -> T {
        let _taken = self.take(DISPLAY_PATIENCE);
        act()
    }
}

impl Taken {
    fn note(&mut self, last: Last) {
        if last == self.last {
            return;
        }
        if let Some(file) = &mut self.file {
            let text = format!("{}\n{}", last.pointer, last.keyboard);
            let written = file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(text.as_bytes()));
            if let Err(error) = written {
                tracing::debug!(%error, "the next session will not know who had the turn");
            }
        }
        self.last = last;
    }
}

fn lock(path: &Path, until: Instant) -> io::Result<File> {
    let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(error) if Instant::now() >= until => return Err(error.into()),
            Err(_) => std::thread::sleep(POLL_INTERVAL),
        }
    }
}

fn middle(size: Size) -> (f64, f64) {
    (f64::from(size.width / 2), f64::from(size.height / 2))
}

/// What is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Key(EvdevKey),
    Keysym(u32),
    Button(u16),
}

/// Plays the actions of one session in its turns.
pub struct Player {
    target: SharedTarget,
    turn: Turn,
    taken: Option<Taken>,
    /// How long the next turn is waited for.
    patience: Duration,
    /// Where this session has the pointer.
    at: (f64, f64),
    /// Pressed, and not let go of.
    held: Vec<Held>,
    /// Held by the client, but let go of when the turn went.
    modifiers: Vec<EvdevKey>,
}

impl Player {
    /// A player of actions on `target`, whose monitor has this size.
    pub fn new(target: SharedTarget, turn: Turn, size: Size) -> Self {
        Self {
            target,
            turn,
            taken: None,
            patience: PATIENCE,
            at: middle(size),
            held: Vec::new(),
            modifiers: Vec::new(),
        }
    }

    /// Plays all that comes, until nothing can come any more.
    pub fn play(&mut self, actions: &Receiver<Action>) {
        loop {
            let next = match actions.try_recv() {
                Err(TryRecvError::Empty) => {
                    if self.taken.is_some() && (self.held.is_empty() || self.turn.is_wanted()) {
                        self.let_go();
                    }
                    if self.taken.is_some() { actions.recv_timeout(NOTICE) } else { actions.recv().map_err(Into::into) }
                }
                next => next.map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(action) => self.act(action),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.let_go();
    }

    fn act(&mut self, action: Action) {
        if self.is_over(action) {
            return;
        }
        // A character is one press and one release.
        let within = self.held.iter().any(|held| matches!(held, Held::Keysym(_)));
        let had_its_share = self.taken.as_ref().is_some_and(|taken| taken.since.elapsed() >= SHARE);
        if had_its_share && !within && self.turn.is_wanted() {
            self.let_go();
        }
        self.lead(action);
        deliver(&self.target, action);
        self.remember(action);
    }

    /// Whether it releases what was let go of already.
    fn is_over(&mut self, action: Action) -> bool {
        let held = match action {
            Action::Key(key, PressState::Up) => Held::Key(key),
            Action::Keysym(keysym, PressState::Up) => Held::Keysym(keysym),
            Action::Button(code, PressState::Up) => Held::Button(code),
            _ => return false,
        };
        if let Held::Key(key) = held {
            self.modifiers.retain(|modifier| *modifier != key);
        }
        !self.held.contains(&held)
    }

    /// Takes the turn, and leads pointer and keyboard to this session as far as `action` needs them.
    fn lead(&mut self, action: Action) {
        let target = &self.target;
        let taken = self.taken.get_or_insert_with(|| {
            let taken = self.turn.take(self.patience);
            self.patience = if taken.file.is_some() { PATIENCE } else { NO_PATIENCE };
            taken
        });
        let mut last = taken.last.clone();
        let own = &self.turn.session;
        let keys = matches!(action, Action::Key(..) | Action::Keysym(..));
        let relative =
            matches!(action, Action::Button(..) | Action::MoveBy(..) | Action::Notches(..) | Action::ScrollBy(..));
        let lead_keyboard = keys && last.keyboard != *own;
        if last.pointer != *own && relative || lead_keyboard {
            deliver(target, Action::MoveTo(self.at.0, self.at.1));
            last.pointer.clone_from(own);
        }
        if lead_keyboard {
            deliver(target, Action::Key(LEFT_SUPER, PressState::Down));
            for state in [PressState::Down, PressState::Up] {
                deliver(target, Action::Button(LEFT_BUTTON, state));
            }
            deliver(target, Action::Key(LEFT_SUPER, PressState::Up));
            let asked = Instant::now();
            settle(target);
            std::thread::sleep((asked.elapsed() * ANSWERS).clamp(LEADING, MOST_LEADING));
            last.keyboard.clone_from(own);
            taken.since = Instant::now();
        }
        match action {
            Action::MoveTo(..) => last.pointer.clone_from(own),
            // These lead the keyboard by themselves.
            Action::Button(_, PressState::Down) | Action::TouchDown(..) => last.keyboard.clone_from(own),
            _ => {}
        }
        // Before it happens: who ends meanwhile has had it.
        taken.note(last);
        for key in std::mem::take(&mut self.modifiers) {
            deliver(target, Action::Key(key, PressState::Down));
            self.held.push(Held::Key(key));
        }
    }

    fn remember(&mut self, action: Action) {
        match action {
            Action::Key(key, state) => self.press(Held::Key(key), state),
            Action::Keysym(keysym, state) => self.press(Held::Keysym(keysym), state),
            Action::Button(code, state) => self.press(Held::Button(code), state),
            Action::MoveTo(x, y) => self.at = (x, y),
            _ => {}
        }
    }

    fn press(&mut self, held: Held, state: PressState) {
        match state {
            PressState::Down => self.held.push(held),
            PressState::Up => self.held.retain(|other| *other != held),
        }
    }

    /// Releases all and gives the turn away.
    fn let_go(&mut self) {
        for held in std::mem::take(&mut self.held) {
            let release = match held {
                Held::Key(key) => {
                    if MODIFIERS.contains(&key.0) {
                        self.modifiers.push(key);
                    }
                    Action::Key(key, PressState::Up)
                }
                Held::Keysym(keysym) => Action::Keysym(keysym, PressState::Up),
                Held::Button(code) => Action::Button(code, PressState::Up),
            };
            deliver(&self.target, release);
        }
        if self.taken.is_some() {
            settle(&self.target);
        }
        self.taken = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_turn_goes_to_who_waits_and_says_who_had_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let [ann, bob] = ["ann", "bob"].map(|session| Turn::new(directory.path(), session));
        let mut taken = ann.take(PATIENCE);
        assert_eq!(taken.last, Last::default());
        taken.note(Last { pointer: "ann".to_owned(), keyboard: "ann".to_owned() });
        assert!(!ann.is_wanted());
        let waiter = std::thread::spawn(move || bob.take(PATIENCE).last);
        while !ann.is_wanted() {
            std::thread::sleep(POLL_INTERVAL);
        }
        drop(taken);
        assert_eq!(waiter.join().expect("no panic"), Last { pointer: "ann".to_owned(), keyboard: "ann".to_owned() });
    }

    #[test]
    fn a_turn_that_does_not_come_is_gone_without() {
        let directory = tempfile::tempdir().expect("a directory");
        let [ann, bob] = ["ann", "bob"].map(|session| Turn::new(directory.path(), session));
        let taken = ann.take(PATIENCE);
        assert!(taken.file.is_some());
        assert!(bob.take(Duration::ZERO).file.is_none());
    }
}

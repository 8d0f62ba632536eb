//! A stream over lumen/1: one thread drives the host's end of the protocol, which is lumen-core's, between the encoder
//! threads and the sockets towards the client. It paces frames, answers requests for lost packets, and follows what the
//! client says of the network: parity by loss control, the encoder's rate by congestion control. It does not judge input;
//! the worker does.

mod drive;
mod flight;

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::JoinHandle;

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::InputEvent;
use lumen_core::lumen1::message::CloseCode;
use lumen_core::lumen1::negotiation::Grants;

use crate::audio::microphone::MicrophoneInlet;
use crate::clipboard::Content;
use crate::link::{Lumen1Spec, StreamSpec};
use crate::net::wake::Waker;

use super::outlet::{Outlet, Wishes, outlet};
use super::stats::StreamStats;

/// Packets of sound that wait for the sender; more are dropped, as the network would.
const MOST_SOUND: usize = 32;

/// What the worker learns.
#[derive(Debug)]
pub enum Lumen1Event {
    /// The client proved that it is at this address: the first, or a new one.
    At(SocketAddr),
    /// The client did something.
    Input(Box<InputEvent>),
    /// The client copied something.
    Clipboard(Content),
    /// The client asked for a key frame.
    KeyFrame,
    /// The client lost frames for good.
    Invalidate,
    /// The stream is over, and why.
    Ended(String),
}

enum Command {
    /// A datagram that did not come by any of the stream's sockets, and perhaps a socket by which the next ones will.
    Datagram(SocketAddr, Option<UdpSocket>, Vec<u8>),
    Answer(HostMessage),
    /// Somebody in the session copied this.
    Clipboard(Content),
    /// Where the client's microphone is heard.
    Microphone(MicrophoneInlet),
    /// What may be used from now on.
    Grants(Grants),
    Close(CloseCode, String),
}

/// A packet of sound, and its first sample at 48 kHz.
type Sound = (Vec<u8>, u32);

/// Where sound goes.
#[derive(Debug, Clone)]
pub struct SoundOutlet {
    sound: SyncSender<Sound>,
    wake: Waker,
}

impl SoundOutlet {
    /// Sends a packet whose first sample is `timestamp`. It is lost if the network is far behind.
    pub fn put(&self, packet: &[u8], timestamp: u32) {
        let _ = self.sound.try_send((packet.to_vec(), timestamp));
        self.wake.wake();
    }
}

/// A running stream over lumen/1. Dropping it says goodbye to the client and stops its thread.
pub struct Lumen1Stream {
    commands: Sender<Command>,
    events: Receiver<Lumen1Event>,
    wake: Waker,
    sound: SoundOutlet,
    /// Until the encoder takes it.
    pictures: Option<(Outlet, Arc<Wishes>)>,
    farewell: (CloseCode, String),
    thread: Option<JoinHandle<()>>,
}

impl Lumen1Stream {
    /// Starts to wait for the client. `notice` is woken by each event.
    ///
    /// # Errors
    /// If the keys cannot be made, or there are no descriptors or threads left.
    pub fn start(
        spec: &StreamSpec,
        lumen1: &Lumen1Spec,
        stats: Arc<StreamStats>,
        notice: Waker,
    ) -> anyhow::Result<Self> {
        let wake = Waker::new()?;
        let wishes = Arc::new(Wishes::default());
        let (pictures, frames) = outlet(Arc::clone(&wishes), Some(wake.clone()));
        let (sound, packets) = mpsc::sync_channel(MOST_SOUND);
        let (commands, orders) = mpsc::channel();
        let (told, events) = mpsc::channel();
        let ends = drive::Ends { frames, sound: packets, commands: orders, events: told, notice, wake: wake.clone() };
        let drive = drive::Drive::new(spec, lumen1, stats, ends)?;
        let thread = std::thread::Builder::new().name("lumen1".into()).spawn(move || drive.run())?;
        let sound = SoundOutlet { sound, wake: wake.clone() };
        let farewell = (CloseCode::Done, String::new());
        Ok(Self { commands, events, wake, sound, pictures: Some((pictures, wishes)), farewell, thread: Some(thread) })
    }

    /// Where encoded pictures go; the first caller gets it.
    pub fn pictures(&mut self) -> Option<(Outlet, Arc<Wishes>)> {
        self.pictures.take()
    }

    /// Where sound goes.
    pub fn sound(&self) -> SoundOutlet {
        self.sound.clone()
    }

    /// What happened.
    pub fn poll(&self) -> Option<Lumen1Event> {
        self.events.try_recv().ok()
    }

    /// A datagram from `client` that the daemon got, and perhaps a socket for the next ones.
    pub fn datagram(&self, client: SocketAddr, socket: Option<UdpSocket>, bytes: Vec<u8>) {
        self.command(Command::Datagram(client, socket, bytes));
    }

    /// An answer to an input device of the client.
    pub fn answer(&self, answer: HostMessage) {
        self.command(Command::Answer(answer));
    }

    /// Where what is copied in the session goes.
    pub fn clipboard(&self) -> impl Fn(Content) + Send + 'static {
        let (commands, wake) = (self.commands.clone(), self.wake.clone());
        move |content| {
            // A thread that has ended has no client.
            let _ = commands.send(Command::Clipboard(content));
            wake.wake();
        }
    }

    /// Where the client's microphone is heard from now on.
    pub fn set_microphone(&self, inlet: MicrophoneInlet) {
        self.command(Command::Microphone(inlet));
    }

    /// What the client may use from now on, of what it took.
    pub fn restrict(&self, grants: Grants) {
        self.command(Command::Grants(grants));
    }

    /// What the client is told when the stream is dropped.
    pub fn set_farewell(&mut self, code: CloseCode, text: String) {
        self.farewell = (code, text);
    }

    fn command(&self, command: Command) {
        // A thread that has ended needs no commands.
        let _ = self.commands.send(command);
        self.wake.wake();
    }
}

impl Drop for Lumen1Stream {
    fn drop(&mut self) {
        let (code, text) = std::mem::replace(&mut self.farewell, (CloseCode::Done, String::new()));
        self.command(Command::Close(code, text));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Numbers of frames on the wire and in the encoder: they drift apart when a frame is not sent.
#[derive(Debug, Default)]
struct Numbers(VecDeque<(u32, u32)>);

impl Numbers {
    /// Frames that are remembered: more than any encoder keeps as references.
    const MOST: usize = 256;

    fn note(&mut self, wire: u32, index: u32) {
        if self.0.len() == Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back((wire, index));
    }

    /// The encoder's numbers of the frames `first..=last`; `None` if some are not remembered.
    fn range(&self, first: u32, last: u32) -> Option<(u32, u32)> {
        let index = |wire| Some(self.0[self.0.binary_search_by_key(&wire, |(wire, _)| *wire).ok()?].1);
        Some((index(first)?, index(last)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_frames_are_named_by_the_encoders_numbers() {
        let mut numbers = Numbers::default();
        for wire in 1..=1000 {
            // Every tenth frame of the encoder was not sent.
            numbers.note(wire, wire + (wire - 1) / 9);
        }
        assert_eq!(numbers.range(990, 1000), Some((990 + 989 / 9, 1000 + 999 / 9)));
        assert_eq!(numbers.range(5, 1000), None);
        assert_eq!(numbers.range(999, 1001), None);
    }
}

//! The media ports: where clients' pings arrive before a worker owns a connected socket. One native thread waits
//! on both; a ping that belongs to a session becomes a session command, everything else is dropped.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use rustix::event::{PollFd, PollFlags, poll};

use crate::net::sockets::{PortClaim, unmapped};

/// Which media stream a port carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Media {
    /// Video.
    Video,
    /// Audio.
    Audio,
}

/// The engine, as the media ports see it. Called from the media thread; must not block.
pub trait MediaEngine: Send + Sync + 'static {
    /// A datagram arrived from `client`, sent to `local`.
    fn media_datagram(&self, media: Media, datagram: &[u8], client: SocketAddr, local: Option<IpAddr>);
}

/// The two media ports.
#[derive(Debug)]
pub struct MediaSockets {
    /// Video port.
    pub video: UdpSocket,
    /// Audio port.
    pub audio: UdpSocket,
    /// That both are ours to listen on.
    pub claims: [PortClaim; 2],
}

impl MediaSockets {
    /// The socket of one medium.
    pub fn get(&self, media: Media) -> &UdpSocket {
        match media {
            Media::Video => &self.video,
            Media::Audio => &self.audio,
        }
    }
}

/// Starts the media thread. It ends when the other end of `stop` is closed.
///
/// # Errors
/// If a socket cannot be prepared or the thread not be started.
pub fn start(sockets: Arc<MediaSockets>, stop: OwnedFd, engine: Arc<dyn MediaEngine>) -> io::Result<JoinHandle<()>> {
    let states = [
        (Media::Video, UdpSocketState::new(UdpSockRef::from(&sockets.video))?),
        (Media::Audio, UdpSocketState::new(UdpSockRef::from(&sockets.audio))?),
    ];
    std::thread::Builder::new().name("media-ports".into()).spawn(move || {
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(sockets.video.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(sockets.audio.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
            ];
            if poll(&mut fds, None).is_err() {
                continue;
            }
            if !fds[2].revents().is_empty() {
                return;
            }
            for (media, state) in &states {
                drain(*media, state, sockets.get(*media), &*engine);
            }
        }
    })
}

fn drain(media: Media, state: &UdpSocketState, socket: &UdpSocket, engine: &dyn MediaEngine) {
    let mut buffer = [0; 2048];
    // Bounded, so that a flood on one port does not starve the other.
    for _ in 0..64 {
        let mut meta = [RecvMeta::default()];
        match state.recv(UdpSockRef::from(socket), &mut [IoSliceMut::new(&mut buffer)], &mut meta) {
            Ok(0) => return,
            Ok(_) => {
                for datagram in buffer[..meta[0].len].chunks(meta[0].stride.max(1)) {
                    engine.media_datagram(media, datagram, unmapped(meta[0].addr), meta[0].dst_ip);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => {}
        }
    }
}

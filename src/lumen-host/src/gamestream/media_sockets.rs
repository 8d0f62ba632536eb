//! The media ports: where clients' pings arrive before a worker owns a connected socket. One native thread waits
//! on both; a ping that belongs to a session becomes a session command, everything else is dropped.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use lumen_core::gamestream::http::Ports;
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use rustix::event::{PollFd, PollFlags, poll};

use crate::net::BindError;
use crate::net::sockets::{Sharing, bind_udp, connected, unmapped};

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
    /// A datagram arrived.
    fn media_datagram(&self, media: Media, datagram: &[u8], from: MediaPath);
}

/// Between which addresses a client's datagrams travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MediaPath {
    /// The client.
    pub client: SocketAddr,
    /// The own address that it sends to, if known.
    pub local: Option<IpAddr>,
    /// Which listener they arrive at.
    listener: usize,
}

/// The media ports, on every address that the host listens on.
#[derive(Debug)]
pub struct MediaSockets {
    video: Vec<UdpSocket>,
    audio: Vec<UdpSocket>,
}

impl MediaSockets {
    /// Opens both ports on `addresses`.
    ///
    /// # Errors
    /// [`BindError`] with the remedy.
    pub fn bind(addresses: &[IpAddr], ports: Ports) -> Result<Self, BindError> {
        let open = |service, port| -> Result<Vec<UdpSocket>, BindError> {
            addresses.iter().map(|address| bind_udp(service, *address, port, Sharing::WithConnected)).collect()
        };
        Ok(Self { video: open("video", ports.video)?, audio: open("audio", ports.audio)? })
    }

    /// A socket on the medium's port that is connected to a client.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn connected(&self, media: Media, path: MediaPath, local: Option<IpAddr>) -> io::Result<UdpSocket> {
        let listener = self.all(media).get(path.listener).ok_or(io::ErrorKind::NotFound)?;
        connected(listener, path.local.or(local), path.client)
    }

    fn all(&self, media: Media) -> &[UdpSocket] {
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
    let mut listeners = Vec::new();
    for media in [Media::Video, Media::Audio] {
        for (index, socket) in sockets.all(media).iter().enumerate() {
            listeners.push((media, index, UdpSocketState::new(UdpSockRef::from(socket))?));
        }
    }
    std::thread::Builder::new().name("media-ports".into()).spawn(move || {
        loop {
            let mut fds: Vec<_> = listeners
                .iter()
                .filter_map(|(media, index, _)| sockets.all(*media).get(*index))
                .map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN))
                .collect();
            fds.push(PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN));
            if poll(&mut fds, None).is_err() {
                continue;
            }
            if fds.last().is_some_and(|stop| !stop.revents().is_empty()) {
                return;
            }
            for (media, index, state) in &listeners {
                drain(*media, *index, state, &sockets.all(*media)[*index], &*engine);
            }
        }
    })
}

fn drain(media: Media, listener: usize, state: &UdpSocketState, socket: &UdpSocket, engine: &dyn MediaEngine) {
    let mut buffer = [0; 2048];
    // Bounded, so that a flood on one port does not starve the other.
    for _ in 0..64 {
        let mut meta = [RecvMeta::default()];
        match state.recv(UdpSockRef::from(socket), &mut [IoSliceMut::new(&mut buffer)], &mut meta) {
            Ok(0) => return,
            Ok(_) => {
                let path = MediaPath { client: unmapped(meta[0].addr), local: meta[0].dst_ip, listener };
                for datagram in buffer[..meta[0].len].chunks(meta[0].stride.max(1)) {
                    engine.media_datagram(media, datagram, path);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => {}
        }
    }
}

//! A connection that moves from one host to another, of a later process at the same address: the peer notices nothing
//! but the time in between. What was not acknowledged is repeated by whichever side sent it.

use serde::{Deserialize, Serialize};

use super::host::Host;
use super::peer::Peer;
use super::{PeerAddress, PeerId};

/// A connection between two hosts. Nobody may go on with it twice.
#[derive(Serialize, Deserialize)]
pub struct HandedOver(Box<Peer>);

/// The host that was to go on with a connection has another one in its slot: its number is part of every datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("slot {0} has another connection")]
pub struct SlotTaken(pub u16);

impl HandedOver {
    /// Where the peer is.
    pub fn address(&self) -> PeerAddress {
        self.0.address()
    }
}

impl std::fmt::Debug for HandedOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HandedOver").field(&self.address()).finish()
    }
}

impl Host {
    /// Takes an established connection away, without a word to the peer and without an event. To be called when
    /// [`Host::poll_transmit`] and [`Host::poll_event`] have nothing more. The clock must be one that the host that
    /// goes on reads as well.
    pub fn hand_over(&mut self, peer: PeerId) -> Option<HandedOver> {
        self.take(peer).map(HandedOver)
    }

    /// Goes on with a connection of an earlier host. What the peer sent meanwhile, it sends again.
    ///
    /// # Errors
    /// If its slot is not free here.
    pub fn take_over(&mut self, HandedOver(peer): HandedOver) -> Result<PeerId, SlotTaken> {
        let slot = peer.id().slot();
        self.put(*peer).ok_or(SlotTaken(slot))
    }
}

#[cfg(test)]
mod tests {
    use crate::enet::{Delivery, Event, Host, HostConfig, PeerAddress, PeerId};
    use crate::time::Timestamp;

    /// Carries datagrams between a client and a host until neither has any, and returns what the host heard.
    fn exchange(client: &mut Host, host: &mut Host, now: Timestamp) -> (Vec<Event>, Vec<Event>) {
        let at = |port: u16| PeerAddress::new(([127, 0, 0, 1], port).into());
        let (mut heard, mut answered) = (Vec::new(), Vec::new());
        loop {
            let mut quiet = true;
            while let Some(transmit) = client.poll_transmit(now) {
                let _ = host.receive(at(1), &transmit.bytes, now);
                quiet = false;
            }
            while let Some(transmit) = host.poll_transmit(now) {
                let _ = client.receive(at(2), &transmit.bytes, now);
                quiet = false;
            }
            heard.extend(std::iter::from_fn(|| host.poll_event()));
            answered.extend(std::iter::from_fn(|| client.poll_event()));
            if quiet {
                return (heard, answered);
            }
        }
    }

    fn connected() -> (Host, PeerId, Host, PeerId) {
        let mut client = Host::new(HostConfig::client(), |buffer: &mut [u8]| buffer.fill(7));
        let mut host = Host::new(HostConfig::host(), |buffer: &mut [u8]| buffer.fill(9));
        let there = client.connect(PeerAddress::new(([127, 0, 0, 1], 2).into()), 48, 5).expect("a slot");
        let (events, _) = exchange(&mut client, &mut host, Timestamp::from_millis(1));
        let [Event::Connected { peer: here, data: 5 }] = events[..] else { panic!("{events:?}") };
        (client, there, host, here)
    }

    fn texts(events: &[Event]) -> Vec<&[u8]> {
        let bytes = events.iter().map(|event| match event {
            Event::Message { bytes, .. } => bytes.as_slice(),
            other => panic!("{other:?}"),
        });
        bytes.collect()
    }

    #[test]
    fn a_connection_goes_on_in_another_host() {
        let (mut client, there, mut host, here) = connected();
        let mut now = Timestamp::from_millis(20);
        client.send(there, 3, b"one", Delivery::Reliable).expect("it takes it");
        host.send(here, 0, b"uno", Delivery::Reliable).expect("it takes it");
        let (heard, answered) = exchange(&mut client, &mut host, now);
        assert_eq!((texts(&heard), texts(&answered)), (vec![&b"one"[..]], vec![&b"uno"[..]]));

        // What is on its way when the first host goes is lost in both directions.
        host.send(here, 0, b"dos", Delivery::Reliable).expect("it takes it");
        while host.poll_transmit(now).is_some() {}
        let between = host.hand_over(here).expect("it is established");
        assert!(host.hand_over(here).is_none(), "nobody goes on with it twice");
        assert!(host.poll_event().is_none() && host.poll_transmit(now).is_none());
        client.send(there, 3, b"two", Delivery::Reliable).expect("it takes it");
        while client.poll_transmit(now).is_some() {}

        let bytes = serde_json::to_vec(&between).expect("it can be written");
        let mut next = Host::new(HostConfig::host(), |buffer: &mut [u8]| buffer.fill(11));
        let here = next.take_over(serde_json::from_slice(&bytes).expect("and read")).expect("the slot is free");
        let again = next.take_over(serde_json::from_slice(&bytes).expect("and read"));
        assert!(again.is_err(), "the slot is taken");
        client.send(there, 3, b"three", Delivery::Reliable).expect("it takes it");
        let (mut heard, mut answered) = (Vec::new(), Vec::new());
        for _ in 0..30 {
            now = now + std::time::Duration::from_millis(100);
            client.handle_timeout(now);
            next.handle_timeout(now);
            let (more, back) = exchange(&mut client, &mut next, now);
            heard.extend(more);
            answered.extend(back);
        }
        assert_eq!(texts(&heard), [&b"two"[..], b"three"]);
        assert_eq!(texts(&answered), [&b"dos"[..]]);
        next.send(here, 0, b"tres", Delivery::Reliable).expect("it takes it");
        assert_eq!(texts(&exchange(&mut client, &mut next, now).1), [&b"tres"[..]]);
    }

    #[test]
    fn only_what_is_established_is_handed_over() {
        let (_, _, mut host, here) = connected();
        host.disconnect_later(here, 0);
        assert!(host.hand_over(here).is_none());
    }
}

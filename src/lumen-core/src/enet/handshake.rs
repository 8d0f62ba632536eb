//! What two ends agree on when they connect (protocol part 3, section 1.2): session numbers, MTU, window and
//! channel count. Pure functions of the offer and the own limits.

use super::wire::{Handshake, ThrottleSettings};

/// Session number of a slot that was never used.
pub(super) const NO_SESSION: u8 = 0xFF;
/// Window without bandwidth limits, bytes.
pub(super) const MAX_WINDOW: u32 = 65_536;
const MIN_WINDOW: u32 = 4096;
const MIN_MTU: u32 = 576;
/// Largest datagram that ENet sends, bytes.
pub(super) const MAX_MTU: u32 = 4096;

/// Session numbers of one connection, or those last used in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Sessions {
    /// In datagrams from the peer.
    pub incoming: u8,
    /// In datagrams to the peer.
    pub outgoing: u8,
}

impl Sessions {
    pub const NONE: Self = Self { incoming: NO_SESSION, outgoing: NO_SESSION };

    /// Those of a new connection in a slot that used `self` last.
    pub fn next(self, offer: &Handshake) -> Self {
        Self {
            incoming: next_session(offer.outgoing_session, self.incoming),
            outgoing: next_session(offer.incoming_session, self.outgoing),
        }
    }
}

fn next_session(offered: u8, current: u8) -> u8 {
    let base = if offered == NO_SESSION { current } else { offered };
    let next = base.wrapping_add(1) & 3;
    if next == current { (next + 1) & 3 } else { next }
}

/// Sizes of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Terms {
    pub channels: u8,
    pub mtu: u16,
    pub window: u32,
}

/// What both ends agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Agreement {
    pub sessions: Sessions,
    pub terms: Terms,
}

/// The channel count is not in 1..=255.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadChannelCount;

impl Terms {
    /// What remains of an offer, or of a grant, under the own limits.
    pub fn agree(offer: &Handshake, channel_limit: u8, mtu: u16) -> Result<Self, BadChannelCount> {
        let channels = u8::try_from(offer.channels).ok().filter(|&count| count > 0).ok_or(BadChannelCount)?;
        Ok(Self {
            channels: channels.min(channel_limit.max(1)),
            mtu: clamp_mtu(offer.mtu.min(mtu.into())),
            window: offer.window.clamp(MIN_WINDOW, MAX_WINDOW),
        })
    }
}

/// A valid MTU.
pub(super) fn clamp_mtu(mtu: u32) -> u16 {
    mtu.clamp(MIN_MTU, MAX_MTU) as u16
}

/// The window for a peer that can take `bandwidth` bytes per second; 0 is unlimited.
pub(super) fn window_for_bandwidth(bandwidth: u32) -> u32 {
    if bandwidth == 0 {
        MAX_WINDOW
    } else {
        (bandwidth / MAX_WINDOW).saturating_mul(MIN_WINDOW).clamp(MIN_WINDOW, MAX_WINDOW)
    }
}

/// The offer, or the grant, of one end without bandwidth limits.
pub(super) fn handshake(
    slot: u16,
    incoming_session: u8,
    outgoing_session: u8,
    terms: Terms,
    throttle: ThrottleSettings,
    connect_id: [u8; 4],
) -> Handshake {
    Handshake {
        slot,
        incoming_session,
        outgoing_session,
        mtu: terms.mtu.into(),
        window: terms.window,
        channels: terms.channels.into(),
        incoming_bandwidth: 0,
        outgoing_bandwidth: 0,
        throttle,
        connect_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_stay_within_bounds() {
        assert_eq!(window_for_bandwidth(0), MAX_WINDOW);
        assert_eq!(window_for_bandwidth(1), MIN_WINDOW);
        assert_eq!(window_for_bandwidth(u32::MAX), MAX_WINDOW);
    }
}

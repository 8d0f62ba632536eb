//! Which coded stream carries which channel.

/// Most channels a layout may have here (7.1).
pub const MAX_CHANNELS: usize = 8;

/// Why a layout is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// There are no channels, or more than [`MAX_CHANNELS`].
    #[error("an Opus layout has 1 to {MAX_CHANNELS} channels, not {0}")]
    Channels(usize),
    /// The streams cannot carry the channels.
    #[error("{streams} streams of which {coupled} are coupled cannot carry {channels} channels")]
    Streams {
        /// Streams.
        streams: u8,
        /// Coupled streams among them.
        coupled: u8,
        /// Channels.
        channels: usize,
    },
    /// A channel is mapped to a coded channel that does not exist.
    #[error("channel {channel} is mapped to coded channel {coded}, of which there are fewer")]
    Mapping {
        /// Channel, from 0.
        channel: usize,
        /// Coded channel, from 0.
        coded: u8,
    },
}

/// Streams, coupled streams and the mapping of channels to coded channels (RFC 7845, section 5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    channels: u8,
    streams: u8,
    coupled: u8,
    mapping: [u8; MAX_CHANNELS],
}

impl Layout {
    /// A layout of `streams` streams, the first `coupled` of them stereo; `mapping[c]` is the coded channel of
    /// channel `c`.
    ///
    /// # Errors
    /// [`LayoutError`] unless every channel has a coded channel that exists and every coded channel can be used.
    pub const fn new(streams: u8, coupled: u8, mapping: &[u8]) -> Result<Self, LayoutError> {
        let channels = mapping.len();
        if channels == 0 || channels > MAX_CHANNELS {
            return Err(LayoutError::Channels(channels));
        }
        if streams == 0 || coupled > streams || streams as usize + coupled as usize != channels {
            return Err(LayoutError::Streams { streams, coupled, channels });
        }
        let mut map = [0; MAX_CHANNELS];
        let mut channel = 0;
        while channel < channels {
            let coded = mapping[channel];
            if coded as usize >= channels {
                return Err(LayoutError::Mapping { channel, coded });
            }
            map[channel] = coded;
            channel += 1;
        }
        Ok(Self { channels: channels as u8, streams, coupled, mapping: map })
    }

    /// Channels.
    pub const fn channels(&self) -> u8 {
        self.channels
    }

    /// Streams in all.
    pub const fn streams(&self) -> u8 {
        self.streams
    }

    /// Streams that carry two channels; they come first.
    pub const fn coupled(&self) -> u8 {
        self.coupled
    }

    /// The coded channel of each channel.
    pub fn mapping(&self) -> &[u8] {
        &self.mapping[..usize::from(self.channels)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_that_carry_their_channels_are_accepted() {
        let layout = Layout::new(4, 2, &[0, 1, 4, 5, 2, 3]).unwrap();
        assert_eq!((layout.channels(), layout.streams(), layout.coupled()), (6, 4, 2));
        assert_eq!(layout.mapping(), [0, 1, 4, 5, 2, 3]);
    }

    #[test]
    fn layouts_that_cannot_be_are_refused() {
        assert_eq!(Layout::new(1, 1, &[]), Err(LayoutError::Channels(0)));
        assert_eq!(Layout::new(9, 0, &[0; 9]), Err(LayoutError::Channels(9)));
        assert_eq!(Layout::new(1, 2, &[0, 1, 2]), Err(LayoutError::Streams { streams: 1, coupled: 2, channels: 3 }));
        assert_eq!(Layout::new(1, 1, &[0, 2]), Err(LayoutError::Mapping { channel: 1, coded: 2 }));
    }
}

//! Opus layouts of surround sound as digits (protocol part 1, section 5.5; part 2, section 5.2).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a layout cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SurroundError {
    /// The digits do not describe a layout.
    #[error("not a valid surround layout")]
    BadSurroundParams,
}

/// Which of the two layouts of a channel count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SurroundQuality {
    /// The first; clients rotate its mapping.
    Normal,
    /// The second; used as it is.
    High,
}

/// How Opus streams make up channels, in the order FL FR FC LFE BL BR SL SR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpusLayout {
    channels: u8,
    streams: u8,
    coupled: u8,
    mapping: [u8; 8],
}

impl OpusLayout {
    /// Stereo, both qualities.
    pub const STEREO: Self = Self::identity(2, 1, 1);
    /// 5.1, normal quality.
    pub const SURROUND_51_NORMAL: Self = Self::identity(6, 4, 2);
    /// 5.1, high quality.
    pub const SURROUND_51_HIGH: Self = Self::identity(6, 6, 0);
    /// 7.1, normal quality.
    pub const SURROUND_71_NORMAL: Self = Self::identity(8, 5, 3);
    /// 7.1, high quality.
    pub const SURROUND_71_HIGH: Self = Self::identity(8, 8, 0);
    /// What clients fall back to for 5.1 if the host announces nothing.
    pub const SURROUND_51_FALLBACK: Self =
        Self { channels: 6, streams: 4, coupled: 2, mapping: [0, 4, 1, 5, 2, 3, 0, 0] };

    /// A layout of 2, 6 or 8 channels.
    ///
    /// # Errors
    /// [`SurroundError`] if the numbers do not fit each other.
    pub fn new(streams: u8, coupled: u8, mapping: &[u8]) -> Result<Self, SurroundError> {
        let channels = u8::try_from(mapping.len()).map_err(|_| SurroundError::BadSurroundParams)?;
        let fits = matches!(channels, 2 | 6 | 8)
            && streams.checked_add(coupled) == Some(channels)
            && mapping.iter().all(|entry| *entry < channels);
        if !fits {
            return Err(SurroundError::BadSurroundParams);
        }
        let mut padded = [0; 8];
        padded.iter_mut().zip(mapping).for_each(|(slot, entry)| *slot = *entry);
        Ok(Self { channels, streams, coupled, mapping: padded })
    }

    /// Number of channels: 2, 6 or 8.
    pub const fn channels(&self) -> u8 {
        self.channels
    }

    /// Number of Opus streams.
    pub const fn streams(&self) -> u8 {
        self.streams
    }

    /// How many of them carry two channels.
    pub const fn coupled(&self) -> u8 {
        self.coupled
    }

    /// Coded channel of each output channel.
    pub fn mapping(&self) -> &[u8] {
        &self.mapping[..usize::from(self.channels)]
    }

    const fn identity(channels: u8, streams: u8, coupled: u8) -> Self {
        Self { channels, streams, coupled, mapping: [0, 1, 2, 3, 4, 5, 6, 7] }.trimmed()
    }

    /// Zeros behind the last channel, so that equal layouts compare equal.
    const fn trimmed(mut self) -> Self {
        let mut index = self.channels as usize;
        while index < self.mapping.len() {
            self.mapping[index] = 0;
            index += 1;
        }
        self
    }
}

/// A layout as digits: channels, streams, coupled, then the mapping. Validated, and kept as it was written: what it
/// means depends on the [`SurroundQuality`] it is announced for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurroundParams {
    written: OpusLayout,
}

impl SurroundParams {
    /// Digits that announce `layout`: for normal quality the client moves the last entry to index 3, so index 3 is
    /// written last.
    pub fn announcing(layout: OpusLayout, quality: SurroundQuality) -> Self {
        let mut written = layout;
        if quality == SurroundQuality::Normal && layout.channels > 2 {
            written.mapping[3..usize::from(layout.channels)].rotate_left(1);
        }
        Self { written }
    }

    /// Reads digits.
    ///
    /// # Errors
    /// [`SurroundError`] if they do not describe a layout.
    pub fn parse(text: &str) -> Result<Self, SurroundError> {
        // A valid text has at most 11 digits; anything longer is not worth a buffer.
        if text.len() > 11 {
            return Err(SurroundError::BadSurroundParams);
        }
        let digits = text.chars().map(|digit| digit.to_digit(10).and_then(|digit| u8::try_from(digit).ok()));
        let digits = digits.collect::<Option<Vec<u8>>>().ok_or(SurroundError::BadSurroundParams)?;
        match digits.as_slice() {
            [channels, streams, coupled, mapping @ ..] if usize::from(*channels) == mapping.len() => {
                OpusLayout::new(*streams, *coupled, mapping).map(|written| Self { written })
            }
            _ => Err(SurroundError::BadSurroundParams),
        }
    }

    /// Reads `surroundParams` of a launch request, where only surround makes sense (section 4.3).
    ///
    /// # Errors
    /// [`SurroundError`] if it must be ignored.
    pub fn from_client(text: &str) -> Result<Self, SurroundError> {
        match Self::parse(text)? {
            params if params.channels() > 2 => Ok(params),
            _ => Err(SurroundError::BadSurroundParams),
        }
    }

    /// Number of channels: 2, 6 or 8.
    pub const fn channels(&self) -> u8 {
        self.written.channels
    }

    /// The layout that a client uses when it reads these digits for a quality. An encoder with this layout makes what
    /// that client decodes.
    pub fn layout(&self, quality: SurroundQuality) -> OpusLayout {
        let mut layout = self.written;
        if quality == SurroundQuality::Normal && layout.channels > 2 {
            layout.mapping[3..usize::from(layout.channels)].rotate_right(1);
        }
        layout
    }
}

impl fmt::Display for SurroundParams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OpusLayout { channels, streams, coupled, .. } = self.written;
        write!(formatter, "{channels}{streams}{coupled}")?;
        self.written.mapping().iter().try_for_each(|entry| write!(formatter, "{entry}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_six_standard_lines_read_as_in_the_document() {
        let text = |layout, quality| SurroundParams::announcing(layout, quality).to_string();
        assert_eq!(text(OpusLayout::STEREO, SurroundQuality::Normal), "21101");
        assert_eq!(text(OpusLayout::SURROUND_51_NORMAL, SurroundQuality::Normal), "642012453");
        assert_eq!(text(OpusLayout::SURROUND_51_HIGH, SurroundQuality::High), "660012345");
        assert_eq!(text(OpusLayout::SURROUND_71_NORMAL, SurroundQuality::Normal), "85301245673");
        assert_eq!(text(OpusLayout::SURROUND_71_HIGH, SurroundQuality::High), "88001234567");
    }

    proptest! {
        #[test]
        fn a_client_reads_back_what_was_announced(six in any::<bool>(), coupled in 0u8..=3, raw in any::<[u8; 8]>(), high in any::<bool>()) {
            let channels = if six { 6u8 } else { 8 };
            let mapping: Vec<u8> = raw.iter().take(usize::from(channels)).map(|entry| entry % channels).collect();
            let layout = OpusLayout::new(channels - coupled, coupled, &mapping).unwrap();
            let quality = if high { SurroundQuality::High } else { SurroundQuality::Normal };
            let text = SurroundParams::announcing(layout, quality).to_string();
            prop_assert_eq!(SurroundParams::parse(&text).unwrap().layout(quality), layout);
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,20}", digits in "[0-9]{0,14}") {
            let _ = SurroundParams::parse(&text);
            let _ = SurroundParams::parse(&digits);
        }
    }
}

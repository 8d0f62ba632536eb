//! Bitrate rules: what a client announces for the user's choice, and what the encoder gets of it (protocol part 1,
//! section 5.7). All numbers are kbit/s.

use super::AudioQuality;

/// The steps from the user's bitrate to the encoder's, in kbit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitrateSteps {
    /// What is left when parity is paid for.
    pub after_fec: u32,
    /// What is left when sound is paid for.
    pub after_audio: u32,
    /// The encoder's share.
    pub encoder: u32,
}

/// The encoder's share of `configured` kbit/s, with `fec_percentage` of parity beside it. Percentages above 80 are not
/// subtracted.
pub fn encoder_bitrate(configured: u32, fec_percentage: u8, channels: u8, quality: AudioQuality) -> BitrateSteps {
    let after_fec = match 100u64.checked_sub(u64::from(fec_percentage)) {
        Some(share) if fec_percentage <= 80 => u32::try_from(u64::from(configured) * share / 100).unwrap_or(configured),
        _ => configured,
    };
    let per_channel = match quality {
        AudioQuality::High => 256,
        AudioQuality::Normal => 96,
    };
    let after_audio = after_fec - (per_channel * u32::from(channels)).min(after_fec / 5);
    BitrateSteps { after_fec, after_audio, encoder: after_audio - (after_audio / 10).min(500) }
}

/// What a client announces for the bitrate that its user chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientBitrate {
    /// The user's choice, for `configuredBitrateKbps`.
    pub configured: u32,
    /// 80 % of it, at most 100000, for `maximumBitrateKbps` and its kin.
    pub maximum: u32,
}

impl ClientBitrate {
    /// The pair for a choice; over the internet a reserve of 500 is kept.
    pub fn for_choice(configured: u32, over_internet: bool) -> Self {
        let share = u32::try_from(u64::from(configured) * 4 / 5).unwrap_or(configured);
        let share = if over_internet && share > 500 { share - 500 } else { share };
        Self { configured, maximum: share.min(100_000) }
    }
}

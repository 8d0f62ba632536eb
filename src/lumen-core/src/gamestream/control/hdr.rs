//! HDR metadata (protocol part 2, section 4.5; part 3, section 2.5).

use crate::reader::{Reader, Short};

/// A colour as CIE 1931 x and y in units of 1/50000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Chromaticity {
    /// x · 50000.
    pub x: u16,
    /// y · 50000.
    pub y: u16,
}

/// What is known of the display that a picture was made for. Zero is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct HdrMetadata {
    /// Red primary.
    pub red: Chromaticity,
    /// Green primary.
    pub green: Chromaticity,
    /// Blue primary.
    pub blue: Chromaticity,
    /// White point.
    pub white: Chromaticity,
    /// Brightest luminance of the display in cd/m².
    pub max_display_luminance: u16,
    /// Darkest luminance of the display in 1/10000 cd/m².
    pub min_display_luminance: u16,
    /// Brightest pixel of the content in cd/m².
    pub max_content_light_level: u16,
    /// Brightest frame average of the content in cd/m².
    pub max_frame_average_light_level: u16,
    /// Brightest full white picture of the display in cd/m².
    pub max_full_frame_luminance: u16,
}

impl HdrMetadata {
    /// Nothing is known.
    pub const UNKNOWN: Self = {
        const NONE: Chromaticity = Chromaticity { x: 0, y: 0 };
        Self {
            red: NONE,
            green: NONE,
            blue: NONE,
            white: NONE,
            max_display_luminance: 0,
            min_display_luminance: 0,
            max_content_light_level: 0,
            max_frame_average_light_level: 0,
            max_full_frame_luminance: 0,
        }
    };

    /// Reads 26 bytes, little endian.
    pub(super) fn read(payload: &mut Reader<'_>) -> Result<Self, Short> {
        let mut colour = || Ok(Chromaticity { x: payload.u16_le()?, y: payload.u16_le()? });
        let [red, green, blue, white] = [colour()?, colour()?, colour()?, colour()?];
        Ok(Self {
            red,
            green,
            blue,
            white,
            max_display_luminance: payload.u16_le()?,
            min_display_luminance: payload.u16_le()?,
            max_content_light_level: payload.u16_le()?,
            max_frame_average_light_level: payload.u16_le()?,
            max_full_frame_luminance: payload.u16_le()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for field in [
            self.red.x,
            self.red.y,
            self.green.x,
            self.green.y,
            self.blue.x,
            self.blue.y,
            self.white.x,
            self.white.y,
            self.max_display_luminance,
            self.min_display_luminance,
            self.max_content_light_level,
            self.max_frame_average_light_level,
            self.max_full_frame_luminance,
        ] {
            out.extend_from_slice(&field.to_le_bytes());
        }
    }
}

//! Where everything stands on the card: one arrangement for wide pictures, one for tall ones, and a plain one for
//! pictures too small for panels. All lengths grow with the picture.

use lumen_core::strip::{StripError, StripLayout};

use super::canvas::Rect;

/// The colours of the card.
pub mod palette {
    use super::super::canvas::Color;

    /// Behind everything.
    pub const BACKGROUND: Color = Color::hex(0x12_15_1B);
    /// Lines of the grid.
    pub const GRID: Color = Color::hex(0x1C_21_29);
    /// Faces of panels.
    pub const PANEL: Color = Color::hex(0x19_1D_25);
    /// Things at rest on a panel.
    pub const REST: Color = Color::hex(0x2A_30_3B);
    /// Edges and scales.
    pub const LINE: Color = Color::hex(0x4A_53_61);
    /// What is read first.
    pub const TEXT: Color = Color::hex(0xEE_EA_E2);
    /// What is read second.
    pub const MUTED: Color = Color::hex(0x8D_96_A5);
    /// Light: what moves, is held or flashes.
    pub const ACCENT: Color = Color::hex(0xF7_BC_45);
    /// The other light: gamepads and fingers.
    pub const COOL: Color = Color::hex(0x63_C5_C9);
}

/// Places of everything, in pixels.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The whole picture.
    pub picture: Rect,
    /// The picture below the strip: what pointers and fingers may be drawn on.
    pub open: Rect,
    /// The strip's cells.
    pub strip: StripLayout,
    /// Pixels to one unit of the design, which is made for 1280x720.
    pub scale: f32,
    /// Upper left corner of the title.
    pub title: (f32, f32),
    /// What is said about the session; its upper right corner.
    pub facts: (f32, f32),
    /// The round clock.
    pub dial: Dial,
    /// Keyboard, mouse, touch and pen.
    pub desk: Option<Rect>,
    /// Gamepads.
    pub pads: Option<Rect>,
    /// The ruler with the moving block.
    pub track: Rect,
    /// Colour bars.
    pub bars: Rect,
    /// Grey and colour ramps and fine patterns.
    pub ramps: Rect,
}

/// The round clock.
#[derive(Debug, Clone, Copy)]
pub struct Dial {
    /// Centre.
    pub x: f32,
    /// Centre.
    pub y: f32,
    /// Radius of the outer circle.
    pub radius: f32,
}

impl Layout {
    /// The layout of a picture.
    ///
    /// # Errors
    /// [`StripError::PictureTooSmall`] if not even the strip has room.
    pub fn new(width: u32, height: u32) -> Result<Self, StripError> {
        let strip = StripLayout::for_picture(width, height)?;
        let picture = Rect::new(0, 0, width as i32, height as i32);
        let top = strip.height() as i32;
        let open = Rect { y: top, h: picture.h - top, ..picture };
        let frame = Frame { picture, open, strip };
        Ok(if height > width {
            frame.tall()
        } else if width < 900 || height < 500 {
            frame.plain()
        } else {
            frame.wide()
        })
    }

    /// A length of the design in pixels.
    pub fn px(&self, units: f32) -> f32 {
        units * self.scale
    }

    /// A length of the design in whole pixels, at least one.
    pub fn whole(&self, units: f32) -> i32 {
        (self.px(units).round() as i32).max(1)
    }
}

/// What all arrangements begin with.
struct Frame {
    picture: Rect,
    open: Rect,
    strip: StripLayout,
}

impl Frame {
    /// Title and panels left and right of the dial, bars along the lower edge.
    fn wide(self) -> Layout {
        let scale = (self.picture.w as f32 / 1280.0).min(self.open.h as f32 / 672.0);
        let unit = |units: f32| (units * scale).round() as i32;
        let Frame { picture, open, strip } = self;
        let margin = unit(32.0);
        let bottom = picture.h - unit(24.0);
        let ramps = Rect::new(margin, bottom - unit(40.0), picture.w - 2 * margin, unit(40.0));
        let bars = Rect { y: ramps.y - unit(10.0) - unit(64.0), h: unit(64.0), ..ramps };
        let track = Rect { y: bars.y - unit(14.0) - unit(22.0), h: unit(22.0), ..ramps };
        let upper = Rect { y: open.y + unit(16.0), h: track.y - unit(16.0) - open.y - unit(16.0), ..ramps };
        let panel = Rect { y: upper.y + unit(92.0), w: unit(368.0), h: upper.h - unit(92.0), ..upper };
        let room = upper.w - 2 * (panel.w + unit(20.0));
        Layout {
            picture,
            open,
            strip,
            scale,
            title: (upper.x as f32, upper.y as f32),
            facts: (upper.right() as f32, upper.y as f32),
            dial: Dial {
                x: picture.w as f32 / 2.0,
                y: (upper.y + upper.h / 2) as f32,
                radius: upper.h.min(room) as f32 / 2.0,
            },
            desk: Some(panel),
            pads: Some(Rect { x: upper.right() - panel.w, ..panel }),
            track,
            bars,
            ramps,
        }
    }

    /// Everything below one another.
    fn tall(self) -> Layout {
        let full = (self.picture.w as f32 / 408.0).min(self.open.h as f32 / 1096.0);
        let bare = (self.picture.w as f32 / 432.0).min(self.open.h as f32 / 700.0);
        // Panels smaller than this could not be read.
        let with_panels = full >= 0.9;
        let scale = if with_panels { full } else { bare };
        let unit = |units: f32| (units * scale).round() as i32;
        let Frame { picture, open, strip } = self;
        let margin = unit(20.0);
        let bottom = picture.h - unit(20.0);
        let ramps = Rect::new(margin, bottom - unit(28.0), picture.w - 2 * margin, unit(28.0));
        let bars = Rect { y: ramps.y - unit(6.0) - unit(36.0), h: unit(36.0), ..ramps };
        let track = Rect { y: bars.y - unit(10.0) - unit(18.0), h: unit(18.0), ..ramps };
        let upper = Rect { y: open.y + unit(14.0), h: track.y - unit(12.0) - open.y - unit(14.0), ..ramps };
        let panels = with_panels.then(|| {
            let width = unit(460.0).min(upper.w);
            let (desk, pads) = (unit(268.0), unit(312.0));
            let pads = Rect { x: upper.x + (upper.w - width) / 2, y: upper.bottom() - pads, w: width, h: pads };
            (Rect { y: pads.y - unit(12.0) - desk, h: desk, ..pads }, pads)
        });
        let floor = panels.map_or(upper.bottom(), |(desk, _)| desk.y - unit(12.0));
        let ceiling = upper.y + unit(88.0);
        let radius = upper.w.min(floor - ceiling) as f32 / 2.0;
        Layout {
            picture,
            open,
            strip,
            scale,
            title: (upper.x as f32, upper.y as f32),
            facts: (upper.right() as f32, upper.y as f32),
            dial: Dial { x: picture.w as f32 / 2.0, y: (ceiling + floor) as f32 / 2.0, radius },
            desk: panels.map(|(desk, _)| desk),
            pads: panels.map(|(_, pads)| pads),
            track,
            bars,
            ramps,
        }
    }

    /// Title, dial and bars.
    fn plain(self) -> Layout {
        let Frame { picture, open, strip } = self;
        let scale = (picture.w as f32 / 640.0).min(open.h as f32 / 336.0);
        let unit = |units: f32| (units * scale).round() as i32;
        let margin = unit(16.0);
        let bottom = picture.h - unit(10.0);
        let ramps = Rect::new(margin, bottom - unit(18.0), picture.w - 2 * margin, unit(18.0));
        let bars = Rect { y: ramps.y - unit(4.0) - unit(32.0), h: unit(32.0), ..ramps };
        let track = Rect { y: bars.y - unit(6.0) - unit(12.0), h: unit(12.0), ..ramps };
        let upper = Rect { y: open.y + unit(8.0), h: track.y - unit(6.0) - open.y - unit(8.0), ..ramps };
        Layout {
            picture,
            open,
            strip,
            scale,
            title: (upper.x as f32, upper.y as f32),
            facts: (upper.right() as f32, upper.y as f32),
            dial: Dial { x: picture.w as f32 / 2.0, y: (upper.y + upper.h / 2) as f32, radius: upper.h as f32 / 2.0 },
            desk: None,
            pads: None,
            track,
            bars,
            ramps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_fits_and_nothing_overlaps_at_any_size() {
        let sizes = [
            (320, 180),
            (640, 360),
            (640, 480),
            (853, 481),
            (1024, 768),
            (1280, 720),
            (1280, 800),
            (1366, 768),
            (1920, 1080),
            (2560, 1080),
            (3840, 2160),
            (7680, 4320),
            (1080, 1920),
            (1179, 2556),
            (360, 640),
            (900, 900),
        ];
        for (width, height) in sizes {
            let layout = Layout::new(width, height).unwrap();
            let dial = layout.dial;
            let round = Rect::new(
                (dial.x - dial.radius).ceil() as i32,
                (dial.y - dial.radius).ceil() as i32,
                (dial.radius * 2.0) as i32,
                (dial.radius * 2.0) as i32,
            );
            let mut places = vec![round, layout.track, layout.bars, layout.ramps];
            places.extend(layout.desk);
            places.extend(layout.pads);
            for (index, place) in places.iter().enumerate() {
                assert!(!place.is_empty() && layout.open.contains(*place), "{width}x{height}: {index} {place:?}");
                for (other_index, other) in places[..index].iter().enumerate() {
                    assert!(place.intersect(*other).is_empty(), "{width}x{height}: {index} over {other_index}");
                }
            }
        }
    }
}

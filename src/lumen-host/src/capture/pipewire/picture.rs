//! Pixels of a PipeWire buffer, made into a picture: order of the bytes, crop, rotation, cursor. Pure functions; what
//! does not fit its buffer is refused, never read.

use crate::capture::mailbox::Size;
use crate::frame::CpuImage;

/// Bytes of a pixel.
const PIXEL: usize = 4;

/// Where the colours are in a pixel of four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Blue first, as our pictures have it.
    BlueFirst,
    /// Red first.
    RedFirst,
}

/// Part of a buffer, in its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Pixels from the left edge.
    pub x: u32,
    /// Lines from the top.
    pub y: u32,
    /// Its size.
    pub size: Size,
}

/// How the picture lies in its buffer: flipped first, then turned against the clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transform {
    /// Quarter turns against the clock, 0..=3.
    pub quarters: u8,
    /// Mirrored left to right before it was turned.
    pub flip: Flip,
}

/// Whether a picture is mirrored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flip {
    /// It is not.
    #[default]
    No,
    /// Left to right.
    Yes,
}

impl Transform {
    /// From the number that SPA and wl_output give it; unknown ones are none.
    pub const fn from_number(number: u32) -> Self {
        match number {
            0..=3 => Self { quarters: number as u8, flip: Flip::No },
            4..=7 => Self { quarters: number as u8 - 4, flip: Flip::Yes },
            _ => Self { quarters: 0, flip: Flip::No },
        }
    }

    /// Size of the picture that lies in a region of `size`.
    pub const fn shown(self, size: Size) -> Size {
        if self.quarters.is_multiple_of(2) { size } else { Size { width: size.height, height: size.width } }
    }

    /// Where in the region a pixel of the picture (of size `shown`) lies.
    const fn locate(self, shown: Size, x: u32, y: u32) -> (u32, u32) {
        let x = match self.flip {
            Flip::No => x,
            Flip::Yes => shown.width - 1 - x,
        };
        match self.quarters {
            0 => (x, y),
            1 => (y, shown.width - 1 - x),
            2 => (shown.width - 1 - x, shown.height - 1 - y),
            _ => (shown.height - 1 - y, x),
        }
    }
}

/// Pixels in somebody else's memory.
#[derive(Debug, Clone, Copy)]
pub struct Pixels<'a> {
    /// All bytes from the first pixel on.
    pub bytes: &'a [u8],
    /// Bytes from one line to the next.
    pub stride: usize,
    /// Size of the whole buffer.
    pub size: Size,
    /// Order of the colours.
    pub order: Order,
}

impl<'a> Pixels<'a> {
    /// `None` if a line or the last pixel would lie outside of the bytes.
    pub fn new(bytes: &'a [u8], stride: usize, size: Size, order: Order) -> Option<Self> {
        let line = size.width as usize * PIXEL;
        let needed = stride.checked_mul((size.height as usize).checked_sub(1)?)?.checked_add(line)?;
        (size.width > 0 && stride >= line && bytes.len() >= needed).then_some(Self { bytes, stride, size, order })
    }

    /// The region, cut to the buffer; all of it where nothing would be left.
    pub fn cut(&self, region: Option<Region>) -> Region {
        let whole = Region { x: 0, y: 0, size: self.size };
        let Some(region) = region else { return whole };
        let width = region.size.width.min(self.size.width.saturating_sub(region.x));
        let height = region.size.height.min(self.size.height.saturating_sub(region.y));
        if width == 0 || height == 0 { whole } else { Region { size: Size { width, height }, ..region } }
    }

    /// Copies `region`, which [`Pixels::cut`] gave, into `picture`, which has the size that `transform` shows it at.
    pub fn copy(&self, region: Region, transform: Transform, picture: &mut CpuImage) {
        let shown = Size { width: picture.width, height: picture.height };
        let start = |x: u32, y: u32| (region.y + y) as usize * self.stride + (region.x + x) as usize * PIXEL;
        for (y, line) in (0..).zip(picture.data.chunks_exact_mut(picture.stride)) {
            let line = &mut line[..shown.width as usize * PIXEL];
            if transform == Transform::default() {
                line.copy_from_slice(&self.bytes[start(0, y)..][..line.len()]);
            } else {
                for (x, pixel) in (0..).zip(line.chunks_exact_mut(PIXEL)) {
                    let (from_x, from_y) = transform.locate(shown, x, y);
                    pixel.copy_from_slice(&self.bytes[start(from_x, from_y)..][..PIXEL]);
                }
            }
            if self.order == Order::RedFirst {
                line.chunks_exact_mut(PIXEL).for_each(|pixel| pixel.swap(0, 2));
            }
        }
    }
}

/// The picture of a pointer: blue, green, red, alpha; colours are multiplied with alpha already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CursorImage {
    /// Pixels per line.
    pub width: u32,
    /// `width * 4` bytes a line.
    pub pixels: Vec<u8>,
}

/// A pointer: what it looks like and where it is. It is kept from buffer to buffer, for buffers say what changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Where its hot spot is on the picture; `None` hides it.
    pub position: Option<(i32, i32)>,
    /// The hot spot within the image.
    pub hotspot: (i32, i32),
    /// What it looks like.
    pub image: CursorImage,
}

impl Cursor {
    /// Whether it changes the picture at all.
    pub fn is_visible(&self) -> bool {
        self.position.is_some() && !self.image.pixels.is_empty()
    }

    /// Draws it.
    pub fn blend(&self, picture: &mut CpuImage) {
        let (Some((x, y)), true) = (self.position, self.image.width > 0) else { return };
        let (left, top) = (i64::from(x) - i64::from(self.hotspot.0), i64::from(y) - i64::from(self.hotspot.1));
        let lines = self.image.pixels.chunks_exact(self.image.width as usize * PIXEL);
        for (line, y) in lines.zip(top..) {
            let Some(y) = usize::try_from(y).ok().filter(|y| *y < picture.height as usize) else { continue };
            for (pixel, x) in line.chunks_exact(PIXEL).zip(left..) {
                let Some(x) = usize::try_from(x).ok().filter(|x| *x < picture.width as usize) else { continue };
                let under = &mut picture.data[y * picture.stride + x * PIXEL..][..3];
                let rest = 255 - u16::from(pixel[3]);
                for (under, over) in under.iter_mut().zip(pixel) {
                    *under = over.saturating_add(((u16::from(*under) * rest + 127) / 255) as u8);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::mailbox::Pool;

    /// Two lines of three pixels, whose blue counts from 1, in lines of 16 bytes.
    fn bytes() -> Vec<u8> {
        let mut bytes = vec![0; 32];
        for (index, blue) in (1..=6).enumerate() {
            bytes[index / 3 * 16 + index % 3 * 4] = blue;
        }
        bytes
    }

    fn shown(transform: u32, region: Option<Region>) -> (Size, Vec<u8>) {
        let bytes = bytes();
        let pixels = Pixels::new(&bytes, 16, Size { width: 3, height: 2 }, Order::BlueFirst).unwrap();
        let (region, transform) = (pixels.cut(region), Transform::from_number(transform));
        let size = transform.shown(region.size);
        let picture = Pool::default().fill(size, |picture| pixels.copy(region, transform, picture));
        (size, picture.data.chunks_exact(4).map(|pixel| pixel[0]).collect())
    }

    #[test]
    fn a_picture_that_lies_straight_is_copied_without_its_padding() {
        assert_eq!(shown(0, None), (Size { width: 3, height: 2 }, vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn a_turned_picture_is_turned_back() {
        // The buffer holds the picture turned against the clock, so it is turned with the clock.
        assert_eq!(shown(1, None), (Size { width: 2, height: 3 }, vec![4, 1, 5, 2, 6, 3]));
        assert_eq!(shown(2, None).1, [6, 5, 4, 3, 2, 1]);
        assert_eq!(shown(3, None), (Size { width: 2, height: 3 }, vec![3, 6, 2, 5, 1, 4]));
    }

    #[test]
    fn a_mirrored_picture_is_mirrored_back() {
        assert_eq!(shown(4, None).1, [3, 2, 1, 6, 5, 4]);
        assert_eq!(shown(5, None).1, [1, 4, 2, 5, 3, 6]);
        assert_eq!(shown(6, None).1, [4, 5, 6, 1, 2, 3]);
        assert_eq!(shown(7, None).1, [6, 3, 5, 2, 4, 1]);
    }

    #[test]
    fn a_crop_is_cut_to_the_buffer_and_ignored_where_nothing_is_left() {
        let region = |x, y, width, height| Some(Region { x, y, size: Size { width, height } });
        assert_eq!(shown(0, region(1, 0, 2, 1)).1, [2, 3]);
        assert_eq!(shown(0, region(1, 1, 9, 9)).1, [5, 6]);
        assert_eq!(shown(0, region(3, 0, 1, 1)).1, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_buffer_that_is_too_small_is_refused() {
        let size = Size { width: 3, height: 2 };
        assert!(Pixels::new(&[0; 27], 16, size, Order::BlueFirst).is_none());
        assert!(Pixels::new(&[0; 28], 16, size, Order::BlueFirst).is_some());
        assert!(Pixels::new(&[0; 28], 8, size, Order::BlueFirst).is_none());
        assert!(Pixels::new(&[0; 28], 16, Size { width: 3, height: 0 }, Order::BlueFirst).is_none());
    }

    #[test]
    fn red_and_blue_change_places_where_red_comes_first() {
        let pixels = Pixels::new(&[1, 2, 3, 4], 4, Size { width: 1, height: 1 }, Order::RedFirst).unwrap();
        let region = pixels.cut(None);
        let picture = Pool::default().fill(region.size, |p| pixels.copy(region, Transform::default(), p));
        assert_eq!(picture.data, [3, 2, 1, 4]);
    }

    #[test]
    fn a_cursor_is_blended_and_cut_at_the_edges() {
        let image = CursorImage { width: 2, pixels: vec![100, 100, 100, 255, 50, 50, 50, 128] };
        let mut cursor = Cursor { position: Some((1, 0)), hotspot: (1, 0), image };
        let picture = Pool::default().fill(Size { width: 2, height: 1 }, |picture| {
            picture.data.fill(200);
            cursor.blend(picture);
        });
        assert_eq!(picture.data[..3], [100; 3]);
        assert_eq!(picture.data[4..7], [150; 3]);
        cursor.position = Some((0, 0));
        let picture = Pool::default().fill(Size { width: 2, height: 1 }, |picture| {
            picture.data.fill(200);
            cursor.blend(picture);
        });
        assert_eq!((picture.data[0], picture.data[4]), (150, 200));
    }
}

//! What a buffer says about its picture, read from the bytes of its SPA metadata. The bytes are another program's:
//! every offset in them is checked.

use crate::capture::mailbox::Size;

use super::picture::{Cursor, CursorImage, Order, Region};

/// Bytes of `spa_meta_cursor`.
pub const CURSOR_BYTES: usize = 28;
/// Bytes of `spa_meta_bitmap`.
pub const BITMAP_BYTES: usize = 20;

/// `spa_meta_header`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether the picture can be shown.
    pub corrupted: bool,
    /// When it was presented, nanoseconds of the monotonic clock; zero or negative is unknown.
    pub presented: i64,
}

/// Reads `spa_meta_header`.
pub fn header(bytes: &[u8]) -> Option<Header> {
    const CORRUPTED: u32 = 1 << 1;
    let presented = i64::from_ne_bytes(bytes.get(8..16)?.try_into().ok()?);
    Some(Header { corrupted: u32_at(bytes, 0)? & CORRUPTED != 0, presented })
}

/// Reads `spa_meta_region`; an empty region means that none is given.
pub fn region(bytes: &[u8]) -> Option<Region> {
    let [x, y] = [u32_at(bytes, 0)?, u32_at(bytes, 4)?];
    let size = Size { width: u32_at(bytes, 8)?, height: u32_at(bytes, 12)? };
    (size.width > 0 && size.height > 0).then_some(Region { x, y, size })
}

/// Reads `spa_meta_videotransform`.
pub fn transform(bytes: &[u8]) -> Option<u32> {
    u32_at(bytes, 0)
}

/// Applies `spa_meta_cursor` to what is known of the pointer; says whether that changed. `order` names the order of
/// colours of a bitmap's format, or `None` for formats that are not understood.
pub fn update_cursor(cursor: &mut Cursor, bytes: &[u8], order: impl Fn(u32) -> Option<Order>) -> bool {
    let Some(next) = read_cursor(cursor, bytes, order) else { return false };
    let changed = *cursor != next;
    *cursor = next;
    changed
}

fn read_cursor(cursor: &Cursor, bytes: &[u8], order: impl Fn(u32) -> Option<Order>) -> Option<Cursor> {
    if u32_at(bytes, 0)? == 0 {
        // It is not on this picture.
        return Some(Cursor { position: None, ..cursor.clone() });
    }
    let mut next = cursor.clone();
    next.position = Some((i32_at(bytes, 8)?, i32_at(bytes, 12)?));
    let offset = u32_at(bytes, 24)? as usize;
    if offset >= CURSOR_BYTES {
        next.hotspot = (i32_at(bytes, 16)?, i32_at(bytes, 20)?);
        if let Some(image) = bytes.get(offset..).and_then(|bitmap| read_bitmap(bitmap, order)) {
            next.image = image;
        }
    }
    Some(next)
}

/// An image without pixels is one that cannot be seen.
fn read_bitmap(bytes: &[u8], order: impl Fn(u32) -> Option<Order>) -> Option<CursorImage> {
    let format = u32_at(bytes, 0)?;
    let (width, height) = (u32_at(bytes, 4)? as usize, u32_at(bytes, 8)? as usize);
    let (stride, offset) = (usize::try_from(i32_at(bytes, 12)?).ok()?, u32_at(bytes, 16)? as usize);
    if format == 0 {
        return None;
    }
    if offset < BITMAP_BYTES || width == 0 || height == 0 {
        return Some(CursorImage::default());
    }
    let order = order(format)?;
    let line = width.checked_mul(4)?;
    let pixels = bytes.get(offset..)?;
    if stride < line || pixels.len() < stride.checked_mul(height - 1)?.checked_add(line)? {
        return None;
    }
    let mut image = CursorImage { width: width as u32, pixels: Vec::with_capacity(line * height) };
    for start in (0..height).map(|y| y * stride) {
        image.pixels.extend_from_slice(&pixels[start..start + line]);
    }
    if order == Order::RedFirst {
        image.pixels.chunks_exact_mut(4).for_each(|pixel| pixel.swap(0, 2));
    }
    Some(image)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    u32_at(bytes, at).map(u32::cast_signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn any(_: u32) -> Option<Order> {
        Some(Order::RedFirst)
    }

    #[test]
    fn a_bitmap_stays_until_another_comes() {
        let mut cursor = Cursor::default();
        // id, flags, position, hotspot, offset of the bitmap; format, size, stride, offset of the pixels; one pixel.
        let mut bytes = words(&[1, 0, 10, 20, 3, 4, 28, 7, 1, 1, 4, 20]);
        bytes.extend([1, 2, 3, 4]);
        assert!(update_cursor(&mut cursor, &bytes, any));
        assert_eq!((cursor.position, cursor.hotspot), (Some((10, 20)), (3, 4)));
        assert_eq!(cursor.image, CursorImage { width: 1, pixels: vec![3, 2, 1, 4] });
        assert!(update_cursor(&mut cursor, &words(&[1, 0, 11, 21, 0, 0, 0]), any));
        assert_eq!((cursor.position, cursor.hotspot, cursor.image.pixels.len()), (Some((11, 21)), (3, 4), 4));
        assert!(!update_cursor(&mut cursor, &words(&[1, 0, 11, 21, 0, 0, 0]), any));
        assert!(update_cursor(&mut cursor, &words(&[0, 0, 0, 0, 0, 0, 0]), any));
        assert!(!cursor.is_visible());
    }

    #[test]
    fn a_bitmap_that_lies_outside_of_its_metadata_is_not_read() {
        for (stride, offset, at) in [(4, 20, 4000), (4000, 20, 28), (4, 4000, 28), (2, 20, 28), (u32::MAX, 20, 28)] {
            let mut cursor = Cursor::default();
            let mut bytes = words(&[1, 0, 0, 0, 0, 0, at, 7, 1, 2, stride, offset]);
            bytes.extend([0; 8]);
            update_cursor(&mut cursor, &bytes, any);
            assert_eq!(cursor.image, CursorImage::default(), "stride {stride}, offset {offset}, bitmap at {at}");
        }
    }

    #[test]
    fn metadata_that_is_cut_short_says_nothing() {
        assert_eq!((header(&[0; 15]), region(&[1; 15]), transform(&[0; 3])), (None, None, None));
        assert_eq!(region(&[0; 16]), None);
    }
}

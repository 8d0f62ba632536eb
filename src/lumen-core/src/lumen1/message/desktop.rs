//! Messages about the desktop beyond its picture: the pointer (section 8.5) and the clipboard (section 8.6).

use crate::reader::{Reader, Short};

/// Most pixels of a pointer's side.
const MAX_CURSOR: u16 = 512;

/// What the pointer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorShape<'a> {
    /// Names the shape to [`CursorPosition`]; a name that comes again replaces its shape.
    pub id: u32,
    /// Pixels per line, 1..=512.
    pub width: u16,
    /// Lines, 1..=512.
    pub height: u16,
    /// The pixel that points, from the left.
    pub hot_x: u16,
    /// The pixel that points, from above.
    pub hot_y: u16,
    /// Rows from above, each pixel blue, green, red, alpha; colours are multiplied by alpha.
    pub pixels: &'a [u8],
}

impl<'a> CursorShape<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Option<Self>, Short> {
        let id = reader.u32_be()?;
        let [width, height, hot_x, hot_y] = [reader.u16_be()?, reader.u16_be()?, reader.u16_be()?, reader.u16_be()?];
        let sides = 1..=MAX_CURSOR;
        if !sides.contains(&width) || !sides.contains(&height) || hot_x >= width || hot_y >= height {
            return Ok(None);
        }
        let pixels = reader.take(usize::from(width) * usize::from(height) * 4)?;
        Ok(Some(Self { id, width, height, hot_x, hot_y, pixels }))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_be_bytes());
        for value in [self.width, self.height, self.hot_x, self.hot_y] {
            out.extend_from_slice(&value.to_be_bytes());
        }
        out.extend_from_slice(self.pixels);
    }
}

/// Whether the pointer is to be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CursorVisibility {
    /// Not.
    Hidden,
    /// It is.
    Visible,
}

/// Where the pointer is. Of several that are under way the one in the packet with the highest number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorPosition {
    /// What it looks like.
    pub shape: u32,
    /// Pixels from the left edge of the picture to the pixel that points.
    pub x: i32,
    /// Pixels from the upper edge.
    pub y: i32,
    /// Whether it is to be drawn.
    pub visibility: CursorVisibility,
}

impl CursorPosition {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Short> {
        let shape = reader.u32_be()?;
        let x = i32::from_be_bytes(reader.array()?);
        let y = i32::from_be_bytes(reader.array()?);
        let visible = reader.u8()? & 1 == 1;
        let visibility = if visible { CursorVisibility::Visible } else { CursorVisibility::Hidden };
        Ok(Self { shape, x, y, visibility })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.shape.to_be_bytes());
        out.extend_from_slice(&self.x.to_be_bytes());
        out.extend_from_slice(&self.y.to_be_bytes());
        out.push(u8::from(self.visibility == CursorVisibility::Visible));
    }
}

/// What the clipboard's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClipboardFormat {
    /// UTF-8 text, lines ending in LF.
    Text,
    /// A PNG image.
    Png,
}

/// New content of the clipboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clipboard<'a> {
    /// What it is.
    pub format: ClipboardFormat,
    /// The content; UTF-8 if it is text.
    pub bytes: &'a [u8],
}

impl<'a> Clipboard<'a> {
    /// `None` for a format of a later revision.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Option<Result<Self, std::str::Utf8Error>>, Short> {
        let format = match reader.u8()? {
            1 => ClipboardFormat::Text,
            2 => ClipboardFormat::Png,
            _ => return Ok(None),
        };
        let bytes = reader.rest();
        Ok(Some(match format {
            ClipboardFormat::Text => std::str::from_utf8(bytes).map(|_| Self { format, bytes }),
            ClipboardFormat::Png => Ok(Self { format, bytes }),
        }))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(match self.format {
            ClipboardFormat::Text => 1,
            ClipboardFormat::Png => 2,
        });
        out.extend_from_slice(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_larger_than_a_pointer_or_pointing_outside_of_itself_is_refused() {
        let good = CursorShape { id: 1, width: 2, height: 3, hot_x: 1, hot_y: 2, pixels: &[7; 24] };
        let read = |shape: CursorShape<'_>| {
            let mut bytes = Vec::new();
            shape.write(&mut bytes);
            CursorShape::read(&mut Reader::new(&bytes)).map(|read| read == Some(shape))
        };
        assert_eq!(read(good), Ok(true));
        assert_eq!(read(CursorShape { width: 513, ..good }), Ok(false));
        assert_eq!(read(CursorShape { height: 0, ..good }), Ok(false));
        assert_eq!(read(CursorShape { hot_x: 2, ..good }), Ok(false));
        assert_eq!(read(CursorShape { pixels: &[7; 23], ..good }), Err(Short));
    }

    #[test]
    fn positions_left_of_the_picture_are_read_as_written() {
        let position = CursorPosition { shape: 9, x: -5, y: i32::MAX, visibility: CursorVisibility::Visible };
        let mut bytes = Vec::new();
        position.write(&mut bytes);
        assert_eq!(CursorPosition::read(&mut Reader::new(&bytes)), Ok(position));
    }
}

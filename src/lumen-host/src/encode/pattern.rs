// Moving pictures for tests and benches: a scene that slides, blocks that fly over it, and text-like lines. It knows
// nothing of this crate, so that the bench can include the file.

/// Draws picture `number` as BGRX lines of `width * 4` bytes.
pub fn draw(pixels: &mut Vec<u8>, width: usize, height: usize, number: usize) {
    pixels.resize(width * height * 4, 0);
    for (y, line) in pixels.chunks_exact_mut(width * 4).enumerate() {
        let v = y + number * 2;
        for (x, pixel) in line.chunks_exact_mut(4).enumerate() {
            let u = x + number * 3;
            let grain = ((u.wrapping_mul(2_654_435_761) ^ v.wrapping_mul(40_503)) >> 7 & 15) as u8;
            let text = (u >> 2 & 3 == 0 && v >> 3 & 1 == 0 && (u >> 4 ^ v >> 4) & 7 < 3) as u8 * 90;
            let wave = (((u >> 1) + (v >> 2)) & 127) as u8;
            pixel[0] = 40 + wave / 2 + grain;
            pixel[1] = 60 + (v >> 2 & 63) as u8 + text + grain / 2;
            pixel[2] = 70 + (u >> 3 & 63) as u8 + text / 2 + wave / 4;
            pixel[3] = 0;
        }
    }
    for block in 0..6 {
        let side = height / 8;
        let x = (number * (5 + block * 2) + block * 191) % (width - side);
        let y = (number * (3 + block) + block * 97) % (height - side);
        let colour = [(block * 83) as u8, (255 - block * 41) as u8, (block * 47 + 60) as u8, 0];
        for line in y..y + side {
            for pixel in pixels[(line * width + x) * 4..][..side * 4].chunks_exact_mut(4) {
                pixel.copy_from_slice(&colour);
            }
        }
    }
}

//! Tiles for ground that moves: soft clouds and film grain, made once. Both repeat without a seam, and no sum of the
//! two overflows.

/// Pixels that repeat to all sides without a seam.
#[derive(Debug)]
pub struct Texture {
    width: Side,
    height: Side,
    data: Vec<u8>,
}

/// A power of two: what lies beyond it is found by its lower bits.
#[derive(Debug, Clone, Copy)]
struct Side(usize);

/// Greatest difference of the grain from its middle. The clouds lie lower by as much, so that it is light and shade.
const GRAIN: u8 = 12;

/// Contrast of the grain: it differs from its middle by about a tenth of this.
const GRAIN_CONTRAST: f32 = 42.0;

/// Pixels from one computed colour of the clouds to the next.
const COARSE: usize = 4;

/// Shade, and light of two kinds. Dark enough for light type.
const DEEP: [f32; 3] = [14.0, 17.0, 25.0];
const COLD: [f32; 3] = [24.0, 62.0, 72.0];
const WARM: [f32; 3] = [70.0, 46.0, 40.0];

impl Texture {
    /// The pixels from a place on to the end of their line in the tile; at least one.
    pub fn line(&self, x: usize, y: usize) -> &[u8] {
        let start = self.height.within(y) * self.width.0;
        &self.data[(start + self.width.within(x)) * 4..(start + self.width.0) * 4]
    }
}

impl Side {
    const fn within(self, place: usize) -> usize {
        place & (self.0 - 1)
    }
}

/// Drifting light on dark water: folded noise, coloured by other noise. It is soft, so that it is computed for one pixel
/// of [`COARSE`] in both directions, and filled in between.
pub fn clouds() -> Texture {
    let (width, height) = (Side(1024), Side(512));
    let (columns, rows) = (Side(width.0 / COARSE), Side(height.0 / COARSE));
    let places = (0..columns.0 * rows.0).map(|index| (index % columns.0, index / columns.0));
    // In units of the tile's height, so that noise of whole numbers of cells repeats with it.
    let unit = |place: usize| place as f32 / rows.0 as f32;
    let colors: Vec<[f32; 3]> = places.map(|(x, y)| cloud_color(unit(x), unit(y))).collect();
    let color = |x: usize, y: usize| colors[rows.within(y) * columns.0 + columns.within(x)];
    let mut data = Vec::with_capacity(width.0 * height.0 * 4);
    for y in 0..height.0 {
        let (row, down) = (y / COARSE, (y % COARSE) as f32 / COARSE as f32);
        for x in 0..width.0 {
            let (column, across) = (x / COARSE, (x % COARSE) as f32 / COARSE as f32);
            let upper = blend(color(column, row), color(column + 1, row), across);
            let lower = blend(color(column, row + 1), color(column + 1, row + 1), across);
            let [r, g, b] = blend(upper, lower, down).map(|level| (level + 0.5) as u8 - GRAIN);
            data.extend_from_slice(&[b, g, r, 255]);
        }
    }
    Texture { width, height, data }
}

fn cloud_color(u: f32, v: f32) -> [f32; 3] {
    let [fold_x, fold_y, light, tint] = [3, 5, 7, 11].map(|seed| Noise { seed });
    let layers = |cells, count| Layers { cells, count, fade: 0.5 };
    let bend = (fold_x.layers(u, v, layers(3, 3)) - 0.5, fold_y.layers(u, v, layers(3, 3)) - 0.5);
    let level = light.layers(u + bend.0 * 0.55, v + bend.1 * 0.55, layers(3, 5));
    let level = ((level - 0.28) / 0.5).clamp(0.0, 1.0);
    let hue = ((tint.layers(u + bend.1 * 0.3, v, layers(2, 2)) - 0.4) / 0.25).clamp(0.0, 1.0);
    blend(DEEP, blend(COLD, WARM, hue), level * level)
}

fn blend(a: [f32; 3], b: [f32; 3], part: f32) -> [f32; 3] {
    std::array::from_fn(|channel| a[channel] + (b[channel] - a[channel]) * part)
}

/// Film grain, grey, from 0 to twice [`GRAIN`].
///
/// It has specks of one to eight pixels, the larger ones stronger, as details of natural pictures are: grain of single
/// pixels alone would be all or nothing to an encoder, within a few steps of its quantiser.
pub fn grain() -> Texture {
    let (width, height) = (Side(512), Side(256));
    let noise = Noise { seed: 17 };
    let mut data = Vec::with_capacity(width.0 * height.0 * 4);
    for y in 0..height.0 {
        for x in 0..width.0 {
            let (u, v) = (x as f32 / height.0 as f32, y as f32 / height.0 as f32);
            let level =
                (noise.layers(u, v, Layers { cells: height.0 as u32 / 8, count: 4, fade: 0.7 }) - 0.5) * GRAIN_CONTRAST;
            let value = (f32::from(GRAIN) + level).clamp(0.0, 2.0 * f32::from(GRAIN));
            data.extend_from_slice(&[value.round() as u8; 3]);
            data.push(0);
        }
    }
    Texture { width, height, data }
}

/// Noise of some size, and finer noise over it.
#[derive(Debug, Clone, Copy)]
struct Layers {
    /// Cells a unit of the first layer; each further one has twice as many.
    cells: u32,
    /// How many layers.
    count: u32,
    /// How strong a layer is, compared with the one before.
    fade: f32,
}

/// Smooth noise between 0 and 1 on a torus two units wide and one unit high.
#[derive(Debug, Clone, Copy)]
struct Noise {
    seed: u32,
}

impl Noise {
    fn layers(self, u: f32, v: f32, Layers { cells, count, fade }: Layers) -> f32 {
        let (mut sum, mut strength, mut total) = (0.0, 1.0, 0.0);
        for layer in 0..count {
            sum += strength * self.at(u, v, cells << layer);
            total += strength;
            strength *= fade;
        }
        sum / total
    }

    fn at(self, u: f32, v: f32, cells: u32) -> f32 {
        let (x, y) = (u * cells as f32, v * cells as f32);
        let (left, top) = (x.floor(), y.floor());
        let ease = |part: f32| part * part * part * (part * (part * 6.0 - 15.0) + 10.0);
        let (across, down) = (ease(x - left), ease(y - top));
        let corner = |dx: i32, dy: i32| {
            let x = (left as i32 + dx).rem_euclid(2 * cells as i32) as u32;
            let y = (top as i32 + dy).rem_euclid(cells as i32) as u32;
            hash(x, y, self.seed.wrapping_mul(977) + cells) as f32 / u32::MAX as f32
        };
        let mix = |a: f32, b: f32, part: f32| a + (b - a) * part;
        mix(mix(corner(0, 0), corner(1, 0), across), mix(corner(0, 1), corner(1, 1), across), down)
    }
}

/// A number that looks random.
const fn hash(x: u32, y: u32, seed: u32) -> u32 {
    let mut mixed = x.wrapping_mul(0x85EB_CA6B) ^ y.wrapping_mul(0xC2B2_AE35) ^ seed.wrapping_mul(0x27D4_EB2F);
    mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x2C1B_3C6D);
    mixed = (mixed ^ (mixed >> 12)).wrapping_mul(0x297A_2D39);
    mixed ^ (mixed >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(texture: &Texture) -> impl Iterator<Item = &[u8; 4]> {
        texture.data.as_chunks().0.iter()
    }

    #[test]
    fn clouds_are_dark_and_have_room_for_the_grain() {
        let clouds = clouds();
        let brightest = pixels(&clouds).map(|[b, g, r, _]| *b.max(g).max(r)).max();
        assert!(brightest.is_some_and(|level| level + 2 * GRAIN < 90), "{brightest:?}");
        assert!(pixels(&clouds).all(|pixel| pixel[3] == 255));
    }

    #[test]
    fn grain_is_grey_and_centred() {
        let grain = grain();
        assert!(pixels(&grain).all(|[b, g, r, x]| b == g && g == r && *x == 0 && *r <= 2 * GRAIN));
        let sum: u64 = pixels(&grain).map(|pixel| u64::from(pixel[0])).sum();
        let mean = sum as f64 / (512.0 * 256.0);
        assert!((mean - f64::from(GRAIN)).abs() < 0.5, "{mean}");
    }

    #[test]
    fn clouds_repeat_without_a_seam() {
        let clouds = clouds();
        let level = |x: usize, y: usize| i32::from(clouds.line(x, y)[1]);
        let step = |from: (usize, usize), to: (usize, usize)| (level(from.0, from.1) - level(to.0, to.1)).abs();
        let inside = (0..512).map(|y| step((500, y), (501, y))).max().unwrap();
        assert!((0..512).all(|y| step((1023, y), (1024, y)) <= inside.max(4) + 3));
        assert!((0..1024).all(|x| step((x, 511), (x, 512)) <= inside.max(4) + 3));
    }

    #[test]
    fn lines_end_with_the_tile_and_go_on_at_its_start() {
        let grain = grain();
        assert_eq!((grain.line(0, 0).len(), grain.line(511, 3).len(), grain.line(512, 256).len()), (2048, 4, 2048));
        assert_eq!(grain.line(usize::MAX, usize::MAX), grain.line(511, 255));
    }
}

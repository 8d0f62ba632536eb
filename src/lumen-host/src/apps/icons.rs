//! Icons by name, in the theme that all programs install to (Icon Theme Specification): `hicolor`, then `pixmaps`.
//! Only PNG, the largest.

use std::path::{Path, PathBuf};

use super::Surroundings;

/// Sizes that the theme has, best first.
const SIZES: [u32; 9] = [512, 256, 192, 128, 96, 72, 64, 48, 32];

/// The file of an icon that is named, or given by its path.
pub(super) fn find(name: &str, surroundings: &Surroundings) -> Option<PathBuf> {
    let png = |path: PathBuf| (path.extension().is_some_and(|kind| kind == "png") && path.is_file()).then_some(path);
    if Path::new(name).is_absolute() {
        return png(PathBuf::from(name));
    }
    // Some name the file.
    let name = name.strip_suffix(".png").unwrap_or(name);
    if name.is_empty() || name.contains('/') {
        return None;
    }
    let file = format!("{name}.png");
    let bases = || {
        let own = std::iter::once(surroundings.home.join(".icons"));
        own.chain(surroundings.data().map(|data| data.join("icons")))
    };
    let themed =
        SIZES.iter().flat_map(|size| bases().map(move |base| base.join(format!("hicolor/{size}x{size}/apps"))));
    let plain = surroundings.data().map(|data| data.join("pixmaps"));
    themed.chain(plain).map(|directory| directory.join(&file)).find_map(png)
}

//! Pictures that Vulkan itself fills or draws and hands out as dmabufs, brought in again: the only way to try tiled ones
//! without a compositor.

mod canvas;

use std::os::fd::AsFd;
use std::sync::Arc;

use self::canvas::Canvas;
use super::dmabuf::{FORMATS, Readback, pixels};
use super::{Stage, Trouble, tried, unproven};
use crate::gpu::vulkan::{Buffer, Commands, Place, Vulkan};
use crate::zerocopy::dmabuf::{Fourcc, Image, Importer, Modifier, Way, exportable, importable};

/// Sizes that are tried.
const SIZES: [(u32, u32); 3] = [(1280, 720), (641, 359), (64, 64)];

pub(super) fn stage(vulkan: &Arc<Vulkan>) -> Stage {
    const NAME: &str = "pictures of Vulkan's handed out as dmabufs and brought in";
    let all: Vec<_> = FORMATS
        .into_iter()
        .flat_map(|format| {
            let taken = importable(vulkan, format);
            let both = exportable(vulkan, format).into_iter().filter(move |modifier| taken.contains(modifier));
            both.map(move |modifier| (format, modifier))
        })
        .collect();
    if all.is_empty() {
        return unproven(NAME, "the driver hands out no images as dmabufs that it takes back");
    }
    tried(NAME, through(vulkan, &all))
}

fn through(vulkan: &Arc<Vulkan>, all: &[(Fourcc, Modifier)]) -> Result<String, Trouble> {
    let mut pictures = 0;
    let mut modifiers = Vec::new();
    let mut importer = Importer::new(vulkan)?;
    for (format, modifier) in all.iter().copied() {
        for (width, height) in SIZES {
            let context = |Trouble(reason)| Trouble(format!("{format} {modifier} {width}x{height}: {reason}"));
            pictures += once(vulkan, &mut importer, format, modifier, (width, height)).map_err(context)?;
        }
        if !modifiers.contains(&modifier.to_string()) {
            modifiers.push(modifier.to_string());
        }
    }
    let drawn = if vulkan.info.abilities.graphics { "filled and drawn" } else { "filled, for its queue does not draw" };
    Ok(format!("{pictures} pictures, {drawn}, came back as they were; modifiers {}", modifiers.join(", ")))
}

/// A picture that is filled and one that is drawn, as images and, where that can be, as buffers; how many in all.
fn once(
    vulkan: &Arc<Vulkan>,
    importer: &mut Importer,
    format: Fourcc,
    modifier: Modifier,
    (width, height): (u32, u32),
) -> Result<usize, Trouble> {
    let image = Image::exportable(vulkan, format, modifier, (width, height))?;
    let buffer = image.export()?;
    let filled = pixels(width, height, 3);
    let mut source = Buffer::new(vulkan, filled.len() as u64, Place::Host)?;
    source.bytes().copy_from_slice(&filled);
    let mut readback = Readback::new(vulkan, filled.len() as u64)?;
    let ways = if modifier == Modifier::LINEAR { &[Way::Image, Way::Buffer][..] } else { &[Way::Image] };
    let mut compare = |what: &str, wanted: &[u8]| {
        for way in ways {
            if readback.read(importer, &buffer, image.layout(), *way)? != wanted {
                return Err(Trouble(format!("what was {what} came back as another picture, as {way:?}")));
            }
        }
        Ok(ways.len())
    };
    let mut commands = Commands::new(vulkan)?;
    commands.run(None, |recording| {
        recording.barrier();
        image.fill(recording, &source);
    })?;
    let mut pictures = compare("filled", &filled)?;
    if vulkan.info.abilities.graphics {
        let canvas = Canvas::new(vulkan, &image)?;
        commands.run(None, |recording| {
            canvas.draw(recording);
            image.drawn(recording);
        })?;
        pictures += compare("drawn", &canvas.wanted())?;
    }
    importer.forget(buffer.as_fd()).map_err(|error| Trouble(error.to_string()))?;
    Ok(pictures)
}

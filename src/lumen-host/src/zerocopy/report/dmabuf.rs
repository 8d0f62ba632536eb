//! How buffers of compositors (dmabufs) are taken: buffers made here, filled by the processor with pictures of odd strides and
//! beginnings, in eight and ten bits, several in turn and of changing sizes, are brought in, copied on the device into a
//! buffer that can be handed out, and read back.

use std::os::fd::AsFd;
use std::sync::Arc;

use super::{Stage, Trouble, is_right, picture, tried, unproven};
use crate::encode::{BitDepth, Chroma, Matrix, Range};
use crate::frame::{CpuImage, PixelFormat};
use crate::gpu::vulkan::{Buffer, Commands, Place, Vulkan};
use crate::zerocopy::ZeroCopyError;
use crate::zerocopy::convert::{Converter, Target};
use crate::zerocopy::dmabuf::{Fourcc, Importer, Layout, Modifier, Way, importable};
use crate::zerocopy::kernel_buffer::{KernelBuffer, Source};

/// Formats that are tried.
pub(super) const FORMATS: [Fourcc; 4] = [Fourcc::XRGB8888, Fourcc::XBGR8888, Fourcc::XRGB2101010, Fourcc::XBGR2101010];

/// Width, height, bytes before the picture, bytes after each line. No size comes twice in a row.
const PLACES: [(u32, u32, u32, u32); 5] =
    [(1280, 720, 0, 0), (1366, 768, 4096, 256), (640, 360, 64, 64), (641, 359, 260, 36), (63, 33, 5, 3)];

/// Buffers that take turns, and how often.
const BUFFERS: usize = 3;
const TURNS: usize = 2;

/// All that is tried with dmabufs.
pub(super) fn stages(vulkan: &Arc<Vulkan>) -> Vec<Stage> {
    const NAME: &str = "buffers of compositors (dmabufs)";
    if !vulkan.info.abilities.dmabuf {
        return vec![unproven(NAME, "the driver lacks VK_EXT_external_memory_dma_buf")];
    }
    let mut stages = Vec::new();
    let reasons: Vec<_> = Source::ALL
        .into_iter()
        .filter_map(|source| {
            KernelBuffer::new(source, 1).err().map(|error| (source, format!("{}: {error}", source.path().display())))
        })
        .collect();
    let sources: Vec<_> =
        Source::ALL.into_iter().filter(|source| reasons.iter().all(|(other, _)| other != source)).collect();
    let conversion = "a dmabuf converted to NV12 and P010";
    match sources.first() {
        None => {
            let reason = reasons.into_iter().map(|(_, reason)| reason).collect::<Vec<_>>().join("; ");
            stages.push(unproven(NAME, format!("none can be made here: {reason}")));
        }
        Some(source) => {
            stages.push(tried("LINEAR dmabufs as buffers", brought_in(vulkan, &sources, Way::Buffer)));
            let name = "LINEAR dmabufs as images";
            stages.push(match FORMATS.iter().any(|format| importable(vulkan, *format).contains(&Modifier::LINEAR)) {
                true => tried(name, brought_in(vulkan, &sources, Way::Image)),
                false => unproven(name, "the driver takes no such images"),
            });
            stages.push(tried(conversion, converted(vulkan, *source)));
        }
    }
    stages.push(super::drawn::stage(vulkan));
    stages
}

/// What it takes to read a picture back.
pub(super) struct Readback {
    // Declared before what it uses.
    commands: Commands,
    shared: Buffer,
    host: Buffer,
}

impl Readback {
    pub(super) fn new(vulkan: &Arc<Vulkan>, size: u64) -> Result<Self, ZeroCopyError> {
        Ok(Self {
            commands: Commands::new(vulkan)?,
            shared: Buffer::new(vulkan, size, Place::Exportable)?,
            host: Buffer::new(vulkan, size, Place::Host)?,
        })
    }

    /// The pixels of a picture, by way of the buffer that can be handed out.
    pub(super) fn read(
        &mut self,
        importer: &mut Importer,
        buffer: impl AsFd,
        layout: &Layout,
        way: Way,
    ) -> Result<&[u8], ZeroCopyError> {
        let picture = importer.bring(buffer.as_fd(), layout, way)?;
        let (shared, host) = (&self.shared, &self.host);
        self.commands.run(None, |recording| {
            recording.barrier();
            picture.copy(recording, shared);
            recording.barrier();
            recording.copy(shared, 0, host, shared.size());
            recording.barrier();
        })?;
        Ok(&self.host.bytes()[..layout.pixels() as usize])
    }
}

/// Pixels of every kind, without gaps, that differ by `seed`.
pub(super) fn pixels(width: u32, height: u32, seed: u8) -> Vec<u8> {
    let mut data = picture(width, height, width as usize * 4).data;
    data.iter_mut().for_each(|byte| *byte = byte.wrapping_add(seed));
    data
}

/// Puts a picture into a buffer, and other bytes around it.
fn put(buffer: &mut KernelBuffer, layout: &Layout, pixels: &[u8]) -> Result<(), Trouble> {
    let (line, stride) = (layout.width as usize * 4, layout.stride as usize);
    let written = buffer.write(|bytes| {
        bytes.fill(0x5a);
        for (line, to) in pixels.chunks_exact(line).zip(bytes[layout.offset as usize..].chunks_mut(stride)) {
            to[..line.len()].copy_from_slice(line);
        }
    });
    written.map_err(|error| Trouble(format!("a buffer cannot be written: {error}")))
}

fn brought_in(vulkan: &Arc<Vulkan>, sources: &[Source], way: Way) -> Result<String, Trouble> {
    let (mut pictures, mut buffers, mut refused) = (0, 0, Vec::new());
    let mut importer = Importer::new(vulkan)?;
    for source in sources {
        for format in FORMATS {
            if way == Way::Image && !importable(vulkan, format).contains(&Modifier::LINEAR) {
                continue;
            }
            for (width, height, offset, gap) in PLACES {
                let stride = width * 4 + gap;
                let layout = Layout { format, modifier: Modifier::LINEAR, width, height, offset, stride };
                match in_turn(vulkan, &mut importer, *source, &layout, way) {
                    Ok(()) => (pictures, buffers) = (pictures + BUFFERS * TURNS, buffers + BUFFERS),
                    // Images may have to begin at multiples of what the device likes.
                    Err(Trouble(reason)) if way == Way::Image && (gap % 64 != 0 || offset % 64 != 0) => {
                        refused.push(format!("{width}x{height} at {offset}, stride {stride}: {reason}"));
                    }
                    Err(Trouble(reason)) => return Err(Trouble(format!("{format} {width}x{height}: {reason}"))),
                }
            }
        }
    }
    if importer.imports() != buffers as u64 {
        return Err(Trouble(format!("{buffers} buffers were brought in {} times", importer.imports())));
    }
    let from = sources.iter().map(|source| source.path().display().to_string()).collect::<Vec<_>>().join(" and ");
    let mut said = format!("{pictures} pictures in {buffers} buffers of {from} read back as they were");
    if let Some(first) = refused.first() {
        said.push_str(&format!("; {} odd layouts refused, the first {first}", refused.len()));
    }
    Ok(said)
}

/// Buffers of one size, each filled and read several times.
fn in_turn(
    vulkan: &Arc<Vulkan>,
    importer: &mut Importer,
    source: Source,
    layout: &Layout,
    way: Way,
) -> Result<(), Trouble> {
    let size = u64::from(layout.offset) + u64::from(layout.stride) * u64::from(layout.height);
    let made = (0..BUFFERS).map(|_| KernelBuffer::new(source, size)).collect::<Result<Vec<_>, _>>();
    let mut buffers = made.map_err(|error| Trouble(format!("no buffer of {size} bytes: {error}")))?;
    let mut readback = Readback::new(vulkan, layout.pixels())?;
    for turn in 0..TURNS {
        for (number, buffer) in buffers.iter_mut().enumerate() {
            let wanted = pixels(layout.width, layout.height, (turn * BUFFERS + number) as u8 * 40);
            put(buffer, layout, &wanted)?;
            let found = readback.read(importer, &*buffer, layout, way)?;
            if let Some(place) = found.iter().zip(&wanted).position(|(found, wanted)| found != wanted) {
                let (x, y) = (place as u32 / 4 % layout.width, place as u32 / 4 / layout.width);
                return Err(Trouble(format!("turn {turn} of buffer {number} differs at {x}, {y}")));
            }
        }
    }
    // None of another size is left.
    match importer.known() {
        BUFFERS => {}
        known => return Err(Trouble(format!("{known} buffers are known, and there are {BUFFERS}"))),
    }
    importer.forget(buffers[0].as_fd()).map_err(|error| Trouble(error.to_string()))?;
    match importer.known() {
        known if known < BUFFERS => Ok(()),
        _ => Err(Trouble("a buffer is known that was given up".to_owned())),
    }
}

/// From a dmabuf to the planes of an encoder, on the device alone.
fn converted(vulkan: &Arc<Vulkan>, source: Source) -> Result<String, Trouble> {
    let (width, height) = (1280, 720);
    let layout = Layout {
        format: Fourcc::XRGB8888,
        modifier: Modifier::LINEAR,
        width,
        height,
        offset: 64,
        stride: width * 4 + 64,
    };
    let data = pixels(width, height, 7);
    let size = u64::from(layout.offset) + u64::from(layout.stride) * u64::from(height);
    let mut buffer = KernelBuffer::new(source, size).map_err(|error| Trouble(error.to_string()))?;
    put(&mut buffer, &layout, &data)?;
    let image = CpuImage { width, height, stride: width as usize * 4, format: PixelFormat::Bgrx, data };
    let mut importer = Importer::new(vulkan)?;
    let mut worst = 0;
    for depth in [BitDepth::Eight, BitDepth::Ten] {
        let (chroma, matrix, range) = (Chroma::Yuv420, Matrix::Bt709, Range::Limited);
        let target = Target { width, height, depth, chroma, matrix, range };
        let shared = Buffer::new(vulkan, layout.pixels(), Place::Exportable)?;
        let planes = Buffer::new(vulkan, target.size(), Place::Exportable)?;
        let mut host = Buffer::new(vulkan, target.size(), Place::Host)?;
        let mut converter = Converter::new(vulkan)?;
        converter.bind(&shared, &planes);
        let mut commands = Commands::new(vulkan)?;
        let picture = importer.bring(buffer.as_fd(), &layout, Way::of(&layout))?;
        commands.run(None, |recording| {
            picture.copy(recording, &shared);
            recording.barrier();
            converter.convert(recording, &target, width * 4);
            recording.barrier();
            recording.copy(&planes, 0, &host, planes.size());
            recording.barrier();
        })?;
        worst = worst.max(is_right(&image, &target, host.bytes())?);
    }
    Ok(format!("off by {worst} at most, with one copy"))
}

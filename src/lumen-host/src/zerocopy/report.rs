//! `lumen doctor --gpu`: tries each stage of the way that pictures take on a GPU, on every GPU there is, and says what
//! works, what does not and why, and how fast it was. A person with a GPU that was never tried pastes it into a report.
//!
//! Pixels are compared with what `encode::convert` makes of them on the processor.

mod dmabuf;
mod drawn;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use lumen_ffmpeg::{PixelFormat, PlanesMut};
use serde::Serialize;

use super::ZeroCopyError;
use super::convert::{Converter, Target};
use super::cuda::Bridge;
use crate::encode::convert::convert;
use crate::encode::{BitDepth, Chroma, EncoderInfo, Matrix, Range};
use crate::frame::{CpuImage, PixelFormat as ImageFormat};
use crate::gpu::vulkan::{Buffer, Commands, DeviceInfo, Instance, Place, Timeline, Vulkan};

/// How a stage came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was tried, and it works.
    Works,
    /// It was tried, and it does not work.
    Fails,
    /// It could not be tried, so nothing is known.
    Unproven,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// What was tried.
    pub name: String,
    /// How it came out.
    pub outcome: Outcome,
    /// Figures, or the reason.
    pub detail: String,
}

/// All stages on one device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceReport {
    /// Name, driver and version.
    pub device: String,
    /// What was tried on it.
    pub stages: Vec<Stage>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GpuReport {
    /// Version of this program.
    pub lumen: &'static str,
    /// Kernel and machine.
    pub system: String,
    /// What can be encoded by the GPU, and why not.
    pub encoders: Vec<Stage>,
    /// One for each device of Vulkan; or why there is none.
    pub devices: Vec<DeviceReport>,
    /// Why Vulkan cannot be used at all.
    pub vulkan: Option<String>,
}

impl GpuReport {
    /// Everything that was tried.
    fn stages(&self) -> impl Iterator<Item = &Stage> {
        self.encoders.iter().chain(self.devices.iter().flat_map(|device| &device.stages))
    }

    /// Whether nothing that was tried failed.
    pub fn works(&self) -> bool {
        self.stages().all(|stage| stage.outcome != Outcome::Fails)
    }
}

impl fmt::Display for GpuReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, stages: &[Stage]| {
            stages.iter().try_for_each(|Stage { name, outcome, detail }| {
                let mark = match outcome {
                    Outcome::Works => "works   ",
                    Outcome::Fails => "FAILS   ",
                    Outcome::Unproven => "unproven",
                };
                writeln!(f, "  {mark}  {name}: {detail}")
            })
        };
        writeln!(f, "lumen {} on {}", self.lumen, self.system)?;
        writeln!(f, "encoders of the GPU")?;
        list(f, &self.encoders)?;
        for DeviceReport { device, stages } in &self.devices {
            writeln!(f, "{device}")?;
            list(f, stages)?;
        }
        if let Some(reason) = &self.vulkan {
            writeln!(f, "Vulkan\n  unproven  everything: {reason}")?;
        }
        let count = |outcome| self.stages().filter(|stage| stage.outcome == outcome).count();
        let (works, fails, unproven) = (count(Outcome::Works), count(Outcome::Fails), count(Outcome::Unproven));
        writeln!(f, "{works} work, {fails} fail, {unproven} unproven")
    }
}

/// How long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A few seconds.
    Short,
    /// With ten thousand frames, to see that nothing grows.
    Whole,
}

/// Sizes that are tried.
const SIZES: [(&str, u32, u32); 4] =
    [("720p", 1280, 720), ("1080p", 1920, 1080), ("1440p", 2560, 1440), ("2160p", 3840, 2160)];

/// What pictures are converted to.
const FORMATS: [(&str, BitDepth, Chroma); 4] = [
    ("NV12", BitDepth::Eight, Chroma::Yuv420),
    ("P010", BitDepth::Ten, Chroma::Yuv420),
    ("YUV444", BitDepth::Eight, Chroma::Yuv444),
    ("YUV444 10 bit", BitDepth::Ten, Chroma::Yuv444),
];

/// Times that a stage is run to measure it.
const RUNS: usize = 20;

/// Tries everything. `encoders` is what the probe of the encoders found.
pub fn examine(encoders: &anyhow::Result<Vec<EncoderInfo>>, effort: Effort) -> GpuReport {
    let uname = rustix::system::uname();
    let system = [uname.sysname(), uname.release(), uname.machine()].map(|part| part.to_string_lossy().into_owned());
    let mut report = GpuReport {
        lumen: env!("CARGO_PKG_VERSION"),
        system: system.join(" "),
        encoders: nvenc(encoders),
        devices: Vec::new(),
        vulkan: None,
    };
    match Instance::load().and_then(|instance| instance.devices()) {
        Err(error) => report.vulkan = Some(error.to_string()),
        Ok(found) => {
            for device in found {
                let info = device.info.clone();
                let stages = match device.open() {
                    Ok(vulkan) => stages(&vulkan, effort),
                    Err(error) => vec![fails("opening it", error)],
                };
                report.devices.push(DeviceReport { device: title(&info), stages });
            }
        }
    }
    report
}

fn title(info: &DeviceInfo) -> String {
    let (major, minor, patch) = info.version;
    let kind = if info.software { ", in software" } else { "" };
    format!("{} (Vulkan {major}.{minor}.{patch}, {}{kind})", info.name, info.driver)
}

fn works(name: impl Into<String>, detail: impl Into<String>) -> Stage {
    Stage { name: name.into(), outcome: Outcome::Works, detail: detail.into() }
}

fn fails(name: impl Into<String>, error: impl fmt::Display) -> Stage {
    Stage { name: name.into(), outcome: Outcome::Fails, detail: error.to_string() }
}

fn unproven(name: impl Into<String>, reason: impl fmt::Display) -> Stage {
    Stage { name: name.into(), outcome: Outcome::Unproven, detail: reason.to_string() }
}

/// A stage that says its figures, or fails.
fn tried(name: impl Into<String>, result: Result<String, Trouble>) -> Stage {
    match result {
        Ok(detail) => works(name, detail),
        Err(Trouble(reason)) => fails(name, reason),
    }
}

/// Why a stage did not work.
struct Trouble(String);

impl<E: Into<ZeroCopyError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        let error: ZeroCopyError = error.into();
        Self(error.to_string())
    }
}

fn nvenc(encoders: &anyhow::Result<Vec<EncoderInfo>>) -> Vec<Stage> {
    use crate::encode::EncoderName::Nvenc;
    let found = match encoders {
        Ok(found) => found,
        Err(error) => return vec![fails("NVENC", format!("{error:#}"))],
    };
    let mut stages: Vec<_> = found
        .iter()
        .filter(|info| info.name == Nvenc)
        .map(|info| works(info.to_string(), format!("opens; {}", info.note)))
        .collect();
    if stages.is_empty() {
        let reasons = found.iter().flat_map(|info| &info.passed_over).filter(|other| other.name == Nvenc);
        let reason = reasons.map(|other| other.reason.clone()).next().unwrap_or_else(|| "not looked for".to_owned());
        stages.push(unproven("NVENC", reason));
    }
    stages
}

/// All that is tried on one device.
fn stages(vulkan: &Arc<Vulkan>, effort: Effort) -> Vec<Stage> {
    let bridge = match Bridge::new(&vulkan.info.uuid) {
        Ok(bridge) => Ok(Arc::new(bridge)),
        Err(error) => Err(error.to_string()),
    };
    let mut stages = Vec::new();
    for (format, depth, chroma) in FORMATS {
        for (name, width, height) in SIZES {
            // In software one size says as much as all.
            if vulkan.info.software && name != "720p" {
                continue;
            }
            let target = Target { width, height, depth, chroma, matrix: Matrix::Bt709, range: Range::Limited };
            stages.push(tried(format!("{name} to {format}"), conversion(vulkan, bridge.as_ref().ok(), &target)));
        }
    }
    stages.push(tried("every matrix and range, odd sizes", matrices(vulkan)));
    stages.extend(dmabuf::stages(vulkan));
    stages.push(match &bridge {
        Ok(bridge) => tried("semaphores shared with CUDA", semaphores(vulkan, bridge)),
        Err(reason) => unproven("memory and semaphores shared with CUDA", reason),
    });
    if effort == Effort::Whole {
        stages.push(tried("10 000 frames of 1080p to NV12", endurance(vulkan, bridge.as_ref().ok())));
    }
    stages
}

/// A picture of every kind of colour, the same each time.
fn picture(width: u32, height: u32, stride: usize) -> CpuImage {
    let mut data = vec![0xa5; stride * height as usize];
    let mut state = 0x2545_f491_4f6c_dd1du64;
    for line in data.chunks_exact_mut(stride) {
        for (x, pixel) in line[..width as usize * 4].as_chunks_mut::<4>().0.iter_mut().enumerate() {
            // Runs of eight pixels, with noise between them.
            if x % 8 == 0 || state & 3 == 0 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
            }
            *pixel = (state >> 8 & 0xffff_ffff).to_le_bytes()[..4].try_into().unwrap_or([0; 4]);
        }
    }
    CpuImage { width, height, stride, format: ImageFormat::Bgrx, data }
}

/// A picture on the device, and what it takes to convert it.
struct Bench {
    vulkan: Arc<Vulkan>,
    // Declared before what they use: the end of a run that took too long is waited for before that is dropped.
    commands: Commands,
    converter: Converter,
    /// What the processor writes and reads.
    host: Buffer,
    /// The pixels on the device.
    pixels: Buffer,
    planes: Buffer,
    target: Target,
    stride: u32,
}

impl Bench {
    fn new(vulkan: &Arc<Vulkan>, target: Target, stride: u32) -> Result<Self, ZeroCopyError> {
        let pixels = u64::from(stride) * u64::from(target.height);
        let place = if vulkan.info.abilities.memory_fd { Place::Exportable } else { Place::Device };
        let mut bench = Self {
            vulkan: Arc::clone(vulkan),
            converter: Converter::new(vulkan)?,
            commands: Commands::new(vulkan)?,
            host: Buffer::new(vulkan, pixels.max(target.size()), Place::Host)?,
            pixels: Buffer::new(vulkan, pixels, Place::Device)?,
            planes: Buffer::new(vulkan, target.size(), place)?,
            target,
            stride,
        };
        bench.converter.bind(&bench.pixels, &bench.planes);
        Ok(bench)
    }

    /// Uploads, converts; nanoseconds of the copy and of the conversion, if the device has a clock.
    fn run(&mut self, image: &CpuImage) -> Result<Option<(f64, f64)>, ZeroCopyError> {
        self.host.bytes()[..image.data.len()].copy_from_slice(&image.data);
        let (host, pixels, converter) = (&self.host, &self.pixels, &self.converter);
        let (target, stride) = (&self.target, self.stride);
        self.commands.run(None, |recording| {
            recording.barrier();
            recording.mark(0);
            recording.copy(host, 0, pixels, pixels.size());
            recording.barrier();
            recording.mark(1);
            converter.convert(recording, target, stride);
            recording.barrier();
            recording.mark(2);
        })?;
        Ok(self.commands.nanoseconds(3).map(|spans| (spans[0], spans[1])))
    }

    /// Nanoseconds of a copy from device memory to device memory, and of a conversion, once for each run.
    fn measure(&mut self) -> Result<Option<(f64, f64)>, ZeroCopyError> {
        let other = Buffer::new(&self.vulkan, self.pixels.size(), Place::Device)?;
        let (mut copies, mut conversions) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let (pixels, converter, target, stride) = (&self.pixels, &self.converter, &self.target, self.stride);
            self.commands.run(None, |recording| {
                recording.mark(0);
                recording.copy(pixels, 0, &other, pixels.size());
                recording.barrier();
                recording.mark(1);
                converter.convert(recording, target, stride);
                recording.barrier();
                recording.mark(2);
            })?;
            let Some(spans) = self.commands.nanoseconds(3) else { return Ok(None) };
            copies.push(spans[0]);
            conversions.push(spans[1]);
        }
        Ok(Some((median(copies), median(conversions))))
    }

    /// The planes, by way of Vulkan.
    fn read(&mut self) -> Result<Vec<u8>, ZeroCopyError> {
        let (host, planes) = (&self.host, &self.planes);
        self.commands.run(None, |recording| {
            recording.barrier();
            recording.copy(planes, 0, host, planes.size());
            recording.barrier();
        })?;
        let size = self.planes.size() as usize;
        Ok(self.host.bytes()[..size].to_vec())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// How far the planes are from what the processor makes of the image, in code values.
fn difference(image: &CpuImage, target: &Target, planes: &[u8]) -> Result<u16, Trouble> {
    let format = match (target.depth, target.chroma) {
        (BitDepth::Eight, Chroma::Yuv420) => PixelFormat::Nv12,
        (BitDepth::Eight, Chroma::Yuv444) => PixelFormat::Yuv444,
        (BitDepth::Ten, Chroma::Yuv420) => PixelFormat::Yuv420P10,
        (BitDepth::Ten, Chroma::Yuv444) => PixelFormat::Yuv444P10,
    };
    let (width, height) = (target.width as usize, target.height as usize);
    let layout = [0, 1, 2].map(|plane| format.plane_size(plane, width, height));
    let mut wanted = layout.map(|(line, lines)| vec![0; line * lines]);
    let [y, cb, cr] = &mut wanted;
    let strides = layout.map(|(line, _)| line);
    convert(image, format, target.matrix, target.range, PlanesMut { planes: [y, cb, cr], strides })
        .map_err(|error| Trouble(error.to_string()))?;
    let pitch = target.pitch() as usize;
    let got = |line: usize, sample: usize| match target.depth {
        BitDepth::Eight => u16::from(planes[line * pitch + sample]),
        BitDepth::Ten => {
            let at = line * pitch + sample * 2;
            u16::from_le_bytes([planes[at], planes[at + 1]]) >> 6
        }
    };
    let mut worst = 0;
    for plane in 0..format.planes() {
        let (line, lines) = layout[plane];
        let samples = if target.depth == BitDepth::Ten { line / 2 } else { line };
        for y in 0..lines {
            for x in 0..samples {
                let expected = match target.depth {
                    BitDepth::Eight => u16::from(wanted[plane][y * line + x]),
                    BitDepth::Ten => {
                        u16::from_le_bytes([wanted[plane][y * line + 2 * x], wanted[plane][y * line + 2 * x + 1]])
                    }
                };
                // P010 has Cb and Cr side by side.
                let found = match format {
                    PixelFormat::Yuv420P10 if plane > 0 => got(height + y, 2 * x + plane - 1),
                    _ => got(plane * height + y, x),
                };
                worst = worst.max(found.abs_diff(expected));
            }
        }
    }
    Ok(worst)
}

/// That a conversion is right: within one code value of the processor's.
fn is_right(image: &CpuImage, target: &Target, planes: &[u8]) -> Result<u16, Trouble> {
    match difference(image, target, planes)? {
        worst @ 0..=1 => Ok(worst),
        worst => Err(Trouble(format!("a sample is off by {worst}"))),
    }
}

fn conversion(vulkan: &Arc<Vulkan>, bridge: Option<&Arc<Bridge>>, target: &Target) -> Result<String, Trouble> {
    let image = picture(target.width, target.height, target.width as usize * 4);
    let mut bench = Bench::new(vulkan, *target, target.width * 4)?;
    let upload = bench.run(&image)?;
    let planes = bench.read()?;
    let worst = is_right(&image, target, &planes)?;
    let mut said = format!("off by {worst} at most");
    if let Some(bridge) = bridge {
        let mapped = bridge.map(&bench.planes)?;
        // CUDA sees what Vulkan wrote before the mapping, and after it.
        let before = mapped.read().map_err(ZeroCopyError::from)?;
        let other = CpuImage { data: image.data.iter().map(|byte| !byte).collect(), ..image.clone() };
        bench.run(&other)?;
        let (after, by_vulkan) = (mapped.read().map_err(ZeroCopyError::from)?, bench.read()?);
        if before != planes || after != by_vulkan || before == after {
            return Err(Trouble("CUDA sees other bytes than Vulkan".to_owned()));
        }
        said.push_str(", the same bytes in CUDA");
    }
    if let (Some((upload, _)), Some((copy, conversion))) = (upload, bench.measure()?) {
        let read = bench.pixels.size() as f64;
        let moved = read + target.size() as f64;
        said.push_str(&format!(
            "; upload {:.0} us, copy {:.1} us ({:.0} GB/s read and written), conversion {:.1} us ({:.0} GB/s)",
            upload / 1e3,
            copy / 1e3,
            2.0 * read / copy,
            conversion / 1e3,
            moved / conversion
        ));
    }
    Ok(said)
}

fn matrices(vulkan: &Arc<Vulkan>) -> Result<String, Trouble> {
    let mut worst = 0;
    for (width, height) in [(66, 34), (63, 33)] {
        for (_, depth, chroma) in FORMATS {
            for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
                for range in [Range::Limited, Range::Full] {
                    // Encoders take even sizes only where chroma has half of it.
                    if width % 2 == 1 && chroma == Chroma::Yuv420 && depth == BitDepth::Eight {
                        continue;
                    }
                    let target = Target { width, height, depth, chroma, matrix, range };
                    let image = picture(width, height, width as usize * 4 + 20);
                    let mut bench = Bench::new(vulkan, target, width * 4 + 20)?;
                    bench.run(&image)?;
                    let planes = bench.read()?;
                    worst = worst.max(is_right(&image, &target, &planes)?);
                }
            }
        }
    }
    Ok(format!("off by {worst} at most"))
}

/// Vulkan and CUDA take turns, told by a semaphore alone: nobody waits on the processor but for the end.
fn semaphores(vulkan: &Arc<Vulkan>, bridge: &Arc<Bridge>) -> Result<String, Trouble> {
    const ROUNDS: u64 = 50;
    let timeline = Timeline::new(vulkan)?;
    let semaphore = bridge.semaphore(&timeline)?;
    let mut host = Buffer::new(vulkan, 1 << 20, Place::Host)?;
    let shared = Buffer::new(vulkan, 1 << 20, Place::Exportable)?;
    let mapped = bridge.map(&shared)?;
    let mut commands = Commands::new(vulkan)?;
    for round in 0..ROUNDS {
        let byte = round as u8 + 1;
        mapped.fill_in_turn(&semaphore, 2 * round, byte, 2 * round + 1).map_err(ZeroCopyError::from)?;
        commands.run(Some((&timeline, 2 * round + 1, 2 * round + 2)), |recording| {
            recording.barrier();
            recording.copy(&shared, 0, &host, shared.size());
            recording.barrier();
        })?;
        if host.bytes().iter().any(|found| *found != byte) {
            return Err(Trouble(format!("in round {round} Vulkan did not see what CUDA wrote")));
        }
    }
    Ok(format!("{ROUNDS} rounds of CUDA and Vulkan in turn"))
}

/// Memory of this process in kB: resident, not shared with files.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

/// Ten thousand frames; what they leave behind on the device and here.
fn endurance(vulkan: &Arc<Vulkan>, bridge: Option<&Arc<Bridge>>) -> Result<String, Trouble> {
    // In software a frame takes a hundred times as long, and a leak shows in fewer.
    let frames = if vulkan.info.software { 100 } else { 10_000 };
    let free = || bridge.map_or(Ok(0), |bridge| bridge.free_memory()).map_err(ZeroCopyError::from);
    let target = Target {
        width: 1920,
        height: 1080,
        depth: BitDepth::Eight,
        chroma: Chroma::Yuv420,
        matrix: Matrix::Bt709,
        range: Range::Limited,
    };
    let mut bench = Bench::new(vulkan, target, 1920 * 4)?;
    let image = picture(1920, 1080, 1920 * 4);
    bench.run(&image)?;
    let (mut begun, mut before) = (Instant::now(), (0, 0));
    for frame in 0..=frames {
        // Every hundredth is handed to CUDA anew, as after a change of size.
        if let (Some(bridge), 0) = (bridge, frame % 100) {
            drop(bridge.map(&bench.planes)?);
        }
        if frame == 1 {
            (begun, before) = (Instant::now(), (free()?, resident_kb()));
        }
        let (pixels, converter, host) = (&bench.pixels, &bench.converter, &bench.host);
        bench.commands.run(None, |recording| {
            recording.copy(host, 0, pixels, pixels.size());
            recording.barrier();
            converter.convert(recording, &target, 1920 * 4);
            recording.barrier();
        })?;
    }
    let each = begun.elapsed().as_secs_f64() * 1e6 / f64::from(frames);
    let after = (free()?, resident_kb());
    let (lost, grown) = (before.0.saturating_sub(after.0), after.1.saturating_sub(before.1));
    let said = format!(
        "{frames} frames, {each:.0} us each with upload and wait; {lost} bytes of the device and {grown} kB here not given back"
    );
    if lost > 0 || grown > 4096 { Err(Trouble(said)) } else { Ok(said) }
}

//! A program that fills its output with pictures that are known exactly: a fixed scene, a bar that moves, and the number of
//! the picture in black and white squares, so that a picture can be compared with what was drawn.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lumen_host::frame::{CpuImage, Mode};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use wayland_client::protocol::{
    wl_buffer, wl_callback, wl_compositor, wl_output, wl_pointer, wl_registry, wl_seat, wl_shm, wl_shm_pool, wl_surface,
};
use wayland_client::{Connection, Dispatch, EventQueue, QueueHandle, delegate_noop};
use wayland_protocols::xdg::shell::client::{xdg_surface, xdg_toplevel, xdg_wm_base};

/// Captured against drawn, in dB, over all pixels: they are to be the same but for rounding.
const ENOUGH: f64 = 45.0;

/// Buffers in turn; compositors hold one or two.
const BUFFERS: usize = 4;

/// Pixels of a square of the number, and how many there are.
const SQUARE: usize = 16;
const BITS: usize = 16;

/// Width of the bar, and how far it moves from picture to picture.
const BAR: usize = 48;

/// What all pictures of a size have in common.
#[derive(Default)]
pub struct Scene {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Scene {
    pub fn new(width: usize, height: usize) -> Self {
        let mut pixels = Vec::with_capacity(width * height * 4);
        for y in 0..height {
            let green = (y * 255 / height) as u8;
            for x in 0..width {
                let square = if (x / 64 + y / 64) % 2 == 0 { 0x30 } else { 0xC0 };
                pixels.extend_from_slice(&[square, green, (x * 255 / width) as u8, 0xFF]);
            }
        }
        Self { width, height, pixels }
    }

    /// The picture `number`: blue, green, red, and nothing.
    pub fn picture(&self, number: u32) -> Vec<u8> {
        let mut pixels = self.pixels.clone();
        let bar = number as usize * BAR % (self.width - BAR) * 4;
        for line in pixels.chunks_mut(self.width * 4).skip(self.height / 2) {
            line[bar..bar + BAR * 4].fill(0xE0);
        }
        for line in pixels.chunks_mut(self.width * 4).take(SQUARE) {
            for bit in 0..BITS {
                let value = if number >> bit & 1 == 1 { 0xFF } else { 0 };
                line[bit * SQUARE * 4..(bit + 1) * SQUARE * 4].fill(value);
            }
        }
        pixels
    }
}

/// The number in a picture whose pixels are found by `brightness`.
pub fn read_number(brightness: impl Fn(usize, usize) -> u8) -> Option<u32> {
    let mut number = 0;
    for bit in 0..BITS {
        match brightness(bit * SQUARE + SQUARE / 2, SQUARE / 2) {
            0..64 => {}
            192.. => number |= 1 << bit,
            _ => return None,
        }
    }
    (number > 0).then_some(number)
}

/// The number of the picture that an image shows, if it is one.
pub fn number_of(image: &CpuImage) -> Option<u32> {
    read_number(|x, y| image.data[y * image.stride + x * 4 + 1])
}

/// Peak signal to noise ratio of a picture against what was drawn, in dB.
fn psnr(image: &CpuImage, number: u32) -> f64 {
    let (width, height) = (image.width as usize, image.height as usize);
    let mut error = 0u64;
    let drawn = Scene::new(width, height).picture(number);
    for (line, drawn) in image.data.chunks(image.stride).zip(drawn.chunks(width * 4)) {
        for (pixel, drawn) in line.chunks(4).zip(drawn.chunks(4)) {
            error += (0..3).map(|part| u64::from(pixel[part].abs_diff(drawn[part])).pow(2)).sum::<u64>();
        }
    }
    let mean = error as f64 / (width * height * 3) as f64;
    if mean == 0.0 { f64::INFINITY } else { 10.0 * (255.0 * 255.0 / mean).log10() }
}

/// A picture of the program as somebody decoded it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decoded {
    pub number: u32,
    /// Its luma against that of what was drawn, in dB.
    pub likeness: f64,
}

/// Looks at decoded pictures. It compares only those that it has not seen, and whole numbers: in an emulated machine
/// all else would have to wait for it.
#[derive(Default)]
pub struct Judge {
    scene: Scene,
    last: Option<Decoded>,
}

impl Judge {
    /// What a decoded picture shows, if it is one of the program's.
    pub fn look_at(&mut self, picture: &lumen_client::picture::Picture) -> Option<Decoded> {
        let (width, height) = (picture.width(), picture.height());
        let view = picture.view();
        assert_eq!(view.format.bits(), 8);
        let (luma, stride) = (view.planes[0], view.strides[0]);
        let number = read_number(|x, y| luma[y * stride + x])?;
        if let Some(last) = self.last.filter(|last| last.number == number) {
            return Some(last);
        }
        if (self.scene.width, self.scene.height) != (width, height) {
            self.scene = Scene::new(width, height);
        }
        let mut error = 0u64;
        for (line, drawn) in luma.chunks(stride).zip(self.scene.picture(number).chunks(width * 4)) {
            for (seen, drawn) in line.iter().zip(drawn.chunks(4)) {
                error += u64::from(seen.abs_diff(luma_of(drawn))).pow(2);
            }
        }
        let mean = error as f64 / (width * height) as f64;
        let decoded = Decoded { number, likeness: 10.0 * (LUMA_SPAN * LUMA_SPAN / mean).log10() };
        self.last = Some(decoded);
        Some(decoded)
    }
}

/// From black to white in luma of limited range.
const LUMA_SPAN: f64 = 219.0;

/// BT.709, limited range, of blue, green, red.
fn luma_of(pixel: &[u8]) -> u8 {
    let [blue, green, red] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    (16 + ((11_966 * red + 40_254 * green + 4_064 * blue + 32_768) >> 16)) as u8
}

/// Whether an image is a picture of the program as it was drawn for `mode`, and a later one than `last`.
pub fn shows(image: &CpuImage, mode: Mode, last: u32) -> bool {
    if (image.width, image.height) != (mode.width, mode.height) {
        return false;
    }
    let Some(number) = number_of(image).filter(|number| *number > last) else { return false };
    let found = psnr(image, number);
    println!("picture {number} at {}x{}: {found:.1} dB", mode.width, mode.height);
    found > ENOUGH
}

/// An output of a compositor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    pub name: String,
    /// Pixels, and thousandths of a hertz.
    pub mode: (i32, i32, i32),
}

/// The outputs that there are.
pub fn outputs(socket: &Path) -> Vec<Output> {
    let (program, ..) = Program::connect(socket);
    program.outputs.into_iter().map(|(_, output)| output).collect()
}

/// Sees that an output has this mode, its rate within a fifth of a hertz.
pub fn has_mode(output: &Output, mode: Mode) {
    let (width, height, rate) = output.mode;
    assert_eq!((width as u32, height as u32), (mode.width, mode.height), "{output:?}");
    assert!((f64::from(rate) / 1000.0 - mode.fps()).abs() < 0.2, "{output:?} is not at {mode:?}");
}

/// Variables that say where the program appears.
const SOCKET: &str = "LUMEN_TEST_PAINTER_SOCKET";
const OUTPUT: &str = "LUMEN_TEST_PAINTER_OUTPUT";

/// The program. It is a process of its own: KWin leaves the windows of a process out of the pictures that it gives to
/// that process. Dropping it ends it.
pub struct Painter {
    child: Child,
}

impl Painter {
    /// Starts it on the compositor behind `socket`, over the output of this name or the one that the compositor chooses.
    pub fn start(socket: &Path, output: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("a program"));
        command.args(["--ignored", "--exact", "painter::program"]).env(SOCKET, socket).stdout(Stdio::null());
        if let Some(output) = output {
            command.env(OUTPUT, output);
        }
        Self { child: command.spawn().expect("it starts") }
    }

    /// The command that starts it as a session's own program.
    pub fn command() -> [String; 3] {
        let program = std::env::current_exe().expect("a program");
        let script = format!(
            "{SOCKET}=\"$XDG_RUNTIME_DIR/$WAYLAND_DISPLAY\" exec {} --ignored --exact painter::program",
            program.display()
        );
        ["sh".to_owned(), "-c".to_owned(), script]
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "the program of other tests"]
fn program() {
    // Among the tests there is nobody to show anything to.
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let (mut program, mut queue, _connection) = Program::connect(Path::new(&socket));
    let handle = queue.handle();
    let output = std::env::var(OUTPUT).ok().map(|name| {
        let named = program.outputs.iter().find(|(_, output)| output.name == name);
        named.unwrap_or_else(|| panic!("no output {name}")).0.clone()
    });
    let surface = program.compositor.as_ref().expect("a compositor").create_surface(&handle, ());
    let window = program.shell.as_ref().expect("a shell").get_xdg_surface(&surface, &handle, ());
    let toplevel = window.get_toplevel(&handle, ());
    toplevel.set_fullscreen(output.as_ref());
    surface.commit();
    program.surface = Some(surface);
    while queue.blocking_dispatch(&mut program).is_ok() {}
}

#[derive(Default)]
struct Program {
    compositor: Option<wl_compositor::WlCompositor>,
    shm: Option<wl_shm::WlShm>,
    shell: Option<xdg_wm_base::XdgWmBase>,
    outputs: Vec<(wl_output::WlOutput, Output)>,
    surface: Option<wl_surface::WlSurface>,
    size: (usize, usize),
    scene: Scene,
    buffers: Vec<(OwnedFd, wl_buffer::WlBuffer)>,
    number: u32,
}

impl Program {
    fn connect(socket: &Path) -> (Self, EventQueue<Self>, Connection) {
        let stream = UnixStream::connect(socket).expect("the compositor listens");
        let connection = Connection::from_socket(stream).expect("a connection");
        let mut queue = connection.new_event_queue();
        let mut program = Self { size: (640, 360), ..Self::default() };
        connection.display().get_registry(&queue.handle(), ());
        // What there is, then what it says of itself.
        for _ in 0..2 {
            queue.roundtrip(&mut program).expect("it answers");
        }
        (program, queue, connection)
    }

    fn draw(&mut self, queue: &QueueHandle<Self>) {
        let Some(surface) = self.surface.clone() else { return };
        let (width, height) = self.size;
        let [columns, lines, stride, size] =
            [width, height, width * 4, width * height * 4].map(|value| i32::try_from(value).expect("small"));
        while self.buffers.len() < BUFFERS {
            let memory = memfd_create("painter", MemfdFlags::CLOEXEC).expect("memory");
            ftruncate(&memory, size.unsigned_abs().into()).expect("memory");
            let pool = self.shm.as_ref().expect("shared memory").create_pool(memory.as_fd(), size, queue, ());
            let buffer = pool.create_buffer(0, columns, lines, stride, wl_shm::Format::Xrgb8888, queue, ());
            self.buffers.push((memory, buffer));
        }
        self.number += 1;
        let (memory, buffer) = &self.buffers[self.number as usize % BUFFERS];
        if (self.scene.width, self.scene.height) != self.size {
            self.scene = Scene::new(width, height);
        }
        rustix::io::pwrite(memory, &self.scene.picture(self.number), 0).expect("room");
        surface.attach(Some(buffer), 0, 0);
        surface.damage(0, 0, columns, lines);
        surface.frame(queue, ());
        surface.commit();
    }
}

delegate_noop!(Program: ignore wl_compositor::WlCompositor);
delegate_noop!(Program: ignore wl_surface::WlSurface);
delegate_noop!(Program: ignore wl_shm::WlShm);
delegate_noop!(Program: ignore wl_shm_pool::WlShmPool);
delegate_noop!(Program: ignore wl_buffer::WlBuffer);

impl Dispatch<wl_registry::WlRegistry, ()> for Program {
    fn event(
        program: &mut Self,
        registry: &wl_registry::WlRegistry,
        event: wl_registry::Event,
        (): &(),
        _: &Connection,
        queue: &QueueHandle<Self>,
    ) {
        let wl_registry::Event::Global { name, interface, version } = event else { return };
        match interface.as_str() {
            "wl_compositor" => program.compositor = Some(registry.bind(name, 1, queue, ())),
            "wl_shm" => program.shm = Some(registry.bind(name, 1, queue, ())),
            "xdg_wm_base" => program.shell = Some(registry.bind(name, 1, queue, ())),
            "wl_output" => program.outputs.push((registry.bind(name, version.min(4), queue, ()), Output::default())),
            "wl_seat" => {
                registry.bind::<wl_seat::WlSeat, _, _>(name, 1, queue, ());
            }
            _ => {}
        }
    }
}

impl Dispatch<wl_output::WlOutput, ()> for Program {
    fn event(
        program: &mut Self,
        proxy: &wl_output::WlOutput,
        event: wl_output::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        let Some((_, output)) = program.outputs.iter_mut().find(|(known, _)| known == proxy) else { return };
        match event {
            wl_output::Event::Name { name } => output.name = name,
            wl_output::Event::Mode { width, height, refresh, .. } => output.mode = (width, height, refresh),
            _ => {}
        }
    }
}

impl Dispatch<wl_seat::WlSeat, ()> for Program {
    fn event(
        _: &mut Self,
        seat: &wl_seat::WlSeat,
        event: wl_seat::Event,
        (): &(),
        _: &Connection,
        queue: &QueueHandle<Self>,
    ) {
        if let wl_seat::Event::Capabilities { capabilities } = event
            && capabilities.into_result().is_ok_and(|all| all.contains(wl_seat::Capability::Pointer))
        {
            seat.get_pointer(queue, ());
        }
    }
}

impl Dispatch<wl_pointer::WlPointer, ()> for Program {
    fn event(
        _: &mut Self,
        pointer: &wl_pointer::WlPointer,
        event: wl_pointer::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        // The pointer would hide what was drawn.
        if let wl_pointer::Event::Enter { serial, .. } = event {
            pointer.set_cursor(serial, None, 0, 0);
        }
    }
}

impl Dispatch<xdg_wm_base::XdgWmBase, ()> for Program {
    fn event(
        _: &mut Self,
        shell: &xdg_wm_base::XdgWmBase,
        event: xdg_wm_base::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_wm_base::Event::Ping { serial } = event {
            shell.pong(serial);
        }
    }
}

impl Dispatch<xdg_toplevel::XdgToplevel, ()> for Program {
    fn event(
        program: &mut Self,
        _: &xdg_toplevel::XdgToplevel,
        event: xdg_toplevel::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_toplevel::Event::Configure { width, height, .. } = event
            && let (Ok(width), Ok(height)) = (usize::try_from(width), usize::try_from(height))
            && width > 0
            && height > 0
            && (width, height) != program.size
        {
            program.size = (width, height);
            program.buffers.clear();
        }
    }
}

impl Dispatch<xdg_surface::XdgSurface, ()> for Program {
    fn event(
        program: &mut Self,
        window: &xdg_surface::XdgSurface,
        event: xdg_surface::Event,
        (): &(),
        _: &Connection,
        queue: &QueueHandle<Self>,
    ) {
        if let xdg_surface::Event::Configure { serial } = event {
            window.ack_configure(serial);
            if program.number == 0 {
                program.draw(queue);
            }
        }
    }
}

impl Dispatch<wl_callback::WlCallback, ()> for Program {
    fn event(
        program: &mut Self,
        _: &wl_callback::WlCallback,
        event: wl_callback::Event,
        (): &(),
        _: &Connection,
        queue: &QueueHandle<Self>,
    ) {
        if let wl_callback::Event::Done { .. } = event {
            program.draw(queue);
        }
    }
}

//! A program that draws a new picture for every frame that the compositor asks for, each in a colour that is its number.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use lumen_host::frame::CpuImage;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use wayland_client::protocol::{wl_buffer, wl_callback, wl_compositor, wl_registry, wl_shm, wl_shm_pool, wl_surface};
use wayland_client::{Connection, Dispatch, QueueHandle, delegate_noop};
use wayland_protocols::xdg::shell::client::{xdg_surface, xdg_toplevel, xdg_wm_base};

/// Buffers in turn; compositors hold one or two.
const BUFFERS: usize = 4;

/// The program, in a thread. Dropping it ends it.
pub struct Animation {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The number of the picture that an image shows; 0 if it is none of them.
pub fn number_of(image: &CpuImage) -> u32 {
    // The pointer is in the middle.
    let place = image.stride * (image.height as usize / 4) + image.width as usize / 4 * 4;
    let pixel = &image.data[place..place + 4];
    u32::from_le_bytes([pixel[0], pixel[1], pixel[2], 0])
}

impl Animation {
    /// Starts it on the compositor behind `socket`.
    pub fn start(socket: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stream = UnixStream::connect(socket).expect("the compositor listens");
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || run(stream, &stop)
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Animation {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Default)]
struct Program {
    compositor: Option<wl_compositor::WlCompositor>,
    shm: Option<wl_shm::WlShm>,
    shell: Option<xdg_wm_base::XdgWmBase>,
    surface: Option<wl_surface::WlSurface>,
    size: (i32, i32),
    buffers: Vec<(OwnedFd, wl_buffer::WlBuffer)>,
    number: u32,
}

fn run(stream: UnixStream, stop: &AtomicBool) {
    let connection = Connection::from_socket(stream).expect("a connection");
    let mut queue = connection.new_event_queue();
    let handle = queue.handle();
    let mut program = Program { size: (640, 360), ..Program::default() };
    connection.display().get_registry(&handle, ());
    queue.roundtrip(&mut program).expect("it answers");
    let surface = program.compositor.as_ref().expect("a compositor").create_surface(&handle, ());
    let window = program.shell.as_ref().expect("a shell").get_xdg_surface(&surface, &handle, ());
    let _toplevel = window.get_toplevel(&handle, ());
    surface.commit();
    program.surface = Some(surface);
    // Frame callbacks come as long as it is shown, so this returns often enough to look at `stop`.
    while !stop.load(Ordering::Relaxed) && queue.blocking_dispatch(&mut program).is_ok() {}
}

impl Program {
    fn draw(&mut self, queue: &QueueHandle<Self>) {
        let Some(surface) = self.surface.clone() else { return };
        let (width, height) = self.size;
        let size = width * height * 4;
        while self.buffers.len() < BUFFERS {
            let memory = memfd_create("animation", MemfdFlags::CLOEXEC).expect("memory");
            ftruncate(&memory, size as u64).expect("memory");
            let pool = self.shm.as_ref().expect("shared memory").create_pool(memory.as_fd(), size, queue, ());
            let buffer = pool.create_buffer(0, width, height, width * 4, wl_shm::Format::Xrgb8888, queue, ());
            self.buffers.push((memory, buffer));
        }
        self.number += 1;
        let (memory, buffer) = &self.buffers[self.number as usize % BUFFERS];
        let pixels = self.number.to_le_bytes().repeat((width * height) as usize);
        rustix::io::pwrite(memory, &pixels, 0).expect("room");
        surface.attach(Some(buffer), 0, 0);
        surface.damage(0, 0, width, height);
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
        let wl_registry::Event::Global { name, interface, .. } = event else { return };
        match interface.as_str() {
            "wl_compositor" => program.compositor = Some(registry.bind(name, 1, queue, ())),
            "wl_shm" => program.shm = Some(registry.bind(name, 1, queue, ())),
            "xdg_wm_base" => program.shell = Some(registry.bind(name, 1, queue, ())),
            _ => {}
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

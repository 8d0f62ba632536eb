//! `zwlr_screencopy_manager_v1`, from its public protocol description: each picture is a frame object that says which
//! buffer it wants, is copied into it after the next change, and says when it was shown.

use std::time::Duration;

use wayland_client::protocol::wl_output::WlOutput;
use wayland_client::{Connection, Dispatch, Proxy, QueueHandle, WEnum, delegate_noop};
use wayland_protocols_wlr::screencopy::v1::client::zwlr_screencopy_frame_v1::{Event, Flags, ZwlrScreencopyFrameV1};
use wayland_protocols_wlr::screencopy::v1::client::zwlr_screencopy_manager_v1::ZwlrScreencopyManagerV1;

use super::buffers::{Layout, Lines};
use super::copier::{Content, Progress};
use super::method::Frame;
use crate::wayland::Link;

/// The cursor is drawn into the picture.
const WITH_CURSOR: i32 = 1;
/// Version from which a frame can wait for a change.
const DAMAGE_SINCE: u32 = 2;
/// Version from which a frame says that it has said all about its buffer.
const BUFFER_DONE_SINCE: u32 = 3;

/// The protocol, once bound.
#[derive(Debug)]
pub struct Screencopy(ZwlrScreencopyManagerV1);

delegate_noop!(Content: ZwlrScreencopyManagerV1);

impl Screencopy {
    /// Binds it, if it is offered.
    pub fn open(link: &Link<Content>, content: &mut Content) -> Option<Self> {
        link.bind::<ZwlrScreencopyManagerV1>(content, BUFFER_DONE_SINCE)
            .filter(|manager| manager.version() >= DAMAGE_SINCE)
            .map(Self)
    }

    /// Asks for a picture.
    pub fn ask(&self, output: &WlOutput, queue: &QueueHandle<Content>) -> ZwlrScreencopyFrameV1 {
        self.0.capture_output(WITH_CURSOR, output, queue, ())
    }
}

impl Dispatch<ZwlrScreencopyFrameV1, ()> for Content {
    fn event(
        content: &mut Self,
        frame: &ZwlrScreencopyFrameV1,
        event: Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if !matches!(&content.frame, Some(Frame::Screencopy(asked)) if asked == frame) {
            return;
        }
        match event {
            Event::Buffer { format, width, height, stride } => {
                match format {
                    WEnum::Value(format) if Layout::is_readable(format) => {
                        content.layout = Some(Layout { width, height, stride, format });
                    }
                    other => content.unknown = Some(format!("{other:?}")),
                }
                if frame.version() < BUFFER_DONE_SINCE {
                    content.progress = Progress::Described;
                }
            }
            Event::BufferDone => content.progress = Progress::Described,
            Event::Flags { flags: WEnum::Value(flags) } => {
                content.lines = if flags.contains(Flags::YInvert) { Lines::BottomFirst } else { Lines::TopFirst };
            }
            Event::Ready { tv_sec_hi, tv_sec_lo, tv_nsec } => {
                let seconds = u64::from(tv_sec_hi) << 32 | u64::from(tv_sec_lo);
                content.progress = Progress::Ready(Duration::new(seconds, tv_nsec.min(999_999_999)));
            }
            Event::Failed => content.progress = Progress::Failed,
            _ => {}
        }
    }
}

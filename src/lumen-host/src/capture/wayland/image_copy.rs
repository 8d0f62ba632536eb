//! `ext_image_copy_capture_manager_v1`, from its public protocol description: a session says once which buffers it
//! wants, and again when that changes; each of its frames is copied after the next change.

use std::time::{Duration, Instant};

use wayland_client::protocol::wl_output::WlOutput;
use wayland_client::{Connection, Dispatch, QueueHandle, WEnum, delegate_noop};
use wayland_protocols::ext::image_capture_source::v1::client::ext_image_capture_source_v1::ExtImageCaptureSourceV1;
use wayland_protocols::ext::image_capture_source::v1::client::ext_output_image_capture_source_manager_v1::ExtOutputImageCaptureSourceManagerV1;
use wayland_protocols::ext::image_copy_capture::v1::client::ext_image_copy_capture_frame_v1::{
    self, ExtImageCopyCaptureFrameV1, FailureReason,
};
use wayland_protocols::ext::image_copy_capture::v1::client::ext_image_copy_capture_manager_v1::{
    ExtImageCopyCaptureManagerV1, Options,
};
use wayland_protocols::ext::image_copy_capture::v1::client::ext_image_copy_capture_session_v1::{
    self, ExtImageCopyCaptureSessionV1,
};

use super::buffers::Layout;
use super::copier::{Content, Progress};
use super::method::Frame;
use crate::wayland::{Link, LinkError};

/// A session of the protocol.
#[derive(Debug)]
pub struct ImageCopy {
    session: ExtImageCopyCaptureSessionV1,
}

delegate_noop!(Content: ExtOutputImageCaptureSourceManagerV1);
delegate_noop!(Content: ExtImageCaptureSourceV1);
delegate_noop!(Content: ExtImageCopyCaptureManagerV1);

impl ImageCopy {
    /// Begins to capture `output`, if the protocol is offered.
    ///
    /// # Errors
    /// If the compositor does not answer before `deadline`.
    pub fn open(
        link: &mut Link<Content>,
        content: &mut Content,
        output: &WlOutput,
        deadline: Instant,
    ) -> Result<Option<Self>, LinkError> {
        let Some(sources) = link.bind::<ExtOutputImageCaptureSourceManagerV1>(content, 1) else { return Ok(None) };
        let Some(manager) = link.bind::<ExtImageCopyCaptureManagerV1>(content, 1) else { return Ok(None) };
        let source = sources.create_source(output, &link.handle(), ());
        let session = manager.create_session(&source, Options::PaintCursors, &link.handle(), ());
        source.destroy();
        manager.destroy();
        sources.destroy();
        link.roundtrip(content, deadline)?;
        Ok(Some(Self { session }))
    }

    /// Asks for a picture.
    pub fn ask(&self, queue: &QueueHandle<Content>) -> ExtImageCopyCaptureFrameV1 {
        self.session.create_frame(queue, ())
    }
}

impl Drop for ImageCopy {
    fn drop(&mut self) {
        self.session.destroy();
    }
}

impl Dispatch<ExtImageCopyCaptureSessionV1, ()> for Content {
    fn event(
        content: &mut Self,
        _: &ExtImageCopyCaptureSessionV1,
        event: ext_image_copy_capture_session_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        use ext_image_copy_capture_session_v1::Event;
        match event {
            Event::BufferSize { width, height } => {
                content.size = (width, height);
                content.layout = None;
            }
            Event::ShmFormat { format: WEnum::Value(format) } if Layout::is_readable(format) => {
                let (width, height) = content.size;
                // The first that is offered is the one that costs the compositor least.
                content.layout.get_or_insert(Layout { width, height, stride: width.saturating_mul(4), format });
            }
            Event::ShmFormat { format } => content.unknown = Some(format!("{format:?}")),
            Event::Stopped => content.stopped = true,
            _ => {}
        }
    }
}

impl Dispatch<ExtImageCopyCaptureFrameV1, ()> for Content {
    fn event(
        content: &mut Self,
        frame: &ExtImageCopyCaptureFrameV1,
        event: ext_image_copy_capture_frame_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        use ext_image_copy_capture_frame_v1::Event;
        if !matches!(&content.frame, Some(Frame::ImageCopy(asked)) if asked == frame) {
            return;
        }
        match event {
            Event::PresentationTime { tv_sec_hi, tv_sec_lo, tv_nsec } => {
                let seconds = u64::from(tv_sec_hi) << 32 | u64::from(tv_sec_lo);
                content.shown = Duration::new(seconds, tv_nsec.min(999_999_999));
            }
            Event::Ready => content.progress = Progress::Ready(content.shown),
            Event::Failed { reason } => {
                content.stopped |= reason == WEnum::Value(FailureReason::Stopped);
                content.progress = Progress::Failed;
            }
            _ => {}
        }
    }
}

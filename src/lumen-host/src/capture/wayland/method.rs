//! The two protocols by which compositors copy their pictures, as one.

use std::time::Instant;

use wayland_client::QueueHandle;
use wayland_client::protocol::wl_output::WlOutput;
use wayland_protocols::ext::image_copy_capture::v1::client::ext_image_copy_capture_frame_v1::ExtImageCopyCaptureFrameV1;
use wayland_protocols_wlr::screencopy::v1::client::zwlr_screencopy_frame_v1::ZwlrScreencopyFrameV1;

use super::buffers::Buffer;
use super::copier::{Content, Progress};
use super::image_copy::ImageCopy;
use super::screencopy::Screencopy;
use crate::wayland::{Link, LinkError};

/// A way to ask for pictures.
#[derive(Debug)]
pub enum Method {
    /// `ext-image-copy-capture-v1`.
    ImageCopy(ImageCopy),
    /// `wlr-screencopy-unstable-v1`.
    Screencopy(Screencopy),
}

/// A picture that was asked for. Dropping it lets it go.
#[derive(Debug)]
pub enum Frame {
    /// See [`Method::ImageCopy`].
    ImageCopy(ExtImageCopyCaptureFrameV1),
    /// See [`Method::Screencopy`].
    Screencopy(ZwlrScreencopyFrameV1),
}

/// Whether a picture waits until something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It shows the screen as it is.
    NotNeeded,
    /// It comes after the next change.
    Awaited,
}

impl Method {
    /// The best way to capture `output` that is offered.
    ///
    /// # Errors
    /// If there is none, or the compositor does not answer before `deadline`.
    pub fn open(
        link: &mut Link<Content>,
        content: &mut Content,
        output: &WlOutput,
        deadline: Instant,
    ) -> Result<Self, LinkError> {
        if let Some(method) = ImageCopy::open(link, content, output, deadline)? {
            return Ok(Self::ImageCopy(method));
        }
        Screencopy::open(link, content).map(Self::Screencopy).ok_or_else(|| {
            LinkError::Missing(
                "the compositor offers neither ext_image_copy_capture_manager_v1 nor zwlr_screencopy_manager_v1 in \
                 version 2: it needs wlroots 0.9 or newer"
                    .to_owned(),
            )
        })
    }

    /// Asks for the next picture.
    pub fn ask(&self, content: &mut Content, output: &WlOutput, queue: &QueueHandle<Content>) {
        match self {
            Self::ImageCopy(method) => {
                content.frame = Some(Frame::ImageCopy(method.ask(queue)));
                // Its buffer is known since the beginning.
                content.progress = Progress::Described;
            }
            Self::Screencopy(method) => {
                content.frame = Some(Frame::Screencopy(method.ask(output, queue)));
                content.layout = None;
                content.progress = Progress::Asked;
            }
        }
    }
}

impl Frame {
    /// Lets the compositor copy the picture into `buffer`.
    pub fn copy(&self, buffer: &Buffer, change: Change) {
        match (self, change) {
            // The first of a session comes at once, those after it when something changed.
            (Self::ImageCopy(frame), _) => {
                let layout = buffer.layout();
                frame.attach_buffer(buffer.proxy());
                // What is in the buffer is the picture before the last one.
                frame.damage_buffer(0, 0, layout.width.cast_signed(), layout.height.cast_signed());
                frame.capture();
            }
            (Self::Screencopy(frame), Change::NotNeeded) => frame.copy(buffer.proxy()),
            (Self::Screencopy(frame), Change::Awaited) => frame.copy_with_damage(buffer.proxy()),
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        match self {
            Self::ImageCopy(frame) => frame.destroy(),
            Self::Screencopy(frame) => frame.destroy(),
        }
    }
}

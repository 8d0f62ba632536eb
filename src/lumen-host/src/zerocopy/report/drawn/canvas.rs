//! Draws rectangles into an image by a render pass, as a compositor's pictures come about; what comes out is known to the bit.

use std::sync::Arc;

use ash::vk;

use crate::gpu::vulkan::{Recording, Vulkan, failed};
use crate::zerocopy::ZeroCopyError;
use crate::zerocopy::dmabuf::image::COLOURS;
use crate::zerocopy::dmabuf::{DmabufError, Image, Layout};

/// Rectangles side by side, and one below the other.
const GRID: (u32, u32) = (8, 6);

/// An image to draw into.
pub(super) struct Canvas {
    vulkan: Arc<Vulkan>,
    layout: Layout,
    format: vk::Format,
    view: vk::ImageView,
    pass: vk::RenderPass,
    frame: vk::Framebuffer,
}

impl Canvas {
    pub(super) fn new(vulkan: &Arc<Vulkan>, image: &Image) -> Result<Self, ZeroCopyError> {
        let layout = *image.layout();
        let format = layout.format.format().ok_or(DmabufError::Format(layout.format))?;
        // From here on the value cleans up whatever was made of it so far.
        let mut canvas = Self {
            vulkan: Arc::clone(vulkan),
            layout,
            format,
            view: vk::ImageView::null(),
            pass: vk::RenderPass::null(),
            frame: vk::Framebuffer::null(),
        };
        let device = &vulkan.device;
        let attachment = [vk::AttachmentDescription::default()
            .format(format)
            .samples(vk::SampleCountFlags::TYPE_1)
            .load_op(vk::AttachmentLoadOp::CLEAR)
            .store_op(vk::AttachmentStoreOp::STORE)
            .stencil_load_op(vk::AttachmentLoadOp::DONT_CARE)
            .stencil_store_op(vk::AttachmentStoreOp::DONT_CARE)
            .initial_layout(vk::ImageLayout::UNDEFINED)
            .final_layout(vk::ImageLayout::COLOR_ATTACHMENT_OPTIMAL)];
        let reference = [vk::AttachmentReference { attachment: 0, layout: vk::ImageLayout::COLOR_ATTACHMENT_OPTIMAL }];
        let subpass = [vk::SubpassDescription::default()
            .pipeline_bind_point(vk::PipelineBindPoint::GRAPHICS)
            .color_attachments(&reference)];
        let pass = vk::RenderPassCreateInfo::default().attachments(&attachment).subpasses(&subpass);
        let view = vk::ImageViewCreateInfo::default()
            .image(image.raw())
            .view_type(vk::ImageViewType::TYPE_2D)
            .format(format)
            .subresource_range(COLOURS);
        // SAFETY: the device is live, the structures are whole, the image was made to be drawn into.
        unsafe {
            canvas.pass = device.create_render_pass(&pass, None).map_err(failed("vkCreateRenderPass"))?;
            canvas.view = device.create_image_view(&view, None).map_err(failed("vkCreateImageView"))?;
            let views = [canvas.view];
            let frame = vk::FramebufferCreateInfo::default()
                .render_pass(canvas.pass)
                .attachments(&views)
                .width(layout.width)
                .height(layout.height)
                .layers(1);
            canvas.frame = device.create_framebuffer(&frame, None).map_err(failed("vkCreateFramebuffer"))?;
        }
        Ok(canvas)
    }

    /// Draws; the image is an attachment afterwards.
    pub(super) fn draw(&self, recording: &Recording<'_>) {
        let (device, commands) = recording.raw();
        let clear = [self.clear(0)];
        let begin = vk::RenderPassBeginInfo::default()
            .render_pass(self.pass)
            .framebuffer(self.frame)
            .render_area(vk::Rect2D {
                offset: vk::Offset2D::default(),
                extent: vk::Extent2D { width: self.layout.width, height: self.layout.height },
            })
            .clear_values(&clear);
        // SAFETY: it is being recorded; all handles are live; the rectangles lie in the image, and none is empty.
        unsafe {
            device.cmd_begin_render_pass(commands, &begin, vk::SubpassContents::INLINE);
            for cell in 1..GRID.0 * GRID.1 {
                let attachment = [vk::ClearAttachment {
                    aspect_mask: vk::ImageAspectFlags::COLOR,
                    color_attachment: 0,
                    clear_value: self.clear(cell),
                }];
                let (x, y) = (self.column(cell % GRID.0), self.row(cell / GRID.0));
                let (right, bottom) = (self.column(cell % GRID.0 + 1), self.row(cell / GRID.0 + 1));
                let rect = [vk::ClearRect {
                    rect: vk::Rect2D {
                        offset: vk::Offset2D { x: x.cast_signed(), y: y.cast_signed() },
                        extent: vk::Extent2D { width: right - x, height: bottom - y },
                    },
                    base_array_layer: 0,
                    layer_count: 1,
                }];
                device.cmd_clear_attachments(commands, &attachment, &rect);
            }
            device.cmd_end_render_pass(commands);
        }
    }

    /// The pixels that come out.
    pub(super) fn wanted(&self) -> Vec<u8> {
        let cell_of = |place: u32, cells: u32, begin: &dyn Fn(u32) -> u32| {
            (0..cells).rfind(|cell| begin(*cell) <= place).unwrap_or_default()
        };
        let mut pixels = Vec::with_capacity(self.layout.pixels() as usize);
        for y in 0..self.layout.height {
            let row = cell_of(y, GRID.1, &|row| self.row(row));
            for x in 0..self.layout.width {
                let column = cell_of(x, GRID.0, &|column| self.column(column));
                pixels.extend_from_slice(&self.pixel(row * GRID.0 + column));
            }
        }
        pixels
    }

    fn column(&self, column: u32) -> u32 {
        self.layout.width * column / GRID.0
    }

    fn row(&self, row: u32) -> u32 {
        self.layout.height * row / GRID.1
    }

    /// The highest value of a colour.
    fn highest(&self) -> u32 {
        match self.format {
            vk::Format::B8G8R8A8_UNORM | vk::Format::R8G8B8A8_UNORM => 255,
            _ => 1023,
        }
    }

    /// Red, green and blue of a rectangle.
    fn colour(&self, cell: u32) -> [u32; 3] {
        [37 * cell + 11, 101 * cell + 3, 211 * cell + 200].map(|value| value % (self.highest() + 1))
    }

    fn clear(&self, cell: u32) -> vk::ClearValue {
        let [red, green, blue] = self.colour(cell).map(|value| value as f32 / self.highest() as f32);
        vk::ClearValue { color: vk::ClearColorValue { float32: [red, green, blue, 1.0] } }
    }

    /// A pixel of a rectangle, as it lies in memory.
    fn pixel(&self, cell: u32) -> [u8; 4] {
        let [red, green, blue] = self.colour(cell);
        let word = match self.format {
            vk::Format::B8G8R8A8_UNORM => 0xff << 24 | red << 16 | green << 8 | blue,
            vk::Format::R8G8B8A8_UNORM => 0xff << 24 | blue << 16 | green << 8 | red,
            vk::Format::A2R10G10B10_UNORM_PACK32 => 3 << 30 | red << 20 | green << 10 | blue,
            _ => 3 << 30 | blue << 20 | green << 10 | red,
        };
        word.to_le_bytes()
    }
}

impl Drop for Canvas {
    fn drop(&mut self) {
        let device = &self.vulkan.device;
        // SAFETY: all are owned by this value, and no command uses them. Null is ignored.
        unsafe {
            device.destroy_framebuffer(self.frame, None);
            device.destroy_image_view(self.view, None);
            device.destroy_render_pass(self.pass, None);
        }
    }
}

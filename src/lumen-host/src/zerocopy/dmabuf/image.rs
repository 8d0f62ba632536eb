//! Images in buffers that are shared (VK_EXT_image_drm_format_modifier): those of compositors, and, to try that, some of our
//! own.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use ash::vk;

use super::{DMABUF, DmabufError, Fourcc, Layout, Modifier, import, size_of_buffer};
use crate::gpu::vulkan::{Buffer, Recording, Vulkan, VulkanError, failed};
use crate::zerocopy::ZeroCopyError;

/// The whole of a picture's colours.
pub(crate) const COLOURS: vk::ImageSubresourceRange = vk::ImageSubresourceRange {
    aspect_mask: vk::ImageAspectFlags::COLOR,
    base_mip_level: 0,
    level_count: 1,
    base_array_layer: 0,
    layer_count: 1,
};

/// The modifiers of one plane that the device takes pictures of this format with, and can copy from: what to offer to a
/// compositor.
pub fn importable(vulkan: &Vulkan, format: Fourcc) -> Vec<Modifier> {
    able(vulkan, format, vk::ImageUsageFlags::TRANSFER_SRC, vk::ExternalMemoryFeatureFlags::IMPORTABLE)
}

/// The same for pictures that are written here and handed out.
pub fn exportable(vulkan: &Vulkan, format: Fourcc) -> Vec<Modifier> {
    able(vulkan, format, written(vulkan), vk::ExternalMemoryFeatureFlags::EXPORTABLE)
}

/// How pictures of our own are used: they are filled, and drawn where the device draws.
fn written(vulkan: &Vulkan) -> vk::ImageUsageFlags {
    let drawn = if vulkan.info.abilities.graphics { vk::ImageUsageFlags::COLOR_ATTACHMENT } else { Default::default() };
    vk::ImageUsageFlags::TRANSFER_DST | drawn
}

fn able(
    vulkan: &Vulkan,
    fourcc: Fourcc,
    usage: vk::ImageUsageFlags,
    sharing: vk::ExternalMemoryFeatureFlags,
) -> Vec<Modifier> {
    let Some(format) = fourcc.format().filter(|_| vulkan.info.abilities.modifiers) else { return Vec::new() };
    let (instance, physical) = (vulkan.instance(), vulkan.physical);
    let mut list = vk::DrmFormatModifierPropertiesListEXT::default();
    // SAFETY: the device is one of the instance's; asked twice, first for the number, then with room for as many.
    let offered = unsafe {
        let mut properties = vk::FormatProperties2::default().push_next(&mut list);
        instance.get_physical_device_format_properties2(physical, format, &mut properties);
        let mut offered = vec![vk::DrmFormatModifierPropertiesEXT::default(); list.drm_format_modifier_count as usize];
        let mut list = vk::DrmFormatModifierPropertiesListEXT::default().drm_format_modifier_properties(&mut offered);
        let mut properties = vk::FormatProperties2::default().push_next(&mut list);
        instance.get_physical_device_format_properties2(physical, format, &mut properties);
        offered
    };
    let single = offered.into_iter().filter(|one| one.drm_format_modifier_plane_count == 1);
    let shared = |modifier: &u64| {
        let mut how = vk::PhysicalDeviceImageDrmFormatModifierInfoEXT::default()
            .drm_format_modifier(*modifier)
            .sharing_mode(vk::SharingMode::EXCLUSIVE);
        let mut kind = vk::PhysicalDeviceExternalImageFormatInfo::default().handle_type(DMABUF);
        let info = vk::PhysicalDeviceImageFormatInfo2::default()
            .format(format)
            .ty(vk::ImageType::TYPE_2D)
            .tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT)
            .usage(usage)
            .push_next(&mut how)
            .push_next(&mut kind);
        let mut external = vk::ExternalImageFormatProperties::default();
        let mut found = vk::ImageFormatProperties2::default().push_next(&mut external);
        // SAFETY: the device is one of the instance's; the structures are whole.
        let taken = unsafe { instance.get_physical_device_image_format_properties2(physical, &info, &mut found) };
        taken.is_ok() && external.external_memory_properties.external_memory_features.contains(sharing)
    };
    single.map(|one| one.drm_format_modifier).filter(shared).map(Modifier).collect()
}

/// An image in a buffer that is shared. Between copies it belongs to the others.
pub struct Image {
    vulkan: Arc<Vulkan>,
    raw: vk::Image,
    memory: vk::DeviceMemory,
    layout: Layout,
}

// SAFETY: both handles are owned by this value alone; they may be used from any one thread at a time.
unsafe impl Send for Image {}

impl Image {
    /// Brings a buffer in.
    pub(super) fn import(vulkan: &Arc<Vulkan>, buffer: BorrowedFd<'_>, layout: &Layout) -> Result<Self, ZeroCopyError> {
        let Layout { format, modifier, offset, stride, .. } = *layout;
        layout.check(size_of_buffer(buffer)?)?;
        if !importable(vulkan, format).contains(&modifier) {
            return Err(DmabufError::Modifier { format, modifier }.into());
        }
        let plane = [vk::SubresourceLayout { offset: offset.into(), row_pitch: stride.into(), ..Default::default() }];
        let mut place = vk::ImageDrmFormatModifierExplicitCreateInfoEXT::default()
            .drm_format_modifier(modifier.0)
            .plane_layouts(&plane);
        let create = vk::ImageCreateInfo::default().usage(vk::ImageUsageFlags::TRANSFER_SRC).push_next(&mut place);
        let mut image = Self::create(vulkan, layout, create)?;
        // SAFETY: the image is live.
        let needs = unsafe { vulkan.device.get_image_memory_requirements(image.raw) };
        let whole = vk::MemoryDedicatedAllocateInfo::default().image(image.raw);
        image.memory = import(vulkan, buffer, needs, whole)?;
        image.bind()?;
        Ok(image)
    }

    /// A new picture of this format, modifier and size, to be written and handed out; where it lies, the driver says.
    ///
    /// # Errors
    /// [`ZeroCopyError`].
    pub fn exportable(
        vulkan: &Arc<Vulkan>,
        format: Fourcc,
        modifier: Modifier,
        (width, height): (u32, u32),
    ) -> Result<Self, ZeroCopyError> {
        let layout = Layout { format, modifier, width, height, offset: 0, stride: 0 };
        let modifiers = [modifier.0];
        let mut list = vk::ImageDrmFormatModifierListCreateInfoEXT::default().drm_format_modifiers(&modifiers);
        let create = vk::ImageCreateInfo::default().usage(written(vulkan)).push_next(&mut list);
        let mut image = Self::create(vulkan, &layout, create)?;
        // SAFETY: the image is live.
        let needs = unsafe { vulkan.device.get_image_memory_requirements(image.raw) };
        let kind = vulkan
            .memory_type(needs.memory_type_bits, vk::MemoryPropertyFlags::DEVICE_LOCAL)
            .ok_or_else(|| vulkan.lacks("memory for an image"))?;
        let mut export = vk::ExportMemoryAllocateInfo::default().handle_types(DMABUF);
        let mut whole = vk::MemoryDedicatedAllocateInfo::default().image(image.raw);
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(needs.size)
            .memory_type_index(kind)
            .push_next(&mut export)
            .push_next(&mut whole);
        // SAFETY: the structures are whole.
        image.memory = unsafe { vulkan.device.allocate_memory(&info, None) }.map_err(failed("vkAllocateMemory"))?;
        image.bind()?;
        let plane =
            vk::ImageSubresource { aspect_mask: vk::ImageAspectFlags::MEMORY_PLANE_0_EXT, ..Default::default() };
        // SAFETY: the image is live, and has that plane.
        let found = unsafe { vulkan.device.get_image_subresource_layout(image.raw, plane) };
        let fits = |number: u64| u32::try_from(number).map_err(|_| vulkan.lacks("lines that are short enough"));
        (image.layout.offset, image.layout.stride) = (fits(found.offset)?, fits(found.row_pitch)?);
        Ok(image)
    }

    fn create(vulkan: &Arc<Vulkan>, layout: &Layout, create: vk::ImageCreateInfo<'_>) -> Result<Self, ZeroCopyError> {
        let format = layout.format.format().ok_or(DmabufError::Format(layout.format))?;
        let mut external = vk::ExternalMemoryImageCreateInfo::default().handle_types(DMABUF);
        let create = create
            .image_type(vk::ImageType::TYPE_2D)
            .format(format)
            .extent(vk::Extent3D { width: layout.width, height: layout.height, depth: 1 })
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT)
            .push_next(&mut external);
        // SAFETY: the device is live, the structures whole, and the format is one that was asked for.
        let raw = unsafe { vulkan.device.create_image(&create, None) }.map_err(failed("vkCreateImage"))?;
        Ok(Self { vulkan: Arc::clone(vulkan), raw, memory: vk::DeviceMemory::null(), layout: *layout })
    }

    fn bind(&self) -> Result<(), VulkanError> {
        // SAFETY: both are live, and neither was bound before.
        unsafe { self.vulkan.device.bind_image_memory(self.raw, self.memory, 0) }.map_err(failed("vkBindImageMemory"))
    }

    /// Where its pixels lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A descriptor of its buffer; it must have been made for that.
    ///
    /// # Errors
    /// [`VulkanError::Call`].
    pub fn export(&self) -> Result<OwnedFd, VulkanError> {
        let info = vk::MemoryGetFdInfoKHR::default().memory(self.memory).handle_type(DMABUF);
        // SAFETY: the memory is live and was made for that.
        let raw = unsafe { self.vulkan.memory_fd.get_memory_fd(&info) }.map_err(failed("vkGetMemoryFdKHR"))?;
        // SAFETY: Vulkan gave a new descriptor to its caller.
        Ok(unsafe { OwnedFd::from_raw_fd(raw) })
    }

    /// Copies it into `target`, line after line without gaps.
    pub(super) fn copy(&self, recording: &Recording<'_>, target: &Buffer) {
        let layout = vk::ImageLayout::TRANSFER_SRC_OPTIMAL;
        let (device, commands) = recording.raw();
        self.take(recording, vk::ImageLayout::GENERAL, layout, vk::AccessFlags::TRANSFER_READ);
        // SAFETY: it is being recorded; both are live, and the target has room, which the caller sees to.
        unsafe { device.cmd_copy_image_to_buffer(commands, self.raw, layout, target.raw(), &self.whole()) };
        self.give(recording, layout, (vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::TRANSFER_READ));
    }

    /// Fills it with the pixels in `source`, line after line without gaps. It must have been made for that.
    pub fn fill(&self, recording: &Recording<'_>, source: &Buffer) {
        let layout = vk::ImageLayout::TRANSFER_DST_OPTIMAL;
        let (device, commands) = recording.raw();
        // What is in it is of no use.
        self.take(recording, vk::ImageLayout::UNDEFINED, layout, vk::AccessFlags::TRANSFER_WRITE);
        // SAFETY: it is being recorded; both are live, and the source has as many pixels, which the caller sees to.
        unsafe { device.cmd_copy_buffer_to_image(commands, source.raw(), self.raw, layout, &self.whole()) };
        self.give(recording, layout, (vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::TRANSFER_WRITE));
    }

    /// Hands it over after it was drawn in a pass that left it to be an attachment.
    pub fn drawn(&self, recording: &Recording<'_>) {
        let by = (vk::PipelineStageFlags::COLOR_ATTACHMENT_OUTPUT, vk::AccessFlags::COLOR_ATTACHMENT_WRITE);
        self.give(recording, vk::ImageLayout::COLOR_ATTACHMENT_OPTIMAL, by);
    }

    /// Vulkan's handle.
    pub(crate) fn raw(&self) -> vk::Image {
        self.raw
    }

    fn whole(&self) -> [vk::BufferImageCopy; 1] {
        let layers = vk::ImageSubresourceLayers {
            aspect_mask: vk::ImageAspectFlags::COLOR,
            mip_level: 0,
            base_array_layer: 0,
            layer_count: 1,
        };
        let extent = vk::Extent3D { width: self.layout.width, height: self.layout.height, depth: 1 };
        [vk::BufferImageCopy::default().image_subresource(layers).image_extent(extent)]
    }

    /// From the others to the device.
    fn take(&self, recording: &Recording<'_>, from: vk::ImageLayout, to: vk::ImageLayout, access: vk::AccessFlags) {
        let families = self.vulkan.families;
        // What is thrown away need not be handed over.
        let others = if from == vk::ImageLayout::UNDEFINED { families.own } else { families.others };
        let barrier = self.barrier((others, from), (families.own, to)).dst_access_mask(access);
        let (top, transfer) = (vk::PipelineStageFlags::TOP_OF_PIPE, vk::PipelineStageFlags::TRANSFER);
        self.pass(recording, barrier, top, transfer);
    }

    /// From the device to the others.
    fn give(
        &self,
        recording: &Recording<'_>,
        from: vk::ImageLayout,
        (stage, access): (vk::PipelineStageFlags, vk::AccessFlags),
    ) {
        let families = self.vulkan.families;
        let barrier = self.barrier((families.own, from), (families.others, vk::ImageLayout::GENERAL));
        self.pass(recording, barrier.src_access_mask(access), stage, vk::PipelineStageFlags::BOTTOM_OF_PIPE);
    }

    fn barrier(
        &self,
        (from_family, from): (u32, vk::ImageLayout),
        (to_family, to): (u32, vk::ImageLayout),
    ) -> vk::ImageMemoryBarrier<'static> {
        vk::ImageMemoryBarrier::default()
            .src_queue_family_index(from_family)
            .dst_queue_family_index(to_family)
            .old_layout(from)
            .new_layout(to)
            .image(self.raw)
            .subresource_range(COLOURS)
    }

    fn pass(
        &self,
        recording: &Recording<'_>,
        barrier: vk::ImageMemoryBarrier<'_>,
        before: vk::PipelineStageFlags,
        after: vk::PipelineStageFlags,
    ) {
        let (device, commands) = recording.raw();
        let none = vk::DependencyFlags::empty();
        // SAFETY: it is being recorded; the image is live.
        unsafe { device.cmd_pipeline_barrier(commands, before, after, none, &[], &[], &[barrier]) };
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: both are owned by this value; no command that uses them is under way. Null is ignored.
        unsafe {
            self.vulkan.device.destroy_image(self.raw, None);
            self.vulkan.device.free_memory(self.memory, None);
        }
    }
}

//! Vulkan, loaded at run time: a device that computes, its memory, and commands that are waited for.
//!
//! Nothing is shown with it; it only moves and converts pictures.

use core::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;

use ash::vk;

/// How long the GPU may take for one picture before it counts as hung, in nanoseconds.
const PATIENCE_NS: u64 = 60_000_000_000;

/// Why Vulkan cannot be used, or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VulkanError {
    /// The loader is missing.
    #[error("libvulkan.so.1 cannot be loaded ({0}); install it (Debian: libvulkan1) with the driver of the GPU")]
    Missing(String),
    /// The loader is too old.
    #[error("Vulkan {0}.{1} is here, and 1.2 is needed")]
    TooOld(u32, u32),
    /// No driver shows a device.
    #[error("no driver of Vulkan shows a device that computes; install the driver of the GPU")]
    NoDevice,
    /// The device lacks what is needed.
    #[error("{device} lacks {what}")]
    Lacks {
        /// Name of the device.
        device: String,
        /// What it lacks.
        what: &'static str,
    },
    /// A call failed.
    #[error("{call}: {result}")]
    Call {
        /// The function.
        call: &'static str,
        /// What Vulkan calls the error.
        result: vk::Result,
    },
}

/// The error of a call.
pub(crate) fn failed(call: &'static str) -> impl Fn(vk::Result) -> VulkanError {
    move |result| VulkanError::Call { call, result }
}

/// What a device can do beyond the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abilities {
    /// Its queue draws, too.
    pub graphics: bool,
    /// Memory goes to other interfaces by descriptors.
    pub memory_fd: bool,
    /// Semaphores go to other interfaces by descriptors.
    pub semaphore_fd: bool,
    /// Buffers of the kernel's (dmabufs) come in as memory, and memory goes out as these.
    pub dmabuf: bool,
    /// Images lie in them as a modifier says.
    pub modifiers: bool,
    /// Others who use such a buffer may be anything, not only drivers of Vulkan.
    pub foreign: bool,
}

/// A device that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceInfo {
    /// The product's name.
    pub name: String,
    /// Version of Vulkan: major, minor, patch.
    pub version: (u32, u32, u32),
    /// Name and version of the driver.
    pub driver: String,
    /// The same device has the same identity in CUDA.
    pub uuid: [u8; 16],
    /// Whether it is a processor that does a GPU's work.
    pub software: bool,
    /// What it can do.
    pub abilities: Abilities,
    /// Nanoseconds of one step of its clock; 0 without one.
    pub clock_ns: f32,
}

/// Vulkan itself.
pub struct Instance {
    raw: ash::Instance,
    // Declared last: the functions above point into it.
    _entry: ash::Entry,
}

impl Instance {
    /// Loads Vulkan.
    ///
    /// # Errors
    /// [`VulkanError`] if it is missing or too old.
    pub fn load() -> Result<Arc<Self>, VulkanError> {
        // SAFETY: the loader may be loaded at any time.
        let entry = unsafe { ash::Entry::load() }.map_err(|error| VulkanError::Missing(error.to_string()))?;
        // SAFETY: no argument to get wrong.
        let version = unsafe { entry.try_enumerate_instance_version() }.ok().flatten().unwrap_or(vk::API_VERSION_1_0);
        if version < vk::API_VERSION_1_2 {
            return Err(VulkanError::TooOld(vk::api_version_major(version), vk::api_version_minor(version)));
        }
        let application = vk::ApplicationInfo::default().application_name(c"lumen").api_version(vk::API_VERSION_1_2);
        let info = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: the structure is whole.
        let raw = unsafe { entry.create_instance(&info, None) }.map_err(|result| match result {
            vk::Result::ERROR_INCOMPATIBLE_DRIVER => VulkanError::NoDevice,
            result => failed("vkCreateInstance")(result),
        })?;
        Ok(Arc::new(Self { raw, _entry: entry }))
    }

    /// The devices that compute, in the order of their drivers.
    ///
    /// # Errors
    /// [`VulkanError::NoDevice`] if there is none.
    pub fn devices(self: &Arc<Self>) -> Result<Vec<Found>, VulkanError> {
        // SAFETY: the instance is live.
        let all = unsafe { self.raw.enumerate_physical_devices() }.map_err(failed("vkEnumeratePhysicalDevices"))?;
        let found: Vec<_> = all.into_iter().filter_map(|raw| self.examine(raw)).collect();
        if found.is_empty() { Err(VulkanError::NoDevice) } else { Ok(found) }
    }

    /// A device of Vulkan 1.2 with a queue that computes.
    fn examine(self: &Arc<Self>, raw: vk::PhysicalDevice) -> Option<Found> {
        let (mut driver, mut id) =
            (vk::PhysicalDeviceDriverProperties::default(), vk::PhysicalDeviceIDProperties::default());
        let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver).push_next(&mut id);
        // SAFETY: the device is one of the instance's; the structures are whole.
        unsafe { self.raw.get_physical_device_properties2(raw, &mut properties) };
        let base = properties.properties;
        // SAFETY: as above.
        let queues = unsafe { self.raw.get_physical_device_queue_family_properties(raw) };
        let family = queues.iter().position(|family| family.queue_flags.contains(vk::QueueFlags::COMPUTE))?;
        // SAFETY: as above.
        let extensions = unsafe { self.raw.enumerate_device_extension_properties(raw) }.ok()?;
        let has = |name: &CStr| extensions.iter().any(|extension| extension.extension_name_as_c_str() == Ok(name));
        if base.api_version < vk::API_VERSION_1_2 {
            return None;
        }
        let dmabuf = has(ash::khr::external_memory_fd::NAME) && has(ash::ext::external_memory_dma_buf::NAME);
        let text = |name: Result<&CStr, _>| name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let info = DeviceInfo {
            name: text(base.device_name_as_c_str()),
            version: (
                vk::api_version_major(base.api_version),
                vk::api_version_minor(base.api_version),
                vk::api_version_patch(base.api_version),
            ),
            driver: format!("{} {}", text(driver.driver_name_as_c_str()), text(driver.driver_info_as_c_str())),
            uuid: id.device_uuid,
            software: base.device_type == vk::PhysicalDeviceType::CPU,
            abilities: Abilities {
                graphics: queues[family].queue_flags.contains(vk::QueueFlags::GRAPHICS),
                memory_fd: has(ash::khr::external_memory_fd::NAME),
                semaphore_fd: has(ash::khr::external_semaphore_fd::NAME),
                dmabuf,
                modifiers: dmabuf && has(ash::ext::image_drm_format_modifier::NAME),
                foreign: has(ash::ext::queue_family_foreign::NAME),
            },
            clock_ns: if queues[family].timestamp_valid_bits > 0 { base.limits.timestamp_period } else { 0.0 },
        };
        Some(Found { instance: Arc::clone(self), raw, family: family as u32, info })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: devices hold the instance, so none is left.
        unsafe { self.raw.destroy_instance(None) };
    }
}

/// A device that is not open yet.
pub struct Found {
    instance: Arc<Instance>,
    raw: vk::PhysicalDevice,
    family: u32,
    /// What it is.
    pub info: DeviceInfo,
}

impl Found {
    /// Opens it with all that it can do.
    ///
    /// # Errors
    /// [`VulkanError::Call`].
    pub fn open(self) -> Result<Arc<Vulkan>, VulkanError> {
        let Self { instance, raw: physical, family, info } = self;
        let abilities = info.abilities;
        let wanted = [
            (abilities.memory_fd, ash::khr::external_memory_fd::NAME),
            (abilities.semaphore_fd, ash::khr::external_semaphore_fd::NAME),
            (abilities.dmabuf, ash::ext::external_memory_dma_buf::NAME),
            (abilities.modifiers, ash::ext::image_drm_format_modifier::NAME),
            (abilities.foreign, ash::ext::queue_family_foreign::NAME),
        ];
        let names: Vec<_> = wanted.into_iter().filter(|(has, _)| *has).map(|(_, name)| name.as_ptr()).collect();
        let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(family).queue_priorities(&[1.0])];
        let mut timeline = vk::PhysicalDeviceTimelineSemaphoreFeatures::default().timeline_semaphore(true);
        let create = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&names)
            .push_next(&mut timeline);
        // SAFETY: the structures are whole; Vulkan 1.2 has timeline semaphores; the extensions are there.
        let device =
            unsafe { instance.raw.create_device(physical, &create, None) }.map_err(failed("vkCreateDevice"))?;
        let pool = vk::CommandPoolCreateInfo::default()
            .queue_family_index(family)
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER);
        // SAFETY: the device is live, the queue was asked for, the structures are whole.
        let (queue, pool, memory) = unsafe {
            (
                device.get_device_queue(family, 0),
                device.create_command_pool(&pool, None),
                instance.raw.get_physical_device_memory_properties(physical),
            )
        };
        let pool = match pool {
            Ok(pool) => pool,
            Err(result) => {
                // SAFETY: nothing was made of it.
                unsafe { device.destroy_device(None) };
                return Err(failed("vkCreateCommandPool")(result));
            }
        };
        Ok(Arc::new(Vulkan {
            memory_fd: ash::khr::external_memory_fd::Device::new(&instance.raw, &device),
            semaphore_fd: ash::khr::external_semaphore_fd::Device::new(&instance.raw, &device),
            families: Families {
                own: family,
                others: if abilities.foreign { vk::QUEUE_FAMILY_FOREIGN_EXT } else { vk::QUEUE_FAMILY_EXTERNAL },
            },
            info,
            device,
            queue,
            pool,
            memory,
            physical,
            instance,
        }))
    }
}

/// Who owns what is shared with others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Families {
    /// The family of the device's queue.
    pub own: u32,
    /// The one that stands for all who are outside.
    pub others: u32,
}

/// An open device.
pub struct Vulkan {
    pub(crate) memory_fd: ash::khr::external_memory_fd::Device,
    semaphore_fd: ash::khr::external_semaphore_fd::Device,
    pub(crate) families: Families,
    pub(crate) physical: vk::PhysicalDevice,
    /// What it is.
    pub info: DeviceInfo,
    pub(crate) device: ash::Device,
    queue: vk::Queue,
    pool: vk::CommandPool,
    memory: vk::PhysicalDeviceMemoryProperties,
    // Declared last: the device belongs to it.
    instance: Arc<Instance>,
}

impl Vulkan {
    /// The first of `types` (a bit each) that has all `flags`.
    pub(crate) fn memory_type(&self, types: u32, flags: vk::MemoryPropertyFlags) -> Option<u32> {
        let all = self.memory.memory_types_as_slice().iter().enumerate();
        all.filter(|(number, _)| types >> number & 1 == 1)
            .find(|(_, kind)| kind.property_flags.contains(flags))
            .map(|(number, _)| number as u32)
    }

    /// Functions about the device before it is opened.
    pub(crate) fn instance(&self) -> &ash::Instance {
        &self.instance.raw
    }

    pub(crate) fn lacks(&self, what: &'static str) -> VulkanError {
        VulkanError::Lacks { device: self.info.name.clone(), what }
    }
}

impl Drop for Vulkan {
    fn drop(&mut self) {
        // SAFETY: whatever was made of the device holds it, so nothing is left; commands are waited for one by one.
        unsafe {
            self.device.destroy_command_pool(self.pool, None);
            self.device.destroy_device(None);
        }
    }
}

/// Where the memory of a buffer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the device, out of the processor's reach.
    Device,
    /// On the device, and it can be handed to another interface.
    Exportable,
    /// Where the processor reads and writes it.
    Host,
}

/// A buffer with memory of its own.
pub struct Buffer {
    vulkan: Arc<Vulkan>,
    raw: vk::Buffer,
    memory: vk::DeviceMemory,
    size: u64,
    allocated: u64,
    mapped: *mut u8,
}

// SAFETY: the buffer is owned by this value alone; it may be used from any one thread at a time.
unsafe impl Send for Buffer {}

impl Buffer {
    /// A buffer of `size` bytes.
    ///
    /// # Errors
    /// [`VulkanError`] if there is no such memory.
    pub fn new(vulkan: &Arc<Vulkan>, size: u64, place: Place) -> Result<Self, VulkanError> {
        let usage = vk::BufferUsageFlags::TRANSFER_SRC
            | vk::BufferUsageFlags::TRANSFER_DST
            | vk::BufferUsageFlags::STORAGE_BUFFER;
        let mut external =
            vk::ExternalMemoryBufferCreateInfo::default().handle_types(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD);
        let mut create = vk::BufferCreateInfo::default().size(size).usage(usage);
        if place == Place::Exportable {
            if !vulkan.info.abilities.memory_fd {
                return Err(vulkan.lacks("VK_KHR_external_memory_fd"));
            }
            create = create.push_next(&mut external);
        }
        // SAFETY: the device is live, the structures whole.
        let raw = unsafe { vulkan.device.create_buffer(&create, None) }.map_err(failed("vkCreateBuffer"))?;
        let mut buffer = Self {
            vulkan: Arc::clone(vulkan),
            raw,
            memory: vk::DeviceMemory::null(),
            size,
            allocated: 0,
            mapped: core::ptr::null_mut(),
        };
        buffer.allocate(place)?;
        Ok(buffer)
    }

    fn allocate(&mut self, place: Place) -> Result<(), VulkanError> {
        let device = &self.vulkan.device;
        // SAFETY: the buffer is live.
        let needs = unsafe { device.get_buffer_memory_requirements(self.raw) };
        let flags = match place {
            Place::Device | Place::Exportable => vk::MemoryPropertyFlags::DEVICE_LOCAL,
            Place::Host => vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT,
        };
        // Cached memory, where there is some: the processor reads from it.
        let cached = (place == Place::Host)
            .then(|| self.vulkan.memory_type(needs.memory_type_bits, flags | vk::MemoryPropertyFlags::HOST_CACHED))
            .flatten();
        let kind = cached
            .or_else(|| self.vulkan.memory_type(needs.memory_type_bits, flags))
            .ok_or_else(|| self.vulkan.lacks("memory for a buffer"))?;
        let mut export =
            vk::ExportMemoryAllocateInfo::default().handle_types(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD);
        let mut info = vk::MemoryAllocateInfo::default().allocation_size(needs.size).memory_type_index(kind);
        if place == Place::Exportable {
            info = info.push_next(&mut export);
        }
        // SAFETY: the structures are whole.
        self.memory = unsafe { device.allocate_memory(&info, None) }.map_err(failed("vkAllocateMemory"))?;
        self.allocated = needs.size;
        // SAFETY: memory and buffer are live, and neither was bound before.
        unsafe { device.bind_buffer_memory(self.raw, self.memory, 0) }.map_err(failed("vkBindBufferMemory"))?;
        if place == Place::Host {
            // SAFETY: the memory is visible to the host and not mapped.
            let mapped = unsafe { device.map_memory(self.memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty()) };
            self.mapped = mapped.map_err(failed("vkMapMemory"))?.cast();
        }
        Ok(())
    }

    /// Vulkan's handle.
    pub(crate) fn raw(&self) -> vk::Buffer {
        self.raw
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of its memory, which may be more.
    pub fn allocated(&self) -> u64 {
        self.allocated
    }

    /// What the processor sees of it: nothing, unless it was made for that.
    pub fn bytes(&mut self) -> &mut [u8] {
        if self.mapped.is_null() {
            return &mut [];
        }
        // SAFETY: it is mapped as a whole until it is dropped; the device does nothing to it that was not waited for.
        unsafe { core::slice::from_raw_parts_mut(self.mapped, self.size as usize) }
    }

    /// A descriptor of its memory for another interface; it must have been made for that.
    ///
    /// # Errors
    /// [`VulkanError::Call`].
    pub fn export(&self) -> Result<OwnedFd, VulkanError> {
        let info = vk::MemoryGetFdInfoKHR::default()
            .memory(self.memory)
            .handle_type(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD);
        // SAFETY: the memory is live; the extension is there, since the memory was made for that.
        let raw = unsafe { self.vulkan.memory_fd.get_memory_fd(&info) }.map_err(failed("vkGetMemoryFdKHR"))?;
        // SAFETY: Vulkan gave a new descriptor to its caller.
        Ok(unsafe { OwnedFd::from_raw_fd(raw) })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: both are owned by this value; no command that uses them is under way. Null is ignored.
        unsafe {
            self.vulkan.device.destroy_buffer(self.raw, None);
            self.vulkan.device.free_memory(self.memory, None);
        }
    }
}

/// A semaphore that counts, which another interface may count as well.
pub struct Timeline {
    vulkan: Arc<Vulkan>,
    raw: vk::Semaphore,
}

impl Timeline {
    /// A semaphore at zero that can be handed to another interface.
    ///
    /// # Errors
    /// [`VulkanError`] if the device cannot.
    pub fn new(vulkan: &Arc<Vulkan>) -> Result<Self, VulkanError> {
        if !vulkan.info.abilities.semaphore_fd {
            return Err(vulkan.lacks("VK_KHR_external_semaphore_fd"));
        }
        let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let mut export =
            vk::ExportSemaphoreCreateInfo::default().handle_types(vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD);
        let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind).push_next(&mut export);
        // SAFETY: the structures are whole.
        let raw = unsafe { vulkan.device.create_semaphore(&info, None) }.map_err(failed("vkCreateSemaphore"))?;
        Ok(Self { vulkan: Arc::clone(vulkan), raw })
    }

    /// A descriptor for another interface.
    ///
    /// # Errors
    /// [`VulkanError::Call`].
    pub fn export(&self) -> Result<OwnedFd, VulkanError> {
        let info = vk::SemaphoreGetFdInfoKHR::default()
            .semaphore(self.raw)
            .handle_type(vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD);
        // SAFETY: the semaphore is live and was made for that.
        let raw = unsafe { self.vulkan.semaphore_fd.get_semaphore_fd(&info) }.map_err(failed("vkGetSemaphoreFdKHR"))?;
        // SAFETY: Vulkan gave a new descriptor to its caller.
        Ok(unsafe { OwnedFd::from_raw_fd(raw) })
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        // SAFETY: it is owned by this value; commands that use it were waited for.
        unsafe { self.vulkan.device.destroy_semaphore(self.raw, None) };
    }
}

/// One command buffer, used again and again, and the fence that says that it is done.
pub struct Commands {
    vulkan: Arc<Vulkan>,
    raw: vk::CommandBuffer,
    fence: vk::Fence,
    clock: vk::QueryPool,
}

// SAFETY: owned by this value alone, with a pool that only one thread at a time uses.
unsafe impl Send for Commands {}

/// Marks of the clock that one run of commands can have.
pub const MARKS: u32 = 3;

impl Commands {
    /// For commands one after the other. One value a device at a time: the pool is not shared.
    ///
    /// # Errors
    /// [`VulkanError::Call`].
    pub fn new(vulkan: &Arc<Vulkan>) -> Result<Self, VulkanError> {
        let info = vk::CommandBufferAllocateInfo::default().command_pool(vulkan.pool).command_buffer_count(1);
        let clock = vk::QueryPoolCreateInfo::default().query_type(vk::QueryType::TIMESTAMP).query_count(MARKS);
        // SAFETY: the structures are whole.
        unsafe {
            let raw = vulkan.device.allocate_command_buffers(&info).map_err(failed("vkAllocateCommandBuffers"))?[0];
            let fence =
                vulkan.device.create_fence(&vk::FenceCreateInfo::default(), None).map_err(failed("vkCreateFence"));
            let clock = vulkan.device.create_query_pool(&clock, None).map_err(failed("vkCreateQueryPool"));
            match (fence, clock) {
                (Ok(fence), Ok(clock)) => Ok(Self { vulkan: Arc::clone(vulkan), raw, fence, clock }),
                (fence, clock) => {
                    vulkan.device.destroy_fence(fence.clone().unwrap_or_default(), None);
                    vulkan.device.destroy_query_pool(clock.clone().unwrap_or_default(), None);
                    vulkan.device.free_command_buffers(vulkan.pool, &[raw]);
                    Err(fence.err().or(clock.err()).unwrap_or(VulkanError::NoDevice))
                }
            }
        }
    }

    /// Runs what `record` records and waits for its end. `wait` and `signal` are values of a timeline that the device
    /// waits for first, and sets at the end.
    ///
    /// # Errors
    /// [`VulkanError::Call`]; a device that does not come to an end within a minute counts as hung.
    pub fn run(
        &mut self,
        turn: Option<(&Timeline, u64, u64)>,
        record: impl FnOnce(&Recording<'_>),
    ) -> Result<(), VulkanError> {
        let device = &self.vulkan.device;
        let begin = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: the command buffer is not under way: the last run was waited for.
        unsafe {
            device.begin_command_buffer(self.raw, &begin).map_err(failed("vkBeginCommandBuffer"))?;
            device.cmd_reset_query_pool(self.raw, self.clock, 0, MARKS);
        }
        record(&Recording { commands: self });
        // SAFETY: it is being recorded.
        unsafe { device.end_command_buffer(self.raw) }.map_err(failed("vkEndCommandBuffer"))?;
        let commands = [self.raw];
        let (semaphore, wait, signal) =
            turn.map_or((vk::Semaphore::null(), 0, 0), |(timeline, wait, signal)| (timeline.raw, wait, signal));
        let (semaphores, waits, signals) = ([semaphore], [wait], [signal]);
        let stages = [vk::PipelineStageFlags::ALL_COMMANDS];
        let mut values =
            vk::TimelineSemaphoreSubmitInfo::default().wait_semaphore_values(&waits).signal_semaphore_values(&signals);
        let mut submit = vk::SubmitInfo::default().command_buffers(&commands);
        if turn.is_some() {
            submit = submit
                .wait_semaphores(&semaphores)
                .wait_dst_stage_mask(&stages)
                .signal_semaphores(&semaphores)
                .push_next(&mut values);
        }
        // SAFETY: the structures are whole; the fence is not signalled, since it was reset.
        unsafe {
            device.queue_submit(self.vulkan.queue, &[submit], self.fence).map_err(failed("vkQueueSubmit"))?;
            device.wait_for_fences(&[self.fence], true, PATIENCE_NS).map_err(failed("vkWaitForFences"))?;
            device.reset_fences(&[self.fence]).map_err(failed("vkResetFences"))
        }
    }

    /// Nanoseconds between the first `count` marks of the last run; `None` if the device has no clock.
    pub fn nanoseconds(&self, count: u32) -> Option<Vec<f64>> {
        let mut ticks = vec![0u64; count.min(MARKS) as usize];
        let flags = vk::QueryResultFlags::TYPE_64 | vk::QueryResultFlags::WAIT;
        // SAFETY: the run was waited for, and had as many marks.
        unsafe { self.vulkan.device.get_query_pool_results(self.clock, 0, &mut ticks, flags) }.ok()?;
        let step = f64::from(self.vulkan.info.clock_ns);
        (step > 0.0).then(|| ticks.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * step).collect())
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        let device = &self.vulkan.device;
        // SAFETY: all three are owned by this value; a run that hung is waited for here, however long it takes.
        unsafe {
            let _ = device.queue_wait_idle(self.vulkan.queue);
            device.destroy_query_pool(self.clock, None);
            device.destroy_fence(self.fence, None);
            device.free_command_buffers(self.vulkan.pool, &[self.raw]);
        }
    }
}

/// What is being recorded.
pub struct Recording<'a> {
    commands: &'a Commands,
}

impl Recording<'_> {
    /// The device and the command buffer.
    pub(crate) fn raw(&self) -> (&ash::Device, vk::CommandBuffer) {
        (&self.commands.vulkan.device, self.commands.raw)
    }

    /// Notes the clock once all before is done. `number` is less than [`MARKS`].
    pub fn mark(&self, number: u32) {
        let (device, raw) = self.raw();
        if self.commands.vulkan.info.clock_ns > 0.0 {
            // SAFETY: it is being recorded, the pool was reset.
            unsafe {
                device.cmd_write_timestamp(raw, vk::PipelineStageFlags::BOTTOM_OF_PIPE, self.commands.clock, number);
            }
        }
    }

    /// All after sees what all before wrote.
    pub fn barrier(&self) {
        let (device, raw) = self.raw();
        let everything = vk::AccessFlags::MEMORY_READ | vk::AccessFlags::MEMORY_WRITE;
        let barrier = [vk::MemoryBarrier::default()
            .src_access_mask(everything | vk::AccessFlags::HOST_WRITE)
            .dst_access_mask(everything | vk::AccessFlags::HOST_READ)];
        let stages = vk::PipelineStageFlags::ALL_COMMANDS | vk::PipelineStageFlags::HOST;
        // SAFETY: it is being recorded; the structures are whole.
        unsafe {
            device.cmd_pipeline_barrier(raw, stages, stages, vk::DependencyFlags::empty(), &barrier, &[], &[]);
        }
    }

    /// Copies `size` bytes from one buffer to the other.
    pub fn copy(&self, from: &Buffer, from_offset: u64, to: &Buffer, size: u64) {
        let (device, raw) = self.raw();
        let region = [vk::BufferCopy::default().src_offset(from_offset).size(size)];
        // SAFETY: it is being recorded; both are live, and the callers keep within them.
        unsafe { device.cmd_copy_buffer(raw, from.raw, to.raw, &region) };
    }
}

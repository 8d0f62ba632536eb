//! BGRX pixels to the planes that encoders take, by a compute shader: `convert.comp`, whose compiled form is
//! `convert.spv`. The factors are those of `encode::convert`, as whole numbers, so that every device gives the same.

use std::sync::Arc;

use ash::vk;

use crate::encode::convert::fixed_rows;
use crate::encode::{BitDepth, Chroma, Matrix, Range};
use crate::gpu::vulkan::{Buffer, Recording, Vulkan, VulkanError, failed};

/// The compiled shader.
const SHADER: &[u8] = include_bytes!("convert.spv");

/// What one workgroup has: 16 times four pixels, 8 times two lines.
const GROUP: (u32, u32) = (16 * 4, 8 * 2);

/// Bytes that lines of planes begin at a multiple of, as NVENC likes it.
const ALIGNMENT: u32 = 256;

/// What pictures are converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Pixels of a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Bits per component; 10 lie in the high bits of 16.
    pub depth: BitDepth,
    /// Full-size chroma is in two more planes, half-size chroma alternates in one.
    pub chroma: Chroma,
    /// The matrix.
    pub matrix: Matrix,
    /// The range.
    pub range: Range,
}

impl Target {
    /// Bytes from one line to the next, in every plane.
    pub fn pitch(&self) -> u32 {
        let sample = match self.depth {
            BitDepth::Eight => 1,
            BitDepth::Ten => 2,
        };
        (self.width.next_multiple_of(4) * sample).next_multiple_of(ALIGNMENT)
    }

    /// Lines of all planes, one below the other.
    pub fn lines(&self) -> u32 {
        match self.chroma {
            Chroma::Yuv420 => self.height + self.height.div_ceil(2),
            Chroma::Yuv444 => self.height * 3,
        }
    }

    /// Bytes of all planes.
    pub fn size(&self) -> u64 {
        u64::from(self.pitch()) * u64::from(self.lines())
    }
}

/// What the shader is told, as it declares it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Push {
    rows: [[i32; 4]; 3],
    width: u32,
    height: u32,
    source_stride: u32,
    pitch: u32,
    wide: u32,
    full: u32,
    highest: i32,
}

impl Push {
    fn new(target: &Target, source_stride: u32) -> Self {
        let ten = target.depth == BitDepth::Ten;
        let bits = if ten { 10 } else { 8 };
        Self {
            rows: fixed_rows(target.matrix, target.range, bits),
            width: target.width,
            height: target.height,
            source_stride: source_stride / 4,
            pitch: target.pitch() / 4,
            wide: u32::from(ten),
            full: u32::from(target.chroma == Chroma::Yuv444),
            highest: (1 << bits) - 1,
        }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the structure is plain numbers without gaps.
        unsafe { core::slice::from_raw_parts((&raw const *self).cast(), size_of::<Self>()) }
    }
}

/// The shader, ready for one pair of buffers at a time.
pub struct Converter {
    vulkan: Arc<Vulkan>,
    sets: vk::DescriptorSetLayout,
    pool: vk::DescriptorPool,
    set: vk::DescriptorSet,
    layout: vk::PipelineLayout,
    pipeline: vk::Pipeline,
}

// SAFETY: owned by this value alone; it may be used from any one thread at a time.
unsafe impl Send for Converter {}

impl Converter {
    /// Compiles the shader for the device.
    ///
    /// # Errors
    /// [`VulkanError::Call`].
    pub fn new(vulkan: &Arc<Vulkan>) -> Result<Self, VulkanError> {
        // From here on the value cleans up whatever was made of it so far.
        let mut converter = Self {
            vulkan: Arc::clone(vulkan),
            sets: vk::DescriptorSetLayout::null(),
            pool: vk::DescriptorPool::null(),
            set: vk::DescriptorSet::null(),
            layout: vk::PipelineLayout::null(),
            pipeline: vk::Pipeline::null(),
        };
        converter.create_set()?;
        converter.create_pipeline()?;
        Ok(converter)
    }

    fn create_set(&mut self) -> Result<(), VulkanError> {
        let device = &self.vulkan.device;
        let binding = |number| {
            vk::DescriptorSetLayoutBinding::default()
                .binding(number)
                .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        };
        let bindings = [binding(0), binding(1)];
        let sizes = [vk::DescriptorPoolSize { ty: vk::DescriptorType::STORAGE_BUFFER, descriptor_count: 2 }];
        let sets = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        let pool = vk::DescriptorPoolCreateInfo::default().max_sets(1).pool_sizes(&sizes);
        // SAFETY: the device is live, the structures whole, and the last one's handles live.
        unsafe {
            self.sets =
                device.create_descriptor_set_layout(&sets, None).map_err(failed("vkCreateDescriptorSetLayout"))?;
            self.pool = device.create_descriptor_pool(&pool, None).map_err(failed("vkCreateDescriptorPool"))?;
            let layouts = [self.sets];
            let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(self.pool).set_layouts(&layouts);
            self.set = device.allocate_descriptor_sets(&info).map_err(failed("vkAllocateDescriptorSets"))?[0];
        }
        Ok(())
    }

    fn create_pipeline(&mut self) -> Result<(), VulkanError> {
        let device = &self.vulkan.device;
        let code: Vec<u32> = SHADER.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let layouts = [self.sets];
        let push = [vk::PushConstantRange::default()
            .stage_flags(vk::ShaderStageFlags::COMPUTE)
            .size(size_of::<Push>() as u32)];
        let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&layouts).push_constant_ranges(&push);
        let module = vk::ShaderModuleCreateInfo::default().code(&code);
        // SAFETY: the device is live, the structures are whole, the shader is one that was compiled for this interface.
        unsafe {
            self.layout = device.create_pipeline_layout(&layout, None).map_err(failed("vkCreatePipelineLayout"))?;
            let module = device.create_shader_module(&module, None).map_err(failed("vkCreateShaderModule"))?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let info = [vk::ComputePipelineCreateInfo::default().stage(stage).layout(self.layout)];
            let made = device.create_compute_pipelines(vk::PipelineCache::null(), &info, None);
            device.destroy_shader_module(module, None);
            let made = made.map_err(|(_, result)| failed("vkCreateComputePipelines")(result))?;
            self.pipeline = made[0];
        }
        Ok(())
    }

    /// Chooses the buffers of the next runs. No run may be under way.
    pub fn bind(&mut self, source: &Buffer, target: &Buffer) {
        let info = |buffer: &Buffer| {
            [vk::DescriptorBufferInfo::default().buffer(buffer.raw()).offset(0).range(vk::WHOLE_SIZE)]
        };
        let (source, target) = (info(source), info(target));
        let write = |binding| {
            vk::WriteDescriptorSet::default()
                .dst_set(self.set)
                .dst_binding(binding)
                .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
        };
        let writes = [write(0).buffer_info(&source), write(1).buffer_info(&target)];
        // SAFETY: set and buffers are live, and no command uses the set.
        unsafe { self.vulkan.device.update_descriptor_sets(&writes, &[]) };
    }

    /// Converts the pixels in the bound source, whose lines are `source_stride` bytes apart (a multiple of 4), into the
    /// bound target.
    pub fn convert(&self, recording: &Recording<'_>, target: &Target, source_stride: u32) {
        let (device, commands) = recording.raw();
        let push = Push::new(target, source_stride);
        let compute = vk::PipelineBindPoint::COMPUTE;
        // SAFETY: it is being recorded; all handles are live; the buffers are as large as the callers say.
        unsafe {
            device.cmd_bind_pipeline(commands, compute, self.pipeline);
            device.cmd_bind_descriptor_sets(commands, compute, self.layout, 0, &[self.set], &[]);
            device.cmd_push_constants(commands, self.layout, vk::ShaderStageFlags::COMPUTE, 0, push.bytes());
            device.cmd_dispatch(commands, target.width.div_ceil(GROUP.0), target.height.div_ceil(GROUP.1), 1);
        }
    }
}

impl Drop for Converter {
    fn drop(&mut self) {
        let device = &self.vulkan.device;
        // SAFETY: all are owned by this value, and no command uses them. Null is ignored.
        unsafe {
            device.destroy_pipeline(self.pipeline, None);
            device.destroy_pipeline_layout(self.layout, None);
            device.destroy_descriptor_pool(self.pool, None);
            device.destroy_descriptor_set_layout(self.sets, None);
        }
    }
}

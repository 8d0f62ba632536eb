//! Pictures that stay on the GPU: converted there to what an encoder takes, and handed to CUDA, without the processor
//! touching a pixel.
//!
//! Buffers of compositors (dmabufs) are brought in and copied once, a compute shader converts the pixels into a buffer that
//! CUDA sees as well. No stream uses it yet: what is here is tried by `lumen doctor --gpu`, which says what of it works on a
//! machine.

pub mod convert;
pub mod cuda;
pub mod dmabuf;
pub mod kernel_buffer;
pub mod report;

use crate::gpu::cuda::CudaError;
use crate::gpu::vulkan::VulkanError;

/// Why a picture cannot stay on the GPU.
#[derive(Debug, thiserror::Error)]
pub enum ZeroCopyError {
    /// Vulkan failed.
    #[error(transparent)]
    Vulkan(#[from] VulkanError),
    /// CUDA failed.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// The buffer of a compositor cannot be brought in.
    #[error(transparent)]
    Dmabuf(#[from] dmabuf::DmabufError),
}

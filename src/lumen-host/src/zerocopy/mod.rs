//! Pictures that stay on the GPU: converted there to what an encoder takes, and handed to CUDA, without the processor
//! touching a pixel.
//!
//! A compute shader converts pixels into a buffer that CUDA sees as well. Buffers of compositors are not brought in yet: what
//! is here is tried by `lumen doctor --gpu`, which says what of it works on a machine.

pub mod convert;
pub mod cuda;
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
}

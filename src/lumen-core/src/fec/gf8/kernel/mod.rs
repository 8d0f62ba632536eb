//! The arithmetic: every output shard is a sum of input shards times constants. One file per instruction set, chosen
//! at run time; all give the same bytes.

#![allow(unsafe_code)] // SIMD: the reason stands at each block

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_gfni;
#[cfg(target_arch = "x86_64")]
mod avx512_gfni;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod fused;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

use std::fmt;

use thiserror::Error;

/// An implementation of the arithmetic for one instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// x86-64 with AVX-512F and GFNI: 64 bytes per multiplication instruction.
    Avx512Gfni,
    /// x86-64 with AVX2 and GFNI: 32 bytes per multiplication instruction.
    Avx2Gfni,
    /// x86-64 with AVX2: products by byte shuffles.
    Avx2,
    /// 64-bit Arm: products by table look-up instructions.
    Neon,
    /// Any machine: one table look-up per byte. The reference for the others; slow.
    Scalar,
}

impl Kernel {
    /// All kernels, fastest first.
    const ALL: [Self; 5] = [Self::Avx512Gfni, Self::Avx2Gfni, Self::Avx2, Self::Neon, Self::Scalar];

    /// The fastest kernel that this machine can run.
    pub fn detect() -> Self {
        Self::ALL.into_iter().find(|kernel| kernel.is_available()).unwrap_or(Self::Scalar)
    }

    /// Every kernel that this machine can run, fastest first. [`Kernel::Scalar`] is always among them.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|kernel| kernel.is_available()).collect()
    }

    /// Whether this machine can run this kernel.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Gfni => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("gfni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Gfni => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("gfni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Scalar => true,
            _ => false,
        }
    }

    /// `outputs[r] = Σ coefficients[c · rows + r] · inputs[c]`, where `rows` is the number of outputs. Outputs are
    /// overwritten.
    ///
    /// # Panics
    /// If the counts do not fit, if shards differ in length, or if this kernel is not available. The codec rules all
    /// of that out.
    pub(super) fn multiply(self, coefficients: &[u8], inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
        assert!(self.is_available(), "kernel {self} is not available");
        // SAFETY: this machine has the instruction set of the kernel chosen.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Gfni => avx512_gfni::multiply(coefficients, inputs, outputs),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2Gfni => avx2_gfni::multiply(coefficients, inputs, outputs),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::multiply(coefficients, inputs, outputs),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => neon::multiply(coefficients, inputs, outputs),
                _ => scalar::multiply(coefficients, inputs, outputs),
            }
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avx512Gfni => "avx512-gfni",
            Self::Avx2Gfni => "avx2-gfni",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Scalar => "scalar",
        })
    }
}

/// This machine lacks the instructions of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this machine cannot run the FEC kernel '{0}'")]
pub struct KernelUnavailable(pub Kernel);

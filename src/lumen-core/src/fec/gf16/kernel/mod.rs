//! The arithmetic of the transforms, for one instruction set each, chosen at run time; all give the same bytes.

#![allow(unsafe_code)] // SIMD: the reason stands at each block

#[cfg(target_arch = "x86_64")]
mod avx2_gfni;
#[cfg(target_arch = "x86_64")]
mod avx512_gfni;
#[cfg(target_arch = "x86_64")]
mod butterfly;
mod sums;
#[cfg(target_arch = "x86_64")]
mod tables;
mod wanted;

use std::fmt;

use reed_solomon_simd::engine::{DefaultEngine, Engine as _, ShardsRefMut};
use thiserror::Error;

use super::Chunk;
pub(super) use wanted::Wanted;

/// An implementation of the arithmetic for one instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// x86-64 with AVX-512 and GFNI: a product of 32 symbols is two bit-matrix products and a shuffle.
    Avx512Gfni,
    /// x86-64 with AVX2 and GFNI: a product of 32 symbols is four bit-matrix products.
    Avx2Gfni,
    /// The engine that `reed-solomon-simd` chooses: AVX2, SSSE3 or NEON by byte shuffles, or no vectors at all. It makes
    /// tables of 8 MiB.
    Library,
}

impl Kernel {
    /// All kernels, fastest first.
    const ALL: [Self; 3] = [Self::Avx512Gfni, Self::Avx2Gfni, Self::Library];

    /// The fastest kernel that this machine can run.
    pub fn detect() -> Self {
        Self::ALL.into_iter().find(|kernel| kernel.is_available()).unwrap_or(Self::Library)
    }

    /// Every kernel that this machine can run, fastest first. [`Kernel::Library`] is always among them.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|kernel| kernel.is_available()).collect()
    }

    /// Whether this machine can run this kernel.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Gfni => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("gfni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Gfni => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("gfni"),
            Self::Library => true,
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avx512Gfni => "avx512-gfni",
            Self::Avx2Gfni => "avx2-gfni",
            Self::Library => "library",
        })
    }
}

/// This machine lacks the instructions of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this machine cannot run the GF(2^16) kernel '{0}'")]
pub struct KernelUnavailable(pub Kernel);

/// A kernel with its tables. Shards lie one after another, each of `width` chunks.
pub(super) enum Engine {
    #[cfg(target_arch = "x86_64")]
    Avx512Gfni(avx512_gfni::Engine),
    #[cfg(target_arch = "x86_64")]
    Avx2Gfni(avx2_gfni::Engine),
    Library(DefaultEngine),
}

/// Does the same on whichever engine it is.
macro_rules! dispatch {
    ($self:expr, $engine:ident => $ours:expr, $library:pat => $theirs:expr) => {
        match $self {
            #[cfg(target_arch = "x86_64")]
            Engine::Avx512Gfni($engine) => $ours,
            #[cfg(target_arch = "x86_64")]
            Engine::Avx2Gfni($engine) => $ours,
            Engine::Library($library) => $theirs,
        }
    };
}

impl Engine {
    /// Makes the tables where that has not happened yet. A kernel that this machine lacks is replaced by the library's.
    pub(super) fn new(kernel: Kernel) -> Self {
        match kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Gfni if kernel.is_available() => Self::Avx512Gfni(avx512_gfni::Engine::new()),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2Gfni if kernel.is_available() => Self::Avx2Gfni(avx2_gfni::Engine::new()),
            _ => Self::Library(DefaultEngine::new()),
        }
    }

    /// Transforms all shards of `data` in place; their number is a power of two. What is not `wanted` is left unfinished.
    pub(super) fn transform(&self, data: &mut [Chunk], width: usize, wanted: &Wanted) {
        dispatch!(self, engine => engine.transform(data, width, wanted), library => {
            let size = data.len() / width;
            library.fft(&mut ShardsRefMut::new(size, width, data), 0, size, wanted.end(), 0);
        })
    }

    /// Transforms all shards of `data` back in place, of which only the first `count` are not zero. `shift` is the
    /// distance of these shards on the wire to those of a transform, by which the transform's factors are moved.
    pub(super) fn inverse_transform(&self, data: &mut [Chunk], width: usize, count: usize, shift: usize) {
        dispatch!(self, engine => engine.inverse_transform(data, width, count, shift), library => {
            let size = data.len() / width;
            library.ifft(&mut ShardsRefMut::new(size, width, data), 0, size, count, shift);
        })
    }

    /// Multiplies all symbols by the element with this logarithm, where 65 535 is the logarithm of 1.
    pub(super) fn multiply(&self, chunks: &mut [Chunk], logarithm: u16) {
        dispatch!(self, engine => engine.multiply(chunks, logarithm), library => library.mul(chunks, logarithm))
    }

    /// `sum += other`
    pub(super) fn add(&self, sum: &mut [Chunk], other: &[Chunk]) {
        dispatch!(self, engine => engine.add(sum, other), _ => sums::add(sum, other))
    }

    /// The formal derivative of the polynomial whose coefficients the shards are.
    pub(super) fn derivative(&self, data: &mut [Chunk], width: usize) {
        dispatch!(self, engine => engine.derivative(data, width), _ => sums::derivative(data, width))
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernel = match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Gfni(_) => Kernel::Avx512Gfni,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Gfni(_) => Kernel::Avx2Gfni,
            Self::Library(_) => Kernel::Library,
        };
        f.debug_tuple("Engine").field(&kernel).finish()
    }
}

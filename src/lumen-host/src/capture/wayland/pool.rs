//! Pictures that are used again once nobody looks at them any more.

use std::sync::Arc;

use crate::frame::{CpuImage, PixelFormat};

/// Pictures in use beyond this number are let go instead of kept.
const KEPT: usize = 6;

/// See the module.
#[derive(Debug, Default)]
pub struct Pool {
    images: Vec<Arc<CpuImage>>,
}

impl Pool {
    /// A picture of `stride * height` bytes that `fill` writes; what it held before is of no meaning.
    ///
    /// # Errors
    /// What `fill` says.
    pub fn make<E>(
        &mut self,
        (width, height, stride): (u32, u32, usize),
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Arc<CpuImage>, E> {
        let free = self.images.iter_mut().position(|image| Arc::get_mut(image).is_some());
        let mut image = free.map_or_else(
            || Arc::new(CpuImage { width, height, stride, format: PixelFormat::Bgrx, data: Vec::new() }),
            |place| self.images.swap_remove(place),
        );
        if let Some(content) = Arc::get_mut(&mut image) {
            (content.width, content.height, content.stride) = (width, height, stride);
            content.data.resize(stride * height as usize, 0);
            fill(&mut content.data)?;
        }
        if self.images.len() < KEPT {
            self.images.push(Arc::clone(&image));
        }
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(pool: &mut Pool, value: u8) -> Arc<CpuImage> {
        pool.make((2, 2, 8), |data| {
            data.fill(value);
            Ok::<_, ()>(())
        })
        .expect("no error")
    }

    #[test]
    fn a_picture_is_used_again_only_when_nobody_holds_it() {
        let mut pool = Pool::default();
        let first = make(&mut pool, 1);
        let second = make(&mut pool, 2);
        assert_eq!((first.data[0], second.data[0]), (1, 2));
        let place = first.data.as_ptr();
        drop(first);
        let third = make(&mut pool, 3);
        assert_eq!(third.data.as_ptr(), place);
        assert_eq!(second.data[0], 2);
    }
}

//! Finding and loading the libraries.

use core::ffi::{CStr, c_int};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::ffi::{Functions, LOG_QUIET};
use crate::format::FormatTable;
use crate::layout::{KNOWN, Layout};

/// The environment variable that names a folder to load FFmpeg from, before the system's own folders are asked.
const DIRECTORY_VARIABLE: &str = "LUMEN_FFMPEG_DIR";

/// Why FFmpeg cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// None of the known versions is there.
    #[error(
        "no FFmpeg library was found (libavcodec.so.59 to .62); install libavcodec, or name its folder in \
         {DIRECTORY_VARIABLE}: {reason}"
    )]
    NotFound {
        /// What the dynamic linker said about the newest version.
        reason: String,
    },
    /// A library is there but not usable.
    #[error("libavcodec {major} was found but cannot be used: {reason}")]
    Unusable {
        /// Major version of libavcodec.
        major: u32,
        /// What stands against it.
        reason: String,
    },
}

/// libavcodec and libavutil, loaded and checked.
pub struct Library {
    pub(crate) functions: Functions,
    pub(crate) layout: Layout,
    pub(crate) formats: FormatTable,
    version: u32,
    // Declared last: the functions above point into them.
    _avcodec: libloading::Library,
    _avutil: libloading::Library,
}

impl Library {
    /// Loads FFmpeg from the folder in `LUMEN_FFMPEG_DIR`, if set, else from where the dynamic linker finds it; the
    /// newest known version wins. The libraries are loaded once and shared.
    ///
    /// # Errors
    /// [`LoadError`] if there is none, or none that passes its checks.
    pub fn load() -> Result<Arc<Self>, LoadError> {
        static LOADED: Mutex<Option<Arc<Library>>> = Mutex::new(None);
        let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(library) = &*loaded {
            return Ok(Arc::clone(library));
        }
        let directory = std::env::var_os(DIRECTORY_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let library = Self::find(directory.as_deref())?;
        *loaded = Some(Arc::clone(&library));
        Ok(library)
    }

    /// Loads FFmpeg from one folder and nowhere else.
    ///
    /// # Errors
    /// [`LoadError`] if there is none, or none that passes its checks.
    pub fn load_from(directory: &Path) -> Result<Arc<Self>, LoadError> {
        Self::find(Some(directory))
    }

    /// Version of libavcodec, such as `59.37.100`.
    pub fn version(&self) -> String {
        format!("{}.{}.{}", self.version >> 16, self.version >> 8 & 0xff, self.version & 0xff)
    }

    /// Whether this build has an encoder of that name. (It may still fail to open.)
    pub fn has_encoder(&self, name: &str) -> bool {
        let Ok(name) = std::ffi::CString::new(name) else { return false };
        // SAFETY: a C string goes in; a pointer to a static description or null comes out.
        !unsafe { (self.functions.avcodec_find_encoder_by_name)(name.as_ptr()) }.is_null()
    }

    /// Whether this build has a decoder of that name.
    pub fn has_decoder(&self, name: &str) -> bool {
        let Ok(name) = std::ffi::CString::new(name) else { return false };
        // SAFETY: a C string goes in; a pointer to a static description or null comes out.
        !unsafe { (self.functions.avcodec_find_decoder_by_name)(name.as_ptr()) }.is_null()
    }

    /// FFmpeg's own words for an error code.
    pub(crate) fn reason(&self, code: c_int) -> String {
        let mut text = [0; 128];
        // SAFETY: the buffer is as long as it is said to be, and av_strerror terminates what it writes.
        unsafe { (self.functions.av_strerror)(code, text.as_mut_ptr(), text.len()) };
        // SAFETY: the buffer was zeroed and is terminated, see above.
        unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
    }

    fn find(directory: Option<&Path>) -> Result<Arc<Self>, LoadError> {
        let mut not_found = None;
        let mut unusable = None;
        for (avcodec, avutil, layout) in KNOWN {
            match Self::open(directory, avcodec, avutil, layout) {
                Ok(library) => return Ok(Arc::new(library)),
                Err(error @ LoadError::NotFound { .. }) => not_found = not_found.or(Some(error)),
                Err(error) => unusable = unusable.or(Some(error)),
            }
        }
        Err(unusable.or(not_found).unwrap_or(LoadError::NotFound { reason: String::new() }))
    }

    fn open(directory: Option<&Path>, avcodec: u32, avutil: u32, layout: Layout) -> Result<Self, LoadError> {
        let open = |name: String| {
            let path = directory.map_or_else(|| PathBuf::from(&name), |directory| directory.join(&name));
            // SAFETY: loading FFmpeg runs only its constructors and those of the libraries that it needs, which set up
            // tables. A file of that name in the linker's path or in the folder that the operator named is trusted as
            // any system library is.
            unsafe { libloading::Library::new(path) }.map_err(|error| LoadError::NotFound { reason: error.to_string() })
        };
        // libavutil first, so that the libavcodec of a named folder does not pull in another one.
        let avutil_library = open(format!("libavutil.so.{avutil}"))?;
        let avcodec_library = open(format!("libavcodec.so.{avcodec}"))?;
        let unusable = |reason: String| LoadError::Unusable { major: avcodec, reason };
        // SAFETY: both are FFmpeg's by their names, and are kept beside the table.
        let functions = unsafe { Functions::resolve(&avutil_library, &avcodec_library) }
            .map_err(|name| unusable(format!("it lacks the function {name}")))?;
        // SAFETY: takes nothing.
        let version = unsafe { (functions.avcodec_version)() };
        if version >> 16 != avcodec {
            return Err(unusable(format!("it says that it is version {}", version >> 16)));
        }
        // SAFETY: takes an int. What goes wrong is reported by error codes; encoders would print banners.
        unsafe { (functions.av_log_set_level)(LOG_QUIET) };
        layout.verify(&functions).map_err(|reason| unusable(reason.to_owned()))?;
        let formats = FormatTable::new(&functions);
        Ok(Self { functions, layout, formats, version, _avcodec: avcodec_library, _avutil: avutil_library })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_installed_ffmpeg_loads_and_passes_its_checks() {
        let library = Library::load().expect("these tests need FFmpeg's libraries; scripts/test installs them");
        assert!(library.version().starts_with(['5', '6']));
        assert!(library.has_decoder("h264") && !library.has_decoder("no such codec"));
        assert!(!library.has_encoder("libx264\0"));
    }

    #[test]
    fn a_folder_without_ffmpeg_says_what_to_do() {
        let error = Library::load_from(Path::new("/nonexistent")).err().unwrap();
        assert!(matches!(error, LoadError::NotFound { .. }));
        assert!(error.to_string().contains("install libavcodec"));
    }
}

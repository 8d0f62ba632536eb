//! Where the shared libraries of NVIDIA's driver are looked for: the one place that knows paths.

use std::path::{Path, PathBuf};

use libloading::Library;

/// The environment variable that names a folder to load the driver's libraries from, and from nowhere else.
pub const DIRECTORY_VARIABLE: &str = "LUMEN_NVIDIA_DIR";

/// Where systems put the driver that the dynamic linker does not know of: NixOS, and containers.
const DIRECTORIES: [&str; 2] = ["/run/opengl-driver/lib", "/usr/local/nvidia/lib64"];

/// The file that NVIDIA's kernel module makes.
const KERNEL_MODULE: &str = "/proc/driver/nvidia/version";

/// Loads a library of the driver, such as `libcuda.so.1`.
///
/// # Errors
/// What the dynamic linker said.
pub fn load(name: &str) -> Result<Library, String> {
    let named = std::env::var_os(DIRECTORY_VARIABLE).filter(|directory| !directory.is_empty());
    let candidates = match named {
        Some(directory) => vec![Path::new(&directory).join(name)],
        None => [PathBuf::from(name)]
            .into_iter()
            .chain(DIRECTORIES.iter().map(|directory| Path::new(directory).join(name)))
            .collect(),
    };
    let mut said = None;
    for candidate in candidates {
        // SAFETY: the driver's libraries may be loaded at any time; their constructors ask nothing of the program.
        match unsafe { Library::new(&candidate) } {
            Ok(library) => return Ok(library),
            Err(error) => said = said.or(Some(error.to_string())),
        }
    }
    Err(said.unwrap_or_default())
}

/// Whether this machine's kernel drives an NVIDIA GPU, or a folder with its libraries was named.
pub fn nvidia_is_expected() -> bool {
    Path::new(KERNEL_MODULE).exists() || std::env::var_os(DIRECTORY_VARIABLE).is_some_and(|path| !path.is_empty())
}

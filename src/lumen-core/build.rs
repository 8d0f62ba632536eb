//! Writes the C header of the ABI with feature `header`: from `src/abi` to the build directory, where a test compares it
//! with `include/lumen_core.h`. Without that feature nothing is built and nothing written.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "header")]
    header::write();
}

#[cfg(feature = "header")]
mod header {
    use std::path::PathBuf;

    pub fn write() {
        println!("cargo::rerun-if-changed=src/abi");
        println!("cargo::rerun-if-changed=cbindgen.toml");
        let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
        let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).expect("cbindgen.toml can be read");
        // It follows the modules in there.
        let source = here.join("src/abi/mod.rs");
        let bindings = cbindgen::Builder::new().with_config(config).with_src(source).generate();
        let bindings = bindings.expect("src/abi is a C interface");
        bindings.write_to_file(PathBuf::from(variable("OUT_DIR")).join("lumen_core.h"));
    }

    fn variable(name: &str) -> String {
        std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
    }
}

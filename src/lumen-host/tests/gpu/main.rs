//! `lumen doctor --gpu` on Vulkan in software: what it says works really was compared with the processor's pictures, and
//! the validation layer finds no fault in how Vulkan is used. Needs Mesa's software Vulkan, the validation layer, and
//! glslang (mesa-vulkan-drivers, vulkan-validationlayers, glslang-tools; scripts/test installs them).
//!
//! What needs CUDA is tried on a machine that has it; dmabufs, in the machine of `vm-tests/desktops --gpu`, whose software
//! Vulkan takes them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where packages put the descriptions of Vulkan's drivers.
const DRIVERS: &str = "/usr/share/vulkan/icd.d";

/// Where it puts its layers, and the one that checks how Vulkan is used.
const LAYER: &str = "/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json";

/// Mesa's driver in software.
fn software() -> PathBuf {
    let drivers = std::fs::read_dir(DRIVERS).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lvp_icd"));
    drivers.into_iter().find(|path| named(path)).expect("mesa-vulkan-drivers is installed; scripts/test installs it")
}

fn doctor(drivers: &Path) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    Command::new(env!("CARGO_BIN_EXE_lumen"))
        .args(["doctor", "--gpu", "--json"])
        .env("VK_DRIVER_FILES", drivers)
        .env("VK_ICD_FILENAMES", drivers)
        .env_remove("VK_LAYER_PATH")
        .env("VK_INSTANCE_LAYERS", "VK_LAYER_KHRONOS_validation")
        .env("LUMEN_STATE_DIR", directory.path())
        .env("LUMEN_RUNTIME_DIR", directory.path())
        // No driver of NVIDIA's: an empty folder.
        .env("LUMEN_NVIDIA_DIR", directory.path())
        .output()
        .expect("it runs")
}

/// The JSON in what it printed; the validation layer prints what it finds before it.
fn report(output: &Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(Path::new(LAYER).exists(), "vulkan-validationlayers is installed; scripts/test installs it");
    let json = text.find("{\n").unwrap_or_else(|| panic!("no report: {text}\n{said}"));
    let complains = |text: &str| text.contains("Validation Error") || text.contains("VUID-");
    assert!(!complains(&text) && !complains(&said), "{text}\n{said}");
    serde_json::from_str(&text[json..]).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// That a stage whose name begins so works; its figures.
fn works<'a>(device: &'a serde_json::Value, start: &str) -> &'a str {
    let stages = device["stages"].as_array().expect("a list");
    let found = stages.iter().find(|stage| stage["name"].as_str().is_some_and(|name| name.starts_with(start)));
    let stage = found.unwrap_or_else(|| panic!("{start} was not tried: {device:#}"));
    assert_eq!(stage["outcome"], "works", "{stage:#}");
    stage["detail"].as_str().expect("a text")
}

#[test]
fn conversions_in_software_are_right_and_vulkan_is_used_as_it_wants() {
    let report = report(&doctor(&software()));
    let device = &report["devices"][0];
    assert!(device["device"].as_str().is_some_and(|name| name.contains("in software")), "{report:#}");
    let stages = device["stages"].as_array().expect("a list");
    for name in ["720p to NV12", "720p to P010", "720p to YUV444", "720p to YUV444 10 bit", "every matrix and range"] {
        works(device, name);
    }
    // Nothing that could be tried here fails; what needs other hardware says so.
    assert!(stages.iter().all(|stage| stage["outcome"] != "fails"), "{report:#}");
    let cuda = stages.iter().find(|stage| stage["name"].as_str().is_some_and(|name| name.contains("CUDA")));
    assert_eq!(cuda.map(|stage| stage["outcome"].clone()), Some("unproven".into()), "{report:#}");
    assert_eq!(report["encoders"][0]["outcome"], "unproven", "{report:#}");
}

#[test]
#[ignore = "needs software Vulkan that takes dmabufs, and /dev/udmabuf: vm-tests/desktops --gpu"]
fn dmabufs_come_in_as_they_are_and_vulkan_is_used_as_it_wants() {
    let report = report(&doctor(&software()));
    let device = &report["devices"][0];
    for name in [
        "LINEAR dmabufs as buffers",
        "LINEAR dmabufs as images",
        "a dmabuf converted",
        "pictures of Vulkan's handed out as dmabufs",
    ] {
        println!("{name}: {}", works(device, name));
    }
}

#[test]
fn a_machine_without_a_driver_is_told_apart_from_a_broken_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let empty = directory.path().join("no-driver.json");
    std::fs::write(&empty, "{}").expect("written");
    let report = report(&doctor(&empty));
    assert!(report["devices"].as_array().expect("a list").is_empty(), "{report:#}");
    assert!(report["vulkan"].as_str().is_some_and(|reason| reason.contains("install")), "{report:#}");
}

/// `convert.spv` is what glslang makes of `convert.comp`.
#[test]
fn the_compiled_shader_is_current() {
    let rooms = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/zerocopy");
    let directory = tempfile::tempdir().expect("a directory");
    let made = directory.path().join("convert.spv");
    let status = Command::new("glslangValidator")
        .args(["-V", "--quiet", "--target-env", "vulkan1.1", "-g0", "-o"])
        .arg(&made)
        .arg(rooms.join("convert.comp"))
        .status()
        .expect("glslangValidator is installed (glslang-tools); scripts/test installs it");
    assert!(status.success());
    // Versions of glslang differ in the word that names them, the third.
    let without_generator = |path: &Path| {
        let bytes = std::fs::read(path).expect("readable");
        [&bytes[..8], &bytes[12..]].concat()
    };
    assert!(
        without_generator(&made) == without_generator(&rooms.join("convert.spv")),
        "convert.spv is not made of convert.comp: glslangValidator -V --target-env vulkan1.1 -g0 -o convert.spv convert.comp"
    );
}

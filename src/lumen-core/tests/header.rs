//! The checked-in C header is the one that `src/abi` gives.

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../include/lumen_core.h");

#[test]
fn the_checked_in_header_is_that_of_the_source() {
    let generated = include_str!(concat!(env!("OUT_DIR"), "/lumen_core.h"));
    if std::env::var_os("LUMEN_BLESS").is_some() {
        std::fs::write(PATH, generated).expect("the header can be written");
    }
    let found = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        found == generated,
        "include/lumen_core.h is not that of src/abi; LUMEN_BLESS=1 scripts/test abi writes it"
    );
}

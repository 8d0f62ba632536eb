use super::*;

#[test]
fn audio_matrix_is_the_documented_one() {
    let codec = Codec::audio();
    let rows: Vec<Vec<_>> = (0..2).map(|j| (0..4).filter_map(|i| codec.coefficient(j, i)).collect()).collect();
    assert_eq!(rows, [[0x77, 0x40, 0x38, 0x0e], [0xc7, 0xa7, 0x0d, 0x6c]]);
}

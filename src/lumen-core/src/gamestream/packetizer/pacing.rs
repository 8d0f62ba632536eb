//! How other hosts group and space their packets (protocol part 2, section 3.5): arithmetic for those who send.

/// Most segments that one send with segmentation offload takes.
const MAX_SEGMENTS: usize = 64;
/// Most bytes of such a send, as the reference host counts.
const MAX_SEND: usize = 65_536;

/// Datagrams of `datagram_len` bytes that one send takes; at least 1.
pub fn gso_batch(datagram_len: usize) -> usize {
    MAX_SEND.checked_div(datagram_len).map_or(MAX_SEGMENTS, |fits| fits.clamp(1, MAX_SEGMENTS))
}

/// Whole datagrams of `datagram_len` bytes that leave in a millisecond at `bits_per_second`.
pub const fn packets_per_millisecond(bits_per_second: u64, datagram_len: usize) -> u64 {
    match (bits_per_second / 1000).checked_div(datagram_len as u64) {
        Some(packets) => packets / 8,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_never_empty_and_an_empty_datagram_is_no_division_by_zero() {
        assert_eq!(gso_batch(70_000), 1);
        assert_eq!(gso_batch(0), 64);
        assert_eq!(packets_per_millisecond(1_000_000, 0), 0);
    }
}

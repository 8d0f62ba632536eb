//! Reed–Solomon over GF(2^8), byte-compatible with what Moonlight decodes (protocol part 2, section 2).

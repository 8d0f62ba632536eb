//! Pairing (protocol part 1, section 3).

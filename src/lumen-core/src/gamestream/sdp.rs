//! DESCRIBE and ANNOUNCE bodies (protocol part 1, section 5).

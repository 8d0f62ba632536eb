//! Opus: multistream encoding of a session's sound (protocol part 2, section 5.1).

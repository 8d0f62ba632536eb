//! Frames to protected video packets (protocol part 2, sections 1 and 2).

//! Audio packets and their RS(4,2) (protocol part 2, section 5).

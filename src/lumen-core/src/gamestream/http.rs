//! Server information, application list, launch (protocol part 1, sections 2 and 4).

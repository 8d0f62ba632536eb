//! RTSP (protocol part 1, section 5).

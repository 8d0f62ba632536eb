//! Packet encryption: AES-128-GCM for video, control and RTSP; AES-128-CBC for audio (protocol part 2, section 6).

//! rtsp_server.

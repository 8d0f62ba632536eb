//! dualsense

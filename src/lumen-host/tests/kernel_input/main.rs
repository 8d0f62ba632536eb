//! Input devices as the kernel's own drivers and the programs that read them see them. Needs `/dev/uinput` and
//! `/dev/uhid`, and makes devices that reach every program of the machine: `vm-tests/run` runs all this in a virtual
//! one.

mod desk;
mod dualsense;
mod fallback;
mod harness;
mod pads;
mod rule;

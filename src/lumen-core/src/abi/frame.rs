//! Frames that C hands over, and the datagrams that it gets for them.

use std::time::Duration;

use super::handle::bytes;
use super::{LUMEN_REFERENCE_LONG_TERM, LUMEN_REFERENCE_NONE, LUMEN_REFERENCE_SHORT};
use crate::fec::scheme::Scheme;
use crate::lumen1::FrameToSend;
use crate::lumen1::video::{FrameFlags, FrameKind, Reference};
use crate::time::Timestamp;

/// A frame to be sent.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LumenFrame {
    /// `sizeof(LumenFrame)` of the caller.
    pub struct_size: u32,
    /// `LUMEN_FRAME_*`.
    pub kind: u8,
    /// `LUMEN_REFERENCE_*`.
    pub reference: u8,
    /// `LUMEN_SCHEME_*`.
    pub scheme: u8,
    /// 0.
    pub reserved: u8,
    /// Parity shards; measure them against `lumen_host_data_shards`.
    pub parity: u32,
    /// Microseconds after its capture for which the frame is of use; 0 without a limit.
    pub deadline_us: u32,
    /// Microseconds from capture until now.
    pub host_latency_us: u32,
    /// When it was captured, on the clock of `now_us`.
    pub captured_us: u64,
    /// The encoder's output.
    pub data: *const u8,
    /// Its length.
    pub len: usize,
}

/// The datagrams of a frame: one after another, all of one length. Valid until the next call with the host.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LumenDatagrams {
    /// The first byte of the first one.
    pub data: *const u8,
    /// The length of each.
    pub stride: usize,
    /// How many there are.
    pub count: usize,
    /// Where they go.
    pub path: u64,
    /// The number of the frame.
    pub frame: u32,
    /// The epoch of its packets.
    pub epoch: u32,
    /// The number of the first packet; the others follow it.
    pub first_packet: u64,
}

/// Bytes of the structure of version 1.0: later versions append members.
pub(super) const FRAME_1_0: usize = std::mem::offset_of!(LumenFrame, len) + size_of::<usize>();

impl LumenFrame {
    /// # Safety
    /// `data` is null or points to `len` bytes that nobody writes for `'a`.
    pub(super) unsafe fn to_send<'a>(self) -> Option<FrameToSend<'a>> {
        let micros = |micros: u32| Duration::from_micros(micros.into());
        Some(FrameToSend {
            // SAFETY: by the contract of this function.
            data: unsafe { bytes(self.data, self.len) }?,
            flags: FrameFlags {
                kind: FrameKind::from_wire_type(self.kind)?,
                reference: match self.reference {
                    LUMEN_REFERENCE_SHORT => Reference::Short,
                    LUMEN_REFERENCE_LONG_TERM => Reference::LongTerm,
                    LUMEN_REFERENCE_NONE => Reference::None,
                    _ => return None,
                },
            },
            captured: Timestamp::from_micros(self.captured_us),
            deadline: (self.deadline_us > 0).then(|| micros(self.deadline_us)),
            host_latency: micros(self.host_latency_us),
            scheme: Scheme::try_from(self.scheme).ok()?,
            parity: u16::try_from(self.parity).ok()?,
        })
    }
}

//! Why a host ends a session (protocol part 3, section 2.5).

/// The reason in a termination message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(from = "u32", into = "u32")]
pub enum Termination {
    /// The host closed the session on purpose. A client that saw a frame reports no error.
    Closed,
    /// The host could not convert frames.
    FrameConversion,
    /// Protected content is on the screen.
    ProtectedContent,
    /// Any other code; clients show it to the user as it is.
    Other(OtherReason),
}

/// A termination code without a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OtherReason(u32);

impl Termination {
    /// The code on the wire.
    pub const fn code(self) -> u32 {
        match self {
            Self::Closed => CLOSED,
            Self::FrameConversion => FRAME_CONVERSION,
            Self::ProtectedContent => PROTECTED_CONTENT,
            Self::Other(OtherReason(code)) => code,
        }
    }

    /// The reason of a code.
    pub const fn from_code(code: u32) -> Self {
        match code {
            CLOSED => Self::Closed,
            FRAME_CONVERSION => Self::FrameConversion,
            PROTECTED_CONTENT => Self::ProtectedContent,
            other => Self::Other(OtherReason(other)),
        }
    }

    /// The reason of the short form of generation 7: 0x0100 is an intended end.
    pub(super) const fn from_short_code(code: u16) -> Self {
        match code {
            0x0100 => Self::Closed,
            other => Self::from_code(other as u32),
        }
    }
}

impl From<u32> for Termination {
    fn from(code: u32) -> Self {
        Self::from_code(code)
    }
}

impl From<Termination> for u32 {
    fn from(reason: Termination) -> Self {
        reason.code()
    }
}

const CLOSED: u32 = 0x8003_0023;
const FRAME_CONVERSION: u32 = 0x800E_9403;
const PROTECTED_CONTENT: u32 = 0x800E_9302;

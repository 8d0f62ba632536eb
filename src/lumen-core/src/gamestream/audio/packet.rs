//! The layout of one audio datagram (protocol part 2, sections 5.3 and 5.5).

use crate::crypto::{BLOCK_LEN, CbcKey, OpenError};
use crate::gamestream::video::SequenceNumber;

/// Data packets of a block.
pub const BLOCK_DATA: usize = 4;
/// Parity packets of a block.
pub const BLOCK_PARITY: usize = 2;
/// Longest UDP payload that clients have room for.
pub const MAX_AUDIO_DATAGRAM: usize = 1400;

/// Bytes of the RTP header.
pub(super) const RTP_LEN: usize = 12;
/// Bytes of RTP and parity header.
pub(super) const FEC_LEN: usize = 24;

/// RTP version 2, nothing else.
const RTP_FLAGS: u8 = 0x80;
/// Payload type of Opus packets.
const DATA_TYPE: u8 = 97;
/// Payload type of parity packets.
const FEC_TYPE: u8 = 127;

/// How much sound a packet holds, in whole milliseconds; timestamps count in this unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PacketDuration(u8);

impl PacketDuration {
    /// What clients ask for unless they are slow.
    pub const FIVE: Self = Self(5);

    /// `millis` milliseconds; none for 0.
    pub const fn from_millis(millis: u8) -> Option<Self> {
        if millis == 0 { None } else { Some(Self(millis)) }
    }

    /// Milliseconds.
    pub const fn as_millis(self) -> u8 {
        self.0
    }

    /// Samples of each channel in a packet, at 48 kHz.
    pub const fn samples(self) -> usize {
        self.0 as usize * 48
    }
}

/// Key and initialisation vector rule of encrypted audio.
#[derive(Debug, Clone)]
pub struct AudioEncryption {
    /// The session key (`rikey`).
    pub key: CbcKey,
    /// The session's `rikeyid`, often negative.
    pub key_id: i32,
}

impl AudioEncryption {
    /// The initialisation vector of packet `sequence`: the wrapping sum with the key id, big-endian, then zeros.
    pub const fn iv(&self, sequence: SequenceNumber) -> [u8; BLOCK_LEN] {
        let [a, b, c, d] = (self.key_id as u32).wrapping_add(sequence.0 as u32).to_be_bytes();
        [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }
}

/// The RTP header of an Opus packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioHeader {
    /// From 0, one more for each Opus packet, wrapping.
    pub sequence: SequenceNumber,
    /// Milliseconds of sound before this packet, wrapping.
    pub timestamp: u32,
}

/// A datagram as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioPacket<'a> {
    /// An Opus packet, perhaps encrypted.
    Data {
        /// Its header.
        header: AudioHeader,
        /// Opus, or its ciphertext.
        payload: &'a [u8],
    },
    /// Parity of a block.
    Parity {
        /// Which of the two, 0 or 1.
        index: u8,
        /// Header of the block's first Opus packet.
        base: AudioHeader,
        /// Parity of the payloads.
        payload: &'a [u8],
    },
}

/// Why a datagram is no audio packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AudioPacketError {
    /// Too short for its header.
    #[error("{0} bytes are too short for an audio packet")]
    Truncated(usize),
    /// Neither Opus nor parity.
    #[error("payload type {0} is neither Opus nor parity")]
    PayloadType(u8),
    /// There are two parity packets.
    #[error("parity packet {0} of 2")]
    ParityIndex(u8),
    /// Blocks begin at multiples of four.
    #[error("no block begins at sequence number {0}")]
    Base(u16),
    /// It can't be decrypted.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl<'a> AudioPacket<'a> {
    /// Reads the headers of `datagram`.
    ///
    /// # Errors
    /// [`AudioPacketError`]; the datagram is then to be dropped.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, AudioPacketError> {
        let truncated = AudioPacketError::Truncated(datagram.len());
        let (rtp, rest) = datagram.split_first_chunk::<RTP_LEN>().ok_or(truncated)?;
        match rtp[1] & 0x7F {
            DATA_TYPE => Ok(Self::Data { header: AudioHeader::read(rtp), payload: rest }),
            FEC_TYPE => {
                let (fec, payload) = rest.split_first_chunk::<RTP_LEN>().ok_or(truncated)?;
                let base = AudioHeader::read(fec);
                if usize::from(fec[0]) >= BLOCK_PARITY {
                    return Err(AudioPacketError::ParityIndex(fec[0]));
                }
                if !usize::from(base.sequence.0).is_multiple_of(BLOCK_DATA) {
                    return Err(AudioPacketError::Base(base.sequence.0));
                }
                Ok(Self::Parity { index: fec[0], base, payload })
            }
            other => Err(AudioPacketError::PayloadType(other)),
        }
    }
}

impl AudioHeader {
    /// The RTP header of an Opus packet.
    pub fn to_bytes(self) -> [u8; RTP_LEN] {
        self.write(RTP_FLAGS, DATA_TYPE)
    }

    /// RTP and parity header of parity packet `index` of the block that begins with this header.
    pub(super) fn to_parity_bytes(self, index: u8) -> [u8; FEC_LEN] {
        let sequence = self.sequence.plus(BLOCK_DATA as u16 + u16::from(index));
        let mut bytes = [0; FEC_LEN];
        bytes[..RTP_LEN].copy_from_slice(&Self { sequence, timestamp: 0 }.write(RTP_FLAGS, FEC_TYPE));
        bytes[RTP_LEN..].copy_from_slice(&self.write(index, DATA_TYPE));
        bytes
    }

    /// RTP and parity header share this form: a byte, a payload type, sequence, timestamp, four zeros.
    fn write(self, first: u8, payload_type: u8) -> [u8; RTP_LEN] {
        let [s0, s1] = self.sequence.0.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        [first, payload_type, s0, s1, t0, t1, t2, t3, 0, 0, 0, 0]
    }

    fn read(bytes: &[u8; RTP_LEN]) -> Self {
        Self {
            sequence: SequenceNumber(u16::from_be_bytes([bytes[2], bytes[3]])),
            timestamp: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        }
    }
}

/// Reads one datagram with an Opus packet by itself, without order or recovery; decrypts in place.
///
/// # Errors
/// [`AudioPacketError`]; a parity packet has no Opus payload and counts as [`AudioPacketError::PayloadType`].
pub fn open_packet<'a>(
    encryption: Option<&AudioEncryption>,
    datagram: &'a mut [u8],
) -> Result<(AudioHeader, &'a [u8]), AudioPacketError> {
    let AudioPacket::Data { header, .. } = AudioPacket::parse(datagram)? else {
        return Err(AudioPacketError::PayloadType(FEC_TYPE));
    };
    let payload = &mut datagram[RTP_LEN..];
    Ok((header, open_payload(encryption, header.sequence, payload)?))
}

/// Decrypts the payload of packet `sequence` in place.
pub(super) fn open_payload<'a>(
    encryption: Option<&AudioEncryption>,
    sequence: SequenceNumber,
    payload: &'a mut [u8],
) -> Result<&'a [u8], OpenError> {
    match encryption {
        Some(encryption) => encryption.key.open_in_place(&encryption.iv(sequence), payload),
        None => Ok(payload),
    }
}

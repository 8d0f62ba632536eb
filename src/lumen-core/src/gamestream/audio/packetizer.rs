//! Opus packets to datagrams: the host half of audio.

use super::packet::{
    AudioEncryption, AudioHeader, BLOCK_DATA, BLOCK_PARITY, FEC_LEN, MAX_AUDIO_DATAGRAM, PacketDuration, RTP_LEN,
};
use crate::crypto::CbcKey;
use crate::fec::gf8::Codec;
use crate::gamestream::video::SequenceNumber;

/// Whether parity packets follow each block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioFec {
    /// Two after every fourth packet; what every modern client expects.
    On,
    /// None.
    Off,
}

/// What an [`AudioPacketizer`] needs to know about its stream.
#[derive(Debug, Clone)]
pub struct AudioConfig {
    /// As the client asked.
    pub packet_duration: PacketDuration,
    /// Key and key id if audio is encrypted.
    pub encryption: Option<AudioEncryption>,
    /// Whether there is parity.
    pub fec: AudioFec,
}

/// Where the next packet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct AudioCounters {
    /// Its sequence number.
    pub sequence: u16,
    /// Its timestamp, in milliseconds.
    pub timestamp: u32,
}

/// A stream can only go on at the first packet of a block: a sequence number divisible by four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no block begins at sequence number {0}: it is no multiple of four")]
pub struct NotABlockStart(pub u16);

/// Why an Opus packet could not be sent. It was not consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AudioPacketizeError {
    /// No bytes.
    #[error("an Opus packet cannot be empty")]
    Empty,
    /// Clients have no room for it, or for its parity.
    #[error("an Opus packet of {0} bytes does not fit in a datagram that clients take")]
    TooLong(usize),
    /// All packets of a block must have one length: the encoder must run at a constant bit rate.
    #[error(
        "an Opus packet of {found} bytes in a block of packets of {expected}: the encoder is not at a constant rate"
    )]
    LengthMismatch {
        /// Length of the block's first packet.
        expected: usize,
        /// Length of this one.
        found: usize,
    },
}

/// Makes audio datagrams of Opus packets. One per stream.
#[derive(Debug)]
pub struct AudioPacketizer {
    config: AudioConfig,
    next: AudioCounters,
    base: AudioHeader,
    /// Length of the Opus packets of the block.
    opus_len: usize,
    data: [Vec<u8>; BLOCK_DATA],
    parity: [Vec<u8>; BLOCK_PARITY],
    codec: Codec,
}

/// The datagrams that one Opus packet caused, in order of sending.
#[derive(Debug, Clone, Copy)]
pub struct AudioDatagrams<'a> {
    /// The Opus packet.
    pub data: &'a [u8],
    /// Both parity packets if it was the last of its block, else none.
    pub parity: &'a [Vec<u8>],
}

impl<'a> AudioDatagrams<'a> {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        std::iter::once(self.data).chain(self.parity.iter().map(Vec::as_slice))
    }
}

impl AudioPacketizer {
    /// A packetizer for a new stream: sequence number and timestamp 0.
    pub fn new(config: AudioConfig) -> Self {
        Self {
            config,
            next: AudioCounters::default(),
            base: AudioHeader { sequence: SequenceNumber(0), timestamp: 0 },
            opus_len: 0,
            data: Default::default(),
            parity: Default::default(),
            codec: Codec::audio(),
        }
    }

    /// A packetizer that goes on with a stream at the start of a block. Under one key and key id no sequence number
    /// should come twice before it must, by wrapping.
    ///
    /// # Errors
    /// [`NotABlockStart`].
    pub fn resume(config: AudioConfig, counters: AudioCounters) -> Result<Self, NotABlockStart> {
        if usize::from(counters.sequence).is_multiple_of(BLOCK_DATA) {
            Ok(Self { next: counters, ..Self::new(config) })
        } else {
            Err(NotABlockStart(counters.sequence))
        }
    }

    /// Where the next packet stands. A stream that is taken over goes on at the next multiple of four.
    pub fn counters(&self) -> AudioCounters {
        self.next
    }

    /// Takes one Opus packet and returns what is to be sent, at once and in this order.
    ///
    /// # Errors
    /// [`AudioPacketizeError`].
    pub fn push(&mut self, opus: &[u8]) -> Result<AudioDatagrams<'_>, AudioPacketizeError> {
        let place = usize::from(self.next.sequence) % BLOCK_DATA;
        if opus.is_empty() {
            return Err(AudioPacketizeError::Empty);
        }
        let payload_len = match self.config.encryption {
            Some(_) => CbcKey::sealed_len(opus.len()),
            None => opus.len(),
        };
        let longest_header = if self.config.fec == AudioFec::On { FEC_LEN } else { RTP_LEN };
        if longest_header + payload_len > MAX_AUDIO_DATAGRAM {
            return Err(AudioPacketizeError::TooLong(opus.len()));
        }
        if place > 0 && self.config.fec == AudioFec::On && opus.len() != self.opus_len {
            return Err(AudioPacketizeError::LengthMismatch { expected: self.opus_len, found: opus.len() });
        }

        let header = AudioHeader { sequence: SequenceNumber(self.next.sequence), timestamp: self.next.timestamp };
        if place == 0 {
            self.base = header;
            self.opus_len = opus.len();
        }
        let datagram = &mut self.data[place];
        datagram.clear();
        datagram.extend_from_slice(&header.to_bytes());
        match &self.config.encryption {
            Some(encryption) => encryption.key.seal_into(&encryption.iv(header.sequence), opus, datagram),
            None => datagram.extend_from_slice(opus),
        }
        self.next.sequence = self.next.sequence.wrapping_add(1);
        self.next.timestamp = self.next.timestamp.wrapping_add(self.config.packet_duration.as_millis().into());

        let block_is_full = place + 1 == BLOCK_DATA && self.config.fec == AudioFec::On;
        if block_is_full {
            self.write_parity(payload_len);
        }
        Ok(AudioDatagrams { data: &self.data[place], parity: if block_is_full { &self.parity } else { &[] } })
    }

    fn write_parity(&mut self, payload_len: usize) {
        for (index, datagram) in (0..).zip(&mut self.parity) {
            datagram.clear();
            datagram.extend_from_slice(&self.base.to_parity_bytes(index));
            datagram.resize(FEC_LEN + payload_len, 0);
        }
        let data = self.data.each_ref().map(|datagram| &datagram[RTP_LEN..]);
        let mut parity = self.parity.each_mut().map(|datagram| &mut datagram[FEC_LEN..]);
        self.codec.encode(&data, &mut parity).expect("all payloads of a block have one length");
    }
}

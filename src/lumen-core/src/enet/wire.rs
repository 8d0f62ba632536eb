//! Datagrams and commands as bytes (protocol part 3, section 1.1): parsing into typed values that borrow from the
//! datagram, and encoding. Knows nothing of connections: what a command means is decided elsewhere.
//!
//! All integers are big endian; the connect id is opaque.

/// The slot number that means "no slot yet": only CONNECT may be sent to it.
pub const NO_SLOT: u16 = 0xFFF;
/// The channel of commands that concern the whole connection.
pub const PEER_CHANNEL: u8 = 0xFF;
/// Length of an encoded [`Body::Acknowledge`] command.
pub const ACKNOWLEDGE_LENGTH: usize = 8;
/// Length of a datagram header with a sent time.
pub const TIMED_HEADER_LENGTH: usize = 4;
/// Length of a fragment command without its data.
pub const FRAGMENT_HEADER_LENGTH: usize = 24;

const COMMAND_HEADER_LENGTH: usize = 4;
const FLAG_SENT_TIME: u16 = 0x8000;
const FLAG_COMPRESSED: u16 = 0x4000;
const FLAG_ACKNOWLEDGE: u8 = 0x80;
const FLAG_UNSEQUENCED: u8 = 0x40;

/// Why a datagram is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Too short for its header.
    #[error("datagram too short for its header")]
    Truncated,
    /// Compression is never agreed on here.
    #[error("datagram claims to be compressed")]
    Compressed,
    /// Sent to no slot, but its first command is not CONNECT.
    #[error("datagram for no slot does not start with CONNECT")]
    NotConnect,
}

/// Why parsing of a datagram's commands stopped before its end. What was parsed until then stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The command's header or fixed body is cut.
    #[error("command cut short")]
    ShortCommand,
    /// The command's data is cut.
    #[error("command data cut short")]
    ShortData,
    /// A command type that does not exist.
    #[error("unknown command type")]
    UnknownCommand,
    /// An acknowledgement is asked for, but the datagram has no sent time to echo.
    #[error("acknowledgement wanted without a sent time")]
    AcknowledgeWithoutSentTime,
}

/// The start of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The receiver's slot, 0..=0xFFE; none: [`NO_SLOT`].
    pub slot: Option<u16>,
    /// Session number, 0..=3; 0 while the slot is unknown.
    pub session: u8,
    /// Low 16 bits of the sender's clock in milliseconds.
    pub sent_time: Option<u16>,
}

impl Header {
    /// Appends 2 or 4 bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let session = if self.slot.is_some() { u16::from(self.session & 3) << 12 } else { 0 };
        let timed = if self.sent_time.is_some() { FLAG_SENT_TIME } else { 0 };
        out.extend_from_slice(&(self.slot.unwrap_or(NO_SLOT) & NO_SLOT | session | timed).to_be_bytes());
        if let Some(time) = self.sent_time {
            out.extend_from_slice(&time.to_be_bytes());
        }
    }
}

/// A datagram whose header was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    header: Header,
    commands: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads the header, and for datagrams to no slot the type of the first command.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, HeaderError> {
        let (field, rest) = bytes.split_first_chunk().ok_or(HeaderError::Truncated)?;
        let field = u16::from_be_bytes(*field);
        if field & FLAG_COMPRESSED != 0 {
            return Err(HeaderError::Compressed);
        }
        let (sent_time, commands) = if field & FLAG_SENT_TIME == 0 {
            (None, rest)
        } else {
            let (time, rest) = rest.split_first_chunk().ok_or(HeaderError::Truncated)?;
            (Some(u16::from_be_bytes(*time)), rest)
        };
        let slot = Some(field & NO_SLOT).filter(|&slot| slot != NO_SLOT);
        let session = if slot.is_some() { (field >> 12 & 3) as u8 } else { 0 };
        let datagram = Self { header: Header { slot, session, sent_time }, commands };
        if slot.is_none() && !matches!(datagram.commands().next(), Some(Ok(Command { body: Body::Connect { .. }, .. })))
        {
            return Err(HeaderError::NotConnect);
        }
        Ok(datagram)
    }

    /// The header.
    pub fn header(&self) -> Header {
        self.header
    }

    /// The commands in order; an error is the last item.
    pub fn commands(&self) -> Commands<'a> {
        Commands { rest: self.commands, timed: self.header.sent_time.is_some() }
    }
}

/// Iterator over the commands of a datagram.
#[derive(Debug, Clone)]
pub struct Commands<'a> {
    rest: &'a [u8],
    timed: bool,
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Command<'a>, Stop>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let command = Command::parse(&mut self.rest).and_then(|command| {
            if command.acknowledge && !self.timed { Err(Stop::AcknowledgeWithoutSentTime) } else { Ok(command) }
        });
        if command.is_err() {
            self.rest = &[];
        }
        Some(command)
    }
}

/// One command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// The channel; [`PEER_CHANNEL`] for those that concern the connection.
    pub channel: u8,
    /// Reliable sequence number.
    pub sequence: u16,
    /// Whether the receiver must acknowledge it.
    pub acknowledge: bool,
    /// Whether it is outside of all sequences.
    pub unsequenced: bool,
    /// What it says.
    pub body: Body<'a>,
}

/// What a command says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// 1: a reliable command arrived.
    Acknowledge {
        /// Its reliable sequence number; its channel is that of this command.
        sequence: u16,
        /// The sent time of the datagram that it arrived in.
        sent_time: u16,
    },
    /// 2: asks for a connection.
    Connect {
        /// What is offered.
        offer: Handshake,
        /// User data.
        data: u32,
    },
    /// 3: grants a connection.
    VerifyConnect(Handshake),
    /// 4: ends a connection.
    Disconnect {
        /// User data.
        data: u32,
    },
    /// 5: asks for a sign of life.
    Ping,
    /// 6: a message.
    SendReliable {
        /// The message.
        data: &'a [u8],
    },
    /// 7: a message.
    SendUnreliable {
        /// Number since the last reliable command of the channel.
        number: u16,
        /// The message.
        data: &'a [u8],
    },
    /// 8: part of a message, sent reliably.
    SendFragment(Fragment<'a>),
    /// 9: a message.
    SendUnsequenced {
        /// Number among the unsequenced messages of the connection.
        group: u16,
        /// The message.
        data: &'a [u8],
    },
    /// 10: bandwidths of the sender, bytes per second; 0 is unlimited.
    BandwidthLimit {
        /// What it can take.
        incoming: u32,
        /// What it can send.
        outgoing: u32,
    },
    /// 11: how the receiver shall throttle its unreliable messages.
    ThrottleConfigure(ThrottleSettings),
    /// 12: part of a message, sent unreliably.
    SendUnreliableFragment(Fragment<'a>),
}

/// The part that CONNECT and VERIFY_CONNECT have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// The sender's slot.
    pub slot: u16,
    /// Session number; 0xFF: not chosen yet. Of whose direction: section 1.2.
    pub incoming_session: u8,
    /// Session number of the other direction.
    pub outgoing_session: u8,
    /// Largest datagram, bytes.
    pub mtu: u32,
    /// Reliable bytes in flight.
    pub window: u32,
    /// Number of channels.
    pub channels: u32,
    /// Bytes per second; 0 is unlimited.
    pub incoming_bandwidth: u32,
    /// Bytes per second; 0 is unlimited.
    pub outgoing_bandwidth: u32,
    /// Throttle of unreliable messages.
    pub throttle: ThrottleSettings,
    /// Names the attempt to connect; opaque.
    pub connect_id: [u8; 4],
}

/// How the throttle of unreliable messages follows the round trip time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ThrottleSettings {
    /// Milliseconds between two looks at the best round trip time.
    pub interval: u32,
    /// Step up.
    pub acceleration: u32,
    /// Step down.
    pub deceleration: u32,
}

/// Part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Number of the first fragment of the message.
    pub start: u16,
    /// Number of fragments of the message.
    pub count: u32,
    /// Which of them this is.
    pub number: u32,
    /// Length of the message, bytes.
    pub total: u32,
    /// Where in the message the data belongs, bytes.
    pub offset: u32,
    /// The data.
    pub data: &'a [u8],
}

impl<'a> Command<'a> {
    fn parse(rest: &mut &'a [u8]) -> Result<Self, Stop> {
        let head = Reader::take(rest, COMMAND_HEADER_LENGTH)?.0;
        let (kind, channel) = (head[0], head[1]);
        let sequence = u16::from_be_bytes([head[2], head[3]]);
        let body = match kind & 0x0F {
            1 => {
                let mut body = Reader::take(rest, 4)?;
                Body::Acknowledge { sequence: body.u16(), sent_time: body.u16() }
            }
            2 => {
                let mut body = Reader::take(rest, 44)?;
                Body::Connect { offer: Handshake::read(&mut body), data: body.u32() }
            }
            3 => Body::VerifyConnect(Handshake::read(&mut Reader::take(rest, 40)?)),
            4 => Body::Disconnect { data: Reader::take(rest, 4)?.u32() },
            5 => Body::Ping,
            6 => {
                let length = Reader::take(rest, 2)?.u16();
                Body::SendReliable { data: take_data(rest, length)? }
            }
            7 => {
                let mut body = Reader::take(rest, 4)?;
                let (number, length) = (body.u16(), body.u16());
                Body::SendUnreliable { number, data: take_data(rest, length)? }
            }
            8 => Body::SendFragment(Fragment::parse(rest)?),
            9 => {
                let mut body = Reader::take(rest, 4)?;
                let (group, length) = (body.u16(), body.u16());
                Body::SendUnsequenced { group, data: take_data(rest, length)? }
            }
            10 => {
                let mut body = Reader::take(rest, 8)?;
                Body::BandwidthLimit { incoming: body.u32(), outgoing: body.u32() }
            }
            11 => Body::ThrottleConfigure(ThrottleSettings::read(&mut Reader::take(rest, 12)?)),
            12 => Body::SendUnreliableFragment(Fragment::parse(rest)?),
            _ => return Err(Stop::UnknownCommand),
        };
        Ok(Self {
            channel,
            sequence,
            acknowledge: kind & FLAG_ACKNOWLEDGE != 0,
            unsequenced: kind & FLAG_UNSEQUENCED != 0,
            body,
        })
    }

    /// Appends the command to `out`. Data beyond 65 535 bytes does not fit a length field and is cut.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let flags =
            if self.acknowledge { FLAG_ACKNOWLEDGE } else { 0 } | if self.unsequenced { FLAG_UNSEQUENCED } else { 0 };
        out.extend_from_slice(&[self.body.kind() | flags, self.channel]);
        put_u16(out, self.sequence);
        match self.body {
            Body::Acknowledge { sequence, sent_time } => {
                put_u16(out, sequence);
                put_u16(out, sent_time);
            }
            Body::Connect { offer, data } => {
                offer.encode(out);
                put_u32(out, data);
            }
            Body::VerifyConnect(grant) => grant.encode(out),
            Body::Disconnect { data } => put_u32(out, data),
            Body::Ping => {}
            Body::SendReliable { data } => put_data(out, &[], data),
            Body::SendUnreliable { number, data } => put_data(out, &[number], data),
            Body::SendUnsequenced { group, data } => put_data(out, &[group], data),
            Body::SendFragment(fragment) | Body::SendUnreliableFragment(fragment) => fragment.encode(out),
            Body::BandwidthLimit { incoming, outgoing } => {
                put_u32(out, incoming);
                put_u32(out, outgoing);
            }
            Body::ThrottleConfigure(settings) => settings.encode(out),
        }
    }
}

impl Body<'_> {
    fn kind(&self) -> u8 {
        match self {
            Self::Acknowledge { .. } => 1,
            Self::Connect { .. } => 2,
            Self::VerifyConnect(_) => 3,
            Self::Disconnect { .. } => 4,
            Self::Ping => 5,
            Self::SendReliable { .. } => 6,
            Self::SendUnreliable { .. } => 7,
            Self::SendFragment(_) => 8,
            Self::SendUnsequenced { .. } => 9,
            Self::BandwidthLimit { .. } => 10,
            Self::ThrottleConfigure(_) => 11,
            Self::SendUnreliableFragment(_) => 12,
        }
    }
}

impl Handshake {
    fn read(body: &mut Reader<'_>) -> Self {
        Self {
            slot: body.u16(),
            incoming_session: body.u8(),
            outgoing_session: body.u8(),
            mtu: body.u32(),
            window: body.u32(),
            channels: body.u32(),
            incoming_bandwidth: body.u32(),
            outgoing_bandwidth: body.u32(),
            throttle: ThrottleSettings::read(body),
            connect_id: body.u32().to_be_bytes(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u16(out, self.slot);
        out.extend_from_slice(&[self.incoming_session, self.outgoing_session]);
        for field in [self.mtu, self.window, self.channels, self.incoming_bandwidth, self.outgoing_bandwidth] {
            put_u32(out, field);
        }
        self.throttle.encode(out);
        out.extend_from_slice(&self.connect_id);
    }
}

impl ThrottleSettings {
    fn read(body: &mut Reader<'_>) -> Self {
        Self { interval: body.u32(), acceleration: body.u32(), deceleration: body.u32() }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for field in [self.interval, self.acceleration, self.deceleration] {
            put_u32(out, field);
        }
    }
}

impl<'a> Fragment<'a> {
    fn parse(rest: &mut &'a [u8]) -> Result<Self, Stop> {
        let mut body = Reader::take(rest, FRAGMENT_HEADER_LENGTH - COMMAND_HEADER_LENGTH)?;
        let (start, length) = (body.u16(), body.u16());
        let (count, number, total, offset) = (body.u32(), body.u32(), body.u32(), body.u32());
        Ok(Self { start, count, number, total, offset, data: take_data(rest, length)? })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let data = cut(self.data);
        put_u16(out, self.start);
        put_u16(out, data.len() as u16);
        for field in [self.count, self.number, self.total, self.offset] {
            put_u32(out, field);
        }
        out.extend_from_slice(data);
    }
}

/// Reads integers from a slice whose length was checked beforehand.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(rest: &mut &'a [u8], length: usize) -> Result<Self, Stop> {
        let (body, tail) = rest.split_at_checked(length).ok_or(Stop::ShortCommand)?;
        *rest = tail;
        Ok(Self(body))
    }

    /// Zeros beyond the end, which the callers' lengths rule out.
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let Some((head, tail)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = tail;
        *head
    }

    fn u8(&mut self) -> u8 {
        u8::from_be_bytes(self.array())
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }
}

fn take_data<'a>(rest: &mut &'a [u8], length: u16) -> Result<&'a [u8], Stop> {
    let (data, tail) = rest.split_at_checked(usize::from(length)).ok_or(Stop::ShortData)?;
    *rest = tail;
    Ok(data)
}

fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_data(out: &mut Vec<u8>, numbers: &[u16], data: &[u8]) {
    let data = cut(data);
    for &number in numbers {
        put_u16(out, number);
    }
    put_u16(out, data.len() as u16);
    out.extend_from_slice(data);
}

fn cut(data: &[u8]) -> &[u8] {
    &data[..data.len().min(usize::from(u16::MAX))]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn throttle() -> impl Strategy<Value = ThrottleSettings> {
        any::<(u32, u32, u32)>().prop_map(|(interval, acceleration, deceleration)| ThrottleSettings {
            interval,
            acceleration,
            deceleration,
        })
    }

    fn handshake() -> impl Strategy<Value = Handshake> {
        (any::<(u16, u8, u8)>(), any::<[u32; 5]>(), throttle(), any::<[u8; 4]>()).prop_map(
            |((slot, incoming_session, outgoing_session), fields, throttle, connect_id)| Handshake {
                slot,
                incoming_session,
                outgoing_session,
                mtu: fields[0],
                window: fields[1],
                channels: fields[2],
                incoming_bandwidth: fields[3],
                outgoing_bandwidth: fields[4],
                throttle,
                connect_id,
            },
        )
    }

    fn round_trip(header: Header, command: Command<'_>) {
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        command.encode(&mut bytes);
        command.encode(&mut bytes);
        let datagram = Datagram::parse(&bytes).unwrap();
        assert_eq!(datagram.header(), header);
        assert_eq!(datagram.commands().collect::<Vec<_>>(), vec![Ok(command), Ok(command)]);
    }

    proptest! {
        #[test]
        fn every_command_survives_the_wire(
            slot in 0..NO_SLOT, session in 0u8..4, sent_time: u16, channel: u8, sequence: u16, unsequenced: bool,
            numbers: [u16; 3], words: [u32; 4], data in prop::collection::vec(any::<u8>(), 0..64),
            handshake in handshake(), throttle in throttle(),
        ) {
            let header = Header { slot: Some(slot), session, sent_time: Some(sent_time) };
            let fragment = Fragment {
                start: numbers[0], count: words[0], number: words[1], total: words[2], offset: words[3], data: &data,
            };
            for body in [
                Body::Acknowledge { sequence: numbers[0], sent_time: numbers[1] },
                Body::Connect { offer: handshake, data: words[0] },
                Body::VerifyConnect(handshake),
                Body::Disconnect { data: words[0] },
                Body::Ping,
                Body::SendReliable { data: &data },
                Body::SendUnreliable { number: numbers[0], data: &data },
                Body::SendFragment(fragment),
                Body::SendUnsequenced { group: numbers[0], data: &data },
                Body::BandwidthLimit { incoming: words[0], outgoing: words[1] },
                Body::ThrottleConfigure(throttle),
                Body::SendUnreliableFragment(fragment),
            ] {
                round_trip(header, Command { channel, sequence, acknowledge: true, unsequenced, body });
                round_trip(
                    Header { sent_time: None, ..header },
                    Command { channel, sequence, acknowledge: false, unsequenced, body },
                );
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_grow(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            if let Ok(datagram) = Datagram::parse(&bytes) {
                let mut again = Vec::new();
                datagram.header().encode(&mut again);
                let header = again.len();
                for command in datagram.commands().map_while(Result::ok) {
                    command.encode(&mut again);
                }
                prop_assert!(again.len() <= bytes.len());
                prop_assert_eq!(header, if datagram.header().sent_time.is_some() { 4 } else { 2 });
            }
        }
    }
}

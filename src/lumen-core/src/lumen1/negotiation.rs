//! How two ends agree on lumen/1 inside a GameStream session (section 2): the host offers it in DESCRIBE to a client that
//! asked for it, the client takes it in ANNOUNCE. Who does not ask gets not one byte more than before.
//!
//! An offer and an answer are each one attribute line of `name=value` pairs; names of later revisions are ignored.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::header::SessionId;
use super::keys::{KeySchedule, RANDOM_LEN, SecretTooShort};
use super::{MAX_DATAGRAM, MIN_DATAGRAM};
use crate::fec::scheme::Scheme;

/// The RTSP header by which a client asks for an offer in DESCRIBE; its value is a list of versions, `1` for this one.
pub const REQUEST_HEADER: &str = "X-Lumen";

/// The attribute of offer and answer.
pub const ATTRIBUTE: &str = "x-lumen-1";

/// Longest value of the attribute, in bytes.
const MAX_VALUE: usize = 1024;

/// A set of FEC schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Schemes(u32);

impl Schemes {
    /// Both schemes of this revision.
    pub const ALL: Self = Self(1 << Scheme::Gf8Interleaved as u8 | 1 << Scheme::Gf16 as u8);

    /// One scheme.
    pub const fn only(scheme: Scheme) -> Self {
        Self(1 << scheme as u8)
    }

    /// The set whose bits these are; those without a meaning are kept.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Its bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether the scheme is in the set.
    pub const fn contains(self, scheme: Scheme) -> bool {
        self.0 >> scheme as u8 & 1 == 1
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether no scheme of this revision is in the set.
    pub const fn is_empty(self) -> bool {
        self.and(Self::ALL).0 == 0
    }
}

/// A set of streams that must be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Grants(pub u32);

impl Grants {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The clipboard, both ways.
    pub const CLIPBOARD: Self = Self(1);
    /// The client's microphone.
    pub const MICROPHONE: Self = Self(2);
    /// The pointer apart from the picture.
    pub const CURSOR: Self = Self(4);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Why the attribute is of no use. A client then goes on without lumen/1; a host answers with status 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// A pair that must be there is not.
    #[error("the lumen/1 attribute has no '{0}'")]
    Missing(&'static str),
    /// A value is malformed or out of range.
    #[error("the lumen/1 attribute has a bad value for '{0}'")]
    BadValue(&'static str),
    /// Longer than any end writes.
    #[error("the lumen/1 attribute is too long")]
    TooLong,
    /// The answer names another session than the offer.
    #[error("the answer is for another session than the offer")]
    OtherSession,
    /// The answer takes more than was offered.
    #[error("the answer takes a '{0}' that was not offered")]
    NotOffered(&'static str),
}

/// What a host offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Offer {
    /// The name of the session.
    pub session: SessionId,
    /// The host's random value, new for every DESCRIBE.
    pub random: [u8; RANDOM_LEN],
    /// The UDP port of the data plane.
    pub port: u16,
    /// Longest datagram that the host sends and takes.
    pub datagram: u16,
    /// Schemes that the host encodes.
    pub schemes: Schemes,
    /// Streams that the client may use.
    pub grants: Grants,
}

/// What a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Answer {
    /// The session of the offer.
    pub session: SessionId,
    /// The client's random value, new for every ANNOUNCE.
    pub random: [u8; RANDOM_LEN],
    /// Longest datagram; at most that of the offer.
    pub datagram: u16,
    /// Schemes that the client decodes; at least one of the offer.
    pub schemes: Schemes,
    /// Streams that the client uses; a part of the offer.
    pub grants: Grants,
    /// Longest frame that the client takes, in bytes.
    pub max_frame: u32,
}

/// Whether the value of [`REQUEST_HEADER`] asks for this version.
pub fn is_requested(header: Option<&str>) -> bool {
    header.is_some_and(|versions| versions.split(',').any(|version| version.trim() == "1"))
}

impl Offer {
    /// Appends the attribute line to a DESCRIBE body.
    pub fn append_to(&self, body: &mut String) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            body,
            "a={ATTRIBUTE}:session={:08x};random={};port={};datagram={};schemes={};grants={}",
            self.session.0,
            hex(&self.random),
            self.port,
            self.datagram,
            self.schemes.0,
            self.grants.0
        );
    }

    /// Finds the offer in a DESCRIBE body; `None` if there is none.
    ///
    /// # Errors
    /// [`NegotiationError`].
    pub fn find(body: &str) -> Result<Option<Self>, NegotiationError> {
        let Some(pairs) = Pairs::find(body)? else { return Ok(None) };
        Ok(Some(Self {
            session: pairs.session()?,
            random: pairs.random()?,
            port: pairs.number("port", 1, u16::MAX.into())? as u16,
            datagram: pairs.datagram()?,
            schemes: Schemes(pairs.number("schemes", 0, u32::MAX)?),
            grants: Grants(pairs.number("grants", 0, u32::MAX)?),
        }))
    }
}

impl Answer {
    /// Appends the attribute line to an ANNOUNCE body.
    pub fn append_to(&self, body: &mut String) {
        let _ = write!(
            body,
            "a={ATTRIBUTE}:session={:08x};random={};datagram={};schemes={};grants={};frame={} \r\n",
            self.session.0,
            hex(&self.random),
            self.datagram,
            self.schemes.0,
            self.grants.0,
            self.max_frame
        );
    }

    /// Finds the answer in an ANNOUNCE body and checks it against the offer; `None` if the client did not take it.
    ///
    /// # Errors
    /// [`NegotiationError`].
    pub fn find(body: &str, offer: &Offer) -> Result<Option<Self>, NegotiationError> {
        let Some(pairs) = Pairs::find(body)? else { return Ok(None) };
        let answer = Self {
            session: pairs.session()?,
            random: pairs.random()?,
            datagram: pairs.datagram()?,
            schemes: Schemes(pairs.number("schemes", 0, u32::MAX)?),
            grants: Grants(pairs.number("grants", 0, u32::MAX)?),
            max_frame: pairs.number("frame", 1, u32::MAX)?,
        };
        answer.check(offer)?;
        Ok(Some(answer))
    }

    /// Whether it takes no more than was offered.
    ///
    /// # Errors
    /// [`NegotiationError`].
    pub fn check(&self, offer: &Offer) -> Result<(), NegotiationError> {
        if self.session != offer.session {
            return Err(NegotiationError::OtherSession);
        }
        if self.datagram > offer.datagram {
            return Err(NegotiationError::NotOffered("datagram"));
        }
        if self.schemes.and(offer.schemes).is_empty() {
            return Err(NegotiationError::NotOffered("schemes"));
        }
        if !offer.grants.contains(self.grants) {
            return Err(NegotiationError::NotOffered("grants"));
        }
        Ok(())
    }

    /// The keys that follow from offer, answer and the secret: the key of the launch request (`rikey`), or what TLS exported.
    ///
    /// # Errors
    /// [`SecretTooShort`].
    pub fn keys(&self, offer: &Offer, secret: &[u8]) -> Result<KeySchedule, SecretTooShort> {
        KeySchedule::new(secret, &offer.random, &self.random)
    }
}

/// The pairs of an attribute.
struct Pairs<'a>(HashMap<&'a str, &'a str>);

impl<'a> Pairs<'a> {
    fn find(body: &'a str) -> Result<Option<Self>, NegotiationError> {
        let value = body
            .split(['\r', '\n'])
            .find_map(|line| line.strip_prefix("a=")?.strip_prefix(ATTRIBUTE)?.strip_prefix(':'));
        let Some(value) = value else { return Ok(None) };
        if value.len() > MAX_VALUE {
            return Err(NegotiationError::TooLong);
        }
        Ok(Some(Self(value.trim().split(';').filter_map(|pair| pair.split_once('=')).collect())))
    }

    fn get(&self, name: &'static str) -> Result<&'a str, NegotiationError> {
        self.0.get(name).copied().ok_or(NegotiationError::Missing(name))
    }

    fn number(&self, name: &'static str, low: u32, high: u32) -> Result<u32, NegotiationError> {
        let text = self.get(name)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && (low..=high).contains(number));
        number.ok_or(NegotiationError::BadValue(name))
    }

    fn datagram(&self) -> Result<u16, NegotiationError> {
        Ok(self.number("datagram", MIN_DATAGRAM as u32, MAX_DATAGRAM as u32)? as u16)
    }

    fn session(&self) -> Result<SessionId, NegotiationError> {
        self.hex("session").map(|bytes| SessionId(u32::from_be_bytes(bytes)))
    }

    fn random(&self) -> Result<[u8; RANDOM_LEN], NegotiationError> {
        self.hex("random")
    }

    fn hex<const N: usize>(&self, name: &'static str) -> Result<[u8; N], NegotiationError> {
        let text = self.get(name)?.as_bytes();
        let mut bytes = [0; N];
        let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(NegotiationError::BadValue(name));
        if text.len() != 2 * N {
            return Err(NegotiationError::BadValue(name));
        }
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(bytes)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gamestream::http::Codec;
    use crate::gamestream::sdp::{DescribeOffer, StreamRequest};

    fn offer() -> Offer {
        Offer {
            session: SessionId(0x1234),
            random: [0xAB; 16],
            port: 47_998,
            datagram: 1452,
            schemes: Schemes::ALL,
            grants: Grants::CLIPBOARD.with(Grants::CURSOR),
        }
    }

    fn answer() -> Answer {
        Answer {
            session: SessionId(0x1234),
            random: [0xCD; 16],
            datagram: 1452,
            schemes: Schemes::only(Scheme::Gf8Interleaved),
            grants: Grants::CURSOR,
            max_frame: 16 << 20,
        }
    }

    #[test]
    fn a_description_with_an_offer_says_to_stock_clients_what_it_said_before() {
        let stock =
            DescribeOffer { hevc: true, surround: DescribeOffer::standard_surround(None), ..Default::default() };
        let mut body = stock.to_text();
        assert_eq!(Offer::find(&body), Ok(None));
        offer().append_to(&mut body);
        assert_eq!(DescribeOffer::parse(&body), Ok(stock.clone()));
        assert!(body.starts_with(&stock.to_text()), "nothing before the offer changes");
        assert_eq!(Offer::find(&body), Ok(Some(offer())));
    }

    #[test]
    fn an_announcement_with_an_answer_is_read_by_hosts_that_do_not_know_it() {
        let mut body = "a=x-nv-video[0].clientViewportWd:1280 \r\n".to_owned();
        let before = StreamRequest::parse(&body, None, &[Codec::H264]);
        answer().append_to(&mut body);
        assert_eq!(StreamRequest::parse(&body, None, &[Codec::H264]), before);
        assert_eq!(Answer::find(&body, &offer()), Ok(Some(answer())));
    }

    #[test]
    fn only_who_asks_is_asked_for() {
        assert!(is_requested(Some("1")) && is_requested(Some("7, 1")));
        assert!(!is_requested(None) && !is_requested(Some("")) && !is_requested(Some("11")));
    }

    #[test]
    fn answers_that_take_more_than_was_offered_are_refused() {
        let check = |answer: Answer| {
            let mut body = String::new();
            answer.append_to(&mut body);
            Answer::find(&body, &offer()).map(|_| ())
        };
        assert_eq!(check(answer()), Ok(()));
        assert_eq!(check(Answer { session: SessionId(1), ..answer() }), Err(NegotiationError::OtherSession));
        assert_eq!(check(Answer { datagram: 1453, ..answer() }), Err(NegotiationError::NotOffered("datagram")));
        assert_eq!(check(Answer { schemes: Schemes(8), ..answer() }), Err(NegotiationError::NotOffered("schemes")));
        assert_eq!(
            check(Answer { grants: Grants::MICROPHONE, ..answer() }),
            Err(NegotiationError::NotOffered("grants"))
        );
        assert_eq!(check(Answer { max_frame: 0, ..answer() }), Err(NegotiationError::BadValue("frame")));
    }

    #[test]
    fn both_ends_get_the_same_keys_and_every_negotiation_others() {
        use crate::lumen1::header::{Epoch, Stream};
        use crate::lumen1::keys::Direction;
        let material = |answer: Answer, secret: &[u8]| {
            answer.keys(&offer(), secret).map(|keys| keys.material(Direction::HostToClient, Stream::Video, Epoch(0)))
        };
        assert_eq!(material(answer(), &[1; 16]), material(answer(), &[1; 16]));
        assert_ne!(material(answer(), &[1; 16]), material(Answer { random: [0; 16], ..answer() }, &[1; 16]));
        assert!(material(answer(), &[1; 15]).is_err());
    }

    proptest! {
        #[test]
        fn offers_are_read_as_written_and_unknown_pairs_are_ignored(
            session: u32, random: [u8; 16], port in 1u16.., datagram in 1200u16..=65_472, schemes: u32, grants: u32
        ) {
            let offer = Offer {
                session: SessionId(session), random, port, datagram, schemes: Schemes(schemes), grants: Grants(grants),
            };
            let mut body = "a=other:1\r\n".to_owned();
            offer.append_to(&mut body);
            prop_assert_eq!(Offer::find(&body), Ok(Some(offer)));
            let later = body.replace(":session", ":colour=blue;session");
            prop_assert_eq!(Offer::find(&later), Ok(Some(offer)));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "(a=x-lumen-1:|session=|random=|port=|;|[0-9a-fé]{0,40}|\r\n){0,20}") {
            let _ = (Offer::find(&text), Answer::find(&text, &offer()));
        }
    }
}

//! What is said on the control stream (sections 2.1.2 to 2.1.6): requests of the client, and the host's reply to each, in
//! the order in which they were made.

use super::stream::RawMessage;
use super::wish::{SoundLayout, Wish};
use super::{MAX_NAME, MAX_TEXT};
use crate::gamestream::http::CodecMask;
use crate::lumen1::header::SessionId;
use crate::lumen1::negotiation::{Answer, Grants, Offer, Schemes};
use crate::lumen1::{MAX_DATAGRAM, MIN_DATAGRAM};
use crate::reader::{Reader, Short};

/// Types.
mod kind {
    /// Set in all requests: whoever does not know one refuses it. All else that is unknown is passed over.
    pub(super) const REQUEST: u16 = 0x8000;
    pub(super) const HELLO: u16 = 1;
    pub(super) const PAIR: u16 = 2;
    pub(super) const CONFIRM: u16 = 3;
    pub(super) const APPS: u16 = 0x10;
    pub(super) const LAUNCH: u16 = 0x11;
    pub(super) const TAKE: u16 = 0x12;
    pub(super) const QUIT: u16 = 0x13;
    pub(super) const FIGURES: u16 = 0x14;
    pub(super) const REFUSED: u16 = 0x7FFF;
}

/// Bytes of an application in a list, beside its title.
const APP_LEN: usize = 7;

/// Bytes of a list of applications before the first.
const APPS_HEAD: usize = 2;

/// Why a message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It ends too early.
    #[error("the message is too short")]
    Short,
    /// A value is impossible.
    #[error("the message has a bad value for '{0}'")]
    BadValue(&'static str),
    /// No reply has this type. Of a later revision, and to be passed over.
    #[error("no message has type {0:#06x}")]
    Unknown(u16),
}

impl From<Short> for MessageError {
    fn from(Short: Short) -> Self {
        Self::Short
    }
}

/// How an application is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// It is started; none may run.
    Launch,
    /// What runs is streamed anew; a stream of it that still goes on ends. So a client changes its mode, too.
    Resume,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Who the host is.
    Hello {
        /// The client's [`super::REVISION`].
        revision: u16,
    },
    /// To be paired (section 2.1.4).
    Pair {
        /// The client's element.
        element: [u8; 32],
        /// What the client calls itself; may be empty.
        name: String,
    },
    /// The second step of pairing.
    Confirm {
        /// The client's proof that it has the PIN.
        proof: [u8; 32],
    },
    /// Applications from number `first` of the list on.
    Apps {
        /// How many to pass over.
        first: u16,
    },
    /// A stream.
    Launch {
        /// How.
        verb: Verb,
        /// Which application; without meaning when what runs is resumed.
        app: u32,
        /// What it should be.
        wish: Wish,
    },
    /// The answer to an offer: the stream begins.
    Take(Answer),
    /// The end of the application and its stream.
    Quit,
    /// What the stream came to until now.
    Figures,
    /// A request of a later revision, to be refused with [`Refusal::UnknownRequest`].
    Unknown(u16),
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its number.
    pub id: u32,
    /// Whether it can be shown in HDR.
    pub hdr: bool,
    /// Its title.
    pub title: String,
}

/// Numbers of a stream, counted from the beginning of its session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Pixels per line.
    pub width: u16,
    /// Lines.
    pub height: u16,
    /// Frames that were sent.
    pub sent: u64,
    /// Frames that were encoded and not sent.
    pub dropped: u64,
    /// Pictures that were not encoded.
    pub skipped: u64,
    /// What the encoder was told at the beginning, in kbit/s.
    pub bitrate_kbps: u32,
    /// The encoder, for people.
    pub encoder: String,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It makes no sense, or not here.
    BadRequest,
    /// The host does not know this client.
    NotPaired,
    /// The PINs differ.
    WrongPin,
    /// There was no PIN in time.
    NoPin,
    /// Too many attempts at pairing, sessions or whatever else is counted.
    TooMany,
    /// The host has no such request.
    UnknownRequest,
    /// The host has no such application, or not for this client.
    UnknownApp,
    /// An application runs already.
    Busy,
    /// Nothing runs.
    NothingRunning,
    /// The client may not do that.
    NotGranted,
    /// The host failed.
    Failed,
    /// One of a later revision.
    Other(u16),
}

impl Refusal {
    const NAMED: [(Self, u16); 11] = [
        (Self::BadRequest, 1),
        (Self::NotPaired, 2),
        (Self::WrongPin, 3),
        (Self::NoPin, 4),
        (Self::TooMany, 5),
        (Self::UnknownRequest, 6),
        (Self::UnknownApp, 7),
        (Self::Busy, 8),
        (Self::NothingRunning, 9),
        (Self::NotGranted, 10),
        (Self::Failed, 11),
    ];

    /// As a number.
    pub fn code(self) -> u16 {
        match self {
            Self::Other(code) => code,
            named => Self::NAMED.iter().find(|(refusal, _)| *refusal == named).map_or(0, |(_, code)| *code),
        }
    }

    /// From a number.
    pub fn from_code(code: u16) -> Self {
        Self::NAMED.iter().find(|(_, number)| *number == code).map_or(Self::Other(code), |(refusal, _)| *refusal)
    }
}

/// What a host replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To [`Request::Hello`].
    Welcome {
        /// The host's [`super::REVISION`].
        revision: u16,
        /// Whether it knows this client.
        paired: bool,
        /// What the host encodes.
        codecs: CodecMask,
        /// The client's application, which runs; 0 if none does.
        running: u32,
        /// The host's identifier, as GameStream's clients know it.
        id: String,
        /// The host's name.
        name: String,
    },
    /// To [`Request::Pair`], when the PIN was entered.
    Pair {
        /// The host's element.
        element: [u8; 32],
    },
    /// To [`Request::Confirm`]: the client is known from now on.
    Paired {
        /// The host's proof that it was given the PIN.
        proof: [u8; 32],
    },
    /// To [`Request::Apps`].
    Apps {
        /// How many there are in all.
        total: u16,
        /// Those from the first that was asked for, as many as fit.
        apps: Vec<App>,
    },
    /// To [`Request::Launch`].
    Offer(Offer),
    /// To [`Request::Take`]: the data plane may begin.
    Taken(SoundLayout),
    /// To [`Request::Quit`].
    Quit,
    /// To [`Request::Figures`].
    Figures(Figures),
    /// To any.
    Refused {
        /// Why.
        refusal: Refusal,
        /// For the user.
        text: String,
    },
}

impl Request {
    /// Reads a message of a client; `None` if it is no request, and nothing to reply to.
    ///
    /// # Errors
    /// [`MessageError`]: to be refused with [`Refusal::BadRequest`].
    pub fn parse(message: &RawMessage) -> Result<Option<Self>, MessageError> {
        if message.kind & kind::REQUEST == 0 {
            return Ok(None);
        }
        let mut reader = Reader::new(&message.body);
        let reader = &mut reader;
        Ok(Some(match message.kind & !kind::REQUEST {
            kind::HELLO => Self::Hello { revision: reader.u16_be()? },
            kind::PAIR => Self::Pair { element: reader.array()?, name: string(reader, MAX_NAME, "name")? },
            kind::CONFIRM => Self::Confirm { proof: reader.array()? },
            kind::APPS => Self::Apps { first: reader.u16_be()? },
            kind::LAUNCH => Self::Launch {
                verb: match reader.u8()? {
                    1 => Verb::Launch,
                    2 => Verb::Resume,
                    _ => return Err(MessageError::BadValue("verb")),
                },
                app: reader.u32_be()?,
                wish: Wish::read(reader)?,
            },
            kind::TAKE => Self::Take(Answer {
                session: SessionId(reader.u32_be()?),
                random: reader.array()?,
                datagram: datagram(reader)?,
                schemes: Schemes::from_bits(reader.u32_be()?),
                grants: Grants(reader.u32_be()?),
                max_frame: Some(reader.u32_be()?).filter(|most| *most > 0).ok_or(MessageError::BadValue("frame"))?,
            }),
            kind::QUIT => Self::Quit,
            kind::FIGURES => Self::Figures,
            _ => Self::Unknown(message.kind),
        }))
    }

    /// The message.
    pub fn to_message(&self) -> RawMessage {
        let mut body = Vec::new();
        let out = &mut body;
        let kind = match self {
            Self::Hello { revision } => {
                out.extend_from_slice(&revision.to_be_bytes());
                kind::HELLO
            }
            Self::Pair { element, name } => {
                out.extend_from_slice(element);
                put_string(out, name, MAX_NAME);
                kind::PAIR
            }
            Self::Confirm { proof } => {
                out.extend_from_slice(proof);
                kind::CONFIRM
            }
            Self::Apps { first } => {
                out.extend_from_slice(&first.to_be_bytes());
                kind::APPS
            }
            Self::Launch { verb, app, wish } => {
                out.push(match verb {
                    Verb::Launch => 1,
                    Verb::Resume => 2,
                });
                out.extend_from_slice(&app.to_be_bytes());
                wish.write(out);
                kind::LAUNCH
            }
            Self::Take(Answer { session, random, datagram, schemes, grants, max_frame }) => {
                out.extend_from_slice(&session.0.to_be_bytes());
                out.extend_from_slice(random);
                out.extend_from_slice(&datagram.to_be_bytes());
                for number in [schemes.bits(), grants.0, *max_frame] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
                kind::TAKE
            }
            Self::Quit => kind::QUIT,
            Self::Figures => kind::FIGURES,
            Self::Unknown(kind) => *kind,
        };
        RawMessage { kind: kind | kind::REQUEST, body }
    }
}

impl Reply {
    /// Reads a message of a host.
    ///
    /// # Errors
    /// [`MessageError`]; what is [`MessageError::Unknown`] is to be passed over.
    pub fn parse(message: &RawMessage) -> Result<Self, MessageError> {
        let mut reader = Reader::new(&message.body);
        let reader = &mut reader;
        Ok(match message.kind {
            kind::HELLO => Self::Welcome {
                revision: reader.u16_be()?,
                paired: reader.u8()? & 1 == 1,
                codecs: CodecMask::new(reader.u32_be()?.into()).map_err(|_| MessageError::BadValue("codecs"))?,
                running: reader.u32_be()?,
                id: string(reader, MAX_NAME, "identifier")?,
                name: string(reader, MAX_NAME, "name")?,
            },
            kind::PAIR => Self::Pair { element: reader.array()? },
            kind::CONFIRM => Self::Paired { proof: reader.array()? },
            kind::APPS => {
                let total = reader.u16_be()?;
                let mut apps = Vec::new();
                while !reader.rest().is_empty() {
                    let (id, flags) = (reader.u32_be()?, reader.u8()?);
                    apps.push(App { id, hdr: flags & 1 == 1, title: string(reader, MAX_NAME, "title")? });
                }
                Self::Apps { total, apps }
            }
            kind::LAUNCH => Self::Offer(Offer {
                session: SessionId(reader.u32_be()?),
                random: reader.array()?,
                port: Some(reader.u16_be()?).filter(|port| *port > 0).ok_or(MessageError::BadValue("port"))?,
                datagram: datagram(reader)?,
                schemes: Schemes::from_bits(reader.u32_be()?),
                grants: Grants(reader.u32_be()?),
            }),
            kind::TAKE => {
                let (streams, coupled, channels) = (reader.u8()?, reader.u8()?, reader.u8()?);
                Self::Taken(SoundLayout { streams, coupled, mapping: reader.take(channels.into())?.to_vec() })
            }
            kind::QUIT => Self::Quit,
            kind::FIGURES => Self::Figures(Figures {
                width: reader.u16_be()?,
                height: reader.u16_be()?,
                sent: reader.u64_be()?,
                dropped: reader.u64_be()?,
                skipped: reader.u64_be()?,
                bitrate_kbps: reader.u32_be()?,
                encoder: string(reader, MAX_NAME, "encoder")?,
            }),
            kind::REFUSED => {
                Self::Refused { refusal: Refusal::from_code(reader.u16_be()?), text: string(reader, MAX_TEXT, "text")? }
            }
            unknown => return Err(MessageError::Unknown(unknown)),
        })
    }

    /// The message. A list of applications ends where no more fit.
    pub fn to_message(&self) -> RawMessage {
        let mut body = Vec::new();
        let out = &mut body;
        let kind = match self {
            Self::Welcome { revision, paired, codecs, running, id, name } => {
                out.extend_from_slice(&revision.to_be_bytes());
                out.push(u8::from(*paired));
                out.extend_from_slice(&codecs.bits().to_be_bytes());
                out.extend_from_slice(&running.to_be_bytes());
                put_string(out, id, MAX_NAME);
                put_string(out, name, MAX_NAME);
                kind::HELLO
            }
            Self::Pair { element } => {
                out.extend_from_slice(element);
                kind::PAIR
            }
            Self::Paired { proof } => {
                out.extend_from_slice(proof);
                kind::CONFIRM
            }
            Self::Apps { total, apps } => {
                out.extend_from_slice(&total.to_be_bytes());
                for app in apps {
                    if out.len() + APP_LEN + app.title.len().min(MAX_NAME) > usize::from(u16::MAX) {
                        break;
                    }
                    out.extend_from_slice(&app.id.to_be_bytes());
                    out.push(u8::from(app.hdr));
                    put_string(out, &app.title, MAX_NAME);
                }
                kind::APPS
            }
            Self::Offer(Offer { session, random, port, datagram, schemes, grants }) => {
                out.extend_from_slice(&session.0.to_be_bytes());
                out.extend_from_slice(random);
                out.extend_from_slice(&port.to_be_bytes());
                out.extend_from_slice(&datagram.to_be_bytes());
                out.extend_from_slice(&schemes.bits().to_be_bytes());
                out.extend_from_slice(&grants.0.to_be_bytes());
                kind::LAUNCH
            }
            Self::Taken(SoundLayout { streams, coupled, mapping }) => {
                let channels = u8::try_from(mapping.len()).unwrap_or(u8::MAX);
                out.extend_from_slice(&[*streams, *coupled, channels]);
                out.extend_from_slice(&mapping[..channels.into()]);
                kind::TAKE
            }
            Self::Quit => kind::QUIT,
            Self::Figures(figures) => {
                out.extend_from_slice(&figures.width.to_be_bytes());
                out.extend_from_slice(&figures.height.to_be_bytes());
                for number in [figures.sent, figures.dropped, figures.skipped] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
                out.extend_from_slice(&figures.bitrate_kbps.to_be_bytes());
                put_string(out, &figures.encoder, MAX_NAME);
                kind::FIGURES
            }
            Self::Refused { refusal, text } => {
                out.extend_from_slice(&refusal.code().to_be_bytes());
                put_string(out, text, MAX_TEXT);
                kind::REFUSED
            }
        };
        RawMessage { kind, body }
    }
}

const _: () = assert!(APPS_HEAD + APP_LEN + MAX_NAME < u16::MAX as usize, "at least one application fits");

fn datagram(reader: &mut Reader<'_>) -> Result<u16, MessageError> {
    let length = reader.u16_be()?;
    let fits = (MIN_DATAGRAM..=MAX_DATAGRAM).contains(&usize::from(length));
    if fits { Ok(length) } else { Err(MessageError::BadValue("datagram")) }
}

fn string(reader: &mut Reader<'_>, most: usize, what: &'static str) -> Result<String, MessageError> {
    let length = usize::from(reader.u16_be()?);
    let bytes = reader.take(length)?;
    let text = std::str::from_utf8(bytes).ok().filter(|_| length <= most);
    text.map(str::to_owned).ok_or(MessageError::BadValue(what))
}

/// Writes the text up to the last character that fits.
fn put_string(out: &mut Vec<u8>, text: &str, most: usize) {
    let text = &text[..text.floor_char_boundary(most)];
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

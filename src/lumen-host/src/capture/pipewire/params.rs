//! The SPA parameters of a video stream: the formats it takes, and the buffers and metadata it wants with them.

use pipewire::spa::buffer::DataType;
use pipewire::spa::param::ParamType;
use pipewire::spa::param::format::{FormatProperties, MediaSubtype, MediaType};
use pipewire::spa::param::video::VideoFormat;
use pipewire::spa::pod::serialize::PodSerializer;
use pipewire::spa::pod::{ChoiceValue, Object, Pod, Property, PropertyFlags, Value, object, property};
use pipewire::spa::sys;
use pipewire::spa::utils::{Choice, ChoiceEnum, ChoiceFlags, Fraction, Id, Rectangle, SpaTypes};

use super::Wanted;
use super::meta::{BITMAP_BYTES, CURSOR_BYTES};
use super::picture::Order;

/// Largest extent of a picture that is taken.
const MAX_EXTENT: u32 = 16_384;

/// The highest rate that is asked for: as good as no limit, and Mutter takes no higher one.
const MAX_RATE: u32 = 1000;

/// Largest extent of a pointer's image.
const MAX_CURSOR: usize = 384;

/// A serialized parameter.
pub struct Param(Vec<u8>);

impl Param {
    fn new(object: Object) -> Self {
        let bytes = PodSerializer::serialize(std::io::Cursor::new(Vec::new()), &Value::Object(object));
        // Writing to memory does not fail; an empty parameter is one that nobody takes.
        Self(bytes.map(|(bytes, _)| bytes.into_inner()).unwrap_or_default())
    }

    /// As PipeWire takes it.
    pub fn pod(&self) -> Option<&Pod> {
        Pod::from_bytes(&self.0)
    }
}

/// Order of the colours of a format, if it is one that is understood.
pub fn order(format: VideoFormat) -> Option<Order> {
    match format {
        VideoFormat::BGRx | VideoFormat::BGRA => Some(Order::BlueFirst),
        VideoFormat::RGBx | VideoFormat::RGBA => Some(Order::RedFirst),
        _ => None,
    }
}

/// The formats that are taken.
pub fn formats(wanted: Wanted) -> Param {
    let rectangle = |width, height| Rectangle { width, height };
    let fraction = |num, denom| Fraction { num, denom };
    let (Wanted::Exactly(mode) | Wanted::Everything(mode) | Wanted::Anything(mode)) = wanted;
    let rate = fraction(mode.rate_num, mode.rate_den);
    let size = match wanted {
        Wanted::Exactly(mode) | Wanted::Everything(mode) => Value::Rectangle(rectangle(mode.width, mode.height)),
        Wanted::Anything(mode) => Value::Choice(ChoiceValue::Rectangle(range(
            rectangle(mode.width, mode.height),
            rectangle(1, 1),
            rectangle(MAX_EXTENT, MAX_EXTENT),
        ))),
    };
    let most = match wanted {
        Wanted::Exactly(_) => Value::Fraction(rate),
        Wanted::Everything(_) => Value::Fraction(fraction(MAX_RATE, 1)),
        Wanted::Anything(_) => Value::Choice(ChoiceValue::Fraction(range(rate, fraction(1, 1), fraction(MAX_RATE, 1)))),
    };
    Param::new(object!(
        SpaTypes::ObjectParamFormat,
        ParamType::EnumFormat,
        property!(FormatProperties::MediaType, Id, MediaType::Video),
        property!(FormatProperties::MediaSubtype, Id, MediaSubtype::Raw),
        property!(
            FormatProperties::VideoFormat,
            Choice,
            Enum,
            Id,
            VideoFormat::BGRx,
            VideoFormat::BGRx,
            VideoFormat::BGRA,
            VideoFormat::RGBx,
            VideoFormat::RGBA,
        ),
        property!(FormatProperties::VideoSize, size),
        // Zero is a rate that varies with what happens on the screen.
        property!(
            FormatProperties::VideoFramerate,
            Value::Choice(ChoiceValue::Fraction(range(fraction(0, 1), fraction(0, 1), fraction(MAX_RATE, 1))))
        ),
        property!(FormatProperties::VideoMaxFramerate, most),
    ))
}

/// What is wanted with a format that was agreed upon.
pub fn buffers() -> Vec<Param> {
    let memory = 1 << DataType::MemPtr.as_raw() | 1 << DataType::MemFd.as_raw();
    let kinds = Value::Choice(ChoiceValue::Int(Choice(
        ChoiceFlags::empty(),
        ChoiceEnum::Flags { default: memory, flags: Vec::new() },
    )));
    let count = Value::Choice(ChoiceValue::Int(range(8, 2, 16)));
    let cursor = |extent: usize| (CURSOR_BYTES + BITMAP_BYTES + extent * extent * 4) as i32;
    vec![
        Param::new(Object {
            type_: SpaTypes::ObjectParamBuffers.as_raw(),
            id: ParamType::Buffers.as_raw(),
            properties: vec![
                plain(sys::SPA_PARAM_BUFFERS_buffers, count),
                plain(sys::SPA_PARAM_BUFFERS_dataType, kinds),
            ],
        }),
        meta(sys::SPA_META_Header, Value::Int(size_of::<sys::spa_meta_header>() as i32)),
        meta(sys::SPA_META_VideoCrop, Value::Int(size_of::<sys::spa_meta_region>() as i32)),
        meta(sys::SPA_META_VideoTransform, Value::Int(4)),
        meta(sys::SPA_META_Cursor, Value::Choice(ChoiceValue::Int(range(cursor(64), cursor(1), cursor(MAX_CURSOR))))),
    ]
}

fn meta(kind: u32, size: Value) -> Param {
    Param::new(Object {
        type_: SpaTypes::ObjectParamMeta.as_raw(),
        id: ParamType::Meta.as_raw(),
        properties: vec![plain(sys::SPA_PARAM_META_type, Value::Id(Id(kind))), plain(sys::SPA_PARAM_META_size, size)],
    })
}

fn plain(key: u32, value: Value) -> Property {
    Property { key, flags: PropertyFlags::empty(), value }
}

fn range<T: pipewire::spa::pod::CanonicalFixedSizedPod>(default: T, min: T, max: T) -> Choice<T> {
    Choice(ChoiceFlags::empty(), ChoiceEnum::Range { default, min, max })
}

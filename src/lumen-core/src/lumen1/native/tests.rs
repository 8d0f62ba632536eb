//! Messages are read as they were written.

use proptest::prelude::*;

use super::*;
use crate::gamestream::http::{CodecMask, Profile};
use crate::gamestream::sdp::{AudioQuality, Matrix, Range, ReferenceFrames};
use crate::lumen1::header::SessionId;
use crate::lumen1::negotiation::{Answer, Grants, Offer, Schemes};

fn wish() -> impl Strategy<Value = Wish> {
    let picture = (1u16..=8192, 1u16..=4096, 1u16..=500, any::<u32>(), 1u32..);
    let coding = (
        prop::sample::select(Profile::ALL.to_vec()),
        prop::sample::select(vec![Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020]),
        prop::sample::select(vec![Range::Limited, Range::Full]),
        prop::sample::select(vec![ReferenceFrames::HostDecides, ReferenceFrames::One]),
        1u8..=32,
    );
    let sound = (
        prop::sample::select(vec![2u8, 6, 8]),
        prop::sample::select(vec![AudioQuality::Normal, AudioQuality::High]),
        prop::sample::select(vec![5u8, 10]),
    );
    (picture, coding, sound).prop_map(|(picture, coding, sound)| {
        let (width, half, fps, refresh_x100, bitrate_kbps) = picture;
        let (profile, matrix, range, references, slices) = coding;
        let (channels, sound, sound_ms) = sound;
        Wish {
            width,
            height: half * 2,
            fps,
            refresh_x100,
            bitrate_kbps,
            profile,
            matrix,
            range,
            references,
            slices,
            channels,
            sound,
            sound_ms,
        }
    })
}

fn request() -> impl Strategy<Value = Request> {
    let answer = (any::<u32>(), any::<[u8; 16]>(), 1200u16..=65_472, any::<u32>(), any::<u32>(), 1u32..);
    prop_oneof![
        any::<u16>().prop_map(|revision| Request::Hello { revision }),
        (any::<[u8; 32]>(), "\\PC{0,50}").prop_map(|(element, name)| Request::Pair { element, name }),
        any::<[u8; 32]>().prop_map(|proof| Request::Confirm { proof }),
        any::<u16>().prop_map(|first| Request::Apps { first }),
        (prop::sample::select(vec![Verb::Launch, Verb::Resume]), any::<u32>(), wish())
            .prop_map(|(verb, app, wish)| Request::Launch { verb, app, wish }),
        answer.prop_map(|(session, random, datagram, schemes, grants, max_frame)| Request::Take(Answer {
            session: SessionId(session),
            random,
            datagram,
            schemes: Schemes::from_bits(schemes),
            grants: Grants(grants),
            max_frame,
        })),
        Just(Request::Quit),
        Just(Request::Figures),
        (0xF000u16..).prop_map(Request::Unknown),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let name = || "\\PC{0,50}";
    let offer = (any::<u32>(), any::<[u8; 16]>(), 1u16.., 1200u16..=65_472, any::<u32>(), any::<u32>());
    let figures = (any::<[u16; 2]>(), any::<[u64; 3]>(), any::<u32>(), name());
    let app = (any::<u32>(), any::<bool>(), name()).prop_map(|(id, hdr, title)| App { id, hdr, title });
    prop_oneof![
        (any::<u16>(), any::<bool>(), 1u32..1 << 31, any::<u32>(), name(), name()).prop_map(
            |(revision, paired, codecs, running, id, name)| Reply::Welcome {
                revision,
                paired,
                codecs: CodecMask::new(codecs.into()).expect("in range"),
                running,
                id,
                name
            }
        ),
        any::<[u8; 32]>().prop_map(|element| Reply::Pair { element }),
        any::<[u8; 32]>().prop_map(|proof| Reply::Paired { proof }),
        (any::<u16>(), prop::collection::vec(app, 0..20)).prop_map(|(total, apps)| Reply::Apps { total, apps }),
        offer.prop_map(|(session, random, port, datagram, schemes, grants)| Reply::Offer(Offer {
            session: SessionId(session),
            random,
            port,
            datagram,
            schemes: Schemes::from_bits(schemes),
            grants: Grants(grants),
        })),
        (any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..=8))
            .prop_map(|(streams, coupled, mapping)| Reply::Taken(SoundLayout { streams, coupled, mapping })),
        Just(Reply::Quit),
        figures.prop_map(|([width, height], [sent, dropped, skipped], bitrate_kbps, encoder)| {
            Reply::Figures(Figures { width, height, sent, dropped, skipped, bitrate_kbps, encoder })
        }),
        (any::<u16>(), name()).prop_map(|(code, text)| Reply::Refused { refusal: Refusal::from_code(code), text }),
    ]
}

proptest! {
    #[test]
    fn requests_are_read_as_written_and_longer_ones_of_later_revisions_as_well(
        request in request(), more in prop::collection::vec(any::<u8>(), 0..20)
    ) {
        let mut message = request.to_message();
        prop_assert_eq!(Request::parse(&message), Ok(Some(request.clone())));
        message.body.extend(more);
        prop_assert_eq!(Request::parse(&message), Ok(Some(request)));
    }

    #[test]
    fn replies_are_read_as_written(reply in reply()) {
        prop_assert_eq!(Reply::parse(&reply.to_message()), Ok(reply));
    }

    #[test]
    fn a_message_cut_short_is_none(request in request(), reply in reply()) {
        for length in 0..request.to_message().body.len() {
            let RawMessage { kind, body } = request.to_message();
            let cut = RawMessage { kind, body: body[..length].to_vec() };
            prop_assert!(Request::parse(&cut).is_err());
        }
        // A list may end behind any of its members.
        if !matches!(reply, Reply::Apps { .. }) {
            for length in 0..reply.to_message().body.len() {
                let RawMessage { kind, body } = reply.to_message();
                let cut = RawMessage { kind, body: body[..length].to_vec() };
                prop_assert!(Reply::parse(&cut).is_err());
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(kind: u16, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let message = RawMessage { kind, body };
        let _ = (Request::parse(&message), Reply::parse(&message));
    }
}

#[test]
fn what_is_unknown_is_refused_if_it_is_a_request_and_passed_over_else() {
    let unknown = |kind| RawMessage { kind, body: vec![1, 2, 3] };
    assert_eq!(Request::parse(&unknown(0xF123)), Ok(Some(Request::Unknown(0xF123))));
    assert_eq!(Request::parse(&unknown(0x7123)), Ok(None));
    assert_eq!(Reply::parse(&unknown(0x7123)), Err(MessageError::Unknown(0x7123)));
}

#[test]
fn texts_end_at_a_character_and_lists_where_no_more_fits() {
    let reply = Reply::Refused { refusal: Refusal::Failed, text: "ä".repeat(513) };
    let Ok(Reply::Refused { text, .. }) = Reply::parse(&reply.to_message()) else { panic!("it is one") };
    assert_eq!(text, "ä".repeat(512));
    let request = Request::Pair { element: [0; 32], name: format!("x{}", "ä".repeat(300)) };
    let Ok(Some(Request::Pair { name, .. })) = Request::parse(&request.to_message()) else { panic!("it is one") };
    assert_eq!(name, format!("x{}", "ä".repeat(127)));

    let apps: Vec<_> = (0..1000).map(|id| App { id, hdr: false, title: "long ".repeat(40) }).collect();
    let message = Reply::Apps { total: 1000, apps: apps.clone() }.to_message();
    assert!(message.write(&mut Vec::new()).is_some());
    let Ok(Reply::Apps { total: 1000, apps: came }) = Reply::parse(&message) else { panic!("it is one") };
    assert!(came.len() > 300 && came[..] == apps[..came.len()]);
}

#[test]
fn impossible_wishes_are_none() {
    let good = Wish {
        width: 1280,
        height: 720,
        fps: 60,
        refresh_x100: 5994,
        bitrate_kbps: 10_000,
        profile: Profile::ALL[0],
        matrix: Matrix::Bt709,
        range: Range::Limited,
        references: ReferenceFrames::HostDecides,
        slices: 1,
        channels: 2,
        sound: AudioQuality::Normal,
        sound_ms: 5,
    };
    let parse = |wish| Request::parse(&Request::Launch { verb: Verb::Launch, app: 1, wish }.to_message());
    assert!(parse(good).is_ok());
    assert_eq!(good.to_request().refresh_rate().numerator, 5994);
    let bad = [
        Wish { width: 0, ..good },
        Wish { width: 8193, ..good },
        Wish { height: 721, ..good },
        Wish { fps: 501, ..good },
        Wish { bitrate_kbps: 0, ..good },
        Wish { slices: 0, ..good },
        Wish { channels: 3, ..good },
        Wish { sound_ms: 20, ..good },
    ];
    for wish in bad {
        assert!(matches!(parse(wish), Err(MessageError::BadValue(_))), "{wish:?}");
    }
}

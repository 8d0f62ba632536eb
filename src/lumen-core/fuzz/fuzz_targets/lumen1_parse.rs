//! Every parser of lumen/1, on bytes as anyone can send them and as a peer with the right keys but bad intent does.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::lumen1::audio::{AudioPacket, AudioReceiver};
use lumen_core::lumen1::header::{PacketHeader, SessionId, Stream};
use lumen_core::lumen1::keys::{Direction, KeySchedule};
use lumen_core::lumen1::message::{Message, messages};
use lumen_core::lumen1::negotiation::{Answer, Offer};
use lumen_core::lumen1::seal::Opener;
use lumen_core::lumen1::video::{FrameHeader, ShardHeader};

fuzz_target!(|data: &[u8]| {
    let _ = PacketHeader::parse(data);
    let _ = AudioPacket::parse(data).map(|packet| packet.frames().count());
    let _ = AudioReceiver::default().receive(data, |_| {});
    if let Ok((header, shard)) = ShardHeader::parse(data) {
        assert_eq!(header.shape.shard_len(), shard.len());
        let written = [&header.to_bytes()[..], shard].concat();
        assert_eq!(ShardHeader::parse(&written), Ok((header, shard)));
    }
    if let Ok((header, range)) = FrameHeader::parse(data) {
        assert_eq!(data[range].len(), header.len as usize);
    }
    for stream in Stream::ALL {
        for message in messages(stream, data).flatten() {
            match message {
                Message::Receipts(receipts) => assert!(receipts.iter().count() <= 512),
                Message::Missing(missing) => assert!(missing.ranges().all(|range| range.count > 0)),
                _ => {}
            }
            let mut written = Vec::new();
            message.write(&mut written);
            assert_eq!(messages(stream, &written).next(), Some(Ok(message)));
        }
    }
    let keys = KeySchedule::new(&[1; 16], &[2; 16], &[3; 16]).expect("long enough");
    let mut opener = Opener::new(&keys, Direction::HostToClient, SessionId(42));
    assert!(opener.open(&mut data.to_vec()).is_err(), "a forgery");
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(Some(offer)) = Offer::find(text)
    {
        let mut written = String::new();
        offer.append_to(&mut written);
        assert_eq!(Offer::find(&written), Ok(Some(offer)));
        let _ = Answer::find(text, &offer);
    }
});

//! Video datagrams: as anyone can send them, and as a host with the right key but bad intent seals them. The input is
//! cut into shards of 80 bytes; what is left over is a short datagram.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::crypto::PacketKey;
use lumen_core::gamestream::reassembler::{
    LossResponse, Reassembler, ReassemblerConfig, ReferenceInvalidation, VideoEvent,
};
use lumen_core::gamestream::video::{
    AnnexB, FirstPacket, FrameHeader, FrameIndex, PREFIX_LEN, PacketSize, ShardHeader, VideoCodec, open_datagram,
    seal_datagram,
};
use lumen_core::time::Timestamp;

const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fuzz_target!(|data: &[u8]| {
    let packet_size = PacketSize::new(64).expect("in range");
    let key = PacketKey::new(&KEY);
    let _ = ShardHeader::parse(data);
    let _ = FrameHeader::parse(data, [7, 1, 431]);
    let _ = FirstPacket::inspect(AnnexB::H264, packet_size, data);
    let _ = FirstPacket::inspect(AnnexB::Hevc, packet_size, data);
    let _ = open_datagram(&key, &mut data.to_vec());

    for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1] {
        let config = ReassemblerConfig::new(packet_size, codec);
        let clear = Reassembler::new(config.clone());
        let sealed = Reassembler::new(ReassemblerConfig { encryption: Some(key.clone()), ..config });
        play(clear, data.chunks(packet_size.shard_len()).map(<[u8]>::to_vec));
        play(
            sealed,
            (0..).zip(data.chunks(packet_size.shard_len())).map(|(counter, shard)| {
                let mut datagram = [&[0; PREFIX_LEN], shard].concat();
                seal_datagram(&key, counter, FrameIndex(0), &mut datagram);
                datagram
            }),
        );
    }
});

/// Frames and losses follow each other without gap or overlap, whatever comes in.
fn play(mut receiver: Reassembler, datagrams: impl Iterator<Item = Vec<u8>>) {
    let mut response = LossResponse::new(ReferenceInvalidation::Available);
    response.key_frame_decoded();
    let mut next = FrameIndex::FIRST;
    for (millis, mut datagram) in (0..).zip(datagrams) {
        let _ = receiver.receive(&mut datagram, Timestamp::from_millis(millis));
        while let Some(event) = receiver.poll() {
            match event {
                VideoEvent::Frame(frame) => {
                    assert_eq!(frame.index, next);
                    next = frame.index.next();
                    response.completed(&frame);
                    receiver.recycle(frame.data);
                }
                VideoEvent::Lost { first, last, .. } => {
                    assert_eq!(first, next);
                    next = last.next();
                    response.lost(first, last);
                }
                VideoEvent::FecStatus(status) => assert!(status.block < status.block_count),
            }
        }
        while response.poll().is_some() {}
    }
}

//! The real coders on a sample: what the counts say can be rebuilt is rebuilt, to the byte, and nothing else is.

use anyhow::ensure;
use lumen_core::fec::gf8::{Codec, ShardSet, Strided};
use lumen_core::fec::scheme::{Decoder, Encoder, Progress, ReconstructError, Shape};
use lumen_core::netsim::{Loss, Random};

use crate::schemes::Layout;

/// Bytes of a shard. The codes work on columns of bytes: short shards say as much.
const SHARD: usize = 16;

/// Sends `frames` frames through the code of a layout; gives how many blocks were rebuilt.
///
/// # Errors
/// What differs from the counts.
pub fn check(layout: &Layout, loss: Loss, frames: u64, seed: u64) -> anyhow::Result<u64> {
    let seeds = Random::new(seed);
    let mut rebuilt = 0;
    for frame in 0..frames {
        let mut process = loss.start(seeds.fork(frame));
        let content = seeds.fork(frame + frames);
        let arrived: Vec<bool> = layout.packets.iter().map(|_| !process.next_is_lost()).collect();
        rebuilt += match layout.shape {
            Some(shape) => check_frame(layout, shape, &arrived, content)?,
            None => check_blocks(layout, &arrived, content)?,
        };
    }
    Ok(rebuilt)
}

/// A frame in the codes of lumen/1.
fn check_frame(layout: &Layout, shape: Shape, arrived: &[bool], mut content: Random) -> anyhow::Result<u64> {
    let shape = Shape::new(shape.scheme(), u16::try_from(shape.data())?, u16::try_from(shape.parity())?, SHARD)?;
    let data_bytes = shape.data() * SHARD;
    let mut frame = vec![0; shape.total() * SHARD];
    content.fill(&mut frame[..data_bytes]);
    Encoder::new().encode(shape, &mut frame, shape.strided(0))?;
    let sent = frame.clone();
    let mut progress = Progress::new(shape);
    for (packet, shard) in frame.chunks_mut(SHARD).enumerate() {
        if arrived[packet] {
            progress.insert(packet);
        } else {
            shard.fill(0xEE);
        }
    }
    let done = Decoder::new().reconstruct(shape, &mut frame, shape.strided(0), progress.present());
    let counted = (0..layout.blocks.len()).all(|block| missing(layout, block, arrived) <= layout.blocks[block].1);
    ensure!(done.is_ok() == counted, "{shape}: {done:?}, by the counts {counted}");
    match done {
        Ok(_) => ensure!(frame[..data_bytes] == sent[..data_bytes], "{shape}: rebuilt wrongly"),
        Err(error) => ensure!(matches!(error, ReconstructError::TooFewShards { .. }), "{shape}: {error}"),
    }
    Ok(u64::from(done.is_ok_and(|restored| restored > 0)))
}

/// A frame in blocks one after another.
fn check_blocks(layout: &Layout, arrived: &[bool], mut content: Random) -> anyhow::Result<u64> {
    let mut rebuilt = 0;
    for (number, &(data, parity)) in layout.blocks.iter().enumerate().filter(|(_, (_, parity))| *parity > 0) {
        let rows = Strided { stride: SHARD, offset: 0, len: SHARD };
        let mut block = vec![0; (data + parity) * SHARD];
        content.fill(&mut block[..data * SHARD]);
        let mut codec = Codec::new(data, parity)?;
        codec.encode_strided(&mut block, rows)?;
        let sent = block.clone();
        let mut here = ShardSet::EMPTY;
        for (&(_, place), arrived) in layout.packets.iter().zip(arrived).filter(|((block, _), _)| *block == number) {
            if *arrived {
                here.insert(place);
            } else {
                block[place * SHARD..][..SHARD].fill(0xEE);
            }
        }
        let done = codec.reconstruct_strided(&mut block, rows, &here).is_ok();
        let missing = missing(layout, number, arrived);
        ensure!(done == (missing <= parity), "{data}+{parity} shards, {missing} missing: rebuilt is {done}");
        ensure!(!done || block[..data * SHARD] == sent[..data * SHARD], "{data}+{parity} shards: rebuilt wrongly");
        rebuilt += u64::from(done && missing > 0);
    }
    Ok(rebuilt)
}

fn missing(layout: &Layout, block: usize, arrived: &[bool]) -> usize {
    layout.packets.iter().zip(arrived).filter(|((of, _), arrived)| *of == block && !**arrived).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemes::Scheme;

    #[test]
    fn the_codes_rebuild_what_the_counts_say() {
        for scheme in Scheme::ALL {
            for data in [107, 740] {
                let mut rebuilt = 0;
                for loss in [Loss::Independent(0.15), Loss::Bursts { rate: 0.1, length: 5.0 }] {
                    rebuilt += check(&scheme.layout(data), loss, 12, 1).expect("as counted");
                }
                assert!(rebuilt > 3, "{scheme:?} {data}: {rebuilt}");
            }
        }
    }
}

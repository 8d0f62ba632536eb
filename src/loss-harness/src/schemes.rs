//! Which frames survive, by scheme, loss and size: counted over simulated networks, and computed exactly where that can be done.
//!
//! A scheme is a way to lay a frame's packets into blocks. Any block survives if no more of its packets are lost than it has
//! parity; a frame, if all its blocks do. All schemes see the same losses.

use lumen_core::fec::block_plan::{FecPercentage, FrameSplit};
use lumen_core::fec::scheme::{Scheme as Code, Shape};
use lumen_core::loss_control::GilbertChain;
use lumen_core::netsim::{Loss, Random};
use serde::Serialize;

use crate::statistics::{Share, short};
use crate::table::Table;

/// Codec bytes of a packet.
const PAYLOAD: usize = 1408;
/// The same parity for every scheme.
const PARITY: FecPercentage = FecPercentage::new(20);
/// Ways to protect a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// GameStream's: at most four blocks of 255, one after another; none at all for larger frames.
    Gamestream,
    /// Any number of blocks of GF(2^8), packets of all blocks alternating on the wire.
    Gf8Interleaved,
    /// One block of GF(2^16).
    Gf16,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gamestream, Self::Gf8Interleaved, Self::Gf16];

    /// For tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gamestream => "GameStream",
            Self::Gf8Interleaved => "gf8 interleaved",
            Self::Gf16 => "gf16 one block",
        }
    }

    /// How a frame of `data` packets lies in blocks.
    pub fn layout(self, data: usize) -> Layout {
        let code = match self {
            Self::Gamestream => {
                let split = FrameSplit::new(data, PARITY).expect("frames here have fewer packets than 4 x 1023");
                let parity = |data: usize| (data, split.percentage().parity(data));
                return Layout::one_after_another(split.blocks().map(parity).collect());
            }
            Self::Gf8Interleaved => Code::Gf8Interleaved,
            Self::Gf16 => Code::Gf16,
        };
        let count = |packets: usize| u16::try_from(packets).expect("frames here have fewer packets than 65536");
        let shape = Shape::new(code, count(data), count(PARITY.parity(data)), 2);
        Layout::of_shape(shape.expect("both codes have frames of this size"))
    }
}

/// A frame's packets in the order of sending.
#[derive(Debug)]
pub struct Layout {
    /// Data and parity packets of each block.
    pub blocks: Vec<(usize, usize)>,
    /// For each packet its block, and its place there; parity after data.
    pub packets: Vec<(usize, usize)>,
    /// In the codes of lumen/1.
    pub shape: Option<Shape>,
}

impl Layout {
    fn one_after_another(blocks: Vec<(usize, usize)>) -> Self {
        let packets = (0..).zip(&blocks).flat_map(|(block, (d, p))| (0..d + p).map(move |place| (block, place)));
        Self { packets: packets.collect(), blocks, shape: None }
    }

    /// As the codes of lumen/1 do: packets of all blocks in turn.
    fn of_shape(shape: Shape) -> Self {
        let blocks = (0..shape.blocks()).map(|block| shape.block(block)).map(|block| (block.data, block.parity));
        let packets = (0..shape.total()).map(|packet| (shape.block_of(packet), packet / shape.blocks()));
        Self { blocks: blocks.collect(), packets: packets.collect(), shape: Some(shape) }
    }

    /// What becomes of a frame of whose packets these are lost, in order.
    fn fate(&self, lost: &[usize]) -> Fate {
        let mut missing = vec![0; self.blocks.len()];
        let mut data_lost = false;
        for &packet in lost {
            let Some(&(block, place)) = self.packets.get(packet) else { break };
            missing[block] += 1;
            data_lost |= place < self.blocks[block].0;
        }
        if missing.iter().zip(&self.blocks).any(|(missing, (_, parity))| missing > parity) {
            Fate::Lost
        } else if data_lost {
            Fate::Rebuilt
        } else {
            Fate::Whole
        }
    }

    /// The packet with which a frame is complete of which these are lost, and can be rebuilt.
    fn complete_with(&self, lost: &[usize]) -> usize {
        let mut wanted: Vec<usize> = self.blocks.iter().map(|(data, _)| *data).collect();
        let mut lost = lost.iter().copied().peekable();
        let mut last = 0;
        for (number, &(block, _)) in self.packets.iter().enumerate() {
            if lost.next_if_eq(&number).is_some() || wanted[block] == 0 {
                continue;
            }
            wanted[block] -= 1;
            last = number;
        }
        last
    }

    /// Probability that a frame is lost; none if that is not known.
    fn exact(&self, loss: Loss) -> Option<f64> {
        let chain = match loss {
            Loss::Independent(rate) => GilbertChain::independent(rate),
            Loss::Bursts { rate, length } => GilbertChain::bursts(rate, length),
            Loss::None | Loss::TwoStates { .. } => return None,
        };
        if self.shape.is_none() || self.blocks.len() == 1 {
            let mut states = chain.long_run();
            let mut lost = 0.0;
            for &(data, parity) in &self.blocks {
                let (after, lost_here) = chain.send(states, data + parity, parity);
                states = after;
                lost += lost_here;
            }
            return Some(lost);
        }
        // Blocks that alternate share nothing only if packets do not.
        matches!(loss, Loss::Independent(_)).then(|| {
            let all_kept: f64 = self.blocks.iter().map(|(d, p)| (-chain.more_than(*p, d + p)).ln_1p()).sum();
            -all_kept.exp_m1()
        })
    }
}

enum Fate {
    /// All data packets arrived.
    Whole,
    Rebuilt,
    Lost,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Cell {
    /// Bytes of the frame.
    pub bytes: usize,
    /// Data packets.
    pub data: usize,
    /// Parity packets by data packets.
    pub overhead: f64,
    /// Share of packets lost.
    pub loss: f64,
    /// Mean burst; 1 for independent losses.
    pub burst: f64,
    /// Which scheme.
    pub scheme: Scheme,
    /// Frames lost, counted.
    pub counted: Share,
    /// Frames lost, computed; none where there is no exact calculation.
    pub exact: Option<f64>,
    /// How many packets later than without loss a frame is complete that had to be rebuilt, on average.
    pub delay_packets: f64,
}

impl Cell {
    /// The best figure there is.
    pub fn residual(&self) -> f64 {
        self.exact.unwrap_or(self.counted.share)
    }

    fn network(&self) -> String {
        let burst = if self.burst > 1.0 { format!("bursts of {}", self.burst) } else { "independent".into() };
        format!("{} %, {burst}", (self.loss * 100.0).round())
    }
}

/// The networks of the table.
pub fn networks() -> Vec<Loss> {
    const RATES: [f64; 4] = [0.01, 0.05, 0.1, 0.15];
    let bursts = [5.0, 20.0, 50.0].into_iter().flat_map(|length| RATES.map(|rate| Loss::Bursts { rate, length }));
    RATES.map(Loss::Independent).into_iter().chain(bursts).collect()
}

/// Frame sizes of the table, in data packets: 150 KB, 1.04 MB, 2.6 MB.
pub const SIZES: [usize; 3] = [107, 740, 1850];

/// Counts `frames` frames per network and size.
pub fn sweep(networks: &[Loss], sizes: &[usize], frames: u64, seed: u64) -> Vec<Cell> {
    let work: Vec<_> = sizes.iter().flat_map(|&size| networks.iter().map(move |&loss| (size, loss))).collect();
    crate::in_parallel(&work, |&(data, loss)| cells(data, loss, frames, seed)).into_iter().flatten().collect()
}

fn cells(data: usize, loss: Loss, frames: u64, seed: u64) -> Vec<Cell> {
    let layouts = Scheme::ALL.map(|scheme| (scheme, scheme.layout(data)));
    let longest = layouts.iter().map(|(_, layout)| layout.packets.len()).max().unwrap_or(0);
    let whole = layouts.each_ref().map(|(_, layout)| layout.complete_with(&[]));
    let (mut lost_frames, mut rebuilt, mut delay) = ([0; 3], [0u64; 3], [0u64; 3]);
    let seeds = Random::new(seed).fork(data as u64);
    let mut lost = Vec::new();
    for frame in 0..frames {
        let mut process = loss.start(seeds.fork(frame));
        lost.clear();
        lost.extend((0..longest).filter(|_| process.next_is_lost()));
        for (i, (_, layout)) in layouts.iter().enumerate() {
            match layout.fate(&lost) {
                Fate::Whole => {}
                Fate::Lost => lost_frames[i] += 1,
                Fate::Rebuilt => {
                    rebuilt[i] += 1;
                    delay[i] += (layout.complete_with(&lost) - whole[i]) as u64;
                }
            }
        }
    }
    let (rate, burst) = match loss {
        Loss::Bursts { rate, length } => (rate, length),
        other => (other.rate(), 1.0),
    };
    let cell = |(i, (scheme, layout)): (usize, &(Scheme, Layout))| Cell {
        bytes: data * PAYLOAD,
        data,
        overhead: layout.blocks.iter().map(|(_, parity)| parity).sum::<usize>() as f64 / data as f64,
        loss: rate,
        burst,
        scheme: *scheme,
        counted: Share::of(lost_frames[i], frames),
        exact: layout.exact(loss),
        delay_packets: delay[i] as f64 / rebuilt[i].max(1) as f64,
    };
    layouts.iter().enumerate().map(cell).collect()
}

/// The table.
pub fn table(cells: &[Cell]) -> Table {
    let mut table = Table::new([
        "Frame",
        "Loss",
        "Scheme",
        "Overhead",
        "Frames lost, exact",
        "Counted (95 %)",
        "Later by, packets",
    ]);
    for cell in cells {
        table.row([
            format!("{} KB", cell.bytes / 1000),
            cell.network(),
            cell.scheme.name().into(),
            format!("{:.1} %", cell.overhead * 100.0),
            cell.exact.map_or("—".into(), short),
            cell.counted.text(),
            format!("{:.0}", cell.delay_packets),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_hold_every_packet_once_at_equal_overhead() {
        for scheme in Scheme::ALL {
            for data in [1, 107, 212, 213, 740, 848, 1850] {
                let layout = scheme.layout(data);
                let mut seen = std::collections::HashSet::new();
                assert!(layout.packets.iter().all(|packet| seen.insert(*packet)));
                assert_eq!(layout.blocks.iter().map(|(data, _)| data).sum::<usize>(), data);
                assert_eq!(
                    layout.packets.len(),
                    layout.blocks.iter().map(|(data, parity)| data + parity).sum::<usize>()
                );
            }
        }
        assert_eq!(Scheme::Gamestream.layout(740).blocks, [(185, 37); 4]);
        assert_eq!(Scheme::Gf8Interleaved.layout(740).blocks.len(), 4);
        assert_eq!(Scheme::Gf16.layout(740).blocks, [(740, 148)]);
        assert!(Scheme::Gamestream.layout(1850).blocks.iter().all(|(_, parity)| *parity == 0), "past the wall");
    }

    #[test]
    fn a_block_bears_as_many_losses_as_it_has_parity() {
        let layout = Scheme::Gamestream.layout(740);
        let lost: Vec<_> = (10..47).collect();
        assert!(matches!(layout.fate(&lost), Fate::Rebuilt));
        assert!(matches!(layout.fate(&(10..48).collect::<Vec<_>>()), Fate::Lost));
        assert!(matches!(Scheme::Gf8Interleaved.layout(740).fate(&(10..150).collect::<Vec<_>>()), Fate::Rebuilt));
        assert!(matches!(layout.fate(&(185..222).collect::<Vec<_>>()), Fate::Whole), "parity only");
    }

    #[test]
    fn a_rebuilt_frame_is_complete_with_the_parity_that_stands_in() {
        let layout = Scheme::Gf16.layout(10);
        assert_eq!(layout.complete_with(&[]), 9);
        assert_eq!(layout.complete_with(&[0]), 10);
        assert_eq!(layout.complete_with(&[0, 10]), 11);
    }

    #[test]
    fn the_figures_that_were_promised_come_out() {
        let exact = |scheme: Scheme, loss| scheme.layout(740).exact(loss).expect("known");
        let bursts = Loss::Bursts { rate: 0.05, length: 5.0 };
        assert!(exact(Scheme::Gf16, bursts) <= 1e-4);
        assert!((exact(Scheme::Gamestream, bursts) / 6e-2 - 1.0).abs() < 0.05);
        let independent = Loss::Independent(0.1);
        assert!(exact(Scheme::Gf16, independent) <= 1e-8);
        assert!((exact(Scheme::Gamestream, independent) / 3e-3 - 1.0).abs() < 0.05);
        assert!((exact(Scheme::Gf8Interleaved, independent) / 2.9e-3 - 1.0).abs() < 0.1);
    }

    #[test]
    fn counting_agrees_with_computing() {
        for cell in sweep(&[Loss::Independent(0.12), Loss::Bursts { rate: 0.1, length: 5.0 }], &[107, 740], 3000, 1) {
            if let Some(exact) = cell.exact {
                // Four standard deviations, so that one of many cells does not fail by chance.
                let bound = 4.0 * (exact * (1.0 - exact) / 3000.0).sqrt() + 1e-3;
                assert!((cell.counted.share - exact).abs() < bound, "{cell:?}");
            }
        }
    }
}

//! What is on its way to the client: when each packet was sent, and what the client's receipts say of it. Tells loss and
//! congestion control of every packet once, in the order of sending. Nothing here reads a clock.

use std::collections::VecDeque;
use std::time::Duration;

use lumen_core::congestion;
use lumen_core::lumen1::header::{Epoch, PacketNumber};
use lumen_core::lumen1::message::Receipt;
use lumen_core::lumen1::video::FrameNumber;
use lumen_core::time::Timestamp;

/// A packet is lost when one arrived that was sent so much later: networks reorder less.
const REORDERING: Duration = Duration::from_millis(30);
/// Packets that are remembered; about a second at 1 Gbit/s.
const MOST: usize = 1 << 17;

/// See the module.
#[derive(Debug, Default)]
pub struct Flight {
    /// In the order of sending, which is that of epochs and numbers.
    packets: VecDeque<Sent>,
    /// When the newest packet was sent that arrived.
    newest: Timestamp,
    /// When the newest packet was sent of those whose arrival the last report brought.
    newest_told: Option<Timestamp>,
    receipts: Vec<congestion::Receipt>,
}

#[derive(Debug)]
struct Sent {
    epoch: Epoch,
    number: PacketNumber,
    frame: FrameNumber,
    bytes: usize,
    at: Timestamp,
    arrived: bool,
}

/// One packet that is accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrived.
    Arrived,
    /// It did not.
    Lost,
}

impl Flight {
    /// A packet leaves. They come in the order of their numbers.
    pub fn sent(&mut self, epoch: Epoch, number: PacketNumber, frame: FrameNumber, bytes: usize, at: Timestamp) {
        if self.packets.len() == MOST {
            self.packets.pop_front();
        }
        self.packets.push_back(Sent { epoch, number, frame, bytes, at, arrived: false });
    }

    /// The client tells of packets. `account` is told of each that is now accounted for; returned is what congestion
    /// control wants to know.
    pub fn report(
        &mut self,
        epoch: Epoch,
        receipts: &[Receipt],
        mut account: impl FnMut(Fate),
    ) -> &[congestion::Receipt] {
        self.receipts.clear();
        self.newest_told = None;
        for receipt in receipts {
            let Some(arrived) = receipt.arrived else { continue };
            let place = self.packets.binary_search_by_key(&(epoch, receipt.number), |sent| (sent.epoch, sent.number));
            let Some(sent) = place.ok().and_then(|place| self.packets.get_mut(place)) else { continue };
            if std::mem::replace(&mut sent.arrived, true) {
                continue;
            }
            self.newest = self.newest.max(sent.at);
            self.newest_told = self.newest_told.max(Some(sent.at));
            self.receipts.push(congestion::Receipt::Arrived {
                sent: sent.at,
                arrived,
                bytes: sent.bytes,
                frame: sent.frame.0.into(),
            });
        }
        while let Some(first) = self.packets.front() {
            let fate = match first.arrived {
                true => Fate::Arrived,
                false if first.at + REORDERING < self.newest => Fate::Lost,
                false => break,
            };
            if fate == Fate::Lost {
                self.receipts.push(congestion::Receipt::Lost);
            }
            account(fate);
            self.packets.pop_front();
        }
        &self.receipts
    }

    /// When the newest packet was sent of those whose arrival the last report brought: from then to that report passed a
    /// round trip with all that both ends take to answer.
    pub fn newest_told(&self) -> Option<Timestamp> {
        self.newest_told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn receipt(number: u64, arrived: Option<u64>) -> Receipt {
        Receipt { number: PacketNumber(number), arrived: arrived.map(at) }
    }

    fn flight(packets: u64) -> Flight {
        let mut flight = Flight::default();
        for number in 0..packets {
            flight.sent(Epoch(0), PacketNumber(number), FrameNumber(1), 1200, at(number * 10));
        }
        flight
    }

    fn fates(flight: &mut Flight, receipts: &[Receipt]) -> Vec<Fate> {
        let mut fates = Vec::new();
        flight.report(Epoch(0), receipts, |fate| fates.push(fate));
        fates
    }

    #[test]
    fn a_packet_is_lost_once_much_later_ones_arrived_and_not_before() {
        let mut flight = flight(8);
        assert_eq!(fates(&mut flight, &[receipt(0, Some(5)), receipt(1, None), receipt(2, Some(25))]), [Fate::Arrived]);
        // Sent 30 ms after the missing one: it may still be on its way.
        assert_eq!(fates(&mut flight, &[receipt(4, Some(45))]), []);
        let told = flight.report(Epoch(0), &[receipt(5, Some(55))], |_| {}).to_vec();
        assert_eq!(told.last(), Some(&congestion::Receipt::Lost));
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn a_late_packet_counts_as_arrived_and_each_packet_once() {
        let mut flight = flight(4);
        assert_eq!(fates(&mut flight, &[receipt(1, Some(15)), receipt(2, Some(25))]), []);
        assert_eq!(fates(&mut flight, &[receipt(0, Some(26)), receipt(1, Some(15))]), [Fate::Arrived; 3]);
        assert_eq!(flight.newest_told(), Some(at(0)), "of the others it was known");
        assert_eq!(fates(&mut flight, &[receipt(2, Some(25))]), []);
        assert_eq!(flight.newest_told(), None);
    }

    #[test]
    fn receipts_of_packets_that_were_never_sent_say_nothing() {
        let mut flight = flight(1);
        assert_eq!(fates(&mut flight, &[receipt(9, Some(1))]), []);
        assert!(flight.report(Epoch(7), &[receipt(0, Some(1))], |_| {}).is_empty());
    }
}

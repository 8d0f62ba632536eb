//! Whole sessions over the simulated network: the packetizer, the reassembler, the client's answer to losses and the
//! encrypted control channel, host half against client half, in virtual time. Every session has a network of its own,
//! drawn from its seed: loss of any kind, delay, jitter, reordering, duplicates, outages, narrow links. Whatever the network does,
//! a frame that comes out is the one that was sent, its references were decoded, and once the network is well again
//! the picture comes back. A few hundred run in CI, 10 000 with `scripts/test --full`.

mod scenario;
mod session;

use session::{Outcome, run};

/// Runs the sessions of these seeds; says which seed failed.
fn sweep(seeds: std::ops::Range<u64>) -> Vec<Outcome> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let per_thread = |thread: u64| seeds.clone().filter(move |seed| seed % threads == thread).map(run);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|t| scope.spawn(move || per_thread(t).collect::<Vec<_>>())).collect();
        handles.into_iter().flat_map(|handle| handle.join().expect("a session failed; its seed is above")).collect()
    })
}

/// The networks must be such that something happens.
fn check(outcomes: &[Outcome]) {
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let (frames, lost) = (sum(|o| o.frames_sent), sum(|o| o.frames_lost));
    println!(
        "{} sessions: {frames} frames, {lost} lost, {} rebuilt, {} key frames, {} repairs, {} of {} datagrams lost",
        outcomes.len(),
        sum(|o| o.frames_rebuilt),
        sum(|o| o.key_frames),
        sum(|o| o.repairs),
        sum(|o| o.datagrams_lost),
        sum(|o| o.datagrams_sent),
    );
    assert!(lost * 200 > frames && lost * 2 < frames, "{lost} of {frames} frames lost");
    assert!(sum(|o| o.frames_rebuilt) * 50 > frames, "parity did something");
    assert!(sum(|o| o.repairs) > outcomes.len() as u64 / 20, "references were invalidated");
}

#[test]
fn sessions_over_any_network_show_what_was_sent_and_recover() {
    check(&sweep(0..200));
}

/// Run by `scripts/test core --full`.
#[test]
#[ignore = "10 000 sessions take minutes; scripts/test --full runs them"]
fn ten_thousand_sessions_over_any_network_show_what_was_sent_and_recover() {
    check(&sweep(1_000_000..1_010_000));
}

#[test]
fn a_seed_replays_byte_for_byte() {
    for seed in [3, 17, 40] {
        let [first, second] = [run(seed), run(seed)];
        assert_eq!(first, second, "seed {seed}");
    }
    assert_ne!(run(3).digest, run(4).digest);
}

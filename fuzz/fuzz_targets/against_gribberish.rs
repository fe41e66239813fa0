//! Messages that both we and gribberish decode have the same values, but for the known differences.
#![no_main]

use std::cell::RefCell;

use gribchunk::grib::grid::Grid;
use gribchunk::grib::packing::{self, Packing};
use gribchunk::grib::walk::{Found, messages};
use gribchunk_fuzz::known::known_difference;
use gribchunk_fuzz::worker::{Answer, Worker};
use libfuzzer_sys::fuzz_target;

const MOST_POINTS: usize = 100_000;

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
}

fuzz_target!(|data: &[u8]| {
    let Some(Found::Message(message)) = messages(data).next() else { return };
    let Some(Ok(sections)) = message.fields().next() else { return };
    let Ok(grid) = Grid::from_sections(&sections) else { return };
    let points = grid.points();
    if points == 0 || points > MOST_POINTS {
        return;
    }
    let mut ours = vec![0f64; points];
    let Ok(report) = packing::decode(&sections, points, &mut ours) else { return };
    let Answer::Values(theirs) = WORKER.with_borrow_mut(|worker| worker.ask(message.bytes)) else { return };
    let Ok(packing) = Packing::from_sections(&sections) else { return };
    if known_difference(&sections, packing.keys(), &ours, &theirs).is_some() {
        return;
    }
    assert_eq!(theirs.len(), points, "{}", report.decoder);
    for (point, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert!(
            gribchunk_fuzz::known::close(*ours, *theirs, packing.keys()),
            "{}, point {point}: {ours} {theirs}",
            report.decoder
        );
    }
});

//! Allocating the cube of a full ensemble run: 85 steps x 51 members x 72 variables at 0.25 degrees.

mod common;

use std::sync::Arc;

use common::{Peer, Run, minima, ratio, seconds, table, verdict};
use gribchunk::cube::build::SampleField;
use gribchunk::grib::grid::Grid;
use gribchunk::grib::walk::{Found, messages};
use gribchunk::grib::{FieldKey, FieldSections};
use gribchunk::{LayoutOptions, OpenOptions, Repository};
use serde_json::json;

const ROUNDS: usize = 9;
const VARIABLES: usize = 72;
const MEMBERS: u32 = 51;
const TARGET_SECONDS: f64 = 0.5;

fn main() {
    common::print_machine();
    let samples = samples();
    // ECMWF's 00 and 12 UTC ensemble: every 3 h to 144 h, every 6 h to 360 h.
    let steps: Vec<i64> = (0..=144).step_by(3).chain((150..=360).step_by(6)).map(|hours| hours * 3600).collect();
    let options = LayoutOptions::default().steps(steps.clone()).members((0..MEMBERS).collect());
    let slots = steps.len() * MEMBERS as usize * VARIABLES;
    println!("{} steps x {MEMBERS} members x {VARIABLES} variables = {slots} slots", steps.len());

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let scratch = common::Scratch::new("init");
    let mut round = 0;
    let mut fresh = || {
        round += 1;
        scratch.path().join(format!("repository{round}"))
    };
    let mut bytes = 0;
    let mut create_seconds = f64::INFINITY;
    let mut ours = || {
        let path = fresh();
        let mut repository = None;
        let create = seconds(|| {
            repository = runtime.block_on(Repository::create(&path, OpenOptions::default())).ok();
        });
        create_seconds = create_seconds.min(create);
        let repository = repository?;
        let elapsed = seconds(|| {
            let (layout, _) = runtime.block_on(gribchunk::init(&repository, &samples, &options)).expect("init");
            let variables: usize = layout.groups.values().map(|group| group.variables.len()).sum();
            assert_eq!(variables, VARIABLES, "as many variables as samples");
        });
        bytes = folder_bytes(&path);
        let _ = std::fs::remove_dir_all(&path);
        Some(elapsed)
    };
    let mut python = Peer::start("zarr_peer.py");
    let peer_path = scratch.path().join("peer");
    let question = json!({
        "do": "init", "repository": peer_path, "variables": VARIABLES, "shape": [1, steps.len(), MEMBERS, 721, 1440],
    });
    let mut peer = || {
        let elapsed = python.as_mut()?.seconds(&question);
        let _ = std::fs::remove_dir_all(&peer_path);
        elapsed
    };
    let mut runs: Vec<Run<'_>> = vec![Box::new(&mut ours), Box::new(&mut peer)];
    let least = minima(ROUNDS, &mut runs);
    drop(runs);
    println!("\nSeconds of `init` (durable, one commit) on an empty repository; least of {ROUNDS} rounds.");
    let shown = |s: Option<f64>| s.map_or("-".into(), |s| format!("{s:.3}"));
    let row = vec![
        shown(least[0]),
        shown(Some(create_seconds)),
        format!("{bytes}"),
        shown(least[1]),
        ratio(least[1], least[0]),
        verdict(least[0].map(|s| s < TARGET_SECONDS), "0.5 s"),
    ];
    let heading = ["gribchunk init", "create before it", "bytes stored", "zarr-python + icechunk", "ratio", "target"];
    table(&heading, &[row]);
}

/// One sample per variable: a message of the fixtures whose parameter numbers and grid are changed.
fn samples() -> Vec<SampleField> {
    let file = common::fixtures().join("ens/20261121000000-3h-enfo-ef.grib2");
    let bytes = std::fs::read(file).expect("the fixture");
    let Some(Found::Message(message)) = messages(&bytes).next() else { panic!("the fixture holds no message") };
    let sections = message.fields().next().expect("a field").expect("a whole field");
    let grid_section = common::quarter_degree(sections.grid);
    let grid = Arc::new(
        Grid::from_sections(&FieldSections { grid: &grid_section, ..sections }).expect("a grid of 0.25 degrees"),
    );
    let mut samples: Vec<SampleField> = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    for discipline in [0, 2, 10] {
        for category in 0..=20 {
            for number in 0..=60 {
                let mut product = sections.product.to_vec();
                (product[9], product[10]) = (category, number);
                let changed = FieldSections { discipline, grid: &grid_section, product: &product, ..sections };
                let Ok(key) = FieldKey::from_sections(&changed) else { continue };
                if samples.len() < VARIABLES && key.names.is_some_and(|found| names.insert(found.cf_var_name)) {
                    let location = format!("parameter {discipline}/{category}/{number}");
                    samples.push(SampleField { key, grid: Arc::clone(&grid), location });
                }
            }
        }
    }
    assert_eq!(samples.len(), VARIABLES, "the tables name enough parameters");
    samples
}

fn folder_bytes(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let path = entry.path();
            if path.is_dir() { folder_bytes(&path) } else { entry.metadata().map_or(0, |m| m.len()) }
        })
        .sum()
}

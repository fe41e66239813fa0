//! All scanning modes: the array has rows as scanned and x increasing.

use super::super::{Order, Scanning};

/// The WMO manual's words for flag table 3.4: where the scan is after `step` points.
fn scan(ny: usize, nx: usize, mode: Scanning) -> Vec<(usize, usize)> {
    let (lines, length) = if mode.j_points_are_consecutive() { (nx, ny) } else { (ny, nx) };
    let mut places = Vec::new();
    for line in 0..lines {
        for along in 0..length {
            let along = if mode.alternative_row_scanning() && line % 2 == 1 { length - 1 - along } else { along };
            let (j, i) = if mode.j_points_are_consecutive() { (along, line) } else { (line, along) };
            // Rows stay in scanning sequence, columns are put west to east.
            places.push((j, if mode.i_scans_negatively() { nx - 1 - i } else { i }));
        }
    }
    places
}

#[test]
fn every_mode_ends_with_rows_as_scanned_and_x_increasing() {
    for mode in (0..16).map(|bits| Scanning(bits << 4)) {
        for (ny, nx) in [(1, 1), (1, 5), (5, 1), (3, 4), (4, 3), (70, 41)] {
            let order = Order::of_rows(ny, nx, mode);
            let message: Vec<usize> = (0..ny * nx).collect();
            let mut expected = vec![usize::MAX; ny * nx];
            for (step, (row, column)) in scan(ny, nx, mode).into_iter().enumerate() {
                expected[row * nx + column] = step;
            }
            let mut array = vec![0; ny * nx];
            order.to_array(&message, &mut array).unwrap();
            assert_eq!(array, expected, "{mode:?} {ny} x {nx}");
            let mut in_place = message.clone();
            order.rearrange(&mut in_place).unwrap();
            assert_eq!(in_place, expected, "{mode:?} {ny} x {nx}, in place");
            let indexes: Vec<usize> = message.iter().map(|&index| order.message_index(index)).collect();
            assert_eq!(indexes, expected, "{mode:?} {ny} x {nx}, by index");
            assert_eq!(order.is_identity(), expected == message, "{mode:?} {ny} x {nx}");
        }
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let order = Order::of_rows(3, 4, Scanning(0x80));
    assert!(order.to_array(&[0; 11], &mut [0; 12]).is_err());
    assert!(order.to_array(&[0; 12], &mut [0; 13]).is_err());
    assert!(order.rearrange(&mut [0; 11]).is_err());
    assert_eq!(order.message_index(12), 12);
}

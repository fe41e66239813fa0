//! The vector kernels give the bits of the portable ones.

#[cfg(target_arch = "x86_64")]
mod vector {
    use super::super::avx2::Avx2;
    use super::super::*;

    fn noise(count: usize) -> Vec<u8> {
        let mut state = 1u32;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    }

    #[test]
    fn kernels_agree_for_every_width_and_alignment() {
        let Some(vector) = Avx2::detect() else { return println!("skipped: no AVX2") };
        let data = noise(400);
        let scale = Scale::new(-12.25, -3, 1);
        // Miri takes minutes for as many.
        let (widths, positions) = if cfg!(miri) { (11, 7) } else { (1, 1) };
        for width in (0..=32u32).step_by(widths) {
            for position in (0..24).step_by(positions) {
                for count in [0, 1, 7, 8, 9, 16, 63, (data.len() * 8 - position) / width.max(8) as usize] {
                    let (mut plain, mut fast) = (vec![0; count + SPARE], vec![0; count + SPARE]);
                    Scalar.unpack(&data, position, width, -7, &mut plain, count);
                    vector.unpack(&data, position, width, -7, &mut fast, count);
                    assert_eq!(plain[..count], fast[..count], "{width} bits at {position}");
                    if width > 0 {
                        let (mut plain, mut fast) = (vec![0f32; count], vec![0f32; count]);
                        Scalar.unpack_scaled(&data, position, width, &scale, &mut plain);
                        vector.unpack_scaled(&data, position, width, &scale, &mut fast);
                        assert_eq!(plain, fast, "{width} bits at {position}");
                        let (mut plain, mut fast) = (vec![0f64; count], vec![0f64; count]);
                        Scalar.unpack_scaled(&data, position, width, &scale, &mut plain);
                        vector.unpack_scaled(&data, position, width, &scale, &mut fast);
                        assert_eq!(plain, fast, "{width} bits at {position}");
                    }
                    if width < 32 {
                        let ends: Vec<i32> = (0..=count + SPARE).map(|i| (i * 3 + i * i % 2) as i32 - 1).collect();
                        let (mut plain, mut fast) = (vec![0; count + SPARE], vec![0; count + SPARE]);
                        Scalar.join_split(&data, position, width, &ends, &mut plain, count);
                        vector.join_split(&data, position, width, &ends, &mut fast, count);
                        assert_eq!(plain[..count], fast[..count], "{width} bits at {position}");
                    }
                }
            }
        }
    }

    #[test]
    fn scaling_and_missing_codes_agree() {
        let Some(vector) = Avx2::detect() else { return println!("skipped: no AVX2") };
        let mut codes: Vec<i32> =
            noise(4 * 77).chunks(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        codes[3] = MISSING_CODE;
        codes[70] = MISSING_CODE;
        codes[76] = MISSING_CODE;
        let scale = Scale::new(273.5, -7, 2);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let (mut plain, mut fast) = (vec![0f32; 77], vec![0f32; 77]);
        Scalar.scale_or_missing(&codes, &scale, &mut plain);
        vector.scale_or_missing(&codes, &scale, &mut fast);
        assert_eq!(bits(&plain), bits(&fast));
        assert_eq!(plain[70].to_bits(), 0x7fc0_0000);
        Scalar.scale(&codes, &scale, &mut plain);
        vector.scale(&codes, &scale, &mut fast);
        assert_eq!(bits(&plain), bits(&fast));
        let (mut plain, mut fast) = (vec![0f64; 77], vec![0f64; 77]);
        Scalar.scale_or_missing(&codes, &scale, &mut plain);
        vector.scale_or_missing(&codes, &scale, &mut fast);
        assert!(plain.iter().zip(&fast).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    #[test]
    fn preprocessor_agrees_inside_and_at_the_bounds() {
        let Some(vector) = Avx2::detect() else { return println!("skipped: no AVX2") };
        for width in (1..=32u32).step_by(if cfg!(miri) { 9 } else { 1 }) {
            let maximum = u32::MAX >> (32 - width);
            for limit in [maximum, maximum >> 1, 15] {
                let mapped: Vec<i32> = noise(4 * 203)
                    .chunks(4)
                    .map(|b| (u32::from_le_bytes([b[0], b[1], b[2], b[3]]) & limit & maximum) as i32)
                    .collect();
                for start in [0, 1, maximum / 2, maximum] {
                    let (mut plain, mut fast) = (mapped.clone(), mapped.clone());
                    let end = Scalar.undo_preprocessor(&mut plain, start, maximum);
                    assert_eq!(vector.undo_preprocessor(&mut fast, start, maximum), end);
                    assert_eq!(plain, fast, "{width} bits from {start}");
                    assert!(plain.iter().all(|sample| *sample as u32 <= maximum));
                }
            }
        }
    }
}

//! `PostgreSQL`'s binary `numeric`: decimal digits in groups of four, and where the point is.

/// Writes `unscaled · 10^-scale`, length included.
pub(super) fn write(unscaled: i128, scale: u8, out: &mut Vec<u8>) {
    const SIGN_NEGATIVE: u16 = 0x4000;
    let scale = u32::from(scale);
    // From the right: fraction digits up to a multiple of four, padded, so that the point falls between groups.
    let mut groups = [0_u16; 12];
    let mut count = 0_usize;
    let mut push = |group: u128| {
        if let Some(slot) = groups.get_mut(count) {
            *slot = group as u16;
            count += 1;
        }
    };
    let mut rest = unscaled.unsigned_abs();
    let partial = scale % 4;
    if partial > 0 {
        let divisor = 10_u128.pow(partial);
        push((rest % divisor) * 10_u128.pow(4 - partial));
        rest /= divisor;
    }
    while rest > 0 {
        push(rest % 10_000);
        rest /= 10_000;
    }
    let fraction_groups = scale.div_ceil(4) as usize;
    let groups = groups.get(..count).unwrap_or(&[]);
    let leading = groups.iter().rev().take_while(|group| **group == 0).count();
    let trailing = groups
        .iter()
        .take_while(|group| **group == 0)
        .count()
        .min(count - leading);
    let digits = groups.get(trailing..count - leading).unwrap_or(&[]);
    // The weight is the power of 10000 of the first digit group.
    let weight = if digits.is_empty() {
        0
    } else {
        count as i16 - leading as i16 - 1 - fraction_groups as i16
    };
    let sign = if unscaled < 0 { SIGN_NEGATIVE } else { 0 };
    out.extend_from_slice(&(8 + 2 * digits.len() as i32).to_be_bytes());
    out.extend_from_slice(&(digits.len() as i16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&(scale as u16).to_be_bytes());
    for digit in digits.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the binary form back to text, as `PostgreSQL` would print it without its scale's trailing zeros.
    fn decode(bytes: &[u8]) -> (i128, u8) {
        let at = |index: usize| i16::from_be_bytes([bytes[index], bytes[index + 1]]);
        assert_eq!(
            i32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize,
            bytes.len() - 4
        );
        let (count, weight, sign, scale) = (at(4), at(6), at(8), at(10));
        let mut value = 0_i128;
        for index in 0..count {
            let digit = i128::from(at(12 + 2 * index as usize));
            assert!((0..10_000).contains(&digit));
            // The digit stands for digit · 10^(4 · (weight - index)); the value is wanted in units of 10^-scale.
            let exponent = 4 * (i32::from(weight) - i32::from(index)) + i32::from(scale);
            value += if exponent >= 0 {
                digit * 10_i128.pow(exponent as u32)
            } else {
                let divisor = 10_i128.pow(-exponent as u32);
                assert_eq!(digit % divisor, 0);
                digit / divisor
            };
        }
        (if sign == 0 { value } else { -value }, scale as u8)
    }

    proptest::proptest! {
        #[test]
        fn every_decimal_reads_back(unscaled in -(10_i128.pow(38) - 1)..10_i128.pow(38), scale in 0_u8..=38) {
            let mut bytes = Vec::new();
            write(unscaled, scale, &mut bytes);
            proptest::prop_assert_eq!(decode(&bytes), (unscaled, scale));
        }

        #[test]
        fn small_decimals_read_back(unscaled in -100_000_i128..100_000, scale in 0_u8..=12) {
            let mut bytes = Vec::new();
            write(unscaled, scale, &mut bytes);
            proptest::prop_assert_eq!(decode(&bytes), (unscaled, scale));
        }
    }
}

//! When bad records stop a partition instead of becoming dead letters one after the other.

/// Records that must have been seen before their share means anything: one bad record out of one does not
/// stop a slow pipeline.
const ENOUGH: u64 = 1_000;

/// The records of the recent past, at least [`ENOUGH`] of them once that many were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HaltWindow {
    records: u64,
    bad: u64,
}

impl HaltWindow {
    /// Judges `bad` of `records` new ones together with the recent ones.
    ///
    /// # Errors
    /// Bad and all records that were judged, where the share of the bad ones is above `halt_above`.
    pub(crate) fn judge(&self, records: u64, bad: u64, halt_above: f64) -> Result<(), (u64, u64)> {
        let (records, bad) = (self.records + records, self.bad + bad);
        if records >= ENOUGH && bad as f64 > halt_above * records as f64 {
            Err((bad, records))
        } else {
            Ok(())
        }
    }

    /// Remembers stored records. Once there are ten times enough, the older half of the weight goes.
    pub(crate) fn add(&mut self, records: u64, bad: u64) {
        self.records += records;
        self.bad += bad;
        while self.records > 10 * ENOUGH {
            self.records /= 2;
            self.bad /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_bad_records_halts_and_a_few_do_not() {
        let fresh = HaltWindow::default();
        assert_eq!(fresh.judge(1, 1, 0.5), Ok(()), "one bad record of one");
        assert_eq!(fresh.judge(999, 999, 0.5), Ok(()));
        assert_eq!(fresh.judge(1_000, 501, 0.5), Err((501, 1_000)));
        assert_eq!(fresh.judge(50_000, 50_000, 1.0), Ok(()), "1 never halts");
        assert_eq!(
            fresh.judge(50_000, 1, 0.0),
            Err((1, 50_000)),
            "0 halts at the first"
        );
    }

    #[test]
    fn a_slow_trickle_of_nothing_but_bad_records_halts_too() {
        let mut window = HaltWindow::default();
        let halted_at = (1..2_000).find(|_| {
            let halted = window.judge(1, 1, 0.5).is_err();
            window.add(1, 1);
            halted
        });
        assert_eq!(halted_at, Some(1_000));
    }

    #[test]
    fn the_distant_past_does_not_excuse_the_present() {
        let mut window = HaltWindow::default();
        window.add(1_000_000, 0);
        assert!(window.judge(20_000, 20_000, 0.5).is_err());
    }
}

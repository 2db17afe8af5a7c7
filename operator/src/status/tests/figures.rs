//! Numbers, and what stays of them.

use super::*;

/// Numbers about this moment are only in the status while they are known.
#[test]
fn when_kafka_is_away_sums_stay_and_the_moment_does_not() {
    let mut situation = at_work("");
    situation.now += Duration::from_mins(5);
    let status = situation.status();
    assert_eq!((status.lag, status.rate, status.lag_seconds), (None, None, None));
    assert_eq!((status.dead_letters, status.rows.len()), (Some(10), 1));
    assert_eq!(situation.conditions(&["Audited"]), ["Audited=True Exact"]);
}

#[test]
fn missing_records_are_told_but_rows_flow() {
    let mut situation = at_work("");
    situation
        .kafka
        .history
        .push(reading(situation.now, 100, 100, r#"{"a":{"m":2,"d":1}}"#));
    assert_eq!(
        situation.conditions(&["Audited", "Ready"]),
        ["Audited=False Inexact", "Ready=True RowsFlow"]
    );
    assert_eq!(
        situation.message("Audited"),
        "missing 2, doubled 1; `streampipeline audit` names the records"
    );
    assert_eq!(situation.status().audit.as_deref(), Some("missing 2, doubled 1"));
}

#[test]
fn numbers_have_three_digits() {
    for (number, expected) in [
        (0.0, 0.0),
        (1234.5, 1230.0),
        (99.96, 100.0),
        (0.123_456, 0.123),
        (0.000_01, 0.0),
        (12.34, 12.3),
    ] {
        assert!(
            (crate::status::figures::rounded(number) - expected).abs() < 1e-9,
            "{number}: {}",
            crate::status::figures::rounded(number)
        );
    }
}

//! Where in the programs an instruction stands: by the name of its function, which says its module. What is inlined counts
//! where it is inlined.

/// Places in the order in which they are looked for, with what the names of their functions contain: also those of earlier
/// revisions, whose modules had other names.
pub(super) const PLACES: [(&str, &[&str]); 10] = [
    ("dead letters", &["dead_letter"]),
    ("rows to cells of COPY", &["::copy::"]),
    ("SQLite", &["sqlite"]),
    ("PostgreSQL's client", &["postgres"]),
    ("JSON to Arrow", &["::decode::", "arrow_json"]),
    (
        "Kafka: fetch and batches",
        &[
            "kafka::fetch",
            "kafka::broker",
            "kafka_protocol",
            "lz4_flex",
            "crc32c",
            "kafka::formats",
        ],
    ),
    ("SQL", &["datafusion", "::sql::", "arrow"]),
    ("events", &["generator::"]),
    (
        "memory",
        &[
            "malloc", "calloc", "realloc", "free", "memcpy", "memmove", "memset", "memcmp", "_int_",
        ],
    ),
    ("all else", &[""]),
];

/// The first place whose words a function's name contains.
pub(super) fn place(function: &str) -> usize {
    let within = |words: &[&str]| words.iter().any(|word| function.contains(word));
    let found = PLACES.iter().position(|(_, words)| within(words));
    found.unwrap_or(PLACES.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_two_revisions_are_at_the_same_place() {
        for (function, expected) in [
            (
                "worker::sink::postgres::copy::cells::int",
                "rows to cells of COPY",
            ),
            (
                "sinks::transactional::postgres::copy::cells::int",
                "rows to cells of COPY",
            ),
            (
                "<worker::decode::json::Rows as core::iter::Iterator>::next",
                "JSON to Arrow",
            ),
            ("sqlite3VdbeExec", "SQLite"),
            ("arrow_json::reader::tape::TapeDecoder::decode", "JSON to Arrow"),
            ("arrow_select::filter::filter", "SQL"),
            ("__memcpy_avx_unaligned_erms", "memory"),
            ("tokio::runtime::task::poll", "all else"),
        ] {
            assert_eq!(PLACES[place(function)].0, expected, "{function}");
        }
    }
}

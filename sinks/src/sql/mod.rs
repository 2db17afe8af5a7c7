//! The few pieces that every SQL text here is built from. A name reaches SQL through [`quote_ident`] and in no
//! other way; values are bound.

pub(crate) mod parameters;

/// `name` as a delimited identifier, in `PostgreSQL` and `SQLite` alike.
#[must_use]
pub fn quote_ident(name: &str) -> String {
    // Neither database can have a NUL in a name; dropping it keeps the text from being cut short there.
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// `names` quoted, separated by commas.
pub(crate) fn quote_list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    join(names, ", ", quote_ident)
}

/// What `text` gives for each name, with `separator` between.
pub(crate) fn join<S: AsRef<str>>(
    names: impl IntoIterator<Item = S>,
    separator: &str,
    text: impl Fn(&str) -> String,
) -> String {
    names
        .into_iter()
        .map(|name| text(name.as_ref()))
        .collect::<Vec<_>>()
        .join(separator)
}

/// Longest name that `PostgreSQL` keeps whole, in bytes.
pub(crate) const LONGEST_NAME: usize = 63;

/// `<table>__<column>__<column>_<suffix>`, with a hash for the columns where that is too long or could be read in
/// two ways. A table's name has at most 48 characters, so the hash always fits.
pub(crate) fn index_name(table: &str, columns: &[String], suffix: &str) -> String {
    let readable = format!("{table}__{}_{suffix}", columns.join("__"));
    if readable.len() <= LONGEST_NAME && !columns.iter().any(|column| column.contains("__")) {
        return readable;
    }
    let hash = stable_hash(columns.iter().map(String::as_bytes)) as u32;
    format!("{table}_{hash:08x}_{suffix}")
}

/// FNV-1a with 64 bits: names that must be the same in every process and every version are made from it.
pub(crate) fn stable_hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut mix = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for part in parts {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        (part.len() as u64).to_le_bytes().into_iter().for_each(&mut mix);
        part.iter().copied().for_each(&mut mix);
    }
    hash
}

/// Tells a model's query from another one, where a reference has the fingerprint of its rows.
pub(crate) fn fingerprint(query: &str) -> String {
    format!("query:{:016x}", stable_hash([query.as_bytes()]))
}

/// Text that a text column of either database takes: without NUL, and not longer than a person will read.
pub(crate) fn storable_text(text: &str) -> String {
    const MOST_CHARACTERS: usize = 4000;
    text.chars()
        .take(MOST_CHARACTERS)
        .map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quote_ident("plays"), "\"plays\"");
        assert_eq!(
            quote_ident("a\"; DROP TABLE x; --"),
            "\"a\"\"; DROP TABLE x; --\""
        );
        assert_eq!(quote_ident("a\0\"b"), "\"a\"\"b\"");
    }

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        assert_eq!(stable_hash([]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(
            stable_hash([b"music".as_slice(), b"plays"]),
            0x4a9b_6a85_bfe4_d491
        );
        assert_ne!(
            stable_hash([b"ab".as_slice(), b"c"]),
            stable_hash([b"a".as_slice(), b"bc"])
        );
    }

    #[test]
    fn index_names_are_unambiguous_and_short_enough() {
        let names = |columns: &[&str]| columns.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(index_name("plays", &names(&["a", "b"]), "idx"), "plays__a__b_idx");
        let [one, other] =
            [&["a__b"][..], &["a", "b"]].map(|columns| index_name("plays", &names(columns), "idx"));
        assert_ne!(one, other);
        let table = "t".repeat(48);
        let long = index_name(&table, &names(&["a_rather_long_column"]), "brin");
        assert!(long.len() <= LONGEST_NAME, "{long}");
        assert_ne!(long, index_name(&table, &names(&["another_long_column"]), "brin"));
    }

    #[test]
    fn stored_text_has_no_nul_and_a_bounded_length() {
        assert_eq!(storable_text("a\0b"), "a\u{fffd}b");
        assert_eq!(storable_text(&"ä".repeat(5000)).chars().count(), 4000);
    }
}

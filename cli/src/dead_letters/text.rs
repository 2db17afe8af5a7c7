//! Dead letters as text and as JSON. Pure.

use std::fmt::Write;

use serde_json::json;
use sinks::{DeadLetterId, StoredDeadLetter};

use crate::style::{Style, count};
use crate::table::{Align, render as columns};

/// Bytes of a value that a list shows.
const PREVIEW: usize = 60;

pub(super) fn list(letters: &[StoredDeadLetter], style: Style) -> String {
    if letters.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let rows: Vec<Vec<String>> = letters
        .iter()
        .map(|letter| {
            let sent = letter.replayed_at.as_ref().map_or("", |_| "sent again");
            vec![
                name(letter, letters),
                letter.stage.clone(),
                letter.error.clone(),
                preview(letter.value.as_deref()),
                sent.to_owned(),
            ]
        })
        .collect();
    let lines = columns(
        &["RECORD", "STAGE", "ERROR", "VALUE", ""],
        &[Align::Left; 5],
        &rows,
        style.width,
    );
    lines.join("\n") + "\n"
}

/// The name by which commands take the letter: with its digest where another one has its offset.
fn name(letter: &StoredDeadLetter, among: &[StoredDeadLetter]) -> String {
    let DeadLetterId {
        partition, offset, ..
    } = &letter.id;
    let here = |other: &&StoredDeadLetter| other.id.partition == *partition && other.id.offset == *offset;
    if among.iter().filter(here).count() > 1 {
        letter.id.to_string()
    } else {
        format!("{partition}/{offset}")
    }
}

pub(super) fn whole(letter: &StoredDeadLetter, style: Style) -> String {
    let StoredDeadLetter {
        id,
        timestamp,
        key,
        value,
        stage,
        error,
        stored_at,
        replayed_at,
    } = letter;
    let timestamp = timestamp.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    let mut text = format!("{}\n", style.bold(format!("dead letter {id}")));
    for (name, shown) in [
        ("record", format!("{} at offset {}", id.partition, id.offset)),
        (
            "timestamp",
            timestamp.map_or_else(|| "none".to_owned(), |at| at.to_string()),
        ),
        ("stage", stage.clone()),
        ("error", error.clone()),
        ("stored", stored_at.clone()),
        (
            "sent again",
            replayed_at.clone().unwrap_or_else(|| "no".to_owned()),
        ),
        ("key", all(key.as_deref())),
        ("value", all(value.as_deref())),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<10}  {shown}");
    }
    text
}

fn all(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(
        || "none".to_owned(),
        |bytes| format!("{} ({})", escaped(bytes), size(bytes)),
    )
}

fn preview(value: Option<&[u8]>) -> String {
    match value {
        None => "none".to_owned(),
        Some(bytes) if bytes.len() > PREVIEW => {
            format!(
                "{}… ({})",
                escaped(bytes.get(..PREVIEW).unwrap_or_default()),
                size(bytes)
            )
        }
        Some(bytes) => escaped(bytes),
    }
}

fn size(bytes: &[u8]) -> String {
    count(bytes.len() as u64, "byte", "bytes")
}

/// Text as it is, and every byte that is not readable text as `\xNN`: nothing in a record can move the cursor.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                character if character.is_control() => {
                    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                        let _ = write!(text, "\\x{byte:02x}");
                    }
                }
                character => text.push(character),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// An array. `value` is the escaped text, `valueHex` the bytes.
pub(super) fn json(letters: &[StoredDeadLetter]) -> String {
    if letters.is_empty() {
        return "[]\n".to_owned();
    }
    format!("[\n{}\n]\n", json_members(letters))
}

/// Members of an array, without its brackets.
pub(super) fn json_members(letters: &[StoredDeadLetter]) -> String {
    let hex = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(hexadecimal);
    let letter = |letter: &StoredDeadLetter| {
        let value = json!({
            "id": letter.id.to_string(),
            "topic": &*letter.id.partition.topic,
            "partition": letter.id.partition.number,
            "offset": letter.id.offset,
            "timestamp": letter.timestamp,
            "stage": letter.stage,
            "error": letter.error,
            "storedAt": letter.stored_at,
            "replayedAt": letter.replayed_at,
            "key": letter.key.as_deref().map(escaped),
            "keyHex": hex(&letter.key),
            "value": letter.value.as_deref().map(escaped),
            "valueHex": hex(&letter.value),
        });
        format!("{value:#}")
    };
    letters.iter().map(letter).collect::<Vec<_>>().join(",\n")
}

pub(super) fn sent(letters: u64) -> String {
    match letters {
        0 => "there is nothing to send again".to_owned(),
        letters => format!("{} sent again", count(letters, "record", "records")),
    }
}

#[cfg(test)]
mod tests {
    use api::Partition;
    use serde_json::Value;

    use super::*;

    fn letter(value: Option<&[u8]>) -> StoredDeadLetter {
        StoredDeadLetter {
            id: DeadLetterId {
                partition: Partition {
                    topic: "plays".into(),
                    number: 3,
                },
                offset: 1201,
                digest: 17,
            },
            timestamp: Some(1_795_240_101_123),
            key: Some(b"7".to_vec()),
            value: value.map(<[u8]>::to_vec),
            stage: "decode".to_owned(),
            error: "user_id: expected an integer".to_owned(),
            stored_at: "2026-11-21T05:48:22Z".to_owned(),
            replayed_at: None,
        }
    }

    #[test]
    fn a_list_shows_place_reason_and_harmless_bytes() {
        let broken = b"{\"user_id\": \"x\xff\x1b[2J\\";
        let mut other = letter(None);
        other.id.offset = 7;
        assert_eq!(
            list(&[letter(Some(broken)), other], Style::PLAIN),
            "RECORD        STAGE   ERROR                         VALUE\n\
             plays/3/1201  decode  user_id: expected an integer  {\"user_id\": \"x\\xff\\x1b[2J\\\\\n\
             plays/3/7     decode  user_id: expected an integer  none\n"
        );
        // The topic was made again: the offset alone does not say which record.
        let mut again = letter(None);
        again.id.digest = 18;
        let both = list(&[letter(None), again], Style::PLAIN);
        assert!(
            both.contains("plays/3/1201/0000000000000011") && both.contains("plays/3/1201/0000000000000012"),
            "{both}"
        );
        assert!(preview(Some(&[b'a'; 2000])).ends_with("a… (2,000 bytes)"));
        assert_eq!(list(&[], Style::PLAIN), "no dead letters\n");
    }

    #[test]
    fn one_letter_is_shown_whole_and_json_keeps_every_byte() {
        let shown = whole(&letter(Some(b"\xffabc")), Style::PLAIN);
        assert!(shown.contains("value       \\xffabc (4 bytes)\n"), "{shown}");
        assert!(
            shown.contains("timestamp   2026-11-21T05:48:21.123Z\n"),
            "{shown}"
        );
        let value: Value = serde_json::from_str(&json(&[letter(Some(b"\xffabc"))])).unwrap();
        assert_eq!(value[0]["valueHex"], "ff616263");
        assert_eq!(value[0]["id"], "plays/3/1201/0000000000000011");
        let two: Value = serde_json::from_str(&json(&[letter(None), letter(None)])).unwrap();
        assert_eq!(two.as_array().unwrap().len(), 2);
        assert_eq!(json(&[]), "[]\n");
    }
}

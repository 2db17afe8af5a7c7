use super::*;
use crate::records::Record;
use api::{FieldType, Partition};
use arrow::array::{Array, AsArray};
use arrow::util::pretty::pretty_format_batches;
use proptest::prelude::*;

fn decoder(fields: &[(&str, &str)]) -> Decoder {
    let fields: Vec<Field> = fields
        .iter()
        .map(|(name, text)| Field {
            name: (*name).to_owned(),
            data_type: FieldType::parse(text).unwrap(),
        })
        .collect();
    Decoder::new(&fields)
}

fn decode(decoder: &Decoder, values: &[&[u8]]) -> Decoded {
    let mut records = Records::new(
        Partition {
            topic: "t".into(),
            number: 0,
        },
        0,
    );
    for (offset, value) in values.iter().enumerate() {
        let (offset, value) = (offset as i64, Some(*value));
        records.push(Record {
            offset,
            timestamp: Some(5),
            key: Some(b"k"),
            value,
            sequence: None,
        });
    }
    decoder.decode(&records).unwrap()
}

#[test]
fn values_become_columns_of_their_types() {
    let decoder = decoder(&[
        ("at", "timestamp"),
        ("count", "long"),
        ("flag", "boolean"),
        ("id", "int"),
        ("lat", "double"),
        ("name", "string"),
        ("options", "array<map<string>>"),
        ("ts", "timestamp(ms)"),
        ("user", "struct<age: int, tags: array<string>>"),
    ]);
    let decoded = decode(&decoder, &[
            br#"{"id":1,"name":"a \"b\" \u00e9","at":"2026-01-01T00:00:00.5Z","lat":1.5,"count":9007199254740993,"flag":true,
                 "ts":1000,"user":{"tags":["x",null],"age":"42"},"options":[{"k":"v"},{}],"other":{"deep":[1,{"a":2}]}}"#,
            br#"{"id":"7","name":false,"lat":2,"user":null}"#,
        ]);
    assert!(decoded.rejected.is_empty(), "{:?}", decoded.rejected);
    let expected = "\
+-------------------------+------------------+------+----+-----+---------+-----------------+---------------------+---------------------------+------------+---------+-------------------------+------+
| at                      | count            | flag | id | lat | name    | options         | ts                  | user                      | _partition | _offset | _timestamp              | _key |
+-------------------------+------------------+------+----+-----+---------+-----------------+---------------------+---------------------------+------------+---------+-------------------------+------+
| 2026-01-01T00:00:00.500 | 9007199254740993 | true | 1  | 1.5 | a \"b\" é | [{k: v}, {}]    | 1970-01-01T00:00:01 | {age: 42, tags: [x, ]}    | 0          | 0       | 1970-01-01T00:00:00.005 | k    |
|                         |                  |      | 7  | 2.0 | false   |                 |                     |                           | 0          | 1       | 1970-01-01T00:00:00.005 | k    |
+-------------------------+------------------+------+----+-----+---------+-----------------+---------------------+---------------------------+------------+---------+-------------------------+------+";
    let squeeze = |text: &str| {
        text.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace('-', "")
            .replace("+ ", "")
    };
    assert_eq!(
        squeeze(&pretty_format_batches(&[decoded.batch]).unwrap().to_string()),
        squeeze(expected)
    );
}

#[test]
fn each_broken_record_is_named_with_its_reason_and_the_others_stay() {
    let decoder = decoder(&[
        ("id", "int"),
        ("when", "timestamp"),
        ("user", "struct<age: int>"),
        ("n", "array<int>"),
    ]);
    let cases: &[(&[u8], &str)] = &[
        (b"", "the record's value is empty"),
        (
            b"{\"id\":1",
            "not JSON: EOF while parsing an object at position 7",
        ),
        (b"{\"id\":1} x", "not JSON: trailing characters at position 10"),
        (b"[1]", "invalid type: sequence, expected an object"),
        (b"\"text\"", "invalid type: string \"text\", expected an object"),
        (
            b"{\"id\":\"\xff\"}",
            "the record is not UTF-8: wrong byte at position 8",
        ),
        (b"{\"id\":\"abc\"}", "field id: expected int, found \"abc\""),
        (b"{\"id\":3000000000}", "field id: expected int, found 3000000000"),
        (b"{\"id\":1.5}", "field id: expected int, found 1.5"),
        (b"{\"id\":{\"a\":1}}", "field id: expected int, found an object"),
        (b"{\"id\":1,\"id\":2}", "the field id is there twice"),
        (
            b"{\"when\":\"noon\"}",
            "field when: expected timestamp as text, found \"noon\"",
        ),
        (b"{\"when\":5}", "field when: expected timestamp as text, found 5"),
        (
            b"{\"user\":{\"age\":\"old\"}}",
            "field user.age: expected int, found \"old\"",
        ),
        (b"{\"user\":[]}", "field user: expected object, found an array"),
        (b"{\"n\":[1,2,\"x\"]}", "field n: expected int, found \"x\""),
    ];
    let mut values: Vec<&[u8]> = vec![b"{\"id\":1,\"n\":[1]}"];
    for (value, _) in cases {
        values.push(value);
        values.push(b"{\"id\":2,\"user\":{\"age\":3},\"n\":[4,5]}");
    }
    let decoded = decode(&decoder, &values);
    let reasons: Vec<&str> = decoded
        .rejected
        .iter()
        .map(|(_, reason)| reason.as_str())
        .collect();
    assert_eq!(
        reasons,
        cases.iter().map(|(_, reason)| *reason).collect::<Vec<_>>()
    );
    assert_eq!(decoded.batch.num_rows(), 1 + cases.len());
    let ids: Vec<i32> = decoded
        .batch
        .column(0)
        .as_primitive::<arrow::datatypes::Int32Type>()
        .values()
        .to_vec();
    assert_eq!(ids, [vec![1], vec![2; cases.len()]].concat());
    let lists = decoded.batch.column(3).as_list::<i32>();
    assert!(
        (1..lists.len()).all(|row| lists.value(row).len() == 2),
        "nothing of a broken record is left"
    );
    assert_eq!(
        decoded.rows,
        (0..=cases.len() as u32).map(|row| row * 2).collect::<Vec<_>>()
    );
}

#[test]
fn deep_nesting_and_tombstones_are_refused_without_harm() {
    let decoder = decoder(&[("id", "int")]);
    let deep = ["{\"id\":".to_owned(), "[".repeat(100_000)].concat();
    let ignored = format!("{{\"other\":{}{},\"id\":1}}", "[".repeat(100), "]".repeat(100));
    let decoded = decode(&decoder, &[deep.as_bytes(), ignored.as_bytes()]);
    assert_eq!((decoded.rejected.len(), decoded.batch.num_rows()), (1, 1));
    let mut records = Records::new(
        Partition {
            topic: "t".into(),
            number: 0,
        },
        0,
    );
    records.push(Record {
        offset: 0,
        timestamp: None,
        key: None,
        value: None,
        sequence: None,
    });
    let decoded = decoder.decode(&records).unwrap();
    assert_eq!(
        decoded.rejected,
        [(0, "the record has no value (a tombstone)".to_owned())]
    );
}

proptest! {
    /// Whatever bytes come: every record is either a row or rejected, in order.
    #[test]
    fn no_record_disappears(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..30)) {
        let decoder = decoder(&[("a", "int"), ("b", "struct<c: array<map<double>>>")]);
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let decoded = decode(&decoder, &values);
        let mut all: Vec<u32> = decoded.rows.iter().copied().chain(decoded.rejected.iter().map(|(row, _)| *row)).collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..values.len() as u32).collect::<Vec<_>>());
        prop_assert_eq!(decoded.batch.num_rows(), decoded.rows.len());
    }

    /// Likely JSON: values of the right and the wrong shapes mixed.
    #[test]
    fn mutated_json_never_leaves_columns_of_different_lengths(cuts in prop::collection::vec((0_usize..60, any::<u8>()), 1..20)) {
        let decoder = decoder(&[("a", "int"), ("b", "struct<c: array<map<double>>>"), ("s", "string")]);
        let good = br#"{"a":1,"b":{"c":[{"x":1.5,"y":2},{}]},"s":"text"}"#;
        let values: Vec<Vec<u8>> = cuts.iter().map(|(at, byte)| {
            let mut value = good.to_vec();
            if let Some(place) = value.get_mut(*at) { *place = *byte }
            value
        }).collect();
        let decoded = decode(&decoder, &values.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert_eq!(decoded.batch.num_rows() + decoded.rejected.len(), values.len());
    }

    /// The short cut for records that look like the one before gives what the general reader gives, which is what a
    /// record alone in its batch meets.
    #[test]
    fn records_alike_read_as_each_of_them_alone(
        values in prop::collection::vec(
            prop::collection::vec((0_usize..6, 0_usize..14), 0..6).prop_map(|fields| object(&fields)),
            1..12,
        ),
        repeated in 1_usize..3,
    ) {
        let decoder = decoder(&[("a", "int"), ("b", "long"), ("s", "string"), ("t", "timestamp"), ("u", "timestamp(ms)")]);
        let values: Vec<&[u8]> = values.iter().flat_map(|value| std::iter::repeat_n(value.as_bytes(), repeated)).collect();
        let together = decode(&decoder, &values);
        let mut row = 0;
        for (index, value) in values.iter().enumerate() {
            let alone = decode(&decoder, &[value]);
            let reason = together.rejected.iter().find(|(rejected, _)| *rejected as usize == index);
            prop_assert_eq!(alone.rejected.first().map(|(_, reason)| reason), reason.map(|(_, reason)| reason));
            if reason.is_none() {
                for column in 0..5 {
                    prop_assert_eq!(
                        &alone.batch.column(column).slice(0, 1),
                        &together.batch.column(column).slice(row, 1),
                        "{}", String::from_utf8_lossy(value)
                    );
                }
                row += 1;
            }
        }
    }
}

/// A record of fields that are usual, odd, wrong or unknown.
fn object(fields: &[(usize, usize)]) -> String {
    const NAMES: [&str; 6] = ["a", "b", "s", "t", "u", "other"];
    const VALUES: [&str; 14] = [
        "1",
        "-7",
        "0",
        "-0",
        "01",
        "1.5",
        "9007199254740993",
        "99999999999999999999",
        r#""text""#,
        r#""é \" \n""#,
        r#""2026-01-01T00:00:00.5Z""#,
        r#""2026-01-01T09:00:00+09:00""#,
        "null",
        "[1]",
    ];
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("\"{}\":{}", NAMES[*name], VALUES[*value]))
        .collect();
    format!("{{{}}}", fields.join(","))
}

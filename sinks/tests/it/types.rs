//! Every Arrow type in every sink: what is read back is what was written.

use std::sync::Arc;

use crate::database::Database;
use crate::promises::{Home, advance, claim, definition, pipeline, prepared, rows, store};
use api::{SqliteSink, Write};
use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array, Decimal128Array,
    DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, LargeBinaryArray, LargeListArray, LargeStringArray, ListArray,
    ListBuilder, MapBuilder, NullArray, RecordBatch, StringArray, StringBuilder, StringViewArray,
    StructArray, Time32SecondArray, Time64NanosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array, UInt16Array,
    UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int8Type, Int32Type, TimeUnit, TimestampMicrosecondType};
use proptest::prelude::{Strategy, any, prop};
use proptest::test_runner::{Config, TestRunner};
use sinks::{Sink, SinkErrorKind, TableDefinition, sqlite};

/// A column: its values, and how `PostgreSQL`'s type and cells and `SQLite`'s cells read.
struct Column {
    values: ArrayRef,
    type_name: &'static str,
    postgres: Vec<&'static str>,
    sqlite: Vec<&'static str>,
}

fn column(
    values: impl Array + 'static,
    type_name: &'static str,
    postgres: &[&'static str],
    sqlite: &[&'static str],
) -> Column {
    Column {
        values: Arc::new(values),
        type_name,
        postgres: postgres.to_vec(),
        sqlite: sqlite.to_vec(),
    }
}

/// A column that reads the same in both.
fn same(values: impl Array + 'static, type_name: &'static str, cells: &[&'static str]) -> Column {
    column(values, type_name, cells, cells)
}

const N: &str = "NULL";

/// Three rows: an extreme, another one, NULL.
#[allow(clippy::too_many_lines)]
fn columns() -> Vec<Column> {
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("a,b"), None, Some("")]);
    lists.append_value([] as [Option<&str>; 0]);
    lists.append_null();
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    map.keys().append_value("k");
    map.values().append_value("v\"");
    map.append(true).unwrap();
    map.append(true).unwrap();
    map.append(false).unwrap();
    let inner: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, None]));
    let field = Arc::new(Field::new("n", DataType::Int32, true));
    let nulls = Some(vec![true, true, false].into());
    let object = StructArray::new(vec![field].into(), vec![inner], nulls);
    let words: DictionaryArray<Int8Type> = vec![Some("pop"), Some(""), None].into_iter().collect();
    let day = 86_400_000;
    let (first, last) = (-62_135_596_800_i64, 253_402_300_799_i64);
    vec![
        column(
            BooleanArray::from(vec![Some(true), Some(false), None]),
            "boolean",
            &["t", "f", N],
            &["1", "0", N],
        ),
        same(
            Int8Array::from(vec![Some(i8::MIN), Some(i8::MAX), None]),
            "smallint",
            &["-128", "127", N],
        ),
        same(
            UInt8Array::from(vec![Some(u8::MAX), Some(0), None]),
            "smallint",
            &["255", "0", N],
        ),
        same(
            Int16Array::from(vec![Some(i16::MIN), Some(i16::MAX), None]),
            "smallint",
            &["-32768", "32767", N],
        ),
        same(
            UInt16Array::from(vec![Some(u16::MAX), Some(0), None]),
            "integer",
            &["65535", "0", N],
        ),
        same(
            Int32Array::from(vec![Some(i32::MIN), Some(i32::MAX), None]),
            "integer",
            &["-2147483648", "2147483647", N],
        ),
        same(
            UInt32Array::from(vec![Some(u32::MAX), Some(0), None]),
            "bigint",
            &["4294967295", "0", N],
        ),
        same(
            Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None]),
            "bigint",
            &["-9223372036854775808", "9223372036854775807", N],
        ),
        same(
            UInt64Array::from(vec![Some(0), Some(10_000), None]),
            "numeric(20,0)",
            &["0", "10000", N],
        ),
        column(
            Float32Array::from(vec![Some(f32::MAX), Some(-0.5), None]),
            "real",
            &["3.4028235e+38", "-0.5", N],
            &["3.4028234663852886e38", "-0.5", N],
        ),
        column(
            Float64Array::from(vec![Some(5e-324), Some(f64::INFINITY), None]),
            "double precision",
            &["5e-324", "Infinity", N],
            &["5e-324", "inf", N],
        ),
        same(
            StringArray::from(vec![Some(""), Some("ä😀\"\\\n'"), None]),
            "text",
            &["", "ä😀\"\\\n'", N],
        ),
        same(
            LargeStringArray::from(vec![Some("\\N"), Some("large"), None]),
            "text",
            &["\\N", "large", N],
        ),
        same(
            StringViewArray::from(vec![Some("view"), Some("a view that is not inlined"), None]),
            "text",
            &["view", "a view that is not inlined", N],
        ),
        same(
            BinaryArray::from(vec![Some(&[0_u8, 255][..]), Some(b""), None]),
            "bytea",
            &["\\x00ff", "\\x", N],
        ),
        same(
            LargeBinaryArray::from(vec![Some(&b"a"[..]), Some(b"'"), None]),
            "bytea",
            &["\\x61", "\\x27", N],
        ),
        same(
            BinaryViewArray::from(vec![Some(&b"a"[..]), Some(b"0123456789abcdef"), None]),
            "bytea",
            &["\\x61", "\\x30313233343536373839616263646566", N],
        ),
        same(
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(
                [Some([1_u8, 2]), Some([3, 4]), None].into_iter(),
                2,
            )
            .unwrap(),
            "bytea",
            &["\\x0102", "\\x0304", N],
        ),
        column(
            TimestampSecondArray::from(vec![Some(first), Some(last), None]),
            "timestamp without time zone",
            &["0001-01-01 00:00:00", "9999-12-31 23:59:59", N],
            &["0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.000000", N],
        ),
        column(
            TimestampMillisecondArray::from(vec![Some(-1), Some(0), None]),
            "timestamp without time zone",
            &["1969-12-31 23:59:59.999", "1970-01-01 00:00:00", N],
            &["1969-12-31 23:59:59.999000", "1970-01-01 00:00:00.000000", N],
        ),
        same(
            TimestampMicrosecondArray::from(vec![
                Some(first * 1_000_000 + 1),
                Some(last * 1_000_000 + 999_999),
                None,
            ]),
            "timestamp without time zone",
            &["0001-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999", N],
        ),
        column(
            TimestampNanosecondArray::from(vec![Some(946_684_800_000_001_999), Some(1_000), None])
                .with_timezone("Asia/Seoul"),
            "timestamp with time zone",
            &[
                "2000-01-01 00:00:00.000001+00",
                "1970-01-01 00:00:00.000001+00",
                N,
            ],
            &["2000-01-01 00:00:00.000001", "1970-01-01 00:00:00.000001", N],
        ),
        same(
            Date32Array::from(vec![Some(-719_162), Some(2_932_896), None]),
            "date",
            &["0001-01-01", "9999-12-31", N],
        ),
        same(
            Date64Array::from(vec![Some(-day), Some(day), None]),
            "date",
            &["1969-12-31", "1970-01-02", N],
        ),
        column(
            Time32SecondArray::from(vec![Some(0), Some(86_399), None]),
            "time without time zone",
            &["00:00:00", "23:59:59", N],
            &["00:00:00.000000", "23:59:59.000000", N],
        ),
        same(
            Time64NanosecondArray::from(vec![Some(1_999), Some(86_399_999_999_999), None]),
            "time without time zone",
            &["00:00:00.000001", "23:59:59.999999", N],
        ),
        column(
            Decimal128Array::from(vec![Some(-(10_i128.pow(38) - 1)), Some(1), None])
                .with_precision_and_scale(38, 10)
                .unwrap(),
            "numeric(38,10)",
            &["-9999999999999999999999999999.9999999999", "0.0000000001", N],
            &["-1e28", "1e-10", N],
        ),
        column(
            Decimal128Array::from(vec![Some(0), Some(12_000), None])
                .with_precision_and_scale(5, 0)
                .unwrap(),
            "numeric(5,0)",
            &["0", "12000", N],
            &["0.0", "12000.0", N],
        ),
        column(
            lists.finish(),
            "text[]",
            &["{\"a,b\",NULL,\"\"}", "{}", N],
            &["[\"a,b\",null,\"\"]", "[]", N],
        ),
        column(
            ListArray::from_iter_primitive::<Int32Type, _, _>([
                Some(vec![Some(1), None]),
                Some(vec![Some(i32::MIN)]),
                None,
            ]),
            "integer[]",
            &["{1,NULL}", "{-2147483648}", N],
            &["[1,null]", "[-2147483648]", N],
        ),
        column(
            LargeListArray::from_iter_primitive::<TimestampMicrosecondType, _, _>([
                Some(vec![Some(0)]),
                Some(vec![]),
                None,
            ]),
            "timestamp without time zone[]",
            &["{\"1970-01-01 00:00:00\"}", "{}", N],
            &["[\"1970-01-01T00:00:00\"]", "[]", N],
        ),
        column(
            FixedSizeListArray::from_iter_primitive::<Int8Type, _, _>(
                [Some(vec![Some(1), Some(2)]), Some(vec![None, None]), None],
                2,
            ),
            "smallint[]",
            &["{1,2}", "{NULL,NULL}", N],
            &["[1,2]", "[null,null]", N],
        ),
        column(
            object,
            "jsonb",
            &["{\"n\": 1}", "{\"n\": null}", N],
            &["{\"n\":1}", "{\"n\":null}", N],
        ),
        column(
            map.finish(),
            "jsonb",
            &["{\"k\": \"v\\\"\"}", "{}", N],
            &["{\"k\":\"v\\\"\"}", "{}", N],
        ),
        same(words, "text", &["pop", "", N]),
        same(NullArray::new(3), "text", &[N, N, N]),
    ]
}

fn name(index: usize) -> String {
    format!("c{index}")
}

fn batch(columns: &[Column]) -> RecordBatch {
    let arrays = columns
        .iter()
        .enumerate()
        .map(|(index, column)| (name(index), Arc::clone(&column.values), true));
    RecordBatch::try_from_iter_with_nullable(arrays).unwrap()
}

fn table(batch: &RecordBatch) -> TableDefinition {
    let mut table = definition("plays", Write::Append, &[]);
    table.schema = batch.schema();
    table
}

async fn file(directory: &tempfile::TempDir, tables: Vec<TableDefinition>) -> Sink {
    let settings = SqliteSink {
        path: directory.path().join("types.db"),
    };
    let sink = Sink::Sqlite(Arc::new(
        sqlite::Sqlite::open(pipeline("music"), &settings, tables)
            .await
            .unwrap(),
    ));
    sink.prepare().await.unwrap();
    sink
}

async fn check(sink: &Sink, expected: impl Fn(&Column) -> Vec<&'static str>) {
    for (index, column) in columns().iter().enumerate() {
        let cells = rows(sink, &format!("SELECT {} FROM plays", name(index))).await;
        assert_eq!(cells, expected(column), "{}", column.values.data_type());
    }
}

#[tokio::test]
async fn every_type_is_read_back_from_postgres() {
    let home = Database::new().await;
    let batch = batch(&columns());
    let sink = prepared(&home, vec![table(&batch)]).await;
    store(&sink, &[batch]).await;
    for (index, column) in columns().iter().enumerate() {
        let sql = format!(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'plays'::regclass AND attname = '{}'",
            name(index)
        );
        assert_eq!(
            rows(&sink, &sql).await,
            [column.type_name],
            "{}",
            column.values.data_type()
        );
    }
    check(&sink, |column| column.postgres.clone()).await;
}

/// Also through the staging table, and as a table that another version of the manifest finds.
#[tokio::test]
async fn every_type_goes_through_a_keyed_table() {
    let home = Database::new().await;
    let mut columns = columns();
    columns.truncate(columns.len() - 1);
    columns.push(same(Int32Array::from(vec![1, 2, 3]), "integer", &["1", "2", "3"]));
    let batch = batch(&columns);
    let mut table = table(&batch);
    table.table.write = Write::Upsert {
        key: vec![name(columns.len() - 1)],
        latest_by: None,
    };
    let sink = prepared(&home, vec![table]).await;
    store(&sink, &[batch.clone(), batch]).await;
    assert!(sink.prepare().await.unwrap().is_empty());
    let order = name(columns.len() - 1);
    for (index, column) in columns.iter().enumerate() {
        let cells = rows(
            &sink,
            &format!("SELECT {} FROM plays ORDER BY {order}", name(index)),
        )
        .await;
        assert_eq!(cells, column.postgres, "{}", column.values.data_type());
    }
}

#[tokio::test]
async fn every_type_is_read_back_from_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let batch = batch(&columns());
    let sink = file(&directory, vec![table(&batch)]).await;
    store(&sink, &[batch]).await;
    check(&sink, |column| column.sqlite.clone()).await;
}

#[tokio::test]
async fn values_beyond_a_sinks_types_are_their_rows_fault() {
    let home = Database::new().await;
    for (values, in_postgres, in_sqlite) in [
        // The year 294247 is one for PostgreSQL, but it would not sort as text.
        (
            Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX])) as ArrayRef,
            true,
            false,
        ),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![i64::MIN])),
            false,
            false,
        ),
        (Arc::new(TimestampSecondArray::from(vec![i64::MAX])), false, false),
        (Arc::new(Date32Array::from(vec![2_932_897])), true, false),
        (Arc::new(Date32Array::from(vec![i32::MAX])), false, false),
        (Arc::new(Date32Array::from(vec![i32::MIN])), false, false),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), true, false),
    ] {
        let batch = RecordBatch::try_from_iter([("at", values)]).unwrap();
        home.by_hand("DROP TABLE IF EXISTS plays").await;
        let postgres = prepared(&home, vec![table(&batch)]).await;
        let directory = tempfile::tempdir().unwrap();
        let sqlite = file(&directory, vec![table(&batch)]).await;
        for (sink, fits) in [(postgres, in_postgres), (sqlite, in_sqlite)] {
            let claim = claim(&sink, 0).await;
            let mut transaction = sink.begin(&claim.lease).await.unwrap();
            match transaction.write(0, std::slice::from_ref(&batch)).await {
                Ok(()) => assert!(fits, "{batch:?}"),
                Err(error) => {
                    assert!(!fits && error.kind == SinkErrorKind::Row, "{error}");
                    assert!(error.to_string().starts_with("writing table plays: "), "{error}");
                }
            }
            transaction.rollback_to_savepoint().await.unwrap();
            let end = claim.next_offset.unwrap_or(0) + 1;
            transaction
                .commit(&advance(claim.next_offset, end))
                .await
                .unwrap();
        }
    }
}

type Values = (
    Option<i64>,
    Option<f64>,
    Option<String>,
    Option<Vec<u8>>,
    Option<i64>,
    Option<i128>,
    Option<Vec<Option<i32>>>,
);

/// Random rows go through binary COPY and come back the same.
#[test]
fn random_rows_are_read_back_from_postgres() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let fields = [
        ("n", DataType::Int64),
        ("i", DataType::Int64),
        ("f", DataType::Float64),
        ("s", DataType::Utf8),
        ("b", DataType::Binary),
        ("at", time),
        ("d", DataType::Decimal128(38, 7)),
        ("l", DataType::new_list(DataType::Int32, true)),
    ];
    let sink = runtime.block_on(async {
        prepared(
            &Database::new().await,
            vec![definition("plays", Write::Append, &fields)],
        )
        .await
    });
    let decimal = -(10_i128.pow(38) - 1)..10_i128.pow(38);
    let instant = -210_866_803_200_000_000_i64..9_223_371_331_199_999_999;
    let row = (
        any::<Option<i64>>(),
        prop::option::of(any::<f64>()),
        prop::option::of("[^\0]{0,12}"),
        any::<Option<Vec<u8>>>(),
        prop::option::of(instant),
        prop::option::of(decimal),
        prop::option::of(prop::collection::vec(any::<Option<i32>>(), 0..4)),
    );
    let strategy = prop::collection::vec(row, 1..30).no_shrink();
    let mut runner = TestRunner::new(Config {
        cases: 48,
        ..Config::default()
    });
    let ran = runner.run(&strategy, |values| {
        runtime.block_on(round_trip(&sink, &values));
        Ok(())
    });
    ran.unwrap();
}

async fn round_trip(sink: &Sink, values: &[Values]) {
    let decimals: Decimal128Array = values.iter().map(|row| row.5).collect();
    let claim = claim(sink, 0).await;
    let start = claim.next_offset.unwrap_or(0);
    let end = start + values.len() as i64;
    let arrays: [(&str, ArrayRef); 8] = [
        ("n", Arc::new(Int64Array::from_iter_values(start..end))),
        (
            "i",
            Arc::new(values.iter().map(|row| row.0).collect::<Int64Array>()),
        ),
        (
            "f",
            Arc::new(values.iter().map(|row| row.1).collect::<Float64Array>()),
        ),
        (
            "s",
            Arc::new(values.iter().map(|row| row.2.as_deref()).collect::<StringArray>()),
        ),
        (
            "b",
            Arc::new(values.iter().map(|row| row.3.as_deref()).collect::<BinaryArray>()),
        ),
        (
            "at",
            Arc::new(
                values
                    .iter()
                    .map(|row| row.4)
                    .collect::<TimestampMicrosecondArray>(),
            ),
        ),
        ("d", Arc::new(decimals.with_precision_and_scale(38, 7).unwrap())),
        (
            "l",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(
                values.iter().map(|row| row.6.clone()),
            )),
        ),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(arrays.map(|(name, array)| (name, array, true))).unwrap();
    let mut transaction = sink.begin(&claim.lease).await.unwrap();
    transaction.write(0, &[batch]).await.unwrap();
    transaction
        .commit(&advance(claim.next_offset, end))
        .await
        .unwrap();

    let sql = format!(
        "SELECT i, encode(float8send(f), 'hex'), s, encode(b, 'hex'), (extract(epoch FROM at) * 1000000)::bigint, \
         (d * 10000000)::numeric(50,0), array_to_json(l) FROM plays WHERE n >= {start} ORDER BY n"
    );
    let answer = sink.query(&sql, &[]).await.unwrap();
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    };
    for (row, found) in values.iter().zip(&answer.texts()) {
        let list = |list: &Vec<Option<i32>>| serde_json::to_string(list).unwrap();
        let expected = [
            row.0.map(|value| value.to_string()),
            row.1.map(|value| hex(&value.to_be_bytes())),
            row.2.clone(),
            row.3.as_deref().map(hex),
            row.4.map(|value| value.to_string()),
            row.5.map(|value| value.to_string()),
            row.6.as_ref().map(list),
        ];
        assert_eq!(found, &expected);
    }
    assert_eq!(answer.rows.len(), values.len());
}

use std::sync::Arc;

use api::{MergeColumn, Table, TableName};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::*;

fn problem(write: Write, indexes: &[&str], fields: &[(&str, DataType)]) -> String {
    let fields: Vec<Field> = fields
        .iter()
        .map(|(name, data_type)| Field::new(*name, data_type.clone(), true))
        .collect();
    let table = Table {
        name: TableName::new("plays").unwrap(),
        sql: String::new(),
        write,
        indexes: vec![indexes.iter().map(|&name| name.to_owned()).collect()],
    };
    let schema = Arc::new(Schema::new(fields));
    match Layout::of_table(&TableDefinition { table, schema }) {
        Ok(_) => String::new(),
        Err(error) => {
            assert_eq!(error.kind, SinkErrorKind::Refused);
            error.to_string()
        }
    }
}

fn merge(name: &str, function: MergeFunction) -> Write {
    Write::Merge {
        key: vec!["genre".to_owned()],
        columns: vec![MergeColumn {
            name: name.to_owned(),
            function,
        }],
    }
}

#[test]
fn a_table_that_does_not_fit_its_sql_is_refused_with_a_remedy() {
    let genre = ("genre", DataType::Utf8);
    let plays = ("plays", DataType::Int64);
    let key = |name: &str| Write::InsertOnce {
        key: vec![name.to_owned()],
    };
    let latest = |name: &str| Write::Upsert {
        key: vec!["genre".to_owned()],
        latest_by: Some(name.to_owned()),
    };
    let list = DataType::new_list(DataType::Int8, true);
    for (write, indexes, fields, expected) in [
        (
            merge("plays", MergeFunction::Sum),
            vec!["genre"],
            vec![genre.clone(), plays.clone()],
            "",
        ),
        (Write::Append, vec![], vec![], "has no columns"),
        (
            Write::Append,
            vec!["x"],
            vec![plays.clone()],
            "an index names the column x, which the SQL does not give; it gives plays",
        ),
        (
            Write::Append,
            vec![],
            vec![("", DataType::Int8)],
            "is empty or longer than 63 bytes",
        ),
        (
            Write::Append,
            vec![],
            vec![plays.clone(), ("Plays", DataType::Int8)],
            "column Plays is there twice",
        ),
        (
            Write::Append,
            vec![],
            vec![("d", DataType::Duration(TimeUnit::Second))],
            "which no sink can hold: cast it",
        ),
        (
            key("id"),
            vec![],
            vec![plays.clone()],
            "the key names the column id",
        ),
        (
            latest("at"),
            vec![],
            vec![genre.clone()],
            "latestBy names the column at",
        ),
        (
            latest("l"),
            vec![],
            vec![genre.clone(), ("l", list)],
            "latestBy: l has no order",
        ),
        (
            merge("x", MergeFunction::Sum),
            vec![],
            vec![genre.clone()],
            "merge names the column x",
        ),
        (
            merge("n", MergeFunction::Sum),
            vec![],
            vec![genre.clone(), ("n", DataType::Utf8)],
            "merge: n cannot be added up",
        ),
        (
            merge("n", MergeFunction::Max),
            vec![],
            vec![genre.clone(), ("n", DataType::Binary)],
            "merge: n cannot be compared",
        ),
        (
            merge("plays", MergeFunction::Sum),
            vec![],
            vec![genre, plays, ("n", DataType::Int8)],
            "merge: say how n is merged",
        ),
    ] {
        let problem = problem(write, &indexes, &fields);
        assert!(
            problem.contains(expected) && problem.is_empty() == expected.is_empty(),
            "{expected}: {problem}"
        );
    }
}

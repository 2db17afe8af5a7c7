//! What rows depend on besides their records, written out: so that a batch which was begun under one manifest can be
//! finished exactly so by a worker that has the next one.

use std::sync::Arc;

use api::{Field, FieldType, MergeColumn, MergeFunction, Pipeline, Table, TableName, Write};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sinks::PlanDocument;

use crate::digest;
use crate::reference::{self, ReferenceError};
use crate::sql::{PlanError, Plans, Queries};

/// Longest text of a document: it is written again whenever a partition changes hands.
const MAX_LEN: usize = 256 * 1024;

/// Why there is no document, or why one cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The manifest is too large.
    #[error(
        "spec.topics and spec.tables: what rows depend on takes {bytes} bytes, and this kind of sink keeps at most \
         {MAX_LEN}; shorten the SQL, or split the pipeline"
    )]
    TooLong {
        /// Length of the text.
        bytes: usize,
    },
    /// It cannot be read or written.
    #[error(
        "the plan that an unfinished batch was begun under cannot be read; run a worker of the version that began it"
    )]
    Unreadable(#[source] serde_json::Error),
    /// Of a later version.
    #[error(
        "the plan that an unfinished batch was begun under has {what}, which this version does not know; run a worker of \
         the version that began it"
    )]
    Unknown {
        /// What of it is not understood.
        what: String,
    },
    /// Its SQL does not plan any more.
    #[error("the plan that an unfinished batch was begun under is refused by this version: {0}")]
    Refused(String),
    /// A reference has other rows by now.
    #[error(
        "spec.references: an unfinished batch was begun with other rows of {table} than there are now (fingerprint \
         {fingerprint}); bring those rows back until the batch is finished, and change them after that"
    )]
    ReferenceChanged {
        /// As the manifest names the reference.
        table: String,
        /// Of the rows that are needed.
        fingerprint: String,
    },
    /// A reference cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

/// The form in which it is stored; names are fixed.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    topics: Vec<TopicFields>,
    tables: Vec<Query>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    references: Vec<ReferenceRows>,
}

#[derive(Debug, Serialize, Deserialize)]
struct TopicFields {
    name: String,
    /// Name, and type as a manifest writes it.
    fields: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Query {
    name: String,
    sql: String,
    write: Mode,
}

/// A write mode; indexes change no row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Mode {
    Append {},
    InsertOnce {
        key: Vec<String>,
    },
    #[serde(rename_all = "camelCase")]
    Upsert {
        key: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        latest_by: Option<String>,
    },
    Merge {
        key: Vec<String>,
        columns: Vec<(String, Function)>,
    },
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Function {
    Sum,
    Min,
    Max,
}

#[derive(Debug, Serialize, Deserialize)]
struct ReferenceRows {
    name: String,
    fingerprint: String,
}

/// What the pipeline's rows depend on.
///
/// # Errors
/// [`DocumentError::TooLong`], or a reference that cannot be read.
pub fn document(pipeline: &Pipeline) -> Result<PlanDocument, DocumentError> {
    let document = Document {
        topics: pipeline
            .topics
            .iter()
            .map(|topic| TopicFields {
                name: topic.name.to_string(),
                fields: topic
                    .fields
                    .iter()
                    .map(|field| (field.name.clone(), field.data_type.to_string()))
                    .collect(),
            })
            .collect(),
        tables: pipeline
            .tables
            .iter()
            .map(|table| Query {
                name: table.name.to_string(),
                sql: table.sql.clone(),
                write: Mode::of(&table.write),
            })
            .collect(),
        references: reference::fingerprints(pipeline)?
            .into_iter()
            .map(|(name, fingerprint)| ReferenceRows { name, fingerprint })
            .collect(),
    };
    let text = serde_json::to_string(&document).map_err(DocumentError::Unreadable)?;
    if text.len() > MAX_LEN {
        return Err(DocumentError::TooLong { bytes: text.len() });
    }
    let mut hash = Sha256::new();
    hash.update(text.as_bytes());
    Ok(PlanDocument {
        hash: Arc::from(digest::short(hash)),
        text: Arc::from(text),
    })
}

/// Plans what a document says, for one batch at a time, with rows of the pipeline's references that are still the same.
///
/// # Errors
/// What a person must bring back: nothing is guessed.
pub async fn plan_again(document: &PlanDocument, pipeline: &Pipeline) -> Result<Plans, DocumentError> {
    let document: Document = serde_json::from_str(&document.text).map_err(DocumentError::Unreadable)?;
    let fields = document
        .topics
        .iter()
        .map(|topic| topic.fields.iter().map(field).collect::<Result<Vec<_>, _>>())
        .collect::<Result<Vec<_>, _>>()?;
    let topics: Vec<(&str, &[Field])> = document
        .topics
        .iter()
        .zip(&fields)
        .map(|(topic, fields)| (topic.name.as_str(), fields.as_slice()))
        .collect();
    let tables = document
        .tables
        .into_iter()
        .map(|query| {
            let name = query.name;
            let unknown = |_| DocumentError::Unknown {
                what: format!("a table {name:?}"),
            };
            Ok(Table {
                name: TableName::new(&name).map_err(unknown)?,
                sql: query.sql,
                write: query.write.into_write(),
                indexes: Vec::new(),
            })
        })
        .collect::<Result<Vec<_>, DocumentError>>()?;
    let mut references = Vec::with_capacity(document.references.len());
    for ReferenceRows { name, fingerprint } in document.references {
        let rows = reference::rows_of(pipeline, &name, &fingerprint)?;
        references.push(rows.ok_or(DocumentError::ReferenceChanged {
            table: name,
            fingerprint,
        })?);
    }
    let queries = Queries {
        topics: &topics,
        tables: &tables,
    };
    let refused = |errors: Vec<PlanError>| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        DocumentError::Refused(lines.join("; "))
    };
    Plans::of(queries, references, 1).await.map_err(refused)
}

fn field((name, data_type): &(String, String)) -> Result<Field, DocumentError> {
    let data_type = FieldType::parse(data_type).map_err(|_| DocumentError::Unknown {
        what: format!("a field of type {data_type:?}"),
    })?;
    Ok(Field {
        name: name.clone(),
        data_type,
    })
}

impl Mode {
    fn of(write: &Write) -> Self {
        match write.clone() {
            Write::Append => Self::Append {},
            Write::InsertOnce { key } => Self::InsertOnce { key },
            Write::Upsert { key, latest_by } => Self::Upsert { key, latest_by },
            Write::Merge { key, columns } => Self::Merge {
                key,
                columns: columns
                    .into_iter()
                    .map(|column| (column.name, Function::of(column.function)))
                    .collect(),
            },
        }
    }

    fn into_write(self) -> Write {
        match self {
            Self::Append {} => Write::Append,
            Self::InsertOnce { key } => Write::InsertOnce { key },
            Self::Upsert { key, latest_by } => Write::Upsert { key, latest_by },
            Self::Merge { key, columns } => Write::Merge {
                key,
                columns: columns
                    .into_iter()
                    .map(|(name, function)| MergeColumn {
                        name,
                        function: function.into_function(),
                    })
                    .collect(),
            },
        }
    }
}

impl Function {
    fn of(function: MergeFunction) -> Self {
        match function {
            MergeFunction::Sum => Self::Sum,
            MergeFunction::Min => Self::Min,
            MergeFunction::Max => Self::Max,
        }
    }

    fn into_function(self) -> MergeFunction {
        match self {
            Self::Sum => MergeFunction::Sum,
            Self::Min => MergeFunction::Min,
            Self::Max => MergeFunction::Max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(directory: &std::path::Path, sql: &str) -> Pipeline {
        let manifest = format!(
            "apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: test}}
spec:
  kafka: {{bootstrapServers: \"localhost:9092\"}}
  topics:
    - name: plays
      fields: {{user: int, at: timestamp(ms), tags: array<string>, place: \"struct<city: string, zip: int>\"}}
  references:
    - {{name: tracks, from: {{csv: {{path: {}/tracks.csv, fields: {{track: int, genre: string}}}}}}}}
    - {{name: unused, from: {{csv: {{path: {}/nowhere.csv, fields: {{track: int}}}}}}}}
  tables:
    - {{name: log, sql: \"{sql}\"}}
    - {{name: firsts, sql: \"SELECT user, at FROM plays\", write: {{insertOnce: {{key: [user]}}}}}}
    - {{name: lasts, sql: \"SELECT user, at FROM plays\", write: {{upsert: {{key: [user], latestBy: at}}}}}}
    - {{name: sums, sql: \"SELECT user, count(*) AS plays FROM plays GROUP BY 1\", write: {{merge: {{key: [user], sum: [plays]}}}}}}
  sink: {{sqlite: {{path: test.db}}}}
",
            directory.display(),
            directory.display(),
        );
        api::validate(&api::parse(&manifest).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_document_plans_the_same_tables_under_the_next_manifest() {
        let directory = tempfile::tempdir().unwrap();
        let csv = directory.path().join("tracks.csv");
        std::fs::write(&csv, "track,genre\n1,jazz\n").unwrap();
        let join = "SELECT user, genre FROM plays JOIN tracks ON user = track";
        let before = pipeline(directory.path(), join);
        let written = document(&before).unwrap();
        assert_eq!(document(&before).unwrap(), written);
        let after = pipeline(
            directory.path(),
            "SELECT user FROM plays JOIN tracks ON user = track",
        );
        assert_ne!(document(&after).unwrap().hash, written.hash);

        let plans = plan_again(&written, &after).await.unwrap();
        let tables: Vec<&Table> = plans.definitions().iter().map(|it| &it.table).collect();
        assert_eq!(tables, before.tables.iter().collect::<Vec<_>>());
        assert_eq!(plans.definitions()[0].schema.fields().len(), 2);

        // Written again with the same bytes, it has another time but the same rows.
        std::fs::write(&csv, "track,genre\n1,jazz\n").unwrap();
        assert_eq!(document(&before).unwrap(), written);
        std::fs::write(&csv, "track,genre\n1,rock\n").unwrap();
        assert_ne!(document(&before).unwrap().hash, written.hash);
        let error = plan_again(&written, &after).await.unwrap_err().to_string();
        assert!(
            error
                .starts_with("spec.references: an unfinished batch was begun with other rows of tracks than"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_planned_again_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let pipeline = pipeline(directory.path(), "SELECT user FROM plays");
        let problem = async |text: &str| {
            let document = PlanDocument {
                hash: Arc::from("x"),
                text: Arc::from(text),
            };
            plan_again(&document, &pipeline).await.unwrap_err().to_string()
        };
        assert!(problem("not JSON").await.contains("cannot be read"));
        let field = r#"{"topics":[{"name":"plays","fields":[["user","number"]]}],"tables":[]}"#;
        assert!(problem(field).await.contains("a field of type \"number\""));
        let sql = r#"{"topics":[{"name":"plays","fields":[["user","int"]]}],"tables":[{"name":"log","sql":"SELECT no FROM plays","write":{"append":{}}}]}"#;
        assert!(problem(sql).await.contains("spec.tables[0].sql"));
    }
}

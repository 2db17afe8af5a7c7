//! Reference tables as Arrow: what SQL joins, and what `prepare` writes to the sink.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::{CsvSource, Pipeline, Reference, ReferenceSource};
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use generator::music::MusicError;
use generator::reference::{ColumnType, ReferenceTable, ReferenceValues, References};
use sha2::{Digest, Sha256};

use crate::decode::TextDecoder;
use crate::digest;
use crate::sql::ReferenceRows;
use sinks::ReferenceDefinition;

/// Rows of a CSV file in one batch.
const CHUNK: usize = 10_000;

/// Why a reference table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// The generator's catalogue cannot be made or read.
    #[error(transparent)]
    Generator(#[from] MusicError),
    /// The pipeline has no generator with such a table.
    #[error("{path}: no generator gives the table {table}; name one of {known}")]
    Unknown {
        /// Path in the manifest.
        path: String,
        /// As the manifest names it.
        table: String,
        /// The tables that there are.
        known: String,
    },
    /// The file cannot be opened.
    #[error("{}: cannot be opened", file.display())]
    Open {
        /// Path of the CSV file.
        file: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not CSV where it should be.
    #[error("{}: not readable as CSV", file.display())]
    Csv {
        /// Path of the CSV file.
        file: PathBuf,
        /// Why, with the line.
        #[source]
        source: csv::Error,
    },
    /// The header lacks a column.
    #[error("{}, line 1: the column {column:?} is missing; the header has {}", file.display(), header.join(", "))]
    Column {
        /// Path of the CSV file.
        file: PathBuf,
        /// The column that the manifest names.
        column: String,
        /// The columns that are there.
        header: Vec<String>,
    },
    /// A cell does not fit its type.
    #[error("{}, line {line}, column {column:?}: {problem}", file.display())]
    Cell {
        /// Path of the CSV file.
        file: PathBuf,
        /// Counted from 1, with the header.
        line: u64,
        /// As the header names it.
        column: String,
        /// What the type does not allow.
        problem: String,
    },
    /// Arrow refused the columns.
    #[error("cannot build the reference table {table}")]
    Batch {
        /// As the manifest or the file names it.
        table: String,
        /// What Arrow said.
        #[source]
        source: ArrowError,
    },
}

/// Every reference's rows, one after the other.
pub type Rows<'a> = Box<dyn Iterator<Item = Result<RecordBatch, ReferenceError>> + Send + 'a>;

/// The references of a pipeline, ready to be read.
pub struct ReferenceTables<'a> {
    pipeline: &'a Pipeline,
    generated: Option<References>,
}

impl<'a> ReferenceTables<'a> {
    /// Makes or reads the catalogue that generated tables come from; CSV files are opened later.
    pub fn load(pipeline: &'a Pipeline) -> Result<Self, ReferenceError> {
        let generated = |reference: &Reference| matches!(reference.source, ReferenceSource::Generated(_));
        let generator = pipeline
            .generator
            .as_ref()
            .filter(|_| pipeline.references.iter().any(generated));
        let generated = generator.map(References::load).transpose()?;
        Ok(Self { pipeline, generated })
    }

    /// What the sink needs to know of a reference.
    pub fn definition(
        &self,
        index: usize,
        reference: &Reference,
    ) -> Result<ReferenceDefinition, ReferenceError> {
        let fingerprint = match &reference.source {
            ReferenceSource::Generated(table) => {
                let generated = self.generated.as_ref().map_or(0, References::fingerprint);
                format!("{table}:{generated:016x}")
            }
            ReferenceSource::Csv(source) => csv_fingerprint(source)?,
        };
        Ok(ReferenceDefinition {
            name: reference.name.clone(),
            key: reference.key.clone(),
            schema: schema(index, reference)?,
            fingerprint,
        })
    }

    /// What tells a reference's rows from others, by the rows alone.
    fn row_fingerprint(&self, reference: &Reference) -> Result<String, ReferenceError> {
        match &reference.source {
            ReferenceSource::Generated(table) => {
                let generated = self.generated.as_ref().map_or(0, References::fingerprint);
                Ok(format!("{table}:{generated:016x}"))
            }
            ReferenceSource::Csv(source) => csv_row_fingerprint(source),
        }
    }

    /// A reference's rows, in chunks; a CSV file is opened here.
    pub fn rows(&self, index: usize, reference: &'a Reference) -> Result<Rows<'_>, ReferenceError> {
        let schema = schema(index, reference)?;
        match &reference.source {
            ReferenceSource::Generated(table) => {
                let chunks = self
                    .generated
                    .as_ref()
                    .and_then(|generated| generated.chunks(table));
                let chunks = chunks.ok_or_else(|| unknown(index, table))?;
                Ok(Box::new(chunks.map(move |chunk| batch(&schema, chunk, table))))
            }
            ReferenceSource::Csv(source) => Ok(Box::new(CsvRows::open(source)?)),
        }
    }

    /// The pipeline's references with their places in the manifest.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &'a Reference)> + use<'a> {
        self.pipeline.references.iter().enumerate()
    }
}

/// Whether some table's SQL has the reference's name in it.
fn is_named(pipeline: &Pipeline, reference: &Reference) -> bool {
    let name = reference.name.as_str();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    pipeline.tables.iter().any(|table| {
        table
            .sql
            .split(|c| !word(c))
            .any(|found| found.eq_ignore_ascii_case(name))
    })
}

/// The references that tables' SQL names, with fingerprints of their rows: the same wherever and whenever they are read,
/// unlike those by which a load is left out, which look at a file's time.
pub fn fingerprints(pipeline: &Pipeline) -> Result<Vec<(String, String)>, ReferenceError> {
    if !pipeline
        .references
        .iter()
        .any(|reference| is_named(pipeline, reference))
    {
        return Ok(Vec::new());
    }
    let tables = ReferenceTables::load(pipeline)?;
    tables
        .iter()
        .filter(|(_, reference)| is_named(pipeline, reference))
        .map(|(_, reference)| Ok((reference.name.to_string(), tables.row_fingerprint(reference)?)))
        .collect()
}

/// The rows of the reference of this name; `None` if there is none, or its rows have another of the [`fingerprints`].
pub fn rows_of(
    pipeline: &Pipeline,
    name: &str,
    fingerprint: &str,
) -> Result<Option<ReferenceRows>, ReferenceError> {
    let tables = ReferenceTables::load(pipeline)?;
    let Some((index, reference)) = tables
        .iter()
        .find(|(_, reference)| reference.name.as_str() == name)
    else {
        return Ok(None);
    };
    if tables.row_fingerprint(reference)? != fingerprint {
        return Ok(None);
    }
    Ok(Some(ReferenceRows {
        name: name.to_owned(),
        schema: schema(index, reference)?,
        batches: tables.rows(index, reference)?.collect::<Result<_, _>>()?,
    }))
}

/// References for planning; with the rows of those that a table's SQL names, if `rows` are wanted.
pub fn for_sql(pipeline: &Pipeline, rows: bool) -> Result<Vec<ReferenceRows>, ReferenceError> {
    let named = |reference: &Reference| is_named(pipeline, reference);
    // The catalogue takes a second to make: only when something joins it.
    let needed = rows && pipeline.references.iter().any(named);
    let tables = if needed {
        Some(ReferenceTables::load(pipeline)?)
    } else {
        None
    };
    let mut references = Vec::with_capacity(pipeline.references.len());
    for (index, reference) in pipeline.references.iter().enumerate() {
        let batches = match tables.as_ref().filter(|_| named(reference)) {
            Some(tables) => tables.rows(index, reference)?.collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        references.push(ReferenceRows {
            name: reference.name.to_string(),
            schema: schema(index, reference)?,
            batches,
        });
    }
    Ok(references)
}

fn schema(index: usize, reference: &Reference) -> Result<SchemaRef, ReferenceError> {
    match &reference.source {
        ReferenceSource::Generated(table) => {
            let columns = generator::reference::schema(table).ok_or_else(|| unknown(index, table))?;
            let fields = columns
                .iter()
                .map(|column| Field::new(column.name, arrow_type(column.column_type), true));
            Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
        }
        ReferenceSource::Csv(source) => {
            Ok(Arc::new(Schema::new(crate::decode::arrow_fields(&source.fields))))
        }
    }
}

fn unknown(index: usize, table: &str) -> ReferenceError {
    ReferenceError::Unknown {
        path: format!("spec.references[{index}].from.generated"),
        table: table.to_owned(),
        known: generator::reference::NAMES.join(", "),
    }
}

fn arrow_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Int => DataType::Int32,
        ColumnType::Long => DataType::Int64,
        ColumnType::Double => DataType::Float64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Text => DataType::Utf8,
        ColumnType::IntList => DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true))),
    }
}

fn batch(schema: &SchemaRef, chunk: ReferenceTable, table: &str) -> Result<RecordBatch, ReferenceError> {
    let arrays = chunk
        .columns
        .into_iter()
        .map(|column| array(column.values))
        .collect();
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(|source| ReferenceError::Batch {
        table: table.to_owned(),
        source,
    })
}

fn array(values: ReferenceValues) -> ArrayRef {
    match values {
        ReferenceValues::Int(values) => Arc::new(Int32Array::from(values)),
        ReferenceValues::Long(values) => Arc::new(Int64Array::from(values)),
        ReferenceValues::Double(values) => Arc::new(Float64Array::from(values)),
        ReferenceValues::Boolean(values) => Arc::new(BooleanArray::from(values)),
        ReferenceValues::Text(values) => Arc::new(StringArray::from(values)),
        ReferenceValues::IntList(values) => {
            let lists = values
                .into_iter()
                .map(|list| list.map(|list| list.into_iter().map(Some)));
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))
        }
    }
}

/// Size and time of the last change: reading a large file twice only to learn that it is the same would cost
/// more than loading it.
fn csv_fingerprint(source: &CsvSource) -> Result<String, ReferenceError> {
    let open = |error| ReferenceError::Open {
        file: source.path.clone(),
        source: error,
    };
    let metadata = std::fs::metadata(&source.path).map_err(open)?;
    let modified = metadata.modified().map_err(open)?;
    let age = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let fields: Vec<String> = source
        .fields
        .iter()
        .map(|field| format!("{}:{}", field.name, field.data_type))
        .collect();
    Ok(format!(
        "{}:{}:{}:{}",
        source.path.display(),
        metadata.len(),
        age.as_micros(),
        fields.join(",")
    ))
}

fn csv_row_fingerprint(source: &CsvSource) -> Result<String, ReferenceError> {
    let mut hash = Sha256::new();
    for field in &source.fields {
        hash.update(format!("{}:{},", field.name, field.data_type));
    }
    hash.update(source.null.as_deref().unwrap_or_default());
    let open = |error| ReferenceError::Open {
        file: source.path.clone(),
        source: error,
    };
    let mut file = File::open(&source.path).map_err(open)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer).map_err(open)?;
        if read == 0 {
            return Ok(format!("csv:{}", digest::short(hash)));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
}

/// Reads a CSV file in chunks.
struct CsvRows<'a> {
    source: &'a CsvSource,
    reader: csv::Reader<File>,
    /// For each field, its column in the file.
    columns: Vec<usize>,
    decoder: TextDecoder,
    ended: bool,
}

impl<'a> CsvRows<'a> {
    fn open(source: &'a CsvSource) -> Result<Self, ReferenceError> {
        let file = || source.path.clone();
        let opened =
            File::open(&source.path).map_err(|source| ReferenceError::Open { file: file(), source })?;
        let mut reader = csv::Reader::from_reader(opened);
        let header = reader
            .headers()
            .map_err(|source| ReferenceError::Csv { file: file(), source })?;
        let place = |name: &str| {
            header
                .iter()
                .position(|column| column.trim_start_matches('\u{feff}') == name)
        };
        let columns = source.fields.iter().map(|field| {
            place(&field.name).ok_or_else(|| ReferenceError::Column {
                file: file(),
                column: field.name.clone(),
                header: header.iter().map(str::to_owned).collect(),
            })
        });
        let columns = columns.collect::<Result<_, _>>()?;
        let decoder = TextDecoder::new(&source.fields);
        Ok(Self {
            source,
            reader,
            columns,
            decoder,
            ended: false,
        })
    }

    fn chunk(&mut self) -> Result<Option<RecordBatch>, ReferenceError> {
        let file = || self.source.path.clone();
        let mut record = csv::StringRecord::new();
        for _ in 0..CHUNK {
            let more = self.reader.read_record(&mut record);
            if !more.map_err(|source| ReferenceError::Csv { file: file(), source })? {
                self.ended = true;
                break;
            }
            let line = record.position().map_or(0, csv::Position::line);
            let cells = self.columns.iter().map(|column| {
                let cell = record.get(*column).unwrap_or("");
                if cell.is_empty() || self.source.null.as_deref() == Some(cell) {
                    None
                } else {
                    Some(cell)
                }
            });
            self.decoder
                .push(cells)
                .map_err(|(field, problem)| ReferenceError::Cell {
                    file: file(),
                    line,
                    column: self
                        .source
                        .fields
                        .get(field)
                        .map_or_else(String::new, |field| field.name.clone()),
                    problem,
                })?;
        }
        let batch = self.decoder.finish().map_err(|source| ReferenceError::Batch {
            table: file_name(&self.source.path),
            source,
        })?;
        Ok(Some(batch).filter(|batch| batch.num_rows() > 0))
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

impl Iterator for CsvRows<'_> {
    type Item = Result<RecordBatch, ReferenceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.chunk() {
            Ok(batch) => batch.map(Ok),
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

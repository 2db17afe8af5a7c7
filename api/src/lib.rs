//! What a pipeline is: the `StreamPipeline` custom resource, and the validated [`Pipeline`] that every
//! other room works with.
//!
//! ```text
//! YAML ──parse──► StreamPipeline (exactly what was typed) ──validate──► Pipeline (typed, complete, checked)
//! ```
//!
//! Nothing here does I/O, and nothing here knows Kafka, a database or a cluster. A wrong manifest is
//! reported as a list of [`Problem`]s, each with the path in the manifest and a remedy.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod amount;
pub mod crd;
mod cron;
mod duration;
mod field_type;
mod manifest;
mod names;
mod parameter;
mod pipeline;
mod quantity;
mod quoted;
mod validate;

pub use crd::{RELEASE, StreamPipeline, StreamPipelineSpec, StreamPipelineStatus, crd_yaml, definition};
pub use duration::{DurationError, parse_duration};
pub use field_type::{Field, FieldType, FieldTypeError, TimestampFormat};
pub use manifest::{ManifestError, Place, parse};
pub use names::{NameError, PipelineName, TableName, TopicName};
pub use parameter::{Choices, NativeSql, Parameter, ParameterType};
pub use pipeline::{
    Batch, BigQuerySink, CassandraSink, CatalogueSource, Chart, CsvSource, DeadLetterPolicy, DeletionPolicy,
    EventTime, Generator, GeneratorLimit, Kafka, LakeSink, MergeColumn, MergeFunction, Model, ModelKind,
    MusicSource, Partition, Paused, Pipeline, PodTemplate, Pods, PostgresSink, RateShape, Recommender,
    Reference, ReferenceSource, Report, Resources, Sasl, SaslMechanism, Scaling, ScalingMode, ScalingWindow,
    SecretRef, Security, SecurityProtocol, ServiceAccount, Sink, Source, SqliteSink, StartFrom, Table,
    TlsMode, Topic, Write,
};
pub use quantity::{QuantityError, parse_quantity};
pub use validate::{Problem, Problems, validate};

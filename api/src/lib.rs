//! What a pipeline is: the `StreamPipeline` custom resource, and the validated [`Pipeline`] that every
//! other room works with.
//!
//! ```text
//! YAML ──parse──► StreamPipeline (exactly what was typed) ──validate──► Pipeline (typed, complete, checked)
//! ```
//!
//! Nothing here does I/O, and nothing here knows Kafka, a database or a cluster. A wrong manifest is
//! reported as a list of [`Problem`]s, each with the path in the manifest and a remedy.

#![allow(
    unreachable_pub,
    reason = "KubeSchema repeats each struct inside a function, where its pub reaches nothing"
)]
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
mod batch;
mod bounds;
mod column;
mod definition;
mod deletion;
mod duration;
mod event_time;
mod field_type;
mod generator;
mod image;
mod kafka;
mod manifest;
mod model;
mod names;
mod paused;
mod pipeline;
mod pods;
mod problem;
mod quantity;
mod quoted;
mod rate;
mod reference;
mod report;
mod resource;
mod rule;
mod scaling;
mod schema;
mod secret;
mod sink;
mod source;
mod sql;
mod status;
mod table;
mod topic;
mod union;
mod validate;
mod values;

/// The manifest's objects as they are typed: one type for each.
pub mod crd {
    pub use crate::amount::AmountText;
    pub use crate::batch::{BatchSpec, DeadLettersSpec};
    pub use crate::column::ColumnName;
    pub use crate::duration::DurationText;
    pub use crate::event_time::{EventTimeSpec, WindowSpec};
    pub use crate::generator::{GeneratorSpec, LimitSpec};
    pub use crate::image::PullPolicy;
    pub use crate::kafka::{KafkaSpec, SaslSpec, SecuritySpec, TlsSpec};
    pub use crate::model::{ModelSpec, RecommenderSpec};
    pub use crate::paused::PausedSpec;
    pub use crate::pods::{
        AmountsSpec, PodSpec, PodsSpec, ResourcesSpec, ServiceAccountSpec, TaintEffect, TolerationOperator,
        TolerationSpec,
    };
    pub use crate::quantity::QuantityText;
    pub use crate::rate::{BurstsSpec, DaySpec, ShapeSpec};
    pub use crate::reference::{CsvSpec, ReferenceFromSpec, ReferenceSpec};
    pub use crate::report::ReportSpec;
    pub use crate::resource::{StreamPipeline, StreamPipelineSpec};
    pub use crate::scaling::{ScalingSpec, ScalingWindowSpec};
    pub use crate::schema::{Nothing, Reserved};
    pub use crate::secret::SecretRefSpec;
    pub use crate::sink::{PostgresSpec, SinkSpec, SqliteSpec};
    pub use crate::source::{CatalogueCsvSpec, CatalogueSpec, MusicSpec};
    pub use crate::status::{ModelStatus, StreamPipelineStatus, TopicStatus};
    pub use crate::table::{IndexSpec, InsertOnceSpec, MergeSpec, TableSpec, UpsertSpec, WriteSpec};
    pub use crate::topic::TopicSpec;
}

pub use batch::{Batch, DeadLetterPolicy};
pub use cron::{Schedule, ScheduleError};
pub use definition::{RELEASE, crd_yaml, definition};
pub use deletion::DeletionPolicy;
pub use duration::{DurationError, parse_duration};
pub use event_time::EventTime;
pub use field_type::{Field, FieldType, FieldTypeError, TimestampFormat};
pub use generator::{Generator, GeneratorLimit};
pub use kafka::{Kafka, Sasl, SaslMechanism, Security, SecurityProtocol};
pub use manifest::{ManifestError, Place, parse};
pub use model::{Model, ModelKind, Recommender};
pub use names::{NameError, PipelineName, TableName, TopicName};
pub use paused::Paused;
pub use pipeline::Pipeline;
pub use pods::{PodTemplate, Pods, Resources, ServiceAccount};
pub use problem::{Problem, Problems};
pub use quantity::{QuantityError, parse_quantity};
pub use rate::RateShape;
pub use reference::{CsvSource, Reference, ReferenceSource};
pub use report::{Chart, Report};
pub use resource::{StreamPipeline, StreamPipelineSpec};
pub use scaling::{Scaling, ScalingMode, ScalingWindow};
pub use secret::{SecretPurpose, SecretRef, SecretUse};
pub use sink::{Abilities, Endpoint, PostgresSink, Sink, SqliteSink, TlsMode};
pub use source::{CatalogueSource, MusicSource, Source};
pub use status::StreamPipelineStatus;
pub use table::{MergeColumn, MergeFunction, Table, Write};
pub use topic::{Partition, StartFrom, Topic};
pub use validate::validate;

//! From what was typed to what can be trusted: every rule that needs neither a cluster nor SQL.
//!
//! One file for each part of the manifest. All problems are collected: a part that is wrong gives `None` (or a
//! value that nobody will see) after it has reported why, and the others are looked at all the same.

mod bounds;
mod generator;
mod kafka;
mod music;
mod names;
mod pods;
mod problem;
mod questions;
mod references;
mod running;
mod sink;
mod tables;
mod topics;
mod values;

use std::sync::LazyLock;

use kube::CustomResourceExt;
use serde_json::Value;

pub use problem::{Problem, Problems};

use crate::crd::{StreamPipeline, StreamPipelineSpec};
use crate::pipeline::Sealed;
use crate::{DeadLetterPolicy, Pipeline};
use problem::Report;

/// The schema of `spec`.
pub(crate) static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let schema = StreamPipeline::crd()
        .spec
        .versions
        .into_iter()
        .next()
        .and_then(|version| version.schema);
    let schema = serde_json::to_value(schema).unwrap_or_default();
    schema
        .pointer("/openAPIV3Schema/properties/spec")
        .cloned()
        .unwrap_or_default()
});

/// Checks a manifest and makes the pipeline of it, with every default filled in.
///
/// # Errors
/// All that is wrong with it, at once.
pub fn validate(resource: &StreamPipeline) -> Result<Pipeline, Problems> {
    let mut report = Report::default();
    let spec = serde_json::to_value(&resource.spec).unwrap_or_default();
    bounds::check(&spec, &SCHEMA, "spec", &mut report);
    let pipeline = pipeline(resource, &mut report);
    report.finish(pipeline)
}

fn pipeline(resource: &StreamPipeline, report: &mut Report) -> Option<Pipeline> {
    let spec = &resource.spec;
    let name = names::pipeline_name(resource.metadata.name.as_ref(), report);
    let kafka = kafka::kafka(&spec.kafka, report);
    let topics = topics::topics(&spec.topics, report);
    let paused = pods::paused(spec);
    let generator = match &spec.generator {
        Some(generator) => generator::generator(generator, paused.generator, &spec.topics, report).map(Some),
        None => Some(None),
    };
    let references = references::references(spec, report);
    let tables = tables::tables(&spec.tables, report);
    let models = questions::models(&spec.models, &spec.tables, report);
    names::unique(table_names(spec), "name", report);
    let reports = questions::reports(&spec.reports, report);
    let sink = sink::sink(&spec.sink, report);
    let batch = running::batch(&spec.batch, report);
    let scaling = running::scaling(&spec.scaling, &spec.topics, report);
    let image = pods::image(spec.image.as_ref(), report);
    let pods = pods::pods(spec.pods.as_ref(), report);
    Some(Pipeline {
        name: name?,
        namespace: resource.metadata.namespace.clone(),
        kafka,
        topics: topics?,
        generator: generator?,
        references: references?,
        tables: tables?,
        models: models?,
        reports,
        sink: sink?,
        batch: batch?,
        dead_letters: DeadLetterPolicy {
            halt_above: spec.dead_letters.halt_above,
        },
        scaling: scaling?,
        deletion_policy: spec.deletion_policy,
        paused,
        image,
        pull_policy: spec.image_pull_policy,
        pods,
        sealed: Sealed,
    })
}

/// Tables, references and models each become a table of the sink.
fn table_names(spec: &StreamPipelineSpec) -> impl Iterator<Item = (&str, String)> {
    let path = |list: &'static str| move |index: usize| format!("spec.{list}[{index}].name");
    let tables = spec
        .tables
        .iter()
        .map(|table| table.name.as_str())
        .zip((0..).map(path("tables")));
    let references = spec
        .references
        .iter()
        .map(|table| table.name.as_str())
        .zip((0..).map(path("references")));
    let models = spec
        .models
        .iter()
        .map(|model| model.name.as_str())
        .zip((0..).map(path("models")));
    tables.chain(references).chain(models)
}

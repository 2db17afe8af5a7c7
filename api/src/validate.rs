//! From what was typed to what can be trusted: every rule that needs neither a cluster nor SQL.
//!
//! All problems are collected: a part that is wrong gives `None` (or a value that nobody will see) after it has
//! reported why, and the others are looked at all the same.

use crate::batch::{DeadLetterPolicy, batch};
use crate::bounds;
use crate::definition::SPEC_SCHEMA;
use crate::generator::generator;
use crate::image::image;
use crate::kafka::kafka;
use crate::model::models;
use crate::names::{pipeline_name, unique};
use crate::paused::paused;
use crate::pipeline::{Pipeline, Sealed};
use crate::pods::pods;
use crate::problem::{Collector, Problems};
use crate::reference::references;
use crate::report::reports;
use crate::resource::{StreamPipeline, StreamPipelineSpec};
use crate::scaling::scaling;
use crate::sink::sink;
use crate::table::tables;
use crate::topic::topics;

/// Checks a manifest and makes the pipeline of it, with every default filled in.
///
/// # Errors
/// All that is wrong with it, at once.
pub fn validate(resource: &StreamPipeline) -> Result<Pipeline, Problems> {
    let mut problems = Collector::default();
    let spec = serde_json::to_value(&resource.spec).unwrap_or_default();
    bounds::check(&spec, &SPEC_SCHEMA, "spec", &mut problems);
    let pipeline = pipeline(resource, &mut problems);
    problems.finish(pipeline)
}

fn pipeline(resource: &StreamPipeline, problems: &mut Collector) -> Option<Pipeline> {
    let spec = &resource.spec;
    let name = pipeline_name(resource.metadata.name.as_ref(), problems);
    let kafka = kafka(&spec.kafka, problems);
    let topics = topics(&spec.topics, problems);
    let paused = paused(
        spec.paused.as_ref(),
        spec.generator.as_ref().is_some_and(|generator| generator.paused),
    );
    let generator = match &spec.generator {
        Some(typed) => generator(typed, paused.generator, &spec.topics, problems).map(Some),
        None => Some(None),
    };
    let references = references(&spec.references, &spec.topics, spec.generator.as_ref(), problems);
    let tables = tables(&spec.tables, problems);
    let models = models(&spec.models, &spec.tables, problems);
    unique(table_names(spec), "name", problems);
    let reports = reports(&spec.reports, problems);
    let sink = sink(&spec.sink, problems);
    let batch = batch(&spec.batch, problems);
    let scaling = scaling(&spec.scaling, &spec.topics, problems);
    let image = image(spec.image.as_ref(), problems);
    let pods = pods(spec.pods.as_ref(), problems);
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

//! The plan as text. Pure.

use std::fmt::Write;
use std::path::Path;

use api::{
    CatalogueSource, EventTime, Generator, GeneratorLimit, Model, ModelKind, Pipeline, RateShape, Reference,
    ReferenceSource, Scaling, ScalingMode, Source, StartFrom, Topic, Write as WriteMode,
};

use operator::plan::{Plan, Planned};

use super::cluster;
use crate::style::{Style, count, grouped};
use crate::table::{Align, render as columns};

/// A table that the sink will have.
#[derive(Debug)]
pub(super) struct PlannedTable<'a> {
    pub(super) table: &'a api::Table,
    /// Names and SQL types.
    pub(super) columns: Vec<(String, String)>,
}

/// The objects of a cluster.
#[derive(Debug)]
pub(super) enum Objects<'a> {
    /// Of any: their names, or why there would be none.
    Anywhere(Result<Vec<Planned>, String>),
    /// Of one, next to what it has.
    In(&'a Plan),
}

pub(super) fn render(
    pipeline: &Pipeline,
    tables: &[PlannedTable<'_>],
    objects: &Objects<'_>,
    style: Style,
) -> String {
    let mut text = String::new();
    let mut section = |heading: &str, lines: Vec<String>| {
        if lines.is_empty() {
            return;
        }
        let gap = if text.is_empty() { "" } else { "\n" };
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "{gap}{}", style.bold(heading));
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    };
    section(&format!("pipeline {}", pipeline.name), places(pipeline));
    section("topics", pipeline.topics.iter().flat_map(topic).collect());
    section(
        "generator",
        pipeline.generator.iter().flat_map(generator).collect(),
    );
    section("references, loaded once", references(&pipeline.references));
    section("tables", tables.iter().flat_map(table).collect());
    section("models", models(pipeline, style));
    section("reports", reports(pipeline, style));
    match objects {
        Objects::Anywhere(objects) => section("objects in a cluster", anywhere(pipeline, objects)),
        Objects::In(plan) => {
            let shards = pipeline
                .generator
                .as_ref()
                .map(|_| pipeline.generator_shards_topic());
            let (heading, lines) = cluster::lines(plan, shards, style);
            section(&heading, lines);
        }
    }
    text
}

fn places(pipeline: &Pipeline) -> Vec<String> {
    let security = &pipeline.kafka.security;
    let sasl = security
        .sasl
        .as_ref()
        .map_or_else(String::new, |sasl| format!(", secret {}", sasl.secret.name));
    vec![
        format!(
            "kafka    {}, {:?}{sasl}",
            pipeline.kafka.bootstrap_servers.join(","),
            security.protocol
        ),
        format!("sink     {}", pipeline.sink.describe()),
        format!(
            "batches  of at most {} records, {} KiB or {:?} a partition",
            grouped(pipeline.batch.max_records as u64),
            grouped(pipeline.batch.max_bytes as u64 / 1024),
            pipeline.batch.max_wait,
        ),
        format!("workers  {}", workers(&pipeline.scaling)),
    ]
}

/// Where a manifest lies is no part of its plan.
fn name_of(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn workers(scaling: &Scaling) -> String {
    let Scaling {
        min,
        max,
        drain_within,
        freshness,
        patience: _,
        windows,
        mode,
        replicas,
    } = scaling;
    let fresh = freshness.map_or_else(String::new, |freshness| {
        format!(" and no event waits longer than {freshness:?}")
    });
    let windows = match windows.len() {
        0 => String::new(),
        windows => format!("; other bounds in {}", count(windows as u64, "window", "windows")),
    };
    match (replicas, mode) {
        (Some(replicas), _) => format!("{replicas}, pinned"),
        (None, ScalingMode::Auto) => {
            format!("{min} to {max}, so that a backlog is gone within {drain_within:?}{fresh}{windows}")
        }
        (None, ScalingMode::Recommend) => format!("{min}; other numbers up to {max} are recommended only"),
        (None, ScalingMode::Off) => format!("{min}"),
    }
}

fn topic(topic: &Topic) -> Vec<String> {
    let start = match topic.start_from {
        StartFrom::Earliest => "the oldest record",
        StartFrom::Latest => "what comes after the pipeline",
    };
    let mut lines = vec![format!(
        "{}  {}, {}, read from {start}",
        topic.name,
        count(topic.partitions as u64, "partition", "partitions"),
        count(topic.replication_factor as u64, "replica", "replicas"),
    )];
    lines.extend(topic.config.iter().map(|(key, value)| format!("  {key}={value}")));
    let rows: Vec<Vec<String>> = topic
        .fields
        .iter()
        .map(|field| {
            let is_event_time = topic.event_time.as_deref() == Some(field.name.as_str());
            let note = if is_event_time { "event time" } else { "" };
            vec![field.name.clone(), field.data_type.to_string(), note.to_owned()]
        })
        .collect();
    lines.extend(indented(&["FIELD", "TYPE", ""], &rows));
    lines
}

fn generator(generator: &Generator) -> Vec<String> {
    let Generator {
        source: Source::Music(music),
        topic,
        rate,
        shape,
        event_time,
        seed,
        shards,
        replicas,
        limit,
        paused,
    } = generator;
    let catalogue = match &music.catalogue {
        CatalogueSource::Generated { tracks, genres } => {
            format!("{} tracks of {genres} genres", grouped(u64::from(*tracks)))
        }
        CatalogueSource::Csv(path) => format!("tracks of {}", name_of(path)),
    };
    let shape = match shape {
        RateShape::Constant => String::new(),
        RateShape::Bursts { every, lasting, rate } => format!(", {rate} for {lasting:?} of every {every:?}"),
        RateShape::Day { period, .. } => format!(" in the mean of a day of {period:?}"),
    };
    let time = match event_time {
        EventTime::Now => "now".to_owned(),
        EventTime::Window { from, to } => format!("any instant from {from} to {to}"),
    };
    let end = match limit {
        GeneratorLimit {
            count: None,
            duration: None,
        } => "without end".to_owned(),
        GeneratorLimit {
            count: Some(count),
            duration: None,
        } => format!("{} events", grouped(*count)),
        GeneratorLimit {
            count: None,
            duration: Some(duration),
        } => format!("for {duration:?}"),
        GeneratorLimit {
            count: Some(count),
            duration: Some(duration),
        } => {
            format!("{} events or {duration:?}", grouped(*count))
        }
    };
    let pause = if *paused { ", paused" } else { "" };
    vec![
        format!(
            "music: {} users, {catalogue}, likes {} %, seed {seed}",
            grouped(u64::from(music.users)),
            music.like_share * 100.0
        ),
        format!("{rate} events/s{shape} into {topic}, {end}{pause}; event time {time}"),
        format!(
            "{shards} shards over {}",
            count(u64::from(*replicas), "replica", "replicas")
        ),
    ]
}

fn references(references: &[Reference]) -> Vec<String> {
    let rows: Vec<Vec<String>> = references
        .iter()
        .map(|reference| {
            let source = match &reference.source {
                ReferenceSource::Generated(table) => table.clone(),
                ReferenceSource::Csv(csv) => format!("csv {}", name_of(&csv.path)),
            };
            vec![reference.name.to_string(), source, reference.key.join(", ")]
        })
        .collect();
    if rows.is_empty() {
        Vec::new()
    } else {
        columns(&["TABLE", "FROM", "KEY"], &[Align::Left; 3], &rows, usize::MAX)
    }
}

fn table(planned: &PlannedTable<'_>) -> Vec<String> {
    let table = planned.table;
    let write = match &table.write {
        WriteMode::Append => "append".to_owned(),
        WriteMode::InsertOnce { key } => format!("insert once by ({})", key.join(", ")),
        WriteMode::Upsert { key, latest_by: None } => {
            format!("upsert by ({}), the last one wins", key.join(", "))
        }
        WriteMode::Upsert {
            key,
            latest_by: Some(column),
        } => {
            format!("upsert by ({}), the latest {column} wins", key.join(", "))
        }
        WriteMode::Merge { key, columns } => {
            let merged: Vec<String> = columns
                .iter()
                .map(|column| {
                    format!(
                        "{}({})",
                        format!("{:?}", column.function).to_lowercase(),
                        column.name
                    )
                })
                .collect();
            format!("merge by ({}): {}", key.join(", "), merged.join(", "))
        }
    };
    let mut lines = vec![format!("{}  {write}", table.name)];
    let key = table.write.key();
    let rows: Vec<Vec<String>> = planned
        .columns
        .iter()
        .map(|(name, data_type)| {
            let note = if key.contains(name) { "key" } else { "" };
            vec![name.clone(), data_type.clone(), note.to_owned()]
        })
        .collect();
    lines.extend(indented(&["COLUMN", "TYPE", ""], &rows));
    lines.extend(
        table
            .indexes
            .iter()
            .map(|index| format!("  index ({})", index.join(", "))),
    );
    lines
}

fn models(pipeline: &Pipeline, style: Style) -> Vec<String> {
    let row = |model: &Model| {
        let from = match &model.kind {
            ModelKind::Sql(_) => "its query".to_owned(),
            ModelKind::Recommender(recommender) => format!(
                "{} {} for each {} of {}",
                recommender.top, recommender.item, recommender.user, recommender.interactions
            ),
        };
        vec![model.name.to_string(), model.schedule.to_string(), from]
    };
    let rows: Vec<Vec<String>> = pipeline.models.iter().map(row).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    columns(
        &["TABLE", "SCHEDULE", "FROM"],
        &[Align::Left; 3],
        &rows,
        style.width - 2,
    )
}

fn reports(pipeline: &Pipeline, style: Style) -> Vec<String> {
    let rows: Vec<Vec<String>> = pipeline
        .reports
        .iter()
        .map(|report| {
            vec![
                report.name.clone(),
                format!("{:?}", report.chart).to_lowercase(),
                report.title.clone(),
            ]
        })
        .collect();
    if rows.is_empty() {
        Vec::new()
    } else {
        columns(
            &["NAME", "CHART", "TITLE"],
            &[Align::Left; 3],
            &rows,
            style.width - 2,
        )
    }
}

/// What the operator makes of the manifest.
fn anywhere(pipeline: &Pipeline, objects: &Result<Vec<Planned>, String>) -> Vec<String> {
    let row = |kind: &str, name: String, what: String| vec![kind.to_owned(), name, what];
    let objects = match objects {
        Ok(objects) => objects,
        Err(why) => return vec![format!("none: {why}")],
    };
    let mut rows: Vec<Vec<String>> = pipeline
        .topics
        .iter()
        .map(|topic| {
            let partitions = count(topic.partitions as u64, "partition", "partitions");
            row("Kafka topic", topic.name.to_string(), partitions)
        })
        .collect();
    if let Some(generator) = &pipeline.generator {
        let shards = count(u64::from(generator.shards), "partition", "partitions");
        rows.push(row(
            "Kafka topic",
            pipeline.generator_shards_topic(),
            format!("{shards}, always empty: the shards' checkpoints"),
        ));
    }
    // The end of its name is a hash of all that it does, secrets included.
    let prepare = format!("{}-prepare-", pipeline.name);
    rows.extend(objects.iter().map(|object| {
        let name = match object.name.strip_prefix(&prepare) {
            Some(_) => format!("{prepare}…"),
            None => object.name.clone(),
        };
        row(object.kind, name, purpose(pipeline, object))
    }));
    columns(&["KIND", "NAME", ""], &[Align::Left; 3], &rows, usize::MAX)
}

fn purpose(pipeline: &Pipeline, object: &Planned) -> String {
    let what = match object.kind {
        "ConfigMap" => "the manifest, for the pods",
        "Job" => "makes tables and loads references first",
        "CronJob" => "makes a model's table anew, as scheduled",
        "NetworkPolicy" => "brokers, sink, DNS and metrics only",
        "Deployment" if object.name.ends_with("-worker") => return workers(&pipeline.scaling),
        "Deployment" => {
            let replicas = pipeline
                .generator
                .as_ref()
                .map_or(0, |generator| generator.replicas);
            return count(u64::from(replicas), "replica", "replicas");
        }
        _ => "",
    };
    what.to_owned()
}

fn indented(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    columns(headings, &[Align::Left; 3], rows, usize::MAX)
        .into_iter()
        .map(|line| format!("  {line}"))
        .collect()
}

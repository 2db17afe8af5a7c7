//! Everything that is there before the first record and after the last: broker, topics, sink, and the audit.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use api::Pipeline;
use generator::music::Music;
use jiff::Timestamp;
use kafka::admin::{TopicOutcome, TopicPlan, ensure_topics};
use kafka::broker::Access;
use kafka::client::client_config;
use kafka::lag::{Isolation, LagReader};
use kafka::librdkafka::{ClientConfig, EmbeddedBroker};
use reports::parameter::Given;
use reports::report::Asking;
use reports::span::Span;
use reports::sql::Tables;
use runtime::exit::Exit;
use runtime::secrets::Secrets;
use sinks::Sink;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use worker::models::Models;
use worker::prepare::prepare;

use super::UpArgs;
use super::place::{self, Place};
use super::view::View;
use crate::audit::{AuditResult, Clients, KafkaAccess, examine, irregularities, summary};
use crate::check::check;
use crate::error::CliError;
use crate::report::{self, answers};
use crate::style::{count, grouped};
use crate::target::{KafkaChoice, SinkChoice, load};

/// What brokers know the connections of this command by.
const CLIENT_ID: &str = "streampipeline-up";

/// For topics to be made.
const TOPICS: Duration = Duration::from_mins(1);

/// What a run stands on.
pub(super) struct Stage {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) secrets: Secrets,
    /// Access to the brokers.
    pub(super) client: ClientConfig,
    /// Looks at them.
    pub(super) lags: Arc<LagReader>,
    pub(super) sink: Sink,
    /// What is made anew from the tables; none without models.
    pub(super) models: Option<Arc<Models>>,
    /// What reports may select from.
    tables: Tables,
    /// The generator's source; none without a generator.
    pub(super) music: Option<Arc<Music>>,
    /// Records that were stored before this run.
    pub(super) stored_before: u64,
    /// Sink and broker are empty, and the sink is not prepared yet.
    pub(super) is_new: bool,
    pub(super) broker: Option<EmbeddedBroker>,
    _place: Option<Place>,
}

impl Stage {
    /// Makes everything ready, a line for each step.
    pub(super) async fn set(up: &UpArgs, view: &mut View) -> Result<Self, CliError> {
        let mut pipeline = load(&up.pipeline.file, &up.overrides())?;
        let plans = check(&up.pipeline.file, &pipeline).await?;
        let secrets = up.pipeline.secrets();
        // The catalogue takes a moment: it is made while the sink is prepared.
        let music = source(&pipeline);
        let embedded = up.kafka == KafkaChoice::Embedded;
        let place = claim(up, &pipeline, view).await?;

        let broker = if embedded {
            let topics = pipeline.topics.iter();
            let topics = topics.map(|topic| (topic.name.to_string(), topic.partitions));
            Some(EmbeddedBroker::start(topics.collect())?)
        } else {
            None
        };
        if let Some(broker) = &broker {
            pipeline.kafka.bootstrap_servers = vec![broker.address().to_owned()];
        }
        let client = client_config(&pipeline.kafka, &secrets, CLIENT_ID)?;
        let access = Access::new(&pipeline.kafka, &secrets, CLIENT_ID)?;
        topics(&pipeline, &client, embedded, view).await?;

        let sink = Sink::open(&pipeline, Vec::new(), &secrets).await?;
        let models = Models::new(&pipeline, &plans, sink.clone());
        let tables = report::tables(&pipeline, &plans).await?;
        let mut stage = Self {
            tables,
            models: (!pipeline.models.is_empty()).then(|| Arc::new(models)),
            sink,
            pipeline: Arc::new(pipeline),
            secrets,
            client,
            lags: Arc::new(LagReader::new(access, Isolation::ReadCommitted)),
            music: None,
            stored_before: 0,
            is_new: embedded && up.sink == SinkChoice::Embedded,
            broker,
            _place: place,
        };
        if !stage.is_new {
            stage.prepare(view).await?;
            stage.stored_before = stage.stored(embedded).await?;
        }
        if let Some(music) = music {
            let music = music.await.map_err(|_| died("the generator's source"))??;
            stage.music = Some(Arc::new(music));
        }
        Ok(stage)
    }

    /// Makes the tables and loads the references.
    pub(super) async fn prepare(&self, view: &mut View) -> Result<(), CliError> {
        let (lines, mut told) = mpsc::unbounded_channel();
        let (pipeline, secrets) = (Arc::clone(&self.pipeline), self.secrets.clone());
        let tell = move |line| {
            // Nobody listens any more only when the run is given up.
            let _ = lines.send(line);
        };
        let task = tokio::spawn(async move { prepare(&pipeline, &secrets, tell).await });
        while let Some(line) = told.recv().await {
            view.step(&format!("sink: {line}"))?;
        }
        task.await.map_err(|_| died("preparing the sink"))??;
        let Pipeline {
            tables,
            references,
            models,
            ..
        } = self.pipeline.as_ref();
        let tables = tables.len() + references.len() + models.len();
        view.step(&format!(
            "sink: {} ready",
            count(tables as u64, "table", "tables")
        ))
    }

    /// Records that the sink has already.
    async fn stored(&self, embedded: bool) -> Result<u64, CliError> {
        let positions = self.sink.positions().await?;
        if embedded && !positions.is_empty() {
            return Err(CliError::Usage(
                "the sink has positions of other brokers, where the embedded one begins anew: use --kafka manifest, or a \
                 sink without them"
                    .to_owned(),
            ));
        }
        let state = |json: &str| worker::state::PartitionState::from_json(json).ok();
        let states = positions
            .iter()
            .filter_map(|position| state(position.state.as_deref()?));
        Ok(states.map(|state| state.records).sum())
    }

    /// What the audit is to ask; `produced` are this run's events.
    pub(super) fn access(&self, produced: u64) -> KafkaAccess {
        let clients = Clients {
            config: self.client.clone(),
            lags: Arc::clone(&self.lags),
        };
        match (&self.broker, &self.music) {
            (Some(_), Some(_)) => KafkaAccess::Embedded(clients, produced),
            _ => KafkaAccess::Checkpoints(clients),
        }
    }

    /// Looks at everything.
    pub(super) async fn examine(&self, produced: u64) -> Result<AuditResult, CliError> {
        examine(&self.pipeline, &self.sink, &self.access(produced)).await
    }

    /// The last words: audit, rows, reports, and how to ask again.
    pub(super) async fn conclude(
        &self,
        up: &UpArgs,
        result: &AuditResult,
        view: &mut View,
    ) -> Result<Exit, CliError> {
        let style = view.style();
        let mut text = String::from("\n");
        for (table, rows) in &result.rows {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{table:<40} {:>14} rows written", grouped(*rows));
        }
        for line in irregularities(result) {
            let _ = writeln!(text, "{}", style.red(line));
        }
        let _ = writeln!(text, "{}\n", summary(result, style));
        view.print(&text)?;
        if let Some(models) = &self.models {
            for model in models.all() {
                let rows = models.run(model).await?;
                view.print(&format!("{}\n", crate::model::line(model, rows)))?;
            }
            view.print("\n")?;
        }
        let reports: Vec<&api::Report> = self.pipeline.reports.iter().collect();
        if !reports.is_empty() {
            // Events that were due in the run's last microsecond belong to it.
            let now = Timestamp::now() + Duration::from_secs(1);
            let asking = Asking {
                sink: &self.sink,
                tables: &self.tables,
                span: Span::usual(&self.pipeline, now),
                now,
                given: &Given::new(),
            };
            // What is wrong with a report stands in its place; the run is judged by its audit.
            view.print(&answers(&asking, &reports, style).await?.text)?;
        }
        if up.sink == SinkChoice::Embedded && !reports.is_empty() {
            let file = up.pipeline.file.display();
            view.print(&format!(
                "\nask again: streampipeline report -f {file} --sink embedded{}\n",
                data(up)
            ))?;
        }
        // Others may fill the topics of a pipeline without a generator for ever.
        let left = self.pipeline.generator.is_some() && result.unread() != Some(0);
        Ok(if result.is_clean() && !left {
            Exit::Success
        } else {
            Exit::AuditFailed
        })
    }
}

/// The argument that names the data folder, where it is not the usual one.
fn data(up: &UpArgs) -> String {
    if up.data == std::path::Path::new(crate::target::DATA) {
        String::new()
    } else {
        format!(" --data {}", up.data.display())
    }
}

/// Begins to make the generator's source.
fn source(pipeline: &Pipeline) -> Option<JoinHandle<Result<Music, generator::music::MusicError>>> {
    let generator = pipeline.generator.clone()?;
    Some(tokio::task::spawn_blocking(move || Music::load(&generator)))
}

/// The embedded sink's file, for this run alone; with the embedded broker it begins anew.
async fn claim(up: &UpArgs, pipeline: &Pipeline, view: &mut View) -> Result<Option<Place>, CliError> {
    let kafka = match &up.kafka {
        KafkaChoice::Embedded => "embedded Kafka".to_owned(),
        _ => format!("Kafka {}", pipeline.kafka.bootstrap_servers.join(",")),
    };
    let (sink, place) = match (pipeline.sink.file(), &up.sink) {
        (Some(path), SinkChoice::Embedded) => {
            let place = Place::claim(path)?;
            let begun = if up.kafka != KafkaChoice::Embedded {
                "kept"
            } else if place::begin_afresh(path).await? {
                "begun anew, as the embedded Kafka is"
            } else {
                "new"
            };
            let file = crate::target::embedded_file(&up.data, pipeline.name.as_str());
            (format!("SQLite file {} ({begun})", file.display()), Some(place))
        }
        _ => (pipeline.sink.place(), None),
    };
    view.step(&format!("pipeline {}: {kafka}, {sink}", pipeline.name))?;
    Ok(place)
}

async fn topics(
    pipeline: &Pipeline,
    client: &ClientConfig,
    embedded: bool,
    view: &mut View,
) -> Result<(), CliError> {
    let plans: Vec<TopicPlan> = pipeline.topics.iter().map(TopicPlan::from).collect();
    let created = |plan: &TopicPlan| TopicOutcome::Created {
        partitions: plan.partitions,
    };
    let outcomes = if embedded {
        plans.iter().map(created).collect()
    } else {
        ensure_topics(client, &plans, TOPICS).await?
    };
    for (plan, outcome) in plans.iter().zip(outcomes) {
        let done = match outcome {
            TopicOutcome::Created { partitions } => format!("made with {}", partitions_text(partitions)),
            TopicOutcome::Raised { from, to } => format!("raised from {from} to {}", partitions_text(to)),
            TopicOutcome::Unchanged { partitions } => format!("there with {}", partitions_text(partitions)),
        };
        view.step(&format!("topic {}: {done}", plan.name))?;
    }
    Ok(())
}

fn partitions_text(partitions: i32) -> String {
    count(partitions.unsigned_abs().into(), "partition", "partitions")
}

pub(super) fn died(what: &str) -> CliError {
    CliError::Failed(format!("a defect: {what} ended unexpectedly"))
}

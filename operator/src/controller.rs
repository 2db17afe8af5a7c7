//! Runs reconciles: for what the watches, Kafka and the clock ask for, so many at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use runtime::backoff::Backoff;
use runtime::health::Health;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::kafka::{KafkaClient, MonitorConfig, Monitors};
use crate::metrics::Metrics;
use crate::names::PipelineKey;
use crate::objects::Defaults;
use crate::reconcile::context::Context;
use crate::reconcile::dereference::SecretCache;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::events::Events;
use crate::reconcile::{reconcile, unreadable};
use crate::watch::index::Index;
use crate::watch::{self, Guarded, Ready, WatchScope};

/// What a controller is started with.
pub struct ControllerSettings {
    pub client: Client,
    /// Asked off the reconcile path.
    pub kafka: Arc<dyn KafkaClient>,
    /// How often, and with how much patience, Kafka is read.
    pub monitors: MonitorConfig,
    pub defaults: Defaults,
    /// Only this namespace; everywhere if absent.
    pub namespace: Option<String>,
    /// Reconciles at the same time.
    pub concurrency: u16,
    /// This process's name in events.
    pub instance: String,
    pub metrics: Metrics,
    /// Gets a condition and a heartbeat.
    pub health: Health,
    /// Time, for people; pauses are measured by the monotonic clock.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Between attempts of a reconcile that failed.
const RETRY: Backoff = Backoff {
    initial: Duration::from_secs(1),
    max: Duration::from_mins(1),
};
/// A name that is taken is not free again soon.
const CONFLICT: Duration = Duration::from_secs(30);
/// Changes of one moment are one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// Longest that a reconcile may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// What is remembered of pipelines that are gone goes after this.
const SWEEP: Duration = Duration::from_secs(30);
/// Between signs of life.
const BEAT: Duration = Duration::from_secs(1);
/// A controller that has done nothing for so long hangs.
const STUCK: Duration = Duration::from_mins(2);

/// Reconciles until `shutdown` is cancelled and the reconciles under way are done.
pub async fn run(settings: ControllerSettings, shutdown: CancellationToken) {
    let ControllerSettings {
        client,
        kafka,
        monitors,
        defaults,
        namespace,
        concurrency,
        instance,
        metrics,
        health,
        clock,
    } = settings;
    let scope = WatchScope {
        client: client.clone(),
        namespace,
    };
    let (news, observed) = mpsc::channel::<PipelineKey>(1024);
    let index = Arc::new(Index::default());
    let ready = Arc::new(Ready::default());
    let (store, pipelines) = watch::pipelines(&scope);
    let context = Arc::new(Context {
        store: store.clone(),
        events: Events::new(client.clone(), instance),
        client,
        defaults,
        index: Arc::clone(&index),
        secrets: SecretCache::default(),
        monitors: Arc::new(Monitors::new(kafka, monitors, news, metrics.clone())),
        metrics,
        pod_monitors: AtomicBool::new(false),
        clock,
        pipelines: Mutex::default(),
        resting: Mutex::default(),
    });

    let known = {
        let (context, store) = (Arc::clone(&context), store.clone());
        move || {
            context.pod_monitors.store(true, Ordering::Relaxed);
            tracing::info!(pipelines = store.len(), "the cluster knows PodMonitors");
        }
    };
    let requests = stream::select_all([
        pipelines,
        watch::owned(&scope, &index, &ready),
        watch::secrets(&scope, &index, &ready, &store),
        watch::pod_monitors(scope.clone(), &index, &ready, known),
        news_from_kafka(observed, &context),
    ]);
    let in_order = requests.take_until(shutdown.clone().cancelled_owned());
    let condition = health.condition("controller");
    let heartbeat = health.heartbeat("controller", STUCK);
    let listed = Arc::clone(&ready);
    let work = applier(
        move |guard: Arc<Guarded>, context: Arc<Context>| {
            let ready = Arc::clone(&ready);
            async move {
                // What a list has not shown yet is not absent.
                ready.wait().await;
                one(&guard, &context).await
            }
            .boxed()
        },
        |guard: Arc<Guarded>, error: &ReconcileError, context: Arc<Context>| retry(&guard, error, &context),
        Arc::clone(&context),
        store.clone(),
        in_order.map_err(WatchBroke),
        Config::default().debounce(DEBOUNCE).concurrency(concurrency),
    );
    let sweeping = sweep(&context, &store);
    let mut work = std::pin::pin!(work);
    let mut sweeping = std::pin::pin!(sweeping);
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            done = work.next() => match done {
                Some(result) => report(result.err().as_ref()),
                None => return,
            },
            () = &mut sweeping => {}
            _ = beat.tick() => {
                heartbeat.beat();
                context.metrics.set_pipelines(store.len());
                let pipelines = store.wait_until_ready().now_or_never();
                condition.set(match pipelines {
                    Some(_) => listed.state(),
                    None => Err("waiting for the first list of StreamPipeline".to_owned()),
                });
            }
        }
    }
}

/// An error of a watch, for `applier`, which wants an error that is one.
#[derive(Debug, thiserror::Error)]
#[error("a watch broke off and is begun again")]
struct WatchBroke(#[source] kube::runtime::watcher::Error);

/// News from Kafka; not those about pipelines that wait before they are tried again.
fn news_from_kafka(news: mpsc::Receiver<PipelineKey>, context: &Arc<Context>) -> watch::Requests {
    let context = Arc::clone(context);
    stream::unfold((news, context), |(mut news, context)| async {
        loop {
            let key = news.recv().await?;
            let rests = context
                .resting()
                .get(&key)
                .is_some_and(|until| Instant::now() < *until);
            if !rests {
                let reference = ObjectRef::new(&key.1).within(&key.0);
                return Some((Ok(reference), (news, context)));
            }
        }
    })
    .boxed()
}

async fn one(guard: &Guarded, context: &Context) -> Result<Action, ReconcileError> {
    let meta = guard.meta();
    let span = tracing::info_span!(
        "reconcile",
        namespace = meta.namespace.as_deref().unwrap_or_default(),
        pipeline = meta.name.as_deref().unwrap_or_default(),
        generation = meta.generation.unwrap_or_default(),
    );
    let work = async {
        match &guard.0 {
            Ok(resource) => reconcile(resource, context).await,
            Err(invalid) => unreadable::reconcile(invalid, context).await,
        }
    };
    // A call that is never answered must not hold a pipeline without end.
    let within = tokio::time::timeout(PATIENCE, work.instrument(span)).await;
    within.unwrap_or(Err(ReconcileError::TimedOut(PATIENCE)))
}

fn retry(guard: &Guarded, error: &ReconcileError, context: &Context) -> Action {
    let key = (guard.namespace().unwrap_or_default(), guard.name_any());
    let memory = context.memory(&key);
    // The reconcile is over, so nobody holds it.
    let attempt = memory.try_lock().map_or(0, |mut memory| {
        memory.failures = memory.failures.saturating_add(1);
        memory.failures - 1
    });
    let delay = RETRY.delay(attempt, rand::random());
    let delay = if error.category() == "NameConflict" {
        delay.max(CONFLICT)
    } else {
        delay
    };
    if let Some(until) = Instant::now().checked_add(delay) {
        context.resting().insert(key.clone(), until);
    }
    tracing::warn!(
        namespace = key.0,
        pipeline = key.1,
        category = error.category(),
        error = runtime::report::line(error),
        again_in = ?delay,
        "a reconcile failed"
    );
    Action::requeue(delay)
}

/// Errors of reconciles are logged where they happen; these are of the machinery around them.
fn report(error: Option<&kube::runtime::controller::Error<ReconcileError, WatchBroke>>) {
    use kube::runtime::controller::Error;
    match error {
        Some(Error::QueueError(error)) => {
            tracing::warn!(error = runtime::report::line(error), "watching");
        }
        Some(Error::RunnerError(error)) => tracing::error!(%error, "the controller"),
        // Gone meanwhile, which is no error.
        Some(Error::ObjectNotFound(_) | Error::ReconcilerFailed(..)) | None => {}
    }
}

async fn sweep(context: &Context, store: &Store<Guarded>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let there = |key: &PipelineKey| store.get(&ObjectRef::new(&key.1).within(&key.0)).is_some();
        context.retain(there);
    }
}

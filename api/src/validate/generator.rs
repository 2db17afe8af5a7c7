//! `spec.generator`.

use super::music;
use super::problem::Report;
use super::values::{duration, exactly_one, narrow};
use crate::crd::{
    BURST_TOO_LONG, BurstsSpec, DAY_PERIOD, DAY_WITHOUT_EVENTS, DaySpec, EMPTY_LIMIT, EMPTY_WINDOW,
    EventTimeSpec, GeneratorSpec, IDLE_REPLICAS, LimitSpec, MAX_GENERATED_PARTITIONS, MAX_RATE,
    NO_SUCH_TOPIC, ONE_EVENT_TIME, ONE_SHAPE, ONE_SOURCE, RATE, SOURCE_NOT_AVAILABLE, ShapeSpec,
    TOO_MANY_PARTITIONS, TopicSpec, WHICH_TOPIC, WindowSpec,
};
use crate::{EventTime, Generator, GeneratorLimit, RateShape, Source, TopicName};

const PATH: &str = "spec.generator";

pub(super) fn generator(
    spec: &GeneratorSpec,
    paused: bool,
    topics: &[TopicSpec],
    report: &mut Report,
) -> Option<Generator> {
    let topic = topic(spec, topics, report);
    rate(spec.rate, &format!("{PATH}.rate"), report);
    if spec.replicas > spec.shards {
        report.broken(format!("{PATH}.replicas"), IDLE_REPLICAS);
    }
    let source = source(spec, report);
    let shape = match &spec.shape {
        Some(shape) => self::shape(shape, report),
        None => Some(RateShape::Constant),
    };
    let event_time = match &spec.event_time {
        Some(event_time) => self::event_time(event_time, report),
        None => Some(EventTime::Now),
    };
    let limit = match &spec.limit {
        Some(limit) => self::limit(limit, report),
        None => GeneratorLimit::default(),
    };
    Some(Generator {
        source: source?,
        topic: topic?,
        rate: spec.rate,
        shape: shape?,
        event_time: event_time?,
        seed: narrow(spec.seed),
        shards: narrow(spec.shards),
        replicas: narrow(spec.replicas),
        limit,
        paused,
    })
}

/// The topic that is filled: it has to be there, and to have the fields that the source writes.
fn topic(spec: &GeneratorSpec, topics: &[TopicSpec], report: &mut Report) -> Option<TopicName> {
    let found = match (&spec.topic, topics) {
        (Some(name), _) => topics.iter().enumerate().find(|(_, topic)| topic.name == *name),
        (None, [only]) => Some((0, only)),
        // No topic at all is reported as such.
        (None, []) => return None,
        (None, _) => {
            report.broken(PATH, WHICH_TOPIC);
            return None;
        }
    };
    let Some((index, topic)) = found else {
        report.broken(format!("{PATH}.topic"), NO_SUCH_TOPIC);
        return None;
    };
    if topic.partitions > MAX_GENERATED_PARTITIONS {
        report.broken(format!("spec.topics[{index}].partitions"), TOO_MANY_PARTITIONS);
    }
    if spec.music.is_some() {
        music::check_fields(&topic.fields, &format!("spec.topics[{index}].fields"), report);
    }
    TopicName::new(&topic.name).ok()
}

/// NaN is refused as well.
fn rate(rate: f64, path: &str, report: &mut Report) {
    if !(rate > 0.0 && rate <= MAX_RATE) {
        report.broken(path, RATE);
    }
}

fn source(spec: &GeneratorSpec, report: &mut Report) -> Option<Source> {
    let reserved = [
        ("listeners", spec.listeners.is_some()),
        ("eventsim", spec.eventsim.is_some()),
        ("productViews", spec.product_views.is_some()),
        ("fields", spec.fields.is_some()),
    ];
    for (name, _) in reserved.iter().filter(|(_, set)| *set) {
        report.broken(format!("{PATH}.{name}"), SOURCE_NOT_AVAILABLE);
    }
    let mut members = vec![spec.music.is_some()];
    members.extend(reserved.iter().map(|(_, set)| *set));
    exactly_one(&members, PATH, ONE_SOURCE, report);
    spec.music
        .as_ref()
        .map(|music| Source::Music(music::music(music, report)))
}

fn shape(spec: &ShapeSpec, report: &mut Report) -> Option<RateShape> {
    let path = format!("{PATH}.shape");
    exactly_one(
        &[spec.bursts.is_some(), spec.day.is_some()],
        &path,
        ONE_SHAPE,
        report,
    );
    let bursts = spec
        .bursts
        .as_ref()
        .map(|bursts| self::bursts(bursts, &format!("{path}.bursts"), report));
    let day = spec
        .day
        .as_ref()
        .map(|day| self::day(day, &format!("{path}.day"), report));
    bursts.or(day).flatten()
}

fn bursts(spec: &BurstsSpec, path: &str, report: &mut Report) -> Option<RateShape> {
    rate(spec.rate, &format!("{path}.rate"), report);
    let every = duration(&spec.every, &format!("{path}.every"), report);
    let lasting = duration(&spec.lasting, &format!("{path}.lasting"), report);
    let (every, lasting) = every.zip(lasting)?;
    if lasting >= every {
        report.broken(format!("{path}.lasting"), BURST_TOO_LONG);
    }
    Some(RateShape::Bursts {
        every,
        lasting,
        rate: spec.rate,
    })
}

fn day(spec: &DaySpec, path: &str, report: &mut Report) -> Option<RateShape> {
    if !spec.weights.iter().any(|weight| *weight > 0.0) {
        report.broken(format!("{path}.weights"), DAY_WITHOUT_EVENTS);
    }
    let period = duration(&spec.period, &format!("{path}.period"), report)?;
    if period.as_secs() < 1 {
        report.broken(format!("{path}.period"), DAY_PERIOD);
    }
    Some(RateShape::Day {
        weights: spec.weights.clone(),
        period,
    })
}

fn event_time(spec: &EventTimeSpec, report: &mut Report) -> Option<EventTime> {
    let path = format!("{PATH}.eventTime");
    exactly_one(
        &[spec.now.is_some(), spec.window.is_some()],
        &path,
        ONE_EVENT_TIME,
        report,
    );
    match &spec.window {
        Some(window) => self::window(window, &format!("{path}.window"), report),
        None => Some(EventTime::Now),
    }
}

fn window(spec: &WindowSpec, path: &str, report: &mut Report) -> Option<EventTime> {
    let mut instant = |text: &str, name: &str| {
        let parsed = text.parse();
        if parsed.is_err() {
            let remedy = "write date, time and zone such as 2026-01-31T12:00:00Z";
            report.add(
                format!("{path}.{name}"),
                format!("{text:?} is not an instant"),
                remedy,
            );
        }
        parsed.ok()
    };
    let (from, to): (Option<jiff::Timestamp>, Option<jiff::Timestamp>) =
        (instant(&spec.from, "from"), instant(&spec.to, "to"));
    let (from, to) = from.zip(to)?;
    if from >= to {
        report.broken(path, EMPTY_WINDOW);
    }
    Some(EventTime::Window { from, to })
}

fn limit(spec: &LimitSpec, report: &mut Report) -> GeneratorLimit {
    let path = format!("{PATH}.limit");
    if spec.count.is_none() && spec.duration.is_none() {
        report.broken(&path, EMPTY_LIMIT);
    }
    GeneratorLimit {
        count: spec.count.map(narrow),
        duration: spec
            .duration
            .as_ref()
            .and_then(|text| duration(text, &format!("{path}.duration"), report)),
    }
}

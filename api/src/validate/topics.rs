//! `spec.topics[]`.

use super::names::unique;
use super::problem::Report;
use super::values::{fields, narrow};
use crate::crd::{EVENT_TIME_FIELD, TOPIC_NAME, TopicSpec};
use crate::{FieldType, Topic, TopicName};

pub(super) fn topics(specs: &[TopicSpec], report: &mut Report) -> Option<Vec<Topic>> {
    let paths = (0..).map(|index| format!("spec.topics[{index}].name"));
    unique(
        specs.iter().map(|spec| spec.name.as_str()).zip(paths),
        "topic",
        report,
    );
    let topics: Vec<Option<Topic>> = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| topic(spec, &format!("spec.topics[{index}]"), report))
        .collect();
    topics.into_iter().collect()
}

fn topic(spec: &TopicSpec, path: &str, report: &mut Report) -> Option<Topic> {
    let name = TopicName::new(&spec.name).ok();
    if name.is_none() {
        report.broken(format!("{path}.name"), TOPIC_NAME);
    }
    let fields = fields(&spec.fields, &format!("{path}.fields"), report);
    if let Some(event_time) = &spec.event_time {
        // A field whose type is not understood is reported as such, and may be meant as a timestamp.
        let understood = fields.iter().find(|field| field.name == *event_time);
        let fits = match understood {
            Some(field) => matches!(field.data_type, FieldType::Timestamp(_)),
            None => spec.fields.contains_key(event_time),
        };
        if !fits {
            report.broken(format!("{path}.eventTime"), EVENT_TIME_FIELD);
        }
    }
    Some(Topic {
        name: name?,
        partitions: narrow(spec.partitions),
        replication_factor: narrow(spec.replication_factor),
        config: spec.config.clone(),
        fields,
        event_time: spec.event_time.clone(),
        start_from: spec.start_from,
    })
}

//! Committed offsets with what stands beside them: workers report there, and the generator keeps its checkpoints there.

use std::path::Path;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use crate::PATIENCE;

/// What a group has committed of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The consumer group.
    pub group: String,
    /// The partition's topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next record to read.
    pub offset: i64,
    /// The text beside the offset.
    pub metadata: String,
}

fn consumer(bootstrap: &str, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("isolation.level", "read_committed")
        .create()
        .unwrap()
}

/// What a group has committed of a topic.
#[must_use]
pub fn read(bootstrap: &str, group: &str, topic: &str) -> Vec<Committed> {
    let consumer = consumer(bootstrap, group);
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let partitions = i32::try_from(metadata.topics()[0].partitions().len()).unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, partitions - 1);
    let answer = consumer.committed_offsets(asked, PATIENCE).unwrap();
    let committed = answer.elements().into_iter().filter_map(|element| {
        let Offset::Offset(offset) = element.offset() else {
            return None;
        };
        Some(Committed {
            group: group.to_owned(),
            topic: topic.to_owned(),
            partition: element.partition(),
            offset,
            metadata: element.metadata().to_owned(),
        })
    });
    committed.collect()
}

/// Commits them again.
pub fn restore(bootstrap: &str, offsets: &[Committed]) {
    for of_group in offsets.chunk_by(|one, other| one.group == other.group) {
        let mut list = TopicPartitionList::new();
        for committed in of_group {
            let mut element = list.add_partition(&committed.topic, committed.partition);
            element.set_offset(Offset::Offset(committed.offset)).unwrap();
            element.set_metadata(&committed.metadata);
        }
        let consumer = consumer(bootstrap, &of_group[0].group);
        consumer.commit(&list, CommitMode::Sync).unwrap();
    }
}

/// Writes them as lines of JSON.
pub fn save(path: &Path, offsets: &[Committed]) {
    let lines = offsets
        .iter()
        .map(|committed| serde_json::to_string(committed).unwrap() + "\n");
    std::fs::write(path, lines.collect::<String>()).unwrap();
}

/// Reads what [`save`] wrote.
#[must_use]
pub fn load(path: &Path) -> Vec<Committed> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

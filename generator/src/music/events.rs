//! Plays and likes.

use crate::timestamp::TimestampFormat;

/// What a user did with a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    Streaming,
    Like,
}

impl EventType {
    /// `streaming` or `like`, as in the event's JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Streaming => "streaming",
            Self::Like => "like",
        }
    }
}

/// An event, but for its time when that is when it is produced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// 1..=users.
    pub user_id: u32,
    /// `track_id` of `music.tracks`.
    pub track_id: u32,
    pub event_type: EventType,
    /// When, microseconds since 1970; `None`: when it was due.
    pub time: Option<i64>,
}

/// Writes events as records. Holds what is reused from one to the next, so that none allocates.
#[derive(Debug, Clone)]
pub struct Encoder {
    timestamp: TimestampFormat,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            timestamp: TimestampFormat::new(),
            key: Vec::with_capacity(16),
            value: Vec::with_capacity(160),
        }
    }
}

impl Encoder {
    /// Key (the user id as decimal text) and value (JSON) of an event; `due` is its time if it has none.
    pub fn encode(&mut self, event: &Event, due: i64) -> (&[u8], &[u8]) {
        let mut integer = itoa::Buffer::new();
        self.key.clear();
        self.key
            .extend_from_slice(integer.format(event.user_id).as_bytes());
        let value = &mut self.value;
        value.clear();
        value.extend_from_slice(b"{\"user_id\":");
        value.extend_from_slice(&self.key);
        value.extend_from_slice(b",\"track_id\":");
        value.extend_from_slice(integer.format(event.track_id).as_bytes());
        value.extend_from_slice(b",\"event_timestamp\":\"");
        value.extend_from_slice(self.timestamp.format(event.time.unwrap_or(due)));
        value.extend_from_slice(b"\",\"event_type\":\"");
        value.extend_from_slice(event.event_type.as_str().as_bytes());
        value.extend_from_slice(b"\"}");
        (&self.key, &self.value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_record_is_as_documented() {
        let event = Event {
            user_id: 1,
            track_id: 2,
            event_type: EventType::Streaming,
            time: None,
        };
        let mut encoder = Encoder::default();
        let (key, value) = encoder.encode(&event, 1_795_240_101_123_456);
        assert_eq!(key, b"1");
        assert_eq!(
            std::str::from_utf8(value).unwrap(),
            r#"{"user_id":1,"track_id":2,"event_timestamp":"2026-11-21T05:48:21.123456Z","event_type":"streaming"}"#
        );
    }

    proptest! {
        #[test]
        fn values_are_json(user_id: u32, track_id: u32, like: bool, time in 0_i64..4_000_000_000_000_000) {
            let event_type = if like { EventType::Like } else { EventType::Streaming };
            let event = Event { user_id, track_id, event_type, time: Some(time) };
            let mut encoder = Encoder::default();
            let (_, value) = encoder.encode(&event, 0);
            let json: serde_json::Value = serde_json::from_slice(value).unwrap();
            prop_assert_eq!(json["user_id"].as_u64(), Some(u64::from(user_id)));
            prop_assert_eq!(json["track_id"].as_u64(), Some(u64::from(track_id)));
            prop_assert_eq!(json["event_type"].as_str(), Some(event_type.as_str()));
            let instant: jiff::Timestamp = json["event_timestamp"].as_str().unwrap().parse().unwrap();
            prop_assert_eq!(instant.as_microsecond(), time);
        }
    }
}

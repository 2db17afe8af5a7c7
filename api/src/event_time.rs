//! `spec.generator.eventTime`: what an event's own time says.

use jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::problem::Collector;
use crate::rule::RuleText;
use crate::schema::Nothing;
use crate::union::Union;

const TIMES: Union = Union::of("kind of event time", &["now", "window"]);

const EMPTY_WINDOW: RuleText = RuleText {
    problem: "the window ends before it begins",
    remedy: "set from to an instant before to",
};

/// What an event's own time says.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = TIMES.rule())]
pub struct EventTimeSpec {
    /// The instant when the event was due. Written as `now: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Nothing>,
    /// Any instant of a window, evenly: to fill history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowSpec>,
}

/// A span of time, its end excluded.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.from < self.to").message(EMPTY_WINDOW))]
pub struct WindowSpec {
    /// First instant. Example: `2026-01-01T00:00:00Z`.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub from: String,
    /// End, excluded. Example: `2026-02-01T00:00:00Z`.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub to: String,
}

/// What an event's own time says.
#[derive(Debug, Clone, PartialEq)]
pub enum EventTime {
    /// When it was due.
    Now,
    /// A uniform instant of the window `[from, to)`, deterministic from the seed.
    Window {
        /// First instant.
        from: Timestamp,
        /// End, excluded.
        to: Timestamp,
    },
}

pub(crate) fn event_time(spec: &EventTimeSpec, problems: &mut Collector) -> Option<EventTime> {
    let path = "spec.generator.eventTime";
    TIMES.check(spec, path, problems);
    match &spec.window {
        Some(window) => self::window(window, &format!("{path}.window"), problems),
        None => Some(EventTime::Now),
    }
}

fn window(spec: &WindowSpec, path: &str, problems: &mut Collector) -> Option<EventTime> {
    let mut instant = |text: &str, name: &str| {
        let parsed = text.parse();
        if parsed.is_err() {
            let remedy = "write date, time and zone such as 2026-01-31T12:00:00Z";
            problems.add(
                format!("{path}.{name}"),
                format!("{text:?} is not an instant"),
                remedy,
            );
        }
        parsed.ok()
    };
    let (from, to): (Option<Timestamp>, Option<Timestamp>) =
        (instant(&spec.from, "from"), instant(&spec.to, "to"));
    let (from, to) = from.zip(to)?;
    if from >= to {
        problems.broken(path, EMPTY_WINDOW);
    }
    Some(EventTime::Window { from, to })
}

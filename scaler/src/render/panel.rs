//! One of the diagrams of a plot: values over time.

use std::fmt::Write as _;

use crate::number;

pub(super) const WIDTH: f64 = 860.0;
pub(super) const LEFT: f64 = 74.0;
const RIGHT: f64 = 20.0;
pub(super) const PANEL: f64 = 130.0;
pub(super) const GAP: f64 = 34.0;
pub(super) const TOP: f64 = 64.0;

/// A value's place: 0 at the bottom, 1 at the top.
pub(super) type Scale<'a> = &'a dyn Fn(f64) -> f64;

/// A diagram that is being drawn.
pub(super) struct Panel<'a> {
    text: &'a mut String,
    top: f64,
    seconds: f64,
}

impl<'a> Panel<'a> {
    pub(super) fn new(text: &'a mut String, index: u8, seconds: f64) -> Self {
        Self {
            text,
            top: TOP + f64::from(index) * (PANEL + GAP),
            seconds,
        }
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * seconds / self.seconds
    }

    fn y(&self, share: f64) -> f64 {
        self.top + PANEL * (1.0 - share.clamp(0.0, 1.0))
    }

    pub(super) fn frame(&mut self, title: &str, ticks: &[f64], scale: Scale<'_>) {
        let right = WIDTH - RIGHT;
        for tick in ticks {
            let y = self.y(scale(*tick));
            let _ = writeln!(
                self.text,
                "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#e8e8e8\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" \
                 fill=\"#555555\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                number::count(*tick)
            );
        }
        let _ = writeln!(
            self.text,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555555\">{title}</text>",
            right,
            self.top - 6.0
        );
    }

    pub(super) fn line(&mut self, points: &[(f64, f64)], colour: &str, width: f64, scale: Scale<'_>) {
        let mut path = String::new();
        for (index, (at, value)) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.x(*at), self.y(scale(*value)));
        }
        self.stroke(&path, colour, width);
    }

    pub(super) fn steps(&mut self, points: &[(f64, f64)], colour: &str, width: f64, scale: Scale<'_>) {
        let mut path = String::new();
        let mut before = None;
        for (at, value) in points {
            if before != Some(*value) {
                let (x, y) = (self.x(*at), self.y(scale(*value)));
                let _ = match before {
                    None => write!(path, "M{x:.1} {y:.1}"),
                    Some(_) => write!(path, "H{x:.1}V{y:.1}"),
                };
                before = Some(*value);
            }
        }
        let _ = write!(path, "H{:.1}", self.x(self.seconds));
        self.stroke(&path, colour, width);
    }

    /// What is needed, by the minute.
    pub(super) fn area(&mut self, demand: &[u32], scale: Scale<'_>) {
        let bottom = self.y(0.0);
        let mut path = format!("M{LEFT} {bottom:.1}");
        let mut before = None;
        for (minute, needed) in demand.iter().enumerate() {
            if before != Some(*needed) {
                let _ = write!(
                    path,
                    "H{:.1}V{:.1}",
                    self.x(minute as f64 * 60.0),
                    self.y(scale(f64::from(*needed)))
                );
                before = Some(*needed);
            }
        }
        let _ = writeln!(
            self.text,
            "<path d=\"{path}H{:.1}V{bottom:.1}Z\" fill=\"#dddddd\"/>",
            self.x(self.seconds)
        );
    }

    fn stroke(&mut self, path: &str, colour: &str, width: f64) {
        let _ = writeln!(
            self.text,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        );
    }

    /// The axis of time, below.
    pub(super) fn times(&mut self) {
        let hours = self.seconds / 3_600.0;
        let every = [0.25, 0.5, 1.0, 2.0, 3.0, 6.0, 12.0, 24.0]
            .into_iter()
            .find(|every| hours / every <= 9.0)
            .unwrap_or(48.0);
        let mut at = 0.0;
        while at <= hours + 1e-9 {
            let _ = writeln!(
                self.text,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555555\">{at} h</text>",
                self.x(at * 3_600.0),
                self.top + PANEL + 18.0
            );
            at += every;
        }
    }
}

//! What valgrind's cachegrind counts: instructions of a program, by the function that they stand in.

use std::path::Path;
use std::process::Command;

use super::places::{PLACES, place};
use crate::error::{BenchError, io};

/// Instructions at each of [`PLACES`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Profile(pub(super) [f64; PLACES.len()]);

impl Profile {
    pub(super) fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    /// What each item cost beyond those of a shorter run: the start and the end of the program cancel out.
    pub(super) fn each(&self, shorter: &Self, more: u64) -> Self {
        let mut each = *self;
        for (all, fewer) in each.0.iter_mut().zip(shorter.0) {
            *all = (*all - fewer) / more as f64;
        }
        each
    }
}

/// `command` under cachegrind, which writes its counts to `file` when the program ends. It takes thirty times as long.
pub(super) fn counting(command: &Command, file: &Path) -> Command {
    let mut counting = Command::new("valgrind");
    counting
        .args(["--tool=cachegrind", "--cache-sim=no", "--fair-sched=try"])
        .arg(format!("--cachegrind-out-file={}", file.display()))
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            counting.env(name, value);
        }
    }
    counting
}

/// Fails, with what to install, where there is no valgrind.
pub(super) fn check() -> Result<(), BenchError> {
    let found = Command::new("valgrind").arg("--version").output();
    found.map(drop).map_err(io(
        "valgrind, which counts instructions (Debian: apt-get install valgrind)",
    ))
}

pub(super) fn read(file: &Path) -> Result<Profile, BenchError> {
    let text = std::fs::read(file).map_err(io(&file.display().to_string()))?;
    let text = String::from_utf8_lossy(&text);
    parse(&text).ok_or_else(|| BenchError::NoFigure(file.display().to_string()))
}

/// `fn=NAME` begins a function, `LINE COUNT` is some of its instructions, and `summary: COUNT` ends the file.
fn parse(text: &str) -> Option<Profile> {
    let mut profile = Profile::default();
    let (mut at, mut sum) = (None, 0);
    for line in text.lines() {
        if let Some(function) = line.strip_prefix("fn=") {
            at = Some(place(function));
        } else if let Some(summary) = line.strip_prefix("summary:") {
            let whole = summary.trim().parse::<u64>().ok()? == sum;
            return whole.then_some(profile);
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            let count: u64 = line.split(' ').nth(1)?.parse().ok()?;
            *profile.0.get_mut(at?)? += count as f64;
            sum += count;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "desc: I1 cache:\ncmd: worker\nevents: Ir\nfl=/a/decode.rs\nfn=worker::decode::json::row\n10 7\n11 3\n\
                        fl=???\nfn=malloc\n0 5\nsummary: 15\n";

    #[test]
    fn counts_are_summed_by_place() {
        let profile = parse(TEXT).unwrap();
        assert!((profile.total() - 15.0).abs() < 1e-9);
        assert!((profile.0[place("worker::decode::json::row")] - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_file_that_ends_early_is_no_profile() {
        assert_eq!(parse(TEXT.split("summary").next().unwrap()), None);
        assert_eq!(parse(&TEXT.replace("malloc\n0 5", "malloc\n0 4")), None);
    }

    #[test]
    fn what_both_runs_have_cancels_out() {
        let (few, many) = (Profile([110.0; PLACES.len()]), Profile([1100.0; PLACES.len()]));
        assert_eq!(many.each(&few, 90), Profile([11.0; PLACES.len()]));
    }
}

//! CPU and memory of processes, from /proc.

use testbed::Process;

use crate::error::{BenchError, io};

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// CPU seconds, user and system.
    pub(crate) cpu: f64,
    /// Largest resident memory in MB.
    pub(crate) memory: f64,
}

/// Fields of `/proc/PID/stat` after the name in parentheses.
const OWN: [usize; 2] = [11, 12];
const CHILDREN: [usize; 2] = [13, 14];

/// What a running process has used.
pub(crate) fn usage(process: &Process) -> Result<Usage, BenchError> {
    let status = read(&format!("/proc/{}/status", process.pid()))?;
    let memory = status.lines().find_map(|line| {
        let kilobytes = line.strip_prefix("VmHWM:")?.split_whitespace().next()?;
        kilobytes.parse::<f64>().ok()
    });
    Ok(Usage {
        cpu: cpu(&read(&format!("/proc/{}/stat", process.pid()))?, OWN)?,
        memory: memory.ok_or(BenchError::NoFigure(status))? / 1024.0,
    })
}

/// CPU seconds of all programs that this one has run to their ends.
pub(crate) fn cpu_of_children() -> Result<f64, BenchError> {
    cpu(&read("/proc/self/stat")?, CHILDREN)
}

fn read(file: &str) -> Result<String, BenchError> {
    std::fs::read_to_string(file).map_err(io(file))
}

/// The sum of two fields, which are in hundredths of a second.
fn cpu(stat: &str, fields: [usize; 2]) -> Result<f64, BenchError> {
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let all: Vec<&str> = after_name.split(' ').collect();
    let ticks = |at: usize| all.get(at).and_then(|field| field.parse::<f64>().ok());
    let sum: Option<f64> = fields.into_iter().map(ticks).sum();
    sum.map(|ticks| ticks / 100.0)
        .ok_or_else(|| BenchError::NoFigure(stat.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_hides_nothing() {
        let stat = "7 (a) (b c) S 1 7 7 0 -1 4194304 1 2 3 4 150 50 30 20 20 0 1 0";
        assert!((cpu(stat, OWN).unwrap() - 2.0).abs() < 1e-9);
        assert!((cpu(stat, CHILDREN).unwrap() - 0.5).abs() < 1e-9);
        assert!(cpu("7 (a) S 1", OWN).is_err());
    }
}

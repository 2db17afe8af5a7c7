//! The worker alone: records that are fetched, decoded and put through SQL, and then go nowhere; next to Kafka's own
//! consumer, which fetches them and does nothing with them.

use super::drain::{PROGRAM, drain, prepare_if_known};
use crate::ROUNDS;
use crate::error::BenchError;
use crate::generator::preload;
use crate::measure::{Row, median, median_ratio, rate};
use crate::pipelines::{Pipeline, Sink, Table};
use crate::programs::Programs;
use crate::servers::Servers;

/// Three times those of the other topics: a JVM compiles itself during the first seconds, and is to have some more.
const EVENTS: u64 = 15_000_000;

/// Into `discard`, next to `ConsumerPerformance` over the same topic.
pub(crate) async fn consume(servers: &Servers, programs: &Programs) -> Result<Vec<Row>, BenchError> {
    if prepare_if_known(servers, programs, &pipeline("consume"))?.is_none() {
        return Ok(vec![Row {
            what: "worker into discard".to_owned(),
            figure: "this revision has no such sink".to_owned(),
            baseline: String::new(),
            ratio: None,
            goal: String::new(),
        }]);
    }
    let filler = Pipeline::new("consume", Table::Append);
    preload(servers, programs, &filler, EVENTS)?;
    // The broker compiles itself while it works, and reads its files into memory: not at the cost of whoever comes first.
    consumer_performance(servers, EVENTS).await?;
    let (mut ours, mut theirs, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Each in a group of its own, which has no committed offsets.
        let name = format!("consume-{round}");
        let manifest = servers.manifest(&pipeline(&name))?;
        let run = servers.command(programs, PROGRAM, &manifest, &["run"]);
        let drained = drain(run, "consume", EVENTS).await?;
        ours.push(drained.rate);
        cpu.push(drained.cpu);
        theirs.push(consumer_performance(servers, EVENTS).await?);
    }
    let ratio = median_ratio(&ours, &theirs);
    Ok(vec![Row {
        what: format!(
            "worker into discard, decode and SQL included ({:.2} CPU-µs a record)",
            median(cpu)
        ),
        figure: rate(median(ours)),
        baseline: format!("Kafka's ConsumerPerformance: {}", rate(median(theirs))),
        ratio: Some(ratio),
        goal: "≥ 2".to_owned(),
    }])
}

fn pipeline(name: &str) -> Pipeline<'_> {
    Pipeline {
        topic: "consume",
        sink: Sink::Discard,
        ..Pipeline::new(name, Table::Append)
    }
}

/// Records a second, without the time until the group has its partitions.
async fn consumer_performance(servers: &Servers, events: u64) -> Result<f64, BenchError> {
    let (bootstrap, events) = (servers.kafka.bootstrap(), events.to_string());
    let arguments = [
        "org.apache.kafka.tools.ConsumerPerformance",
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        "consume",
        "--num-records",
        &events,
        "--timeout",
        "60000",
    ];
    let output = servers.kafka.tool(&arguments).await?;
    column(&output, "fetch.nMsg.sec").ok_or(BenchError::NoFigure(output))
}

/// A figure of the last line, by its name in the first.
fn column(output: &str, name: &str) -> Option<f64> {
    let names = output.lines().find(|line| line.contains(name))?;
    let at = names.split(',').position(|column| column.trim() == name)?;
    output.lines().last()?.split(',').nth(at)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_by_its_name() {
        let output = "start.time, end.time, data.consumed.in.nMsg, nMsg.sec, fetch.nMsg.sec\n\
                      2026-01-01 00:00:00:000, 2026-01-01 00:00:04:000, 5000000, 1250000.0, 1666666.6\n";
        assert_eq!(column(output, "fetch.nMsg.sec"), Some(1_666_666.6));
        assert_eq!(column(output, "nMsg.sec"), Some(1_250_000.0));
        assert_eq!(column(output, "nothing"), None);
    }
}

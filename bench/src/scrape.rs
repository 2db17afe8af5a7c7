//! What a program says at `/metrics`: histograms and counters of Prometheus' text format.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An address for a program to serve its metrics at: a port that was free a moment ago.
pub(crate) async fn address() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0").await?.local_addr()
}

/// What stands at `/metrics` of `address` now.
pub(crate) async fn metrics(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

/// Observations so far, by bucket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scrape {
    /// All of them.
    pub(crate) count: u64,
    /// Upper bounds, and how many are at most that.
    buckets: Vec<(f64, u64)>,
}

impl Scrape {
    /// The histogram `name` without labels of its own.
    pub(crate) fn parse(text: &str, name: &str) -> Option<Self> {
        let bucket = format!("{name}_bucket{{le=\"");
        let buckets: Option<Vec<(f64, u64)>> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&bucket)?.split_once("\"} "))
            .map(|(bound, count)| Some((bound.replace("+Inf", "inf").parse().ok()?, count.parse().ok()?)))
            .collect();
        let buckets = buckets?;
        let (_, count) = *buckets.last()?;
        Some(Self { count, buckets })
    }

    /// What was observed after `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let buckets = self.buckets.iter().zip(&earlier.buckets);
        Self {
            count: self.count - earlier.count,
            buckets: buckets
                .map(|((bound, now), (_, then))| (*bound, now - then))
                .collect(),
        }
    }

    /// As Prometheus' `histogram_quantile`: within a bucket observations are taken to be spread evenly.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        let rank = quantile * self.count as f64;
        let (mut lower, mut below) = (0.0, 0);
        for (bound, count) in &self.buckets {
            if *count as f64 >= rank {
                let inside = (rank - below as f64) / (*count - below).max(1) as f64;
                return if bound.is_finite() {
                    lower + (bound - lower) * inside
                } else {
                    lower
                };
            }
            (lower, below) = (*bound, *count);
        }
        f64::NAN
    }
}

/// The counter `name` over all labels that are wanted. None: nothing has that name.
pub(crate) fn total(text: &str, name: &str, wanted: impl Fn(&str) -> bool) -> Option<u64> {
    let name = format!("{name}{{");
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix(&name)?.split_once("} "))
        .peekable();
    lines.peek()?;
    lines
        .filter(|(labels, _)| wanted(labels))
        .map(|(_, count)| Some(count.parse::<f64>().ok()? as u64))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_interpolated_in_its_bucket() {
        let text = |counts: [u32; 3]| {
            format!(
                "# TYPE d_seconds histogram\nd_seconds_sum 1.5\nd_seconds_bucket{{le=\"0.01\"}} {}\n\
                 d_seconds_bucket{{le=\"0.05\"}} {}\nd_seconds_bucket{{le=\"+Inf\"}} {}\n",
                counts[0], counts[1], counts[2]
            )
        };
        let parse = |counts| Scrape::parse(&text(counts), "d_seconds");
        let (first, last) = (parse([100, 100, 100]).unwrap(), parse([150, 200, 200]).unwrap());
        assert!((first.quantile(0.99) - 0.0099).abs() < 1e-9);
        assert_eq!(last.since(&first).count, 100);
        assert!((last.since(&first).quantile(0.75) - 0.03).abs() < 1e-9);
        assert!((parse([0, 0, 9]).unwrap().quantile(0.99) - 0.05).abs() < 1e-9);
        assert_eq!(Scrape::parse("", "d_seconds"), None);
    }
    #[test]
    fn a_counter_is_summed_over_what_is_wanted() {
        let text = "# TYPE c_total counter\nc_total{v=\"GET\"} 7\nc_total{v=\"PUT\",r=\"a\"} 2\nc_total{v=\"PUT\",r=\"b\"} 1.5e+06\n";
        let puts = |labels: &str| labels.contains("v=\"PUT\"");
        assert_eq!(total(text, "c_total", puts), Some(1_500_002));
        assert_eq!(total(text, "c_total", |_| false), Some(0));
        assert_eq!(
            total(text, "d_total", puts),
            None,
            "a name that has changed is not nothing"
        );
    }
}

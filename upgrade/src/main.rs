//! `upgrade`: makes a recording, or upgrades a pipeline that runs. See [the library](upgrade) for what that is.

use std::path::PathBuf;

use clap::Parser;
use upgrade::programs::Programs;
use upgrade::recording::Recording;
use upgrade::rolling;

/// Holds the programs of two releases against each other, on a real Kafka and a real PostgreSQL.
#[derive(Parser)]
enum Command {
    /// Write down what programs leave behind: topics, positions, databases
    Record {
        /// Folder of the programs
        #[arg(long)]
        programs: PathBuf,
        /// Revision that they were built from; the recording's name
        #[arg(long)]
        revision: String,
    },
    /// Replace the programs of a pipeline that runs, and hold its rows against its topics
    Run {
        /// Folder of the programs that run first
        #[arg(long)]
        old: PathBuf,
        /// Folder of those that replace them
        #[arg(long)]
        new: PathBuf,
    },
}

#[tokio::main]
async fn main() {
    match Command::parse() {
        Command::Record { programs, revision } => {
            Recording::of(&revision).record(&Programs::new(programs)).await;
        }
        Command::Run { old, new } => rolling::upgrade(&Programs::new(old), &Programs::new(new)).await,
    }
}

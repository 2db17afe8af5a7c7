//! `streampipeline-worker`: stores what comes from Kafka, or prepares the sink for it.

use std::process::ExitCode;

use clap::Parser;
use worker::args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    match Args::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", runtime::report::lines(&error));
            error.exit().into()
        }
    }
}

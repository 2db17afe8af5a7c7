//! `streampipeline-operator`: makes a cluster run what `StreamPipeline`s say.

use std::process::ExitCode;

use clap::Parser;
use operator::args::Args;

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

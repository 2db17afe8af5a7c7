//! `streampipeline-generator`: produces the events of a pipeline.

use std::process::ExitCode;

use clap::Parser;
use generator::args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    let run = async {
        let args = Args::parse();
        let shutdown = args.start()?;
        args.run(shutdown).await
    };
    match run.await {
        Ok(summary) => {
            // Not to standard output, which may hold the events.
            eprintln!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", runtime::report::lines(&error));
            error.exit().into()
        }
    }
}

//! What can keep a figure from being measured.

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A server did not start, or did not do what it should.
    #[error(transparent)]
    Testbed(#[from] testbed::Error),
    /// PostgreSQL refused something.
    #[error("PostgreSQL: {0}")]
    Postgres(#[from] sqlx::Error),
    /// An API server refused something, or could not be asked.
    #[error("Kubernetes: {0}")]
    Kubernetes(String),
    /// A program could not be run, or a file not be written.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program ended badly.
    #[error("{program} failed: {output}")]
    Program {
        /// The program.
        program: String,
        /// What it printed.
        output: String,
    },
    /// A program's output has no figure in it.
    #[error("no figure in: {0}")]
    NoFigure(String),
}

/// Names what was being done when the operating system refused.
pub(crate) fn io(what: &str) -> impl FnOnce(std::io::Error) -> BenchError {
    let what = what.to_owned();
    |source| BenchError::Io { what, source }
}

/// What an API server or its client said.
pub(crate) fn kubernetes(error: impl std::fmt::Display) -> BenchError {
    BenchError::Kubernetes(error.to_string())
}

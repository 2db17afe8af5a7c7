//! Whether the server can be used: it answers, and the user may make tables.

use api::{PipelineName, PostgresSink};
use runtime::secrets::Secrets;

use super::{Connection, Postgres, QUERY_LIMIT, READING};
use crate::SinkError;
use crate::preflight::Check;

/// Looks whether the sink can be used. Nothing is made or changed.
pub(crate) async fn preflight(
    pipeline: &PipelineName,
    sink: &PostgresSink,
    place: String,
    secrets: &Secrets,
) -> Vec<Check> {
    let server = |outcome| Check {
        subject: place,
        outcome,
    };
    let reach = async {
        let opened = Postgres::open(pipeline.clone(), sink, Vec::new(), secrets).await?;
        opened.ping().await?;
        Ok::<_, SinkError>(opened)
    };
    match reach.await {
        Ok(opened) => vec![
            server(Ok("answers".to_owned())),
            Check {
                subject: format!("schema {}", sink.schema),
                outcome: opened.rights().await,
            },
        ],
        Err(error) => vec![server(Err(runtime::report::line(&error)))],
    }
}

impl Postgres {
    /// Whether the user may make tables in the schema.
    async fn rights(&self) -> Result<String, String> {
        const SQL: &str = "SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE') \
                           FROM pg_catalog.pg_namespace WHERE nspname = $1";
        let ask = async |connection: &mut Connection| {
            let query = sqlx::query_scalar(SQL).bind(&self.schema);
            Connection::within(QUERY_LIMIT, query.fetch_optional(connection.live())).await
        };
        let context = || format!("asking for the rights on schema {}", self.schema);
        match self.work(READING, context, ask).await {
            Ok(Some(true)) => Ok("tables can be made".to_owned()),
            Ok(Some(false)) => Err(format!(
                "no right to make tables; run GRANT USAGE, CREATE ON SCHEMA {} TO the user",
                self.schema
            )),
            Ok(None) => Err(
                "not there; make it with CREATE SCHEMA, or name another in spec.sink.postgres.schema"
                    .to_owned(),
            ),
            Err(error) => Err(runtime::report::line(&error)),
        }
    }
}

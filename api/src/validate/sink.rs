//! `spec.sink`.

use std::path::PathBuf;

use super::names::secret;
use super::problem::Report;
use super::values::{exactly_one, narrow};
use crate::crd::{ONE_SINK, PostgresSpec, SINK_NOT_AVAILABLE, SinkSpec};
use crate::{PostgresSink, Sink, SqliteSink};

pub(super) fn sink(spec: &SinkSpec, report: &mut Report) -> Option<Sink> {
    let SinkSpec {
        postgres,
        sqlite,
        cassandra,
        lake,
        bigquery,
    } = spec;
    let reserved = [
        ("cassandra", cassandra.is_some()),
        ("lake", lake.is_some()),
        ("bigquery", bigquery.is_some()),
    ];
    for (name, _) in reserved.iter().filter(|(_, set)| *set) {
        report.broken(format!("spec.sink.{name}"), SINK_NOT_AVAILABLE);
    }
    let mut members = vec![postgres.is_some(), sqlite.is_some()];
    members.extend(reserved.iter().map(|(_, set)| *set));
    exactly_one(&members, "spec.sink", ONE_SINK, report);
    let postgres = postgres
        .as_ref()
        .map(|spec| Sink::Postgres(self::postgres(spec, report)));
    let sqlite = sqlite.as_ref().map(|spec| {
        Sink::Sqlite(SqliteSink {
            path: PathBuf::from(&spec.path),
        })
    });
    postgres.or(sqlite)
}

fn postgres(spec: &PostgresSpec, report: &mut Report) -> PostgresSink {
    PostgresSink {
        host: spec.host.clone(),
        port: narrow(spec.port),
        database: spec.database.clone(),
        schema: spec.schema.clone(),
        secret: secret(&spec.secret_ref, "spec.sink.postgres.secretRef", report),
        tls: spec.tls,
        max_connections: narrow(spec.max_connections),
    }
}
